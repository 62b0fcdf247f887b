/** Pauses as JSON: what a request may say of one, and what is shown of it. */
import { Schema } from "effect"
import type { Pause } from "../../domain/Pause.ts"
import { iso } from "../../domain/Time.ts"
import { described } from "../Contract.ts"
import { Instant, isoOrNull } from "../Instant.ts"

const text = (maxLength: number) =>
  Schema.String.annotations({ jsonSchema: { type: "string", minLength: 1, maxLength } })

export const PauseRequest = Schema.Struct({
  by: described(text(128), "Who pauses, for others to see; 1 to 128 characters"),
  note: described(text(1_000), "Why, for others to see; 1 to 1000 characters"),
  until: described(
    Schema.String,
    "When it is over by itself, ISO 8601 with an offset, after now. Default: when somebody ends it"
  )
}).annotations({
  identifier: "PauseRequest",
  examples: [{}, { by: "ada", note: "month end", until: "2126-01-01T00:00:00Z" }]
})

/** What is shown of a pause. */
export const pauseFields = {
  since: Instant,
  until: Schema.NullOr(Instant).annotations({ description: "When it is over by itself; null: when somebody ends it" }),
  by: Schema.NullOr(Schema.String).annotations({ description: "Who has asked for it" }),
  note: Schema.NullOr(Schema.String).annotations({ description: "Why" })
}
export const PauseAnswer = Schema.Struct(pauseFields)
export type PauseAnswer = typeof PauseAnswer.Type

export const pauseAnswer = ({ by, note, since, until }: Pause): PauseAnswer => ({
  since: iso(since),
  until: isoOrNull(until),
  by: by ?? null,
  note: note ?? null
})

/** The contract of `/v1/triggers`: when a trigger would fire, before anything is stored. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { BadRequest, described, Empty, TooLarge, UnsupportedMediaType } from "../Contract.ts"
import { Instant } from "../Instant.ts"
import { GivenTrigger, TriggerRequest } from "./TriggerRequest.ts"

/** Most occurrences of an answer. */
const maxCount = 1_000

const range = {
  count: described(
    Schema.Int.pipe(Schema.between(1, maxCount)),
    `How many occurrences, 1 to ${maxCount}. Default: 10`
  ),
  after: described(Schema.String, "As if it were scheduled at this instant, ISO 8601 with an offset. Default: now"),
  from: described(Schema.String, "Instead of count and after: all from this instant on, ISO 8601 with an offset"),
  to: described(Schema.String, `And before this one, at most 100 years later; the first ${maxCount} of them`)
}

export const PreviewRequest = Schema.Struct({ trigger: TriggerRequest, ...range }).annotations({
  identifier: "PreviewRequest",
  examples: [
    { trigger: { cron: "30 2 * * *", timeZone: "Europe/Stockholm" }, count: 3 },
    {
      trigger: { cron: "30 2 * * *", timeZone: "Europe/Stockholm", gap: "skip" },
      from: "2027-03-27T00:00:00Z",
      to: "2027-03-30T00:00:00Z"
    }
  ]
})
export type PreviewRequest = typeof PreviewRequest.Type

/** What is read of it. */
export const GivenPreview = Schema.Struct({
  trigger: Schema.optionalWith(GivenTrigger, { exact: true }),
  ...range
})

const PreviewedOccurrence = Schema.Struct({
  at: Instant,
  local: Schema.String.annotations({
    description: "What clocks in the trigger's zone show then",
    examples: ["2027-03-28T03:00:00"]
  }),
  dst: Schema.NullOr(Schema.Literal("made-up", "shifted", "first-pass", "second-pass", "gap")).annotations({
    description:
      "What a change of clocks has to do with it: made-up stands for times that clocks left out, shifted was " +
      "moved out of a gap, first-pass and second-pass come at a time that clocks show twice, gap is a time that they do " +
      "not show"
  }),
  leftOut: Schema.Boolean.annotations({
    description: "The trigger names this time and does not fire, because of a change of clocks; with from and to only"
  })
})

export const PreviewAnswer = Schema.Struct({
  description: Schema.String.annotations({ description: "The trigger in a sentence" }),
  occurrences: Schema.Array(PreviewedOccurrence).annotations({
    description: "In order; fewer than asked for where it fires no more. Of spaced as if each run took no time"
  })
}).annotations({ identifier: "Preview" })
export type PreviewAnswer = typeof PreviewAnswer.Type

export const v1Triggers = HttpApiGroup.make("v1Triggers")
  .add(
    HttpApiEndpoint.post("preview", "/v1/triggers/preview")
      .setPayload(PreviewRequest).setUrlParams(Empty).addSuccess(PreviewAnswer)
      .addError(BadRequest).addError(TooLarge).addError(UnsupportedMediaType)
      .annotateContext(OpenApi.annotations({
        summary: "Shows when a trigger would fire",
        description:
          "The next occurrences, or all from one instant to another with what changes of clocks do to them. " +
          "Any trigger, once or recurring; nothing is stored."
      }))
  )
  .annotateContext(OpenApi.annotations({ title: "Triggers", description: "When things run." }))

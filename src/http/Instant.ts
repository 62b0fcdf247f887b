/** Instants as the HTTP face shows them. */
import { Schema } from "effect"
import type { EpochMillis } from "../domain/Time.ts"
import { farthest, iso } from "../domain/Time.ts"

export const Instant = Schema.String.annotations({
  description: "ISO 8601, UTC, milliseconds",
  jsonSchema: { type: "string", format: "date-time" },
  examples: ["2027-01-01T09:00:00.000Z"]
})

export const isoOrNull = (millis: EpochMillis | undefined): string | null => millis === undefined ? null : iso(millis)

/** What is planned: jitter may lead beyond the last date that there is. */
export const plannedIso = (millis: EpochMillis): string => iso(Math.min(millis, farthest))

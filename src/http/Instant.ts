/** Instants as the HTTP face shows them. */
import { DateTime, Schema } from "effect"
import type { EpochMillis } from "../domain/Time.ts"

export const Instant = Schema.String.annotations({
  description: "ISO 8601, UTC, milliseconds",
  jsonSchema: { type: "string", format: "date-time" },
  examples: ["2027-01-01T09:00:00.000Z"]
})

export const iso = (millis: EpochMillis): string => DateTime.formatIso(DateTime.unsafeMake(millis))

export const isoOrNull = (millis: EpochMillis | undefined): string | null => millis === undefined ? null : iso(millis)

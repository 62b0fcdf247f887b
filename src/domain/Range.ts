/** Ranges of time that have to be looked through to their end, however seldom something fires in them. */
import { Either } from "effect"
import { InvalidInput } from "./Errors.ts"
import type { EpochMillis, InstantInput } from "./Time.ts"
import { longestDuration, parseInstant } from "./Time.ts"

export interface Range {
  readonly from: EpochMillis
  readonly to: EpochMillis
}

/** @returns the range, or `InvalidInput` (those of `parseInstant`, `WindowEmpty`, `DateRange` where it is too long) */
export const parseRange = (from: InstantInput, to: InstantInput): Either.Either<Range, InvalidInput> =>
  Either.flatMap(Either.all({ from: parseInstant(from, "from"), to: parseInstant(to, "to") }), (range) => {
    const refuse = (reason: InvalidInput["reason"], expected: string) =>
      Either.left(new InvalidInput({ reason, field: "to", message: `to: expected ${expected}` }))
    if (range.to <= range.from) return refuse("WindowEmpty", "an instant after from")
    return range.to - range.from > longestDuration
      ? refuse("DateRange", "an instant at most 100 years after from")
      : Either.right(range)
  })

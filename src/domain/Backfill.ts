/** Occurrences of a past range, made by hand: they run beside those of the rule. */
import type { BackfillId, TaskScheduleId } from "./Ids.ts"
import type { EpochMillis } from "./Time.ts"

export interface Backfill {
  readonly id: BackfillId
  readonly scheduleId: TaskScheduleId
  /** Nominal instants of its Tasks: from the one, included, to the other, which is not. */
  readonly from: EpochMillis
  readonly to: EpochMillis
  /** How many of its Tasks may be under way at once; absent: all of them. */
  readonly concurrency: number | undefined
  /** How many Tasks were made. */
  readonly total: number
  readonly createdAt: EpochMillis
  /** When it was cancelled, if it was. */
  readonly cancelledAt: EpochMillis | undefined
}

/** How its Tasks say that they are of it. */
export const originOf = (id: BackfillId): string => `backfill:${id}`

/** Occurrences that one backfill makes at the most. */
export const mostOfBackfill = 10_000

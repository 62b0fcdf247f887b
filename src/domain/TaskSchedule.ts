/** The rule that makes Tasks again and again. Each occurrence is an ordinary Task. */
import type { TaskId, TaskScheduleId } from "./Ids.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"
import type { FunctionTarget, ScheduledTask } from "./Task.ts"
import type { EpochMillis } from "./Time.ts"
import type { Recurrence } from "./Trigger.ts"
import { nextFixed } from "./Trigger.ts"

/** `Completed`: `maxRuns` occurrences have been started, and no further one will be made. */
export type TaskScheduleStatus = "Active" | "Completed" | "Cancelled"

export interface TaskSchedule {
  readonly id: TaskScheduleId
  /** The caller's name; its occurrences carry it too. */
  readonly name: string
  readonly function: FunctionTarget
  /** JSON text that every occurrence delivers. */
  readonly payload: string
  readonly tags: Readonly<Record<string, string>>
  readonly retry: RetryPolicy
  readonly recurrence: Recurrence
  /** How many occurrences may be started; absent: without end. */
  readonly maxRuns: number | undefined
  readonly createdAt: EpochMillis
  readonly status: TaskScheduleStatus
  /** Grows with every change of the rule; an occurrence planned under an older one never runs. */
  readonly revision: number
  /** Nominal instant of the latest occurrence that was stored: the one the next is reckoned from. */
  readonly cursor: EpochMillis
  /** How many occurrences have been started. */
  readonly runs: number
  /** How many occurrences were never made, because several had passed at once and only the latest was made up for. */
  readonly missed: number
}

/** The statement that stores an occurrence's successor: when it starts (anchored rules), or when it ends (`spaced`). */
export const successorIsStoredAt = (recurrence: Recurrence): "start" | "end" =>
  recurrence._tag === "Spaced" ? "end" : "start"

/** The occurrence that follows another, before the store has agreed to it. */
export interface Successor {
  readonly task: ScheduledTask
  /** Occurrences passed over between the two. */
  readonly missed: number
  /** The rule it was planned under. */
  readonly revision: number
  /** Its writer keeps it if it becomes claimable by then; otherwise it is anybody's. */
  readonly claimUntil: EpochMillis
}

/** The Task of one occurrence, owned by nobody yet. */
export const occurrence = (
  schedule: TaskSchedule,
  id: TaskId,
  nominalAt: EpochMillis,
  createdAt: EpochMillis
): ScheduledTask => ({
  status: "Scheduled",
  id,
  name: schedule.name,
  function: schedule.function,
  payload: schedule.payload,
  tags: schedule.tags,
  retry: schedule.retry,
  scheduleId: schedule.id,
  origin: "schedule",
  createdAt,
  nominalAt,
  dueAt: nominalAt,
  claimableAt: nominalAt,
  owner: undefined,
  token: 0,
  attempts: []
})

/**
 * When the occurrence after one is due.
 *
 * @param nominalAt the occurrence's nominal instant
 * @param now epoch milliseconds: its end for `spaced`, its start for anchored rules
 *
 * @example
 * nextOccurrence({ _tag: "Spaced", v: 1, interval: 10 }, 20, 25) // { nominalAt: 35, missed: 0 }
 */
export const nextOccurrence = (
  recurrence: Recurrence,
  nominalAt: EpochMillis,
  now: EpochMillis
): { readonly nominalAt: EpochMillis; readonly missed: number } =>
  recurrence._tag === "Spaced"
    // One that is cancelled before it was due has no end: its successor comes an interval after it, not at its instant.
    ? { nominalAt: Math.max(now, nominalAt) + recurrence.interval, missed: 0 }
    : nextFixed(recurrence, nominalAt, now)

/** Whether a further occurrence may be stored. */
export const hasRunsLeft = (schedule: TaskSchedule): boolean =>
  schedule.maxRuns === undefined || schedule.runs < schedule.maxRuns

/** One more occurrence has been started. */
export const countRun = (schedule: TaskSchedule): TaskSchedule => ({ ...schedule, runs: schedule.runs + 1 })

/**
 * Moves the cursor to an occurrence's successor, compared on status, revision and cursor, so that each occurrence has
 * one successor at the most, whoever asks. A schedule without runs left becomes `Completed`.
 *
 * @param nominalAt nominal instant of the occurrence that is followed
 * @returns the schedule as it is to be stored, and whether the successor is to be stored with it
 */
export const advance = (
  schedule: TaskSchedule,
  nominalAt: EpochMillis,
  successor: Successor
): { readonly schedule: TaskSchedule; readonly store: boolean } => {
  if (
    schedule.status !== "Active" || schedule.revision !== successor.revision || schedule.cursor !== nominalAt
  ) return { schedule, store: false }
  if (!hasRunsLeft(schedule)) return { schedule: { ...schedule, status: "Completed" }, store: false }
  return {
    schedule: { ...schedule, cursor: successor.task.nominalAt, missed: schedule.missed + successor.missed },
    store: true
  }
}

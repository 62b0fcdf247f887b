/** The rule that makes Tasks again and again. Each occurrence is an ordinary Task. */
import type { TaskId, TaskScheduleId } from "./Ids.ts"
import type { Recurrence } from "./Recurrence.ts"
import { countBetween, dueAtOf, latestUpTo, nextAfter } from "./Recurrence.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"
import type { FunctionTarget, ScheduledTask } from "./Task.ts"
import type { EpochMillis } from "./Time.ts"
import { farthest } from "./Time.ts"

/** `Completed`: `maxRuns` occurrences have been started, or the rule names no further one. */
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
  /** Of its occurrences: -100 to 100. */
  readonly priority: number
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
  /** Absent: the rule names no further one, and the schedule is completed. */
  readonly task: ScheduledTask | undefined
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
): ScheduledTask => {
  const dueAt = dueAtOf(schedule.recurrence, schedule.id, nominalAt)
  return {
    status: "Scheduled",
    id,
    name: schedule.name,
    function: schedule.function,
    payload: schedule.payload,
    tags: schedule.tags,
    retry: schedule.retry,
    priority: schedule.priority,
    scheduleId: schedule.id,
    origin: "schedule",
    redriveOf: undefined,
    createdAt,
    nominalAt,
    dueAt,
    claimableAt: dueAt,
    owner: undefined,
    token: 0,
    attempts: []
  }
}

/**
 * The occurrence after one, and how many were missed in between: when several have passed by `now`, only the latest of them
 * is made up for.
 *
 * @param nominalAt the occurrence's nominal instant
 * @param now epoch milliseconds: its end for `spaced`, its start for anchored rules
 * @returns without `nominalAt` when the rule names no further one
 *
 * @example
 * nextOccurrence({ _tag: "Spaced", v: 1, interval: 10 }, 20, 25) // { nominalAt: 35, missed: 0 }
 * nextOccurrence({ _tag: "Fixed", v: 1, interval: 10, anchor: 0 }, 20, 65) // { nominalAt: 60, missed: 3 }
 */
export const nextOccurrence = (
  recurrence: Recurrence,
  nominalAt: EpochMillis,
  now: EpochMillis
): { readonly nominalAt: EpochMillis | undefined; readonly missed: number } => {
  if (recurrence._tag === "Spaced") {
    // One that is cancelled before it was due has no end: its successor comes an interval after it, not at its instant.
    const next = Math.max(now, nominalAt) + recurrence.interval
    return { nominalAt: next > (recurrence.until ?? farthest) ? undefined : next, missed: 0 }
  }
  const following = nextAfter(recurrence, nominalAt)
  if (following === undefined || following > now) return { nominalAt: following, missed: 0 }
  const latest = latestUpTo(recurrence, following, now)
  return { nominalAt: latest, missed: countBetween(recurrence, nominalAt, latest) - 1 }
}

/** Whether a further occurrence may be stored. */
export const hasRunsLeft = (schedule: TaskSchedule): boolean =>
  schedule.maxRuns === undefined || schedule.runs < schedule.maxRuns

/** One more occurrence has been started. */
export const countRun = (schedule: TaskSchedule): TaskSchedule => ({ ...schedule, runs: schedule.runs + 1 })

/**
 * Moves the cursor to an occurrence's successor, compared on status, revision and cursor, so that each occurrence has
 * one successor at the most, whoever asks. A schedule without runs left, or without a further occurrence, becomes
 * `Completed`.
 *
 * @param nominalAt nominal instant of the occurrence that is followed
 * @returns the schedule as it is to be stored, and the successor that is to be stored with it, if there is one
 */
export const advance = (
  schedule: TaskSchedule,
  nominalAt: EpochMillis,
  { missed, revision, task }: Successor
): { readonly schedule: TaskSchedule; readonly next: ScheduledTask | undefined } => {
  if (schedule.status !== "Active" || schedule.revision !== revision || schedule.cursor !== nominalAt) {
    return { schedule, next: undefined }
  }
  return hasRunsLeft(schedule) && task !== undefined
    ? { schedule: { ...schedule, cursor: task.nominalAt, missed: schedule.missed + missed }, next: task }
    : { schedule: { ...schedule, status: "Completed" }, next: undefined }
}

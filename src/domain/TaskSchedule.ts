/** The rule that makes Tasks again and again. Each occurrence is an ordinary Task. */
import type { CatchUp } from "./CatchUp.ts"
import type { TaskId, TaskScheduleId } from "./Ids.ts"
import type { Overlap } from "./Overlap.ts"
import type { Pause } from "./Pause.ts"
import { inForce } from "./Pause.ts"
import type { Recurrence } from "./Recurrence.ts"
import { dueAtOf, nextAfter } from "./Recurrence.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"
import type { FunctionTarget, ScheduledTask, SkippedTask } from "./Task.ts"
import type { Skip } from "./TaskLifecycle.ts"
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
  /** What becomes of an occurrence that is due while another one is under way. */
  readonly overlap: Overlap
  /** What becomes of occurrences whose instants passed while nobody could start them. */
  readonly catchUp: CatchUp
  /** After how many failures in a row it is paused; absent: it never is by itself. */
  readonly pauseAfterFailures: number | undefined
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
  /** How many occurrences were passed over, because their instants had gone by before anybody could start them. */
  readonly missed: number
  /** How many of its occurrences have failed for good, one after the other; counted where `pauseAfterFailures` is set. */
  readonly failures: number
  /** The pause that holds or, once that is over, the latest. */
  readonly pause: Pause | undefined
}

/** The statement that stores an occurrence's successor: when it starts (anchored rules), or when it ends (`spaced`). */
export const successorIsStoredAt = (recurrence: Recurrence): "start" | "end" =>
  recurrence._tag === "Spaced" ? "end" : "start"

/** The occurrence that follows another, before the store has agreed to it. */
export interface Successor {
  /** Absent: the rule names no further one, and the schedule is completed. */
  readonly task: ScheduledTask | undefined
  /** Of what follows, should it have to be planned anew. */
  readonly id?: TaskId | undefined
  /** Why the occurrence itself does not run: its instant has gone by. Absent: it may. */
  readonly skip?: Skip | undefined
  /** Records of what is passed over between the two. */
  readonly passed?: ReadonlyArray<SkippedTask> | undefined
  /** How many occurrences are missed, the occurrence itself among them if it is. */
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
    overlap: undefined,
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
 * The instant that follows another by a rule, as if no time had passed.
 *
 * @returns `undefined` when the rule names no further one
 *
 * @example
 * instantAfter({ _tag: "Spaced", v: 1, interval: 10 }, 20) // 30
 */
export const instantAfter = (recurrence: Recurrence, nominalAt: EpochMillis): EpochMillis | undefined => {
  if (recurrence._tag !== "Spaced") return nextAfter(recurrence, nominalAt)
  const next = nominalAt + recurrence.interval
  return next > (recurrence.until ?? farthest) ? undefined : next
}

/** Whether a further occurrence may be stored. */
export const hasRunsLeft = (schedule: TaskSchedule): boolean =>
  schedule.maxRuns === undefined || schedule.runs < schedule.maxRuns

/** Whether an occurrence is the one that the schedule's next is reckoned from: what is stored after it has not been yet. */
export const isAtCursor = (
  schedule: TaskSchedule,
  { nominalAt, origin }: Pick<ScheduledTask, "nominalAt" | "origin">
) => origin === "schedule" && schedule.status === "Active" && schedule.cursor === nominalAt

/** When a schedule goes on that is paused; `undefined`: it is not paused. */
export const pausedUntil = (schedule: TaskSchedule, now: EpochMillis): EpochMillis | undefined => {
  const pause = inForce(schedule.pause, now)
  return pause && (pause.until ?? farthest)
}

/** One more occurrence has been started. */
export const countRun = (schedule: TaskSchedule): TaskSchedule => ({ ...schedule, runs: schedule.runs + 1 })

/**
 * Moves the cursor to an occurrence's successor, compared on status, revision and cursor, so that each occurrence has
 * one successor at the most, whoever asks. A schedule without runs left, or without a further occurrence, becomes
 * `Completed`.
 *
 * @param now epoch milliseconds: what follows while the schedule is paused waits for the end of that
 * @returns the schedule as it is to be stored, and what is to be stored with it: the successor, if there is one, and
 * records of what is passed over
 */
export const advance = (
  schedule: TaskSchedule,
  occurrence: Pick<ScheduledTask, "nominalAt" | "origin">,
  { missed, passed = [], revision, task }: Successor,
  now: EpochMillis
): {
  readonly schedule: TaskSchedule
  readonly next: ScheduledTask | undefined
  readonly passed: ReadonlyArray<SkippedTask>
} => {
  if (!isAtCursor(schedule, occurrence) || schedule.revision !== revision) {
    return { schedule, next: undefined, passed: [] }
  }
  // A pause that is over has been told of once nothing that fell into it is left.
  const isTold = task === undefined || task.nominalAt >= (schedule.pause?.until ?? Infinity)
  const pause = isTold ? inForce(schedule.pause, now) : schedule.pause
  const counted = { ...schedule, missed: schedule.missed + missed, pause }
  if (task === undefined || !hasRunsLeft(schedule)) {
    return { schedule: { ...counted, status: "Completed" }, next: undefined, passed }
  }
  const claimableAt = Math.max(task.claimableAt, pausedUntil(schedule, now) ?? -Infinity)
  return { schedule: { ...counted, cursor: task.nominalAt }, next: { ...task, claimableAt }, passed }
}

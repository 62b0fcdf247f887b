/** A Task: one thing to do once. Invoke one function with one payload, due at one instant. */
import type { InstanceId, TaskId, TaskScheduleId } from "./Ids.ts"
import type { AttemptOutcome, InvocationBody, InvocationErrorReason } from "./Invocation.ts"
import type { Overlap } from "./Overlap.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"
import type { EpochMillis, Millis } from "./Time.ts"

/** The function as an invocation names it. */
export interface FunctionTarget {
  /** The bare name, without account, region or qualifier. */
  readonly name: string
  /** The full or partial ARN when the caller gave one. */
  readonly arn: string | undefined
  /** A version or an alias. */
  readonly qualifier: string | undefined
  /** The function's own timeout in milliseconds. */
  readonly timeout: Millis
}

/** One invocation, from its start mark on. */
export interface Attempt {
  /** 1, 2, ... No number is ever sent twice. */
  readonly number: number
  readonly startedAt: EpochMillis
  /** Absent while it runs. */
  readonly ended: AttemptEnd | undefined
}

export interface AttemptEnd {
  readonly at: EpochMillis
  readonly outcome: AttemptOutcome
  readonly error: AttemptFailure | undefined
  readonly requestId: string | undefined
  readonly executedVersion: string | undefined
  readonly logTail: string | undefined
}

/** Why an attempt brought no result. */
export interface AttemptFailure {
  readonly reason: InvocationErrorReason | "Interrupted" | "OwnerLost" | "Cancelled"
  readonly message: string
  readonly errorType: string | undefined
}

/** Why a Task failed for good. */
export interface TaskFailure {
  /** The last attempt's reason, or `Expired` when its age or its deadline ran out first. */
  readonly reason: AttemptFailure["reason"] | "Expired"
  readonly message: string
}

/**
 * Why an occurrence did not run: another one was under way, and none waits or no more may (`overlap`); its schedule was
 * paused (`paused`); a later one ran for it, or it was too late by a rule that makes up for nothing (`catchUp`); it was
 * later than it may be (`window`); more were missed than are made up for (`cap`).
 */
export type SkipReason = "overlap" | "paused" | "catchUp" | "window" | "cap"

/** Occurrences of a schedule, one after the other, of which one record tells. */
export interface SkippedRange {
  /** The first is that of the record itself. */
  readonly count: number
  /** The nominal instant of the last. */
  readonly last: EpochMillis
}

/** Who or what cancelled a Task: itself, its schedule, its function or name, its backfill, or a later occurrence. */
export type CancelCause = "task" | "schedule" | "function" | "name" | "backfill" | "overlap"

/** What every Task has, whatever its state. */
export interface TaskFields {
  readonly id: TaskId
  /** The caller's name for it; an occurrence has its schedule's. */
  readonly name: string
  readonly function: FunctionTarget
  /** JSON text, delivered byte for byte. */
  readonly payload: string
  readonly tags: Readonly<Record<string, string>>
  readonly retry: RetryPolicy
  /** -100 to 100, 0 by default: what has more of it starts first where not everything due can start. */
  readonly priority: number
  /** The schedule that made it; absent for a one-shot. */
  readonly scheduleId: TaskScheduleId | undefined
  /** What made the occurrence: `schedule`, `manual:<id>` or `backfill:<id>`; absent for a one-shot. */
  readonly origin: string | undefined
  /** What holds for this occurrence instead of its schedule's; absent: its schedule's. */
  readonly overlap: Overlap | undefined
  /** The dead letter that this Task repeats. */
  readonly redriveOf: TaskId | undefined
  readonly createdAt: EpochMillis
  /** The instant the rule names. */
  readonly nominalAt: EpochMillis
  /** The instant it is to start: the nominal one, or a retry's. Lateness is measured against it. */
  readonly dueAt: EpochMillis
  /** When an instance may next pick it up. */
  readonly claimableAt: EpochMillis
  /** The instance that has claimed it. */
  readonly owner: InstanceId | undefined
  /** Grows with every change of ownership or intent; a writer with an older one is refused. */
  readonly token: number
  readonly attempts: ReadonlyArray<Attempt>
}

export interface ScheduledTask extends TaskFields {
  readonly status: "Scheduled"
}
/** A new Task that repeats a dead letter. */
export interface RedriveTask extends ScheduledTask {
  readonly redriveOf: TaskId
}
export interface RunningTask extends TaskFields {
  readonly status: "Running"
}
export interface SucceededTask extends TaskFields {
  readonly status: "Succeeded"
  readonly finishedAt: EpochMillis
  readonly result: InvocationBody
}
export interface FailedTask extends TaskFields {
  readonly status: "Failed"
  readonly finishedAt: EpochMillis
  readonly failure: TaskFailure
  /** The Task that repeats it. */
  readonly redrivenAs: TaskId | undefined
}
export interface CancelledTask extends TaskFields {
  readonly status: "Cancelled"
  readonly finishedAt: EpochMillis
  readonly cancelledBy: CancelCause
}
export interface SkippedTask extends TaskFields {
  readonly status: "Skipped"
  readonly finishedAt: EpochMillis
  readonly skipped: SkipReason
  /** Given where the record stands for more than its own occurrence. */
  readonly range: SkippedRange | undefined
  /** By whom and why, where somebody has said so. */
  readonly note: string | undefined
}

export type LiveTask = ScheduledTask | RunningTask
export type FinishedTask = SucceededTask | FailedTask | CancelledTask | SkippedTask
export type Task = LiveTask | FinishedTask

export type TaskStatus = Task["status"]
export const taskStatuses: ReadonlyArray<TaskStatus> = [
  "Scheduled",
  "Running",
  "Succeeded",
  "Failed",
  "Cancelled",
  "Skipped"
]

export const isLive = (task: Task): task is LiveTask => task.status === "Scheduled" || task.status === "Running"
export const isFinished = (task: Task): task is FinishedTask => !isLive(task)

/** When its latest attempt began; `undefined` before the first. */
export const startedAt = (task: Task): EpochMillis | undefined => task.attempts.at(-1)?.startedAt

/** When its latest attempt ended; `undefined` while it runs and before the first. */
export const executedAt = (task: Task): EpochMillis | undefined => task.attempts.at(-1)?.ended?.at

/** How long an attempt took, from its start mark to its end; `undefined` while it runs. */
export const durationOf = (attempt: Attempt): Millis | undefined =>
  attempt.ended === undefined ? undefined : attempt.ended.at - attempt.startedAt

/**
 * The instant from which on a Task is neither started nor waited for; `Infinity` where it has no deadline. That of an
 * occurrence counts from its nominal instant. What was asked for by hand has from when that was: its instant may be past.
 *
 * @example
 * expiresAt({ ...task, nominalAt: 1_000, createdAt: 0, retry: { ...defaultRetryPolicy, deadline: 500 } }) // 1500
 */
export const expiresAt = (
  { createdAt, nominalAt, origin, retry }: Pick<TaskFields, "createdAt" | "nominalAt" | "origin" | "retry">
): EpochMillis =>
  retry.deadline === undefined
    ? Infinity
    : (origin === "schedule" ? nominalAt : Math.max(nominalAt, createdAt)) + retry.deadline

/** @param now epoch milliseconds */
export const isExpired = (task: Parameters<typeof expiresAt>[0], now: EpochMillis): boolean => now >= expiresAt(task)

const unspent: ReadonlySet<AttemptOutcome> = new Set(["throttled", "notReady", "notSent"])

/** Whether an outcome counts against `maxAttempts`. */
export const isSpent = (outcome: AttemptOutcome): boolean => !unspent.has(outcome)

/** How many attempts count against `maxAttempts`; one that still runs counts. */
export const spentAttempts = (task: Task): number => {
  let spent = 0
  for (const attempt of task.attempts) if (attempt.ended === undefined || isSpent(attempt.ended.outcome)) spent++
  return spent
}

/** Made by its schedule's rule, and not asked for by hand. */
export const isByRule = (task: Pick<TaskFields, "origin">): boolean => task.origin === "schedule"

/** What an occurrence waits for, or is skipped or cancelled for: those of one backfill, or all others of its schedule. */
export const laneOf = ({ origin }: Pick<TaskFields, "origin">): string =>
  origin?.startsWith("backfill:") === true ? origin : "schedule"

/** What the function sees as the key of this piece of work, the same for every attempt. */
export const idempotencyKey = (task: Task): string =>
  task.scheduleId === undefined ? task.id : `${task.scheduleId}:${task.nominalAt}`

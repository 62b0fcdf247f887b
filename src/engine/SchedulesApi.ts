/** What the public service promises of recurring schedules. */
import type { Effect } from "effect"
import type { Backfill } from "../domain/Backfill.ts"
import type { CatchUpOption } from "../domain/CatchUp.ts"
import type { DeploymentError } from "../domain/Deployment.ts"
import type {
  BackfillNotFound,
  IdempotencyConflict,
  InvalidInput,
  RevisionConflict,
  SchedulerClosed,
  TaskRepositoryError,
  TaskScheduleEnded,
  TaskScheduleNotFound
} from "../domain/Errors.ts"
import type { BackfillId, TaskId, TaskScheduleId } from "../domain/Ids.ts"
import type { AnyLambdaFunction, LambdaFunction } from "../domain/LambdaFunction.ts"
import type { OverlapOption } from "../domain/Overlap.ts"
import type { PauseOptions } from "../domain/Pause.ts"
import type { Task } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import type { InstantInput } from "../domain/Time.ts"
import type { RecurringTrigger, TimingOptions } from "../domain/Trigger.ts"
import type { BackfillCounts } from "../ports/TaskRepository.ts"
import type { WorkOptions } from "./WorkRequest.ts"

/** What holds where runs overlap, come late, or fail. */
export interface SchedulePolicies {
  /** What becomes of an occurrence that is due while another one is under way. Default: `skip`. */
  readonly overlap?: OverlapOption | undefined
  /**
   * What becomes of occurrences whose instants passed while nobody could start them. Default: `latest`. Of a `spaced` schedule
   * one is missed at the most, and runs as soon as it can.
   */
  readonly catchUp?: CatchUpOption | undefined
  /** Pauses the schedule once so many of its occurrences in a row have failed for good: 1 to 1,000. Default: never. */
  readonly pauseAfterFailures?: number | undefined
}

export interface RepeatOptions<Payload = unknown> extends WorkOptions<Payload>, TimingOptions, SchedulePolicies {
  readonly trigger: RecurringTrigger
  /** How many occurrences to start, at least 1; default: without end. */
  readonly maxRuns?: number | undefined
  /** The schedule's id, made by the caller (a UUID of version 7); it is an idempotency key as well, unless one is given. */
  readonly id?: TaskScheduleId | undefined
}

/** What is to be different; what is left out is as it was. */
export interface EditOptions
  extends Omit<WorkOptions<unknown>, "idempotencyKey">, TimingOptions, Omit<SchedulePolicies, "pauseAfterFailures">
{
  /** Another function, deployed first if it is code; its Schema encodes the payload. */
  readonly function?: AnyLambdaFunction | undefined
  /** Another rule, planned from now on; start, end and jitter belong to it. */
  readonly trigger?: RecurringTrigger | undefined
  /** `null`: without end. */
  readonly maxRuns?: number | null | undefined
  /** `null`: never. */
  readonly pauseAfterFailures?: number | null | undefined
}

export interface RunNowOptions {
  /** Instead of the schedule's payload. */
  readonly payload?: unknown
  /** The same as JSON text, delivered byte for byte. */
  readonly payloadJson?: string | undefined
  /** Instead of the schedule's policy, for this run. */
  readonly overlap?: OverlapOption | undefined
  /** The Task's id, made by the caller (a UUID of version 7); it is an idempotency key as well, unless one is given. */
  readonly id?: TaskId | undefined
  /** Makes the call repeatable, as with `schedule`. */
  readonly idempotencyKey?: string | undefined
}

export interface BackfillOptions {
  /** The first instant ... */
  readonly from: InstantInput
  /** ... and where the range ends, which is not included and not after now. */
  readonly to: InstantInput
  /** How many of its Tasks may be under way at once: 1 to 1,000. Default: 1; not with `allowAll`. */
  readonly concurrency?: number | undefined
  /** `bufferAll`, the default: each waits for its turn. `allowAll`: they start all at once, as slots and limits allow. */
  readonly overlap?: "bufferAll" | "allowAll" | undefined
  /** The backfill's id, made by the caller (a UUID of version 7): makes the call repeatable. */
  readonly id?: BackfillId | undefined
}

/** A backfill, and how far it is. */
export interface BackfillStatus extends Backfill {
  readonly status: "Running" | "Completed" | "Cancelled"
  /** Its Tasks by their state; those that retention has removed are in none. */
  readonly counts: BackfillCounts
}

type ChangeError = TaskScheduleNotFound | TaskScheduleEnded | InvalidInput | SchedulerClosed | TaskRepositoryError

export interface SchedulesApi {
  /**
   * Runs a function again and again. Every call makes a schedule of its own, also for the same function.
   *
   * @example
   * const ticks = yield* scheduler.repeat(hello, { name: "ticks", trigger: Trigger.spaced("10 seconds") })
   */
  readonly repeat: <Payload, Result>(
    fn: LambdaFunction<Payload, Result>,
    options: RepeatOptions<Payload>
  ) => Effect.Effect<
    TaskSchedule,
    InvalidInput | DeploymentError | SchedulerClosed | IdempotencyConflict | TaskRepositoryError
  >

  readonly getSchedule: (id: TaskScheduleId) => Effect.Effect<TaskSchedule, TaskScheduleNotFound | TaskRepositoryError>

  /**
   * Changes a schedule. Once this has answered, nothing runs that was planned before and had not begun; what has begun
   * comes to its end as it is, its retries included. Without another trigger the cadence stays.
   *
   * @param guard `revision`: the one that was read; if somebody has edited since, it is a `RevisionConflict`
   *
   * @example
   * yield* scheduler.editSchedule(id, { trigger: Trigger.cron("0 7 * * *") }, { revision: schedule.revision })
   */
  readonly editSchedule: (
    id: TaskScheduleId,
    edit: EditOptions,
    guard?: { readonly revision?: number | undefined }
  ) => Effect.Effect<TaskSchedule, ChangeError | RevisionConflict | DeploymentError>

  /**
   * Has nothing start that the schedule's rule names, until it is resumed or the pause ends. Once this has answered, no
   * occurrence begins; one that has begun comes to its end, its retries included, and what is asked for by hand runs. What falls
   * into the pause is recorded as skipped, and the cadence stays.
   *
   * @example
   * yield* scheduler.pauseSchedule(id, { by: "ada", note: "month end", until: "2027-01-01T00:00:00Z" })
   */
  readonly pauseSchedule: (id: TaskScheduleId, options?: PauseOptions) => Effect.Effect<TaskSchedule, ChangeError>

  /** Goes on with the next instant that the rule names; a `spaced` run that was due in the pause starts now. */
  readonly resumeSchedule: (id: TaskScheduleId) => Effect.Effect<TaskSchedule, ChangeError>

  /**
   * Runs a schedule's function now, also while it is paused. Its cadence and `maxRuns` are not touched; its overlap policy
   * holds, unless another one is given. With an id or an idempotency key it may be repeated while the schedule is active.
   *
   * @example
   * const task = yield* scheduler.runNow(id, { overlap: "allowAll" })
   */
  readonly runNow: (
    id: TaskScheduleId,
    options?: RunNowOptions
  ) => Effect.Effect<Task, ChangeError | IdempotencyConflict>

  /** Ends a schedule and cancels its live occurrences. Cancelling twice is fine. */
  readonly cancelSchedule: (
    id: TaskScheduleId
  ) => Effect.Effect<TaskSchedule, TaskScheduleNotFound | TaskRepositoryError>

  /** Ends a schedule and forgets it; its Tasks stay as long as retention keeps them. Also where there is none: twice is fine. */
  readonly removeSchedule: (id: TaskScheduleId) => Effect.Effect<void, TaskRepositoryError>

  /** Occurrences of a past range, made by hand: they run beside those of the rule, with a turn of their own. */
  readonly backfills: {
    /**
     * Makes a Task for each instant that the rule names in a range of at most 100 years; at most 10,000. All of them are stored at once, and
     * are due now.
     *
     * @example
     * yield* scheduler.backfills.start(id, { from: "2027-01-01T00:00:00Z", to: "2027-02-01T00:00:00Z", concurrency: 4 })
     */
    readonly start: (
      id: TaskScheduleId,
      options: BackfillOptions
    ) => Effect.Effect<BackfillStatus, ChangeError | IdempotencyConflict>
    /** How far it is. */
    readonly get: (id: BackfillId) => Effect.Effect<BackfillStatus, BackfillNotFound | TaskRepositoryError>
    /** Those of a schedule, newest first; at most 1,000. */
    readonly list: (id: TaskScheduleId) => Effect.Effect<ReadonlyArray<BackfillStatus>, TaskRepositoryError>
    /** Cancels what is left of it. Cancelling twice is fine. */
    readonly cancel: (id: BackfillId) => Effect.Effect<BackfillStatus, BackfillNotFound | TaskRepositoryError>
  }
}

/** What the public service promises. */
import type { Effect, Stream } from "effect"
import type { DeployedFunction, DeploymentError } from "../domain/Deployment.ts"
import type {
  IdempotencyConflict,
  InvalidInput,
  ResultInvalid,
  SchedulerClosed,
  SchedulerNotReady,
  TaskFinished,
  TaskNotFound,
  TaskNotSucceeded,
  TaskRepositoryError
} from "../domain/Errors.ts"
import type { TaskId, TaskScheduleId } from "../domain/Ids.ts"
import type { AnyCodeFunction, LambdaFunction } from "../domain/LambdaFunction.ts"
import type { CancelledTask, Task } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import type { EpochMillis, InstantInput } from "../domain/Time.ts"
import type { OnceTrigger } from "../domain/Trigger.ts"
import type { Backlog, Page, PageRequest, TaskChange, TaskFilter, TaskScheduleFilter } from "../ports/TaskRepository.ts"
import type { Occurrence } from "../preview/preview.ts"
import type { BreakersApi } from "./Breakers.ts"
import type { LimitsApi } from "./Caps.ts"
import type { DeadLetters } from "./DeadLetters.ts"
import type { ExplainApi } from "./Explain.ts"
import type { LearnedLimit } from "./Limiters.ts"
import type { PausesApi } from "./Pauses.ts"
import type { SchedulesApi } from "./SchedulesApi.ts"
import type { WorkOptions } from "./WorkRequest.ts"

export type * from "./SchedulesApi.ts"

export interface ScheduleOptions<Payload = unknown> extends WorkOptions<Payload> {
  /** Default: `Trigger.now`. */
  readonly trigger?: OnceTrigger | undefined
  /** The Task's id, made by the caller (a UUID of version 7); it is an idempotency key as well, unless one is given. */
  readonly id?: TaskId | undefined
}

/** Why something could not be scheduled. Nothing was stored. */
export type ScheduleError = InvalidInput | DeploymentError | SchedulerClosed | IdempotencyConflict | TaskRepositoryError

/** Why there is no result. `SchedulerClosed`: the scheduler was shut down before the Task had ended. */
export type AwaitError = TaskNotFound | TaskNotSucceeded | ResultInvalid | SchedulerClosed | TaskRepositoryError

/** A change of a Task, as it happens. `sequence` grows by one: a gap tells that this subscriber was too slow. */
export type TaskEvent = TaskChange

/** What a cancellation reached. */
export interface CancelledWork {
  readonly tasks: ReadonlyArray<CancelledTask>
  readonly schedules: ReadonlyArray<TaskSchedule>
}

export interface UpcomingRange {
  /** Default: now. */
  readonly from?: InstantInput | undefined
  /** Not included. */
  readonly to: InstantInput
  /** 1 to 1,000, the default: the earliest of them. */
  readonly limit?: number | undefined
}

/** An occurrence that a schedule is going to have. `at` is its nominal instant. */
export interface UpcomingOccurrence extends Occurrence {
  readonly scheduleId: TaskScheduleId
  /** Of the schedule. */
  readonly name: string
  readonly functionName: string
  /** `at` and the schedule's jitter. */
  readonly dueAt: EpochMillis
}

export interface SchedulerApi extends SchedulesApi, ExplainApi {
  /**
   * Runs a function once. Code is deployed first, once per content; then the Task is stored, and only then answered.
   * Inside a transaction of the SqlClient that the store uses, it is stored with that transaction, and runs after its
   * commit. The Task is `Scheduled`, unless an idempotency key answers one that was made before.
   *
   * @example
   * const task = yield* scheduler.schedule(hello, { payload: { name: "Ada" }, trigger: Trigger.after("2 seconds") })
   */
  readonly schedule: <Payload, Result>(
    fn: LambdaFunction<Payload, Result>,
    options?: ScheduleOptions<Payload>
  ) => Effect.Effect<Task, ScheduleError>

  /**
   * Runs a function once for each entry, all in as few statements as there can be; answers in their order. The first
   * that cannot be scheduled fails the call; entries of the statements before it may have been stored.
   *
   * @example
   * yield* scheduler.scheduleAll(hello, names.map((name) => ({ payload: { name } })))
   */
  readonly scheduleAll: <Payload, Result>(
    fn: LambdaFunction<Payload, Result>,
    entries: ReadonlyArray<ScheduleOptions<Payload>>
  ) => Effect.Effect<ReadonlyArray<Task>, ScheduleError>

  /** Deploys a function without running it; checks with the target even if this scheduler has deployed it before. */
  readonly deploy: (fn: AnyCodeFunction) => Effect.Effect<DeployedFunction, DeploymentError | InvalidInput>

  readonly get: (id: TaskId) => Effect.Effect<Task, TaskNotFound | TaskRepositoryError>

  /** Tasks, newest first. `limit` 1 to 1,000 (default 1,000); go on with the page's `cursor`. */
  readonly list: (
    filter?: TaskFilter,
    page?: Partial<PageRequest>
  ) => Effect.Effect<Page<Task>, InvalidInput | TaskRepositoryError>

  /** TaskSchedules, newest first. */
  readonly listSchedules: (
    filter?: TaskScheduleFilter,
    page?: Partial<PageRequest>
  ) => Effect.Effect<Page<TaskSchedule>, InvalidInput | TaskRepositoryError>

  /**
   * What all active schedules are going to do, in order; at most 1,000 occurrences, the earliest of the range. Of a `spaced`
   * schedule as if each run took no time.
   *
   * @example
   * yield* scheduler.upcoming({ to: "2027-01-01T00:00:00Z" })
   */
  readonly upcoming: (
    range: UpcomingRange
  ) => Effect.Effect<ReadonlyArray<UpcomingOccurrence>, InvalidInput | TaskRepositoryError>

  /** The newest 1,000 Tasks of a function, by its bare name. */
  readonly findByFunction: (name: string) => Effect.Effect<ReadonlyArray<Task>, InvalidInput | TaskRepositoryError>

  /** How many may run at once, over all instances; and what Lambda has been seen to take. */
  readonly limits: LimitsApi & {
    /** What this instance has learned of Lambda's own limits, by function; under the empty name of the account. */
    readonly learned: Effect.Effect<Readonly<Record<string, LearnedLimit>>>
  }

  /** Pauses of functions, or of all of them. Of one schedule: `pauseSchedule`. */
  readonly pauses: PausesApi

  /** The circuit breakers, one for each function: they keep calls from what fails. */
  readonly breakers: BreakersApi

  /**
   * Cancels one Task. Once this has answered, no new invocation of it starts. One that runs is aborted here; on AWS
   * the function itself runs on. A cancelled occurrence does not end its schedule. Cancelling twice is fine.
   */
  readonly cancel: (id: TaskId) => Effect.Effect<CancelledTask, TaskNotFound | TaskFinished | TaskRepositoryError>

  /** Cancels every live Task and every active schedule of a function, by its bare name. */
  readonly cancelFunction: (name: string) => Effect.Effect<CancelledWork, TaskRepositoryError>

  /** Cancels every live Task and every active schedule that has this name. */
  readonly cancelNamed: (name: string) => Effect.Effect<CancelledWork, TaskRepositoryError>

  /**
   * Waits until a Task has ended and answers its result: parsed JSON, or decoded by the function's result Schema when
   * the function is given. An empty answer is `undefined`.
   *
   * @example
   * const greeting = yield* scheduler.awaitResult(task.id, hello)
   */
  readonly awaitResult: {
    (id: TaskId): Effect.Effect<unknown, AwaitError>
    <Payload, Result>(
      id: TaskId,
      fn: LambdaFunction<Payload, Result>
    ): Effect.Effect<Result, AwaitError>
  }

  /** Tasks that have failed for good: to look at, to repeat, to throw away. */
  readonly deadLetters: DeadLetters

  /** What happens to Tasks from the moment of subscribing on, whichever instance does it. */
  readonly events: Stream.Stream<TaskEvent>

  /** How many Tasks are due and not claimed by any instance, and since when the oldest of them is. */
  readonly backlog: Effect.Effect<Backlog, TaskRepositoryError>

  /** Succeeds while the dispatcher does its work: asks it for a tick and waits for that at most 2 seconds. */
  readonly ready: Effect.Effect<void, SchedulerNotReady>

  /** What operators want to know of the store: what it is, and whether its notifications get through. */
  readonly storeDetails: Effect.Effect<Readonly<Record<string, string>>>
}

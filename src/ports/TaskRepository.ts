/**
 * The store: Tasks, TaskSchedules, leases. One contract for every adapter (`test/ports/taskRepositoryContract.ts`).
 *
 * Time comes in as `now` where it decides what is due; leases are judged by the store's own clock.
 */
import { Context } from "effect"
import type { Effect, Option, Stream } from "effect"
import type { Backfill } from "../domain/Backfill.ts"
import type { InvalidInput, TaskRepositoryError } from "../domain/Errors.ts"
import type { BackfillId, InstanceId, TaskId, TaskScheduleId } from "../domain/Ids.ts"
import type {
  CancelledTask,
  FailedTask,
  FinishedTask,
  RedriveTask,
  RunningTask,
  ScheduledTask,
  SkippedTask,
  Task,
  TaskFailure,
  TaskStatus
} from "../domain/Task.ts"
import type { Settlement } from "../domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule, TaskScheduleStatus } from "../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"

/** An instance's right to run what it claimed. */
export interface Lease {
  readonly instanceId: InstanceId
  /** By the store's clock. `Infinity` in a store that no other process can see. */
  readonly expiresAt: EpochMillis
}

/** A lease that has just been opened or renewed, and what the store tells with it. */
export interface Heartbeat extends Lease {
  /** The store's clock, epoch milliseconds with a fraction, at an instant between the call and its answer. */
  readonly storeNow: number
  /** How many other instances have a living lease. */
  readonly others: number
  /** When the earliest lease of another instance ends, or has ended, that may have left something to be reaped. */
  readonly nextExpiry: EpochMillis | undefined
  /** Grows with every change of a control. */
  readonly controlsRevision: number
}

/**
 * What all instances go by: `cap` bounds how many run at once, `breaker` keeps calls from a function that fails, `pause`
 * has nothing start.
 */
export type ControlKind = "cap" | "breaker" | "pause"

export interface Control {
  readonly kind: ControlKind
  /** Of a function; empty for all of them. */
  readonly name: string
  /** JSON text with a version of its own. */
  readonly state: string
}

/** What an insert claims for its writer at once: everything claimable up to `until`. */
export interface ClaimOnInsert {
  readonly lease: Lease
  readonly until: EpochMillis
}

/** Makes an insert happen once, however often it is asked for. */
export interface IdempotencyKey {
  readonly key: string
  /** A digest of all that the caller asked for: the same key with another digest is a conflict. */
  readonly digest: string
}

/**
 * `Present`: a Task of this id, or made under this idempotency key, is already there, as it is now; nothing was changed.
 * `Conflict`: the key has been used for something else. `Gone`: it has been used for this, and retention has removed
 * what was made since.
 */
export type InsertVerdict =
  | { readonly _tag: "Inserted"; readonly task: ScheduledTask }
  | { readonly _tag: "Present"; readonly task: Task }
  | { readonly _tag: "Conflict" | "Gone"; readonly id: string }

/**
 * `Present`: what the first asking has made, as it is now; nothing was changed. `Gone`: retention has removed that
 * since. `NotFailed`: it is no dead letter.
 */
export type RedriveVerdict =
  | { readonly _tag: "Redriven"; readonly task: ScheduledTask }
  | { readonly _tag: "Present"; readonly task: Task }
  | { readonly _tag: "Gone"; readonly id: TaskId }
  | { readonly _tag: "NotFailed"; readonly status: Exclude<TaskStatus, "Failed"> }
  | { readonly _tag: "NotFound" }

/** The same of a schedule and its first occurrence. */
export type InsertScheduleVerdict =
  | { readonly _tag: "Inserted"; readonly schedule: TaskSchedule; readonly first: ScheduledTask }
  | { readonly _tag: "Present"; readonly schedule: TaskSchedule }
  | { readonly _tag: "Conflict" | "Gone"; readonly id: string }

export interface ClaimRequest {
  readonly lease: Lease
  readonly now: EpochMillis
  /** Milliseconds: also claims what becomes claimable within this time. */
  readonly ahead: Millis
  readonly limit: number
  /**
   * How many one-shots that are due for the first time may be marked as started by the claim itself, which knows nothing of
   * deadlines; default: none.
   */
  readonly start?: number | undefined
  /** Functions of which the claim marks none as started: something has to be asked for first; default: none. */
  readonly unstartable?: ReadonlyArray<string> | undefined
  /**
   * Functions that are passed over, so that others get their turn. Then the limit is shared evenly between the lanes that
   * are left, each a priority of a function, at least one of each, the highest priorities first.
   */
  readonly excludeFunctions: ReadonlyArray<string>
}

/** What is due of a function, and held by nobody, is to wait: its function is throttled, capped, or broken. */
export interface DeferRequest {
  readonly functionName: string
  readonly now: EpochMillis
  /** Until when the first of them waits ... */
  readonly from: EpochMillis
  /** ... and by how many milliseconds longer each further one. */
  readonly step: Millis
  readonly limit: number
}

/** What waits longer than it is due need not any more: the first of a function. */
export interface RecallRequest {
  readonly functionName: string
  readonly now: EpochMillis
  readonly limit: number
}

/**
 * A claimed Task as it waits for its start. A long payload may be left out: the start mark gives the whole Task.
 */
export type ClaimedTask = Omit<ScheduledTask, "payload"> & { readonly payload: string | undefined }

export interface Claimed {
  /** In the order in which they are due; those that are `Running` carry their start mark already. */
  readonly tasks: ReadonlyArray<ClaimedTask | RunningTask>
  /** When the earliest Task that is still unclaimed becomes claimable; `undefined` when there is none, or functions were excluded. */
  readonly nextAt: EpochMillis | undefined
}

export interface StartMark {
  readonly id: TaskId
  readonly token: number
  /** For an occurrence that is followed when it starts, is skipped or expires: stored with that. */
  readonly successor: Successor | undefined
  /** The Task as the claim gave it: spares the store reading it back. */
  readonly claimed?: ClaimedTask | undefined
  /** Names of the caps it runs under, the empty one for that of all functions: each must have room. Default: none. */
  readonly caps?: ReadonlyArray<string> | undefined
}

/** `next` is the successor, if it was stored; claimed by the writer if it becomes claimable soon enough. */
export type StartVerdict =
  | {
    readonly _tag: "Started"
    readonly task: RunningTask
    readonly next: ScheduledTask | undefined
    /** Milliseconds for which the mark waited for its turn before the store was asked; default: 0. */
    readonly waited?: Millis | undefined
    /** Other occurrences that were under way, and are cancelled for this one; default: none. */
    readonly cancelled?: ReadonlyArray<CancelledTask> | undefined
  }
  /** It has to wait, for its schedule's pause or for another occurrence, and is nobody's until then. */
  | { readonly _tag: "Waits"; readonly task: ScheduledTask; readonly next: ScheduledTask | undefined }
  | { readonly _tag: "Skipped"; readonly task: SkippedTask; readonly next: ScheduledTask | undefined }
  /** As many run as may, over all instances whose lease lives. The Task is still the caller's. */
  | { readonly _tag: "Capped"; readonly cap: string }
  /** The function, or all of them, are paused: nothing of them starts. The Task is still the caller's. */
  | { readonly _tag: "Paused" }
  /** It was too late: its deadline had passed at the instant of the mark. */
  | { readonly _tag: "Expired"; readonly task: FailedTask; readonly next: ScheduledTask | undefined }
  /** No longer ours: cancelled, taken over, edited; or the lease has ended. */
  | { readonly _tag: "Fenced" }

/** An attempt's end, with the successor of a `spaced` occurrence. */
export interface SettleRequest extends Settlement {
  readonly successor: Successor | undefined
  /** The Task as its start mark gave it: spares the store reading it back. */
  readonly running?: RunningTask | undefined
  /** Whether its schedule is to know: an occurrence may wait for this one, or failures are counted. Default: no. */
  readonly tells?: boolean | undefined
}

export type SettleVerdict =
  | {
    readonly _tag: "Accepted"
    readonly task: ScheduledTask | FinishedTask
    readonly next: ScheduledTask | undefined
    /** Whether another occurrence has waited for it, and may be claimed now; default: no. */
    readonly freed?: boolean | undefined
  }
  | { readonly _tag: "Fenced" }

/** What to cancel. A schedule is cancelled with its live occurrences, all at once. */
export type CancelTarget =
  | { readonly _tag: "Task"; readonly id: TaskId; readonly successor: Successor | undefined }
  /** `remove`: and nothing is left of it but its Tasks. */
  | { readonly _tag: "Schedule"; readonly id: TaskScheduleId; readonly remove?: boolean | undefined }
  | { readonly _tag: "Backfill"; readonly id: BackfillId }
  | { readonly _tag: "Function"; readonly name: string }
  | { readonly _tag: "Named"; readonly name: string }

export interface Cancelled {
  readonly tasks: ReadonlyArray<CancelledTask>
  readonly schedules: ReadonlyArray<TaskSchedule>
  /** The successor of a single cancelled occurrence, claimed by the writer, if it was stored. */
  readonly next: ScheduledTask | undefined
}

/** A schedule in a transaction that has locked it. */
export interface ScheduleFound {
  readonly schedule: TaskSchedule
  /** Occurrences by its rule that have not begun, in their order: the next one, and those that wait for their turn. */
  readonly waiting: ReadonlyArray<ScheduledTask>
}

/** What is to become of it. */
export interface ScheduleChange<A> {
  readonly answer: A
  /** The schedule as it is to be; absent: as it is. */
  readonly schedule?: TaskSchedule | undefined
  /** Some of those that were found waiting, as they are to be, owned by nobody and with a greater token. */
  readonly tasks?: ReadonlyArray<ScheduledTask> | undefined
  /** New Tasks of it. */
  readonly inserts?: ReadonlyArray<ScheduledTask> | undefined
  /** The idempotency key of the first of them. */
  readonly key?: IdempotencyKey | undefined
  readonly backfill?: Backfill | undefined
}

export interface ScheduleChanged<A> {
  readonly answer: A
  /** The Tasks that were changed as they are stored, claimed by the writer where they become claimable soon enough. */
  readonly tasks: ReadonlyArray<ScheduledTask>
  /** One each, in order. */
  readonly inserted: ReadonlyArray<InsertVerdict>
}

/** How many Tasks of a backfill are in which state. */
export type BackfillCounts = Readonly<Record<TaskStatus, number>>

export interface TaskFilter {
  readonly ids?: ReadonlyArray<TaskId> | undefined
  /** The bare name of the function. */
  readonly functionName?: string | undefined
  readonly name?: string | undefined
  readonly status?: ReadonlyArray<TaskStatus> | undefined
  readonly scheduleId?: TaskScheduleId | undefined
  /** What made it: `schedule`, `manual:<id>` or `backfill:<id>`. */
  readonly origin?: string | undefined
  /** All of these, with these values. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Due at or after, epoch milliseconds. */
  readonly dueFrom?: EpochMillis | undefined
  /** Due before, epoch milliseconds. */
  readonly dueBefore?: EpochMillis | undefined
  /** Finished at or after, epoch milliseconds. */
  readonly finishedFrom?: EpochMillis | undefined
  /** Finished before, epoch milliseconds. */
  readonly finishedBefore?: EpochMillis | undefined
  /** Failed for one of these reasons. */
  readonly failureReason?: ReadonlyArray<TaskFailure["reason"]> | undefined
  /** Failed, and redriven or not. */
  readonly redriven?: boolean | undefined
}

/** Which dead letters: Tasks that have `Failed`. */
export type DeadLetterFilter = Omit<TaskFilter, "status">

export interface TaskScheduleFilter {
  readonly functionName?: string | undefined
  readonly name?: string | undefined
  readonly status?: ReadonlyArray<TaskScheduleStatus> | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
}

export interface PageRequest {
  /** 1 to 1,000. */
  readonly limit: number
  /** Goes on after the page that gave this; opaque. */
  readonly cursor?: string | undefined
}

export interface Page<A> {
  /** Newest first: by id, descending (ids are UUIDs of version 7, which begin with their time). */
  readonly items: ReadonlyArray<A>
  /** Absent on the last page. */
  readonly cursor: string | undefined
}

/** What happened to a Task. */
export type TaskChangeKind =
  | "scheduled"
  | "started"
  | "succeeded"
  | "failed"
  | "retrying"
  | "cancelled"
  | "skipped"

export interface TaskChange {
  /** Grows by one with every change that this store learns of: a gap tells a reader that it missed some. */
  readonly sequence: number
  readonly kind: TaskChangeKind
  /** The Task right after the change; one that another instance has made may have gone further meanwhile. */
  readonly task: Task
}

export interface Changes {
  readonly changes: ReadonlyArray<TaskChange>
  /** Where to go on reading. */
  readonly last: number
  /** The store no longer has everything since `after`: what is missing must be read with `get`. */
  readonly truncated: boolean
}

export interface PruneRequest {
  readonly now: EpochMillis
  /** Milliseconds: what finished longer ago goes, unless it has failed. */
  readonly maxAge: Millis
  /** How many finished Tasks stay at the most, besides those that have failed. */
  readonly maxCount: number
  /** The same of dead letters. */
  readonly failedMaxAge: Millis
  readonly failedMaxCount: number
  /** How many to remove in one call. */
  readonly limit: number
}

export interface PurgeRequest {
  readonly filter: DeadLetterFilter
  readonly now: EpochMillis
  /** How many to remove in one call. */
  readonly limit: number
}

/** A Task as somebody holds it: a write under another token is refused. */
export interface Held {
  readonly id: TaskId
  readonly token: number
}

/** How much is due and waits to be claimed. */
export interface Backlog {
  readonly due: number
  readonly oldestDueAt: EpochMillis | undefined
}

/**
 * Something another instance has done that is worth a look now and not only at the next poll: there is work to claim, or
 * a Task has been cancelled. A hint may be lost or come for nothing.
 */
export type Hint =
  | { readonly _tag: "Work"; readonly claimableAt: EpochMillis }
  | { readonly _tag: "Cancelled"; readonly ids: ReadonlyArray<TaskId> }

/** What a dead owner left behind, or what an owner no longer knows of. */
export interface Reaped {
  /** Claims that are free again. */
  readonly released: number
  /** Running Tasks, owned by the caller now, to be settled as `unknown`. */
  readonly orphans: ReadonlyArray<RunningTask>
}

/** What `reap` has done. */
export interface Reaping extends Reaped {
  /** Leases that it found ended. What their owners' last transactions hold locked was passed over: look again soon. */
  readonly ended: number
}

/** A payload longer than this is not held while its Task waits: a shared store gives it back with the start mark. */
export const longestHeldPayload = 4_096

/** Backfills that one call lists at the most. */
export const mostBackfills = 1_000

/** Counting stops here: what is asked for is whether it grows, not the exact number of a great many. */
export const mostCounted = 100_000

type Io<A> = Effect.Effect<A, TaskRepositoryError>

export class TaskRepository extends Context.Tag("effect-lambda-scheduler/ports/TaskRepository")<TaskRepository, {
  /** Whether another process can see this store. If not, leases never end and nobody needs to renew them. */
  readonly shared: boolean

  /** One line for people, such as "memory (lost when this process ends)". */
  readonly description: string

  // Leases. A lease that has ended is never revived: `renewLease` fails with `LeaseLost`.

  readonly openLease: (instanceId: InstanceId, duration: Millis) => Io<Heartbeat>
  readonly renewLease: (lease: Lease, duration: Millis) => Io<Heartbeat>
  readonly closeLease: (lease: Lease) => Io<void>

  // Tasks

  /**
   * Stores Tasks; one verdict each, in order. Repeatable: an id that is there is `Present`.
   *
   * @param keys the idempotency key of each Task, in order, where it has one
   */
  readonly insert: (
    tasks: ReadonlyArray<ScheduledTask>,
    claim: ClaimOnInsert | undefined,
    keys?: ReadonlyArray<IdempotencyKey | undefined>
  ) => Io<ReadonlyArray<InsertVerdict>>

  /** Takes what is due, in order of `claimableAt`. No Task is given to two callers. */
  readonly claimDue: (request: ClaimRequest) => Io<Claimed>

  /**
   * Marks claimed Tasks as started, skips them by their schedule's overlap rule, or ends them where their deadline has
   * passed at `now`; one verdict each, in order.
   */
  readonly start: (lease: Lease, marks: ReadonlyArray<StartMark>, now: EpochMillis) => Io<ReadonlyArray<StartVerdict>>

  /** Ends attempts; one verdict each, in order. */
  readonly settle: (lease: Lease, settlements: ReadonlyArray<SettleRequest>) => Io<ReadonlyArray<SettleVerdict>>

  /** Gives claimed Tasks back that have not started; those that are no longer the caller's are passed over. */
  readonly release: (lease: Lease, tasks: ReadonlyArray<Held>, claimableAt: EpochMillis) => Io<void>

  /** Answers how many now wait. */
  readonly defer: (request: DeferRequest) => Io<number>

  /** Answers how many are claimable again. */
  readonly recall: (request: RecallRequest) => Io<number>

  /** Cancels what is live; once it has answered, no start mark is accepted any more for what it cancelled. */
  readonly cancel: (lease: Lease, target: CancelTarget, now: EpochMillis) => Io<Cancelled>

  /** Frees what owners without a living lease hold. */
  readonly reap: (lease: Lease, limit: number) => Io<Reaping>

  /** What the caller owns in the store but does not know of: a reply was lost, or it is still under way. */
  readonly forgotten: (lease: Lease, known: ReadonlySet<TaskId>) => Io<ReadonlyArray<Held>>

  /** Of these Tasks, those that have been cancelled. */
  readonly cancelledOf: (ids: ReadonlyArray<TaskId>) => Io<ReadonlyArray<TaskId>>

  /** Frees what the caller owns and has forgotten; a Task under another token is passed over. */
  readonly reconcile: (lease: Lease, forgotten: ReadonlyArray<Held>) => Io<Reaped>

  readonly get: (id: TaskId) => Io<Option.Option<Task>>

  /** Newest first, by id. A cursor that is not one of ours is `InvalidInput` with reason `CursorInvalid`. */
  readonly list: (
    filter: TaskFilter,
    page: PageRequest
  ) => Effect.Effect<Page<Task>, TaskRepositoryError | InvalidInput>

  /**
   * What changed after a sequence number; answers at once if anything did, and otherwise as soon as something does.
   *
   * @param after 0 for all that the store still knows; `"latest"` answers at once with no changes and the sequence number
   * to go on from
   */
  readonly changes: (after: number | "latest") => Io<Changes>

  /** What other instances have done; empty where nobody else can. */
  readonly hints: Stream.Stream<Hint>

  /** Whether hints are known to arrive; if not, others' work is found by looking only. */
  readonly hintsGetThrough: () => boolean

  /** How much is due and unclaimed at `now`; counted up to 100,000. */
  readonly backlog: (now: EpochMillis) => Io<Backlog>

  /** What operators want to know of the store as it is now, such as whether hints get through. */
  readonly details: Effect.Effect<Readonly<Record<string, string>>>

  /** Removes finished Tasks that are too old or too many, oldest first; answers how many. */
  readonly prune: (request: PruneRequest) => Io<number>

  // Controls

  readonly controls: Io<{ readonly revision: number; readonly controls: ReadonlyArray<Control> }>

  /**
   * Changes a control, one caller after the other.
   *
   * @param change from the state as it is, `undefined` if it has none, to an answer and the next state, if that is another
   */
  readonly changeControl: <A>(
    kind: ControlKind,
    name: string,
    change: (state: string | undefined) => { readonly answer: A; readonly state: string | undefined }
  ) => Io<A>
  // Dead letters: Tasks that have `Failed`

  /**
   * Stores Tasks that repeat dead letters, and marks these; one verdict each, in order. A dead letter is redriven once,
   * however often and by however many it is asked for.
   */
  readonly redrive: (
    tasks: ReadonlyArray<RedriveTask>,
    claim: ClaimOnInsert | undefined
  ) => Io<ReadonlyArray<RedriveVerdict>>

  /** Whether an instance's lease lives. */
  readonly isAlive: (instanceId: InstanceId) => Io<boolean>

  /** How many run under living leases: of a function or, under the empty name, of all. */
  readonly countRunning: (functionName: string) => Io<number>

  /** How many Tasks match; counted up to `mostCounted`. */
  readonly count: (filter: TaskFilter) => Io<number>

  /** Removes dead letters with their history; answers how many. */
  readonly purge: (request: PurgeRequest) => Io<number>

  // TaskSchedules

  /** Stores a schedule with its first occurrence, claimed as `insert` does. Repeatable by id. */
  readonly insertSchedule: (
    schedule: TaskSchedule,
    first: ScheduledTask,
    claim: ClaimOnInsert | undefined,
    key?: IdempotencyKey
  ) => Io<InsertScheduleVerdict>

  /**
   * Changes a schedule and what waits of it, in one transaction with nothing in between: a start mark comes before it,
   * or after.
   *
   * @param claim by whom changed and new Tasks are claimed
   * @param change decides; it may be asked again. `undefined`: there is no such schedule
   */
  readonly changeSchedule: <A>(
    id: TaskScheduleId,
    claim: ClaimOnInsert | undefined,
    change: (found: ScheduleFound | undefined) => ScheduleChange<A>
  ) => Io<ScheduleChanged<A>>

  readonly getSchedule: (id: TaskScheduleId) => Io<Option.Option<TaskSchedule>>

  /**
   * The latest occurrence by a schedule's rule up to an instant, of which there is a record.
   *
   * @param upTo epoch milliseconds, of the nominal instant
   */
  readonly latestOccurrence: (id: TaskScheduleId, upTo: EpochMillis) => Io<Option.Option<Task>>

  readonly getBackfill: (id: BackfillId) => Io<Option.Option<Backfill>>

  /** Of a schedule, newest first; at most 1,000. */
  readonly listBackfills: (id: TaskScheduleId) => Io<ReadonlyArray<Backfill>>

  /** How many of its Tasks are in which state; those that retention has removed are in none. */
  readonly countBackfill: (backfill: Backfill) => Io<BackfillCounts>

  readonly listSchedules: (
    filter: TaskScheduleFilter,
    page: PageRequest
  ) => Effect.Effect<Page<TaskSchedule>, TaskRepositoryError | InvalidInput>
}>() {}

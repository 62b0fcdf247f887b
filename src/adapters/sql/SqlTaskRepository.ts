/** The store on PostgreSQL: durable, shared by any number of instances, the same contract as in memory. */
import { PgClient } from "@effect/sql-pg/PgClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Context, Scope } from "effect"
import { Deferred, Duration, Effect, Layer, Schedule } from "effect"
import { randomUUID } from "node:crypto"
import type { InvalidInput } from "../../domain/Errors.ts"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import type { TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask, Task } from "../../domain/Task.ts"
import type { Successor, TaskSchedule } from "../../domain/TaskSchedule.ts"
import { monotonic } from "../../domain/Time.ts"
import { ChangeLog } from "../../ports/ChangeLog.ts"
import type { Cancelled, InsertScheduleVerdict, InsertVerdict } from "../../ports/TaskRepository.ts"
import { TaskRepository } from "../../ports/TaskRepository.ts"
import * as backfills from "./backfills.ts"
import { cancelWork } from "./cancelWork.ts"
import type { ChangeFeed } from "./ChangeFeed.ts"
import { makeChangeFeed } from "./ChangeFeed.ts"
import { changeSchedule } from "./changeSchedule.ts"
import { claimTasks } from "./claimTasks.ts"
import { changeControl, readControls } from "./controls.ts"
import type { Db, Run } from "./Db.ts"
import { asStoreError, makeDb, makeRunApart, onceMore } from "./Db.ts"
import { deferTasks, recallTasks } from "./deferTasks.ts"
import { makeGroupCommit } from "./GroupCommit.ts"
import { makeHints } from "./Hints.ts"
import type { InsertScheduleRequest } from "./insertSchedules.ts"
import { insertSchedules } from "./insertSchedules.ts"
import type { InsertRequest } from "./insertTasks.ts"
import { bytesOfTask, claimerOf, insertTasks } from "./insertTasks.ts"
import * as leases from "./leases.ts"
import { migrate } from "./migrate.ts"
import { pruneTasks, purgeTasks } from "./pruneTasks.ts"
import * as reading from "./reading.ts"
import type { RedriveRequest } from "./redriveTasks.ts"
import { redriveTasks } from "./redriveTasks.ts"
import { defaultSchema, parseSchema } from "./SchemaName.ts"
import type { SettlingRequest } from "./settleTasks.ts"
import { bytesOfEnd, settlesAlone, settleTasks } from "./settleTasks.ts"
import { isCapped, startCapped } from "./startCapped.ts"
import type { StartRequest } from "./startTasks.ts"
import { startsAlone, startTasks, tellingTheWait } from "./startTasks.ts"
import type { Store } from "./Store.ts"
import { columnsOf, tablesOf } from "./Store.ts"
import { cancelOne, settleWithSchedules, startWithSchedules } from "./workOn.ts"

export interface SqlTaskRepositoryOptions {
  /** The schema that holds the tables; made if it is not there. Default: `lambda_scheduler`. */
  readonly schema?: string | undefined
  /**
   * Starts also while the database is away or refuses: every call fails with the reason until it is there, and it is
   * tried again and again. Default: false, the Layer fails.
   */
  readonly waitForDatabase?: boolean | undefined
  /** Told of each group commit: which, and of how many requests. */
  readonly onGroupCommit?: ((lane: "insert" | "start" | "settle", rows: number) => void) | undefined
}

// One statement of 1,000 rows costs the database some 30 ms: more in one would only make all of them wait.
const maxRows = 1_000

const bytesOfSuccessor = (successor: Successor | undefined): number =>
  successor?.task === undefined ? 0 : bytesOfTask(successor.task)
/** Bytes in one statement. */
const maxBytes = 4 * 1024 * 1024
const maxWaiting = { rows: 20_000, bytes: 64 * 1024 * 1024 }

/** No instance: whose changes everybody reads. */
const nobody = "00000000-0000-0000-0000-000000000000"

/** Hints about work later than this are of no use: everybody polls before. */
const hintedAhead = 120_000

const make = (
  options: SqlTaskRepositoryOptions
): Effect.Effect<
  Context.Tag.Service<TaskRepository>,
  TaskRepositoryError | InvalidInput,
  PgClient | Scope.Scope
> =>
  Effect.gen(function*() {
    const schema = yield* parseSchema(options.schema ?? defaultSchema)
    const client = yield* PgClient
    const clock = yield* Effect.clock
    const opened = yield* openDb(makeDb(client, yield* makeRunApart(client)), schema, options.waitForDatabase ?? false)
    const db = opened.db
    const tables = tablesOf(schema)
    const boot = randomUUID()
    const log: ChangeLog = new ChangeLog(() => feed.isHeard())
    const store: Store = { db, schema, tables, columns: columnsOf(tables), boot, log, unreadable: new Set() }
    const feed: ChangeFeed = yield* makeChangeFeed(store)
    let others = 0
    const hints = yield* makeHints(client, db.run, `els_${schema}`.slice(0, 63), boot, () => others, feed.wake)

    // Group commits

    const group = <Request, Answer>(
      lane: "insert" | "start" | "settle",
      lanes: number,
      bytesOf: (request: Request) => number,
      commit: (
        requests: ReadonlyArray<Request>
      ) => Effect.Effect<ReadonlyArray<Answer>, SqlError | TaskRepositoryError>,
      gather?: Effect.Effect<void>
    ) =>
      makeGroupCommit<Request, Answer>({
        lanes,
        maxRows,
        maxBytes,
        maxWaiting,
        bytesOf,
        gather,
        commit: (requests) => asStoreError(commit(requests)),
        onCommit: (rows) => {
          hints.changed()
          options.onGroupCommit?.(lane, rows)
        }
      })

    /** Tells of a Task that has been stored, once that is committed. */
    const noteStored = (task: ScheduledTask) => {
      log.append("scheduled", task)
      if (task.owner === undefined && task.claimableAt <= task.createdAt + hintedAhead) hints.work(task.claimableAt)
    }
    const noteInserted = (verdicts: ReadonlyArray<InsertVerdict>) => {
      for (const verdict of verdicts) if (verdict._tag === "Inserted") noteStored(verdict.task)
      return verdicts
    }

    const bytesOfInsert = ({ task }: InsertRequest) => bytesOfTask(task)
    const insertUnkeyed = yield* group("insert", 2, bytesOfInsert, (requests) =>
      Effect.map(onceMore(insertTasks(store, db.run, requests)), noteInserted))
    // Keys and Tasks are stored together or not at all. Apart from the rest: a key that an open transaction has taken
    // holds up those who ask for it.
    const insertKeyed = yield* group("insert", 2, bytesOfInsert, (requests) =>
      Effect.map(
        db.transact((run) =>
          insertTasks(store, run, requests)
        ),
        noteInserted
      ))
    const groupOfSchedules = group(
      "insert",
      2,
      ({ first, schedule }: InsertScheduleRequest) =>
        bytesOfTask(schedule) + bytesOfTask(first),
      (requests) =>
        Effect.map(
          db.transact((run) => insertSchedules(store, run, requests)),
          (verdicts) => {
            for (const verdict of verdicts) if (verdict._tag === "Inserted") noteStored(verdict.first)
            return verdicts
          }
        )
    )
    const insertScheduleUnkeyed = yield* groupOfSchedules
    const insertScheduleKeyed = yield* groupOfSchedules
    const redriveGrouped = yield* group("insert", 2, ({ task }: RedriveRequest) =>
      bytesOfTask(task), (requests) =>
      Effect.map(
        db.transact((run) =>
          redriveTasks(store, run, requests)
        ),
        (verdicts) => {
          for (const verdict of verdicts) {
            if (verdict._tag === "Redriven") {
              noteStored(verdict.task)
            }
          }
          return verdicts
        }
      ))
    /** Where a caller's transaction writes: what it changes is told of by its commit, to this instance as well. */
    const joinedStore: Store = { ...store, boot: nobody }
    const startAlone = yield* group(
      "start",
      2,
      () =>
        100,
      tellingTheWait(clock, (requests) =>
        onceMore(startTasks(store, requests)))
    )
    // The fibers of schedules that are due at one instant wake by timers of their own, one after the other.
    const startFollowed = yield* group(
      "start",
      2,
      ({ mark }: StartRequest) => 100 + bytesOfSuccessor(mark.successor),
      tellingTheWait(clock, (requests) => startWithSchedules(store, requests)),
      Effect.sleep(Duration.zero)
    )
    const startUnderCaps = yield* group(
      "start",
      1,
      ({ mark }: StartRequest) => 100 + bytesOfSuccessor(mark.successor),
      tellingTheWait(clock, (requests) => startCapped(store, requests))
    )
    const settleAlone = yield* group("settle", 2, bytesOfEnd, (requests: ReadonlyArray<SettlingRequest>) =>
      onceMore(settleTasks(store, requests)))
    const settleFollowed = yield* group(
      "settle",
      1,
      (asked: SettlingRequest) =>
        bytesOfEnd(asked) + bytesOfSuccessor(asked.request.successor),
      (requests) =>
        settleWithSchedules(store, requests)
    )
    const schedulesOf = yield* makeGroupCommit<TaskScheduleId, reading.Found<TaskSchedule>>({
      lanes: 2,
      maxRows,
      maxBytes,
      maxWaiting,
      bytesOf: () =>
        16,
      commit: (ids) =>
        asStoreError(reading.getSchedules(store, ids))
    })

    /** Some requests one way and the others the other, answered in their order. */
    const split = <Request, Answer>(
      requests: ReadonlyArray<Request>,
      isAlone: (request: Request) => boolean,
      alone: (requests: ReadonlyArray<Request>) => Effect.Effect<ReadonlyArray<Answer>, TaskRepositoryError>,
      followed: (requests: ReadonlyArray<Request>) => Effect.Effect<ReadonlyArray<Answer>, TaskRepositoryError>
    ): Effect.Effect<ReadonlyArray<Answer>, TaskRepositoryError> => {
      if (requests.every(isAlone)) {
        return alone(requests)
      }
      if (!requests.some(isAlone)) {
        return followed(requests)
      }
      return Effect.zipWith(
        alone(requests.filter(isAlone)),
        followed(requests.filter((request) => !isAlone(request))),
        (first, second) => {
          let one = 0
          let other = 0
          return requests.map((request) => (isAlone(request) ? first[one++] : second[other++]) as Answer)
        }
      )
    }

    const noteHeartbeat = <A extends { readonly others: number }>(heartbeat: A): A => {
      others = heartbeat.others
      return heartbeat
    }

    /** In the caller's transaction: neither claimed nor coalesced, and told of with the commit. */
    const joining = <A>(
      join: (
        run: Run
      ) => Effect.Effect<
        { readonly value: A; readonly claimableAt: number | undefined },
        SqlError | TaskRepositoryError
      >,
      otherwise: Effect.Effect<A, TaskRepositoryError>
    ): Effect.Effect<A, TaskRepositoryError> =>
      db.inTransaction(
        (run) =>
          asStoreError(Effect.flatMap(join(run), ({ claimableAt, value }) =>
            claimableAt === undefined
              ? Effect.succeed(value)
              : Effect.as(Effect.ignore(hints.workIn(run, claimableAt)), value))),
        otherwise
      )

    const earliest = (tasks: ReadonlyArray<Task>) =>
      tasks.length === 0 ? undefined : Math.min(...tasks.map((task) => task.claimableAt))

    const noteCancelled = (cancelled: Cancelled): Cancelled => {
      if (cancelled.tasks.length > 0) {
        hints.cancelled(cancelled.tasks.map((task) => task.id))
      }
      hints.changed()
      return cancelled
    }

    return TaskRepository.of({
      shared: true,
      description: `PostgreSQL (schema ${schema})`,

      openLease: (instanceId, duration) =>
        asStoreError(Effect.map(leases.openLease(store, instanceId, duration), noteHeartbeat)),
      renewLease: (lease, duration) =>
        asStoreError(Effect.map(leases.renewLease(store, lease, duration), noteHeartbeat)),
      closeLease: (lease) => asStoreError(leases.closeLease(store, lease)),

      insert: (tasks, claim, keys) => {
        const requests = tasks.map((task, index): InsertRequest => ({
          task,
          claimer: claimerOf(task, claim),
          key: keys?.[index]
        }))
        return joining(
          (run) =>
            Effect.map(
              insertTasks(joinedStore, run, requests.map((request) => ({ ...request, claimer: undefined }))),
              (value) => ({ value, claimableAt: earliest(tasks) })
            ),
          requests.some(({ key }) => key !== undefined) ? insertKeyed(requests) : insertUnkeyed(requests)
        )
      },

      claimDue: (request) => claimTasks(store, request),

      start: (lease, marks, now) =>
        split(
          marks.map((mark): StartRequest => ({ owner: lease.instanceId, mark, now, askedAt: monotonic(clock) })),
          isCapped,
          startUnderCaps,
          (uncapped) => split(uncapped, startsAlone, startAlone, startFollowed)
        ).pipe(Effect.map((verdicts) => {
          for (const verdict of verdicts) {
            if (verdict._tag === "Started" && verdict.cancelled !== undefined) {
              hints.cancelled(verdict.cancelled.map(({ id }) => id))
            }
          }
          return verdicts
        })),

      settle: (lease, settlements) =>
        split(
          settlements.map((request): SettlingRequest => ({ owner: lease.instanceId, request })),
          settlesAlone,
          settleAlone,
          settleFollowed
        ),

      defer: (request) => asStoreError(deferTasks(store, request)),
      recall: (request) => asStoreError(recallTasks(store, request)),

      release: (lease, held, claimableAt) => asStoreError(leases.release(store, lease, held, claimableAt)),

      cancel: (lease, target, now) =>
        asStoreError(
          target._tag === "Task"
            ? Effect.map(
              cancelOne(store, target.id, target.successor, lease.instanceId, now),
              (done): Cancelled => ({
                tasks: done === undefined ? [] : [done.task],
                schedules: [],
                next: done?.next
              })
            )
            : cancelWork(store, target, now)
        ).pipe(Effect.map(noteCancelled)),

      reap: (lease, limit) => asStoreError(leases.reap(store, lease, Math.min(limit, 100_000))),
      cancelledOf: (ids) => asStoreError(reading.cancelledOf(store, ids)),
      forgotten: (lease, known) => asStoreError(leases.forgotten(store, lease, known)),
      reconcile: (lease, held) => asStoreError(leases.reconcile(store, lease, held)),

      get: (id) => asStoreError(reading.getTask(store, id)),
      list: (filter, page) => asStoreError(reading.listTasks(store, filter, page)),
      changes: feed.changes,
      hints: hints.stream,
      hintsGetThrough: hints.isOn,
      backlog: (now) => asStoreError(reading.backlog(store, now)),
      controls: asStoreError(readControls(store)),
      changeControl: (kind, name, change) => asStoreError(changeControl(store, kind, name, change)),
      details: Effect.sync(() => ({
        store: `PostgreSQL, schema ${schema}`,
        ...opened.problem(),
        notifications: hints.state()
      })),
      prune: (request) => asStoreError(pruneTasks(store, request)),

      redrive: (tasks, claim) => redriveGrouped(tasks.map((task) => ({ task, claimer: claimerOf(task, claim) }))),
      isAlive: (instanceId) => asStoreError(leases.isInstanceAlive(store, instanceId)),
      countRunning: (functionName) => asStoreError(reading.countRunning(store, functionName)),
      count: (filter) => asStoreError(reading.countTasks(store, filter)),
      purge: (request) => asStoreError(onceMore(purgeTasks(store, request))),

      insertSchedule: (schedule, first, claim, key) =>
        joining(
          (run) =>
            Effect.map(
              insertSchedules(joinedStore, run, [{ schedule, first, claimer: undefined, key }]),
              ([verdict]) => ({ value: verdict as InsertScheduleVerdict, claimableAt: first.claimableAt })
            ),
          Effect.map(
            (key === undefined ? insertScheduleUnkeyed : insertScheduleKeyed)([
              { schedule, first, claimer: claimerOf(first, claim), key }
            ]),
            ([verdict]) => verdict as InsertScheduleVerdict
          )
        ),

      changeSchedule: (id, claim, change) =>
        Effect.map(asStoreError(changeSchedule(store, id, claim, change)), ({ told, ...changed }) => {
          for (const task of told) {
            noteStored(task)
          }
          hints.changed()
          return changed
        }),

      latestOccurrence: (id, upTo) => asStoreError(reading.latestOccurrence(store, id, upTo)),
      getBackfill: (id) => asStoreError(backfills.getBackfill(store, id)),
      listBackfills: (id) => asStoreError(backfills.listBackfills(store, id)),
      countBackfill: (backfill) => asStoreError(backfills.countBackfill(store, backfill)),

      getSchedule: (id) => Effect.flatMap(schedulesOf([id]), ([found]) => found ?? Effect.succeedNone),

      listSchedules: (filter, page) => asStoreError(reading.listSchedules(store, filter, page))
    })
  })

/** How long to wait between two tries to open a store whose database is away. */
const untilThere = Schedule.exponential("250 millis", 2).pipe(
  Schedule.union(Schedule.spaced("10 seconds")),
  Schedule.jittered
)

/** A database that is there and has the store in it; or one that fails every call with the reason until it is. */
const openDb = (
  db: Db,
  schema: string,
  waits: boolean
): Effect.Effect<
  { readonly db: Db; readonly problem: () => Readonly<Record<string, string>> },
  TaskRepositoryError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const migrated = Effect.tap(migrate(db, schema), (applied) =>
      applied.length === 0
        ? Effect.void
        : Effect.logInfo(`The store in schema ${schema} is now of version ${applied[applied.length - 1]}`))
    if (!waits) {
      yield* migrated
      return { db, problem: () => ({}) }
    }
    let problem: TaskRepositoryError | undefined = new TaskRepositoryError({
      reason: "Unavailable",
      message: "The database has not been reached yet"
    })
    const firstTry = yield* Deferred.make<void>()
    const open = migrated.pipe(
      Effect.matchEffect({
        onSuccess: () =>
          Effect.sync(() => {
            problem = undefined
          }),
        onFailure: (error) =>
          Effect.suspend(() => {
            const isNews = problem?.message !== error.message
            problem = error
            const told = isNews ? Effect.logError("The store cannot be opened; trying again", error) : Effect.void
            return Effect.zipRight(told, Effect.fail(error))
          })
      }),
      // Whoever waits finds the problem there, or gone.
      Effect.ensuring(Deferred.succeed(firstTry, undefined)),
      Effect.retry(untilThere)
    )
    yield* Effect.forkScoped(Effect.interruptible(open))
    // Mostly it is there: who comes next need not see a failure first.
    yield* Deferred.await(firstTry)
    const orProblem = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => problem === undefined ? effect : Effect.fail(problem as never))
    return {
      db: {
        run: (text, params) => orProblem(db.run(text, params)),
        runApart: (text, params) => orProblem(db.runApart(text, params)),
        transact: (body) => orProblem(db.transact(body)),
        inTransaction: db.inTransaction
      },
      problem: (): Readonly<Record<string, string>> => problem === undefined ? {} : { problem: problem.message }
    }
  })

export class SqlTaskRepository {
  /**
   * With the default schema. Needs a `PgClient`: the application's own, whose transactions `schedule` then joins, or
   * `PgConnections.layer`.
   *
   * @example
   * LambdaScheduler.layer.pipe(
   *   Layer.provide(Layer.merge(SqlTaskRepository.layer, AwsLambdaClient.layer)),
   *   Layer.provide(PgConnections.layer({ url: Redacted.make("postgres://...") }))
   * )
   */
  static readonly layer: Layer.Layer<TaskRepository, TaskRepositoryError | InvalidInput, PgClient> = Layer.scoped(
    TaskRepository,
    make({})
  )

  /**
   * With some settings changed.
   *
   * @example
   * SqlTaskRepository.layerOptions({ schema: "payroll_jobs" })
   */
  static readonly layerOptions = (
    options: SqlTaskRepositoryOptions
  ): Layer.Layer<TaskRepository, TaskRepositoryError | InvalidInput, PgClient> =>
    Layer.scoped(TaskRepository, make(options))
}

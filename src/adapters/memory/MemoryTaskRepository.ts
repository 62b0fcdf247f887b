/** The store in this process's memory: everything is lost when the process ends. */
import type { Context } from "effect"
import { Effect, Layer, Option, Ref, Stream } from "effect"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import { TaskRepository } from "../../ports/TaskRepository.ts"
import * as backfills from "./backfills.ts"
import { forgotten, isInstanceAlive } from "./leases.ts"
import { MemoryStore } from "./MemoryStore.ts"
import * as reading from "./reading.ts"

const make: Effect.Effect<Context.Tag.Service<TaskRepository>> = Effect.gen(function*() {
  const ref = yield* Ref.make(new MemoryStore())
  const transact = <A>(change: (store: MemoryStore) => A): Effect.Effect<A> =>
    Ref.modify(ref, (store) => [change(store), store])
  // The store's own clock, as a database has one.
  const clock = yield* Effect.clock
  const transactAt = <A>(change: (store: MemoryStore, now: number) => A): Effect.Effect<A> =>
    transact((store) => change(store, clock.unsafeCurrentTimeMillis()))

  return TaskRepository.of({
    shared: false,
    description: "memory (lost when this process ends)",

    openLease: (instanceId, duration) => transactAt((store, now) => store.openLease(instanceId, duration, now)),

    renewLease: (lease, duration) =>
      Effect.flatMap(
        transactAt((store, now) => store.renewLease(lease, duration, now)),
        (renewed) =>
          renewed === undefined
            ? Effect.fail(
              new TaskRepositoryError({
                reason: "LeaseLost",
                message: `The lease of instance ${lease.instanceId} has ended; open one with a new instance id.`
              })
            )
            : Effect.succeed(renewed)
      ),

    closeLease: (lease) => transact((store) => store.closeLease(lease)),
    isAlive: (instanceId) => transactAt((store, now) => isInstanceAlive(store, instanceId, now)),
    reap: (lease, limit) => transactAt((store, now) => store.reap(lease, limit, now)),
    forgotten: (lease, known) => transact((store) => forgotten(store, lease, known)),
    reconcile: (lease, forgotten) => transact((store) => store.reconcile(lease, forgotten)),
    release: (lease, tasks, claimableAt) => transact((store) => store.release(lease, tasks, claimableAt)),

    insert: (tasks, claim, keys) =>
      transact((store) => tasks.map((task, index) => store.insert(task, claim, keys?.[index]))),
    claimDue: (request) => transactAt((store, now) => store.claimDue(request, now)),
    start: (lease, marks, now) => transactAt((store, storeNow) => store.start(lease, marks, now, storeNow)),
    settle: (lease, settlements) => transact((store) => store.settle(lease, settlements)),
    defer: (request) => transact((store) => store.defer(request)),
    recall: (request) => transact((store) => store.recall(request)),
    cancel: (lease, target, now) => transact((store) => store.cancel(lease, target, now)),
    redrive: (tasks, claim) => transact((store) => store.redrive(tasks, claim)),
    prune: (request) => transact((store) => store.prune(request)),
    purge: (request) => transact((store) => store.purge(request)),

    controls: transact((store) => ({ revision: store.controls.revision, controls: store.controls.all() })),
    changeControl: (kind, name, change) => transact((store) => store.controls.change(kind, name, change)),

    get: (id) => transact((store) => Option.fromNullable(store.tasks.get(id))),

    list: (filter, page) =>
      Effect.flatMap(
        reading.parseTaskCursor(page),
        (below) => transact((store) => reading.listTasks(store, filter, page.limit, below))
      ),

    count: (filter) => transact((store) => reading.countTasks(store, filter)),
    countRunning: (functionName) => transactAt((store, now) => reading.countRunning(store, functionName, now)),
    cancelledOf: (ids) => transact((store) => reading.cancelledOf(store, ids)),
    backlog: (now) => transact((store) => reading.backlog(store, now)),

    changes: (after) => Effect.flatMap(Ref.get(ref), (store) => store.changes.read(after)),
    hints: Stream.never,
    hintsGetThrough: () => true,
    details: Effect.succeed({ store: "memory" }),

    insertSchedule: (schedule, first, claim, key) =>
      transact((store) => store.insertSchedule(schedule, first, claim, key)),

    changeSchedule: (id, claim, change) => transact((store) => store.changeSchedule(id, claim, change)),
    getSchedule: (id) => transact((store) => Option.fromNullable(store.schedules.get(id)?.schedule)),

    listSchedules: (filter, page) =>
      Effect.flatMap(
        reading.parseScheduleCursor(page),
        (below) => transact((store) => reading.listSchedules(store, filter, page.limit, below))
      ),

    latestOccurrence: (id, upTo) => transact((store) => Option.fromNullable(reading.latestOccurrence(store, id, upTo))),

    getBackfill: (id) => transact((store) => Option.fromNullable(store.backfills.get(id))),
    listBackfills: (id) => transact((store) => backfills.listBackfills(store, id)),
    countBackfill: (backfill) => transact((store) => backfills.countBackfill(store, backfill))
  })
})

export const MemoryTaskRepository: {
  /**
   * A new, empty store. For tests, demos and work that may be lost with the process.
   *
   * @example
   * LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, LocalLambdaClient.layer)))
   */
  readonly layer: Layer.Layer<TaskRepository>
} = { layer: Layer.effect(TaskRepository, make) }

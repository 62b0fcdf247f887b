/** The store in this process's memory: everything is lost when the process ends. */
import type { Context } from "effect"
import { Effect, Layer, Option, Ref, Schema, Stream } from "effect"
import { InvalidInput, TaskRepositoryError } from "../../domain/Errors.ts"
import type { InstanceId } from "../../domain/Ids.ts"
import { TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { Task } from "../../domain/Task.ts"
import { isFinished } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { shown } from "../../domain/Time.ts"
import type { PageRequest, TaskFilter, TaskScheduleFilter } from "../../ports/TaskRepository.ts"
import { mostBackfills, TaskRepository } from "../../ports/TaskRepository.ts"
import { MemoryStore } from "./MemoryStore.ts"

const hasTags = (
  subject: { readonly tags: Readonly<Record<string, string>> },
  tags: Readonly<Record<string, string>> | undefined
): boolean =>
  tags === undefined ||
  Object.keys(tags).every((key) => Object.hasOwn(subject.tags, key) && subject.tags[key] === tags[key])

const failureMatches = ({ failureReason, redriven }: TaskFilter, task: Task): boolean =>
  (failureReason === undefined && redriven === undefined) ||
  (task.status === "Failed" &&
    (failureReason === undefined || failureReason.includes(task.failure.reason)) &&
    (redriven === undefined || redriven === (task.redrivenAs !== undefined)))

const finishedAt = (task: Task): EpochMillis => isFinished(task) ? task.finishedAt : NaN

const taskMatches = (filter: TaskFilter) => (task: Task): boolean =>
  (filter.ids === undefined || filter.ids.includes(task.id)) &&
  (filter.scheduleId === undefined || task.scheduleId === filter.scheduleId) &&
  (filter.origin === undefined || task.origin === filter.origin) &&
  (filter.name === undefined || task.name === filter.name) &&
  (filter.functionName === undefined || task.function.name === filter.functionName) &&
  (filter.status === undefined || filter.status.includes(task.status)) &&
  (filter.dueFrom === undefined || task.dueAt >= filter.dueFrom) &&
  (filter.dueBefore === undefined || task.dueAt < filter.dueBefore) &&
  (filter.finishedFrom === undefined || finishedAt(task) >= filter.finishedFrom) &&
  (filter.finishedBefore === undefined || finishedAt(task) < filter.finishedBefore) &&
  failureMatches(filter, task) &&
  hasTags(task, filter.tags)

const scheduleMatches = (filter: TaskScheduleFilter) => (schedule: TaskSchedule): boolean =>
  (filter.name === undefined || schedule.name === filter.name) &&
  (filter.functionName === undefined || schedule.function.name === filter.functionName) &&
  (filter.status === undefined || filter.status.includes(schedule.status)) &&
  hasTags(schedule, filter.tags)

const parseCursor = <Id extends string>(
  page: PageRequest,
  isId: (cursor: unknown) => cursor is Id
): Effect.Effect<Id | undefined, InvalidInput> =>
  page.cursor === undefined || isId(page.cursor)
    ? Effect.succeed(page.cursor)
    : Effect.fail(
      new InvalidInput({
        reason: "CursorInvalid",
        field: "cursor",
        message: `cursor: expected one that a page before has given, got ${shown(page.cursor)}`
      })
    )

const isTaskId = Schema.is(TaskId)
const isTaskScheduleId = Schema.is(TaskScheduleId)

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

    openLease: (instanceId, duration) => transactAt((store, now) => store.openLease(instanceId, now + duration, now)),

    renewLease: (lease, duration) =>
      Effect.flatMap(
        transactAt((store, now) => store.renewLease(lease, now + duration, now)),
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

    insert: (tasks, claim, keys) =>
      transact((store) => tasks.map((task, index) => store.insert(task, claim, keys?.[index]))),

    claimDue: (request) =>
      transactAt((store, now) =>
        store.isLeaseAlive(request.lease.instanceId, now)
          ? store.claimDue(request)
          : { tasks: [], nextAt: undefined }
      ),

    start: (lease, marks, now) =>
      transactAt((store, storeNow) =>
        store.isLeaseAlive(lease.instanceId, storeNow)
          ? marks.map((mark) => store.start(lease, mark, now, storeNow))
          : marks.map(() => ({ _tag: "Fenced" as const }))
      ),

    settle: (lease, settlements) =>
      transact((store) => settlements.map((settlement) => store.settle(lease, settlement))),

    controls: transact((store) => ({ revision: store.controls.revision, controls: store.controls.all() })),
    changeControl: (kind, name, change) => transact((store) => store.controls.change(kind, name, change)),

    defer: (request) => transact((store) => store.defer(request)),
    recall: (request) => transact((store) => store.recall(request)),

    release: (lease, tasks, claimableAt) =>
      transact((store) => tasks.forEach(({ id, token }) => store.release(lease, id, token, claimableAt))),

    cancel: (lease, target, now) => transact((store) => store.cancel(lease, target, now)),

    reap: (lease, limit) =>
      transactAt((store, now) => {
        const ended = store.removeEndedLeases(now)
        const reaped = store.takeOver(lease.instanceId, (_, owner) => !store.isLeaseAlive(owner, now), limit)
        return { ...reaped, ended }
      }),

    cancelledOf: (ids) => transact((store) => store.cancelledOf(ids)),

    forgotten: (lease, known) => transact((store) => store.forgotten(lease.instanceId, known)),

    reconcile: (lease, forgotten) =>
      transact((store) => {
        const tokens = new Map(forgotten.map(({ id, token }) => [id, token]))
        const isForgotten = (task: Task, owner: InstanceId) =>
          owner === lease.instanceId && tokens.get(task.id) === task.token
        return store.takeOver(lease.instanceId, isForgotten, Infinity)
      }),

    get: (id) => transact((store) => Option.fromNullable(store.tasks.get(id))),

    list: (filter, page) =>
      Effect.flatMap(
        parseCursor(page, isTaskId),
        (below) => transact((store) => store.tasks.page(below, page.limit, taskMatches(filter)))
      ),

    changes: (after) => Effect.flatMap(Ref.get(ref), (store) => store.changes.read(after)),

    hints: Stream.never,

    hintsGetThrough: () => true,

    backlog: (now) => transact((store) => store.backlog(now)),

    details: Effect.succeed({ store: "memory" }),

    prune: (request) => transact((store) => store.prune(request)),

    redrive: (tasks, claim) => transact((store) => tasks.map((task) => store.redrive(task, claim))),

    isAlive: (instanceId) => transactAt((store, now) => store.isLeaseAlive(instanceId, now)),
    countRunning: (functionName) => transactAt((store, now) => store.runningUnder(functionName, now)),

    count: (filter) => transact((store) => store.count(filter.status, taskMatches(filter))),

    purge: ({ filter, limit, now }) =>
      transact((store) => store.purge(taskMatches({ ...filter, status: ["Failed"] }), now, limit)),

    insertSchedule: (schedule, first, claim, key) =>
      transact((store) => store.insertSchedule(schedule, first, claim, key)),

    getSchedule: (id) => transact((store) => Option.fromNullable(store.schedules.get(id)?.schedule)),

    changeSchedule: (id, claim, change) => transact((store) => store.changeSchedule(id, claim, change)),

    latestOccurrence: (id, upTo) => transact((store) => Option.fromNullable(store.latestOccurrence(id, upTo))),

    getBackfill: (id) => transact((store) => Option.fromNullable(store.backfills.get(id))),

    listBackfills: (id) =>
      transact((store) =>
        [...store.backfills.values()].filter(({ scheduleId }) => scheduleId === id)
          .sort((left, right) => left.id < right.id ? 1 : -1).slice(0, mostBackfills)
      ),

    countBackfill: (backfill) => transact((store) => store.countBackfill(backfill)),

    listSchedules: (filter, page) =>
      Effect.flatMap(parseCursor(page, isTaskScheduleId), (below) =>
        transact((store) => {
          const matches = scheduleMatches(filter)
          const found = store.schedules.page(below, page.limit, (entry) => matches(entry.schedule))
          return { items: found.items.map((entry) => entry.schedule), cursor: found.cursor }
        }))
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

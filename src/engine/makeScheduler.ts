/** Puts the parts of the engine together behind the public service. */
import type { Scope } from "effect"
import { Effect, Either, Option, ParseResult, Schema } from "effect"
import type { InvalidInput, TaskRepositoryError } from "../domain/Errors.ts"
import {
  ResultInvalid,
  SchedulerClosed,
  TaskFinished,
  TaskNotFound,
  TaskNotSucceeded,
  TaskScheduleNotFound
} from "../domain/Errors.ts"
import type { TaskId, TaskScheduleId } from "../domain/Ids.ts"
import { InstanceId } from "../domain/Ids.ts"
import type { AnyLambdaFunction } from "../domain/LambdaFunction.ts"
import type { CancelledTask, FinishedTask, FunctionTarget, ScheduledTask, SucceededTask } from "../domain/Task.ts"
import { isFinished } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { occurrence } from "../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import { parseDuration } from "../domain/Time.ts"
import * as Trigger from "../domain/Trigger.ts"
import { LambdaClient } from "../ports/LambdaClient.ts"
import type { Cancelled, CancelTarget, Lease } from "../ports/TaskRepository.ts"
import { TaskRepository } from "../ports/TaskRepository.ts"
import { makeDeployments } from "./Deployments.ts"
import { makeDispatcher } from "./Dispatcher.ts"
import { EngineConfig } from "./EngineConfig.ts"
import { makeIds } from "./Ids.ts"
import { makeNearFuture } from "./NearFuture.ts"
import { makePruner } from "./Pruner.ts"
import { makeRecord } from "./Recorder.ts"
import { makeScheduleDrivers } from "./ScheduleDrivers.ts"
import type { RepeatOptions, ScheduleError, SchedulerApi } from "./SchedulerApi.ts"
import { makePlanSuccessor } from "./Successors.ts"
import { makeTaskEvents } from "./TaskEvents.ts"
import { makeTaskRunner } from "./TaskRunner.ts"
import type { Work } from "./WorkRequest.ts"
import { parseLimit, parseMaxRuns, parseWork } from "./WorkRequest.ts"

/** How long a shutdown waits for interrupted runs, once its grace is over. */
const interruptWithin = "5 seconds"

export const makeScheduler: Effect.Effect<
  SchedulerApi,
  TaskRepositoryError,
  TaskRepository | LambdaClient | Scope.Scope
> = Effect.gen(function*() {
  const repository = yield* TaskRepository
  const client = yield* LambdaClient
  const config = yield* EngineConfig
  // Taken once, so that all parts of one engine go by the same clock and the same chance.
  const clock = yield* Effect.clock
  const random = yield* Effect.random
  const ids = yield* makeIds(clock)
  let closed = false

  const lease: Lease = yield* repository.openLease(
    InstanceId.make(yield* ids.next),
    repository.shared ? config.leaseDuration : Infinity
  )
  const deployments = yield* makeDeployments(client)
  const events = yield* makeTaskEvents(repository, config.eventBuffer)
  const pruner = yield* makePruner(repository, config, clock)
  const planSuccessor = makePlanSuccessor(repository, ids.next)

  const run = makeTaskRunner({
    repository,
    client,
    config,
    clock,
    random,
    lease,
    planSuccessor,
    record: makeRecord(repository, lease),
    // Given back by a shutdown; refused by the store if it was a cancel.
    onNotStarted: (task) => nearFuture.offer(task),
    onStart: ({ next, task }) => {
      if (task.status === "Skipped") pruner.noteFinished()
      drivers.followed("start", task, next)
    },
    onSettled: ({ next, task }) => {
      if (isFinished(task)) {
        pruner.noteFinished()
        drivers.followed("end", task, next)
      } else if (task.owner === undefined) dispatcher.consider(task.claimableAt)
      else nearFuture.offer(task)
    }
  })
  const nearFuture = yield* makeNearFuture(config, clock, run, () => dispatcher.noteRoom())
  const drivers = yield* makeScheduleDrivers(clock, config.longestSleep, nearFuture.offer)
  const dispatcher = yield* makeDispatcher({
    repository,
    config,
    clock,
    lease,
    room: nearFuture.room,
    slots: nearFuture.slots,
    handOn: nearFuture.offer
  })
  // As long as this scope is open the process has work to do, even if nothing is due.
  yield* Effect.forkScoped(Effect.never)
  // Registered last, so it comes first when the scope closes.
  yield* Effect.addFinalizer(() => shutdown)

  /** Once more at the end: retries and occurrences come of what still runs. */
  const handBack = Effect.flatMap(
    nearFuture.takeUnstarted,
    (unstarted) => repository.release(lease, unstarted, clock.unsafeCurrentTimeMillis())
  ).pipe(Effect.catchAll((error) => Effect.logWarning("Could not hand claims back; their lease will end", error)))

  const shutdown = Effect.gen(function*() {
    closed = true
    yield* nearFuture.close
    yield* drivers.stopAll
    yield* handBack
    // A finalizer cannot be interrupted, hence neither what it waits for, unless it says so.
    yield* nearFuture.drained.pipe(Effect.interruptible, Effect.timeoutOption(config.shutdownGrace))
    const ended = yield* nearFuture.interruptAll.pipe(Effect.interruptible, Effect.timeoutOption(interruptWithin))
    if (Option.isNone(ended)) {
      yield* Effect.logWarning(`${nearFuture.running()} runs could not be interrupted within ${interruptWithin}`)
    }
    yield* handBack
    yield* repository.closeLease(lease)
  }).pipe(Effect.catchAll((error) => Effect.logWarning("Could not close the lease; it will end", error)))

  // Scheduling

  const whileOpen = <A, E>(work: () => Effect.Effect<A, E>): Effect.Effect<A, E | SchedulerClosed> =>
    Effect.suspend((): Effect.Effect<A, E | SchedulerClosed> => closed ? new SchedulerClosed() : work())

  /** A caller that gives up must not part the store, which has a Task, from the engine, which is to run it. */
  const whole = Effect.uninterruptible

  const storeTask = (work: Work, target: FunctionTarget, dueAt: EpochMillis, now: EpochMillis) =>
    Effect.flatMap(ids.next, (id) => {
      const task: ScheduledTask = {
        status: "Scheduled",
        id: id as TaskId,
        name: work.name,
        function: target,
        payload: work.payload,
        tags: work.tags,
        retry: work.retry,
        scheduleId: undefined,
        origin: undefined,
        createdAt: now,
        nominalAt: dueAt,
        dueAt,
        claimableAt: dueAt,
        owner: undefined,
        token: 0,
        attempts: []
      }
      const claim = nearFuture.room() > 0 && !dispatcher.isBehind() ? { lease, until: now + config.horizon } : undefined
      return whole(Effect.map(repository.insert([task], claim), (verdicts) => {
        const stored = verdicts[0]?.task as ScheduledTask
        if (stored.owner === undefined) dispatcher.consider(stored.claimableAt)
        else nearFuture.offer(stored)
        return stored
      }))
    })

  const schedule: SchedulerApi["schedule"] = (fn, options) =>
    whileOpen((): Effect.Effect<ScheduledTask, ScheduleError> => {
      const trigger = options?.trigger ?? Trigger.now
      const asked = Trigger.dueAt(trigger, clock.unsafeCurrentTimeMillis())
      if (Either.isLeft(asked)) return Effect.fail(asked.left)
      const work = parseWork(fn, options, config.retry)
      if (Either.isLeft(work)) return Effect.fail(work.left)
      return Effect.flatMap(deployments.ensure(fn), (target): Effect.Effect<ScheduledTask, ScheduleError> => {
        // A deployment can take a while: "after" counts from when the Task is stored, if it still may be.
        if (closed) return new SchedulerClosed()
        const now = clock.unsafeCurrentTimeMillis()
        return Effect.flatMap(Trigger.dueAt(trigger, now), (dueAt) => storeTask(work.right, target, dueAt, now))
      })
    })

  const parseRepeat = (
    fn: AnyLambdaFunction,
    options: RepeatOptions
  ): Effect.Effect<
    { readonly work: Work; readonly maxRuns: number | undefined; readonly delay: Millis },
    InvalidInput
  > =>
    Effect.gen(function*() {
      yield* Trigger.recurrence(options.trigger, 0, config.minimumInterval)
      return {
        work: yield* parseWork(fn, options, config.retry),
        maxRuns: yield* parseMaxRuns(options.maxRuns),
        delay: options.initialDelay === undefined ? 0 : yield* parseDuration(options.initialDelay, "initialDelay")
      }
    })

  const repeat: SchedulerApi["repeat"] = (fn, options) =>
    whileOpen(() =>
      Effect.gen(function*() {
        const { delay, maxRuns, work } = yield* parseRepeat(fn, options)
        const target = yield* deployments.ensure(fn)
        const now = clock.unsafeCurrentTimeMillis()
        const due = now + delay
        const planned: TaskSchedule = {
          ...work,
          id: (yield* ids.next) as TaskScheduleId,
          function: target,
          recurrence: yield* Trigger.recurrence(options.trigger, due, config.minimumInterval),
          maxRuns,
          createdAt: now,
          status: "Active",
          revision: 1,
          cursor: due,
          runs: 0,
          missed: 0
        }
        const first = occurrence(planned, (yield* ids.next) as TaskId, due, now)
        return yield* whole(whileOpen(() =>
          Effect.map(repository.insertSchedule(planned, first, { lease, until: Infinity }), (stored) => {
            if (stored.first._tag === "Inserted") drivers.start(planned.id, planned.recurrence, stored.first.task)
            return stored.schedule
          })
        ))
      })
    )

  // Cancelling

  /** Once the store has cancelled, the runs are interrupted as well, even if the caller is. */
  const cancelIn = (target: CancelTarget): Effect.Effect<Cancelled, TaskRepositoryError> =>
    whole(
      Effect.tap(repository.cancel(lease, target, clock.unsafeCurrentTimeMillis()), (cancelled) =>
        Effect.gen(function*() {
          for (const { id } of cancelled.schedules) {
            yield* drivers.stop(id)
          }
          for (const _ of cancelled.tasks) {
            pruner.noteFinished()
          }
          yield* nearFuture.interrupt(cancelled.tasks.map((task) =>
            task.id
          ))
        }))
    )

  /** A cancelled occurrence does not end its schedule, unless it was its last. */
  const passOver = (cancelled: CancelledTask | undefined, next: ScheduledTask | undefined) =>
    Effect.gen(function*() {
      const id = cancelled?.scheduleId
      if (id === undefined) return
      if (next !== undefined) return drivers.aim(id, next)
      const rule = Option.getOrUndefined(yield* repository.getSchedule(id))
      if (rule?.status !== "Active") yield* drivers.stop(id)
    })

  const cancel: SchedulerApi["cancel"] = Effect.fn("LambdaScheduler.cancel")(function*(id) {
    const task = Option.getOrUndefined(yield* repository.get(id))
    if (task === undefined) return yield* new TaskNotFound({ id })
    const successor = isFinished(task)
      ? undefined
      : yield* planSuccessor(task, "cancel", clock.unsafeCurrentTimeMillis())
    const { tasks: [cancelled] } = yield* whole(
      Effect.tap(cancelIn({ _tag: "Task", id, successor }), ({ next, tasks }) => passOver(tasks[0], next))
    )
    if (cancelled !== undefined) return cancelled
    const finished = Option.getOrUndefined(yield* repository.get(id))
    if (finished === undefined) return yield* new TaskNotFound({ id })
    return finished.status === "Cancelled"
      ? finished
      : yield* new TaskFinished({ id, status: (finished as Exclude<FinishedTask, CancelledTask>).status })
  })

  const getSchedule: SchedulerApi["getSchedule"] = (id) =>
    Effect.flatMap(
      repository.getSchedule(id),
      Option.match({ onNone: () => new TaskScheduleNotFound({ id }), onSome: Effect.succeed })
    )

  // Looking

  const awaitResult = (id: TaskId, fn?: AnyLambdaFunction) =>
    Effect.flatMap(events.awaitFinished(id), (task): Effect.Effect<unknown, ResultInvalid | TaskNotSucceeded> => {
      switch (task.status) {
        case "Succeeded":
          return decodeResult(task, fn)
        case "Failed":
          return new TaskNotSucceeded({ id, status: "Failed", ...task.failure })
        case "Cancelled":
          return new TaskNotSucceeded({
            id,
            status: "Cancelled",
            reason: "Cancelled",
            message: `Task ${id} was cancelled`
          })
        case "Skipped":
          return new TaskNotSucceeded({
            id,
            status: "Skipped",
            reason: task.skipped,
            message: `Task ${id} was skipped: ${task.skipped}`
          })
      }
    })

  const list: SchedulerApi["list"] = (filter = {}, page = {}) =>
    Effect.flatMap(parseLimit(page.limit), (limit) => repository.list(filter, { limit, cursor: page.cursor }))

  return {
    schedule,
    repeat,
    deploy: deployments.deploy,
    get: (id) =>
      Effect.flatMap(
        repository.get(id),
        Option.match({ onNone: () => new TaskNotFound({ id }), onSome: Effect.succeed })
      ),
    getSchedule,
    list,
    listSchedules: (filter = {}, page = {}) =>
      Effect.flatMap(
        parseLimit(page.limit),
        (limit) => repository.listSchedules(filter, { limit, cursor: page.cursor })
      ),
    findByFunction: (name) => Effect.map(list({ functionName: name }), (page) => page.items),
    cancel,
    cancelSchedule: Effect.fn("LambdaScheduler.cancelSchedule")(function*(id) {
      yield* getSchedule(id)
      yield* cancelIn({ _tag: "Schedule", id })
      return yield* getSchedule(id)
    }),
    cancelFunction: Effect.fn("LambdaScheduler.cancelFunction")((name) => cancelIn({ _tag: "Function", name })),
    cancelNamed: Effect.fn("LambdaScheduler.cancelNamed")((name) => cancelIn({ _tag: "Named", name })),
    awaitResult: awaitResult as SchedulerApi["awaitResult"],
    events: events.stream,
    ready: dispatcher.ready
  }
})

const parseJson = (text: string): Either.Either<unknown, ParseResult.ParseError> =>
  Schema.decodeUnknownEither(Schema.parseJson())(text)

const decodeResult = (
  task: SucceededTask,
  fn: AnyLambdaFunction | undefined
): Effect.Effect<unknown, ResultInvalid> => {
  const { encoding, text } = task.result
  const invalid = (message: string) => new ResultInvalid({ id: task.id, message })
  if (encoding === "base64") return invalid("The result is not text; read its base64 from the Task")
  const json = text === "" ? Effect.void : Effect.mapError(
    parseJson(text),
    () => invalid("The result is not JSON; read its text from the Task")
  )
  const schema = fn?.resultSchema
  return schema === undefined ? json : Effect.flatMap(json, (value) =>
    Effect.mapError(
      Schema.decodeUnknown(schema)(value),
      (error) => invalid(`The result does not match its Schema: ${ParseResult.TreeFormatter.formatErrorSync(error)}`)
    ))
}

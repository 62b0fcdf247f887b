/** Puts the parts of the engine together behind the public service. */
import type { Scope } from "effect"
import { Effect, Either, Option, ParseResult, Random, Runtime, Schema, Stream } from "effect"
import type { IdempotencyConflict, InvalidInput, TaskRepositoryError } from "../domain/Errors.ts"
import { ResultInvalid, SchedulerClosed, TaskFinished, TaskNotFound, TaskNotSucceeded } from "../domain/Errors.ts"
import type { TaskId } from "../domain/Ids.ts"
import { InstanceId } from "../domain/Ids.ts"
import type { AnyLambdaFunction } from "../domain/LambdaFunction.ts"
import type {
  CancelledTask,
  FinishedTask,
  FunctionTarget,
  RunningTask,
  ScheduledTask,
  SucceededTask,
  Task
} from "../domain/Task.ts"
import { isByRule, isFinished } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { isAtCursor } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { monotonic } from "../domain/Time.ts"
import * as Trigger from "../domain/Trigger.ts"
import { LambdaClient } from "../ports/LambdaClient.ts"
import type {
  Cancelled,
  CancelTarget,
  ClaimOnInsert,
  IdempotencyKey,
  InsertVerdict,
  Lease
} from "../ports/TaskRepository.ts"
import { TaskRepository } from "../ports/TaskRepository.ts"
import { makeAdmission } from "./Admission.ts"
import { makeBreakers } from "./Breakers.ts"
import { makeCancelWatch } from "./CancelWatch.ts"
import { makeCaps } from "./Caps.ts"
import { checkedSettings } from "./checkedSettings.ts"
import { makeControls } from "./Controls.ts"
import { makeDeadLetters } from "./DeadLetters.ts"
import { makeDeployments } from "./Deployments.ts"
import type { Dispatcher } from "./Dispatcher.ts"
import { makeDispatcher } from "./Dispatcher.ts"
import { makeDriveOn } from "./DriveOn.ts"
import { EngineConfig } from "./EngineConfig.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import { makeExplain } from "./Explain.ts"
import { conflictOf, keyOf, parseRepeatable } from "./Idempotency.ts"
import { makeIds } from "./Ids.ts"
import type { Leases } from "./Leases.ts"
import { makeLeases } from "./Leases.ts"
import { makeLimiters } from "./Limiters.ts"
import { makeNearFuture } from "./NearFuture.ts"
import { makeFailedCalls } from "./OnFailed.ts"
import { Pace } from "./Pace.ts"
import { makePauses } from "./Pauses.ts"
import { makePruner } from "./Pruner.ts"
import type { Reaper } from "./Reaper.ts"
import { makeReaper, makeReconciler } from "./Reaper.ts"
import { makeRecord } from "./Recorder.ts"
import { makeScheduleDrivers } from "./ScheduleDrivers.ts"
import type { ScheduleError, ScheduleOptions, SchedulerApi } from "./SchedulerApi.ts"
import { makeSchedules } from "./Schedules.ts"
import { makeSlotKeeper } from "./SlotKeeper.ts"
import { makeStoreClock } from "./StoreClock.ts"
import { makePlanSuccessor } from "./Successors.ts"
import { makeTaskEvents } from "./TaskEvents.ts"
import { makeTaskRunner } from "./TaskRunner.ts"
import { upcoming } from "./Upcoming.ts"
import type { Work } from "./WorkRequest.ts"
import { parseLimit, parseWork } from "./WorkRequest.ts"

/** Tasks stored in one statement. */
const bulk = 1_000

const noKey = Either.right({ id: undefined, key: undefined })

/** A one-shot that a caller has asked for, checked. */
interface AskedTask {
  readonly trigger: Trigger.OnceTrigger
  readonly askedAt: EpochMillis
  /** If nothing is to be deployed first. */
  readonly dueAt: EpochMillis
  readonly id: string | undefined
  readonly key: string | undefined
  readonly work: Work
}

/** A writer that owns nothing. */
const nobody: Lease = { instanceId: InstanceId.make("00000000-0000-7000-8000-000000000000"), expiresAt: 0 }

/** How long a shutdown waits for interrupted runs, once its grace is over. */
const interruptWithin = "5 seconds"

export const makeScheduler: Effect.Effect<
  SchedulerApi,
  TaskRepositoryError | InvalidInput,
  TaskRepository | LambdaClient | Scope.Scope
> = Effect.gen(function*() {
  const repository = yield* TaskRepository
  const client = yield* LambdaClient
  const config = yield* checkedSettings(yield* EngineConfig)
  // Taken once, so that all parts of one engine go by the same clock and the same chance.
  const ownClock = yield* Effect.clock
  const storeClock = makeStoreClock(ownClock)
  // Where others share the store, what is due is due by its clock.
  const clock = repository.shared ? storeClock.clock : ownClock
  const lead = repository.shared ? config.startLead : 0
  const random = yield* Effect.random
  const ids = yield* makeIds(clock)
  const runFork = Runtime.runFork(yield* Effect.runtime())
  let closed = false

  const settleOrphan = (lease: Lease, orphan: RunningTask) => runner.settleOrphan(lease, orphan)
  const onFreed = () => dispatcher.consider(clock.unsafeCurrentTimeMillis())
  let reaper: Reaper | undefined
  let noticeControls: (revision: number) => void = () => {}
  const leases: Leases = yield* makeLeases({
    repository,
    config,
    clock: ownClock,
    nextId: ids.next,
    onHeartbeat: (heartbeat, asked) => {
      storeClock.learn(heartbeat.storeNow, asked.sentAt, monotonic(ownClock))
      noticeControls(heartbeat.controlsRevision)
      reaper?.onHeartbeat(heartbeat, asked)
    },
    onLost: () => Effect.zipRight(drivers.dropAll, Effect.asVoid(nearFuture.takeUnstarted))
  })
  const pace = new Pace()
  const onOpen = () => nearFuture.reopened()
  const relearn = Effect.suspend(() => controls.read)
  const caps = yield* makeCaps({ repository, clock, relearn, onOpen })
  const limiters = yield* makeLimiters(config.limiter, onOpen)
  const breakers = yield* makeBreakers({
    repository,
    clock,
    options: config.breaker,
    classify: config.classify,
    onOpen
  })
  const most = Math.min(config.concurrency, client.concurrency ?? Infinity)
  const slots = yield* makeSlotKeeper({
    clock: ownClock,
    options: { least: Math.min(config.minConcurrency, most), most },
    running: () => nearFuture.running(),
    onMore: onOpen
  })
  const pauses = yield* makePauses({ repository, clock, relearn, onOpen })
  const admission = makeAdmission({ clock, slots, caps, limiters, breakers, pauses })
  const deployments = yield* makeDeployments(client)
  const events = yield* makeTaskEvents(repository, config.eventBuffer)
  const pruner = yield* makePruner(repository, config, clock)
  const onFailed = yield* makeFailedCalls
  const planSuccessor = makePlanSuccessor(
    repository,
    ids.next,
    (now) => repository.shared ? dispatcher.claimUntil(now) ?? -Infinity : Infinity,
    (id) => drivers.held(id)
  )

  const noteFinished = (task: FinishedTask) => {
    pruner.noteFinished(task)
    if (task.status !== "Failed") return
    engineMetrics.deadLetter()
    onFailed.tell(task)
  }

  const runner = makeTaskRunner({
    repository,
    client,
    config,
    clock,
    random,
    leases,
    planSuccessor,
    record: makeRecord(repository, config.heartbeatInterval),
    // Given back by a shutdown; refused by the store if it was a cancel.
    onNotStarted: (task) => nearFuture.offer(task),
    // Where nobody else drives schedules, nothing is lost to anybody: what was cancelled is followed.
    onLost: (task) => repository.shared ? drivers.lost(task) : undefined,
    capsOf: caps.of,
    onCapped: (task, cap) => {
      caps.onFull(cap)
      nearFuture.offer(task)
    },
    onPaused: (task) => {
      pauses.onRefused(task.function.name)
      nearFuture.offer(task)
    },
    onStart: (verdict) => {
      const { next, task } = verdict
      if (isFinished(task)) noteFinished(task)
      if (verdict._tag === "Started" && verdict.cancelled !== undefined) stopReplaced(verdict.cancelled)
      // By hand it is followed by nothing of its own: what comes next comes after the run that it has replaced.
      if (next !== undefined && task.scheduleId !== undefined && !isByRule(task)) drivers.aim(task.scheduleId, next)
      else drivers.followed(verdict._tag === "Started" ? "start" : "expire", task, next)
      if (verdict._tag === "Waits") dispatcher.consider(verdict.task.claimableAt)
      if (verdict._tag === "Expired") dispatcher.consider(clock.unsafeCurrentTimeMillis())
    },
    onSettled: ({ freed, next, task }) => {
      pace.note(task.function.name, clock.unsafeCurrentTimeMillis())
      caps.onRoom(task.function.name)
      if (isFinished(task)) {
        noteFinished(task)
        drivers.followed("end", task, next)
        if (freed === true) dispatcher.consider(clock.unsafeCurrentTimeMillis())
      } else if (task.owner === undefined) dispatcher.consider(task.claimableAt)
      else nearFuture.offer(task)
    }
  })
  /** Runs that have had to give their place to a later occurrence. */
  const stopReplaced = (cancelled: ReadonlyArray<CancelledTask>) => {
    for (const task of cancelled) noteFinished(task)
    runFork(nearFuture.interrupt(cancelled.map(({ id }) => id)))
  }
  const nearFuture = yield* makeNearFuture({
    config,
    clock,
    lead,
    isShared: repository.shared,
    gate: admission,
    run: runner.run,
    runStarted: runner.runStarted,
    onRoom: () => dispatcher.noteRoom()
  })
  const drivers = yield* makeScheduleDrivers(
    clock,
    config.longestSleep,
    nearFuture.offer,
    repository.shared
      ? { lead, onUnclaimed: (occurrence) => dispatcher.consider(occurrence.claimableAt) }
      : undefined
  )
  const driveOn = yield* makeDriveOn(repository, drivers, nearFuture.offer, config.heartbeatInterval)
  const dispatcher: Dispatcher = yield* makeDispatcher({
    repository,
    config,
    clock,
    leases,
    nearFuture,
    admission,
    pace: (functionName, now) => pace.of(functionName, now),
    handOn: driveOn.handOn
  })
  const controls = yield* makeControls(repository, (all) => {
    caps.learn(all)
    pauses.learn(all)
    breakers.learn(all)
  })
  noticeControls = controls.notice
  if (repository.shared) {
    const known = () => {
      const ids = nearFuture.known()
      for (const id of drivers.known()) ids.add(id)
      for (const id of driveOn.known()) ids.add(id)
      return ids
    }
    reaper = yield* makeReaper({ repository, config, clock: ownClock, leases, settleOrphan, onFreed })
    yield* makeCancelWatch({ repository, config, nearFuture })
    yield* makeReconciler({ repository, config, leases, known, settleOrphan, onFreed })
    yield* Effect.forkScoped(Stream.runForEach(repository.hints, (hint) =>
      hint._tag === "Work"
        ? Effect.sync(() => dispatcher.consider(hint.claimableAt))
        : nearFuture.interrupt(hint.ids)))
  }
  // As long as this scope is open the process has work to do, even if nothing is due.
  yield* Effect.forkScoped(Effect.never)
  // Registered last, so it comes first when the scope closes.
  yield* Effect.addFinalizer(() => shutdown)

  /** Once more at the end: retries and occurrences come of what still runs. */
  const handBack = Effect.flatMap(
    nearFuture.takeUnstarted,
    (unstarted) => {
      const lease = leases.current()
      return lease === undefined || unstarted.length === 0
        ? Effect.void
        : repository.release(lease, unstarted, clock.unsafeCurrentTimeMillis())
    }
  ).pipe(Effect.catchAll((error) => Effect.logWarning("Could not hand claims back; their lease will end", error)))

  let writing = 0
  let onWritten = () => {}
  const written = Effect.sync(() => {
    writing--
    if (writing === 0) onWritten()
  })
  /** Waits until no call of ours is under way that may leave something to be run. */
  const stored = Effect.async<void>((resume) => {
    if (writing === 0) resume(Effect.void)
    else onWritten = () => resume(Effect.void)
  })

  const shutdown = Effect.gen(function*() {
    closed = true
    yield* nearFuture.close
    yield* drivers.stopAll
    yield* handBack
    // What is still under way may bring more, marked as started even.
    const stopped = Effect.zipRight(dispatcher.stop, stored).pipe(Effect.zipRight(handBack))
    // A finalizer cannot be interrupted, hence neither what it waits for, unless it says so.
    yield* Effect.zipRight(stopped, nearFuture.drained).pipe(
      Effect.zipRight(onFailed.drained),
      Effect.interruptible,
      Effect.timeoutOption(config.shutdownGrace)
    )
    const ended = yield* nearFuture.interruptAll.pipe(Effect.interruptible, Effect.timeoutOption(interruptWithin))
    if (Option.isNone(ended)) {
      yield* Effect.logWarning(`${nearFuture.running()} runs could not be interrupted within ${interruptWithin}`)
    }
    yield* onFailed.stop
    yield* handBack
    yield* leases.close
  }).pipe(Effect.catchAll((error) => Effect.logWarning("Could not close the lease; it will end", error)))

  // Scheduling

  const whileOpen = <A, E>(work: () => Effect.Effect<A, E>): Effect.Effect<A, E | SchedulerClosed> =>
    Effect.suspend((): Effect.Effect<A, E | SchedulerClosed> => closed ? new SchedulerClosed() : work())

  /** A caller that gives up must not part the store, which has a Task, from the engine, which is to run it. */
  const whole = <A, E>(write: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.uninterruptible(Effect.suspend(() => {
      writing++
      return Effect.ensuring(write, written)
    }))

  const plannedTask = (
    work: Work,
    target: FunctionTarget,
    id: TaskId,
    dueAt: EpochMillis,
    now: EpochMillis
  ): ScheduledTask => ({
    status: "Scheduled",
    id,
    name: work.name,
    function: target,
    payload: work.payload,
    tags: work.tags,
    retry: work.retry,
    priority: work.priority,
    scheduleId: undefined,
    origin: undefined,
    overlap: undefined,
    redriveOf: undefined,
    createdAt: now,
    nominalAt: dueAt,
    dueAt,
    claimableAt: dueAt,
    owner: undefined,
    token: 0,
    attempts: []
  })

  /** What a new Task or schedule is claimed by, if it is. */
  const claimOf = (now: EpochMillis): ClaimOnInsert | undefined => {
    const lease = leases.current()
    const until = repository.shared || nearFuture.room() > 0 ? dispatcher.claimUntil(now) : undefined
    return lease === undefined || until === undefined ? undefined : { lease, until }
  }

  const take = (stored: ScheduledTask) =>
    stored.owner === undefined ? dispatcher.consider(stored.claimableAt) : nearFuture.offer(stored)

  /** Takes an occurrence of a schedule that has been stored or rewritten: a fiber waits for the next one by the rule. */
  const takeNext = (schedule: TaskSchedule, next: ScheduledTask) => {
    if (next.owner !== undefined && isAtCursor(schedule, next)) return drivers.start(schedule, next)
    drivers.lost(next)
    take(next)
  }

  /** Takes what has been stored at once; only a refusal is left for the effect to tell. */
  const taskOf = (
    verdict: InsertVerdict,
    key: IdempotencyKey | undefined
  ): Effect.Effect<Task, IdempotencyConflict> => {
    switch (verdict._tag) {
      case "Inserted":
        take(verdict.task)
        return Effect.succeed(verdict.task)
      case "Present":
        return Effect.succeed(verdict.task)
      default:
        return conflictOf(verdict, key)
    }
  }

  const storeTask = (task: ScheduledTask, key: IdempotencyKey | undefined, now: EpochMillis) =>
    whole(
      Effect.flatMap(repository.insert([task], claimOf(now), key && [key]), ([verdict]) =>
        taskOf(verdict as InsertVerdict, key))
    )

  /** The same request under the same key comes to the same delays: there, what a Schedule draws depends on the key. */
  const chanceOf = (key: string | undefined) => (): Random.Random => key === undefined ? random : Random.make(key)

  /** What is asked for, checked; everything but the deployment. Without a generator: every Task comes by here. */
  const parseSchedule = <Payload>(
    fn: AnyLambdaFunction,
    options: ScheduleOptions<Payload> | undefined
  ): Either.Either<AskedTask, InvalidInput> => {
    const trigger = options?.trigger ?? Trigger.now
    const askedAt = clock.unsafeCurrentTimeMillis()
    const dueAt = Trigger.dueAt(trigger, askedAt)
    if (Either.isLeft(dueAt)) return Either.left(dueAt.left)
    const repeatable = options === undefined ? noKey : parseRepeatable(options)
    if (Either.isLeft(repeatable)) return Either.left(repeatable.left)
    const { id, key } = repeatable.right
    const work = parseWork(fn, options, config.retry, chanceOf(key))
    if (Either.isLeft(work)) return Either.left(work.left)
    return Either.right({ trigger, askedAt, dueAt: dueAt.right, id, key, work: work.right })
  }

  const idOf = ({ id }: AskedTask): Effect.Effect<TaskId> =>
    (id === undefined ? ids.next : Effect.succeed(id)) as Effect.Effect<TaskId>

  const plan = (
    asked: AskedTask,
    target: FunctionTarget,
    now: EpochMillis
  ): Effect.Effect<ScheduledTask, InvalidInput> => {
    const dueAt = Trigger.dueAt(asked.trigger, now)
    return Either.isLeft(dueAt)
      ? Effect.fail(dueAt.left)
      : Effect.map(idOf(asked), (id) => plannedTask(asked.work, target, id, dueAt.right, now))
  }

  const keyOfTask = (asked: AskedTask, target: FunctionTarget) =>
    keyOf(asked.key, { work: asked.work, target, trigger: asked.trigger, more: {} })

  const schedule: SchedulerApi["schedule"] = (fn, options) =>
    whileOpen((): Effect.Effect<Task, ScheduleError> => {
      const parsed = parseSchedule(fn, options)
      if (Either.isLeft(parsed)) return Effect.fail(parsed.left)
      const asked = parsed.right
      const known = deployments.known(fn)
      // Mostly nothing has to be deployed, and no time has passed since it was looked at.
      if (known !== undefined && asked.key === undefined) {
        const { askedAt, dueAt, work } = asked
        return Effect.flatMap(idOf(asked), (id) =>
          storeTask(plannedTask(work, known, id, dueAt, askedAt), undefined, askedAt))
      }
      return Effect.flatMap(deployments.ensure(fn), (target): Effect.Effect<Task, ScheduleError> => {
        // A deployment can take a while: "after" counts from when the Task is stored, if it still may be.
        if (closed) {
          return new SchedulerClosed()
        }
        const now = clock.unsafeCurrentTimeMillis()
        const task = plan(asked, target, now)
        return asked.key === undefined
          ? Effect.flatMap(task, (task) =>
            storeTask(task, undefined, now))
          : Effect.flatMap(keyOfTask(asked, target), (key) =>
            Effect.flatMap(task, (task) =>
              whileOpen(() => storeTask(task, key, now))))
      })
    })

  const scheduleAll: SchedulerApi["scheduleAll"] = (fn, entries) =>
    whileOpen(() =>
      Effect.gen(function*() {
        const asked = yield* Effect.forEach(entries, (options) => parseSchedule(fn, options))
        const target = yield* deployments.ensure(fn)
        if (closed) return yield* new SchedulerClosed()
        const now = clock.unsafeCurrentTimeMillis()
        const tasks = yield* Effect.forEach(asked, (each) => plan(each, target, now))
        const keys = yield* Effect.forEach(asked, (each) => keyOfTask(each, target))
        const insert = (from: number) => {
          const some = tasks.slice(from, from + bulk)
          const someKeys = keys.slice(from, from + bulk)
          return whole(Effect.flatMap(
            repository.insert(some, claimOf(now), someKeys.some((key) => key !== undefined) ? someKeys : undefined),
            // All of them first: what is stored is to run, also when another one is refused.
            (verdicts) => Effect.all(verdicts.map((verdict, index) => taskOf(verdict, someKeys[index])))
          ))
        }
        const starts = Array.from({ length: Math.ceil(tasks.length / bulk) }, (_, index) => index * bulk)
        return (yield* Effect.forEach(starts, insert, { concurrency: 2 })).flat()
      })
    )

  // Cancelling

  /** To cancel takes no lease, but what follows a cancelled occurrence is claimed by its writer. */
  const writer = (): Lease => leases.current() ?? nobody

  /** Once the store has cancelled, the runs are interrupted as well, even if the caller is. */
  const cancelIn = (target: CancelTarget): Effect.Effect<Cancelled, TaskRepositoryError> =>
    whole(
      Effect.tap(repository.cancel(writer(), target, clock.unsafeCurrentTimeMillis()), (cancelled) =>
        Effect.gen(function*() {
          for (const { id } of cancelled.schedules) {
            yield* drivers.stop(id)
          }
          for (const task of cancelled.tasks) {
            pruner.noteFinished(task)
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
      // Another one may have waited for it.
      dispatcher.consider(clock.unsafeCurrentTimeMillis())
      if (next !== undefined) return drivers.aim(id, next)
      const rule = Option.getOrUndefined(yield* repository.getSchedule(id))
      if (rule?.status !== "Active") yield* drivers.stop(id)
    })

  const cancel: SchedulerApi["cancel"] = Effect.fn("LambdaScheduler.cancel")(function*(id) {
    const task = Option.getOrUndefined(yield* repository.get(id))
    if (task === undefined) return yield* new TaskNotFound({ id })
    const successor = isFinished(task)
      ? undefined
      : yield* planSuccessor.of(task, "over", clock.unsafeCurrentTimeMillis())
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

  const schedules = makeSchedules({
    repository,
    config,
    clock,
    deployments,
    nextId: ids.next,
    chanceOf,
    claimOf,
    // Where nobody else can see the store, a fiber lives as long as its schedule.
    claimFirst: (now) => repository.shared ? claimOf(now) : { lease: leases.current() as Lease, until: Infinity },
    write: (work) => whole(whileOpen(work)),
    whileOpen,
    take,
    takeNext,
    end: (id, remove) => cancelIn({ _tag: "Schedule", id, remove }),
    endBackfill: (id) => cancelIn({ _tag: "Backfill", id })
  })

  // Looking

  const get: SchedulerApi["get"] = (id) =>
    Effect.flatMap(
      repository.get(id),
      Option.match({ onNone: () => new TaskNotFound({ id }), onSome: Effect.succeed })
    )

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
    scheduleAll,
    ...schedules,
    ...makeExplain({
      repository,
      clock,
      leases,
      pauses: pauses.api,
      limits: caps.api,
      breakers: breakers.api,
      learned: limiters.learned,
      getTask: get,
      getSchedule: schedules.getSchedule,
      runtimeOf: deployments.runtimeOf
    }),
    deploy: deployments.deploy,
    get,
    list,
    listSchedules: (filter = {}, page = {}) =>
      Effect.flatMap(
        parseLimit(page.limit),
        (limit) => repository.listSchedules(filter, { limit, cursor: page.cursor })
      ),
    upcoming: (range) => Effect.suspend(() => upcoming(repository, range, clock.unsafeCurrentTimeMillis())),
    findByFunction: (name) => Effect.map(list({ functionName: name }), (page) => page.items),
    limits: { ...caps.api, learned: Effect.sync(() => Object.fromEntries(limiters.learned())) },
    pauses: pauses.api,
    breakers: breakers.api,
    cancel,
    cancelFunction: Effect.fn("LambdaScheduler.cancelFunction")((name) => cancelIn({ _tag: "Function", name })),
    cancelNamed: Effect.fn("LambdaScheduler.cancelNamed")((name) => cancelIn({ _tag: "Named", name })),
    awaitResult: awaitResult as SchedulerApi["awaitResult"],
    deadLetters: makeDeadLetters({
      repository,
      clock,
      nextId: ids.next,
      claimOf,
      write: (work) => whole(whileOpen(work)),
      take
    }),
    events: events.stream,
    backlog: Effect.suspend(() => repository.backlog(clock.unsafeCurrentTimeMillis())),
    ready: Effect.zipRight(leases.ready, dispatcher.ready),
    storeDetails: repository.details
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

/**
 * Several instances on one store in virtual time. Each has a link to the store, a wall clock that can be set, and fibers
 * that can be stopped like a process by SIGSTOP, or for good like one by SIGKILL. Functions run outside of the
 * instances, as Lambda does: they go on whatever becomes of their caller.
 */
import type { Scheduler } from "effect"
import {
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  FiberRef,
  Layer,
  Logger,
  LogLevel,
  Metric,
  MetricState,
  Option,
  Random,
  Runtime,
  Scope
} from "effect"
import type { EngineSettings, InvocationResult, InvokeRequest, Millis, Task, TaskId } from "../../src/index.ts"
import { EngineConfig, InvocationError, LambdaClient, LambdaScheduler, TaskRepository } from "../../src/index.ts"
import { VirtualClock } from "../../src/testing/index.ts"
import type { Store } from "./brokenStore.ts"
import type { Link } from "./linkedStore.ts"
import { makeSharedStore } from "./linkedStore.ts"

/** One request as it has left an instance. Instants are the world's, whatever an instance's clock says. */
export interface Call {
  readonly taskId: TaskId
  readonly attempt: number
  readonly functionName: string
  readonly by: string
  readonly at: number
  /** The Task as the store had it at that instant. */
  readonly stored: Task | undefined
  /** Whether the sender's lease lived at that instant, by the store. */
  readonly leased: boolean
  readonly request: InvokeRequest
  /** When the function ended; it does so also when nobody waits for it any more. */
  to: number
}

/** What a function does: a value, or an Effect that takes its time. */
export type Script = (call: Call) => unknown

export interface Instance {
  readonly name: string
  readonly scheduler: LambdaScheduler["Type"]
  readonly link: Link
  /** Sets its wall clock by so many milliseconds against what it says now. */
  readonly setClock: (by: Millis) => void
  /** Milliseconds by which its timers fire early. */
  timersEarlyBy: Millis
  /** Milliseconds between the last step of the engine and the request's departure. */
  departsAfter: Millis
  /** Its fibers stand still from now on, though time passes. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Ends it at once: nothing of it runs any more. */
  readonly kill: () => void
  /** Closes its scope and waits for that. */
  readonly stop: Effect.Effect<void>
}

export interface World {
  /** The store as it is, over no link. */
  readonly store: Store
  /** Starts an instance; the settings are those of the world, but for these. */
  readonly start: (
    settings?: Partial<EngineSettings>,
    before?: (instance: Pick<Instance, "link" | "setClock">) => void
  ) => Effect.Effect<Instance>
  /** All requests that have left, in order. */
  readonly calls: ReadonlyArray<Call>
  /** Messages of the log, with their level. */
  readonly logs: ReadonlyArray<string>
  readonly now: Effect.Effect<number>
  /** The same, for a fault to ask. */
  readonly time: () => number
  /** The Task as the store has it. */
  readonly task: (id: TaskId) => Effect.Effect<Task>
  readonly tasks: Effect.Effect<ReadonlyArray<Task>>
}

export interface WorldOptions {
  readonly scripts?: Readonly<Record<string, Script>>
  readonly settings?: Partial<EngineSettings>
  /** Whether instances tell each other what they do; default: they find it by looking only. */
  readonly hints?: boolean
  readonly random?: Random.Random
}

/** The scheduler of one instance's fibers: what is not to run now is kept, and what is dead is dropped. */
const stoppable = (base: Scheduler.Scheduler) => {
  let state: "running" | "frozen" | "dead" = "running"
  let kept: Array<() => void> = []
  const unless = (run: () => void) => () => {
    if (state === "running") run()
    else if (state === "frozen") kept.push(run)
  }
  return {
    scheduler: {
      shouldYield: (fiber) => base.shouldYield(fiber),
      scheduleTask: (task, priority, fiber) => {
        if (state === "running") base.scheduleTask(unless(task), priority, fiber)
        else if (state === "frozen") kept.push(() => base.scheduleTask(unless(task), priority, fiber))
      }
    } satisfies Scheduler.Scheduler,
    freeze: () => {
      if (state === "running") state = "frozen"
    },
    thaw: () => {
      if (state !== "frozen") return
      state = "running"
      const runs = kept
      kept = []
      for (const run of runs) run()
    },
    kill: () => {
      state = "dead"
      kept = []
    }
  }
}

/** A wall clock that can be set, on a monotonic clock that cannot. */
const settable = (base: Clock.Clock, earlyBy: () => Millis) => {
  let offset = 0
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => base.unsafeCurrentTimeMillis() + offset,
    unsafeCurrentTimeNanos: () => base.unsafeCurrentTimeNanos(),
    currentTimeMillis: Effect.sync(() => base.unsafeCurrentTimeMillis() + offset),
    currentTimeNanos: base.currentTimeNanos,
    sleep: (duration) =>
      Effect.suspend(() => {
        const millis = Duration.toMillis(duration)
        // The last millisecond is never cut: time would stand still.
        return base.sleep(Duration.millis(Math.max(millis - earlyBy(), Math.min(1, millis))))
      })
  }
  const set = (by: Millis) => {
    offset += by
  }
  return { clock, set }
}

const make = ({ hints = false, scripts = {}, settings = {} }: WorldOptions, logs: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const base = yield* Effect.clock
    const runtime = yield* Effect.runtime()
    const runFork = Runtime.runFork(runtime)
    const { link, store } = yield* makeSharedStore(hints)
    const scheduler = yield* FiberRef.get(FiberRef.currentScheduler)
    const calls: Array<Call> = []
    const instances: Array<Instance> = []

    /** Lambda, as one instance sees it. */
    const clientOf = (of: () => Instance, clock: Clock.Clock): LambdaClient["Type"] => ({
      description: "functions of a test",
      region: undefined,
      deploy: () => Effect.die("nothing is deployed here"),
      remove: () => Effect.die("nothing is removed here"),
      invoke: (request) =>
        Effect.gen(function*() {
          const instance = of()
          // As the adapter for AWS does it: both clocks, after everything else.
          const since = clock.unsafeCurrentTimeNanos()
          const budget = request.notAfter - clock.unsafeCurrentTimeMillis()
          if (instance.departsAfter > 0) yield* clock.sleep(Duration.millis(instance.departsAfter))
          const passed = Number(clock.unsafeCurrentTimeNanos() - since) / 1e6
          if (clock.unsafeCurrentTimeMillis() > request.notAfter || passed > budget) {
            return yield* new InvocationError({ reason: "TooLate", message: "too late to leave" })
          }
          const at = base.unsafeCurrentTimeMillis()
          const taskId = request.clientContext?.["taskId"] as TaskId
          const stored = yield* Effect.orDie(store.get(taskId))
          const call: Call = {
            taskId,
            attempt: Number(request.clientContext?.["attempt"]),
            functionName: request.target.name,
            by: instance.name,
            at,
            stored: Option.getOrUndefined(stored),
            leased: (instance.link.lease?.expiresAt ?? 0) > at,
            request,
            to: Infinity
          }
          calls.push(call)
          const answer = Effect.suspend(() => {
            const answered = scripts[call.functionName]?.(call)
            return (Effect.isEffect(answered) ? answered : Effect.succeed(answered)) as Effect.Effect<
              unknown,
              InvocationError
            >
          }).pipe(
            Effect.map((value): InvocationResult => ({
              body: { text: JSON.stringify(value) ?? "null", encoding: "utf8" },
              requestId: `${call.by}-${calls.indexOf(call)}`,
              executedVersion: "$LATEST",
              logTail: undefined
            })),
            Effect.ensuring(Effect.sync(() => {
              call.to = base.unsafeCurrentTimeMillis()
            }))
          )
          return yield* Effect.async<InvocationResult, InvocationError>((resume) => {
            runFork(answer).addObserver((exit) => resume(exit))
          })
        })
    })

    const start: World["start"] = (own = {}, before = () => {}) =>
      Effect.gen(function*() {
        const fibers = stoppable(scheduler)
        const { clock, set } = settable(base, () => started ? instance.timersEarlyBy : 0)
        let started = false
        const way = yield* link
        before({ link: way, setClock: set })
        const scope = yield* Scope.make()
        const name = `i${instances.length + 1}`
        const self = (): Instance => instance
        const context = yield* Layer.buildWithScope(
          LambdaScheduler.layer.pipe(
            Layer.provide(Layer.merge(
              Layer.succeed(TaskRepository, way.store),
              Layer.succeed(LambdaClient, clientOf(self, clock))
            )),
            Layer.provide(EngineConfig.layer({ ...settings, ...own }))
          ),
          scope
        ).pipe(
          Effect.orDie,
          Effect.annotateLogs({ instance: name }),
          Effect.withClock(clock),
          Effect.withScheduler(fibers.scheduler)
        )
        const instance: Instance = {
          name,
          scheduler: Context.get(context, LambdaScheduler),
          link: way,
          setClock: set,
          timersEarlyBy: 0,
          departsAfter: 0,
          freeze: fibers.freeze,
          thaw: fibers.thaw,
          kill: fibers.kill,
          // Nothing is left of it afterwards, whatever did not end in time.
          stop: Effect.ensuring(Scope.close(scope, Exit.void), Effect.sync(fibers.kill))
        }
        started = true
        instances.push(instance)
        return instance
      })

    const world: World = {
      store,
      start,
      calls,
      logs,
      now: base.currentTimeMillis,
      time: () => base.unsafeCurrentTimeMillis(),
      task: (id) => Effect.orDie(Effect.flatten(Effect.orDie(store.get(id)))),
      tasks: Effect.orDie(Effect.map(store.list({}, { limit: 1_000 }), (page) => page.items))
    }
    return { world, killAll: Effect.sync(() => instances.forEach((instance) => instance.kill())) }
  })

/**
 * Runs a test in a world of its own. What is left of its instances at the end is gone with it.
 *
 * @example
 * it("...", () => inWorld({}, (world) => Effect.gen(function*() { const one = yield* world.start() })))
 */
export const inWorld = <A, E>(
  options: WorldOptions,
  body: (world: World) => Effect.Effect<A, E>
): Promise<A> => {
  const logs: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    logs.push(`${logLevel.label} ${String(Array.isArray(message) ? message[0] : message)}`)
  })
  return Effect.acquireUseRelease(
    make(options, logs),
    ({ world }) => body(world),
    ({ killAll }) => killAll
  ).pipe(
    Effect.withRandom(options.random ?? Random.make("world")),
    Effect.provide(Layer.mergeAll(
      VirtualClock.layer,
      Logger.replace(Logger.defaultLogger, logger),
      Logger.minimumLogLevel(LogLevel.Debug)
    )),
    Effect.runPromise
  )
}

/** What a counter of the engine says; all instances of this process add up in it. */
export const counter = (name: string): number => {
  const found = Metric.unsafeSnapshot().find(({ metricKey }) => metricKey.name === `lambda_scheduler_${name}`)
  return found !== undefined && MetricState.isCounterState(found.metricState) ? Number(found.metricState.count) : 0
}

/** The whole way from a scheduler to an endpoint and back, on either store; and what both of them must agree on. */
import { expect } from "@effect/vitest"
import { Clock, Duration, Effect, Layer, Logger, LogLevel } from "effect"
import type { Context, Scope } from "effect"
import type { AwsLambdaOptions } from "../../src/adapters/aws/index.ts"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { AttemptOutcome, EngineSettings, Task, TaskId } from "../../src/index.ts"
import { EngineConfig, isFinished, LambdaClient, LambdaScheduler } from "../../src/index.ts"
import type { RetryOptions, TaskRepository } from "../../src/index.ts"
import { clientAt } from "../adapters/aws/support/live.ts"
import { connections, storeIn } from "../adapters/sql/support.ts"
import type { ScriptedEndpoint } from "./ScriptedEndpoint.ts"

export type Scheduler = Context.Tag.Service<LambdaScheduler>

/** Retries at once. What costs no attempt has a pace of its own, of a second and more. */
export const atOnce: RetryOptions = { backoff: "fixed", baseDelay: 5 }

/** A store in a schema, over a pool of its own: as another process would have it. */
export const postgresIn = (schema: string): Layer.Layer<TaskRepository> =>
  Layer.orDie(Layer.provide(storeIn(schema), connections()))

/**
 * The machine's clock, but so many times as fast: what waits for minutes takes moments. What I/O takes seems to take longer
 * by as much.
 */
export const fasterBy = (factor: number): Clock.Clock => {
  const live = Clock.make()
  const begun = live.unsafeCurrentTimeMillis()
  const begunNanos = live.unsafeCurrentTimeNanos()
  const nanos = () => begunNanos + (live.unsafeCurrentTimeNanos() - begunNanos) * BigInt(factor)
  const millis = () => begun + Math.floor(Number(nanos() - begunNanos) / 1_000_000)
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) => live.sleep(Duration.millis(Duration.toMillis(duration) / factor))
  }
}

export interface RigOptions {
  /** Default: memory. */
  readonly store?: Layer.Layer<TaskRepository> | undefined
  readonly settings?: Partial<EngineSettings> | undefined
  readonly aws?: AwsLambdaOptions | undefined
  readonly clock?: Clock.Clock | undefined
  /** What else is to be there, such as `OnFailed`. */
  readonly with?: Layer.Layer<never> | undefined
}

/** What it deploys, it deploys by the clock of whoever asks. */
const byClock = (clock: Clock.Clock) => (scheduler: Scheduler): Scheduler => ({
  ...scheduler,
  schedule: (fn, options) => Effect.withClock(scheduler.schedule(fn, options), clock),
  repeat: (fn, options) => Effect.withClock(scheduler.repeat(fn, options), clock),
  deploy: (fn) => Effect.withClock(scheduler.deploy(fn), clock)
})

/** A scheduler whose functions are at an address. */
export const launchAt = (url: string, options: RigOptions = {}): Effect.Effect<Scheduler, never, Scope.Scope> => {
  const layer = LambdaScheduler.layer.pipe(
    Layer.provide(
      Layer.merge(
        options.store ?? MemoryTaskRepository.layer,
        Layer.scoped(LambdaClient, clientAt(url, options.aws))
      )
    ),
    Layer.provide(EngineConfig.layer({ shutdownGrace: 0, ...options.settings })),
    Layer.provide(options.with ?? Layer.empty),
    Layer.orDie
  )
  const { clock } = options
  const launched = Effect.flatMap(Layer.build(layer), (context) => Effect.provide(LambdaScheduler, context)).pipe(
    // What a fault makes the scheduler warn of is not news here.
    Logger.withMinimumLogLevel(LogLevel.Error)
  )
  return clock === undefined ? launched : Effect.map(Effect.withClock(launched, clock), byClock(clock))
}

export const launch = (endpoint: Pick<ScriptedEndpoint, "url">, options?: RigOptions) => launchAt(endpoint.url, options)

/** Waits until a Task has ended, well or not. */
export const ended = (scheduler: Scheduler, id: TaskId): Effect.Effect<Task> =>
  Effect.zipRight(Effect.exit(scheduler.awaitResult(id)), Effect.orDie(scheduler.get(id)))

/** Asks again and again until it is so. */
export const until = <A>(
  what: string,
  ask: Effect.Effect<A, unknown>,
  isSo: (answer: A) => boolean
): Effect.Effect<A> =>
  Effect.delay(ask, "5 millis").pipe(
    Effect.repeat({ until: isSo }),
    Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => new Error(`Not within 10 seconds: ${what}`) }),
    Effect.orDie
  )

export const outcomesOf = (task: Task): ReadonlyArray<AttemptOutcome | undefined> =>
  task.attempts.map(({ ended }) => ended?.outcome)

export const reasonsOf = (task: Task): ReadonlyArray<string | undefined> =>
  task.attempts.map(({ ended }) => ended?.error?.reason)

/** Every Task there is. */
const allTasks = (scheduler: Scheduler): Effect.Effect<ReadonlyArray<Task>> =>
  Effect.gen(function*() {
    const tasks: Array<Task> = []
    let cursor: string | undefined
    do {
      const page = yield* Effect.orDie(scheduler.list({}, { cursor }))
      tasks.push(...page.items)
      cursor = page.cursor
    } while (cursor !== undefined)
    return tasks
  })

const mayHaveArrived: Readonly<Record<AttemptOutcome, ReadonlyArray<number>>> = {
  succeeded: [1],
  failed: [1],
  throttled: [1],
  notReady: [1],
  notSent: [0],
  unknown: [0, 1]
}

/**
 * The store and the endpoint tell the same story: no attempt was sent twice, none without its mark, none that is said not to
 * have been sent; every result and failure was answered; and nothing was sent after the end.
 *
 * @returns all Tasks
 */
export const agreed = (scheduler: Scheduler, endpoint: ScriptedEndpoint): Effect.Effect<ReadonlyArray<Task>> =>
  Effect.map(allTasks(scheduler), (tasks) => {
    const arrivals = new Map<string, number>()
    for (const { attempt, taskId } of endpoint.log) {
      const key = `${taskId} ${attempt}`
      arrivals.set(key, (arrivals.get(key) ?? 0) + 1)
    }
    const quarrels: Array<string> = []
    for (const task of tasks) {
      for (const { ended, number } of task.attempts) {
        const key = `${task.id} ${number}`
        const arrived = arrivals.get(key) ?? 0
        const allowed = ended === undefined ? [0, 1] : mayHaveArrived[ended.outcome]
        if (!allowed.includes(arrived)) quarrels.push(`${key} is ${ended?.outcome} and was sent ${arrived} times`)
        arrivals.delete(key)
      }
      if (isFinished(task) && task.attempts.some(({ ended }) => ended === undefined)) {
        quarrels.push(`${task.id} is ${task.status} with an attempt that has not ended`)
      }
    }
    expect([...quarrels, ...arrivals.keys()]).toEqual([])
    return tasks
  })

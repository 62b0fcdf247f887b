/**
 * The program that is killed, frozen and cut off: a scheduler on a shared store that asks for work of its own, and writes
 * down what it has asked for and what it was told. The journal is written before the next step is taken, so that it
 * holds whatever the process came to know, however it ends.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Clock, Effect, Layer, Logger, LogLevel, Redacted, Runtime, Schedule, Schema } from "effect"
import type { Context } from "effect"
import { openSync, writeSync } from "node:fs"
import { AwsLambdaClient } from "../../src/adapters/aws/index.ts"
import { PgConnections, SqlTaskRepository } from "../../src/adapters/sql/index.ts"
import type { EngineSettings, RetryOptions } from "../../src/index.ts"
import {
  EngineConfig,
  LambdaClient,
  LambdaFunction,
  LambdaScheduler,
  TaskRepository,
  TaskScheduleId,
  Trigger
} from "../../src/index.ts"
import { now, pick, seeded } from "./chanceAndTime.ts"
import type { JournalLine } from "./History.ts"
import type { CrashPoint, Order, steps } from "./settings.ts"
import { WorkerSettings } from "./settings.ts"

const settings = Effect.runSync(Schema.Config("WORKER", Schema.parseJson(WorkerSettings)))
const { load } = settings

const journal = openSync(settings.journal, "a")
const note = (line: JournalLine): void => void writeSync(journal, `${JSON.stringify(line)}\n`)

// Where it can be made to die.

let deadly: CrashPoint | undefined

const pass = (point: CrashPoint): void => {
  if (point === deadly) process.kill(process.pid, "SIGKILL")
}

const mortal = <Args extends ReadonlyArray<any>, A, E>(
  step: (typeof steps)[number],
  call: (...args: Args) => Effect.Effect<A, E>
) =>
(...args: Args): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    pass(`before ${step}`)
    return Effect.tap(call(...args), () => Effect.sync(() => pass(`after ${step}`)))
  })

const mortalRepository = (repository: Context.Tag.Service<TaskRepository>): Context.Tag.Service<TaskRepository> => ({
  ...repository,
  openLease: (instanceId, duration) => {
    note({ kind: "lease", instance: instanceId })
    return repository.openLease(instanceId, duration)
  },
  insert: mortal("insert", repository.insert),
  claimDue: mortal("claimDue", repository.claimDue),
  start: mortal("start", repository.start),
  settle: mortal("settle", repository.settle)
})

const mortalClient = (client: Context.Tag.Service<LambdaClient>): Context.Tag.Service<LambdaClient> => ({
  ...client,
  invoke: mortal("invoke", client.invoke)
})

// The scheduler.

const Repository = Layer.effect(TaskRepository, Effect.map(TaskRepository, mortalRepository)).pipe(
  Layer.provide(SqlTaskRepository.layerOptions({ schema: settings.schema, waitForDatabase: true })),
  Layer.provide(
    PgConnections.layer({
      url: Redacted.make(settings.databaseUrl),
      queryTimeout: settings.queryTimeout,
      connectTimeout: 2 * settings.queryTimeout
    })
  )
)

const Client = Layer.effect(LambdaClient, Effect.map(LambdaClient, mortalClient)).pipe(
  Layer.provide(AwsLambdaClient.layerWith({
    region: "eu-north-1",
    endpoint: settings.endpoint,
    credentials: { accessKeyId: "AKIATESTTESTTEST0000", secretAccessKey: Redacted.make("nobody's") }
  }))
)

const skewedClock = (millis: number): Clock.Clock => {
  const clock = Clock.make()
  const nanos = BigInt(millis) * 1_000_000n
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + millis,
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + nanos,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
    currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + nanos),
    sleep: (duration) => clock.sleep(duration)
  }
}

/** The endpoint throttles and breaks off by chance: what is held back for that would be late, and late is looked for. */
const nothingHeldBack: Partial<EngineSettings> = {
  breaker: { ...EngineConfig.defaults.breaker, minimumCalls: Infinity },
  limiter: { least: 1, most: 0 }
}

const Live = LambdaScheduler.layer.pipe(
  Layer.provide(Layer.merge(Repository, Client)),
  Layer.provide(EngineConfig.layer({ ...nothingHeldBack, ...settings.engine as Partial<EngineSettings> })),
  Layer.provide(Layer.setClock(skewedClock(settings.clockSkew)))
)

// What it asks for.

const chance = seeded(`${settings.seed} ${settings.name}`)
const retry: RetryOptions = { maxAttempts: settings.maxAttempts, baseDelay: 100, maxDelay: 1_000 }
let asks = 0
let isQuiet = false

const functionOf = (name: string) => LambdaFunction.existing(name, { timeout: settings.functionTimeout })

const recorded = <E extends { readonly message: string }>(
  ask: string,
  call: Effect.Effect<{ readonly id: string }, E>
): Effect.Effect<void> =>
  Effect.match(call, {
    onSuccess: ({ id }) => note({ kind: "acknowledged", ask, id }),
    onFailure: ({ message }) => note({ kind: "refused", ask, message })
  })

const askOnce = (scheduler: Context.Tag.Service<LambdaScheduler>) =>
  Effect.suspend(() => {
    const ask = `${settings.name}-${asks++}`
    const due = chance() < 0.5 ? null : now() + pick(chance, load.ahead + 1)
    const target = functionOf(load.functions[pick(chance, load.functions.length)] ?? load.functions[0])
    const trigger = due === null ? Trigger.now : Trigger.at(due)
    note({ kind: "asked", ask, due })
    return recorded(ask, scheduler.schedule(target, { name: ask, trigger, retry, payload: { ask } }))
  })

/** Calls that are not answered yet; a store that is away must not gather more and more of them. */
const openAtMost = 50

const askSteadily = (scheduler: Context.Tag.Service<LambdaScheduler>) => {
  let open = 0
  const one = Effect.suspend(() => {
    if (isQuiet || open >= openAtMost) return Effect.void
    open++
    return Effect.ensuring(askOnce(scheduler), Effect.sync(() => open--))
  })
  return Effect.forever(Effect.delay(Effect.fork(one), 1_000 / load.rate))
}

const burstCallers = 4

/** As much as goes, until the kill that is to come upon it has come. */
const burst = (scheduler: Context.Tag.Service<LambdaScheduler>) =>
  Effect.suspend(() => {
    const end = performance.now() + 300
    const caller = Effect.repeat(askOnce(scheduler), { until: () => performance.now() >= end })
    return Effect.forEach(Array.from({ length: burstCallers }), () => caller, {
      concurrency: "unbounded",
      discard: true
    })
  })

const repeatForEver = (scheduler: Context.Tag.Service<LambdaScheduler>) =>
  Effect.forEach([Trigger.fixed("1 second"), Trigger.spaced("1 second")], (trigger) =>
    Effect.suspend(() => {
      const ask = `${settings.name}-${trigger._tag}`
      note({ kind: "asked", ask, due: null })
      return recorded(ask, scheduler.repeat(functionOf(load.functions[0]), { name: ask, trigger, retry }))
    }), { discard: true })

const obey = (scheduler: Context.Tag.Service<LambdaScheduler>, order: Order): Effect.Effect<void> => {
  switch (order.order) {
    case "burst":
      return burst(scheduler)
    case "quiet":
      isQuiet = true
      return Effect.void
    case "crash":
      deadly = order.point
      return Effect.void
    case "cancel":
      // The store may be away just then.
      return Effect.forEach(
        order.schedules,
        (id) => Effect.retry(scheduler.cancelSchedule(TaskScheduleId.make(id)), Schedule.spaced("100 millis")),
        { discard: true }
      ).pipe(Effect.orDie)
  }
}

const program = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  const runFork = Runtime.runFork(yield* Effect.runtime())
  process.on("message", (order: Order) => runFork(obey(scheduler, order)))
  process.send?.("ready")
  if (load.recurring) yield* repeatForEver(scheduler)
  return yield* askSteadily(scheduler)
}).pipe(Effect.provide(Live), Logger.withMinimumLogLevel(LogLevel.Warning))

// Whoever wants to know about us is gone.
process.on("disconnect", () => process.exit(0))

NodeRuntime.runMain(program)

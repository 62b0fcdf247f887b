/** Many Tasks due at one instant: until the last has started, and what callers notice of it. */
import { Clock, Effect, Fiber, Layer } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import type { Bench } from "./support/Bench.ts"
import { insist, quantile, seconds } from "./support/Bench.ts"
import { Connections, insistDurable, Postgres, storeScheduler } from "./support/store.ts"
import { noop, noopLambda, payloadOf } from "./support/workload.ts"

const burst = (tasks: number) =>
  Effect.gen(function*() {
    const clock = yield* Clock.clockWith(Effect.succeed)
    const started: Array<number> = []
    const Lambda = noopLambda(() => void started.push(clock.unsafeCurrentTimeMillis()))
    return yield* Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const at = clock.unsafeCurrentTimeMillis() + 5_000
      yield* scheduler.scheduleAll(
        noop,
        Array.from({ length: tasks }, (_, n) => ({ payload: payloadOf(n), trigger: Trigger.at(at) }))
      )
      yield* Effect.sleep(at - 200 - clock.unsafeCurrentTimeMillis())
      // Somebody goes on scheduling while it bursts.
      const answers: Array<number> = []
      const caller = yield* Effect.fork(Effect.forever(Effect.gen(function*() {
        const [elapsed] = yield* seconds(scheduler.schedule(noop, { trigger: Trigger.after("1 day") }))
        answers.push(elapsed * 1_000)
        yield* Effect.sleep("5 millis")
      })))
      while (started.length < tasks && clock.unsafeCurrentTimeMillis() < at + 20_000) yield* Effect.sleep("20 millis")
      yield* Effect.sleep("500 millis")
      yield* Fiber.interrupt(caller)
      yield* insist(started.length === tasks, `${started.length} invocations, of ${tasks}`)
      yield* insist(quantile(started, 0) >= at, "a Task started early")
      return [
        { metric: `burst_${tasks}_all_started`, value: quantile(started, 1) - at, unit: "ms" },
        { metric: `burst_${tasks}_api_p99`, value: quantile(answers, 0.99), unit: "ms" }
      ]
    }).pipe(Effect.provide(storeScheduler(Lambda, { concurrency: 1_000, minConcurrency: 1_000 })))
  })

export default {
  about: "1,000 and 10,000 Tasks due at one instant",
  run: Effect.gen(function*() {
    yield* insistDurable
    return [...(yield* burst(1_000)), ...(yield* burst(10_000))]
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

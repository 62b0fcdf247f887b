/** How many Tasks a second are stored by `scheduleAll`. */
import { Effect, Layer } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import type { Bench } from "./support/Bench.ts"
import { insist, seconds } from "./support/Bench.ts"
import { bulkFloor } from "./support/floor.ts"
import { Connections, insistDurable, numberOf, Postgres, storeScheduler } from "./support/store.ts"
import { noop, noopLambda, payloadOf } from "./support/workload.ts"

const calls = 10
const each = 20_000

const entries = (call: number) =>
  Array.from({ length: each }, (_, n) => ({ payload: payloadOf(call * each + n), trigger: Trigger.after("1 day") }))

export default {
  about: `${calls} calls of scheduleAll with ${each} Tasks`,
  run: Effect.gen(function*() {
    yield* insistDurable
    const elapsed = yield* Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.scheduleAll(noop, entries(0))
      const [elapsed] = yield* seconds(
        Effect.forEach(
          Array.from({ length: calls }, (_, call) => call + 1),
          (call) => scheduler.scheduleAll(noop, entries(call)),
          { discard: true }
        )
      )
      return elapsed
    }).pipe(Effect.provide(storeScheduler(noopLambda(() => {}))))
    const stored = yield* numberOf("SELECT count(*) FROM lambda_scheduler.tasks")
    yield* insist(stored === (calls + 1) * each, `${stored} rows`)
    const floor = yield* bulkFloor(calls * each)
    return [
      { metric: "tasks_per_second", value: calls * each / elapsed, unit: "1/s" },
      { metric: "floor_per_second", value: floor, unit: "1/s" },
      { metric: "ratio", value: calls * each / elapsed / floor, unit: "" }
    ]
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

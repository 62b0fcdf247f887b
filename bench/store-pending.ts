/** The same with a million Tasks that are due much later: drain, lateness, and what it costs to look. */
import { Effect, Layer } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import type { Bench } from "./support/Bench.ts"
import { drain, fillDue } from "./support/drain.ts"
import { lateness } from "./support/lateness.ts"
import { Connections, databaseCpu, insistDurable, numberOf, Postgres, storeScheduler } from "./support/store.ts"
import { noop, noopLambda, payloadOf } from "./support/workload.ts"

const pending = 1_000_000
const tasks = 20_000
const watched = 10

const fillPending = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  for (let from = 0; from < pending; from += 20_000) {
    yield* scheduler.scheduleAll(
      noop,
      Array.from({ length: 20_000 }, (_, n) => ({ payload: payloadOf(from + n), trigger: Trigger.after("30 days") }))
    )
  }
}).pipe(Effect.provide(storeScheduler(noopLambda(() => {}))))

/** Share of a core that the database needs while nothing is due. */
const polling = Effect.gen(function*() {
  yield* LambdaScheduler
  yield* Effect.sleep("3 seconds")
  const before = yield* databaseCpu
  yield* Effect.sleep(watched * 1_000)
  return ((yield* databaseCpu) - before) * 100 / watched
}).pipe(Effect.provide(storeScheduler(noopLambda(() => {}))))

export default {
  about: `drain of ${tasks} Tasks and lateness, with ${pending} pending`,
  run: Effect.gen(function*() {
    yield* insistDurable
    yield* fillDue(tasks)
    const empty = yield* drain(tasks)
    yield* fillPending
    yield* numberOf("VACUUM ANALYZE lambda_scheduler.tasks")
    yield* numberOf("CHECKPOINT")
    yield* fillDue(tasks)
    const full = yield* drain(tasks)
    return [
      { metric: "drain_empty_per_second", value: tasks / empty, unit: "1/s" },
      { metric: "drain_per_second", value: tasks / full, unit: "1/s" },
      { metric: "drain_ratio", value: empty / full, unit: "" },
      ...(yield* lateness(20)),
      { metric: "polling_database_cpu", value: yield* polling, unit: "% of a core" }
    ]
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

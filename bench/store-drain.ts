/** How many Tasks that are due a second are claimed, started, run and settled with history, by one process. */
import { Deferred, Effect, Layer } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import type { Bench } from "./support/Bench.ts"
import { insist, seconds } from "./support/Bench.ts"
import { Connections, insistDurable, numberOf, Postgres, storeScheduler } from "./support/store.ts"
import { noop, noopLambda, payloadOf } from "./support/workload.ts"

const tasks = 20_000
const concurrency = 1_000

/** Stores Tasks that nobody claims: due a while from now, so that all wait when the drain begins. */
const fill = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  yield* scheduler.scheduleAll(
    noop,
    Array.from({ length: tasks }, (_, n) => ({ payload: payloadOf(n), trigger: Trigger.after("1 day") }))
  )
}).pipe(Effect.provide(storeScheduler(noopLambda(() => {}))))

const drain = Effect.gen(function*() {
  let invoked = 0
  const done = yield* Deferred.make<void>()
  const Lambda = noopLambda(() => {
    if (++invoked === tasks) Deferred.unsafeDone(done, Effect.void)
  })
  const left = numberOf("SELECT count(*) FROM lambda_scheduler.tasks WHERE status <> 'Succeeded'")
  const work = Effect.gen(function*() {
    yield* LambdaScheduler
    yield* Deferred.await(done)
    while ((yield* left) > 0) yield* Effect.sleep("5 millis")
  }).pipe(Effect.provide(storeScheduler(Lambda, { concurrency })))
  const [elapsed] = yield* seconds(work)
  const attempts = yield* numberOf("SELECT count(*) FROM lambda_scheduler.task_attempts WHERE outcome = 'succeeded'")
  yield* insist(
    attempts === tasks && invoked === tasks,
    `${attempts} attempts, ${invoked} invocations of ${tasks} Tasks`
  )
  return elapsed
})

export default {
  about: `${tasks} Tasks that are due, drained by one process`,
  run: Effect.gen(function*() {
    yield* insistDurable
    yield* fill
    yield* numberOf(
      "UPDATE lambda_scheduler.tasks SET due_at = due_at - 90000000, claimable_at = claimable_at - 90000000 RETURNING 1"
    )
    yield* numberOf("VACUUM ANALYZE lambda_scheduler.tasks")
    const elapsed = yield* drain
    return [{ metric: "tasks_per_second", value: tasks / elapsed, unit: "1/s" }]
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

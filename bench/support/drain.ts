/** Tasks that are due and wait for nobody but the process that is measured. */
import { Deferred, Effect } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { insist, seconds } from "./Bench.ts"
import { numberOf, storeScheduler } from "./store.ts"
import { noop, noopLambda, payloadOf } from "./workload.ts"

const concurrency = 2_000
const day = 86_400_000

/** Stores Tasks that are due, and that nobody has claimed. */
export const fillDue = (tasks: number) =>
  Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    yield* scheduler.scheduleAll(
      noop,
      Array.from({ length: tasks }, (_, n) => ({ payload: payloadOf(n), trigger: Trigger.after(day), name: "drained" }))
    )
  }).pipe(
    Effect.provide(storeScheduler(noopLambda(() => {}))),
    Effect.zipRight(numberOf(
      `UPDATE lambda_scheduler.tasks SET due_at = due_at - ${day + 1_000}, claimable_at = claimable_at - ${day + 1_000}
        WHERE name = 'drained' AND status = 'Scheduled' RETURNING 1`
    )),
    Effect.zipRight(numberOf("VACUUM ANALYZE lambda_scheduler.tasks"))
  )

/** How long one process takes to run and settle them all, in seconds. */
export const drain = (tasks: number) =>
  Effect.gen(function*() {
    let invoked = 0
    const done = yield* Deferred.make<void>()
    const Lambda = noopLambda(() => {
      if (++invoked === tasks) Deferred.unsafeDone(done, Effect.void)
    })
    const left = numberOf("SELECT count(*) FROM lambda_scheduler.tasks WHERE owner IS NOT NULL")
    const work = Effect.gen(function*() {
      yield* LambdaScheduler
      yield* Deferred.await(done)
      while ((yield* left) > 0) yield* Effect.sleep("5 millis")
      return yield* numberOf("SELECT count(*) FROM lambda_scheduler.task_attempts WHERE outcome = 'succeeded'")
    }).pipe(Effect.provide(storeScheduler(Lambda, { concurrency, minConcurrency: concurrency })))
    const before = yield* numberOf("SELECT count(*) FROM lambda_scheduler.task_attempts")
    const [elapsed, attempts] = yield* seconds(work)
    const ended = attempts - before
    yield* insist(ended === tasks && invoked === tasks, `${ended} attempts, ${invoked} invocations of ${tasks} Tasks`)
    return elapsed
  })

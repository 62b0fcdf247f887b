/** How late Tasks start that are due one after the other on the PostgreSQL store. */
import { Clock, Effect } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { insist, quantile } from "./Bench.ts"
import { storeScheduler } from "./store.ts"
import { noop, noopLambda, payloadOf } from "./workload.ts"

const perSecond = 100

/** p50, p99, max and earliest, in whole milliseconds of the clock that says when a Task is due. */
export const lateness = (duration: number, prefix = "") =>
  Effect.gen(function*() {
    const clock = yield* Clock.clockWith(Effect.succeed)
    const tasks = perSecond * duration
    const due = new Map<number, number>()
    const late: Array<number> = []
    const Lambda = noopLambda((request) => {
      const now = clock.unsafeCurrentTimeMillis()
      const { n } = JSON.parse(request.payload) as { n: number }
      late.push(now - (due.get(n) ?? NaN))
    })
    return yield* Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const first = clock.unsafeCurrentTimeMillis() + 3_000
      for (let n = 0; n < tasks; n++) due.set(n, first + (n * 1_000) / perSecond)
      yield* scheduler.scheduleAll(
        noop,
        Array.from(due, ([n, at]) => ({ payload: payloadOf(n), trigger: Trigger.at(at) }))
      )
      yield* Effect.sleep(first + duration * 1_000 + 1_000 - clock.unsafeCurrentTimeMillis())
      yield* insist(late.length === tasks, `${late.length} invocations, of ${tasks}`)
      return [
        { metric: `${prefix}p50`, value: quantile(late, 0.5), unit: "ms" },
        { metric: `${prefix}p99`, value: quantile(late, 0.99), unit: "ms" },
        { metric: `${prefix}max`, value: quantile(late, 1), unit: "ms" },
        { metric: `${prefix}earliest`, value: quantile(late, 0), unit: "ms" }
      ]
    }).pipe(Effect.provide(storeScheduler(Lambda)))
  })

/** How late Tasks start that are due one after the other, 100 a second. */
import { Clock, Effect, Layer, Stream } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import type { Bench } from "./support/Bench.ts"
import { insist, quantile } from "./support/Bench.ts"
import { noop, noopLambda, payloadOf } from "./support/workload.ts"

const perSecond = 100
const duration = 30
const tasks = perSecond * duration

const lateness = Effect.gen(function*() {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const due = new Map<number, number>()
  // The clock that says when a Task is due also says when it started; it counts whole milliseconds.
  const late: Array<number> = []
  const Lambda = noopLambda((request) => {
    const now = clock.unsafeCurrentTimeMillis()
    const { n } = JSON.parse(request.payload) as { n: number }
    late.push(now - (due.get(n) ?? NaN))
  })
  return yield* Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    yield* Effect.forkScoped(Stream.runDrain(scheduler.events))
    const first = clock.unsafeCurrentTimeMillis() + 2_000
    for (let n = 0; n < tasks; n++) {
      const at = first + (n * 1_000) / perSecond
      due.set(n, at)
      yield* scheduler.schedule(noop, { payload: payloadOf(n), trigger: Trigger.at(at) })
    }
    yield* Effect.sleep(first + duration * 1_000 + 1_000 - clock.unsafeCurrentTimeMillis())
    yield* insist(late.length === tasks, `${late.length} invocations, of ${tasks}`)
    const earliest = quantile(late, 0)
    yield* insist(earliest >= 0, `a Task started ${-earliest} ms early`)
    return [
      { metric: "p50", value: quantile(late, 0.5), unit: "ms" },
      { metric: "p99", value: quantile(late, 0.99), unit: "ms" },
      { metric: "max", value: quantile(late, 1), unit: "ms" },
      { metric: "earliest", value: earliest, unit: "ms" }
    ]
  }).pipe(
    Effect.scoped,
    Effect.provide(LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, Lambda))))
  )
})

export default {
  about: `${tasks} Tasks due ${1_000 / perSecond} ms apart: from dueAt to the invocation`,
  run: lateness
} satisfies Bench

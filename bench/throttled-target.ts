/** Tasks for a target that takes fewer calls than the engine could make: how many calls that costs, and how fast it goes. */
import { Effect, Layer } from "effect"
import { LambdaScheduler } from "effect-lambda-scheduler"
import type { LambdaClient } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import { called, makeTarget, throttledFigures, throttling } from "./peers/target.mjs"
import type { Bench } from "./support/Bench.ts"
import { insist } from "./support/Bench.ts"
import { Connections, insistDurable, Postgres, storeScheduler } from "./support/store.ts"
import { callAt, targetLambda } from "./support/target.ts"

const throttled = <E, R>(
  store: string,
  schedulerOf: (lambda: Layer.Layer<LambdaClient>) => Layer.Layer<LambdaScheduler, E, R>
) =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const now = () => clock.unsafeCurrentTimeMillis()
    const target = makeTarget({ ...throttling, now })
    const from = now() + 5_000
    const failed = yield* callAt(target, from, 100).pipe(
      Effect.provide(schedulerOf(targetLambda(target, throttling.runs)))
    )
    yield* insist(failed === 0, `${failed} Tasks have failed`)
    return throttledFigures(target, from).map((figure) => ({ ...figure, metric: `${store}_${figure.metric}` }))
  })

const onMemory = throttled(
  "memory",
  (lambda) => LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, lambda)))
)

const onPostgres = Effect.zipRight(insistDurable, throttled("postgres", (lambda) => storeScheduler(lambda))).pipe(
  Effect.provide(Layer.provideMerge(Connections, Postgres))
)

export default {
  about:
    `${called} Tasks for a target that takes ${throttling.concurrency} calls at once and ${throttling.rate} a second`,
  run: Effect.zipWith(onMemory, onPostgres, (memory, postgres) => [...memory, ...postgres])
} satisfies Bench

/** Tasks that are due when their target goes down for ten minutes of virtual time: what it is asked meanwhile, what is lost. */
import { Effect, Layer } from "effect"
import { LambdaScheduler } from "effect-lambda-scheduler"
import type { Millis } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import { VirtualClock } from "effect-lambda-scheduler/testing"
import { bestSecond, called, makeTarget, outageFigures, wellRuns } from "./peers/target.mjs"
import type { Bench } from "./support/Bench.ts"
import { insist, quantile } from "./support/Bench.ts"
import { callAt, targetLambda } from "./support/target.ts"

const minutes = 60_000
/** Ten outages, so that it does not matter at which moment between two of its attempts one ends. */
const outages = Array.from({ length: 10 }, (_, n) => 10 * minutes + n * 3_000)

const from = VirtualClock.defaultStart + 1_000

const calledDuring = (outage: Millis) =>
  Effect.gen(function*() {
    const { clock, scheduler: fibers } = VirtualClock.make()
    const target = makeTarget({ now: () => clock.unsafeCurrentTimeMillis(), downUntil: from + outage })
    const failed = yield* callAt(target, from, 1_000).pipe(
      Effect.provide(LambdaScheduler.layer.pipe(
        Layer.provide(Layer.merge(MemoryTaskRepository.layer, targetLambda(target, wellRuns)))
      )),
      Effect.withClock(clock),
      Effect.withScheduler(fibers)
    )
    return { target, failed }
  })

export default {
  about: `${called} Tasks due at the beginning of an outage of ten minutes, in virtual time`,
  run: Effect.gen(function*() {
    const calm = yield* calledDuring(0)
    yield* insist(calm.failed === 0, `${calm.failed} Tasks have failed without an outage`)
    const full = bestSecond(calm.target.calls.map(({ at }) => at))
    const runs = yield* Effect.forEach(outages, (outage) =>
      Effect.map(calledDuring(outage), ({ failed, target }) => [
        { metric: "lost", value: failed, unit: "Tasks" },
        ...outageFigures(target, from, from + outage, full)
      ]))
    const all = runs.flat()
    return [
      { metric: "full_rate", value: full, unit: "1/s" },
      ...[...new Map(all.map((figure) => [figure.metric, figure.unit]))].flatMap(([metric, unit]) => {
        const values = all.filter((figure) => figure.metric === metric).map(({ value }) => value)
        // What did not come to be after each outage has no middle.
        return values.length < outages.length ? [] : [
          { metric: `${metric}_p50`, value: quantile(values, 0.5), unit },
          { metric: `${metric}_max`, value: quantile(values, 1), unit }
        ]
      })
    ]
  })
} satisfies Bench

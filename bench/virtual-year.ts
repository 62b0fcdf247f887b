/** How long a year of a 10-second schedule takes in virtual time. */
import { Effect, Layer } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import { VirtualClock } from "effect-lambda-scheduler/testing"
import type { Bench } from "./support/Bench.ts"
import { insist, seconds } from "./support/Bench.ts"
import { noop, noopLambda, payloadOf } from "./support/workload.ts"

const interval = 10_000
const year = 365 * 86_400_000
const expected = year / interval

const virtualYear = Effect.gen(function*() {
  const { clock, scheduler: fibers } = VirtualClock.make()
  let invocations = 0
  let wrong = 0
  const Lambda = noopLambda(() => {
    if (clock.unsafeCurrentTimeMillis() !== VirtualClock.defaultStart + invocations * interval) wrong++
    invocations++
  })
  const aYear = Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    yield* scheduler.repeat(noop, { payload: payloadOf(0), trigger: Trigger.fixed(interval) })
    yield* Effect.sleep(year - 1)
  }).pipe(
    Effect.provide(LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, Lambda)))),
    Effect.withClock(clock),
    Effect.withScheduler(fibers)
  )
  const [elapsed] = yield* seconds(aYear)
  yield* insist(invocations === expected && wrong === 0, `${invocations} invocations, ${wrong} at a wrong instant`)
  return [
    { metric: "duration", value: elapsed, unit: "s" },
    { metric: "invocations", value: invocations, unit: "invocations" },
    { metric: "per_invocation", value: (elapsed * 1e6) / invocations, unit: "us" }
  ]
})

export default {
  about: `a year of Trigger.fixed("10 seconds"), ${expected} invocations, each at its exact instant`,
  run: virtualYear
} satisfies Bench

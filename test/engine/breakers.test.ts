/** What `scheduler.breakers` offers, in virtual time. The states themselves: `test/policies/breaker.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Stream, TestClock } from "effect"
import { EngineConfig, LambdaScheduler } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { counts, engine, instants, job, settleDown } from "./support.ts"

const retry = { maxAttempts: 100, backoff: "fixed", baseDelay: "1 second" } as const

describe("breakers", () => {
  it.effect("tell what they do; a reset closes one at once", () =>
    Effect.gen(function*() {
      const { breakers, scheduleAll } = yield* LambdaScheduler
      const seen = yield* Effect.fork(Stream.runCollect(Stream.take(breakers.transitions, 4)))
      yield* settleDown
      yield* scheduleAll(job, Array.from({ length: 10 }, () => ({ retry })))
      yield* settleDown
      assert.deepStrictEqual(yield* breakers.state("job"), {
        state: "open",
        openedAt: 0,
        until: 1_000,
        round: 1,
        reason: "ServiceError: Scripted failure: ServiceError"
      })
      assert.deepStrictEqual(Object.keys(yield* breakers.open), ["job"])
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* breakers.state("job")).state, "open")
      assert.deepStrictEqual((yield* instants()).filter((at) => at > 0), [1_000])
      yield* breakers.reset("job")
      assert.deepStrictEqual(yield* breakers.state("job"), { state: "closed" })
      assert.deepStrictEqual(yield* breakers.open, {})
      const transitions = Array.from(
        yield* Fiber.join(seen),
        ({ at, from, functionName, to }) => [functionName, from, to, at]
      )
      assert.deepStrictEqual(transitions, [
        ["job", "closed", "open", 0],
        ["job", "open", "half-open", 1_000],
        ["job", "half-open", "open", 1_000],
        ["job", "open", "closed", 1_000]
      ])
    }).pipe(Effect.provide(engine({ job: () => ScriptedLambdaClient.fail("ServiceError") }))))

  it.effect("lose nothing in an outage of ten minutes, and are soon over it", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.scheduleAll(job, Array.from({ length: 500 }, () => ({})))
      yield* TestClock.adjust("11 minutes")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 500 })
      const calls = yield* instants()
      // After the first second there are probes only: after 1, 2, 4, 8 and 16 seconds, and then twice a minute.
      const inVain = calls.filter((at) => at > 1_000 && at < Duration.toMillis("10 minutes"))
      assert.isAtMost(inVain.length, 30)
      assert.isBelow(calls[calls.length - 1] ?? Infinity, Duration.toMillis("631 seconds"))
    }).pipe(Effect.provide(engine({
      job: ({ at }) => at < Duration.toMillis("10 minutes") ? ScriptedLambdaClient.fail("ServiceError") : "fine"
    }))))

  it.effect("carry out calls of the user's own, and refuse them while they are open", () =>
    Effect.gen(function*() {
      const { breakers } = yield* LambdaScheduler
      let calls = 0
      let isWell = false
      const call = Effect.suspend(() => {
        calls++
        return isWell ? Effect.succeed("done") : Effect.fail("down")
      })
      const guarded = breakers.execute({ key: "crm" })(call)
      for (let n = 0; n < 10; n++) assert.strictEqual(yield* Effect.flip(guarded), "down")
      yield* settleDown
      const refused = yield* Effect.flip(guarded)
      assert.deepInclude(refused, { _tag: "BreakerOpen", key: "crm", until: 1_000 })
      assert.strictEqual(calls, 10)
      isWell = true
      yield* TestClock.adjust("1 second")
      // The first that comes asks for the right to probe.
      yield* Effect.flip(guarded)
      yield* settleDown
      assert.strictEqual(yield* guarded, "done")
      yield* settleDown
      assert.strictEqual((yield* breakers.state("crm")).state, "closed")
      assert.strictEqual(yield* guarded, "done")
    }).pipe(Effect.provide(engine())))

  it.effect("say nothing of what was interrupted, or what the user does not count", () =>
    Effect.gen(function*() {
      const { breakers } = yield* LambdaScheduler
      const never = breakers.execute({ key: "slow" })(Effect.never)
      const ignored = breakers.execute<never, string>({ key: "odd", classify: () => "ignored" })(Effect.fail("odd"))
      for (let n = 0; n < 30; n++) {
        yield* Fiber.interrupt(yield* Effect.fork(never))
        yield* Effect.flip(ignored)
      }
      yield* settleDown
      assert.deepStrictEqual(yield* breakers.open, {})
    }).pipe(Effect.provide(engine())))

  it.effect("never open where no number of calls is enough", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.scheduleAll(job, Array.from({ length: 50 }, () => ({ retry: { maxAttempts: 1 } })))
      yield* settleDown
      assert.deepStrictEqual(yield* counts(scheduler), { Failed: 50 })
    }).pipe(Effect.provide(engine(
      { job: () => ScriptedLambdaClient.fail("ServiceError") },
      { breaker: { ...EngineConfig.defaults.breaker, minimumCalls: Infinity } }
    ))))
})

/** What the engine learns from throttled calls, in virtual time. The rule itself: `test/policies/limiter.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, TestClock } from "effect"
import { LambdaScheduler } from "../../src/index.ts"
import type { Script } from "../../src/testing/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { counts, engine, instants, job, other, settleDown } from "./support.ts"

/** Takes a second, and so many at once, of all functions that share it. */
const limited = (most: number, accountWide: boolean): Script => {
  let running = 0
  return () =>
    Effect.suspend(() => {
      if (running >= most) return ScriptedLambdaClient.fail("Throttled", { throttle: "concurrency", accountWide })
      running++
      return Effect.ensuring(Effect.sleep("1 second"), Effect.sync(() => running--))
    })
}

const gauge = (limit: string) =>
  Effect.map(Metric.snapshot, (pairs) => {
    const found = pairs.find(({ metricKey }) =>
      metricKey.name === "lambda_scheduler_learned_limit" && metricKey.tags.some(({ value }) => value === limit)
    )
    return (found?.metricState as { readonly value?: number } | undefined)?.value
  })

const many = (count: number) => Array.from({ length: count }, () => ({}))

describe("throttled calls", () => {
  it.effect("teach how many of a function are taken; another is not held back by that", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const before = (yield* gauge("function_concurrency")) ?? 0
      yield* scheduler.scheduleAll(job, many(200))
      yield* TestClock.adjust("10 seconds")
      const { job: learned, ...rest } = yield* scheduler.limits.learned
      assert.deepStrictEqual(rest, {})
      assert.isAtLeast(learned?.concurrency ?? 0, 5)
      assert.isAtMost(learned?.concurrency ?? 0, 7)
      assert.strictEqual(yield* gauge("function_concurrency"), before + (learned?.concurrency ?? 0))
      yield* scheduler.scheduleAll(other, many(50))
      yield* settleDown
      assert.strictEqual((yield* instants("other")).length, 50)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 250 })
      // A hundred left before anything was known.
      assert.isAtMost((yield* instants()).length, 100 + 200 * 1.2)
    }).pipe(Effect.provide(engine({ job: limited(5, false) }, { concurrency: 100 }))))

  it.effect("teach how many are taken of all, if it is the account's limit", () => {
    const script = limited(10, true)
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.scheduleAll(job, many(100))
      yield* TestClock.adjust("5 seconds")
      yield* scheduler.scheduleAll(other, many(100))
      const from = (yield* instants()).length + (yield* instants("other")).length
      yield* TestClock.adjust("5 seconds")
      const learned = yield* scheduler.limits.learned
      assert.deepStrictEqual(Object.keys(learned), [""])
      assert.isAtLeast(learned[""]?.concurrency ?? 0, 10)
      assert.isAtMost(learned[""]?.concurrency ?? 0, 12)
      // Ten a second, and a few that try for more.
      assert.isAtMost((yield* instants()).length + (yield* instants("other")).length - from, 65)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 200 })
    }).pipe(Effect.provide(engine({ job: script, other: script }, { concurrency: 50 })))
  })
})

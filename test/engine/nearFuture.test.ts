import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { counts, engine, instants, job, other } from "./support.ts"

describe("the near future", () => {
  it.effect("full of what is due later, does not hold up what is due before that", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* Effect.replicateEffect(scheduler.schedule(other, { trigger: Trigger.after("50 seconds") }), 30)
      yield* scheduler.schedule(job)
      yield* scheduler.schedule(job, { trigger: Trigger.after("7 seconds") })
      yield* scheduler.schedule(job, { trigger: Trigger.after("3 seconds") })
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* instants(), [0, 3_000, 7_000])
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 33 })
      assert.isTrue((yield* instants("other")).every((at) => at === 50_000))
    }).pipe(Effect.provide(engine({}, { nearFutureCapacity: 10 }))))

  it.effect("full of what was cancelled, does not hold up anything", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (let i = 0; i < 20; i++) {
        const { id } = yield* scheduler.schedule(other, { trigger: Trigger.after("50 seconds") })
        yield* scheduler.cancel(id)
      }
      yield* Effect.replicateEffect(scheduler.schedule(job, { trigger: Trigger.after("1 second") }), 20)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* instants(), Array.from({ length: 20 }, () => 1_000))
    }).pipe(Effect.provide(engine({}, { nearFutureCapacity: 10 }))))

  it.effect("full, and as many slots as places: what is due first runs first, as the slots become free", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* Effect.replicateEffect(scheduler.schedule(other, { trigger: Trigger.after("50 seconds") }), 4)
      yield* Effect.replicateEffect(scheduler.schedule(job), 6)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* instants(), [0, 0, 5_000, 5_000, 10_000, 10_000])
    }).pipe(Effect.provide(engine(
      { job: () => Effect.sleep("5 seconds") },
      { concurrency: 2, nearFutureCapacity: 4 }
    ))))

  it.effect("new work does not overtake for ever what waits in the store", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* Effect.forEach(Array.from({ length: 40 }, (_, n) => n), (n) => scheduler.schedule(job, { payload: n }))
      // As fast as they run: one a second.
      for (let n = 40; n < 140; n++) {
        yield* TestClock.adjust("1 second")
        yield* scheduler.schedule(job, { payload: n })
      }
      const client = yield* ScriptedLambdaClient
      const order = (yield* client.invocations).map((invocation) => invocation.payload as number)
      assert.deepStrictEqual(order, Array.from({ length: order.length }, (_, n) => n))
      assert.isAtLeast(order.length, 100)
    }).pipe(Effect.provide(engine(
      { job: () => Effect.sleep("1 second") },
      { concurrency: 1, nearFutureCapacity: 10 }
    ))))

  it.effect("holds nothing at all when its capacity is 0, and still nothing is early or late", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (const delay of [0, 1, 1_000, 59_999, 60_000, 60_001, 90_000]) {
        yield* scheduler.schedule(job, { trigger: Trigger.after(delay) })
      }
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* instants(), [0, 1, 1_000, 59_999, 60_000, 60_001, 90_000])
    }).pipe(Effect.provide(engine({}, { nearFutureCapacity: 0 }))))
})

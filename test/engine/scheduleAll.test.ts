import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { down, quiet, storeWith } from "./brokenStore.ts"
import { counts, engine, instants, job } from "./support.ts"

describe("scheduleAll", () => {
  it.effect("stores all in as few statements as there can be, and answers in order", () => {
    const sizes: Array<number> = []
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const tasks = yield* scheduler.scheduleAll(
        job,
        Array.from(
          { length: 2_500 },
          (_, n) => ({ payload: n, trigger: Trigger.after(n % 2 === 0 ? "2 seconds" : "1 second") })
        )
      )
      assert.deepStrictEqual(tasks.map(({ payload }) => Number(payload)), Array.from({ length: 2_500 }, (_, n) => n))
      assert.strictEqual(new Set(tasks.map(({ id }) => id)).size, 2_500)
      assert.deepStrictEqual(sizes, [1_000, 1_000, 500])
      assert.strictEqual((yield* (yield* ScriptedLambdaClient).deployments).length, 1)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* instants(), Array.from({ length: 2_500 }, (_, n) => n < 1_250 ? 1_000 : 2_000))
    }).pipe(Effect.provide(engine(
      {},
      { concurrency: 10_000 },
      storeWith((memory) => ({
        insert: (tasks, ...more) => {
          sizes.push(tasks.length)
          return memory.insert(tasks, ...more)
        }
      }))
    )))
  })

  it.effect("of nothing is nothing", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      assert.deepStrictEqual(yield* scheduler.scheduleAll(job, []), [])
    }).pipe(Effect.provide(engine())))

  it.effect("checks every entry before anything is deployed or stored", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (
        const [bad, reason] of [
          [{ payload: undefined }, "PayloadNotJson"],
          [{ trigger: Trigger.after(-1) }, "IntervalInvalid"],
          [{ trigger: Trigger.at(NaN) }, "DateInvalid"],
          [{ tags: { "": "x" } }, "TagsInvalid"],
          [{ idempotencyKey: "" }, "IdempotencyKeyInvalid"],
          [{ retry: { maxAttempts: 0 } }, "RetryInvalid"]
        ] as const
      ) {
        const error = yield* Effect.flip(scheduler.scheduleAll(job, [{}, {}, bad, {}]))
        assert.deepInclude(error, { _tag: "InvalidInput", reason })
      }
      assert.deepStrictEqual(yield* counts(scheduler), {})
      assert.deepStrictEqual(yield* (yield* ScriptedLambdaClient).deployments, [])
    }).pipe(Effect.provide(engine())))

  it.effect("takes keys: an entry that is there is answered in its place, whether from before or from the same call", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const before = yield* scheduler.schedule(job, { payload: 1, idempotencyKey: "one" })
      const entries = [
        { payload: 0 },
        { payload: 1, idempotencyKey: "one" },
        { payload: 2, idempotencyKey: "two" },
        { payload: 2, idempotencyKey: "two" },
        { payload: 3 }
      ]
      const tasks = yield* scheduler.scheduleAll(job, entries)
      assert.deepStrictEqual(tasks.map(({ payload }) => payload), ["0", "1", "2", "2", "3"])
      assert.strictEqual(tasks[1]?.id, before.id)
      assert.strictEqual(tasks[2]?.id, tasks[3]?.id)
      const again = yield* scheduler.scheduleAll(job, entries)
      assert.deepStrictEqual(again.slice(1, 4).map(({ id }) => id), tasks.slice(1, 4).map(({ id }) => id))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* instants()).length, 2 + 2 * 2)
    }).pipe(Effect.provide(engine())))

  it.effect("fails by the first entry whose key was used otherwise; what is stored with it runs", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.schedule(job, { payload: 1, idempotencyKey: "k" })
      const error = yield* Effect.flip(scheduler.scheduleAll(job, [
        { payload: 0 },
        { payload: 7, idempotencyKey: "k" },
        { payload: 3 }
      ]))
      assert.deepInclude(error, { _tag: "IdempotencyConflict", reason: "OtherRequest", key: "k", id })
      yield* TestClock.adjust("1 minute")
      const { Scheduled = 0, Succeeded = 0 } = yield* counts(scheduler)
      assert.strictEqual(Scheduled, 0, "nothing that was stored is left behind")
      assert.strictEqual(Succeeded, 3)
    }).pipe(Effect.provide(engine())))

  it.effect("fails when the store does, and what it had stored before runs", () => {
    let inserts = 0
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const error = yield* Effect.flip(scheduler.scheduleAll(job, Array.from({ length: 2_500 }, () => ({}))))
      assert.deepInclude(error, { _tag: "TaskRepositoryError", reason: "Unavailable" })
      yield* TestClock.adjust("1 minute")
      const { Scheduled = 0, Succeeded = 0 } = yield* counts(scheduler)
      assert.strictEqual(Scheduled, 0)
      assert.strictEqual(Succeeded % 500, 0)
      assert.isAtLeast(Succeeded, 1_000)
    }).pipe(Effect.provide([
      engine(
        {},
        { concurrency: 10_000 },
        storeWith((memory) => ({ insert: (...request) => ++inserts === 2 ? down() : memory.insert(...request) }))
      ),
      quiet
    ]))
  })

  it.effect("a caller that gives up leaves nothing stored that does not run", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const asking = yield* Effect.fork(scheduler.scheduleAll(job, Array.from({ length: 1_500 }, () => ({}))))
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interruptFork(asking)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* counts(scheduler)).Scheduled, undefined)
    }).pipe(Effect.provide(engine(
      {},
      { concurrency: 10_000 },
      storeWith((memory) => ({ insert: (...request) => Effect.delay(memory.insert(...request), "100 millis") }))
    ))))
})

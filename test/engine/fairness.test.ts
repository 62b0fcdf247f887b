/** Who starts first where not everything that is due can start. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import { LambdaFunction, LambdaScheduler, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { connections, engineIn, storeIn } from "../adapters/sql/support.ts"
import { freshSchemaName } from "../support/postgres.ts"
import { counts, engine, instants, job, other } from "./support.ts"

const second = { job: () => Effect.sleep("1 second"), other: () => Effect.sleep("1 second") }

describe("where not everything can start at once", () => {
  it.effect(
    "a function that floods does not hold up another: 10,000 of one and 10 of the other",
    () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const begin = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* scheduler.scheduleAll(job, Array.from({ length: 10_000 }, () => ({})))
        yield* TestClock.adjust("5 seconds")
        yield* scheduler.scheduleAll(other, Array.from({ length: 10 }, () => ({})))
        yield* TestClock.adjust("5 seconds")
        const waits = (yield* instants("other")).map((at) => at - begin - 5_000)
        assert.strictEqual(waits.length, 10)
        assert.isBelow(Math.max(...waits), 2_000)
      }).pipe(Effect.provide(engine(second, { concurrency: 100 }))),
    30_000
  )

  it.effect("nor while it fills all that can be held: what it has beyond that waits in the store", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const begin = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* scheduler.scheduleAll(job, Array.from({ length: 500 }, () => ({})))
      yield* TestClock.adjust("5 seconds")
      yield* scheduler.scheduleAll(other, Array.from({ length: 5 }, () => ({})))
      yield* TestClock.adjust("5 seconds")
      const waits = (yield* instants("other")).map((at) => at - begin - 5_000)
      assert.strictEqual(waits.length, 5)
      assert.isBelow(Math.max(...waits), 3_000)
    }).pipe(Effect.provide(engine(second, { concurrency: 10, nearFutureCapacity: 20 }))))

  it.effect("and what is held here stays bounded, however many functions wait for their turn", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (let n = 0; n < 400; n++) yield* scheduler.schedule(LambdaFunction.existing(`function-${n}`))
      let most = 0
      for (let second = 0; second < 20; second++) {
        yield* TestClock.adjust("1 second")
        const { items } = yield* scheduler.list({ status: ["Scheduled"] })
        most = Math.max(most, items.filter(({ owner }) => owner !== undefined).length)
      }
      // Its capacity, and one look for those that have not had their share.
      assert.isAtMost(most, 10 + 100)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 400 })
    }).pipe(Effect.provide(engine(
      Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`function-${n}`, () => Effect.sleep("1 second")])),
      { concurrency: 1, nearFutureCapacity: 10 }
    ))))

  it.effect("what has more priority starts first, and what has less is late and not left", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.schedule(job, { payload: "first" })
      for (const [payload, priority] of [["low", -5], ["normal", 0], ["high", 10]] as const) {
        yield* scheduler.schedule(job, { payload, priority })
      }
      yield* TestClock.adjust("3 seconds")
      // Due ten seconds later: what has waited that long for want of five points comes before it.
      yield* scheduler.schedule(job, { payload: "later", priority: 0, trigger: Trigger.after("10 seconds") })
      yield* TestClock.adjust("1 minute")
      const payloads = (yield* scheduler.list()).items
        .map((task) => ({ payload: task.payload, at: task.attempts[0]?.startedAt ?? Infinity }))
        .sort((left, right) => left.at - right.at)
        .map(({ payload }) => payload)
      assert.deepStrictEqual(payloads, ["\"first\"", "\"high\"", "\"normal\"", "\"low\"", "\"later\""])
    }).pipe(Effect.provide(engine(second, { concurrency: 1 }))))

  it.live("on PostgreSQL too: what floods is passed over to find the others", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.scheduleAll(job, Array.from({ length: 3_000 }, () => ({})))
      yield* Effect.sleep("500 millis")
      const others = yield* scheduler.scheduleAll(other, Array.from({ length: 5 }, () => ({})))
      yield* Effect.forEach(others, ({ id }) => scheduler.awaitResult(id), { concurrency: "unbounded" })
      const { items } = yield* scheduler.list({ functionName: "other" })
      for (const { attempts, dueAt } of items) assert.isBelow((attempts[0]?.startedAt ?? Infinity) - dueAt, 2_000)
      const flood = yield* scheduler.backlog
      assert.isAbove(flood.due, 500)
    }).pipe(Effect.provide(
      Layer.suspend(() =>
        engineIn(freshSchemaName(), {
          connections: connections(),
          scripts: { job: () => Effect.sleep("200 millis"), other: () => Effect.sleep("200 millis") },
          settings: { concurrency: 20, nearFutureCapacity: 100 }
        })
      )
    )), 30_000)
})

describe("a cap", () => {
  for (
    const [store, layer] of [
      ["memory", () => MemoryTaskRepository.layer],
      ["PostgreSQL", () => storeIn(freshSchemaName()).pipe(Layer.provide(connections()))]
    ] as const
  ) {
    it.live(`bounds how many run at once, on three instances, and lets all of them run (${store})`, () => {
      let running = 0
      let most = 0
      const counted = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++running)
        }),
        () => Effect.sleep("20 millis"),
        () => Effect.sync(() => void running--)
      )
      return Effect.gen(function*() {
        const shared = yield* Layer.build(layer())
        const build = Effect.map(
          Layer.build(engine({ job: () => counted }, {}, Layer.succeedContext(shared) as never)),
          (context) => Effect.provide(LambdaScheduler, context)
        )
        const schedulers = yield* Effect.forEach(store === "memory" ? [1] : [1, 2, 3], () => Effect.flatten(build))
        const [first] = schedulers
        if (first === undefined) return assert.fail("there is one")
        yield* first.limits.set("job", { concurrency: 4 })
        assert.deepStrictEqual(yield* first.limits.get, { job: { concurrency: 4 } })
        if (schedulers.length > 1) yield* Effect.sleep("2 seconds")
        const tasks = yield* Effect.forEach(
          schedulers,
          (scheduler) => scheduler.scheduleAll(job, Array.from({ length: 30 }, () => ({}))),
          { concurrency: "unbounded" }
        )
        yield* Effect.forEach(tasks.flat(), ({ id }) => first.awaitResult(id), { concurrency: "unbounded" })
        assert.isAtMost(most, 4)
        assert.isAtLeast(most, 3)
      }).pipe(Effect.scoped)
    }, 30_000)
  }

  it.effect("that cannot be one is refused", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (const concurrency of [0, -1, 1.5, NaN, "4" as never]) {
        const error = yield* Effect.flip(scheduler.limits.set("job", { concurrency }))
        assert.deepInclude(error, { _tag: "InvalidInput", reason: "OptionInvalid", field: "concurrency" })
      }
    }).pipe(Effect.provide(engine())))
})

describe("a backlog under a cap", () => {
  it.effect(
    "waits in the store, in its order, and leaves the rest of the places to others",
    () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        yield* scheduler.limits.set("job", { concurrency: 2 })
        yield* scheduler.scheduleAll(job, Array.from({ length: 600 }, (_, payload) => ({ payload })))
        yield* TestClock.adjust("5 seconds")
        const begin = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* scheduler.scheduleAll(other, Array.from({ length: 40 }, () => ({})))
        yield* TestClock.adjust("5 seconds")
        const waits = (yield* instants("other")).map((at) => at - begin)
        assert.strictEqual(waits.length, 40)
        assert.isBelow(Math.max(...waits), 3_000)
        // Two a second, and none of them out of turn.
        yield* TestClock.adjust("5 minutes")
        assert.isAtLeast((yield* instants()).length, 590)
        const client = yield* ScriptedLambdaClient
        const order = (yield* client.invocationsOf("job")).map(({ payload }) => payload as number)
        const displaced = order.map((payload, place) => Math.abs(payload - place))
        assert.isAtMost(Math.max(...displaced), 5)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* instants()).length, 600)
      }).pipe(Effect.provide(engine(second, { concurrency: 20, nearFutureCapacity: 200 }))),
    60_000
  )
})

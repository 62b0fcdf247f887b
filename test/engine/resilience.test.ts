import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, TestClock } from "effect"
import { EngineConfig, LambdaScheduler, TaskRepositoryError, Trigger } from "../../src/index.ts"
import type { EngineSettings, InvocationErrorReason } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { quiet, storeWith } from "./brokenStore.ts"
import { counts, engine, instants, job, settleDown } from "./support.ts"

describe("retries", () => {
  it.effect("with full jitter, a later dueAt, and every attempt recorded", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job, { retry: { maxAttempts: 3, baseDelay: "10 seconds" } })
      yield* settleDown
      const waiting = yield* scheduler.get(task.id)
      assert.strictEqual(waiting.status, "Scheduled")
      assert.isTrue(waiting.dueAt >= 0 && waiting.dueAt <= 10_000)
      yield* TestClock.adjust("31 seconds")
      const done = yield* scheduler.get(task.id)
      assert.strictEqual(done.status, "Succeeded")
      assert.deepStrictEqual(done.attempts.map(({ ended, number }) => [number, ended?.outcome, ended?.error?.reason]), [
        [1, "failed", "FunctionError"],
        [2, "failed", "FunctionError"],
        [3, "succeeded", undefined]
      ])
      const client = yield* ScriptedLambdaClient
      assert.deepStrictEqual((yield* client.invocations).map(({ request }) => request.clientContext?.["attempt"]), [
        1,
        2,
        3
      ])
    }).pipe(Effect.provide(engine({
      job: ({ number }) => number < 3 ? ScriptedLambdaClient.fail("FunctionError") : "fine"
    }))))

  it.effect("end after maxAttempts, at once for what cannot be helped, and never spend a throttled attempt", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const retry = { maxAttempts: 2, baseDelay: "1 second" } as const
      const run = (reason: InvocationErrorReason) =>
        Effect.gen(function*() {
          const task = yield* scheduler.schedule(job, { payload: reason, retry })
          yield* TestClock.adjust("30 seconds")
          const done = yield* scheduler.get(task.id)
          return [reason, done.status, done.attempts.length]
        })
      assert.deepStrictEqual(
        yield* Effect.forEach(["FunctionError", "NotFound", "Throttled", "NoAnswer"] as const, run),
        [
          ["FunctionError", "Failed", 2],
          ["NotFound", "Failed", 1],
          ["Throttled", "Succeeded", 4],
          ["NoAnswer", "Failed", 2]
        ]
      )
    }).pipe(Effect.provide(engine({
      job: ({ payload, request }) =>
        payload === "Throttled" && Number(request.clientContext?.["attempt"]) > 3
          ? "at last"
          : ScriptedLambdaClient.fail(payload as InvocationErrorReason)
    }))))

  it.effect("at most once on request: an unknown outcome is final", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job, { retry: { onUnknown: "fail" } })
      yield* settleDown
      assert.deepInclude(yield* scheduler.get(task.id), { status: "Failed" })
    }).pipe(Effect.provide(engine({ job: () => ScriptedLambdaClient.fail("NoAnswer") }))))
})

describe("a start mark", () => {
  it.effect("that waited for its turn is acted on: only what the store took to confirm it counts", () => {
    const store = storeWith((memory) => ({
      start: (lease, marks, now) =>
        Effect.delay(memory.start(lease, marks, now), "3 seconds").pipe(
          Effect.map((verdicts) =>
            verdicts.map((verdict) => verdict._tag === "Started" ? { ...verdict, waited: 2_500 } : verdict)
          )
        )
    }))
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.schedule(job)
      yield* TestClock.adjust("4 seconds")
      const done = yield* scheduler.get(id)
      assert.deepStrictEqual(done.attempts.map(({ ended }) => ended?.outcome), ["succeeded"])
    }).pipe(Effect.provide(engine({}, {}, store)))
  })
})

describe("the dispatcher", () => {
  it.effect("goes on after a defect in one tick, and says so meanwhile", () => {
    let broken = false
    const store = storeWith((memory) => ({
      claimDue: (request) => broken ? Effect.die(new Error("boom")) : memory.claimDue(request)
    }))
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.ready
      broken = true
      yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour") })
      const failed = yield* Effect.flip(scheduler.ready)
      assert.include(failed.message, "boom")
      broken = false
      yield* scheduler.ready
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* instants(), [3_600_000])
    }).pipe(Effect.provide(Layer.merge(engine({}, {}, store), quiet)))
  })

  it.effect("is not ready while it hangs", () => {
    let hangs = false
    const store = storeWith((memory) => ({
      claimDue: (request) => hangs ? Effect.never : memory.claimDue(request)
    }))
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.ready
      hangs = true
      const probe = yield* Effect.fork(Effect.flip(scheduler.ready))
      yield* TestClock.adjust("2 seconds")
      assert.include((yield* Fiber.join(probe)).message, "2 seconds")
    }).pipe(Effect.provide(engine({}, {}, store)))
  })

  it.effect("asks again after a moment for what is due and not to be had", () => {
    let asked = 0
    const store = storeWith(() => ({
      shared: true,
      claimDue: ({ now }) => Effect.sync(() => ({ tasks: [], nextAt: ++asked < 1_000 ? now : undefined }))
    }))
    return Effect.gen(function*() {
      yield* LambdaScheduler
      yield* TestClock.adjust("1 second")
      assert.isAtLeast(asked, 10)
      assert.isAtMost(asked, 25)
    }).pipe(Effect.provide(engine({}, {}, store)))
  })

  it.effect("claims no more than fits, and the rest when there is room again", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* Effect.replicateEffect(scheduler.schedule(job, { trigger: Trigger.after("10 seconds") }), 50)
      const owned = (yield* scheduler.list()).items.filter((task) => task.owner !== undefined)
      assert.strictEqual(owned.length, 10)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 50 })
    }).pipe(Effect.provide(engine({}, { nearFutureCapacity: 10 }))))
})

describe("a store that fails for a while", () => {
  it.effect("outcomes are kept and tried again until they are taken: nothing runs twice", () => {
    let outages = 5
    const store = storeWith((memory) => ({
      settle: (lease, settlements) =>
        outages-- > 0
          ? new TaskRepositoryError({ reason: "Unavailable", message: "down" })
          : memory.settle(lease, settlements)
    }))
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* scheduler.get(task.id)).status, "Succeeded")
      assert.strictEqual((yield* instants()).length, 1)
    }).pipe(Effect.provide(Layer.merge(engine({}, {}, store), quiet)))
  })

  it.effect("a start mark that took too long to be answered is not acted on", () => {
    let slow = true
    const store = storeWith((memory) => ({
      start: (lease, marks, now) => {
        const mark = memory.start(lease, marks, now)
        const answer = slow ? Effect.delay(mark, "1500 millis") : mark
        slow = false
        return answer
      }
    }))
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job)
      yield* TestClock.adjust("10 seconds")
      const done = yield* scheduler.get(task.id)
      assert.deepStrictEqual(done.attempts.map(({ ended }) => ended?.outcome), ["notSent", "succeeded"])
      assert.strictEqual((yield* instants()).length, 1)
    }).pipe(Effect.provide(engine({}, {}, store)))
  })
})

describe("history", () => {
  const finished = (settings: Partial<EngineSettings>) =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* Effect.replicateEffect(scheduler.schedule(job), 30)
      yield* settleDown
      const pending = yield* scheduler.schedule(job, { trigger: Trigger.after("1 day") })
      const before = (yield* scheduler.list()).items.length
      yield* TestClock.adjust("3 hours")
      const after = (yield* scheduler.list()).items
      assert.isTrue(after.some((task) => task.id === pending.id), "what is live is never pruned")
      return [before, after.length]
    }).pipe(Effect.provide(engine({}, settings)))

  it.effect("is kept by count", () =>
    Effect.map(finished({ retentionCount: 10 }), (kept) => assert.deepStrictEqual(kept, [11, 11])))

  it.effect("is kept by age", () =>
    Effect.map(finished({ retentionAge: 3_600_000 }), (kept) => assert.deepStrictEqual(kept, [31, 1])))

  it.effect("an idle engine does not wake for it", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.schedule(job)
      // At 4 ms a wake this would take hours if every round of pruning woke it.
      yield* TestClock.setTime(60 * 365 * 86_400_000)
      assert.deepStrictEqual(yield* counts(scheduler), {})
    }).pipe(Effect.provide(engine())))

  it("defaults are those of the documentation", () => {
    assert.deepInclude(EngineConfig.defaults, {
      concurrency: 1_000,
      minConcurrency: 100,
      retentionCount: 100_000,
      horizon: 60_000
    })
  })
})

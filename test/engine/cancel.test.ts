import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Random, Scope, TestClock } from "effect"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { counts, engine, instants, job, other, settleDown } from "./support.ts"

describe("cancel", () => {
  it.effect("once it has answered, nothing of it starts any more", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const near = yield* scheduler.schedule(job, { trigger: Trigger.after("1 second") })
      const far = yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour") })
      const cancelled = yield* scheduler.cancel(near.id)
      assert.strictEqual(cancelled.status, "Cancelled")
      yield* scheduler.cancel(far.id)
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(yield* instants(), [])
    }).pipe(Effect.provide(engine())))

  it.effect("a running one is aborted, and a late result cannot turn it back", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const client = yield* ScriptedLambdaClient
      const stubborn = yield* scheduler.schedule(other)
      const task = yield* scheduler.schedule(job)
      yield* TestClock.adjust("1 second")
      yield* scheduler.cancel(task.id)
      yield* scheduler.cancel(stubborn.id)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* client.invocationsOf("job"))[0]?.outcome, "interrupted")
      const after = yield* scheduler.get(task.id)
      assert.strictEqual(after.status, "Cancelled")
      assert.strictEqual(after.attempts[0]?.ended?.outcome, "unknown")
      assert.strictEqual((yield* scheduler.get(stubborn.id)).status, "Cancelled")
    }).pipe(Effect.provide(engine({
      job: () => Effect.sleep("10 seconds"),
      // Cannot be aborted: it answers after it was cancelled.
      other: () => Effect.uninterruptible(Effect.as(Effect.sleep("10 seconds"), "late"))
    }))))

  it.effect("twice is fine; a finished Task and an unknown one are typed errors", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const pending = yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour") })
      const first = yield* scheduler.cancel(pending.id)
      assert.deepStrictEqual(yield* scheduler.cancel(pending.id), first)
      const done = yield* scheduler.schedule(job)
      yield* settleDown
      assert.strictEqual((yield* Effect.flip(scheduler.cancel(done.id)))._tag, "TaskFinished")
      const unknown = "018bcfe5-6800-7000-8000-000100000002" as typeof done.id
      assert.strictEqual((yield* Effect.flip(scheduler.cancel(unknown)))._tag, "TaskNotFound")
    }).pipe(Effect.provide(engine())))

  for (const trigger of [Trigger.spaced("10 seconds"), Trigger.fixed("10 seconds")]) {
    it.effect(`a schedule (${trigger._tag}) between two runs and during one`, () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const between = yield* scheduler.repeat(job, { name: "between", trigger })
        const during = yield* scheduler.repeat(other, { name: "during", trigger })
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual((yield* scheduler.cancelSchedule(between.id)).status, "Cancelled")
        yield* scheduler.cancelSchedule(during.id)
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual([yield* instants(), yield* instants("other")], [[0], [0]])
        assert.strictEqual((yield* scheduler.cancelSchedule(during.id)).status, "Cancelled", "twice is fine")
        assert.isUndefined((yield* counts(scheduler)).Scheduled)
      }).pipe(Effect.provide(engine({ other: () => Effect.sleep("5 seconds") }))))
  }

  it.effect("a function: its Tasks and its schedules, and nobody else's", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.repeat(job, { name: "a", trigger: Trigger.spaced("1 second") })
      yield* scheduler.repeat(job, { name: "b", trigger: Trigger.fixed("1 second") })
      yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour"), name: "c" })
      yield* scheduler.schedule(other, { trigger: Trigger.after("1 hour") })
      yield* settleDown
      const cancelled = yield* scheduler.cancelFunction("job")
      assert.strictEqual(cancelled.schedules.length, 2)
      assert.deepStrictEqual(cancelled.tasks.map((task) => task.name).sort(), ["a", "b", "c"])
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(yield* instants(), [0, 0])
      assert.strictEqual((yield* instants("other")).length, 1)
    }).pipe(Effect.provide(engine())))

  it.effect("a retry that waits", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job, { retry: { maxAttempts: 9, baseDelay: "1 minute" } })
      yield* settleDown
      yield* scheduler.cancel(task.id)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* instants()).length, 1)
    }).pipe(Effect.provide(engine({ job: () => ScriptedLambdaClient.fail("FunctionError") }))))

  it.live("races with the fire at random offsets: after the answer nothing starts, and the status says what was", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const client = yield* ScriptedLambdaClient
      let lost = 0
      for (let round = 0; round < 300; round++) {
        const task = yield* scheduler.schedule(job, { trigger: Trigger.after(2) })
        const turns = yield* Random.nextIntBetween(0, 60)
        for (let turn = 0; turn < turns; turn++) {
          yield* Effect.promise(() => new Promise((resume) => setImmediate(resume)))
        }
        const answer = yield* Effect.either(scheduler.cancel(task.id))
        const begun = (yield* client.invocations).filter(({ request }) =>
          request.clientContext?.["taskId"] === task.id
        ).length
        const now = yield* scheduler.get(task.id)
        if (answer._tag === "Left") {
          lost++
          assert.strictEqual(now.status, "Succeeded")
        } else {
          assert.strictEqual(now.status, "Cancelled")
          assert.strictEqual(now.attempts.length, begun)
        }
      }
      yield* Effect.sleep("20 millis")
      const begun = new Set((yield* client.invocations).map(({ request }) => request.clientContext?.["taskId"]))
      const { items } = yield* scheduler.list()
      for (const task of items) assert.strictEqual(begun.has(task.id), task.attempts.length > 0)
      assert.isAbove(lost, 0, "some fires must have won")
      assert.isBelow(lost, 300, "some cancels must have won")
    }).pipe(Effect.provide(engine({ job: () => "done" }))))
})

describe("shutdown", () => {
  it.effect("takes no more work, waits for what runs, and only then closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        engine({ job: () => Effect.as(Effect.sleep("5 seconds"), "done") }, { shutdownGrace: 30_000 }),
        scope
      )
      const scheduler = yield* Effect.provide(LambdaScheduler, context)
      const task = yield* scheduler.schedule(job)
      const later = yield* scheduler.schedule(job, { trigger: Trigger.after("2 seconds") })
      yield* settleDown
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("4 seconds")
      assert.isNull(closing.unsafePoll(), "waits")
      assert.strictEqual((yield* Effect.flip(scheduler.schedule(job)))._tag, "SchedulerClosed")
      yield* TestClock.adjust("1 second")
      assert.isNotNull(closing.unsafePoll(), "does not wait longer than it must")
      assert.strictEqual((yield* scheduler.get(task.id)).status, "Succeeded")
      const handedBack = yield* scheduler.get(later.id)
      assert.deepInclude(handedBack, { status: "Scheduled", owner: undefined })
    }))

  it.effect("interrupts what runs longer than the grace, and records that the outcome is unknown", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        engine({ job: () => Effect.sleep("1 minute") }, { shutdownGrace: 30_000 }),
        scope
      )
      const scheduler = yield* Effect.provide(LambdaScheduler, context)
      const task = yield* scheduler.schedule(job)
      yield* scheduler.repeat(job, { trigger: Trigger.fixed("10 seconds") })
      yield* settleDown
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("30 seconds")
      assert.isNotNull(closing.unsafePoll())
      const left = yield* scheduler.get(task.id)
      assert.strictEqual(left.attempts[0]?.ended?.outcome, "unknown")
      assert.strictEqual(left.status, "Scheduled")
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { storeWith } from "./brokenStore.ts"
import { counts, engine, instants, other } from "./support.ts"

/** Every write to this store is answered a second after it was made. */
const slowToAnswer = storeWith((memory) => {
  const late = <A, E>(write: Effect.Effect<A, E>) => Effect.zipLeft(write, Effect.sleep("1 second"))
  return {
    insert: (tasks, claim) => late(memory.insert(tasks, claim)),
    insertSchedule: (...args) => late(memory.insertSchedule(...args)),
    cancel: (lease, target, now) => late(memory.cancel(lease, target, now))
  }
})

/** Gives up on an effect half a second after it began; it is over by the end of the next second at the latest. */
const giveUp = (effect: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const caller = yield* Effect.fork(effect)
    yield* TestClock.adjust("500 millis")
    yield* Fiber.interruptFork(caller)
    yield* TestClock.adjust("1 second")
    assert.isNotNull(caller.unsafePoll(), "the caller's fiber is over")
  })

describe("a caller that gives up", () => {
  it.effect("on schedule: what is stored by then runs all the same", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* giveUp(scheduler.schedule(other, { trigger: Trigger.after("10 seconds") }))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 1 })
      assert.deepStrictEqual(yield* instants("other"), [10_000])
    }).pipe(Effect.provide(engine({}, {}, slowToAnswer))))

  for (const trigger of [Trigger.spaced("10 seconds"), Trigger.fixed("10 seconds")]) {
    it.effect(`on repeat (${trigger._tag}): what is stored by then recurs all the same`, () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        yield* giveUp(scheduler.repeat(other, { trigger, initialDelay: "10 seconds" }))
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* instants("other"), [10_000, 20_000, 30_000])
      }).pipe(Effect.provide(engine({}, {}, slowToAnswer))))

    it.effect(`on cancel: the schedule (${trigger._tag}) goes on`, () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const repeating = yield* Effect.fork(scheduler.repeat(other, { trigger, initialDelay: "10 seconds" }))
        yield* TestClock.adjust("1 second")
        const { id } = yield* Fiber.join(repeating)
        const [pending] = (yield* scheduler.list({ scheduleId: id })).items
        if (pending === undefined) return assert.fail("an occurrence waits")
        yield* giveUp(scheduler.cancel(pending.id))
        assert.strictEqual((yield* scheduler.get(pending.id)).status, "Cancelled")
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* instants("other"), [20_000, 30_000])
      }).pipe(Effect.provide(engine({}, {}, slowToAnswer))))
  }

  it.effect("on awaitResult leaves nothing behind, and others still get theirs", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.schedule(other, { trigger: Trigger.after("10 seconds") })
      const patient = yield* Effect.fork(scheduler.awaitResult(id))
      yield* giveUp(scheduler.awaitResult(id))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(patient), null)
    }).pipe(Effect.provide(engine())))
})

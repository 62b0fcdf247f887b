import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer, TestClock } from "effect"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { counts, engine, instants, job, other } from "./support.ts"

const hour = 3_600_000

/** A wall clock that somebody sets, while the timers run on; functions are asked what it says. */
const settable = Effect.map(Effect.clock, (timers) => {
  let offset = 10 * hour
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => timers.unsafeCurrentTimeMillis() + offset,
    unsafeCurrentTimeNanos: () => timers.unsafeCurrentTimeNanos(),
    currentTimeMillis: Effect.sync(() => timers.unsafeCurrentTimeMillis() + offset),
    currentTimeNanos: timers.currentTimeNanos,
    sleep: (duration) => timers.sleep(duration)
  }
  const step = (by: number) =>
    Effect.sync(() => {
      offset += by
    })
  return { clock, step, now: clock.currentTimeMillis }
})

describe("a wall clock that is set", () => {
  it.scoped("forward: what is due by then runs once, within the longest sleep, and the grid is kept", () =>
    Effect.gen(function*() {
      const { clock, now, step } = yield* settable
      yield* Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const begin = yield* now
        yield* scheduler.schedule(job, { trigger: Trigger.after("30 seconds") })
        yield* scheduler.schedule(job, { trigger: Trigger.after("30 minutes") })
        yield* scheduler.schedule(job, { trigger: Trigger.after("5 hours") })
        const { id } = yield* scheduler.repeat(other, { trigger: Trigger.fixed("20 minutes") })
        yield* TestClock.adjust("1 second")
        yield* step(2 * hour)
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual((yield* instants()).length, 2)
        const grid = (yield* instants("other")).map((at) => at - begin)
        assert.strictEqual(
          grid.length,
          2,
          `the first, and the latest that had passed for all of them: ${grid.join()}`
        )
        yield* TestClock.adjust("1 hour")
        const later = (yield* instants("other")).map((at) => at - begin).slice(2)
        assert.deepStrictEqual(later.map((at) => at % 1_200_000), later.map(() => 0))
        assert.strictEqual(later.length, 3)
        assert.strictEqual((yield* scheduler.getSchedule(id)).missed, 5)
      }).pipe(Effect.provide(yield* Effect.withClock(Layer.build(engine()), clock)))
    }))

  it.scoped("back: nothing runs twice, nothing early, and schedules go on when their next instant comes", () =>
    Effect.gen(function*() {
      const { clock, now, step } = yield* settable
      yield* Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const begin = yield* now
        yield* scheduler.schedule(job, { trigger: Trigger.after("30 seconds") })
        yield* scheduler.schedule(job, { trigger: Trigger.after("30 minutes") })
        yield* scheduler.repeat(other, { trigger: Trigger.fixed("20 minutes") })
        yield* TestClock.adjust("45 minutes")
        assert.deepStrictEqual((yield* instants()).map((at) => at - begin), [30_000, 1_800_000])
        yield* step(-hour)
        yield* TestClock.adjust("70 minutes")
        assert.strictEqual((yield* instants()).length, 2)
        assert.deepStrictEqual((yield* instants("other")).map((at) => at - begin), [0, 1_200_000, 2_400_000])
        yield* scheduler.schedule(job)
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual((yield* instants("other")).map((at) => at - begin), [0, 1_200_000, 2_400_000, 3_600_000])
        assert.strictEqual((yield* instants()).length, 3, "what is due now by the new time runs now")
        assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 7, Scheduled: 1 })
      }).pipe(Effect.provide(yield* Effect.withClock(Layer.build(engine()), clock)))
    }))

  it.scoped("and timers that fire a few milliseconds early, as setTimeout does: nothing starts early", () =>
    Effect.gen(function*() {
      const { clock } = yield* settable
      const hasty: Clock.Clock = {
        ...clock,
        sleep: (duration) => clock.sleep(Duration.millis(Math.max(1, Duration.toMillis(duration) - 4)))
      }
      yield* Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { dueAt } = yield* scheduler.schedule(job, { trigger: Trigger.after("30 seconds") })
        const { cursor } = yield* scheduler.repeat(other, { trigger: Trigger.fixed("20 seconds") })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* instants(), [dueAt])
        assert.deepStrictEqual(
          (yield* instants("other")).map((at) => at - cursor),
          [0, 20_000, 40_000, 60_000]
        )
      }).pipe(Effect.provide(yield* Effect.withClock(Layer.build(engine()), hasty)))
    }))
})

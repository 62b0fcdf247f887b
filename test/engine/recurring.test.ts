import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, Schedule, TestClock } from "effect"
import { effectSchedule, makeScheduleDrivers } from "../../src/engine/ScheduleDrivers.ts"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import type { ScheduledTask, TaskScheduleId } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { aSchedule } from "../support/builders.ts"
import { counts, engine, instants, job, other, settleDown } from "./support.ts"

describe("repeat", () => {
  it.effect("spaced: from the end of one run to the start of the next", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.repeat(job, { trigger: Trigger.spaced("10 seconds") })
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(yield* instants(), [0, 13_000, 26_000, 39_000])
    }).pipe(Effect.provide(engine({ job: () => Effect.sleep("3 seconds") }))))

  it.effect("fixed: anchored, whatever the runs take", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* TestClock.setTime(7)
      yield* scheduler.repeat(job, { trigger: Trigger.fixed("10 seconds"), initialDelay: "5 seconds" })
      yield* TestClock.adjust("36 seconds")
      assert.deepStrictEqual(yield* instants(), [5_007, 15_007, 25_007, 35_007])
    }).pipe(Effect.provide(engine({ job: ({ number }) => Effect.sleep(number * 2_000) }))))

  it.effect("fixed: an occurrence that overlaps is skipped, recorded, and the schedule moves on", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(job, { trigger: Trigger.fixed("10 seconds"), maxRuns: 2 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* instants(), [0, 20_000], "a skipped occurrence is not a run")
      const tasks = (yield* scheduler.list({ scheduleId: id })).items
      assert.deepStrictEqual(tasks.map((task) => [task.nominalAt, task.status]), [
        [20_000, "Succeeded"],
        [10_000, "Skipped"],
        [0, "Succeeded"]
      ])
      assert.strictEqual((yield* scheduler.getSchedule(id)).status, "Completed")
    }).pipe(Effect.provide(engine({ job: () => Effect.sleep("15 seconds") }))))

  for (const trigger of [Trigger.spaced("10 seconds"), Trigger.fixed("10 seconds")]) {
    it.effect(`${trigger._tag}: maxRuns 1, 2 and without end`, () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const once = yield* scheduler.repeat(job, { name: "once", trigger, maxRuns: 1 })
        const twice = yield* scheduler.repeat(job, { name: "twice", trigger, maxRuns: 2 })
        const endless = yield* scheduler.repeat(job, { name: "endless", trigger })
        yield* TestClock.adjust("95 seconds")
        const runs = (id: TaskScheduleId) =>
          Effect.map(scheduler.list({ scheduleId: id, status: ["Succeeded"] }), (page) => page.items.length)
        assert.deepStrictEqual(yield* Effect.forEach([once.id, twice.id, endless.id], runs), [1, 2, 10])
        const statuses = yield* Effect.forEach([once.id, twice.id, endless.id], scheduler.getSchedule)
        assert.deepStrictEqual(statuses.map((schedule) => schedule.status), ["Completed", "Completed", "Active"])
        assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 13, Scheduled: 1 })
      }).pipe(Effect.provide(engine())))
  }

  it.effect("two schedules of one function have names, payloads and lives of their own", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const client = yield* ScriptedLambdaClient
      const fast = yield* scheduler.repeat(job, { name: "fast", payload: 1, trigger: Trigger.spaced("1 second") })
      yield* scheduler.repeat(job, { name: "slow", payload: 2, trigger: Trigger.spaced("4 seconds") })
      yield* TestClock.adjust("8 seconds")
      yield* scheduler.cancelSchedule(fast.id)
      yield* TestClock.adjust("8 seconds")
      const payloads = (yield* client.invocations).map((invocation) => invocation.payload as number)
      assert.strictEqual(payloads.filter((payload) => payload === 1).length, 9)
      assert.strictEqual(payloads.filter((payload) => payload === 2).length, 5)
    }).pipe(Effect.provide(engine())))

  it.effect("a zero delay and an instant answer do not race the schedule's own bookkeeping", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(other, { trigger: Trigger.fixed("1 second"), initialDelay: 0, maxRuns: 3 })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* instants("other"), [0, 1_000, 2_000])
      assert.strictEqual((yield* scheduler.getSchedule(id)).runs, 3)
    }).pipe(Effect.provide(engine())))

  it.effect("an interval beyond the longest timer", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const month = 30 * 86_400_000
      yield* scheduler.repeat(job, { name: "a", trigger: Trigger.spaced("30 days") })
      yield* scheduler.repeat(other, { name: "b", trigger: Trigger.fixed("30 days") })
      yield* TestClock.adjust(2 * month + 1)
      assert.deepStrictEqual(yield* instants(), [0, month, 2 * month])
      assert.deepStrictEqual(yield* instants("other"), [0, month, 2 * month])
    }).pipe(Effect.provide(engine({}, { longestSleep: 86_400_000 }))))

  it.effect("a failing run is retried, and the schedule goes on after it", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(job, {
        trigger: Trigger.spaced("1 minute"),
        retry: { maxAttempts: 2, baseDelay: "1 second" }
      })
      yield* TestClock.adjust("90 seconds")
      const tasks = (yield* scheduler.list({ scheduleId: id })).items
      assert.deepStrictEqual(tasks.map((task) => [task.status, task.attempts.length]), [
        ["Scheduled", 0],
        ["Succeeded", 1],
        ["Failed", 2]
      ])
      const failed = tasks[2]
      assert.strictEqual(tasks[1]?.nominalAt, (failed?.attempts[1]?.ended?.at ?? 0) + 60_000)
    }).pipe(Effect.provide(engine({
      job: ({ number }) => number <= 2 ? ScriptedLambdaClient.fail("FunctionError") : "fine"
    }))))

  it.effect("a cancelled occurrence does not end its schedule", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const fixed = yield* scheduler.repeat(job, {
        name: "f",
        trigger: Trigger.fixed("10 seconds"),
        initialDelay: "10 seconds"
      })
      const spaced = yield* scheduler.repeat(other, {
        name: "s",
        trigger: Trigger.spaced("10 seconds"),
        initialDelay: "10 seconds"
      })
      yield* TestClock.adjust("4 seconds")
      for (const { id } of [fixed, spaced]) {
        const [pending] = (yield* scheduler.list({ scheduleId: id })).items
        if (pending !== undefined) yield* scheduler.cancel(pending.id)
      }
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* instants(), [20_000, 30_000])
      assert.deepStrictEqual(yield* instants("other"), [20_000, 30_000])
    }).pipe(Effect.provide(engine())))

  it.effect("a running occurrence that is cancelled is followed by the next", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(job, { trigger: Trigger.spaced("10 seconds"), maxRuns: 2 })
      yield* TestClock.adjust("4 seconds")
      const [running] = (yield* scheduler.list({ scheduleId: id, status: ["Running"] })).items
      assert.isDefined(running)
      if (running !== undefined) yield* scheduler.cancel(running.id)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* instants(), [0, 14_000])
      const [last] = (yield* scheduler.list({ scheduleId: id, status: ["Running"] })).items
      if (last !== undefined) yield* scheduler.cancel(last.id)
      assert.strictEqual((yield* scheduler.getSchedule(id)).status, "Completed")
    }).pipe(Effect.provide(engine({ job: () => Effect.sleep("10 minutes") }))))
})

describe("the fiber of a schedule", () => {
  it.effect("is alive between two runs, driven by an Effect Schedule, and interrupted by a cancel", () =>
    Effect.gen(function*() {
      const id = "018bcfe5-6800-7000-8000-000100000002" as TaskScheduleId
      const handed: Array<number> = []
      const clock = yield* Effect.clock
      const task = { id: "a", scheduleId: id, dueAt: 0 } as unknown as ScheduledTask
      const drivers = yield* makeScheduleDrivers(clock, 600_000, (occurrence) => {
        handed.push(occurrence.dueAt)
        const ended = occurrence as ScheduledTask
        drivers.followed("end", ended, { ...ended, dueAt: ended.dueAt + 10_000 })
      })
      drivers.start(aSchedule({ id, recurrence: { _tag: "Spaced", v: 1, interval: 10_000 } }), task)
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(handed, [0, 10_000])
      const fiber = Option.getOrThrow(drivers.fiber(id))
      assert.isNull(fiber.unsafePoll(), "one live fiber between two runs")
      yield* drivers.stop(id)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      assert.isTrue(Option.isNone(drivers.fiber(id)))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(handed, [0, 10_000])
    }))

  it.effect("sees Schedule.spaced for spaced, and the next instant of the rule for anchored ones", () =>
    Effect.gen(function*() {
      const millis = (delays: Iterable<Duration.Duration>) => [...delays].map(Duration.toMillis)
      const spaced = Schedule.delays(effectSchedule({ _tag: "Spaced", v: 1, interval: 10_000 }))
      const due = [10_000, 20_000, undefined]
      assert.deepStrictEqual(millis(yield* Schedule.run(spaced, 0, due)).slice(0, 2), [10_000, 10_000])
      // Told of late: it is due an interval after the end of the run all the same.
      assert.strictEqual(millis(yield* Schedule.run(spaced, 300, due))[0], 9_700)
      const anchored = Schedule.delays(effectSchedule({ _tag: "Fixed", v: 1, interval: 10_000, anchor: 0 }))
      assert.strictEqual(millis(yield* Schedule.run(anchored, 4_000, [10_000, undefined]))[0], 6_000)
    }))

  it.effect("waits without one when nothing is scheduled: the engine holds no fiber per one-shot", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour") })
      yield* settleDown
      assert.deepStrictEqual(yield* counts(scheduler), { Scheduled: 1 })
    }).pipe(Effect.provide(engine())))
})

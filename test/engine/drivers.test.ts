import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option, TestClock } from "effect"
import { makeScheduleDrivers } from "../../src/engine/ScheduleDrivers.ts"
import type { ScheduledTask, TaskScheduleId } from "../../src/index.ts"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { aSchedule } from "../support/builders.ts"
import { counts, engine, instants, job, settleDown } from "./support.ts"

const id = "018bcfe5-6800-7000-8000-000100000002" as TaskScheduleId
const occurrenceAt = (dueAt: number, token = 1) =>
  ({ id: `${dueAt}`, scheduleId: id, dueAt, token }) as unknown as ScheduledTask
const rules = {
  Fixed: { _tag: "Fixed", v: 1, interval: 10_000, anchor: 0 },
  Spaced: { _tag: "Spaced", v: 1, interval: 10_000 }
} as const

describe("the fiber of a schedule", () => {
  for (const [name, rule, moment] of [["fixed", rules.Fixed, "start"], ["spaced", rules.Spaced, "end"]] as const) {
    it.effect(`(${name}) goes on with the right one if its next is cancelled before it has learned of it`, () =>
      Effect.gen(function*() {
        const handed: Array<number> = []
        const drivers = yield* makeScheduleDrivers(yield* Effect.clock, 600_000, ({ dueAt }) => handed.push(dueAt))
        drivers.start(aSchedule({ id, recurrence: rule }), occurrenceAt(0))
        yield* settleDown
        drivers.followed(moment, occurrenceAt(0), occurrenceAt(10_000))
        // In the same turn: the fiber has not been told yet.
        drivers.aim(id, occurrenceAt(20_000))
        yield* TestClock.adjust("19 seconds")
        assert.deepStrictEqual(handed, [0])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(handed, [0, 20_000])
        drivers.followed(moment, occurrenceAt(20_000), occurrenceAt(30_000))
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(handed, [0, 20_000, 30_000])
      }))
  }

  it.effect("an occurrence that no fiber waits for is handed on all the same", () =>
    Effect.gen(function*() {
      const handed: Array<number> = []
      const drivers = yield* makeScheduleDrivers(yield* Effect.clock, 600_000, ({ dueAt }) => handed.push(dueAt))
      drivers.followed("end", occurrenceAt(0), occurrenceAt(10_000))
      drivers.aim(id, occurrenceAt(20_000))
      assert.deepStrictEqual(handed, [10_000, 20_000])
    }))

  it.effect("once all are stopped, hands on what it waited for, and what is started after", () =>
    Effect.gen(function*() {
      const handed: Array<number> = []
      const drivers = yield* makeScheduleDrivers(yield* Effect.clock, 600_000, ({ dueAt }) => handed.push(dueAt))
      drivers.start(aSchedule({ id, recurrence: rules.Fixed }), occurrenceAt(10_000))
      yield* settleDown
      yield* drivers.stopAll
      assert.deepStrictEqual(handed, [10_000])
      drivers.start(aSchedule({ id, recurrence: rules.Fixed }), occurrenceAt(20_000))
      assert.deepStrictEqual(handed, [10_000, 20_000])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(handed, [10_000, 20_000])
    }))

  it.effect("ends when its occurrence is lost to another instance, but not for a loss before it was claimed again", () =>
    Effect.gen(function*() {
      const handed: Array<number> = []
      const drivers = yield* makeScheduleDrivers(yield* Effect.clock, 600_000, ({ token }) => handed.push(token))
      drivers.start(aSchedule({ id, recurrence: rules.Spaced }), occurrenceAt(10_000, 3))
      drivers.lost(occurrenceAt(10_000, 2))
      drivers.lost(occurrenceAt(20_000, 3))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(handed, [3])
      assert.isTrue(Option.isSome(drivers.fiber(id)))
      drivers.lost(occurrenceAt(10_000, 3))
      assert.isTrue(Option.isNone(drivers.fiber(id)))
      drivers.start(aSchedule({ id, recurrence: rules.Spaced }), occurrenceAt(10_000, 5))
      yield* settleDown
      assert.deepStrictEqual(handed, [3, 5])
    }))

  it.effect("begins anew with an occurrence that was lost and claimed again, also while it waits for its end", () =>
    Effect.gen(function*() {
      const handed: Array<number> = []
      const drivers = yield* makeScheduleDrivers(yield* Effect.clock, 600_000, ({ token }) => handed.push(token))
      drivers.start(aSchedule({ id, recurrence: rules.Spaced }), occurrenceAt(0, 1))
      yield* settleDown
      drivers.start(aSchedule({ id, recurrence: rules.Spaced }), occurrenceAt(0, 1))
      yield* settleDown
      assert.deepStrictEqual(handed, [1], "the same one is under way")
      drivers.start(aSchedule({ id, recurrence: rules.Spaced }), occurrenceAt(0, 3))
      yield* settleDown
      assert.deepStrictEqual(handed, [1, 3])
    }))

  for (const trigger of [Trigger.spaced("10 seconds"), Trigger.fixed("10 seconds")]) {
    it.effect(`(${trigger._tag}) outlives a cancel of its occurrence in every phase of it`, () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { id } = yield* scheduler.repeat(job, {
          trigger,
          initialDelay: "5 seconds",
          retry: { maxAttempts: 3, baseDelay: "20 seconds" }
        })
        // Waiting, running, waiting for a retry: each is met.
        const cancelledIn = new Set<string>()
        for (let round = 0; round < 120; round++) {
          yield* TestClock.adjust(`${4 + (round * 7) % 29} seconds`)
          const live = (yield* scheduler.list({ scheduleId: id, status: ["Scheduled", "Running"] })).items
          assert.isNotEmpty(live, "a live schedule has its next occurrence")
          for (const task of live) {
            const now = yield* Clock.currentTimeMillis
            cancelledIn.add(
              task.status === "Running"
                ? "Running"
                : task.attempts.length > 0
                ? "Retrying"
                : task.dueAt <= now
                ? "Due"
                : "Waiting"
            )
            yield* scheduler.cancel(task.id)
          }
        }
        assert.isAtLeast(cancelledIn.size, 3, [...cancelledIn].join())
        const before = (yield* instants()).length
        yield* TestClock.adjust("5 minutes")
        assert.isAtLeast((yield* instants()).length, before + 5, "still alive")
        yield* scheduler.cancelSchedule(id)
        yield* TestClock.adjust("5 minutes")
        const left = yield* counts(scheduler)
        assert.isUndefined(left.Scheduled)
        assert.isUndefined(left.Running)
      }).pipe(Effect.provide(engine({
        job: () => Effect.zipRight(Effect.sleep("3 seconds"), ScriptedLambdaClient.fail("FunctionError"))
      }))))
  }
})

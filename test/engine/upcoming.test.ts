import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { reasonOf } from "../support/verdicts.ts"
import { engine, job } from "./support.ts"

const start = Date.parse("2027-01-01T00:00:00Z")
const day = 86_400_000

describe("upcoming", () => {
  it.scoped("is what all active schedules are going to do, in order", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const scheduler = yield* LambdaScheduler
      yield* scheduler.repeat(job, { name: "noon", trigger: Trigger.cron("0 12 * * *") })
      yield* scheduler.repeat(job, { name: "six", trigger: Trigger.cron("0 6 * * *"), maxRuns: 2 })
      yield* scheduler.repeat(job, { name: "spaced", trigger: Trigger.spaced("1 day"), initialDelay: "9 hours" })
      const over = yield* scheduler.repeat(job, { name: "over", trigger: Trigger.cron("0 1 * * *") })
      yield* scheduler.cancelSchedule(over.id)

      const found = yield* scheduler.upcoming({ to: start + 3 * day })
      assert.deepStrictEqual(found.map(({ at, name }) => [name, (at - start) / 3_600_000]), [
        ["six", 6],
        ["spaced", 9],
        ["noon", 12],
        ["six", 30],
        ["spaced", 33],
        ["noon", 36],
        ["spaced", 57],
        ["noon", 60]
      ])
      const later = yield* scheduler.upcoming({ from: start + day, to: start + 2 * day, limit: 2 })
      assert.deepStrictEqual(later.map(({ name }) => name), ["six", "spaced"])
    }).pipe(Effect.provide(engine({ job: () => "done" }))))

  it.scoped("tells of clocks and of jitter, and foretells what happens", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2027-03-27T12:00:00Z"))
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(job, {
        trigger: Trigger.cron("30 2 * * *", { timeZone: "Europe/Stockholm" }),
        jitter: "10 minutes"
      })
      const [foretold] = yield* scheduler.upcoming({ to: "2027-03-29T00:00:00Z" })
      if (foretold === undefined) return assert.fail("nothing is foretold")
      assert.strictEqual(foretold.dst, "made-up")
      assert.strictEqual(foretold.at, Date.parse("2027-03-28T01:00:00Z"))
      yield* TestClock.adjust("1 day")
      const { items } = yield* scheduler.list({ scheduleId: id, status: ["Succeeded"] })
      assert.deepStrictEqual(items.map(({ dueAt, nominalAt }) => [nominalAt, dueAt]), [[foretold.at, foretold.dueAt]])
    }).pipe(Effect.provide(engine({ job: () => "done" }))))

  it.scoped("is bounded, over however many schedules and however long", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const scheduler = yield* LambdaScheduler
      yield* Effect.forEach(
        Array.from({ length: 50 }, (_, n) => n),
        (n) => scheduler.repeat(job, { name: `every-${n}`, trigger: Trigger.cron(`${n} * * * * *`) })
      )
      const found = yield* scheduler.upcoming({ to: start + 3_650 * day })
      assert.strictEqual(found.length, 1_000)
      assert.deepStrictEqual(found.map(({ at }) => at), found.map(({ at }) => at).toSorted((one, other) => one - other))
      assert.strictEqual(found.at(-1)?.at, start + 20 * 60_000)
    }).pipe(Effect.provide(engine({ job: () => "done" }))))

  it.scoped("refuses a range that is none", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (
        const [range, reason] of [
          [{ from: start, to: start - 1 }, "WindowEmpty"],
          [{ to: "tomorrow" }, "DateInvalid"],
          [{ from: NaN, to: start }, "DateInvalid"],
          [{ to: start, limit: 0 }, "QueryInvalid"],
          [{ to: start, limit: 1_001 }, "QueryInvalid"]
        ] as const
      ) {
        assert.strictEqual(
          reasonOf(yield* Effect.either(Effect.catchTag(scheduler.upcoming(range), "TaskRepositoryError", Effect.die))),
          reason
        )
      }
    }).pipe(Effect.provide(engine({ job: () => "done" }))))
})

import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Either, TestClock } from "effect"
import { Trigger } from "../../src/index.ts"
import { reasonOf } from "../support/verdicts.ts"

const stockholm = { timeZone: "Europe/Stockholm" }

const iso = (instant: number) => DateTime.formatIso(DateTime.unsafeMake(instant))

/** An occurrence in a line. */
const line = (occurrence: Trigger.Occurrence | Trigger.LeftOutOccurrence): string =>
  [
    iso(occurrence.at),
    occurrence.local,
    occurrence._tag === "LeftOut" ? `not: ${occurrence.dst}` : occurrence.dst ?? ""
  ].join(" ").trim()

const lines = (
  trigger: Trigger.Trigger,
  from: string,
  to: string,
  options?: Parameters<typeof Trigger.between>[3]
) => Effect.map(Trigger.between(trigger, from, to, options), (occurrences) => occurrences.map(line))

const at = (instant: string) => TestClock.setTime(Date.parse(instant))

describe("between", () => {
  const nights = ["2027-03-27T00:00:00Z", "2027-03-30T00:00:00Z"] as const

  it.effect("marks what is made up for after a gap", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* lines(Trigger.cron("30 2 * * *", stockholm), ...nights), [
        "2027-03-27T01:30:00.000Z 2027-03-27T02:30:00",
        "2027-03-28T01:00:00.000Z 2027-03-28T03:00:00 made-up",
        "2027-03-29T00:30:00.000Z 2027-03-29T02:30:00"
      ])
    }))

  it.effect("does not mark a time of its own at the end of a gap", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* lines(Trigger.cron("0 2,3 * * *", stockholm), "2027-03-28T00:00:00Z", nights[1]), [
        "2027-03-28T01:00:00.000Z 2027-03-28T03:00:00",
        "2027-03-29T00:00:00.000Z 2027-03-29T02:00:00",
        "2027-03-29T01:00:00.000Z 2027-03-29T03:00:00"
      ])
    }))

  it.effect("shows what a gap takes away, and what is shifted out of it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* lines(Trigger.cron("30 2 * * *", { ...stockholm, gap: "skip" }), ...nights), [
        "2027-03-27T01:30:00.000Z 2027-03-27T02:30:00",
        "2027-03-28T01:00:00.000Z 2027-03-28T02:30:00 not: gap",
        "2027-03-29T00:30:00.000Z 2027-03-29T02:30:00"
      ])
      assert.include(
        yield* lines(Trigger.cron("30 2 * * *", { ...stockholm, gap: "shift" }), ...nights),
        "2027-03-28T01:30:00.000Z 2027-03-28T03:30:00 shifted"
      )
      // What runs often enough is not made up for.
      assert.deepStrictEqual(
        yield* lines(Trigger.cron("*/30 * * * *", stockholm), "2027-03-28T00:30:00Z", "2027-03-28T01:30:00Z"),
        [
          "2027-03-28T00:30:00.000Z 2027-03-28T01:30:00",
          "2027-03-28T01:00:00.000Z 2027-03-28T02:00:00 not: gap",
          "2027-03-28T01:00:00.000Z 2027-03-28T02:30:00 not: gap",
          "2027-03-28T01:00:00.000Z 2027-03-28T03:00:00"
        ]
      )
    }))

  it.effect("marks both passes of a repeated hour, and the one that does not count", () =>
    Effect.gen(function*() {
      const night = ["2027-10-31T00:00:00Z", "2027-10-31T02:00:00Z"] as const
      assert.deepStrictEqual(yield* lines(Trigger.cron("30 2 * * *", stockholm), ...night), [
        "2027-10-31T00:30:00.000Z 2027-10-31T02:30:00 first-pass",
        "2027-10-31T01:30:00.000Z 2027-10-31T02:30:00 not: second-pass"
      ])
      assert.deepStrictEqual(yield* lines(Trigger.cron("*/30 * * * *", stockholm), ...night), [
        "2027-10-31T00:00:00.000Z 2027-10-31T02:00:00 first-pass",
        "2027-10-31T00:30:00.000Z 2027-10-31T02:30:00 first-pass",
        "2027-10-31T01:00:00.000Z 2027-10-31T02:00:00 second-pass",
        "2027-10-31T01:30:00.000Z 2027-10-31T02:30:00 second-pass"
      ])
    }))

  it.effect("has its first instant in and its last one out, and keeps to start and end", () =>
    Effect.gen(function*() {
      const noon = Trigger.cron("0 12 * * *")
      assert.deepStrictEqual(yield* lines(noon, "2027-01-01T12:00:00Z", "2027-01-02T12:00:00Z"), [
        "2027-01-01T12:00:00.000Z 2027-01-01T12:00:00"
      ])
      assert.deepStrictEqual(
        (yield* lines(noon, "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z", {
          startAt: "2027-01-05T00:00:00Z",
          endAt: "2027-01-06T12:00:00Z"
        })).length,
        2
      )
      assert.deepStrictEqual(
        yield* lines(Trigger.at("2027-01-01T09:00:00Z"), "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"),
        [
          "2027-01-01T09:00:00.000Z 2027-01-01T09:00:00"
        ]
      )
      assert.deepStrictEqual(
        yield* lines(Trigger.at("2027-01-01T09:00:00Z"), "2027-01-02T00:00:00Z", "2027-01-03T00:00:00Z"),
        []
      )
    }))

  it.effect("takes nothing away before the start and after the end, and looks at 100 years at the most", () =>
    Effect.gen(function*() {
      const night = Trigger.cron("30 2 * * *", { ...stockholm, gap: "skip" })
      const leftOut = (options: Parameters<typeof Trigger.between>[3]) =>
        Effect.map(
          Trigger.between(night, "2027-01-01T00:00:00Z", "2029-12-01T00:00:00Z", options),
          (found) => found.filter(({ _tag }) => _tag === "LeftOut").map(({ local }) => local.slice(0, 10))
        )
      assert.deepStrictEqual(yield* leftOut({ startAt: "2027-06-01T00:00:00Z", endAt: "2028-06-01T00:00:00Z" }), [
        "2027-10-31",
        "2028-03-26"
      ])
      const tooLong = Trigger.between(night, "2027-01-01T00:00:00Z", "+200000-01-01T00:00:00Z")
      assert.strictEqual(reasonOf(yield* Effect.either(tooLong)), "QueryInvalid")
      const atTheEnd = yield* Trigger.next(Trigger.fixed("1 day"), 3, { after: "+275760-09-12T00:00:00Z" })
      assert.strictEqual(atTheEnd.length, 2)
    }))

  it.effect("answers 1,000 at the most", () =>
    Effect.gen(function*() {
      const all = yield* Trigger.between(Trigger.cron("* * * * * *"), "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z")
      assert.strictEqual(all.length, 1_000)
    }))
})

describe("next", () => {
  it.effect("goes on from now, or from another instant", () =>
    Effect.gen(function*() {
      yield* at("2027-01-01T12:00:00Z")
      const noon = Trigger.cron("0 12 * * *")
      assert.deepStrictEqual((yield* Trigger.next(noon, 2)).map(line), [
        "2027-01-02T12:00:00.000Z 2027-01-02T12:00:00",
        "2027-01-03T12:00:00.000Z 2027-01-03T12:00:00"
      ])
      assert.deepStrictEqual((yield* Trigger.next(noon, 1, { after: "2030-01-01T00:00:00Z" })).map(line), [
        "2030-01-01T12:00:00.000Z 2030-01-01T12:00:00"
      ])
    }))

  it.effect("shows what intervals and one-shots do", () =>
    Effect.gen(function*() {
      yield* at("2027-01-01T12:00:00Z")
      const instants = (trigger: Trigger.Trigger, options?: Trigger.PreviewOptions) =>
        Effect.map(Trigger.next(trigger, 3, options), (found) => found.map(({ at }) => iso(at).slice(11, 19)))
      assert.deepStrictEqual(yield* instants(Trigger.fixed("1 hour")), ["12:00:00", "13:00:00", "14:00:00"])
      assert.deepStrictEqual(yield* instants(Trigger.fixed("1 hour"), { startAt: "2027-01-01T11:30:00Z" }), [
        "12:30:00",
        "13:30:00",
        "14:30:00"
      ])
      assert.deepStrictEqual(yield* instants(Trigger.spaced("20 seconds"), { initialDelay: "1 minute" }), [
        "12:01:00",
        "12:01:20",
        "12:01:40"
      ])
      assert.deepStrictEqual(yield* instants(Trigger.after("5 seconds")), ["12:00:05"])
      assert.deepStrictEqual(
        yield* instants(Trigger.spaced("20 seconds"), { endAt: "2027-01-01T12:00:20Z" }),
        ["12:00:00", "12:00:20"]
      )
    }))

  it.effect("fails as scheduling would", () =>
    Effect.gen(function*() {
      for (
        const [trigger, options, reason] of [
          [Trigger.cron("0 0 30 2 *"), {}, "CronNever"],
          [Trigger.cron("61 * * * *"), {}, "CronRange"],
          [Trigger.cron("* * * * *", { timeZone: "Mars/Olympus" }), {}, "TimezoneUnknown"],
          [Trigger.fixed(-1), {}, "IntervalInvalid"],
          [Trigger.fixed("1 hour"), { startAt: "2027-01-01T00:00:00Z", initialDelay: "1 hour" }, "ScheduleAmbiguous"],
          [Trigger.fixed("1 hour"), { after: "yesterday" }, "DateInvalid"]
        ] as const
      ) assert.strictEqual(reasonOf(yield* Effect.either(Trigger.next(trigger, 1, options))), reason)
      for (const count of [0, -1, 1.5, 1_001, NaN]) {
        assert.strictEqual(reasonOf(yield* Effect.either(Trigger.next(Trigger.now, count))), "QueryInvalid")
      }
    }))
})

describe("describe", () => {
  for (
    const [trigger, sentence] of [
      [Trigger.now, "As soon as possible"],
      [Trigger.after("90 seconds"), "Once, in 90 seconds"],
      [Trigger.at("2027-07-01T09:00", stockholm), "Once, at 2027-07-01T07:00:00.000Z"],
      [Trigger.spaced("1 minute"), "Every minute, from the end of each run"],
      [Trigger.fixed("2 days"), "Every 2 days"],
      [Trigger.cron("0 9 * * MON-FRI", stockholm), "At 09:00, Monday through Friday (Europe/Stockholm)"],
      [Trigger.cron("0 9 * * 1"), "At 09:00, only on Monday (UTC)"],
      [Trigger.cron("0 0 * * 5L"), "At 00:00, on the last Friday of the month (UTC)"],
      [
        Trigger.calendar({ every: "month", from: "2027-01-31T09:00", ...stockholm }),
        "Every month from 2027-01-31 09:00:00 on, its last day where that is missing (Europe/Stockholm)"
      ],
      [
        Trigger.calendar({ every: "2 weeks", from: "2027-01-04T09:00" }),
        "Every 2 weeks from 2027-01-04 09:00:00 on (UTC)"
      ]
    ] as const
  ) {
    it(sentence, () => assert.strictEqual(Either.getOrThrow(Trigger.describe(trigger)), sentence))
  }

  it("counts the weekdays of EventBridge from 1", () => {
    const trigger = Either.getOrThrow(Trigger.parse("cron(0 9 ? * 2 *)"))
    assert.strictEqual(Either.getOrThrow(Trigger.describe(trigger)), "At 09:00, only on Monday (UTC)")
  })

  it("refuses what could not be scheduled", () => {
    assert.strictEqual(reasonOf(Trigger.describe(Trigger.cron("nonsense"))), "CronFields")
  })
})

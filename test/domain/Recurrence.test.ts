/** What follows, what was missed and what is due, for all rules. A failure of the properties names its seed. */
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Either, Schema } from "effect"
import * as fc from "fast-check"
import { vi } from "vitest"
import { uuid7 } from "../../src/domain/Ids.ts"
import type { AnchoredRule, ZonedRule } from "../../src/domain/Recurrence.ts"
import {
  countBetween,
  dueAtOf,
  isRunnable,
  latestUpTo,
  nextAfter,
  Recurrence,
  zonedOf
} from "../../src/domain/Recurrence.ts"
import type { EpochMillis } from "../../src/domain/Time.ts"
import * as Trigger from "../../src/domain/Trigger.ts"
import { missedOf, planFrom } from "../../src/policies/catchUp.ts"
import { aScheduleId, t0 } from "../support/builders.ts"
import { accepted, reasonOf } from "../support/verdicts.ts"
import { anInstant, aRule, day, zones } from "./rules.ts"

const at = (text: string): EpochMillis => DateTime.toEpochMillis(DateTime.unsafeMake(text))
const iso = (instant: EpochMillis): string => DateTime.formatIso(DateTime.unsafeMake(instant)).replace(":00.000Z", "Z")

const ruleOf = (trigger: Trigger.RecurringTrigger, anchor = t0): AnchoredRule =>
  accepted(Trigger.recurrence(trigger, anchor, 1_000)) as AnchoredRule

const firstOf = (rule: AnchoredRule, after: EpochMillis, count: number): ReadonlyArray<EpochMillis> => {
  const found: Array<EpochMillis> = []
  for (
    let next = nextAfter(rule, after);
    next !== undefined && found.length < count;
    next = nextAfter(rule, next)
  ) found.push(next)
  return found
}

/** What is planned after an occurrence where the latest is made up for, and how many are missed. */
const plannedAfter = (rule: AnchoredRule, nominalAt: EpochMillis, now: EpochMillis) => {
  const schedule = { id: aScheduleId(), recurrence: rule, catchUp: { policy: "latest" as const }, pause: undefined }
  const { next, passed } = planFrom(schedule, nextAfter(rule, nominalAt), now)
  return { nominalAt: next, missed: missedOf(passed) }
}

const shownFrom = (rule: AnchoredRule, after: string, count: number) => firstOf(rule, at(after), count).map(iso)

describe("by the calendar", () => {
  const monthly = { every: "month", from: "2027-01-31T09:00", timeZone: "Europe/Stockholm" }

  it("every month from the 31st on: the last day of a shorter one, and the 31st again", () => {
    expect(shownFrom(ruleOf(Trigger.calendar(monthly)), "2027-01-01T00:00Z", 6)).toEqual([
      "2027-01-31T08:00Z",
      "2027-02-28T08:00Z",
      "2027-03-31T07:00Z",
      "2027-04-30T07:00Z",
      "2027-05-31T07:00Z",
      "2027-06-30T07:00Z"
    ])
    expect(shownFrom(ruleOf(Trigger.calendar(monthly)), "2028-02-01T00:00Z", 1)).toEqual(["2028-02-29T08:00Z"])
  })

  it("or not at all in a shorter month", () => {
    expect(shownFrom(ruleOf(Trigger.calendar({ ...monthly, missingDay: "skip" })), "2027-01-01T00:00Z", 8)).toEqual([
      "2027-01-31T08:00Z",
      "2027-03-31T07:00Z",
      "2027-05-31T07:00Z",
      "2027-07-31T07:00Z",
      "2027-08-31T07:00Z",
      "2027-10-31T08:00Z",
      "2027-12-31T08:00Z",
      "2028-01-31T08:00Z"
    ])
  })

  it("every third month from 30 November on", () => {
    const rule = ruleOf(Trigger.calendar({ every: "3 months", from: "2026-11-30T00:00" }))
    expect(shownFrom(rule, "2026-01-01T00:00Z", 6)).toEqual([
      "2026-11-30T00:00Z",
      "2027-02-28T00:00Z",
      "2027-05-30T00:00Z",
      "2027-08-30T00:00Z",
      "2027-11-30T00:00Z",
      "2028-02-29T00:00Z"
    ])
  })

  it("every year from 29 February on", () => {
    const yearly = { every: "year", from: "2024-02-29T12:00" }
    expect(shownFrom(ruleOf(Trigger.calendar(yearly)), "2024-01-01T00:00Z", 5)).toEqual([
      "2024-02-29T12:00Z",
      "2025-02-28T12:00Z",
      "2026-02-28T12:00Z",
      "2027-02-28T12:00Z",
      "2028-02-29T12:00Z"
    ])
    const leap = ruleOf(Trigger.calendar({ ...yearly, missingDay: "skip" }))
    expect(shownFrom(leap, "2024-01-01T00:00Z", 3)).toEqual([
      "2024-02-29T12:00Z",
      "2028-02-29T12:00Z",
      "2032-02-29T12:00Z"
    ])
    // 2100 is no leap year.
    expect(shownFrom(leap, "2093-01-01T00:00Z", 2)).toEqual(["2096-02-29T12:00Z", "2104-02-29T12:00Z"])
    // 2027, 2030 and 2033 have none.
    expect(shownFrom(
      ruleOf(Trigger.calendar({ every: "3 years", from: "2024-02-29T12:00", missingDay: "skip" })),
      "2024-01-01T00:00Z",
      2
    )).toEqual(["2024-02-29T12:00Z", "2036-02-29T12:00Z"])
  })

  it("every other Friday evening stays in the evening", () => {
    const rule = ruleOf(Trigger.calendar({ every: "2 weeks", from: "2027-03-05T18:00", timeZone: "America/New_York" }))
    expect(shownFrom(rule, "2027-03-01T00:00Z", 3)).toEqual([
      "2027-03-05T23:00Z",
      "2027-03-19T22:00Z",
      "2027-04-02T22:00Z"
    ])
    // From 5 November on it is winter again: the count of weeks goes on.
    expect(shownFrom(rule, "2027-10-20T00:00Z", 2)).toEqual(["2027-10-29T22:00Z", "2027-11-12T23:00Z"])
  })

  it("days have the same time on the wall, and one that clocks leave out is as the gap says", () => {
    const rule = (more: Partial<Trigger.CalendarOptions>) =>
      ruleOf(Trigger.calendar({ every: "day", from: "2027-03-01T02:30", timeZone: "Europe/Stockholm", ...more }))
    const around = (more: Partial<Trigger.CalendarOptions>) => shownFrom(rule(more), "2027-03-27T00:00Z", 3)
    expect(around({})).toEqual(["2027-03-27T01:30Z", "2027-03-28T01:00Z", "2027-03-29T00:30Z"])
    expect(around({ gap: "shift" })).toEqual(["2027-03-27T01:30Z", "2027-03-28T01:30Z", "2027-03-29T00:30Z"])
    expect(around({ gap: "skip" })).toEqual(["2027-03-27T01:30Z", "2027-03-29T00:30Z", "2027-03-30T00:30Z"])
    expect(shownFrom(rule({}), "2027-10-30T00:00Z", 3)).toEqual([
      "2027-10-30T00:30Z",
      "2027-10-31T00:30Z",
      "2027-11-01T01:30Z"
    ])
    const lordHowe = { from: "2027-04-03T09:00", timeZone: "Australia/Lord_Howe" }
    expect(shownFrom(rule(lordHowe), "2027-04-01T00:00Z", 3)).toEqual([
      "2027-04-02T22:00Z",
      "2027-04-03T22:30Z",
      "2027-04-04T22:30Z"
    ])
    // Every other day from the 28th on means the 30th, which Apia never had: made up for on the 31st.
    const apia = { every: "2 days", from: "2011-12-28T08:00", timeZone: "Pacific/Apia" }
    expect(shownFrom(rule(apia), "2011-12-28T00:00Z", 3)).toEqual([
      "2011-12-28T18:00Z",
      "2011-12-30T10:00Z",
      "2011-12-31T18:00Z"
    ])
  })

  it("has none before its first", () => {
    const rule = ruleOf(Trigger.calendar({ every: "day", from: "2027-03-01T02:30" }))
    expect(shownFrom(rule, "1950-01-01T00:00Z", 2)).toEqual(["2027-03-01T02:30Z", "2027-03-02T02:30Z"])
    expect(countBetween(rule, at("1950-01-01T00:00Z"), at("2027-03-03T02:30Z"))).toBe(3)
  })
})

const properties = { numRuns: 400, seed: 20_270_328 }

describe("for every rule", () => {
  it("what follows is later, the same for all who ask before it, and never goes back", () => {
    fc.assert(
      fc.property(aRule, anInstant, fc.nat(1_000_000), (rule, after, share) => {
        const next = nextAfter(rule, after) as EpochMillis
        expect(next).toBeGreaterThan(after)
        expect(nextAfter(rule, next - 1)).toBe(next)
        expect(nextAfter(rule, after + Math.floor((next - 1 - after) * share / 1_000_000))).toBe(next)
        expect(nextAfter(rule, after + share)).toBeGreaterThanOrEqual(next)
        expect(nextAfter(rule, next)).toBeGreaterThan(next)
      }),
      properties
    )
  })

  it("counting is stepping, sums up, and the latest is the one that was stepped to last", () => {
    fc.assert(
      fc.property(aRule, anInstant, fc.integer({ min: 1, max: 40 }), fc.nat(1_000_000), (rule, after, steps, share) => {
        const found = firstOf(rule, after, steps + 1)
        const [last, further] = found.slice(-2) as [EpochMillis, EpochMillis]
        const upTo = last + Math.floor((further - 1 - last) * share / 1_000_000)
        expect(countBetween(rule, after, upTo)).toBe(steps)
        expect(countBetween(rule, after, last - 1)).toBe(steps - 1)
        expect(countBetween(rule, after, last)).toBe(steps)
        expect(countBetween(rule, upTo, after)).toBe(0)
        // The latest, the one before it, ..., down to the one that is known.
        const down = Array.from(
          { length: steps },
          (_, before) => latestUpTo(rule, found[0] as number, upTo, before + 1)
        )
        expect(down).toEqual(found.slice(0, steps).reverse())
        for (const [index, middle] of found.entries()) {
          if (middle > upTo) break
          expect(countBetween(rule, after, middle) + countBetween(rule, middle, upTo)).toBe(steps)
          expect(latestUpTo(rule, middle, upTo)).toBe(last)
          expect(latestUpTo(rule, middle, upTo, steps - index)).toBe(middle)
          expect(plannedAfter(rule, middle, upTo)).toEqual(
            index === steps - 1 ? { nominalAt: further, missed: 0 } : { nominalAt: last, missed: steps - index - 2 }
          )
        }
      }),
      { ...properties, numRuns: 150 }
    )
  })

  it("an end is the last instant at which it may occur", () => {
    fc.assert(
      fc.property(aRule, anInstant, fc.integer({ min: 2, max: 20 }), (rule, after, steps) => {
        const found = firstOf(rule, after, steps)
        const last = found.at(-1) as EpochMillis
        const [first] = found as [EpochMillis]
        const later = last + 1_000 * day
        const inclusive: AnchoredRule = { ...rule, until: last }
        expect(firstOf(inclusive, after, steps + 1)).toEqual(found)
        expect(countBetween(inclusive, after, later)).toBe(steps)
        expect(latestUpTo(inclusive, first, later)).toBe(last)
        expect(latestUpTo(inclusive, first, later, steps)).toBe(first)
        expect(plannedAfter(inclusive, last, later)).toEqual({ nominalAt: undefined, missed: 0 })
        const exclusive: AnchoredRule = { ...rule, until: last - 1 }
        expect(firstOf(exclusive, after, steps + 1)).toEqual(found.slice(0, -1))
        expect(latestUpTo(exclusive, first, later)).toBe(found.at(-2))
      }),
      properties
    )
  })

  it("jitter is the same for all who ask, and ends before the next nominal instant and at the rule's end", () => {
    fc.assert(
      fc.property(
        aRule,
        anInstant,
        fc.integer({ min: 0, max: 3 * day }),
        fc.nat(day),
        fc.uuid({ version: 7 }),
        (rule, after, jitter, toEnd, id) => {
          const [nominalAt, next] = firstOf(rule, after, 2) as [EpochMillis, EpochMillis]
          const jittered: AnchoredRule = { ...rule, jitter, until: nominalAt + toEnd }
          const dueAt = dueAtOf(jittered, id, nominalAt)
          expect(dueAt).toBe(dueAtOf({ ...jittered }, id, nominalAt))
          expect(dueAt).toBeGreaterThanOrEqual(nominalAt)
          expect(dueAt).toBeLessThanOrEqual(nominalAt + Math.min(jitter, toEnd))
          expect(dueAt).toBeLessThan(next)
          expect(dueAtOf(rule, id, nominalAt)).toBe(nominalAt)
        }
      ),
      properties
    )
  })
})

describe("jitter", () => {
  const rule: AnchoredRule = { ...ruleOf(Trigger.cron("0 * * * *")), jitter: 600_000 }
  const id = (k: number) => uuid7(t0, 0, k, 0)

  /** Of values in [0, 1), in a hundred classes. */
  const chiSquare = (values: ReadonlyArray<number>) => {
    const classes = Array.from({ length: 100 }, () => 0)
    for (const value of values) (classes[Math.floor(value * 100)] as number)++
    const expected = values.length / 100
    return classes.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  }
  // 99 degrees of freedom: one of a thousand is below, and one is above.
  const expectEven = (values: ReadonlyArray<number>) => {
    expect(chiSquare(values)).toBeGreaterThan(61)
    expect(chiSquare(values)).toBeLessThan(149)
  }
  const shareOf = (schedule: string, nominalAt: EpochMillis) =>
    (dueAtOf(rule, schedule, nominalAt) - nominalAt) / 600_001

  it("is evenly spread over schedules made one after another, for one instant", () => {
    expectEven(Array.from({ length: 20_000 }, (_, k) => shareOf(id(k), t0)))
  })

  it("is evenly spread over the hours of one schedule", () => {
    expectEven(Array.from({ length: 20_000 }, (_, k) => shareOf(id(7), t0 + k * 3_600_000)))
  })

  it("of neighbours has nothing to do with each other", () => {
    const pairs = Array.from({ length: 20_000 }, (_, k) => [shareOf(id(k), t0), shareOf(id(k + 1), t0)] as const)
    expectEven(pairs.map(([one, other]) => (one + other) % 1))
    expectEven(pairs.map(([one, other]) => (one - other + 1) % 1))
  })

  it("uses all of it, the last millisecond too", () => {
    const found = new Set(
      Array.from({ length: 1_000 }, (_, k) => dueAtOf({ ...rule, jitter: 3 }, id(k), t0) - t0)
    )
    expect([...found].sort()).toEqual([0, 1, 2, 3])
  })

  it("of spaced runs is shorter than their interval", () => {
    for (let k = 0; k < 1_000; k++) {
      const delay = dueAtOf({ _tag: "Spaced", v: 2, interval: 1_000, jitter: 60_000 }, id(k), t0) - t0
      expect(delay).toBeGreaterThanOrEqual(0)
      expect(delay).toBeLessThan(1_000)
    }
  })

  it("is what it was: instances of other versions must agree", () => {
    const schedule = "01960000-0000-7000-8000-00000000c0de"
    const delays = [0, 1, 2].map((k) => dueAtOf(rule, schedule, t0 + k * 3_600_000) - t0 - k * 3_600_000)
    expect(delays).toEqual([540_308, 393_352, 4_988])
  })
})

describe("a long downtime", () => {
  it("of a job of every second costs a look at what follows each gap, not at each second", () => {
    for (const timeZone of zones) {
      const rule = ruleOf(Trigger.cron("* * * * * *", { timeZone })) as ZonedRule
      const { pattern } = zonedOf(rule)
      const next = vi.spyOn(pattern, "next")
      const count = vi.spyOn(pattern, "count")
      const decade = 3_653 * day
      expect(plannedAfter(rule, t0, t0 + decade)).toEqual({ nominalAt: t0 + decade, missed: decade / 1_000 - 1 })
      // An hour after each of ten gaps, second by second; of 315,619,200.
      expect(next.mock.calls.length).toBeLessThan(40_000)
      expect(count.mock.calls.length).toBeLessThan(500)
      next.mockRestore()
      count.mockRestore()
    }
  })

  it("of other rules costs little, too", () => {
    const triggers = [
      Trigger.cron("30 2 * * *", { timeZone: "Europe/Stockholm" }),
      Trigger.cron("0 0 29 2 *", { timeZone: "Australia/Lord_Howe" }),
      Trigger.cron("0 9 * * MON", { timeZone: "America/New_York" }),
      Trigger.calendar({ every: "day", from: "2020-01-01T02:30", timeZone: "America/Sao_Paulo" }),
      Trigger.calendar({ every: "month", from: "2020-01-31T02:30", timeZone: "Europe/Stockholm" })
    ]
    for (const trigger of triggers) {
      const rule = ruleOf(trigger) as ZonedRule
      const next = vi.spyOn(zonedOf(rule).pattern, "next")
      const first = nextAfter(rule, t0) as EpochMillis
      expect(plannedAfter(rule, first, t0 + 3_653 * day).missed).toBeGreaterThan(0)
      expect(next.mock.calls.length).toBeLessThan(2_000)
      next.mockRestore()
    }
  })
})

describe("planRecurrence", () => {
  const plan = (trigger: Trigger.RecurringTrigger, options: Trigger.TimingOptions = {}, now = t0) =>
    Either.flatMap(Trigger.parseTiming(options), (timing) => Trigger.planRecurrence(trigger, timing, now, 1_000))

  it("refuses what never fires, and takes what rarely does", () => {
    expect(reasonOf(plan(Trigger.cron("0 0 30 2 *")))).toBe("CronNever")
    expect(reasonOf(plan(Trigger.cron("0 0 31 4,6,9,11 *")))).toBe("CronNever")
    expect(reasonOf(plan(Trigger.cron("0 0 31 2 ?")))).toBe("CronNever")
    // t0 is in January 2027, a Friday.
    expect(iso(accepted(plan(Trigger.cron("0 0 29 2 *"))).first)).toBe("2028-02-29T00:00Z")
    expect(iso(accepted(plan(Trigger.cron("0 0 31 2 1"))).first)).toBe("2027-02-01T00:00Z")
    // 29 February on a Monday: both must hold where the weekday field is open.
    expect(iso(accepted(plan(Trigger.cron("0 0 29 2 */7"))).first)).toBe("2032-02-29T00:00Z")
  })

  it("refuses it after a few steps", () => {
    for (const expression of ["0 0 30 2 *", "0 0 31 4,6,9,11 *"]) {
      const next = vi.spyOn(zonedOf(ruleOf(Trigger.cron(expression)) as ZonedRule).pattern, "next")
      expect(reasonOf(plan(Trigger.cron(expression)))).toBe("CronNever")
      expect(next.mock.calls.length).toBeLessThan(10)
      next.mockRestore()
    }
  })

  it("ends also where time does", () => {
    for (const startAt of [8.64e15, -8.64e15, at("9999-12-31T23:59:59Z"), at("0001-01-01T00:00:00Z")]) {
      for (const timeZone of ["UTC", "Europe/Stockholm"]) {
        for (const expression of ["0 0 29 2 *", "* * * * * *", "0 0 * * 7L"]) {
          plan(Trigger.cron(expression, { timeZone }), { startAt })
        }
        plan(Trigger.calendar({ every: "month", from: "2027-01-31T09:00", missingDay: "skip", timeZone }), { startAt })
        plan(Trigger.calendar({ every: "day", from: "+275000-01-31T09:00", timeZone }), { startAt })
      }
      plan(Trigger.fixed("1 second"), { startAt })
    }
  })

  it("begins and ends where it is told", () => {
    const hourly = Trigger.cron("0 * * * *")
    // t0 is a full hour: what clocks say comes after now, unless the caller names it.
    expect(accepted(plan(hourly)).first).toBe(t0 + 3_600_000)
    expect(accepted(plan(hourly, { startAt: t0 })).first).toBe(t0)
    expect(accepted(plan(hourly, { initialDelay: 0 })).first).toBe(t0 + 3_600_000)
    expect(accepted(plan(hourly, { initialDelay: "1 hour" })).first).toBe(t0 + 3_600_000)
    expect(accepted(plan(hourly, { startAt: t0, endAt: t0 })).first).toBe(t0)
    expect(reasonOf(plan(hourly, { endAt: t0 + 3_599_999 }))).toBe("WindowEmpty")
    expect(reasonOf(plan(hourly, { startAt: t0, initialDelay: 0 }))).toBe("ScheduleAmbiguous")
    const rate = accepted(plan(Trigger.fixed("1 hour"), { startAt: t0 - 5_400_000 }))
    expect(rate.first).toBe(t0 + 1_800_000)
    expect(rate.recurrence).toEqual({ _tag: "Fixed", v: 1, interval: 3_600_000, anchor: t0 - 5_400_000 })
  })
})

describe("a stored rule", () => {
  const read = (rule: unknown) => Schema.decodeUnknownEither(Recurrence)(rule)
  const cron = {
    _tag: "Cron",
    v: 2,
    syntax: "unix",
    expression: "0 * * * *",
    timeZone: "UTC",
    gap: "run-after",
    overlap: "default"
  }
  const calendar = {
    _tag: "Calendar",
    v: 2,
    every: 1,
    unit: "day",
    from: 0,
    missingDay: "clamp",
    timeZone: "UTC",
    gap: "run-after"
  }

  it("reads as it was planned, and what version 1 wrote reads too", () => {
    for (
      const trigger of [
        Trigger.spaced("1 hour"),
        Trigger.fixed("1 hour"),
        Trigger.cron("0 9 * * MON-FRI", { timeZone: "Europe/Stockholm", gap: "shift", overlap: "both" }),
        Trigger.calendar({ every: "3 months", from: "2027-01-31T09:00", missingDay: "skip" })
      ]
    ) {
      const timing = accepted(Trigger.parseTiming({ endAt: t0 + 400 * day, jitter: "1 minute" }))
      const { recurrence } = accepted(Trigger.planRecurrence(trigger, timing, t0, 1_000))
      expect(read(JSON.parse(JSON.stringify(recurrence)))).toEqual(Either.right(recurrence))
    }
    expect(Either.isRight(read({ _tag: "Fixed", v: 1, interval: 1_000, anchor: -5 }))).toBe(true)
    expect(Either.isRight(read({ _tag: "Spaced", v: 1, interval: 1_000 }))).toBe(true)
    expect(isRunnable({ _tag: "Spaced", v: 1, interval: 1_000 })).toBe(true)
  })

  it("that never goes on, or is nowhere in time, is none", () => {
    const spaced = { _tag: "Spaced", v: 2, interval: 1_000 }
    const fixed = { _tag: "Fixed", v: 2, interval: 1_000, anchor: 0 }
    for (
      const rule of [
        { ...spaced, interval: 0 },
        { ...spaced, interval: -1 },
        { ...spaced, interval: Infinity },
        { ...fixed, interval: 0 },
        { ...fixed, interval: 0.5 },
        { ...fixed, anchor: Infinity },
        { ...fixed, anchor: 9e15 },
        { ...fixed, until: -Infinity },
        { ...fixed, jitter: -1 },
        { ...fixed, v: 3 },
        { ...cron, v: 1 },
        { ...cron, gap: "fill" },
        { ...calendar, every: 0 },
        { ...calendar, every: -1 },
        { ...calendar, every: 1.5 },
        { ...calendar, unit: "month", every: 0 },
        { ...calendar, from: 0.5 },
        { ...calendar, from: 1e300 }
      ]
    ) expect([rule, Either.isLeft(read(rule))]).toEqual([rule, true])
    for (
      const rule of [{ ...cron, expression: "61 * * * *" }, { ...cron, timeZone: "Mars/Olympus" }, {
        ...calendar,
        timeZone: ""
      }]
    ) expect([rule, Either.map(read(rule), isRunnable)]).toEqual([rule, Either.right(false)])
  })
})

import { describe, expect, it } from "@effect/vitest"
import { DateTime, Either } from "effect"
import * as fc from "fast-check"
import type { EventBridgeSchedule } from "../../src/domain/EventBridge.ts"
import { parse, toEventBridge } from "../../src/domain/EventBridge.ts"
import type { AnchoredRule } from "../../src/domain/Recurrence.ts"
import { nextAfter } from "../../src/domain/Recurrence.ts"
import { shown } from "../../src/domain/Time.ts"
import { parseTimeZone } from "../../src/domain/TimeZone.ts"
import * as Trigger from "../../src/domain/Trigger.ts"
import { instantOf } from "../../src/domain/WallPattern.ts"
import { t0 } from "../support/builders.ts"
import { accepted, reasonOf } from "../support/verdicts.ts"

const written = (trigger: Trigger.Trigger): EventBridgeSchedule =>
  Either.getOrElse(toEventBridge(trigger), (refused) => expect.fail(`refused: ${refused.message}`))

const expression = (trigger: Trigger.Trigger) => written(trigger).scheduleExpression

/** Why a trigger has no expression; the expression when it has one. */
const refusal = (trigger: Trigger.Trigger): string =>
  Either.match(toEventBridge(trigger), {
    onLeft: ({ _tag, reason }) => `${_tag} ${reason}`,
    onRight: ({ scheduleExpression }) => scheduleExpression
  })

const ruleOf = (trigger: Trigger.Trigger): AnchoredRule =>
  accepted(Trigger.recurrence(trigger as Trigger.RecurringTrigger, t0, 1_000)) as AnchoredRule

const stockholm = "Europe/Stockholm"

const iso = (instant: number) => DateTime.formatIso(DateTime.unsafeMake(instant))

describe("parse", () => {
  it("reads at(...) as clocks in the zone show it, in UTC unless one is named", () => {
    const due = (timeZone?: string) =>
      accepted(Trigger.dueAt(accepted(parse("at(2027-01-01T09:00:00)", { timeZone })) as Trigger.OnceTrigger, t0))
    expect(due()).toBe(Date.parse("2027-01-01T09:00:00Z"))
    expect(due(stockholm)).toBe(Date.parse("2027-01-01T09:00:00+01:00"))
  })

  it("reads rate(...) as a fixed rate, a day as 24 hours", () => {
    for (
      const [text, interval] of [["1 minute", 60_000], ["5 minutes", 300_000], ["1 hours", 3_600_000], [
        "2 day",
        172_800_000
      ]] as const
    ) {
      expect(ruleOf(accepted(parse(`rate(${text})`)))).toEqual({ _tag: "Fixed", v: 1, interval, anchor: t0 })
    }
  })

  it("reads cron(...) with EventBridge's own rule for clocks", () => {
    expect(accepted(parse("cron(0 10 ? * MON-FRI *)", { timeZone: "europe/stockholm" }))).toEqual({
      _tag: "Cron",
      syntax: "eventbridge",
      expression: "0 10 ? * MON-FRI *",
      timeZone: stockholm,
      gap: "skip",
      overlap: "once"
    })
  })

  it("leaves out what clocks leave out, and runs once what they repeat", () => {
    const rule = ruleOf(accepted(parse("cron(30 2 * * ? *)", { timeZone: stockholm })))
    const following = (instant: string) => iso(nextAfter(rule, Date.parse(instant)) as number)
    expect(following("2027-03-28T00:00:00Z")).toBe("2027-03-29T00:30:00.000Z")
    expect(following("2027-10-31T00:00:00Z")).toBe("2027-10-31T00:30:00.000Z")
    expect(following("2027-10-31T00:30:00Z")).toBe("2027-11-01T01:30:00.000Z")
  })

  // From "Schedule types in EventBridge Scheduler" and "Cron expressions", AWS documentation; what comes next is its text's.
  for (
    const [text, after, next] of [
      ["cron(0 10 * * ? *)", "2027-01-01T10:00:00Z", "2027-01-02T10:00:00.000Z"],
      ["cron(15 12 * * ? *)", "2027-01-01T00:00:00Z", "2027-01-01T12:15:00.000Z"],
      ["cron(0 18 ? * MON-FRI *)", "2027-01-01T18:00:00Z", "2027-01-04T18:00:00.000Z"],
      ["cron(0 8 1 * ? *)", "2027-01-01T08:00:00Z", "2027-02-01T08:00:00.000Z"],
      ["cron(0/15 * * * ? *)", "2027-01-01T08:50:00Z", "2027-01-01T09:00:00.000Z"],
      ["cron(0/10 * ? * MON-FRI *)", "2027-01-01T23:50:00Z", "2027-01-04T00:00:00.000Z"],
      ["cron(0/5 8-17 ? * MON-FRI *)", "2027-01-01T17:55:00Z", "2027-01-04T08:00:00.000Z"],
      ["cron(0 9 ? * 2#1 *)", "2027-01-01T00:00:00Z", "2027-01-04T09:00:00.000Z"],
      ["cron(0 9 ? * 3#2 *)", "2027-01-01T00:00:00Z", "2027-01-12T09:00:00.000Z"],
      ["cron(0 9 3W * ? *)", "2027-01-01T00:00:00Z", "2027-01-04T09:00:00.000Z"],
      ["cron(15 10 ? * 6L 2022-2023)", "2022-01-01T00:00:00Z", "2022-01-28T10:15:00.000Z"],
      ["cron(15 10 ? * 6L 2022-2023)", "2024-01-01T00:00:00Z", undefined]
    ] as const
  ) {
    it(`${text} after ${after} is ${next ?? "never"}`, () => {
      const found = nextAfter(ruleOf(accepted(parse(text))), Date.parse(after))
      expect(found === undefined ? undefined : iso(found)).toBe(next)
    })
  }

  for (
    const [text, reason] of [
      ["", "ExpressionInvalid"],
      ["0 10 ? * MON-FRI *", "ExpressionInvalid"],
      ["CRON(0 10 ? * MON-FRI *)", "ExpressionInvalid"],
      [" rate(5 minutes)", "ExpressionInvalid"],
      ["rate(5 minutes) ", "ExpressionInvalid"],
      ["rate 5 minutes", "ExpressionInvalid"],
      ["every(5 minutes)", "ExpressionInvalid"],
      [undefined, "ExpressionInvalid"],
      [Symbol("rate(5 minutes)"), "ExpressionInvalid"],
      ["at()", "DateInvalid"],
      ["at(2027-02-29T09:00:00)", "DateInvalid"],
      ["at(2027-01-01T24:00:00)", "DateInvalid"],
      ["at(2027-01-01T09:00)", "DateInvalid"],
      ["at(2027-01-01T09:00:00Z)", "DateInvalid"],
      ["at(2027-01-01T09:00:00.5)", "DateInvalid"],
      ["rate(0 minutes)", "IntervalInvalid"],
      ["rate(-1 minutes)", "IntervalInvalid"],
      ["rate(1.5 hours)", "IntervalInvalid"],
      ["rate(30 seconds)", "IntervalInvalid"],
      ["rate(1 week)", "IntervalInvalid"],
      ["rate(5minutes)", "IntervalInvalid"],
      ["rate(36526 days)", "IntervalInvalid"],
      [`rate(${"9".repeat(400)} days)`, "IntervalInvalid"],
      ["cron(0 10 * * ?)", "CronFields"],
      ["cron(@daily)", "CronFields"],
      ["cron(0 10 * * * *)", "CronInvalid"],
      ["cron(0 10 ? * ? *)", "CronInvalid"],
      ["cron(0 10 ? * 2#1,3#1 *)", "CronInvalid"],
      ["cron(0 10 LW * ? *)", "CronInvalid"],
      ["cron(0 10 L-3 * ? *)", "CronInvalid"],
      ["cron(60 10 * * ? *)", "CronRange"],
      ["cron(0 10 ? * 0 *)", "CronRange"],
      ["cron(0 10 * * ? 2200)", "CronRange"],
      [`cron(${"0,".repeat(120)}0 10 * * ? *)`, "CronTooLong"]
    ] as const
  ) {
    it(`refuses ${shown(text)}: ${reason}`, () => {
      expect(reasonOf(parse(text as string))).toBe(reason)
    })
  }

  it("takes 256 characters, names an unknown zone whatever the form, and says what it expected", () => {
    const minutes = "0,".repeat(118)
    expect(`cron(${minutes}0 10 * * ? *)`).toHaveLength(254)
    expect(reasonOf(parse(`cron(${minutes}0 10 * * ?   *)`))).toBeNull()
    expect(reasonOf(parse(`cron(${minutes}0 10 * * ?    *)`))).toBe("CronTooLong")
    expect(reasonOf(parse("rate(5 minutes)", { timeZone: "Mars/Olympus" }))).toBe("TimezoneUnknown")
    expect(Either.getLeft(parse("now"))).toMatchObject({
      value: {
        field: "expression",
        message: "expression: expected at(2027-01-01T09:00:00), rate(5 minutes) or cron(0 10 ? * MON-FRI *), " +
          "in lower case, got \"now\""
      }
    })
  })

  it("never throws, whatever comes", () => {
    const inside = fc.oneof(fc.string(), fc.stringMatching(/^[0-9*?\-,/LW# A-Z]{0,30}$/), fc.lorem())
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.tuple(fc.constantFrom("at", "rate", "cron"), inside).map(([kind, inside]) => `${kind}(${inside})`)
    )
    fc.assert(
      fc.property(fc.oneof(text, fc.anything()), fc.option(fc.string(), { nil: undefined }), (input, timeZone) => {
        Either.flatMap(parse(input as string, { timeZone }), toEventBridge)
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("toEventBridge", () => {
  it("writes an instant as clocks in its zone show it", () => {
    expect(written(Trigger.at("2027-01-01T09:00:00+01:00")))
      .toEqual({ scheduleExpression: "at(2027-01-01T08:00:00)", timeZone: "UTC" })
    expect(written(Trigger.at("2027-01-01T09:00", { timeZone: stockholm })))
      .toEqual({ scheduleExpression: "at(2027-01-01T09:00:00)", timeZone: stockholm })
    // Clocks leave it out: the first instant after.
    expect(expression(Trigger.at("2027-03-28T02:30", { timeZone: stockholm }))).toBe("at(2027-03-28T03:00:00)")
  })

  it("writes a fixed rate in its largest unit", () => {
    expect(written(Trigger.fixed("5 minutes"))).toEqual({ scheduleExpression: "rate(5 minutes)", timeZone: "UTC" })
    expect(expression(Trigger.fixed("60 seconds"))).toBe("rate(1 minute)")
    expect(expression(Trigger.fixed("90 minutes"))).toBe("rate(90 minutes)")
    expect(expression(Trigger.fixed("PT1H"))).toBe("rate(1 hour)")
    expect(expression(Trigger.fixed("1 week"))).toBe("rate(7 days)")
  })

  for (
    const [unix, eventBridge] of [
      ["0 10 * * MON-FRI", "0 10 ? * MON-FRI *"],
      ["0 0 10 * * 1-5", "0 10 ? * MON-FRI *"],
      ["@hourly", "0 * * * ? *"],
      ["*/15 * * * *", "0/15 * * * ? *"],
      ["5-59/20 8-17 * * *", "5/20 8-17 * * ? *"],
      ["0-30/10 0 * * *", "0,10,20,30 0 * * ? *"],
      ["0 22-2 * * *", "0 0-2,22-23 * * ? *"],
      ["0 0 1,15 */3 *", "0 0 1,15 1/3 ? *"],
      ["0 0 1 NOV-FEB *", "0 0 1 1-2,11-12 ? *"],
      ["0 0 * * 0", "0 0 ? * SUN *"],
      ["0 0 * * 7", "0 0 ? * SUN *"],
      ["0 0 * * FRI-MON", "0 0 ? * SUN-MON,FRI-SAT *"],
      ["0 0 * * 0-7", "0 0 * * ? *"],
      ["0 0 * * 5L", "0 0 ? * 6L *"],
      ["0 0 * * 7L", "0 0 ? * 1L *"],
      ["0 0 * * 5#2", "0 0 ? * 6#2 *"],
      ["0 0 ? * FRI#2,5#2", "0 0 ? * 6#2 *"],
      ["0 0 L * *", "0 0 L * ? *"],
      ["0 0 15W * ?", "0 0 15W * ? *"],
      ["0 0 */2 * *", "0 0 1/2 * ? *"],
      // Any day, or Mondays: any day.
      ["0 0 1-31 * MON", "0 0 * * ? *"]
    ] as const
  ) {
    it(`writes ${unix} as ${eventBridge}`, () => {
      expect(expression(Trigger.cron(unix))).toBe(`cron(${eventBridge})`)
    })
  }

  for (
    const [every, from, missingDay, eventBridge] of [
      ["day", "2027-01-31T09:05", undefined, "5 9 * * ? *"],
      ["week", "2027-01-31T09:05", undefined, "5 9 ? * SUN *"],
      ["month", "2027-01-28T09:05", undefined, "5 9 28 * ? *"],
      ["month", "2027-01-31T09:05", undefined, "5 9 L * ? *"],
      ["month", "2027-01-31T09:05", "skip", "5 9 31 * ? *"],
      ["month", "2027-01-30T09:05", "skip", "5 9 30 * ? *"],
      ["3 months", "2027-01-30T09:05", undefined, "5 9 30 1/3 ? *"],
      ["6 months", "2027-08-31T09:05", undefined, "5 9 L 2,8 ? *"],
      ["12 months", "2027-05-31T09:05", undefined, "5 9 31 5 ? *"],
      ["year", "2027-05-31T09:05", undefined, "5 9 31 5 ? *"],
      ["year", "2028-02-29T09:05", undefined, "5 9 L 2 ? *"],
      ["year", "2028-02-29T09:05", "skip", "5 9 29 2 ? *"]
    ] as const
  ) {
    it(`writes every ${every} from ${from}${missingDay === undefined ? "" : `, ${missingDay}`} as ${eventBridge}`, () => {
      expect(written(Trigger.calendar({ every, from, missingDay, timeZone: stockholm })))
        .toEqual({ scheduleExpression: `cron(${eventBridge})`, timeZone: stockholm, startDate: `${from}:00` })
    })
  }

  const calendar = (every: string, from: string) => Trigger.calendar({ every, from })
  for (
    const [trigger, reason] of [
      [Trigger.now, "NotExpressible RelativeToNow"],
      [Trigger.after("2 hours"), "NotExpressible RelativeToNow"],
      [Trigger.spaced("1 hour"), "NotExpressible RelativeToEnd"],
      [Trigger.at(1), "NotExpressible TooFine"],
      [Trigger.at(8.64e15), "NotExpressible YearRange"],
      [Trigger.fixed("90 seconds"), "NotExpressible TooFine"],
      [Trigger.cron("30 0 0 * * *"), "NotExpressible TooFine"],
      [Trigger.cron("*/30 * * * * *"), "NotExpressible TooFine"],
      [Trigger.cron("0 0 1 * MON"), "NotExpressible DaysCombined"],
      [Trigger.cron("0 0 */2 * MON"), "NotExpressible DaysCombined"],
      [Trigger.cron("0 0 L-3 * *"), "NotExpressible DayRule"],
      [Trigger.cron("0 0 LW * *"), "NotExpressible DayRule"],
      [Trigger.cron("0 0 1,L * *"), "NotExpressible DayRule"],
      [Trigger.cron("0 0 * * 5#2,5#4"), "NotExpressible DayRule"],
      [calendar("2 days", "2027-01-31T09:00"), "NotExpressible CalendarInterval"],
      [calendar("2 weeks", "2027-01-31T09:00"), "NotExpressible CalendarInterval"],
      [calendar("5 months", "2027-01-31T09:00"), "NotExpressible CalendarInterval"],
      [calendar("2 years", "2027-01-31T09:00"), "NotExpressible CalendarInterval"],
      [calendar("month", "2027-01-30T09:00"), "NotExpressible MissingDay"],
      [calendar("2 months", "2027-01-31T09:00"), "cron(0 9 L 1/2 ? *)"],
      [calendar("day", "2027-01-31T09:00:30"), "NotExpressible TooFine"],
      [calendar("day", "2200-01-31T09:00"), "NotExpressible YearRange"],
      [
        {
          _tag: "Cron",
          syntax: "eventbridge",
          expression: `${"0,".repeat(120)}0 1 * * ? *`
        } satisfies Trigger.Trigger,
        "NotExpressible TooLong"
      ],
      [Trigger.cron("60 * * * *"), "InvalidInput CronRange"],
      [Trigger.fixed(-1), "InvalidInput IntervalInvalid"],
      [Trigger.at("2027-01-01T09:00", { timeZone: "Mars/Olympus" }), "InvalidInput TimezoneUnknown"],
      [{ _tag: "Never" } as unknown as Trigger.Trigger, "InvalidInput ScheduleAmbiguous"]
    ] as const
  ) {
    it(`of ${shown(JSON.stringify(trigger))} is ${reason}`, () => {
      expect(refusal(trigger)).toBe(reason)
    })
  }

  it("says why", () => {
    expect(Either.getLeft(toEventBridge(Trigger.cron("0 0 1 * MON")))).toMatchObject({
      value: {
        message:
          "EventBridge Scheduler has no expression for this: both day of month and day of week are restricted; " +
          "two schedules could say it"
      }
    })
  })

  it("writes what clocks would have done otherwise only where it never happens, or the trigger says the same", () => {
    const at = (expression: string, options?: Trigger.CronOptions) =>
      refusal(Trigger.cron(expression, { timeZone: stockholm, ...options }))
    expect(at("0 9 * * *")).toBe("cron(0 9 * * ? *)")
    expect(at("30 2 * * MON-FRI")).toBe("cron(30 2 ? * MON-FRI *)")
    expect(at("30 2 * * *")).toBe("NotExpressible GapRule")
    expect(at("30 2 * * *", { gap: "shift" })).toBe("NotExpressible GapRule")
    expect(at("30 2 * * *", { gap: "skip" })).toBe("cron(30 2 * * ? *)")
    expect(at("30 2 * * *", { timeZone: "Asia/Tokyo" })).toBe("cron(30 2 * * ? *)")
    expect(at("0 * * * *")).toBe("NotExpressible OverlapRule")
    expect(at("0 * * * *", { overlap: "once" })).toBe("cron(0 * * * ? *)")
    expect(at("0 9-17 * * *")).toBe("cron(0 9-17 * * ? *)")
    expect(at("30 2 1 1 *", { overlap: "both" })).toBe("cron(30 2 1 1 ? *)")
    expect(refusal({
      _tag: "Cron",
      syntax: "eventbridge",
      expression: "0/5 * * * ? 2050",
      timeZone: stockholm
    })).toBe("NotExpressible OverlapRule")
    expect(refusal(Trigger.calendar({ every: "day", from: "2027-01-01T02:30", timeZone: stockholm })))
      .toBe("NotExpressible GapRule")
  })
})

// What is drawn

const zones = ["UTC", stockholm, "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "America/Sao_Paulo"] as const
const someZone = fc.constantFrom(...zones)

const numbers = (from: number, to: number) => {
  const number = fc.integer({ min: from, max: to })
  const ascending = fc.tuple(number, number).filter(([one, other]) => one < other)
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 3, arbitrary: number.map(String) },
    fc.array(number, { minLength: 2, maxLength: 4 }).map((values) => values.join(",")),
    ascending.map(([from, to]) => `${from}-${to}`),
    fc.tuple(ascending, fc.integer({ min: 2, max: 9 })).map(([[from, to], step]) => `${from}-${to}/${step}`),
    fc.tuple(number, fc.integer({ min: 2, max: 9 })).map(([from, step]) => `${from}/${step}`),
    fc.integer({ min: 2, max: 9 }).map((step) => `*/${step}`)
  )
}

const unixDays = fc.oneof(
  fc.constant("*"),
  numbers(1, 31),
  fc.constantFrom("?", "L", "LW", "L-3", "15W", "1W", "31W", "1,L")
)
const unixWeekdays = fc.oneof(
  { weight: 3, arbitrary: fc.constant("*") },
  numbers(0, 7),
  fc.constantFrom("?", "MON-FRI", "FRI-MON", "SAT,SUN", "5L", "SUNL", "5#2", "0#5", "5#1,5#3", "1-5/2")
)

const someUnixCron: fc.Arbitrary<Trigger.Trigger> = fc.record({
  fields: fc.tuple(numbers(0, 59), numbers(0, 23), unixDays, numbers(1, 12), unixWeekdays),
  timeZone: someZone,
  gap: fc.constantFrom(undefined, "run-after" as const, "skip" as const, "shift" as const),
  overlap: fc.constantFrom(undefined, "default" as const, "once" as const, "both" as const)
}).map(({ fields, ...options }) => Trigger.cron(fields.join(" "), options))

const someWall = fc.record({
  day: fc.integer({ min: 0, max: 5_000 }),
  minute: fc.integer({ min: 0, max: 1_439 })
}).map(({ day, minute }) => iso(t0 + day * 86_400_000 + minute * 60_000).slice(0, 16))

const someCalendar: fc.Arbitrary<Trigger.Trigger> = fc.record({
  every: fc.constantFrom("day", "week", "month", "2 months", "3 months", "4 months", "6 months", "year", "12 months"),
  from: fc.oneof(someWall, someWall.map((wall) => wall.replace(/-\d\dT/, "-28T")), fc.constant("2024-01-31T02:30")),
  missingDay: fc.constantFrom(undefined, "clamp" as const, "skip" as const),
  timeZone: someZone,
  gap: fc.constantFrom("run-after" as const, "skip" as const, "shift" as const)
}).map(Trigger.calendar)

const someFixed = fc.integer({ min: 1, max: 100_000 }).map((minutes) => Trigger.fixed(`${minutes} minutes`))

const eventBridgeDays = fc.oneof(
  fc.tuple(fc.oneof(numbers(1, 31), fc.constantFrom("L", "15W")), fc.constant("?")),
  fc.tuple(fc.constant("?"), fc.oneof(numbers(1, 7), fc.constantFrom("MON-FRI", "L", "6L", "3#2", "SUN,SAT")))
)
const someEventBridgeCron = fc.tuple(
  numbers(0, 59),
  numbers(0, 23),
  eventBridgeDays,
  fc.oneof(numbers(1, 12), fc.constantFrom("JAN", "MAR-OCT")),
  fc.constantFrom("*", "2027-2199", "2027/2")
).map(([minute, hour, [day, weekday], month, year]) => `cron(${minute} ${hour} ${day} ${month} ${weekday} ${year})`)

/** Within the years whose changes of clocks are looked at; every other one shortly before such a change. */
const someInstant = fc.record({
  random: fc.integer({ min: Date.parse("2020-01-01T00:00:00Z"), max: Date.parse("2036-01-01T00:00:00Z") }),
  before: fc.option(fc.integer({ min: -7_200_000, max: 90_000_000 }), { nil: undefined }),
  zone: fc.constantFrom(stockholm, "America/New_York", "Australia/Lord_Howe")
}).map(({ before, random, zone }) => {
  if (before === undefined) return random
  const { segmentAt } = accepted(parseTimeZone(zone))
  let segment = segmentAt(Math.floor(random / 1_000))
  do segment = segmentAt(segment.end)
  while (segment.before === segment.offset)
  return segment.start * 1_000 - before
})

describe("what is written", () => {
  it("occurs when the trigger does", () => {
    let expressible = 0
    fc.assert(
      fc.property(
        fc.oneof({ weight: 4, arbitrary: someUnixCron }, { weight: 2, arbitrary: someCalendar }, someFixed),
        fc.array(someInstant, { minLength: 8, maxLength: 8 }),
        (trigger, instants) => {
          const schedule = toEventBridge(trigger)
          if (Either.isLeft(schedule)) {
            expect(schedule.left._tag).toBe("NotExpressible")
            return
          }
          expressible++
          const { scheduleExpression, startDate, timeZone } = schedule.right
          const [one, other] = [ruleOf(trigger), ruleOf(accepted(parse(scheduleExpression, { timeZone })))]
          const begin = startDate === undefined
            ? -Infinity
            : instantOf(accepted(parseTimeZone(timeZone)), Date.parse(`${startDate}Z`) / 1_000) * 1_000
          for (const instant of instants) {
            for (let after = instant, count = 0; count < 4; count++) {
              const next = nextAfter(one, after)
              expect(nextAfter(other, Math.max(after, begin - 1)), `${scheduleExpression} after ${after}`).toBe(next)
              if (next === undefined || next > Date.parse("2038-01-01T00:00:00Z")) break
              after = next
            }
          }
        }
      ),
      { numRuns: 1_500 }
    )
    expect(expressible).toBeGreaterThan(500)
  })

  it("is never refused for one day field in minutes, where the trigger has EventBridge's rule for clocks", () => {
    fc.assert(
      fc.property(
        fc.tuple(numbers(0, 59), numbers(0, 23), numbers(1, 12)),
        fc.oneof(numbers(1, 31).map((day) => [day, "*"]), numbers(0, 7).map((weekday) => ["*", weekday])),
        someZone,
        ([minute, hour, month], [day, weekday], timeZone) => {
          const text = [minute, hour, day, month, weekday].join(" ")
          written(Trigger.cron(text, { timeZone, gap: "skip", overlap: "once" }))
        }
      ),
      { numRuns: 500 }
    )
  })

  it("is what was read, in its normal form", () => {
    const again = (text: string, timeZone: string) => written(accepted(parse(text, { timeZone })))
    fc.assert(
      fc.property(someEventBridgeCron, someZone, (text, timeZone) => {
        expect(again(text, timeZone)).toEqual({ scheduleExpression: text, timeZone })
      }),
      { numRuns: 500 }
    )
    fc.assert(
      fc.property(
        fc.nat(100_000),
        fc.constantFrom("minutes" as const, "hours" as const, "days" as const),
        (count, unit) => {
          const rate = again(`rate(${count % 30_000 + 1} ${unit})`, "UTC").scheduleExpression
          expect(ruleOf(accepted(parse(rate)))).toEqual(ruleOf(Trigger.fixed(`${count % 30_000 + 1} ${unit}`)))
          expect(again(rate, "UTC").scheduleExpression).toBe(rate)
        }
      )
    )
    fc.assert(fc.property(someWall, someZone, (wall, timeZone) => {
      const { scheduleExpression } = again(`at(${wall}:00)`, timeZone)
      const due = (text: string) =>
        accepted(Trigger.dueAt(accepted(parse(text, { timeZone })) as Trigger.OnceTrigger, t0))
      expect(due(scheduleExpression)).toBe(due(`at(${wall}:00)`))
      if (timeZone === "UTC") expect(scheduleExpression).toBe(`at(${wall}:00)`)
    }))
  })
})

/**
 * The expressions of Amazon EventBridge Scheduler, read and written: `at(...)`, `rate(...)` and `cron(...)`. Pure.
 *
 * What is written means the same there as here, or it is not written: EventBridge has a precision of minutes, one rule for
 * what clocks leave out (nothing) and repeat (the first pass), and years up to 2199 only.
 */
import { Either, Schema } from "effect"
import { dateOf, daysInMonth, secondsADay, weekdayOf } from "./CalendarDate.ts"
import type { CronFields } from "./CronExpression.ts"
import { cronPattern, longestCron, parseCron, parseEventBridgeCron, weekdays } from "./CronExpression.ts"
import type { InvalidInputReason } from "./Errors.ts"
import { InvalidInput } from "./Errors.ts"
import type { Recurrence, ZonedRule } from "./Recurrence.ts"
import { zonedOf } from "./Recurrence.ts"
import type { DurationInput, Millis } from "./Time.ts"
import { durationText, parseDuration, parseInstant, shown } from "./Time.ts"
import type { TimeZone, WallSeconds } from "./TimeZone.ts"
import { parseTimeZone } from "./TimeZone.ts"
import type { RecurringTrigger, Trigger } from "./Trigger.ts"
import { at, dueAt, fixed, recurrence } from "./Trigger.ts"
import type { WallPattern } from "./WallPattern.ts"
import { outlivesGaps, shownWall, wallAt } from "./WallPattern.ts"

const refuse = (reason: InvalidInputReason, expected: string, input: unknown) =>
  Either.left(
    new InvalidInput({
      reason,
      field: "expression",
      message: `expression: expected ${expected}, got ${shown(input)}`
    })
  )

const form = /^(at|rate|cron)\((.*)\)$/
const localSecond = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/
const rate = /^[1-9]\d* (minute|hour|day)s?$/

const parseAt = (text: string, timeZone: string): Either.Either<Trigger, InvalidInput> =>
  localSecond.test(text) && Either.isRight(parseInstant(`${text}Z`, "expression"))
    ? Either.right(at(text, { timeZone }))
    : refuse("DateInvalid", "a date and time that exist, such as at(2027-01-01T09:00:00)", `at(${text})`)

const parseRate = (text: string): Either.Either<Trigger, InvalidInput> =>
  rate.test(text) && Either.isRight(parseDuration(text, "expression"))
    ? Either.right(fixed(text as DurationInput))
    : refuse(
      "IntervalInvalid",
      "a whole number of minutes, hours or days, from 1 to 100 years, such as rate(5 minutes)",
      `rate(${text})`
    )

const parseCronOf = (expression: string, timeZone: string): Either.Either<RecurringTrigger, InvalidInput> =>
  Either.map(
    parseEventBridgeCron(expression),
    () => ({ _tag: "Cron", syntax: "eventbridge", expression, timeZone, gap: "skip", overlap: "once" })
  )

/**
 * Reads an expression of Amazon EventBridge Scheduler. The trigger does what EventBridge does: a rate counts days of 24
 * hours; cron leaves out what clocks leave out, and runs once what they repeat.
 *
 * Source: "Schedule types in EventBridge Scheduler", AWS documentation.
 *
 * @param expression at most 256 characters
 * @param options `timeZone`: IANA name; default: UTC
 * @returns the trigger, or `InvalidInput`: `ExpressionInvalid` for what is neither of the three forms; `DateInvalid`;
 * `IntervalInvalid`; `CronFields`, `CronRange`, `CronInvalid`, `CronUnsupported`, `CronTooLong`; `TimezoneUnknown`
 *
 * @example
 * Trigger.parse("cron(0 10 ? * MON-FRI *)", { timeZone: "Europe/Stockholm" })
 */
export const parse = (
  expression: string,
  { timeZone = "UTC" }: { readonly timeZone?: string | undefined } = {}
): Either.Either<Trigger, InvalidInput> =>
  Either.flatMap(parseTimeZone(timeZone), ({ id }) => {
    const [, kind, text = ""] = (typeof expression === "string" && form.exec(expression)) || []
    switch (kind) {
      case "at":
        return parseAt(text, id)
      case "rate":
        return parseRate(text)
      case "cron":
        return expression.length > longestCron
          ? refuse("CronTooLong", `at most ${longestCron} characters`, expression)
          : parseCronOf(text, id)
      default:
        return refuse(
          "ExpressionInvalid",
          "at(2027-01-01T09:00:00), rate(5 minutes) or cron(0 10 ? * MON-FRI *), in lower case",
          expression
        )
    }
  })

/** EventBridge Scheduler has no expression that means what a trigger means; the message says what stands in the way. */
export class NotExpressible extends Schema.TaggedError<NotExpressible>()("NotExpressible", {
  reason: Schema.Literal(
    /** `now` and `after` depend on when they are said. */
    "RelativeToNow",
    /** `spaced` counts from the end of the run before. */
    "RelativeToEnd",
    /** Fractions of a second for one instant, seconds for what recurs. */
    "TooFine",
    /** Day of month and day of week both restrict. */
    "DaysCombined",
    /** `L-3`, `LW`, or one of `L`, `15W`, `5L`, `5#2` that is not alone. */
    "DayRule",
    /** Every two weeks, every five months and the like. */
    "CalendarInterval",
    /** The last day instead of a missing one, in months that differ. */
    "MissingDay",
    /** What clocks leave out is made up for. */
    "GapRule",
    /** What clocks show twice runs twice. */
    "OverlapRule",
    "YearRange",
    "TooLong"
  ),
  message: Schema.String
}) {}

/** What `CreateSchedule` of EventBridge Scheduler takes. */
export interface EventBridgeSchedule {
  readonly scheduleExpression: string
  /** IANA name, for `ScheduleExpressionTimezone`. */
  readonly timeZone: string
  /** The first occurrence of a calendar trigger, as clocks in the zone show it: cron has no beginning of its own. */
  readonly startDate?: string
}

const cannot = (reason: NotExpressible["reason"], why: string) =>
  Either.left(new NotExpressible({ reason, message: `EventBridge Scheduler has no expression for this: ${why}` }))

const dateAt = (wall: WallSeconds) => dateOf(Math.floor(wall / secondsADay))

const onceOf = (
  trigger: Extract<Trigger, { readonly _tag: "At" }>
): Either.Either<EventBridgeSchedule, NotExpressible | InvalidInput> =>
  Either.flatMap(
    Either.all({ instant: dueAt(trigger, 0), zone: parseTimeZone(trigger.timeZone ?? "UTC") }),
    ({ instant, zone }) => {
      if (instant % 1_000 !== 0) return cannot("TooFine", "its instant has a fraction of a second")
      const wall = wallAt(zone, instant / 1_000)
      const { year } = dateAt(wall)
      return year < 0 || year > 9_999
        ? cannot("YearRange", `its year is ${year}, and years have four digits`)
        : Either.right({ scheduleExpression: `at(${shownWall(wall)})`, timeZone: zone.id })
    }
  )

const rateOf = (interval: Millis): Either.Either<EventBridgeSchedule, NotExpressible> =>
  interval % 60_000 === 0
    ? Either.right({ scheduleExpression: `rate(${durationText(interval)})`, timeZone: "UTC" })
    : cannot("TooFine", `an interval of ${interval} ms is no whole number of minutes`)

/** Values ascending as a list of ranges, or `*`. */
const listed = (values: ReadonlyArray<number>, size: number, name: (value: number) => string = String): string => {
  if (values.length === size) return "*"
  const starts = values.filter((value) => !values.includes(value - 1))
  const ends = values.filter((value) => !values.includes(value + 1))
  return starts.map((start, index) => {
    const end = ends[index] as number
    return start === end ? name(start) : `${name(start)}-${name(end)}`
  }).join(",")
}

/** The same with `0/15` for what goes on to the end of the field. */
const stepped = (values: ReadonlyArray<number>, from: number, to: number): string => {
  const [first = from, second = from] = values
  const step = second - first
  const isSteps = step > 1 && values.length === Math.floor((to - first) / step) + 1 &&
    values.every((value, index) => value === first + index * step)
  return isSteps && values.length > 2 ? `${first}/${step}` : listed(values, to - from + 1)
}

const dayName = (weekday: number): string => weekdays[weekday] as string

type Field = CronFields["days"]

/** EventBridge counts weekdays from 1, Sunday. */
const ruleText = (rule: Field["rules"][number]): string | undefined => {
  switch (rule._tag) {
    case "FromLast":
      return rule.days === 0 && !rule.weekday ? "L" : undefined
    case "NearestWeekday":
      return `${rule.day}W`
    case "LastOf":
      return `${rule.weekday + 1}L`
    case "NthOf":
      return `${rule.weekday + 1}#${rule.nth}`
  }
}

/** `L`, `15W`, `6L` and `6#2` in a list are not documented: what they would do there cannot be promised. */
const dayField = ({ rules, values }: Field, plain: string): Either.Either<string, NotExpressible> => {
  if (rules.length === 0) return Either.right(plain)
  const [text, ...others] = new Set(rules.map(ruleText))
  return text === undefined || others.length > 0 || values.length > 0
    ? cannot("DayRule", "of days such as L, 15W, 5L and 5#2 it knows one alone, and neither LW nor L-3")
    : Either.right(text)
}

/** Day of month and day of week; one is `?`. */
const daysOf = ({ days, weekdays }: CronFields): Either.Either<readonly [string, string], NotExpressible> => {
  const isAnyDay = days.values.length === 31
  const isAnyWeekday = weekdays.values.length === 7
  const bothHold = days.isOpen || weekdays.isOpen
  if (!bothHold && (isAnyDay || isAnyWeekday)) return Either.right(["*", "?"])
  if (bothHold && isAnyWeekday) {
    return Either.map(dayField(days, stepped(days.values, 1, 31)), (text) => [text, "?"] as const)
  }
  if (bothHold && isAnyDay) {
    return Either.map(dayField(weekdays, listed(weekdays.values, 7, dayName)), (text) => ["?", text] as const)
  }
  return cannot(
    "DaysCombined",
    `both day of month and day of week are restricted${bothHold ? "" : "; two schedules could say it"}`
  )
}

const unixCron = (fields: CronFields): Either.Either<string, NotExpressible> =>
  fields.seconds.length !== 1 || fields.seconds[0] !== 0
    ? cannot("TooFine", "it has seconds other than 0")
    : Either.map(
      daysOf(fields),
      ([day, weekday]) =>
        [
          stepped(fields.minutes, 0, 59),
          stepped(fields.hours, 0, 23),
          day,
          stepped(fields.months, 1, 12),
          weekday,
          "*"
        ].join(" ")
    )

type Calendar = Extract<Recurrence, { readonly _tag: "Calendar" }>

const range = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

/** The day of some months, `L` where that is what the last day stands in for. */
const monthDay = (
  day: number,
  months: ReadonlyArray<number>,
  { missingDay }: Calendar
): Either.Either<string, NotExpressible> => {
  const least = Math.min(...months.map((month) => daysInMonth(2027, month)))
  const most = Math.max(...months.map((month) => daysInMonth(2028, month)))
  if (day <= least || missingDay === "skip") return Either.right(String(day))
  return day === most
    ? Either.right("L")
    : cannot("MissingDay", `the ${day}th, or the last day of a month without it; missingDay "skip" could be said`)
}

const calendarCron = (rule: Calendar): Either.Either<string, NotExpressible> => {
  const { every, from, unit } = rule
  const { day, month, year } = dateAt(from)
  const minutes = Math.floor(from / 60)
  if (from % 60 !== 0) return cannot("TooFine", "its first occurrence has seconds other than 0")
  if (year < 1970 || year > 2199) return cannot("YearRange", `it begins in ${year}, and years are from 1970 to 2199`)
  const time = `${minutes % 60} ${Math.floor(minutes / 60) % 24}`
  if (unit === "day" && every === 1) return Either.right(`${time} * * ? *`)
  if (unit === "week" && every === 1) {
    return Either.right(`${time} ? * ${dayName(weekdayOf(Math.floor(from / secondsADay)))} *`)
  }
  const step = unit === "year" ? 12 * every : unit === "month" ? every : Infinity
  if (12 % step !== 0) {
    return cannot(
      "CalendarInterval",
      `cron does not count from a first date on, so it cannot tell every ${every} ${unit}s`
    )
  }
  const months = range(12 / step).map((k) => (month - 1 + k * step) % 12 + 1).sort((one, other) => one - other)
  return Either.map(monthDay(day, months, rule), (day) => `${time} ${day} ${stepped(months, 1, 12)} ? *`)
}

const expressionOf = (rule: ZonedRule): Either.Either<string, NotExpressible> =>
  rule._tag === "Calendar"
    ? calendarCron(rule)
    : rule.syntax === "eventbridge"
    ? Either.right(rule.expression.trim().split(/[ \t]+/).join(" "))
    // Checked before it became a rule.
    : unixCron(Either.getOrThrow(parseCron(rule.expression)))

/** 2020 to 2037: long enough for "the last Sunday of March" to fall on each date it can. */
const changesFrom = 1_577_836_800
const changesTo = 2_145_916_800

/** Whether clocks of a zone leave out, or repeat, some of the times. */
const isMet = ({ segmentAt }: TimeZone, times: WallPattern, change: "gap" | "overlap"): boolean => {
  for (let at = changesFrom; at < changesTo;) {
    const { before, end, offset, start } = segmentAt(at)
    const [low, high] = change === "gap" ? [before, offset] : [offset, before]
    if (low < high && (times.next(start + low) ?? Infinity) < start + high) return true
    at = end
  }
  return false
}

/** Refuses what a zone's clocks would have done otherwise in EventBridge. */
const sameByClocks = (rule: ZonedRule, expression: string): Either.Either<void, NotExpressible> => {
  const zoned = zonedOf(rule)
  const { pattern, zone } = zoned
  const fields = Either.getOrThrow(parseEventBridgeCron(expression))
  // Changes are looked for in some years only, and stand for those of all.
  const times = cronPattern({ ...fields, years: undefined }, "once")
  if (outlivesGaps(zoned) && isMet(zone, times, "gap")) {
    return cannot("GapRule", `it leaves out what clocks in ${zone.id} leave out; gap "skip" says the same`)
  }
  if (!pattern.oncePerOverlap && isMet(zone, times, "overlap")) {
    return cannot(
      "OverlapRule",
      `it runs in the first pass only when clocks in ${zone.id} are set back; overlap "once" says the same`
    )
  }
  return Either.void
}

const cronOf = (rule: ZonedRule): Either.Either<EventBridgeSchedule, NotExpressible> =>
  Either.flatMap(expressionOf(rule), (expression): Either.Either<EventBridgeSchedule, NotExpressible> => {
    const scheduleExpression = `cron(${expression})`
    if (scheduleExpression.length > longestCron) {
      return cannot("TooLong", `it would take ${scheduleExpression.length} characters, and ${longestCron} is the most`)
    }
    return Either.map(sameByClocks(rule, expression), () => ({
      scheduleExpression,
      timeZone: rule.timeZone,
      ...(rule._tag === "Calendar" ? { startDate: shownWall(rule.from) } : {})
    }))
  })

/**
 * Writes a trigger as Amazon EventBridge Scheduler would have it, where it can say exactly the same (up to the year 2199,
 * where its years end).
 *
 * @returns expression, zone and, for a calendar trigger, the first date; `NotExpressible`, whose reason says why there is
 * none; or `InvalidInput` for a trigger that `schedule` and `repeat` would refuse too
 *
 * Source: "Schedule types in EventBridge Scheduler", AWS documentation.
 *
 * @example
 * Trigger.toEventBridge(Trigger.cron("0 10 * * 1-5")) // scheduleExpression: "cron(0 10 ? * MON-FRI *)", timeZone: "UTC"
 */
export const toEventBridge = (
  trigger: Trigger
): Either.Either<EventBridgeSchedule, NotExpressible | InvalidInput> => {
  switch (trigger._tag) {
    case "Now":
    case "After":
      return cannot("RelativeToNow", "when it is due depends on when it is said; at(...) names an instant")
    case "At":
      return onceOf(trigger)
    default:
      return Either.flatMap(recurrence(trigger, 0, 1), (rule) => {
        switch (rule._tag) {
          case "Spaced":
            return cannot("RelativeToEnd", "its intervals are counted from the end of a run; rate(...) is fixed")
          case "Fixed":
            return rateOf(rule.interval)
          default:
            return cronOf(rule)
        }
      })
  }
}

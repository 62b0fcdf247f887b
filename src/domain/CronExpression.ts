/**
 * Cron expressions: read strictly, compiled once, asked often. Pure.
 *
 * Five fields (minute, hour, day of month, month, day of week), or six with the second first. Day of month and day of week
 * combine as in Vixie cron: both restricted means either of them; a field that starts with `*` or `?` restricts nothing
 * by itself, so together with the other one both must hold. Besides: names, lists, ranges (also across the end of a
 * field), steps, `7` for Sunday, `?`, `L`, `L-3`, `LW`, `15W`, `5L` (the last Friday), `5#2` (the second Friday) and the
 * macros from `@yearly` to `@hourly`.
 */
import { Either } from "effect"
import type { Day } from "./CalendarDate.ts"
import { dateOf, dayOf, daysInMonth, secondsADay, weekdayOf } from "./CalendarDate.ts"
import type { InvalidInputReason } from "./Errors.ts"
import { InvalidInput } from "./Errors.ts"
import { shown } from "./Time.ts"
import type { WallSeconds } from "./TimeZone.ts"
import type { Overlap, WallPattern } from "./WallPattern.ts"

/** Characters that an expression may have. */
export const longestCron = 256

type Values = ReadonlyArray<number>

/** A day of a month that depends on how the month lies. */
type DayRule =
  /** The last day, or some days before it. */
  | { readonly _tag: "FromLast"; readonly days: number; readonly weekday: boolean }
  /** The weekday nearest to a day, within the month. */
  | { readonly _tag: "NearestWeekday"; readonly day: number }
  | { readonly _tag: "LastOf"; readonly weekday: number }
  | { readonly _tag: "NthOf"; readonly weekday: number; readonly nth: number }

/** A field as it is written. */
interface Field {
  readonly values: Values
  readonly rules: ReadonlyArray<DayRule>
  /** Starts with `*` or `?`. */
  readonly isOpen: boolean
  /** Has a range or a step, or is open. */
  readonly isInterval: boolean
}

/** How a field of a dialect is written. */
interface FieldSyntax {
  readonly name: string
  readonly from: number
  readonly to: number
  /** The names of `from`, `from + 1`, ... */
  readonly names?: ReadonlyArray<string> | undefined
  readonly special?: ((part: string) => DayRule | undefined) | undefined
  /** What a number means that is not itself a value: `7` is Sunday, 0. */
  readonly meaning?: ((value: number) => number) | undefined
  readonly wrapsAround: boolean
  readonly question: boolean
}

/** An expression that has been read. */
export interface CronFields {
  readonly seconds: Values
  readonly minutes: Values
  readonly hours: Values
  readonly days: Field
  readonly months: Values
  /** 0 is Sunday. */
  readonly weekdays: Field
  /** Absent: every year. */
  readonly years: Values | undefined
  /** Whether the minute or the hour is `*`: then what a gap swallows is not made up for. */
  readonly isOpenWithinDay: boolean
  /** Whether it repeats within the day by a range, a step or `*`: then it runs in both passes of an overlap. */
  readonly isInterval: boolean
}

const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
export const weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

const refuse = (reason: InvalidInputReason, message: string) =>
  Either.left(new InvalidInput({ reason, field: "cron", message: `cron: ${message}` }))

const lastDay = /^L(?:-(\d{1,2}))?(W)?$/
const nearest = /^(\d{1,2})W$/

const unixDay = (part: string): DayRule | undefined => {
  const last = lastDay.exec(part)
  if (last !== null) return fromLast(Number(last[1] ?? 0), last[2] !== undefined)
  const day = Number(nearest.exec(part)?.[1])
  return day >= 1 && day <= 31 ? { _tag: "NearestWeekday", day } : undefined
}

const fromLast = (days: number, weekday: boolean): DayRule | undefined =>
  days <= 30 ? { _tag: "FromLast", days, weekday } : undefined

/** `5L` and `5#2`, also with names. */
const weekdayRule = (weekday: (text: string) => number | undefined) => (part: string): DayRule | undefined => {
  const [, name = "", nth] = /^([0-7]|[A-Z]{3})(?:L|#([1-5]))$/.exec(part) ?? []
  const day = weekday(name)
  if (day === undefined) return undefined
  return nth === undefined ? { _tag: "LastOf", weekday: day } : { _tag: "NthOf", weekday: day, nth: Number(nth) }
}

const unixWeekday = (text: string): number | undefined => {
  const named = weekdays.indexOf(text)
  return named >= 0 ? named : /^[0-7]$/.test(text) ? Number(text) % 7 : undefined
}

/** EventBridge counts weekdays from 1, Sunday. */
const eventBridgeWeekday = (text: string): number | undefined => {
  const named = weekdays.indexOf(text)
  return named >= 0 ? named : /^[1-7]$/.test(text) ? Number(text) - 1 : undefined
}

const numeric = (name: string, from: number, to: number, names?: ReadonlyArray<string>): FieldSyntax => ({
  name,
  from,
  to,
  names,
  wrapsAround: true,
  question: true
})

const unix = {
  second: numeric("second", 0, 59),
  minute: numeric("minute", 0, 59),
  hour: numeric("hour", 0, 23),
  day: { ...numeric("day of month", 1, 31), special: unixDay },
  month: numeric("month", 1, 12, months),
  weekday: {
    ...numeric("day of week", 0, 7, weekdays),
    special: weekdayRule(unixWeekday),
    meaning: (value: number) => value % 7
  }
} satisfies Record<string, FieldSyntax>

const strictly = (syntax: FieldSyntax): FieldSyntax => ({ ...syntax, wrapsAround: false, question: false })

/** Amazon EventBridge Scheduler's fields: no seconds, a year, `?` for exactly one of the days, and neither `LW` nor `L-3`. */
const eventBridge = {
  minute: strictly(unix.minute),
  hour: strictly(unix.hour),
  day: {
    ...strictly(unix.day),
    special: (part: string) => part === "L" || nearest.test(part) ? unixDay(part) : undefined
  },
  month: strictly(unix.month),
  weekday: {
    ...strictly(unix.weekday),
    from: 1,
    to: 7,
    special: weekdayRule(eventBridgeWeekday),
    meaning: (value: number) => value - 1
  },
  year: strictly(numeric("year", 1970, 2199))
} satisfies Record<string, FieldSyntax>

const macros: Readonly<Record<string, string>> = {
  "@YEARLY": "0 0 1 1 *",
  "@ANNUALLY": "0 0 1 1 *",
  "@MONTHLY": "0 0 1 * *",
  "@WEEKLY": "0 0 * * 0",
  "@DAILY": "0 0 * * *",
  "@MIDNIGHT": "0 0 * * *",
  "@HOURLY": "0 * * * *",
  "@EVERY_MINUTE": "* * * * *",
  "@EVERY_SECOND": "* * * * * *"
}

const part = /^(?:([*?])|(\d{1,8}|[A-Z]{3})(?:-(\d{1,8}|[A-Z]{3}))?)(?:\/(\d{1,8}))?$/

const bad = (reason: "CronRange" | "CronInvalid" | "CronUnsupported", { from, name, to }: FieldSyntax, text: string) =>
  refuse(
    reason,
    `${name}: expected values from ${from} to ${to}, such as "${from}", "${from}-${from + 1}" or "*/2", got ${
      shown(text)
    }`
  )

/** One of the parts between commas. */
const parsePart = (syntax: FieldSyntax, text: string): Either.Either<Values | DayRule, InvalidInput> => {
  const rule = syntax.special?.(text)
  if (rule !== undefined) return Either.right(rule)
  const match = part.exec(text)
  if (match === null) {
    return bad(/^[HC](\(.*\))?(\/\d+)?$/.test(text) ? "CronUnsupported" : "CronInvalid", syntax, text)
  }
  const [, open, first = "", last, step] = match
  if (open === "?" && !syntax.question) return bad("CronInvalid", syntax, text)
  const { from, meaning, names = [], to } = syntax
  const valueOf = (word: string) => {
    const named = names.indexOf(word)
    // Names are of the days as the field counts them; in EventBridge's, Sunday is 1.
    if (named >= 0) return named + (names === weekdays ? from : 1)
    const value = /^\d/.test(word) ? Number(word) : NaN
    return value >= from && value <= to ? value : undefined
  }
  const start = open === undefined ? valueOf(first) : from
  const end = last !== undefined ? valueOf(last) : open !== undefined || step !== undefined ? to : start
  if (start === undefined || end === undefined) {
    return bad(/^[A-Z]/.test(first) || /^[A-Z]/.test(last ?? "") ? "CronInvalid" : "CronRange", syntax, text)
  }
  const stride = step === undefined ? 1 : Number(step)
  if (stride === 0) return refuse("CronRange", `${syntax.name}: expected a step of at least 1, got ${shown(text)}`)
  const values: Array<number> = []
  const note = (value: number) => values.push(meaning === undefined ? value : meaning(value))
  if (start <= end) {
    for (let value = start; value <= end; value += stride) note(value)
    return Either.right(values)
  }
  // Across the end of the field. Weekdays have 7 twice over, as 0 and as 7.
  const size = names === weekdays ? 7 : to - from + 1
  const span = end - start + size
  if (!syntax.wrapsAround || isSlip(syntax, start, span)) {
    return refuse("CronRange", `${syntax.name}: expected a range that goes up, got ${shown(text)}`)
  }
  for (let value = start; value <= start + span; value += stride) note(value > to ? value - size : value)
  return Either.right(values)
}

/**
 * A range across the end that is more likely a mistake: of minutes or seconds it leaves out a few only, as does `30-20` for
 * `20-30`; or it is `7-1`, which is the weekend where weekdays are counted from 1.
 */
const isSlip = ({ names, to }: FieldSyntax, start: number, span: number): boolean => {
  if (names === weekdays) return start === 7 && span === 1
  const leftOut = to - span
  return to === 59 && leftOut > 0 && leftOut < 15
}

const parseField = (syntax: FieldSyntax, text: string): Either.Either<Field, InvalidInput> =>
  Either.map(Either.all(text.split(",").map((each) => parsePart(syntax, each))), (parts) => ({
    values: [...new Set(parts.flatMap((each) => "_tag" in each ? [] : each))].sort((one, other) => one - other),
    rules: parts.flatMap((each) => "_tag" in each ? [each] : []),
    isOpen: /^[*?]/.test(text),
    isInterval: /[*?/-]/.test(text)
  }))

const tooLong = (length: number) => refuse("CronTooLong", `expected at most ${longestCron} characters, got ${length}`)

/** An expression's fields, or why it has none. */
const fieldsOf = (expression: unknown): Either.Either<ReadonlyArray<string>, InvalidInput> => {
  if (typeof expression !== "string") {
    return refuse("CronInvalid", `expected an expression such as "0 9 * * MON-FRI", got ${shown(expression)}`)
  }
  if (expression.length > longestCron) return tooLong(expression.length)
  // Some letters beyond ASCII have capitals within it.
  const text = expression.trim().replace(/[a-z]+/g, (word) => word.toUpperCase())
  if (text.startsWith("@")) {
    const meaning = macros[text]
    return meaning === undefined
      ? refuse(
        "CronUnsupported",
        `expected one of ${Object.keys(macros).join(", ").toLowerCase()}, got ${shown(expression)}`
      )
      : Either.right(meaning.split(" "))
  }
  return Either.right(text === "" ? [] : text.split(/[ \t]+/))
}

const fixedSecond: Field = { values: [0], rules: [], isOpen: false, isInterval: false }

/**
 * Reads an expression of five fields, or of six with the second first, or a macro.
 *
 * @returns its fields, or `InvalidInput` with field `cron` and reason `CronFields`, `CronRange`, `CronInvalid`,
 * `CronUnsupported` or `CronTooLong`
 *
 * @example
 * parseCron("0 9 * * MON-FRI")
 */
export const parseCron = (expression: unknown): Either.Either<CronFields, InvalidInput> =>
  Either.flatMap(fieldsOf(expression), (texts) => {
    if (texts.length !== 5 && texts.length !== 6) {
      return refuse(
        "CronFields",
        "expected 5 fields (minute hour day-of-month month day-of-week), or 6 with the second first, got " +
          `${texts.length} in ${shown(expression)}`
      )
    }
    const [minute, hour, day, month, weekday] = texts.slice(-5) as [string, string, string, string, string]
    return Either.map(
      Either.all({
        second: texts.length === 6 ? parseField(unix.second, texts[0] as string) : Either.right(fixedSecond),
        minute: parseField(unix.minute, minute),
        hour: parseField(unix.hour, hour),
        days: parseField(unix.day, day),
        month: parseField(unix.month, month),
        weekdays: parseField(unix.weekday, weekday)
      }),
      ({ days, hour, minute, month, second, weekdays }): CronFields => ({
        seconds: second.values,
        minutes: minute.values,
        hours: hour.values,
        days,
        months: month.values,
        weekdays,
        years: undefined,
        isOpenWithinDay: minute.isOpen || hour.isOpen,
        isInterval: second.isInterval || minute.isInterval || hour.isInterval
      })
    )
  })

/**
 * Reads what stands between the parentheses of Amazon EventBridge Scheduler's `cron(...)`: minute, hour, day of month, month,
 * day of week (1 is Sunday), year; exactly one of the days is `?`.
 *
 * Source: "Schedule types on EventBridge Scheduler", AWS documentation.
 *
 * @example
 * parseEventBridgeCron("0 10 ? * MON-FRI *")
 */
export const parseEventBridgeCron = (expression: unknown): Either.Either<CronFields, InvalidInput> =>
  Either.flatMap(fieldsOf(expression), (texts) => {
    if (texts.length !== 6 || /^\s*@/.test(expression as string)) {
      return refuse(
        "CronFields",
        `expected 6 fields (minute hour day-of-month month day-of-week year), got ${texts.length} in ${
          shown(expression)
        }`
      )
    }
    const [minute, hour, day, month, weekday, year] = texts as [string, string, string, string, string, string]
    if ((day === "?") === (weekday === "?")) {
      return refuse(
        "CronInvalid",
        `expected "?" as exactly one of day-of-month and day-of-week, got ${shown(day)} and ${shown(weekday)}`
      )
    }
    if (weekday.includes("#") && weekday.includes(",")) {
      return refuse("CronInvalid", `day of week: expected "#" alone, got ${shown(weekday)}`)
    }
    return Either.map(
      Either.all({
        minute: parseField(eventBridge.minute, minute),
        hour: parseField(eventBridge.hour, hour),
        days: parseField(eventBridge.day, day === "?" ? "*" : day),
        month: parseField(eventBridge.month, month),
        // The last day of the week is its seventh, Saturday.
        weekdays: parseField(eventBridge.weekday, weekday === "?" ? "*" : weekday === "L" ? "7" : weekday),
        years: parseField(eventBridge.year, year)
      }),
      ({ days, hour, minute, month, weekdays, years }): CronFields => ({
        seconds: [0],
        minutes: minute.values,
        hours: hour.values,
        days,
        months: month.values,
        weekdays,
        years: years.values,
        isOpenWithinDay: minute.isOpen || hour.isOpen,
        isInterval: minute.isInterval || hour.isInterval
      })
    )
  })

// Compiled

/** For each number up to a bound, the first value at or after it, or -1. */
const following = (values: Values, bound: number): Int8Array => {
  const table = new Int8Array(bound + 1).fill(-1)
  for (let at = bound - 1, next = -1; at >= 0; at--) {
    if (values.includes(at)) next = at
    table[at] = next
  }
  return table
}

const bit = (day: number): number => 1 << (day - 1)

/** The days of a month that a field names, as bits. */
const daysByRule = (rule: DayRule, first: number, length: number): number => {
  const weekdayOfDay = (day: number) => (first + day - 1) % 7
  const toWeekday = (day: number): number => {
    const weekday = weekdayOfDay(day)
    // Never into another month.
    if (weekday === 6) return day === 1 ? 3 : day - 1
    if (weekday === 0) return day === length ? day - 2 : day + 1
    return day
  }
  switch (rule._tag) {
    case "FromLast": {
      const day = length - rule.days
      return day < 1 ? 0 : bit(rule.weekday ? toWeekday(day) : day)
    }
    case "NearestWeekday":
      return rule.day > length ? 0 : bit(toWeekday(rule.day))
    case "LastOf":
      return bit(length - ((weekdayOfDay(length) - rule.weekday + 7) % 7))
    case "NthOf": {
      const day = 1 + ((rule.weekday - first + 7) % 7) + (rule.nth - 1) * 7
      return day > length ? 0 : bit(day)
    }
  }
}

const dayMask = ({ days, weekdays }: CronFields, first: number, length: number): number => {
  let ofMonth = 0
  let ofWeek = 0
  for (let day = 1; day <= length; day++) {
    if (days.values.includes(day)) ofMonth |= bit(day)
    if (weekdays.values.includes((first + day - 1) % 7)) ofWeek |= bit(day)
  }
  for (const rule of days.rules) ofMonth |= daysByRule(rule, first, length)
  for (const rule of weekdays.rules) ofWeek |= daysByRule(rule, first, length)
  return days.isOpen || weekdays.isOpen ? ofMonth & ofWeek : ofMonth | ofWeek
}

const bitCount = (mask: number): number => {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++
  return count
}

/** The Gregorian calendar repeats itself after 400 years. */
const allMonths = 4_800

/**
 * The wall times that an expression names, ready to be asked. Days are found month by month: there are but 28 kinds of
 * months, by first weekday and length.
 */
export const cronPattern = (fields: CronFields, overlap: Overlap): WallPattern => {
  const nextSecond = following(fields.seconds, 60)
  const nextMinute = following(fields.minutes, 60)
  const nextHour = following(fields.hours, 24)
  const months = new Set(fields.months)
  const years = fields.years && new Set(fields.years)
  const lastYear = fields.years?.at(-1) ?? Infinity
  const masks: Array<number | undefined> = []

  const maskOf = (year: number, month: number): number => {
    if (!months.has(month) || years?.has(year) === false) return 0
    const length = daysInMonth(year, month)
    const first = weekdayOf(dayOf(year, month, 1))
    const kind = first * 4 + length - 28
    return masks[kind] ??= dayMask(fields, first, length)
  }

  const nextDay = (from: Day): Day | undefined => {
    let { day, month, year } = dateOf(from)
    for (let count = 0; count <= allMonths && year <= lastYear; count++) {
      // Shifting by 32 would shift by nothing.
      const rest = maskOf(year, month) & (-1 << (day - 1))
      if (rest !== 0) return dayOf(year, month, 32 - Math.clz32(rest & -rest))
      day = 1
      if (month === 12) year++
      month = month % 12 + 1
    }
    return undefined
  }

  const firstTime = (nextHour[0] as number) * 3_600 + (nextMinute[0] as number) * 60 + (nextSecond[0] as number)

  /** The first time of the day at or after another, or -1. */
  const nextTime = (from: number): number => {
    const hour = Math.floor(from / 3_600)
    const minute = Math.floor(from / 60) % 60
    const later = (nextHour: number) => nextHour < 0 ? -1 : nextHour * 3_600 + firstTime % 3_600
    if (nextHour[hour] !== hour) return later(nextHour[hour] as number)
    const second = nextMinute[minute] === minute ? nextSecond[from % 60] as number : -1
    if (second >= 0) return hour * 3_600 + minute * 60 + second
    const following = nextMinute[nextMinute[minute] === minute ? minute + 1 : minute] as number
    return following >= 0 ? hour * 3_600 + following * 60 + firstTime % 60 : later(nextHour[hour + 1] as number)
  }

  const perMinute = fields.seconds.length
  const perHour = fields.minutes.length * perMinute
  const below = (values: Values, bound: number) => values.filter((value) => value < bound).length
  /** How many times of the day come before one. */
  const timesBefore = (time: number): number => {
    const hour = Math.floor(time / 3_600)
    const minute = Math.floor(time / 60) % 60
    let count = below(fields.hours, hour) * perHour
    if (fields.hours.includes(hour)) {
      count += below(fields.minutes, minute) * perMinute
      if (fields.minutes.includes(minute)) count += below(fields.seconds, time % 60)
    }
    return count
  }

  const isDay = (day: Day): boolean => {
    const date = dateOf(day)
    return (maskOf(date.year, date.month) & bit(date.day)) !== 0
  }

  /** How many days there are from one on and before another. */
  const countDays = (from: Day, to: Day): number => {
    let count = 0
    let { day, month, year } = dateOf(from)
    for (let first = from - day + 1; first < to;) {
      const mask = maskOf(year, month) & (-1 << (day - 1))
      const length = daysInMonth(year, month)
      count += bitCount(to - first < length ? mask & ((1 << (to - first)) - 1) : mask)
      first += length
      day = 1
      if (month === 12) year++
      month = month % 12 + 1
    }
    return count
  }

  const timesUpTo = (wall: WallSeconds, day: Day): number => isDay(day) ? timesBefore(wall - day * secondsADay) : 0

  return {
    madeUpAfterGap: !fields.isOpenWithinDay,
    oncePerOverlap: overlap === "default" ? !fields.isInterval : overlap === "once",
    next: (from) => {
      const day = Math.floor(from / secondsADay)
      const found = nextDay(day)
      if (found === day) {
        const time = nextTime(from - day * secondsADay)
        if (time >= 0) return day * secondsADay + time
        const following = nextDay(day + 1)
        return following === undefined ? undefined : following * secondsADay + firstTime
      }
      return found === undefined ? undefined : found * secondsADay + firstTime
    },
    count: (from, to) => {
      const first = Math.floor(from / secondsADay)
      const last = Math.floor(to / secondsADay)
      return countDays(first, last) * perHour * fields.hours.length - timesUpTo(from, first) + timesUpTo(to, last)
    }
  }
}

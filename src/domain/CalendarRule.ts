/** "Every month on the 31st, at nine": calendar intervals from a first date on. Pure. */
import { Either } from "effect"
import { dateOf, dayOf, daysInMonth, secondsADay } from "./CalendarDate.ts"
import { InvalidInput } from "./Errors.ts"
import { shown } from "./Time.ts"
import type { WallSeconds } from "./TimeZone.ts"
import type { WallPattern } from "./WallPattern.ts"

export type CalendarUnit = "day" | "week" | "month" | "year"

/** What becomes of the 31st in a month that has none: its last day instead, or nothing. */
export type MissingDay = "clamp" | "skip"

export interface CalendarRule {
  readonly every: number
  readonly unit: CalendarUnit
  /** The first occurrence; the others are counted from it, so that the 31st comes back after a shorter month. */
  readonly from: WallSeconds
  readonly missingDay: MissingDay
}

/** The longest interval, in its unit. */
const most = 1_000

const interval = /^(?:(\d{1,4}) )?(day|week|month|year)s?$/

/**
 * Reads an interval of the calendar.
 *
 * @returns how many of which unit, or `InvalidInput` with reason `IntervalInvalid`
 *
 * @example
 * parseCalendarInterval("2 weeks", "trigger.every") // Either.right({ every: 2, unit: "week" })
 */
export const parseCalendarInterval = (
  input: unknown,
  field: string
): Either.Either<{ readonly every: number; readonly unit: CalendarUnit }, InvalidInput> => {
  const [, count = "1", unit] = (typeof input === "string" && interval.exec(input)) || []
  const every = Number(count)
  return unit !== undefined && every >= 1 && every <= most
    ? Either.right({ every, unit: unit as CalendarUnit })
    : Either.left(
      new InvalidInput({
        reason: "IntervalInvalid",
        field,
        message: `${field}: expected "day", "2 weeks", "month", "3 months" or "year" (at most ${most}), got ${
          shown(input)
        }`
      })
    )
}

/** After this many months the calendar is what it was; a rule that finds no day by then has no more. */
const calendarMonths = 4_800

const monthsOf = { month: 1, year: 12 } as const
const daysOf = { day: 1, week: 7 } as const

const fixedTimes = { madeUpAfterGap: true, oncePerOverlap: true } as const

/** The wall times of a rule. */
export const calendarPattern = ({ every, from: first, missingDay, unit }: CalendarRule): WallPattern => {
  if (unit === "day" || unit === "week") {
    const step = every * daysOf[unit] * secondsADay
    const upTo = (wall: WallSeconds) => Math.max(0, Math.ceil((wall - first) / step))
    return {
      ...fixedTimes,
      next: (from) => first + upTo(from) * step,
      count: (from, to) => upTo(to) - upTo(from)
    }
  }
  const step = every * monthsOf[unit]
  const { day, month, year } = dateOf(Math.floor(first / secondsADay))
  const time = first - Math.floor(first / secondsADay) * secondsADay
  /** The occurrence of the k-th interval; `undefined` where its day is missing and skipped. */
  const occurrence = (k: number): WallSeconds | undefined => {
    const months = year * 12 + month - 1 + k * step
    const [ofYear, ofMonth] = [Math.floor(months / 12), months % 12 + 1]
    const length = daysInMonth(ofYear, ofMonth)
    return day > length && missingDay === "skip"
      ? undefined
      : dayOf(ofYear, ofMonth, Math.min(day, length)) * secondsADay + time
  }
  /** The first interval that may have an occurrence at or after a wall time. */
  const intervalAt = (wall: WallSeconds): number => {
    if (wall <= first) return 0
    const date = dateOf(Math.floor(wall / secondsADay))
    return Math.max(0, Math.floor((date.year * 12 + date.month - (year * 12 + month)) / step))
  }
  const next = (from: WallSeconds): WallSeconds | undefined => {
    const start = intervalAt(from)
    for (let k = start; (k - start) * step <= calendarMonths * every; k++) {
      const wall = occurrence(k)
      if (wall !== undefined && wall >= from) return wall
    }
    return undefined
  }
  return {
    ...fixedTimes,
    next,
    count: (from, to) => {
      let count = 0
      for (let wall = next(from); wall !== undefined && wall < to; wall = next(wall + 1)) count++
      return count
    }
  }
}

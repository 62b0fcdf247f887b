// Dates of JavaScript are what the calendar is compared with.
// @effect-diagnostics globalDate:off
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { dateOf, dayOf, daysInMonth, secondsADay, weekdayOf } from "../../src/domain/CalendarDate.ts"

const millisADay = secondsADay * 1_000
/** The days that a Date can hold. */
const anyDay = fc.integer({ min: -1e8, max: 1e8 })

describe("the calendar", () => {
  it("has the dates and weekdays of Date, as far as that reaches", () => {
    fc.assert(fc.property(anyDay, (day) => {
      const date = new Date(day * millisADay)
      const expected = { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() }
      expect(dateOf(day)).toEqual(expected)
      expect(dayOf(expected.year, expected.month, expected.day)).toBe(day)
      expect(weekdayOf(day)).toBe(date.getUTCDay())
    }))
  })

  it("has each day of 400 years and more, one after the other", () => {
    const date = new Date(Date.UTC(1899, 11, 31))
    for (let day = date.getTime() / millisADay; day < 125_000; day++) {
      const { day: ofMonth, month, year } = dateOf(day)
      if (
        ofMonth !== date.getUTCDate() || month !== date.getUTCMonth() + 1 || year !== date.getUTCFullYear() ||
        dayOf(year, month, ofMonth) !== day || weekdayOf(day) !== date.getUTCDay()
      ) expect({ day: ofMonth, month, year }).toBe(date.toISOString())
      date.setUTCDate(date.getUTCDate() + 1)
    }
    expect(date.getUTCFullYear()).toBe(2312)
  })

  it("has the months' lengths of Date", () => {
    for (const year of [1, 4, 100, 400, 1900, 1970, 2000, 2023, 2024, 2026, 2100, 2400, 9999]) {
      for (let month = 1; month <= 12; month++) {
        const next = month === 12 ? dayOf(year + 1, 1, 1) : dayOf(year, month + 1, 1)
        expect(daysInMonth(year, month)).toBe(next - dayOf(year, month, 1))
      }
    }
    expect([2000, 2024, 2100, 2026].map((year) => daysInMonth(year, 2))).toEqual([29, 29, 28, 28])
  })
})

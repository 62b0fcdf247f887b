// Dates of JavaScript are what is parsed here, and what the parser is compared with.
// @effect-diagnostics globalDate:off
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Duration, Either } from "effect"
import * as fc from "fast-check"
import { longestDuration, parseDuration, parseInstant, shown } from "../../src/domain/Time.ts"
import { inputsOf } from "../support/badInputs.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

const duration = (input: unknown) => parseDuration(input, "delay")
const instant = (input: unknown) => parseInstant(input, "at")

describe("parseDuration", () => {
  const good: ReadonlyArray<readonly [unknown, number]> = [
    [0, 0],
    [1_500, 1_500],
    ["5 seconds", 5_000],
    ["1 second", 1_000],
    ["1.5 seconds", 1_500],
    ["2 minutes", 120_000],
    ["1 hour", 3_600_000],
    ["3 days", 259_200_000],
    ["2 weeks", 1_209_600_000],
    ["250 millis", 250],
    ["PT5S", 5_000],
    ["PT1.5S", 1_500],
    ["PT1H30M", 5_400_000],
    ["P1DT2H", 93_600_000],
    ["P2W", 1_209_600_000],
    ["PT0S", 0],
    [Duration.seconds(3), 3_000],
    [Duration.zero, 0],
    [5_000_000n, 5],
    [[2, 500_000_000], 2_500],
    ["36525 days", longestDuration]
  ]
  for (const [input, millis] of good) {
    it(`reads ${shown(input)} as ${millis} ms`, () => expect(accepted(duration(input))).toBe(millis))
  }

  it("rounds up to whole milliseconds, so that nothing comes early", () => {
    for (const input of [0.1, 0.999, 1, "1 nanos", "999 micros", 1n, Duration.micros(1n), [0, 1]]) {
      expect(accepted(duration(input))).toBe(1)
    }
    expect(accepted(duration("PT0.0001S"))).toBe(1)
    expect(accepted(duration(1.0001))).toBe(2)
  })

  const bad: ReadonlyArray<unknown> = [
    Number.NaN,
    Infinity,
    -Infinity,
    -1,
    -0.5,
    -1n,
    1e300,
    longestDuration + 1,
    "36526 days",
    "-5 seconds",
    "+5 seconds",
    "5seconds",
    " 5 seconds",
    "5 seconds ",
    "5 Seconds",
    "five seconds",
    "1e3 millis",
    "0x10 seconds",
    ".5 seconds",
    "5. seconds",
    "1 year",
    "Infinity",
    "infinity",
    "NaN",
    "",
    "P",
    "PT",
    "P1Y",
    "P1M",
    "PT5",
    "-PT5S",
    "PT-5S",
    "P1DT",
    "PT1H30",
    "pt5s",
    "P1.5D",
    "5 seconds\n",
    Duration.infinity,
    [-1, 0],
    [0, -1],
    [Number.NaN, 0],
    [0, Infinity],
    [1],
    [1, 2, 3],
    ["1", "2"],
    [],
    {},
    null,
    undefined,
    true,
    () => 5,
    Symbol("5 seconds"),
    { millis: 5 }
  ]
  for (const [index, input] of bad.entries()) {
    it(`refuses ${shown(input)} (${index})`, () => expect(reasonOf(duration(input))).toBe("IntervalInvalid"))
  }

  it("names the field and does not repeat a long input", () => {
    const error = refused(parseDuration("x".repeat(1_000_000), "retry.baseDelay"))
    expect(error.field).toBe("retry.baseDelay")
    expect(error.message).toContain("retry.baseDelay")
    expect(error.message.length).toBeLessThan(250)
  })

  it("answers every input there is, with whole milliseconds that are not negative, or a typed refusal", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }), (input) => {
        const verdict = duration(input)
        const millis = Either.getOrElse(verdict, () => 0)
        expect(Number.isSafeInteger(millis) && millis >= 0 && millis <= longestDuration).toBe(true)
        expect(["IntervalInvalid", null]).toContain(reasonOf(verdict))
      }),
      { numRuns: 2_000 }
    )
  })

  it("never makes a duration shorter than it was said", () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (millis) => {
      const parsed = accepted(duration(millis))
      // A Duration counts nanoseconds.
      expect(parsed).toBeGreaterThanOrEqual(millis - 0.000_001)
      expect(parsed - millis).toBeLessThan(1)
    }))
  })
})

describe("parseInstant", () => {
  for (const { id, input, reason } of inputsOf("date")) {
    it(`${id}: ${shown(input)} is ${reason ?? "accepted"}`, () => expect(reasonOf(instant(input))).toBe(reason))
  }

  const good: ReadonlyArray<readonly [unknown, number]> = [
    ["2027-01-01T09:00:00+01:00", Date.UTC(2027, 0, 1, 8)],
    ["2027-01-01T00:30:00+05:30", Date.UTC(2026, 11, 31, 19)],
    ["2026-12-31T20:00:00-03:30", Date.UTC(2026, 11, 31, 23, 30)],
    ["2027-01-01T09:00Z", Date.UTC(2027, 0, 1, 9)],
    ["2027-01-01T09:00:00-00:00", Date.UTC(2027, 0, 1, 9)],
    ["2028-02-29T00:00:00Z", Date.UTC(2028, 1, 29)],
    ["2000-02-29T23:59:59.999Z", Date.UTC(2000, 1, 29, 23, 59, 59, 999)],
    ["2026-01-01T00:00:00.123456789Z", Date.UTC(2026, 0, 1, 0, 0, 0, 123)],
    ["2026-01-01T00:00:00.9Z", Date.UTC(2026, 0, 1, 0, 0, 0, 900)],
    ["0000-01-01T00:00:00Z", -62_167_219_200_000],
    ["-271821-04-20T00:00:00Z", -8.64e15],
    ["+275760-09-13T00:00:00Z", 8.64e15],
    [new Date(1_800_000_000_000), 1_800_000_000_000],
    [DateTime.unsafeMake(1_800_000_000_000), 1_800_000_000_000],
    [DateTime.unsafeMakeZoned(1_800_000_000_000, { timeZone: "Europe/Stockholm" }), 1_800_000_000_000],
    [0, 0],
    [-1, -1],
    [1_800_000_000_000.25, 1_800_000_000_001],
    // More than 2,147,483,647 ms ahead: neither at once nor never.
    [1_800_000_000_000 + 30 * 86_400_000, 1_800_000_000_000 + 30 * 86_400_000],
    [8.64e15, 8.64e15]
  ]
  for (const [index, [input, millis]] of good.entries()) {
    it(`reads ${shown(input)} (${index})`, () => expect(accepted(instant(input))).toBe(millis))
  }

  const bad: ReadonlyArray<readonly [unknown, string]> = [
    ["2027-02-29T00:00:00Z", "DateInvalid"],
    ["1900-02-29T00:00:00Z", "DateInvalid"],
    ["2026-04-31T00:00:00Z", "DateInvalid"],
    ["2026-00-01T00:00:00Z", "DateInvalid"],
    ["2026-01-00T00:00:00Z", "DateInvalid"],
    ["2026-01-01T24:00:00Z", "DateInvalid"],
    ["2026-01-01T00:60:00Z", "DateInvalid"],
    ["2026-01-01T00:00:00+24:00", "DateInvalid"],
    ["2026-01-01T00:00:00+02:60", "DateInvalid"],
    ["2026-01-01T00:00:00+0200", "DateInvalid"],
    ["2026-01-01 00:00:00Z", "DateInvalid"],
    ["2026-1-1T00:00:00Z", "DateInvalid"],
    ["2026-01-01T00:00:00.1234567890Z", "DateInvalid"],
    ["2026-01-01T00:00:00Z\n", "DateInvalid"],
    ["20260101T000000Z", "DateInvalid"],
    ["2026-W01-1T00:00:00Z", "DateInvalid"],
    ["Thu, 01 Jan 2026 00:00:00 GMT", "DateInvalid"],
    ["1800000000000", "DateInvalid"],
    [new Date(Number.NaN), "DateInvalid"],
    [Number.NaN, "DateInvalid"],
    [undefined, "DateInvalid"],
    [true, "DateInvalid"],
    [{}, "DateInvalid"],
    [1_800_000_000_000n, "DateInvalid"],
    [Infinity, "DateRange"],
    [-Infinity, "DateRange"],
    [8.64e15 + 2, "DateRange"],
    ["+275760-09-13T00:00:00.001Z", "DateRange"],
    ["+275760-09-13T00:00:00-01:00", "DateRange"],
    ["+999999-01-01T00:00:00Z", "DateRange"]
  ]
  for (const [index, [input, reason]] of bad.entries()) {
    it(`refuses ${shown(input)} as ${reason} (${index})`, () => expect(reasonOf(instant(input))).toBe(reason))
  }

  it("reads back what any Date writes, in any offset", () => {
    fc.assert(
      fc.property(
        fc.date({ noInvalidDate: true, min: new Date(-8.6e15), max: new Date(8.6e15) }),
        fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }),
        (date, offset) => {
          expect(accepted(instant(date.toISOString()))).toBe(date.getTime())
          const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, -1)
          const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60]
          const suffix = `${offset < 0 ? "-" : "+"}${String(hours).padStart(2, "0")}:${
            String(minutes).padStart(2, "0")
          }`
          expect(accepted(instant(`${local}${suffix}`))).toBe(date.getTime())
        }
      )
    )
  })

  it("accepts a calendar day exactly if there is such a day", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9999 }), fc.nat(13), fc.nat(32), (year, month, day) => {
        const text = [String(year).padStart(4, "0"), String(month).padStart(2, "0"), String(day).padStart(2, "0")]
        const date = new Date(0)
        date.setUTCFullYear(year, month - 1, day)
        const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day
        expect(reasonOf(instant(`${text.join("-")}T12:00:00Z`))).toBe(exists ? null : "DateInvalid")
      }),
      { numRuns: 2_000 }
    )
  })

  it("answers every input there is, with whole milliseconds or a typed refusal", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }), (input) => {
        const verdict = instant(input)
        const millis = Either.getOrElse(verdict, () => 0)
        expect(Number.isInteger(millis) && Math.abs(millis) <= 8.64e15).toBe(true)
        expect(["DateInvalid", "DateNoOffset", "DateRange", null]).toContain(reasonOf(verdict))
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("shown", () => {
  it("shows at most 100 characters of anything, and never throws", () => {
    fc.assert(fc.property(fc.anything({ withNullPrototype: true }), (input) => {
      expect(shown(input).length).toBeLessThanOrEqual(100)
    }))
    expect(shown("x".repeat(1_000))).toHaveLength(100)
    expect(shown(Symbol("s"))).toBe("Symbol(s)")
    expect(shown({ toString: () => expect.fail("thrown") })).toBe("[object Object]")
  })
})

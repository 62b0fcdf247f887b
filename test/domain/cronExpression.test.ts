// Dates of JavaScript write the instants down.
// @effect-diagnostics globalDate:off
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { CronFields } from "../../src/domain/CronExpression.ts"
import { cronPattern, longestCron, parseCron, parseEventBridgeCron } from "../../src/domain/CronExpression.ts"
import { utc } from "../../src/domain/TimeZone.ts"
import { nextOf } from "../../src/domain/WallPattern.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

/** The first occurrences in UTC after an instant. */
const first = (fields: CronFields, after: string, length: number) => {
  const zoned = { pattern: cronPattern(fields, "default"), zone: utc, gap: "run-after" } as const
  const found: Array<string> = []
  let at = nextOf(zoned, Date.parse(after) / 1_000)
  for (; at !== undefined && found.length < length; at = nextOf(zoned, at)) {
    found.push(new Date(at * 1_000).toISOString().replace(/:00\.000Z$/, ""))
  }
  return found
}

const cron = (expression: string, after = "2027-01-01T00:00:00Z", length = 3) =>
  first(accepted(parseCron(expression)), after, length)

const eventBridge = (expression: string, after = "2027-01-01T00:00:00Z", length = 3) =>
  first(accepted(parseEventBridgeCron(expression)), after, length)

const days = (instants: ReadonlyArray<string>) => instants.map((instant) => instant.slice(5, 10))

describe("parseCron", () => {
  const refusals: ReadonlyArray<readonly [input: unknown, reason: string, says: RegExp]> = [
    ["", "CronFields", /expected 5 fields .+ or 6 with the second first, got 0 in ""/],
    ["* * * *", "CronFields", /got 4 in "\* \* \* \*"/],
    ["0 0 * * * * 2027", "CronFields", /got 7/],
    ["@every 5m", "CronUnsupported", /expected one of @yearly, .+, got "@every 5m"/],
    ["@reboot", "CronUnsupported", /@hourly/],
    ["60 * * * *", "CronRange", /^cron: minute: expected values from 0 to 59, .+ got "60"/],
    ["0 24 * * *", "CronRange", /^cron: hour: expected values from 0 to 23, .+ got "24"/],
    ["0 0 0 * *", "CronRange", /^cron: day of month: expected values from 1 to 31, .+ got "0"/],
    ["0 0 * 13 *", "CronRange", /^cron: month: expected values from 1 to 12, .+ got "13"/],
    ["0 0 * * 8", "CronRange", /^cron: day of week: expected values from 0 to 7, .+ got "8"/],
    ["60 * * * * *", "CronRange", /^cron: second: expected values from 0 to 59, .+ got "60"/],
    ["1,2,99 * * * *", "CronRange", /^cron: minute: .+ got "99"/],
    ["*/0 * * * *", "CronRange", /^cron: minute: expected a step of at least 1, got "\*\/0"/],
    ["20-10 * * * *", "CronRange", /^cron: minute: expected a range that goes up, got "20-10"/],
    ["0 0 * * 7-1", "CronRange", /^cron: day of week: expected a range that goes up, got "7-1"/],
    ["a * * * *", "CronInvalid", /^cron: minute: .+ got "A"/],
    ["0 0 * * MONDAY", "CronInvalid", /^cron: day of week: .+ got "MONDAY"/],
    ["0 0 * MON *", "CronInvalid", /^cron: month: .+ got "MON"/],
    ["0 0 32W * *", "CronInvalid", /^cron: day of month: .+ got "32W"/],
    ["0 0 L-31 * *", "CronInvalid", /^cron: day of month: .+ got "L-31"/],
    ["0 0 * * 5#6", "CronInvalid", /^cron: day of week: .+ got "5#6"/],
    ["1.5 * * * *", "CronInvalid", /^cron: minute: .+ got "1.5"/],
    // Their capitals are ASCII.
    ["0 0 * * \u017fun", "CronInvalid", /^cron: day of week: /],
    ["0 0 * * fr\u0131", "CronInvalid", /^cron: day of week: /],
    ["H * * * *", "CronUnsupported", /^cron: minute: .+ got "H"/],
    ["H(0-29)/10 * * * *", "CronUnsupported", /^cron: minute: .+ got "H\(0-29\)\/10"/],
    [undefined, "CronInvalid", /expected an expression such as "0 9 \* \* MON-FRI", got undefined/],
    [5, "CronInvalid", /got 5/],
    [{ toString: () => "* * * * *" }, "CronInvalid", /expected an expression/],
    [`0${",0".repeat(longestCron)} * * * *`, "CronTooLong", /expected at most 256 characters, got 521/]
  ]
  for (const [input, reason, says] of refusals) {
    it(`refuses ${String(JSON.stringify(input)).slice(0, 40)}`, () => {
      const error = refused(parseCron(input))
      expect([error.reason, error.field]).toEqual([reason, "cron"])
      expect(error.message).toMatch(says)
      expect(error.message.length).toBeLessThan(300)
    })
  }

  it("takes 256 characters, and space around", () => {
    const longest = `${"0,".repeat(123)}0 * * * *`
    expect(reasonOf(parseCron(longest + " "))).toBeNull()
    expect(reasonOf(parseCron(longest + "  "))).toBe("CronTooLong")
    expect(cron("\t0  9 \t * * * ", "2027-01-01T00:00:00Z", 1)).toEqual(["2027-01-01T09:00"])
  })

  it("answers every text with fields or a reason, soon", () => {
    const pieces = fc.constantFrom(..."*?/-,#LWH@ 0159", "MON", "jan", "99999999", "\u0000", "é", "\u{1F600}")
    fc.assert(
      fc.property(fc.oneof(fc.array(pieces, { maxLength: 40 }).map((all) => all.join("")), fc.anything()), (input) => {
        const reason = reasonOf(parseCron(input))
        expect(reason ?? "CronFields").toMatch(/^Cron(Fields|Range|Invalid|Unsupported|TooLong)$/)
        expect(reasonOf(parseEventBridgeCron(input)) ?? "CronFields").toMatch(/^Cron/)
      })
    )
  })

  it("reads macros in any case", () => {
    for (
      const [macro, expected] of [
        ["@yearly", "2028-01-01T00:00"],
        ["@ANNUALLY", "2028-01-01T00:00"],
        ["@monthly", "2027-02-01T00:00"],
        ["@Weekly", "2027-01-03T00:00"],
        ["@daily", "2027-01-02T00:00"],
        ["@midnight", "2027-01-02T00:00"],
        ["@hourly", "2027-01-01T01:00"],
        ["@every_minute", "2027-01-01T00:01"],
        ["@every_second", "2027-01-01T00:00:01.000Z"]
      ] as const
    ) expect(cron(macro, "2027-01-01T00:00:00Z", 1)).toEqual([expected])
  })

  it("reads names, 7 for Sunday, and ranges across the end", () => {
    expect(days(cron("0 0 * * sun"))).toEqual(days(cron("0 0 * * 7")))
    expect(days(cron("0 0 * * 0", undefined, 1))).toEqual(["01-03"])
    expect(days(cron("0 0 * * FRI-mon", undefined, 5))).toEqual(["01-02", "01-03", "01-04", "01-08", "01-09"])
    expect(days(cron("0 0 1 NOV-feb *", "2027-01-01T00:00:00Z", 4))).toEqual(["02-01", "11-01", "12-01", "01-01"])
    expect(cron("0 22-2/2 * * *", "2027-01-01T12:00:00Z", 4).map((at) => at.slice(11))).toEqual([
      "22:00",
      "00:00",
      "02:00",
      "22:00"
    ])
  })

  it("takes both days to mean either, and with a star both", () => {
    expect(days(cron("0 0 13 * FRI", "2027-08-01T00:00:00Z", 4))).toEqual(["08-06", "08-13", "08-20", "08-27"])
    expect(days(cron("0 0 */2 * FRI", "2027-08-01T00:00:00Z", 3))).toEqual(["08-13", "08-27", "09-03"])
    expect(days(cron("0 0 ? * FRI", "2027-08-01T00:00:00Z", 2))).toEqual(["08-06", "08-13"])
  })

  it("reads days that depend on how the month lies", () => {
    expect(days(cron("0 0 L * *", "2028-01-01T00:00:00Z", 3))).toEqual(["01-31", "02-29", "03-31"])
    expect(days(cron("0 0 L-3 * *"))).toEqual(["01-28", "02-25", "03-28"])
    // 31 January 2027 is a Sunday, as is 28 February.
    expect(days(cron("0 0 LW * *"))).toEqual(["01-29", "02-26", "03-31"])
    // 15 May 2027 is a Saturday, 15 August a Sunday; 1 May, a Saturday, must not become April.
    expect(days(cron("0 0 15W 5,8 *", undefined, 2))).toEqual(["05-14", "08-16"])
    expect(days(cron("0 0 1W 5 *", undefined, 1))).toEqual(["05-03"])
    expect(days(cron("0 0 31W * *", "2027-02-01T00:00:00Z", 2))).toEqual(["03-31", "05-31"])
    expect(days(cron("0 0 * * 5L"))).toEqual(["01-29", "02-26", "03-26"])
    expect(days(cron("0 0 * * friL"))).toEqual(["01-29", "02-26", "03-26"])
    expect(days(cron("0 0 * * 5#2"))).toEqual(["01-08", "02-12", "03-12"])
    expect(days(cron("0 0 * * FRI#5"))).toEqual(["01-29", "04-30", "07-30"])
    expect(days(cron("0 0 1,L * MON#1", undefined, 4))).toEqual(["01-04", "01-31", "02-01", "02-28"])
  })

  it("finds the 29th of February, also across 2100, and says soon that there is no 30th", () => {
    expect(cron("0 0 29 2 *", "2096-02-29T00:00:00Z", 2)).toEqual(["2104-02-29T00:00", "2108-02-29T00:00"])
    expect(cron("0 0 29 2 MON#5", "2027-01-01T00:00:00Z", 1)).toEqual(["2028-02-29T00:00"])
    // A fifth Monday in February, by intersection: every 28 years.
    expect(cron("0 0 */28 2 MON#5", "2027-01-01T00:00:00Z", 1)).toEqual(["2044-02-29T00:00"])
    expect(cron("0 0 30 2 *")).toEqual([])
    expect(cron("0 0 31 2,4,6,9,11 *")).toEqual([])
    expect(cron("0 0 31W 2 *")).toEqual([])
    expect(cron("0 0 L-30 2,4 *")).toEqual([])
  })
})

describe("parseEventBridgeCron", () => {
  const refusals: ReadonlyArray<readonly [input: unknown, reason: string, says: RegExp]> = [
    ["0 10 * * ?", "CronFields", /expected 6 fields \(minute .+ year\), got 5/],
    ["0 0 10 * * ? 2027", "CronFields", /got 7/],
    ["@daily", "CronFields", /expected 6 fields/],
    ["0 10 * * * *", "CronInvalid", /expected "\?" as exactly one of day-of-month and day-of-week, got "\*" and "\*"/],
    ["0 10 ? * ? *", "CronInvalid", /exactly one/],
    ["0 10 1 * MON *", "CronInvalid", /exactly one/],
    ["? 10 * * ? *", "CronInvalid", /^cron: minute: /],
    ["0 ? * * ? *", "CronInvalid", /^cron: hour: /],
    ["0 10 * ? ? *", "CronInvalid", /^cron: month: /],
    ["0 10 * * ? ?", "CronInvalid", /^cron: year: /],
    ["0 10 ?/2 * MON *", "CronInvalid", /exactly one|day of month/],
    ["0 10 ? * ?,MON *", "CronInvalid", /^cron: day of week: .+ got "\?"/],
    ["0 10 ? * ?/2 *", "CronInvalid", /^cron: day of week: .+ got "\?\/2"/],
    ["0 10 5,? * ? *", "CronInvalid", /^cron: day of month: .+ got "\?"/],
    ["0 10 LW * ? *", "CronInvalid", /^cron: day of month: .+ got "LW"/],
    ["0 10 L-3 * ? *", "CronInvalid", /^cron: day of month: .+ got "L-3"/],
    ["0 10 ? * 2#1,4#1 *", "CronInvalid", /^cron: day of week: expected "#" alone/],
    ["0 10 ? * 2#6 *", "CronInvalid", /^cron: day of week: /],
    ["0 10 ? * 0 *", "CronRange", /^cron: day of week: expected values from 1 to 7, .+ got "0"/],
    ["0 10 ? * 8 *", "CronRange", /^cron: day of week: expected values from 1 to 7/],
    ["0 10 ? * 0L *", "CronInvalid", /^cron: day of week: /],
    ["0 10 ? * FRI-MON *", "CronRange", /^cron: day of week: expected a range that goes up/],
    ["0 22-2 * * ? *", "CronRange", /^cron: hour: expected a range that goes up/],
    ["60 10 * * ? *", "CronRange", /^cron: minute: /],
    ["0 10 * * ? 1969", "CronRange", /^cron: year: expected values from 1970 to 2199, .+ got "1969"/],
    ["0 10 * * ? 2200", "CronRange", /^cron: year: /],
    ["0 10 * * ? 2030-2020", "CronRange", /^cron: year: /],
    [null, "CronInvalid", /expected an expression/]
  ]
  for (const [input, reason, says] of refusals) {
    it(`refuses ${JSON.stringify(input)}`, () => {
      const error = refused(parseEventBridgeCron(input))
      expect([error.reason, error.field]).toEqual([reason, "cron"])
      expect(error.message).toMatch(says)
    })
  }

  it("counts weekdays from 1, Sunday, and names the same days", () => {
    const names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
    names.forEach((name, index) => {
      for (const suffix of ["", "L", "#2"]) {
        expect(eventBridge(`0 10 ? * ${index + 1}${suffix} *`)).toEqual(eventBridge(`0 10 ? * ${name}${suffix} *`))
        expect(eventBridge(`0 10 ? * ${name}${suffix} *`)).toEqual(cron(`0 10 ? * ${name}${suffix}`))
      }
    })
    expect(eventBridge("0 10 ? * 2-6 *")).toEqual(cron("0 10 * * MON-FRI"))
    expect(eventBridge("0 10 ? * MON-FRI *")).toEqual(cron("0 10 * * MON-FRI"))
    expect(eventBridge("0 10 ? * 1/2 *", undefined, 8)).toEqual(cron("0 10 * * 0,2,4,6", undefined, 8))
    expect(days(eventBridge("0 10 ? * 3#2 *"))).toEqual(["01-12", "02-09", "03-09"])
    expect(days(eventBridge("0 10 ? * 6L *"))).toEqual(["01-29", "02-26", "03-26"])
    expect(days(eventBridge("0 10 ? * L *"))).toEqual(["01-02", "01-09", "01-16"])
  })

  it("has days of the month, and years", () => {
    expect(days(eventBridge("0 10 L * ? *"))).toEqual(["01-31", "02-28", "03-31"])
    expect(days(eventBridge("0 10 15W 5,8 ? *", undefined, 2))).toEqual(["05-14", "08-16"])
    expect(eventBridge("0 10 1 JAN ? 2028-2034/3")).toEqual([
      "2028-01-01T10:00",
      "2031-01-01T10:00",
      "2034-01-01T10:00"
    ])
    expect(eventBridge("0 10 1 1 ? 2029,2040,2199", undefined, 9)).toHaveLength(3)
    expect(eventBridge("0 10 1 1 ? 2020")).toEqual([])
    expect(eventBridge("0 10 29 2 ? 2027")).toEqual([])
    expect(eventBridge("0 10 1 1 ? */100", "1960-01-01T00:00:00Z", 9)).toEqual([
      "1970-01-01T10:00",
      "2070-01-01T10:00",
      "2170-01-01T10:00"
    ])
  })
})

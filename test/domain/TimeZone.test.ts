// Dates of JavaScript write the instants down.
// @effect-diagnostics globalDate:off
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { parseTimeZone } from "../../src/domain/TimeZone.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

const idOf = (name: string) => accepted(parseTimeZone(name)).id
const secondOf = (iso: string) => Date.parse(iso) / 1_000

describe("parseTimeZone", () => {
  const unknown: ReadonlyArray<unknown> = [
    "Mars/Olympus",
    "",
    " ",
    "GMT+2",
    "../../etc/localtime",
    "America/New_York; DROP",
    " Europe/Stockholm",
    "+25:00",
    "+02:60",
    "+02:00",
    "-0500",
    "Europe",
    "Europe/Stockholm\u0000",
    "Europe/Stockholm\n",
    "x".repeat(10_000),
    "__proto__",
    undefined,
    null,
    1,
    ["UTC"],
    {}
  ]
  for (const input of unknown) {
    it(`refuses ${String(JSON.stringify(input)).slice(0, 60)}`, () => {
      const { field, message, reason } = refused(parseTimeZone(input))
      expect([reason, field]).toEqual(["TimezoneUnknown", "timeZone"])
      expect(message).toMatch(
        /^timeZone: expected the name of an IANA time zone such as "Europe\/Stockholm" or "UTC", got /
      )
      expect(message.length).toBeLessThan(250)
    })
  }

  it("refuses what is no name, and nothing else happens", () => {
    fc.assert(fc.property(fc.oneof(fc.anything(), fc.string({ unit: "binary" })), (input) => {
      expect([null, "TimezoneUnknown"]).toContain(reasonOf(parseTimeZone(input)))
    }))
  })

  it("takes a name in any case and answers with the canonical spelling", () => {
    for (const name of ["Europe/Stockholm", "europe/stockholm", "EUROPE/STOCKHOLM"]) {
      expect(idOf(name)).toBe("Europe/Stockholm")
    }
    expect(idOf("america/port-au-prince")).toBe("America/Port-au-Prince")
    expect(idOf("US/Eastern")).toBe("America/New_York")
  })

  it("takes the short names that IANA has", () => {
    expect(accepted(parseTimeZone("EST")).segmentAt(secondOf("2026-07-01")).offset).toBe(-5 * 3_600)
    expect(accepted(parseTimeZone("CET")).segmentAt(secondOf("2026-07-01")).offset).toBe(2 * 3_600)
    for (const name of ["UTC", "utc", "Etc/UTC", "GMT", "Etc/GMT"]) {
      expect(accepted(parseTimeZone(name)).segmentAt(secondOf("2026-07-01")).offset).toBe(0)
    }
    // The sign is POSIX's.
    expect(accepted(parseTimeZone("Etc/GMT+5")).segmentAt(0).offset).toBe(-5 * 3_600)
  })

  it("keeps IANA's names where ICU has older ones", () => {
    for (
      const [name, older] of [
        ["Asia/Kolkata", "Asia/Calcutta"],
        ["Europe/Kyiv", "Europe/Kiev"],
        ["Asia/Ho_Chi_Minh", "Asia/Saigon"],
        ["America/Nuuk", "America/Godthab"],
        ["America/Argentina/Buenos_Aires", "America/Buenos_Aires"],
        ["Pacific/Chuuk", "Pacific/Truk"]
      ] as const
    ) expect([idOf(name), idOf(older)]).toEqual([name, name])
  })

  it("takes every zone of this runtime, and its own answer again", () => {
    for (const name of Intl.supportedValuesOf("timeZone")) expect(idOf(idOf(name))).toBe(idOf(name))
  })
})

describe("a zone's segments", () => {
  it("have the offset and the change of the clocks", () => {
    const stockholm = accepted(parseTimeZone("Europe/Stockholm"))
    const [spring, autumn] = [secondOf("2027-03-28T01:00:00Z"), secondOf("2027-10-31T01:00:00Z")]
    expect(stockholm.segmentAt(spring)).toMatchObject({ start: spring, before: 3_600, offset: 7_200 })
    expect(stockholm.segmentAt(spring - 1)).toMatchObject({ end: spring, offset: 3_600 })
    expect(stockholm.segmentAt(autumn)).toMatchObject({ start: autumn, before: 7_200, offset: 3_600 })
    const monrovia = accepted(parseTimeZone("Africa/Monrovia"))
    expect(monrovia.segmentAt(secondOf("1972-01-07T00:44:30Z"))).toMatchObject({ before: -2_670, offset: 0 })
    const apia = accepted(parseTimeZone("Pacific/Apia"))
    expect(apia.segmentAt(secondOf("2011-12-30T10:00:00Z"))).toMatchObject({ before: -36_000, offset: 50_400 })
  })

  it("hold their instant and follow one another, each with the offset that the one before had", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Intl.supportedValuesOf("timeZone")),
        fc.integer({ min: secondOf("1900-01-01"), max: secondOf("2100-01-01") }),
        (name, instant) => {
          const zone = accepted(parseTimeZone(name))
          let segment = zone.segmentAt(instant)
          for (let steps = 0; steps < 8; steps++) {
            expect(segment.start).toBeLessThanOrEqual(instant)
            expect(segment.end).toBeGreaterThan(segment.start)
            const next = zone.segmentAt(segment.end)
            expect(next.start === segment.end ? next.before : next.offset).toBe(segment.offset)
            expect(zone.segmentAt(segment.end - 1).offset).toBe(segment.offset)
            segment = next
            instant = segment.end - 1
          }
        }
      )
    )
  })

  it("go on for ever in both directions", () => {
    const stockholm = accepted(parseTimeZone("Europe/Stockholm"))
    for (const instant of [-8.64e12, -1e11, 3e11, 8.64e12]) {
      const segment = stockholm.segmentAt(instant)
      expect([segment.start <= instant, segment.end > instant]).toEqual([true, true])
      expect(Number.isInteger(segment.offset)).toBe(true)
    }
  })
})

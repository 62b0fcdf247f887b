// Dates of JavaScript write the instants down.
// @effect-diagnostics globalDate:off
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { cronPattern, parseCron } from "../../src/domain/CronExpression.ts"
import { parseTimeZone } from "../../src/domain/TimeZone.ts"
import type { Gap, Overlap } from "../../src/domain/WallPattern.ts"
import { countOf, instantOf, nextOf, shownWall, wallAt } from "../../src/domain/WallPattern.ts"
import { accepted } from "../support/verdicts.ts"

const zone = (name: string) => accepted(parseTimeZone(name))
const stockholm = zone("Europe/Stockholm")
const secondOf = (iso: string) => Date.parse(iso) / 1_000
/** What clocks show, as if it were UTC. */
const wallOf = (text: string) => secondOf(`${text}Z`)

/** What clocks show at each occurrence on a date and after it, with the offset. */
const on = (date: string, expression: string, gap: Gap, overlap: Overlap, timeZone = stockholm) => {
  const zoned = { pattern: cronPattern(accepted(parseCron(expression)), overlap), zone: timeZone, gap }
  const shown: Array<string> = []
  let at = instantOf(timeZone, wallOf(`${date}T00:00:00`)) - 1
  for (;;) {
    at = nextOf(zoned, at) ?? Infinity
    if (at === Infinity || !shownWall(wallAt(timeZone, at)).startsWith(date)) return shown
    shown.push(`${shownWall(wallAt(timeZone, at)).slice(11, 16)}+${timeZone.segmentAt(at).offset / 3_600}`)
  }
}

const spring = "2027-03-28"
const autumn = "2027-10-31"

describe("a time that clocks leave out", () => {
  it("is made up for once at the first instant after, left out, or as much later", () => {
    expect(on(spring, "30 2 * * *", "run-after", "default")).toEqual(["03:00+2"])
    expect(on(spring, "30 2 * * *", "skip", "default")).toEqual([])
    expect(on(spring, "30 2 * * *", "shift", "default")).toEqual(["03:30+2"])
  })

  it("is made up for once, however many there were, and together with one that belongs there", () => {
    expect(on(spring, "0,10,20 2,3 * * *", "run-after", "default")).toEqual(["03:00+2", "03:10+2", "03:20+2"])
    expect(on(spring, "0-20/10 2 * * *", "run-after", "default")).toEqual(["03:00+2"])
    expect(on(spring, "0,10 2 * * *", "shift", "default")).toEqual(["03:00+2", "03:10+2"])
  })

  it("is not made up for where the minute or the hour is a star", () => {
    expect(on(spring, "*/30 2 * * *", "run-after", "default")).toEqual([])
    expect(on(spring, "30 */2 * * *", "run-after", "default").slice(0, 3)).toEqual(["00:30+1", "04:30+2", "06:30+2"])
  })

  it("may be the whole of a day", () => {
    const apia = zone("Pacific/Apia")
    expect(on("2011-12-30", "0 9 * * *", "run-after", "default", apia)).toEqual([])
    expect(on("2011-12-31", "0 9 * * *", "run-after", "default", apia)).toEqual(["00:00+14", "09:00+14"])
    expect(on("2011-12-31", "0 9 * * *", "skip", "default", apia)).toEqual(["09:00+14"])
    expect(on("2011-12-31", "0 9 30 * *", "shift", "default", apia)).toEqual(["09:00+14"])
  })

  it("may be midnight", () => {
    expect(on("2017-10-15", "0 0 * * *", "run-after", "default", zone("America/Sao_Paulo"))).toEqual(["01:00+-2"])
  })
})

describe("a time that clocks show twice", () => {
  it("counts the first time, of intervals both times, and as it is set", () => {
    expect(on(autumn, "30 2 * * *", "run-after", "default")).toEqual(["02:30+2"])
    expect(on(autumn, "0,30 2 * * *", "run-after", "default")).toEqual(["02:00+2", "02:30+2"])
    const halfHours = ["02:00+2", "02:30+2", "02:00+1", "02:30+1"]
    expect(on(autumn, "*/30 2 * * *", "run-after", "default")).toEqual(halfHours)
    expect(on(autumn, "*/30 2 * * *", "run-after", "once")).toEqual(["02:00+2", "02:30+2"])
    expect(on(autumn, "0,30 2 * * *", "run-after", "both")).toEqual(halfHours)
  })

  it("of an interval keeps the real spacing", () => {
    const zoned = {
      pattern: cronPattern(accepted(parseCron("*/15 * * * *")), "default"),
      zone: stockholm,
      gap: "run-after"
    } as const
    for (const date of [spring, autumn]) {
      const from = secondOf(`${date}T00:00:00Z`)
      for (let at = from; at < from + 4 * 3_600; at += 900) expect(nextOf(zoned, at)).toBe(at + 900)
      expect(countOf(zoned, from, from + 4 * 3_600)).toBe(16)
    }
  })
})

describe("counting", () => {
  it("takes what is after the first instant and up to the second, over many years as well", () => {
    const zoned = {
      pattern: cronPattern(accepted(parseCron("30 2 * * *")), "default"),
      zone: stockholm,
      gap: "run-after"
    } as const
    const first = secondOf("2027-01-01T01:30:00Z")
    expect(countOf(zoned, first - 1, first)).toBe(1)
    expect(countOf(zoned, first, first)).toBe(0)
    expect(countOf(zoned, first, first - 1)).toBe(0)
    expect(countOf(zoned, first, first + 86_400)).toBe(1)
    // Once each day, whatever clocks do.
    expect(countOf(zoned, first - 1, secondOf("2037-01-01T01:29:59Z"))).toBe(3_653)
    expect(countOf({ ...zoned, gap: "skip" }, first - 1, secondOf("2037-01-01T01:29:59Z"))).toBe(3_643)
  })
})

describe("the instant of a wall time", () => {
  it("is the first of two, and after a gap the first at which clocks run again", () => {
    const at = (text: string, timeZone = stockholm) => new Date(instantOf(timeZone, wallOf(text)) * 1_000).toISOString()
    expect(at("2027-01-15T09:00:00")).toBe("2027-01-15T08:00:00.000Z")
    expect(at("2027-10-31T02:30:00")).toBe("2027-10-31T00:30:00.000Z")
    expect(at("2027-03-28T02:30:00")).toBe("2027-03-28T01:00:00.000Z")
    expect(at("2011-12-30T12:00:00", zone("Pacific/Apia"))).toBe("2011-12-30T10:00:00.000Z")
    expect(at("1972-01-07T00:20:00", zone("Africa/Monrovia"))).toBe("1972-01-07T00:44:30.000Z")
  })

  it("shows that wall time again, or right after a gap one that is later", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Intl.supportedValuesOf("timeZone")),
        fc.integer({ min: secondOf("1970-01-02"), max: secondOf("2037-12-31") }),
        (name, wall) => {
          const at = instantOf(zone(name), wall)
          const shown = wallAt(zone(name), at)
          if (shown === wall) return
          const { before, offset, start } = zone(name).segmentAt(at)
          expect(start).toBe(at)
          expect([wall >= at + before, wall < at + offset]).toEqual([true, true])
        }
      )
    )
  })
})

describe("a wall time", () => {
  it("is shown as ISO 8601 writes it, without an offset", () => {
    expect(shownWall(wallOf("2027-03-28T02:30:05"))).toBe("2027-03-28T02:30:05")
    expect(shownWall(wallOf("1969-12-31T23:59:59"))).toBe("1969-12-31T23:59:59")
    expect(shownWall(-62_135_596_800)).toBe("0001-01-01T00:00:00")
  })
})

// Dates of JavaScript write the instants down.
// @effect-diagnostics globalDate:off
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { cronPattern, parseCron } from "../../src/domain/CronExpression.ts"
import { parseTimeZone } from "../../src/domain/TimeZone.ts"
import type { Gap, Overlap, Zoned } from "../../src/domain/WallPattern.ts"
import { countOf, nextOf } from "../../src/domain/WallPattern.ts"
import { accepted } from "../support/verdicts.ts"
import { anyExpression } from "./cronExpressions.ts"
import type { Stretch } from "./cronOracle.ts"
import { occurrencesIn, stretchOf } from "./cronOracle.ts"

const hour = 3_600
const day = 24 * hour

const zonedOf = (expression: string, timeZone: string, gap: Gap, overlap: Overlap): Zoned => ({
  pattern: cronPattern(accepted(parseCron(expression)), overlap),
  zone: accepted(parseTimeZone(timeZone)),
  gap
})

const secondOf = (iso: string) => Date.parse(iso) / 1_000

const gap = fc.constantFrom<Array<Gap>>("run-after", "skip", "shift")
const overlap = fc.constantFrom<Array<Overlap>>("default", "once", "both")

const lastYear = secondOf("2038-01-01T00:00:00Z")

/** An instant of 1970 to 2037 within three hours of a change of clocks, if the zone has any after it. */
const nearChange = (timeZone: string) =>
  fc.tuple(fc.integer({ min: 0, max: lastYear }), fc.integer({ min: -3 * hour, max: 3 * hour })).map(([from, by]) => {
    const zone = accepted(parseTimeZone(timeZone))
    for (let at = from; at < lastYear; at = zone.segmentAt(at).end) {
      const { before, offset, start } = zone.segmentAt(at)
      if (before !== offset) return start + by
    }
    return from
  })

const anyZone = fc.constantFrom(...Intl.supportedValuesOf("timeZone"), "UTC")
const anyZoneAndInstant = anyZone.chain((timeZone) => fc.tuple(fc.constant(timeZone), nearChange(timeZone)))

/** Changes of clocks, each by the zone and a day right at it. */
const changes: ReadonlyArray<readonly [timeZone: string, date: string]> = [
  ["Europe/Stockholm", "2027-03-28"],
  ["Europe/Stockholm", "2027-10-31"],
  ["America/New_York", "2026-03-08"],
  ["America/New_York", "2026-11-01"],
  // Half an hour.
  ["Australia/Lord_Howe", "2026-04-05"],
  ["Australia/Lord_Howe", "2026-10-04"],
  // At midnight.
  ["America/Sao_Paulo", "2017-10-15"],
  ["America/Sao_Paulo", "2018-02-18"],
  // Ramadan.
  ["Africa/Casablanca", "2026-02-15"],
  ["Africa/Casablanca", "2026-03-22"],
  ["Asia/Gaza", "2023-04-29"],
  ["Asia/Gaza", "2023-10-28"],
  // Two hours.
  ["Antarctica/Troll", "2026-03-29"],
  ["Antarctica/Troll", "2026-10-25"],
  // A day that does not exist, and one that exists twice.
  ["Pacific/Apia", "2011-12-30"],
  ["Pacific/Kwajalein", "1969-10-01"],
  ["Pacific/Kwajalein", "1993-08-21"],
  // From an offset with seconds.
  ["Africa/Monrovia", "1972-01-07"]
]

const stretches = new Map<string, Stretch>()

const stretchAround = (timeZone: string, date: string): Stretch => {
  const key = `${timeZone} ${date}`
  const stretch = stretches.get(key) ?? stretchOf(timeZone, secondOf(date) - 2 * day, secondOf(date) + 3 * day)
  stretches.set(key, stretch)
  return stretch
}

describe("the next occurrence", () => {
  it("is what going through the days around a change second by second finds", () => {
    let compared = 0
    fc.assert(
      fc.property(fc.constantFrom(...changes), anyExpression, gap, overlap, (change, meaning, gap, overlap) => {
        const [timeZone] = change
        const stretch = stretchAround(...change)
        const { start, walls } = stretch
        const end = start + walls.length
        expect((walls.at(-1) as number) - (walls[0] as number)).not.toBe(walls.length - 1)
        const expected = occurrencesIn(stretch, meaning, gap, overlap).filter((at) => at > start + 30 * hour)
        const zoned = zonedOf(meaning.text, timeZone, gap, overlap)
        const found: Array<number> = []
        for (
          let at = nextOf(zoned, start + 30 * hour);
          at !== undefined && at < end;
          at = nextOf(zoned, at)
        ) found.push(at)
        expect(found.map((at) => at - start)).toEqual(expected.map((at) => at - start))
        expect(countOf(zoned, start + 30 * hour, end - 1)).toBe(expected.length)
        compared += expected.length
      }),
      { numRuns: 350 }
    )
    // Most expressions have something to do on such days.
    expect(compared).toBeGreaterThan(1_000)
  })

  it("is later, the same from every instant before it, and counted; in all zones, near their changes", () => {
    fc.assert(
      fc.property(
        anyExpression,
        anyZoneAndInstant,
        gap,
        overlap,
        fc.nat(),
        (meaning, [timeZone, from], gap, overlap, chance) => {
          const zoned = zonedOf(meaning.text, timeZone, gap, overlap)
          const again = zonedOf(meaning.text, timeZone, gap, overlap)
          const farthest = from + 400 * day
          let at = from
          for (let steps = 1; steps <= 10; steps++) {
            const next = nextOf(zoned, at)
            expect(nextOf(again, at)).toBe(next)
            if (next === undefined || next > farthest) {
              expect(countOf(zoned, from, farthest)).toBe(steps - 1)
              break
            }
            expect(next).toBeGreaterThan(at)
            for (const between of [at + chance % (next - at), next - 1]) expect(nextOf(zoned, between)).toBe(next)
            expect(countOf(zoned, from, next)).toBe(steps)
            expect(countOf(zoned, from, next - 1)).toBe(steps - 1)
            at = next
          }
        }
      ),
      { numRuns: 300 }
    )
  })

  it("does not depend on how an expression is written", () => {
    fc.assert(
      fc.property(anyExpression, anyZoneAndInstant, ({ text }, [timeZone, from]) => {
        const next = (text: string) => nextOf(zonedOf(text, timeZone, "run-after", "default"), from)
        expect(next(`\t ${text.toLowerCase().replaceAll(" ", "   ")} `)).toBe(next(text))
        if (text.split(" ").length === 5) expect(next(`0 ${text}`)).toBe(next(text))
      }),
      { numRuns: 100 }
    )
  })
})

/** What runs after instants have gone by, for all rules and policies. A failure names its seed. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { vi } from "vitest"
import type { CatchUp } from "../../src/domain/CatchUp.ts"
import { mostMadeUp } from "../../src/domain/CatchUp.ts"
import type { Pause } from "../../src/domain/Pause.ts"
import { inForce } from "../../src/domain/Pause.ts"
import type { AnchoredRule, ZonedRule } from "../../src/domain/Recurrence.ts"
import { nextAfter, zonedOf } from "../../src/domain/Recurrence.ts"
import type { EpochMillis } from "../../src/domain/Time.ts"
import type { Planned, PlannedBy } from "../../src/policies/catchUp.ts"
import { missedOf, planFrom } from "../../src/policies/catchUp.ts"
import { anInstant, aRule, day, zones } from "../domain/rules.ts"
import { aScheduleId } from "../support/builders.ts"
import { fatesFrom, rangesOf } from "./catchUpOracle.ts"

interface Case {
  readonly schedule: PlannedBy & { readonly recurrence: AnchoredRule }
  readonly from: EpochMillis
  readonly now: EpochMillis
}

const id = aScheduleId()

// Without bias: fast-check likes to draw what is small, and of little that has gone by there is little to tell.
const evenly = (min: number, max: number) => fc.noBias(fc.integer({ min, max }))
/** Thousandths: doubles would be drawn evenly from all there are, most of which are next to nothing. */
const aShare = (min: number, max: number) => evenly(min, max).map((thousandths) => thousandths / 1_000)
const sometimes = <A>(arbitrary: fc.Arbitrary<A>, freq: number) => fc.option(arbitrary, { nil: undefined, freq })

/** How far into what has gone by something is, or beyond it at either end; sometimes at an occurrence, to the millisecond. */
const aPlace = fc.record({
  share: aShare(-200, 1_100),
  isAtOne: fc.boolean(),
  by: fc.integer({ min: -1, max: 1 })
})
type Place = typeof aPlace extends fc.Arbitrary<infer A> ? A : never

const aCatchUp = fc.record({
  policy: fc.constantFrom("latest" as const, "skip" as const, "all" as const),
  max: fc.option(
    fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 8 }) }, {
      weight: 1,
      arbitrary: fc.integer({ min: 1, max: 10_000 })
    }),
    { nil: undefined }
  ),
  /** Up to where it reaches back. */
  window: sometimes(aPlace, 1)
})

const aPause = fc.record({
  since: aPlace,
  until: sometimes(aPlace, 5)
})

const aCase: fc.Arbitrary<Case> = fc.record({
  rule: aRule,
  after: anInstant,
  steps: fc.oneof(evenly(1, 12), evenly(1, 120)),
  sinceLast: aShare(0, 999),
  end: sometimes(aPlace, 1),
  jitter: sometimes(fc.integer({ min: 0, max: 3 * day }), 1),
  catchUp: aCatchUp,
  pause: sometimes(aPause, 3)
}).map(({ after, catchUp, end, jitter, pause, rule, sinceLast, steps }): Case => {
  const found: Array<EpochMillis> = []
  for (let at = nextAfter(rule, after); at !== undefined && found.length <= steps; at = nextAfter(rule, at)) {
    found.push(at)
  }
  const [from] = found as [EpochMillis]
  const [last, further] = found.slice(-2) as [EpochMillis, EpochMillis]
  const now = last + Math.floor((further - last) * sinceLast)
  const placed = ({ by, isAtOne, share }: Place): EpochMillis => {
    const nearest = found[Math.round(share * (steps - 1))]
    return isAtOne && nearest !== undefined ? nearest + by : from + Math.round((now - from) * share) + by
  }
  // A rule has at least the occurrence that is planned from.
  const limits = {
    ...(end === undefined ? {} : { until: Math.max(from, placed(end)) }),
    ...(jitter === undefined ? {} : { jitter })
  }
  const bounds = {
    ...(catchUp.policy === "all" && catchUp.max !== undefined ? { max: catchUp.max } : {}),
    ...(catchUp.window === undefined ? {} : { window: Math.max(1, now - placed(catchUp.window)) })
  }
  const since = pause && placed(pause.since)
  const until = pause?.until && placed(pause.until)
  return {
    schedule: {
      id,
      recurrence: { ...rule, ...limits },
      catchUp: { policy: catchUp.policy, ...bounds },
      pause: since === undefined ? undefined : { since, ...(until === undefined ? {} : { until }), by: "ada" }
    },
    from,
    now
  }
})

const properties = { numRuns: 1_500, seed: 20_270_328 }

const count = (what: Map<string, number>, name: string) => what.set(name, (what.get(name) ?? 0) + 1)

/** Plans as long as something is still to be made up for: each occurrence is planned from when it begins. */
const plansOf = ({ from, now, schedule }: Case): ReadonlyArray<Planned> => {
  const plans: Array<Planned> = []
  let next: EpochMillis | undefined = from
  while (next !== undefined && next <= now) {
    const plan = planFrom(schedule, next, now)
    plans.push(plan)
    next = plan.next === undefined || plan.next > now ? undefined : nextAfter(schedule.recurrence, plan.next)
  }
  return plans
}

describe("planFrom", () => {
  it("is what a walk from one to the next finds", () => {
    const seen = new Map<string, number>()
    fc.assert(
      fc.property(aCase, (given) => {
        const { from, now, schedule } = given
        const { next, passed } = planFrom(schedule, from, now)
        const fates = fatesFrom(schedule, from, now)
        const expected = rangesOf(fates)
        expect(passed.map(({ count, first, last, reason }) => ({ count, first, last, reason }))).toEqual(expected)
        expect(next).toBe(fates.find(({ fate }) => fate === "runs")?.at ?? nextAfter(schedule.recurrence, now))
        for (const { note, reason } of passed) {
          if (reason !== "paused") expect(note).toBeUndefined()
          else expect(note).toMatch(/^paused since .* until .* by ada$/)
        }
        const paused = expected.filter(({ reason }) => reason === "paused").reduce((sum, { count }) => sum + count, 0)
        expect(missedOf(passed)).toBe(expected.reduce((sum, { count }) => sum + count, 0) - paused)
        count(seen, expected.map(({ reason }) => reason).join(", ") || "nothing")
        if (next === undefined) count(seen, "no more")
      }),
      { ...properties, numRuns: 4_000 }
    )
    // A run that did not come to all of these would show too little.
    for (
      const kind of [
        "nothing",
        "catchUp",
        "window",
        "cap",
        "paused",
        "window, catchUp",
        "window, cap",
        "paused, catchUp",
        "paused, cap",
        "catchUp, paused",
        "catchUp, paused, catchUp",
        "window, paused",
        "window, paused, window",
        "cap, paused",
        "no more"
      ]
    ) expect([kind, (seen.get(kind) ?? 0) > 3]).toEqual([kind, true])
  })

  it("passes over one range after the other, each to its last, none of them later than now", () => {
    fc.assert(
      fc.property(aCase, ({ from, now, schedule }) => {
        const rule = schedule.recurrence
        const { next, passed } = planFrom(schedule, from, now)
        let expected: EpochMillis | undefined = from
        for (const [index, range] of passed.entries()) {
          expect(range.first).toBe(expected)
          expect(range.last).toBeLessThanOrEqual(now)
          expect(range.count).toBeGreaterThan(0)
          if (index > 0) expect(range.reason).not.toBe(passed[index - 1]?.reason)
          // Its last is found by as many steps as it has.
          let last = range.first
          for (let step = 1; step < range.count; step++) last = nextAfter(rule, last) as EpochMillis
          expect(range.last).toBe(last)
          expected = nextAfter(rule, last)
        }
        expect(next).toBe(expected)
      }),
      properties
    )
  })

  it("asked again for what it has found, finds the same", () => {
    fc.assert(
      fc.property(aCase, ({ from, now, schedule }) => {
        const { next } = planFrom(schedule, from, now)
        expect(planFrom(schedule, next, now)).toEqual({ passed: [], next })
      }),
      properties
    )
  })

  it("makes up for as many as it may, and for none that fell into a pause", () => {
    fc.assert(
      fc.property(aCase, (given) => {
        const { from, now, schedule } = given
        const { catchUp, pause } = schedule
        const made = plansOf(given).flatMap(({ next }) => next !== undefined && next <= now ? [next] : [])
        const fates = fatesFrom(schedule, from, now)
        expect(made).toEqual(fates.filter(({ fate }) => fate === "runs").map(({ at }) => at))
        expect(made.length).toBeLessThanOrEqual(mostMadeUp(catchUp))
        const isPaused = (at: EpochMillis) => pause !== undefined && at >= pause.since && at < (pause.until ?? Infinity)
        if (inForce(pause, now) === undefined) expect(made.filter(isPaused)).toEqual([])
        // Somebody runs for all that were missed, unless all of them are too late.
        const missed = fates.filter(({ fate }) => fate !== "paused")
        if (catchUp.window === undefined && catchUp.policy !== "skip" && missed.length > 0) {
          expect(made.length).toBeGreaterThan(0)
          expect(made.at(-1)).toBe(missed.at(-1)?.at)
        }
      }),
      properties
    )
  })

  it("tells of each occurrence once: it runs, or it is passed over", () => {
    fc.assert(
      fc.property(aCase, (given) => {
        const { from, now, schedule } = given
        const plans = plansOf(given)
        const told = plans.reduce(
          (sum, { next, passed }) =>
            passed.reduce((sum, { count }) => sum + count, sum) + (next !== undefined && next <= now ? 1 : 0),
          0
        )
        expect(told).toBe(fatesFrom(schedule, from, now).length)
      }),
      properties
    )
  })
})

describe("ten years of a job of every second", () => {
  const decade = 3_653 * day
  const seconds = decade / 1_000
  const from = Date.parse("2027-01-15T08:00:00Z")
  const now = from + decade

  /** Of its 315,619,201 occurrences from the first to the last, which are whole seconds in every zone. */
  const cases: ReadonlyArray<readonly [CatchUp, Pause | undefined, ReadonlyArray<readonly [string, number]>]> = [
    [{ policy: "latest" }, undefined, [["catchUp", seconds]]],
    [{ policy: "skip" }, undefined, [["catchUp", seconds]]],
    [{ policy: "latest", window: 1_000 }, undefined, [["window", seconds - 1], ["catchUp", 1]]],
    [{ policy: "all" }, undefined, [["cap", seconds - 99]]],
    [{ policy: "all", max: 100 }, undefined, [["cap", seconds - 99]]],
    [{ policy: "all", max: 10_000 }, undefined, [["cap", seconds - 9_999]]],
    [{ policy: "all", max: 10_000, window: 20_000_000 }, undefined, [
      ["window", seconds - 20_000],
      ["cap", 10_001]
    ]],
    [{ policy: "all", max: 10_000, window: 5_000_000 }, undefined, [["window", seconds - 5_000]]],
    [{ policy: "latest" }, { since: from + day, until: now - day }, [
      ["catchUp", 86_400],
      ["paused", seconds - 2 * 86_400],
      ["catchUp", 86_400]
    ]],
    [{ policy: "all", max: 10_000 }, { since: from, until: now - 5_000_000 }, [["paused", seconds - 5_000]]],
    [{ policy: "all", max: 10_000 }, { since: from + day, until: now - 5_000_000 }, [["cap", 86_400 - 4_999]]]
  ]

  for (const timeZone of zones) {
    it(`in ${timeZone} is planned exactly, by a few questions`, () => {
      const rule: ZonedRule = {
        _tag: "Cron",
        v: 2,
        syntax: "unix",
        expression: "* * * * * *",
        timeZone,
        gap: "run-after",
        overlap: "default"
      }
      const { pattern } = zonedOf(rule)
      for (const [catchUp, pause, expected] of cases) {
        const next = vi.spyOn(pattern, "next")
        const counted = vi.spyOn(pattern, "count")
        const plan = planFrom({ id, recurrence: rule, catchUp, pause }, from, now)
        // Some each for the changes of the clocks, of which there are twenty, and a bisection for each range.
        expect(next.mock.calls.length).toBeLessThan(300)
        expect(counted.mock.calls.length).toBeLessThan(300)
        next.mockRestore()
        counted.mockRestore()
        expect(plan.passed.map(({ count, reason }) => [reason, count])).toEqual(expected)
        let first = from
        for (const range of plan.passed) {
          expect([range.first, range.last]).toEqual([first, first + (range.count - 1) * 1_000])
          first += range.count * 1_000
        }
        expect(plan.next).toBe(first)
      }
    })
  }

  it("that has come to its end long ago is told of as quickly", () => {
    for (const timeZone of zones) {
      const rule: ZonedRule = {
        _tag: "Cron",
        v: 2,
        syntax: "eventbridge",
        expression: "0 12 * * ? 2027-2036",
        timeZone,
        gap: "run-after",
        overlap: "default"
      }
      const first = nextAfter(rule, from) as EpochMillis
      let days = 0
      for (let at: EpochMillis | undefined = first; at !== undefined; at = nextAfter(rule, at)) days++
      expect(Math.abs(days - 3_639)).toBeLessThanOrEqual(1)
      const counted = vi.spyOn(zonedOf(rule).pattern, "count")
      for (const policy of ["latest", "skip", "all"] as const) {
        const plan = planFrom({ id, recurrence: rule, catchUp: { policy, window: day }, pause: undefined }, first, now)
        expect(plan.passed.map(({ count, reason }) => [reason, count])).toEqual([
          [policy === "skip" ? "catchUp" : "window", days]
        ])
        expect(plan.next).toBeUndefined()
      }
      expect(counted.mock.calls.length).toBeLessThan(500)
      counted.mockRestore()
    }
  })
})

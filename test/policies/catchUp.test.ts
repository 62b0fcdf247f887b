/** What runs after instants have gone by, rule by rule. What holds for every rule is in `catchUpProperties.test.ts`. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { CatchUp } from "../../src/domain/CatchUp.ts"
import type { Pause } from "../../src/domain/Pause.ts"
import type { AnchoredRule } from "../../src/domain/Recurrence.ts"
import { dueAtOf } from "../../src/domain/Recurrence.ts"
import { instantAfter } from "../../src/domain/TaskSchedule.ts"
import type { Passed } from "../../src/policies/catchUp.ts"
import { missedOf, planFrom } from "../../src/policies/catchUp.ts"
import { aSchedule, aSpacedSchedule, t0 } from "../support/builders.ts"

const every = (interval: number, anchor = 0, more: { until?: number; jitter?: number } = {}): AnchoredRule => ({
  _tag: "Fixed",
  v: 2,
  interval,
  anchor,
  ...more
})

/** A plan in words: `catchUp 20..50 (4), then 60`. */
const shown = ({ next, passed }: ReturnType<typeof planFrom>): string =>
  [
    ...passed.map(({ count, first, last, reason }) => `${reason} ${first}..${last} (${count})`),
    `then ${next ?? "no more"}`
  ].join(", ")

interface Given {
  readonly rule?: AnchoredRule
  readonly catchUp?: CatchUp
  readonly pause?: Pause
}

const planned = ({ catchUp = { policy: "latest" }, pause, rule = every(10) }: Given, from: number, now: number) =>
  shown(planFrom(aSchedule({ recurrence: rule, catchUp, pause }), from, now))

/** What follows an occurrence that begins at `now`, and how many were missed. */
const following = (rule: AnchoredRule, nominalAt: number, now: number) => {
  const { next, passed } = planFrom(aSchedule({ recurrence: rule }), instantAfter(rule, nominalAt), now)
  return { nominalAt: next, missed: missedOf(passed) }
}

describe("nothing is passed over", () => {
  it("of what is still to come, whatever the policy", () => {
    for (const policy of ["latest", "skip", "all"] as const) {
      expect(planned({ catchUp: { policy } }, 20, 19)).toBe("then 20")
      expect(planned({ catchUp: { policy } }, 20, 20)).toBe("then 20")
    }
  })

  it("where the rule names no further one", () => {
    expect(planFrom(aSchedule(), undefined, t0)).toEqual({ passed: [], next: undefined })
  })

  it("of a spaced schedule, whose next is reckoned from the end of a run", () => {
    const schedule = aSpacedSchedule({ catchUp: { policy: "skip" }, pause: { since: 0, until: t0 } })
    expect(planFrom(schedule, t0 - 1e9, t0)).toEqual({ passed: [], next: t0 - 1e9 })
  })
})

describe("latest", () => {
  it("is run for all that were missed", () => {
    expect(planned({}, 20, 29)).toBe("then 20")
    expect(planned({}, 20, 30)).toBe("catchUp 20..20 (1), then 30")
    expect(planned({}, 20, 65)).toBe("catchUp 20..50 (4), then 60")
  })

  it("unless it is too late", () => {
    const catchUp: CatchUp = { policy: "latest", window: 5 }
    expect(planned({ catchUp }, 20, 65)).toBe("window 20..50 (4), then 60")
    expect(planned({ catchUp }, 20, 66)).toBe("window 20..60 (5), then 70")
    // What the window leaves is passed over for a later one.
    expect(planned({ catchUp: { policy: "latest", window: 25 } }, 20, 65)).toBe(
      "window 20..30 (2), catchUp 40..50 (2), then 60"
    )
  })
})

describe("skip", () => {
  const minutely = every(60_000)

  it("runs the latest if it is at most a minute late", () => {
    const given = { rule: every(90_000), catchUp: { policy: "skip" as const } }
    expect(planned(given, 0, 60_000)).toBe("then 0")
    expect(planned(given, 0, 60_001)).toBe("catchUp 0..0 (1), then 90000")
    expect(planned(given, 0, 150_000)).toBe("catchUp 0..0 (1), then 90000")
    expect(planned(given, 0, 150_001)).toBe("catchUp 0..90000 (2), then 180000")
  })

  it("or as late as its window says", () => {
    expect(planned({ catchUp: { policy: "skip", window: 5 } }, 20, 65)).toBe("catchUp 20..50 (4), then 60")
    expect(planned({ catchUp: { policy: "skip", window: 4 } }, 20, 65)).toBe("catchUp 20..60 (5), then 70")
  })

  it("tells of what it passes over once, whether that was too late or a later one runs", () => {
    expect(planned({ rule: minutely, catchUp: { policy: "skip", window: 200_000 } }, 0, 600_000)).toBe(
      "catchUp 0..540000 (10), then 600000"
    )
  })
})

describe("all", () => {
  it("runs one after the other, from the first", () => {
    const catchUp: CatchUp = { policy: "all", max: 5 }
    expect(planned({ catchUp }, 20, 65)).toBe("then 20")
    expect(planned({ catchUp }, 30, 65)).toBe("then 30")
    expect(planned({ catchUp: { policy: "all" } }, 0, 999)).toBe("then 0")
  })

  it("the latest ones, where there are too many", () => {
    expect(planned({ catchUp: { policy: "all", max: 3 } }, 20, 65)).toBe("cap 20..30 (2), then 40")
    expect(planned({ catchUp: { policy: "all", max: 1 } }, 20, 65)).toBe("cap 20..50 (4), then 60")
    expect(planned({ catchUp: { policy: "all" } }, 0, 1_009)).toBe("cap 0..0 (1), then 10")
  })

  it("and none that is too late", () => {
    expect(planned({ catchUp: { policy: "all", window: 25 } }, 20, 65)).toBe("window 20..30 (2), then 40")
    expect(planned({ catchUp: { policy: "all", window: 25, max: 2 } }, 20, 65)).toBe(
      "window 20..30 (2), cap 40..40 (1), then 50"
    )
    expect(planned({ catchUp: { policy: "all", window: 25, max: 1_000 } }, 20, 65)).toBe("window 20..30 (2), then 40")
    expect(planned({ catchUp: { policy: "all", window: 4 } }, 20, 65)).toBe("window 20..60 (5), then 70")
  })
})

describe("the end of a rule", () => {
  const rule = every(10, 0, { until: 40 })

  it("is where the latest is, however long ago", () => {
    expect(planned({ rule }, 20, 1e9)).toBe("catchUp 20..30 (2), then 40")
    expect(planned({ rule, catchUp: { policy: "all", max: 2 } }, 20, 1e9)).toBe("cap 20..20 (1), then 30")
  })

  it("is the end of the schedule, where all that is left is too late", () => {
    expect(planned({ rule, catchUp: { policy: "skip" } }, 20, 1e9)).toBe("catchUp 20..40 (3), then no more")
    expect(planned({ rule, catchUp: { policy: "all", window: 10 } }, 20, 51)).toBe("window 20..40 (3), then no more")
    expect(planned({ rule, catchUp: { policy: "all", window: 10 } }, 20, 50)).toBe("window 20..30 (2), then 40")
  })
})

describe("a pause that is over", () => {
  const pause = { since: 25, until: 50, by: "ada", note: "month end" }

  it("is told of what fell into it, and is no reason to make up for that", () => {
    for (const policy of ["latest", "skip", "all"] as const) {
      expect(planned({ pause, catchUp: { policy } }, 30, 50)).toBe("paused 30..40 (2), then 50")
      expect(planned({ pause, catchUp: { policy } }, 30, 59)).toBe("paused 30..40 (2), then 50")
    }
    expect(planFrom(aSchedule({ recurrence: every(10), pause }), 30, 50).passed[0]?.note).toBe(
      "paused since 1970-01-01T00:00:00.025Z until 1970-01-01T00:00:00.050Z by ada: month end"
    )
  })

  it("begins and ends to the millisecond", () => {
    const over = (since: number, until: number) =>
      planned({ pause: { since, until }, catchUp: { policy: "all" } }, 30, 60)
    expect(over(30, 40)).toBe("paused 30..30 (1), then 40")
    expect(over(30, 41)).toBe("paused 30..40 (2), then 50")
    expect(over(31, 40)).toBe("then 30")
    // Nothing fell into it.
    expect(over(31, 39)).toBe("then 30")
    expect(over(10, 30)).toBe("then 30")
  })

  it("is followed by what was missed since", () => {
    expect(planned({ pause }, 30, 85)).toBe("paused 30..40 (2), catchUp 50..70 (3), then 80")
    expect(planned({ pause, catchUp: { policy: "all", max: 2 } }, 30, 85)).toBe(
      "paused 30..40 (2), cap 50..60 (2), then 70"
    )
    expect(planned({ pause, catchUp: { policy: "all", window: 1 } }, 30, 85)).toBe(
      "paused 30..40 (2), window 50..80 (4), then 90"
    )
  })

  it("does not end what was missed before it: that is made up for where nothing later is", () => {
    expect(planned({ pause }, 10, 50)).toBe("catchUp 10..20 (2), paused 30..40 (2), then 50")
    const until46 = { ...pause, until: 46 }
    expect(planned({ pause: until46 }, 20, 47)).toBe("then 20")
    expect(planned({ pause: until46 }, 10, 47)).toBe("catchUp 10..10 (1), then 20")
    expect(planned({ pause: until46, catchUp: { policy: "skip", window: 26 } }, 10, 47)).toBe(
      "catchUp 10..20 (2), paused 30..40 (2), then 50"
    )
    expect(planned({ pause: until46, catchUp: { policy: "skip", window: 27 } }, 10, 47)).toBe(
      "catchUp 10..10 (1), then 20"
    )
  })

  it("does not count towards how many are made up for", () => {
    const all = (max: number, from = 0, now = 65) => planned({ pause, catchUp: { policy: "all", max } }, from, now)
    expect(all(5)).toBe("then 0")
    expect(all(4)).toBe("cap 0..0 (1), then 10")
    expect(all(3)).toBe("cap 0..10 (2), then 20")
    expect(all(2)).toBe("cap 0..20 (3), paused 30..40 (2), then 50")
    expect(all(1)).toBe("cap 0..20 (3), paused 30..40 (2), cap 50..50 (1), then 60")
  })

  it("may have been ended by an instance whose clock is behind", () => {
    expect(planned({ pause: { since: 35, until: 25 } }, 10, 47)).toBe("catchUp 10..30 (3), then 40")
  })

  it("is the end of the schedule, where its rule has come to its end", () => {
    const rule = every(10, 0, { until: 40 })
    expect(planned({ rule, pause }, 30, 85)).toBe("paused 30..40 (2), then no more")
  })
})

describe("a pause that holds", () => {
  it("is not told of before it is over", () => {
    for (const pause of [{ since: 25 }, { since: 25, until: 86 }]) {
      expect(planned({ pause }, 30, 85)).toBe("catchUp 30..70 (5), then 80")
      expect(planned({ pause }, 90, 85)).toBe("then 90")
    }
  })
})

describe("missedOf", () => {
  it("counts what nobody could start, and not what nobody should", () => {
    const passed = (reason: Passed["reason"], count: number): Passed => ({
      reason,
      first: 0,
      last: count - 1,
      count,
      note: undefined
    })
    expect(missedOf([])).toBe(0)
    expect(missedOf([passed("window", 1), passed("paused", 10), passed("catchUp", 100), passed("cap", 1_000)])).toBe(
      1_101
    )
  })
})

describe("jitter", () => {
  const hour = 3_600_000
  const rule = every(hour, 0, { jitter: 600_000 })
  const schedule = aSchedule({ recurrence: rule, catchUp: { policy: "skip" } })
  const dueAt = (nominalAt: number) => dueAtOf(rule, schedule.id, nominalAt)

  it("is no lateness: what is started when it is due is not too late", () => {
    for (let nominalAt = 0; nominalAt < 100 * hour; nominalAt += hour) {
      expect(planFrom(schedule, nominalAt, dueAt(nominalAt))).toEqual({ passed: [], next: nominalAt })
      expect(planFrom(schedule, nominalAt, dueAt(nominalAt) + 60_000).next).toBe(nominalAt)
      expect(planFrom(schedule, nominalAt, dueAt(nominalAt) + 60_001).next).toBe(nominalAt + hour)
    }
  })

  it("is none of the latest one either", () => {
    for (let nominalAt = 10 * hour; nominalAt < 100 * hour; nominalAt += hour) {
      expect(shown(planFrom(schedule, 0, dueAt(nominalAt)))).toBe(
        `catchUp 0..${nominalAt - hour} (${nominalAt / hour}), then ${nominalAt}`
      )
    }
  })
})

describe("a fixed rate", () => {
  it("does not drift: a million occurrences are at anchor + k * interval, whatever the runs take", () => {
    const interval = 333_333
    const rule = every(interval, t0 + 7)
    let nominalAt = t0 + 7
    let mismatches = 0
    for (let k = 1; k <= 1_000_000; k++) {
      // Started late by anything up to an interval.
      const next = following(rule, nominalAt, nominalAt + (k * 7_919) % interval)
      if (next.nominalAt !== t0 + 7 + k * interval || next.missed !== 0) mismatches++
      nominalAt = next.nominalAt as number
    }
    expect(mismatches).toBe(0)
    expect(nominalAt).toBe(t0 + 7 + 1_000_000 * interval)
  })

  it("makes up for the latest only, and counts the others as missed", () => {
    const rule = every(10)
    expect(following(rule, 20, 20)).toEqual({ nominalAt: 30, missed: 0 })
    expect(following(rule, 20, 29)).toEqual({ nominalAt: 30, missed: 0 })
    expect(following(rule, 20, 30)).toEqual({ nominalAt: 30, missed: 0 })
    expect(following(rule, 20, 39)).toEqual({ nominalAt: 30, missed: 0 })
    expect(following(rule, 20, 40)).toEqual({ nominalAt: 40, missed: 1 })
    expect(following(rule, 20, 65)).toEqual({ nominalAt: 60, missed: 3 })
    expect(following(every(10, 3), 23, 58)).toEqual({ nominalAt: 53, missed: 2 })
  })

  it("costs the same after ten years of downtime as after one second", () => {
    const decade = 315_360_000_000
    expect(following(every(1_000, t0), t0, t0 + decade + 1)).toEqual({
      nominalAt: t0 + decade,
      missed: decade / 1_000 - 1
    })
  })

  it("goes strictly on, stays on the grid, and counts every occurrence as made or missed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e10 }),
        fc.integer({ min: -1e13, max: 1e13 }),
        fc.nat(100_000),
        fc.integer({ min: -1e12, max: 1e12 }),
        (interval, anchor, k, elapsed) => {
          const nominalAt = anchor + k * interval
          const now = nominalAt + elapsed
          const found = following(every(interval, anchor), nominalAt, now)
          const next = { ...found, nominalAt: found.nominalAt as number }
          expect(next.nominalAt).toBeGreaterThan(nominalAt)
          expect((next.nominalAt - anchor) % interval).toBe(0)
          expect(next.missed).toBe((next.nominalAt - nominalAt) / interval - 1)
          expect(next.missed).toBeGreaterThanOrEqual(0)
          // The latest that has passed, or the first that is to come.
          expect(next.nominalAt + interval).toBeGreaterThan(now)
          if (next.missed > 0) expect(next.nominalAt).toBeLessThanOrEqual(now)
        }
      ),
      { numRuns: 2_000, seed: 20_270_115 }
    )
  })
})

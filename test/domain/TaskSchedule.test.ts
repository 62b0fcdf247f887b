/** How a schedule goes on from one occurrence to the next. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { SkippedTask } from "../../src/domain/Task.ts"
import type { Successor } from "../../src/domain/TaskSchedule.ts"
import {
  advance,
  countRun,
  hasRunsLeft,
  instantAfter,
  isAtCursor,
  pausedUntil,
  successorIsStoredAt
} from "../../src/domain/TaskSchedule.ts"
import { farthest } from "../../src/domain/Time.ts"
import { planFrom } from "../../src/policies/catchUp.ts"
import { aSchedule, aSpacedSchedule, occurrenceOf, successorOf, t0 } from "../support/builders.ts"

const spaced = (interval: number) => ({ _tag: "Spaced" as const, v: 2 as const, interval })
const fixed = (interval: number, anchor: number) => ({ _tag: "Fixed" as const, v: 2 as const, interval, anchor })

/** An occurrence by the rule. */
const by = (nominalAt: number, origin: string | undefined = "schedule") => ({ nominalAt, origin })

describe("instantAfter", () => {
  it("spaced is an interval later: after the end of the run, however long that took", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.nat(1e9), (interval, took) => {
        expect(instantAfter(spaced(interval), t0 + took)).toBe(t0 + took + interval)
      }),
      { seed: 27_01 }
    )
  })

  it("of an anchored rule is the next that it names", () => {
    expect([3, 22, 23, 24].map((at) => instantAfter(fixed(10, 3), at))).toEqual([13, 23, 33, 33])
  })

  it("of both is none after the rule's end, which is its own", () => {
    for (const rule of [{ ...spaced(10), until: 40 }, { ...fixed(10, 0), until: 40 }]) {
      expect(instantAfter(rule, 30)).toBe(40)
      expect(instantAfter(rule, 40)).toBeUndefined()
    }
    for (const rule of [spaced(1_000), fixed(1_000, 0)]) {
      expect(instantAfter(rule, farthest - 1_000)).toBe(farthest)
      expect(instantAfter(rule, farthest)).toBeUndefined()
    }
  })

  it("and so what is planned comes strictly later, also where one is over before it was due, or the clock stepped back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: -1e9, max: 1e9 }), (interval, elapsed) => {
        for (const recurrence of [spaced(interval), fixed(interval, t0)]) {
          const { next } = planFrom(aSchedule({ recurrence }), instantAfter(recurrence, t0), t0 + elapsed)
          expect(next).toBeGreaterThanOrEqual(t0 + interval)
        }
      }),
      { seed: 27_02 }
    )
  })
})

describe("isAtCursor", () => {
  it("the one by the rule at the schedule's cursor, while that goes on", () => {
    const schedule = aSchedule()
    expect(isAtCursor(schedule, by(t0))).toBe(true)
    expect(isAtCursor(schedule, by(t0 - 10_000))).toBe(false)
    expect(isAtCursor(schedule, by(t0 + 10_000))).toBe(false)
    for (const status of ["Cancelled", "Completed"] as const) {
      expect(isAtCursor(aSchedule({ status }), by(t0))).toBe(false)
    }
  })

  it("none that was asked for by hand, even for the same instant", () => {
    for (const origin of ["manual:1", "backfill:1"]) expect(isAtCursor(aSchedule(), by(t0, origin))).toBe(false)
    expect(isAtCursor(aSchedule(), { nominalAt: t0, origin: undefined })).toBe(false)
  })
})

describe("pausedUntil", () => {
  it("is when the pause ends, or as far away as can be", () => {
    expect(pausedUntil(aSchedule(), t0)).toBeUndefined()
    expect(pausedUntil(aSchedule({ pause: { since: t0 } }), t0)).toBe(farthest)
    const schedule = aSchedule({ pause: { since: t0, until: t0 + 10 } })
    expect([9, 10].map((later) => pausedUntil(schedule, t0 + later))).toEqual([t0 + 10, undefined])
  })
})

describe("advance", () => {
  const aRecord = (nominalAt: number): SkippedTask => ({
    ...occurrenceOf(aSchedule(), nominalAt),
    status: "Skipped",
    skipped: "catchUp",
    range: { count: 3, last: nominalAt + 20_000 },
    note: undefined,
    finishedAt: t0 + 40_000
  })

  it("moves the cursor to the successor and counts what was missed", () => {
    const schedule = aSchedule({ missed: 2 })
    const passed = [aRecord(t0 + 10_000)]
    const successor = { ...successorOf(schedule, t0), missed: 3, passed }
    expect(advance(schedule, by(t0), successor, t0)).toEqual({
      schedule: { ...schedule, cursor: t0 + 10_000, missed: 5 },
      next: successor.task,
      passed
    })
  })

  it("gives each occurrence one successor, whoever asks", () => {
    const schedule = aSchedule()
    const successor = { ...successorOf(schedule, t0), missed: 3, passed: [aRecord(t0 + 10_000)] }
    const once = advance(schedule, by(t0), successor, t0)
    expect(once.next).toBeDefined()
    expect(advance(once.schedule, by(t0), successor, t0)).toEqual({
      schedule: once.schedule,
      next: undefined,
      passed: []
    })
  })

  it("refuses what was planned under another rule, after another occurrence, or for a schedule that is over", () => {
    const successor = { ...successorOf(aSchedule(), t0), missed: 3, passed: [aRecord(t0 + 10_000)] }
    for (
      const schedule of [
        aSchedule({ revision: 2 }),
        aSchedule({ cursor: t0 + 1 }),
        aSchedule({ status: "Cancelled" }),
        aSchedule({ status: "Completed" })
      ]
    ) expect(advance(schedule, by(t0), successor, t0)).toEqual({ schedule, next: undefined, passed: [] })
    const schedule = aSchedule()
    expect(advance(schedule, by(t0, "manual:1"), successor, t0)).toEqual({ schedule, next: undefined, passed: [] })
  })

  it("completes a schedule that has no runs left", () => {
    const schedule = aSchedule({ maxRuns: 2, runs: 2 })
    expect(hasRunsLeft(schedule)).toBe(false)
    expect(advance(schedule, by(t0), successorOf(schedule, t0), t0)).toEqual({
      schedule: { ...schedule, status: "Completed" },
      next: undefined,
      passed: []
    })
  })

  it("completes one whose rule names no further one, with what is passed over on the way there", () => {
    const schedule = aSchedule({ missed: 1 })
    const passed = [aRecord(t0 + 10_000)]
    const last: Successor = { ...successorOf(schedule, t0), task: undefined, missed: 3, passed }
    expect(advance(schedule, by(t0), last, t0)).toEqual({
      schedule: { ...schedule, status: "Completed", missed: 4 },
      next: undefined,
      passed
    })
  })

  it("what follows while the schedule is paused waits for the end of that", () => {
    const claimableAt = (until: number | undefined) => {
      const schedule = aSchedule({ pause: { since: t0, ...(until === undefined ? {} : { until }) } })
      const { next, schedule: after } = advance(schedule, by(t0), successorOf(schedule, t0), t0)
      expect(after.pause).toEqual(schedule.pause)
      expect(next?.dueAt).toBe(t0 + 10_000)
      return next?.claimableAt
    }
    expect(claimableAt(undefined)).toBe(farthest)
    expect(claimableAt(t0 + 60_000)).toBe(t0 + 60_000)
    // It is due later anyway.
    expect(claimableAt(t0 + 5_000)).toBe(t0 + 10_000)
  })

  it("forgets a pause that is over, once what follows comes after it", () => {
    const after = (until: number, now: number, successor?: Partial<Successor>) => {
      const schedule = aSchedule({ pause: { since: t0, until } })
      return advance(schedule, by(t0), { ...successorOf(aSchedule(), t0), ...successor }, now).schedule.pause?.until
    }
    // It holds.
    expect(after(t0 + 9_000, t0 + 8_999)).toBe(t0 + 9_000)
    expect(after(t0 + 9_000, t0 + 9_000)).toBeUndefined()
    expect(after(t0 + 10_000, t0 + 20_000)).toBeUndefined()
    // What follows fell into it: that is told of when it begins.
    expect(after(t0 + 10_001, t0 + 20_000)).toBe(t0 + 10_001)
    expect(after(t0 + 10_001, t0 + 20_000, { task: undefined })).toBeUndefined()
  })

  for (const maxRuns of [1, 2, 10]) {
    it(`makes exactly ${maxRuns} runs when told so`, () => {
      let schedule = aSchedule({ maxRuns })
      let occurrences = 1
      for (;;) {
        schedule = countRun(schedule)
        const { cursor } = schedule
        const next = advance(schedule, by(cursor), successorOf(schedule, cursor), cursor)
        schedule = next.schedule
        if (next.next === undefined) break
        occurrences++
      }
      expect([occurrences, schedule.runs, schedule.status]).toEqual([maxRuns, maxRuns, "Completed"])
    })
  }

  it("without maxRuns it goes on", () => {
    expect(hasRunsLeft(aSchedule({ runs: 1e9 }))).toBe(true)
  })

  it("stores a successor with the start of an anchored occurrence and the end of a spaced one", () => {
    expect(successorIsStoredAt(aSchedule().recurrence)).toBe("start")
    expect(successorIsStoredAt(aSpacedSchedule().recurrence)).toBe("end")
  })
})

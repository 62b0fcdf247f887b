import { describe, expect, it } from "@effect/vitest"
import { DateTime, Duration } from "effect"
import * as fc from "fast-check"
import { advance, countRun, hasRunsLeft, nextOccurrence, successorIsStoredAt } from "../../src/domain/TaskSchedule.ts"
import { shown } from "../../src/domain/Time.ts"
import * as Trigger from "../../src/domain/Trigger.ts"
import { inputsOf } from "../support/badInputs.ts"
import { aSchedule, aSpacedSchedule, successorOf, t0 } from "../support/builders.ts"
import { accepted, reasonOf } from "../support/verdicts.ts"

const minimum = 1_000

describe("dueAt", () => {
  it("now is now, after is later, at is the instant itself, also in the past", () => {
    expect(accepted(Trigger.dueAt(Trigger.now, t0))).toBe(t0)
    expect(accepted(Trigger.dueAt(Trigger.after("2 seconds"), t0))).toBe(t0 + 2_000)
    expect(accepted(Trigger.dueAt(Trigger.after("PT2S"), t0))).toBe(t0 + 2_000)
    expect(accepted(Trigger.dueAt(Trigger.after(Duration.zero), t0))).toBe(t0)
    expect(accepted(Trigger.dueAt(Trigger.at("2027-01-01T09:00:00+01:00"), t0))).toBe(1_798_790_400_000)
    expect(accepted(Trigger.dueAt(Trigger.at("2000-01-01T00:00:00Z"), t0))).toBe(946_684_800_000)
    expect(accepted(Trigger.dueAt(Trigger.at(DateTime.unsafeMake(t0 + 30 * 86_400_000)), t0))).toBe(
      t0 + 30 * 86_400_000
    )
  })

  it("refuses with the parsers' reasons", () => {
    expect(reasonOf(Trigger.dueAt(Trigger.after(-1), t0))).toBe("IntervalInvalid")
    expect(reasonOf(Trigger.dueAt(Trigger.after(Number.NaN), t0))).toBe("IntervalInvalid")
    expect(reasonOf(Trigger.dueAt(Trigger.at("2026-02-30T00:00:00Z"), t0))).toBe("DateInvalid")
    expect(reasonOf(Trigger.dueAt(Trigger.at("2026-01-01"), t0))).toBe("DateNoOffset")
  })

  it("refuses a recurring trigger, and what is no trigger", () => {
    for (
      const trigger of [Trigger.spaced("10 seconds"), Trigger.fixed("10 seconds"), Trigger.cron("* * * * *"), {}, {
        _tag: "Never"
      }]
    ) {
      expect(reasonOf(Trigger.dueAt(trigger as Trigger.OnceTrigger, t0))).toBe("ScheduleAmbiguous")
    }
  })
})

describe("recurrence", () => {
  it("notes the interval, and for a fixed rate its anchor", () => {
    expect(accepted(Trigger.recurrence(Trigger.spaced("10 seconds"), t0, minimum)))
      .toEqual({ _tag: "Spaced", v: 1, interval: 10_000 })
    expect(accepted(Trigger.recurrence(Trigger.fixed("PT1M"), t0, minimum)))
      .toEqual({ _tag: "Fixed", v: 1, interval: 60_000, anchor: t0 })
  })

  for (const make of [Trigger.spaced, Trigger.fixed]) {
    for (const { id, input, reason } of inputsOf("interval")) {
      it(`${id}: ${make === Trigger.spaced ? "spaced" : "fixed"} ${shown(input)} is ${reason ?? "accepted"}`, () => {
        expect(reasonOf(Trigger.recurrence(make(input as number), t0, minimum))).toBe(reason)
      })
    }

    it("takes the minimum itself and nothing below; NaN, Infinity and negative are invalid", () => {
      const verdict = (interval: Parameters<typeof make>[0]) =>
        reasonOf(Trigger.recurrence(make(interval), t0, minimum))
      expect(verdict(1_000)).toBeNull()
      expect(verdict(999)).toBe("IntervalTooSmall")
      expect(verdict("999 millis")).toBe("IntervalTooSmall")
      expect(verdict(Number.NaN)).toBe("IntervalInvalid")
      expect(verdict(Infinity)).toBe("IntervalInvalid")
      expect(verdict(-1)).toBe("IntervalInvalid")
      expect(verdict("-5 seconds")).toBe("IntervalInvalid")
    })
  }

  it("refuses a trigger of one instant, and what is no trigger", () => {
    for (const trigger of [Trigger.now, Trigger.after("1 second"), {}, { _tag: "Never" }]) {
      expect(reasonOf(Trigger.recurrence(trigger as Trigger.RecurringTrigger, t0, minimum))).toBe("ScheduleAmbiguous")
    }
  })
})

describe("nextOccurrence of a fixed rate", () => {
  const rule = (interval: number, anchor: number) => ({ _tag: "Fixed" as const, v: 1 as const, interval, anchor })

  it("does not drift: a million occurrences are at anchor + k * interval, whatever the runs take", () => {
    const interval = 333_333
    const every = rule(interval, t0 + 7)
    let nominalAt = every.anchor
    let mismatches = 0
    for (let k = 1; k <= 1_000_000; k++) {
      // Started late by anything up to an interval.
      const next = nextOccurrence(every, nominalAt, nominalAt + (k * 7_919) % interval)
      if (next.nominalAt !== every.anchor + k * interval || next.missed !== 0) mismatches++
      nominalAt = next.nominalAt as number
    }
    expect(mismatches).toBe(0)
    expect(nominalAt).toBe(t0 + 7 + 1_000_000 * interval)
  })

  it("makes up for the latest only, and counts the others as missed", () => {
    const every = rule(10, 0)
    expect(nextOccurrence(every, 20, 20)).toEqual({ nominalAt: 30, missed: 0 })
    expect(nextOccurrence(every, 20, 29)).toEqual({ nominalAt: 30, missed: 0 })
    expect(nextOccurrence(every, 20, 30)).toEqual({ nominalAt: 30, missed: 0 })
    expect(nextOccurrence(every, 20, 39)).toEqual({ nominalAt: 30, missed: 0 })
    expect(nextOccurrence(every, 20, 40)).toEqual({ nominalAt: 40, missed: 1 })
    expect(nextOccurrence(every, 20, 65)).toEqual({ nominalAt: 60, missed: 3 })
  })

  it("costs the same after ten years of downtime as after one second", () => {
    const decade = 315_360_000_000
    expect(nextOccurrence(rule(1_000, t0), t0, t0 + decade + 1))
      .toEqual({ nominalAt: t0 + decade, missed: decade / 1_000 - 1 })
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
          const found = nextOccurrence(rule(interval, anchor), nominalAt, now)
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
      { numRuns: 2_000 }
    )
  })
})

describe("nextOccurrence", () => {
  const spaced = { _tag: "Spaced" as const, v: 1 as const, interval: 10 }

  it("spaced comes an interval after the end of the run, however long that took", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1e9 }), fc.nat(1e9), (interval, took) => {
      expect(nextOccurrence({ ...spaced, interval }, t0, t0 + took))
        .toEqual({ nominalAt: t0 + took + interval, missed: 0 })
    }))
  })

  it("comes strictly later also when one is cancelled before it was due, or the clock stepped back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: -1e9, max: 1e9 }), (interval, elapsed) => {
        for (const rule of [{ ...spaced, interval }, { _tag: "Fixed" as const, v: 1 as const, interval, anchor: t0 }]) {
          expect(nextOccurrence(rule, t0, t0 + elapsed).nominalAt).toBeGreaterThanOrEqual(t0 + interval)
        }
      })
    )
  })

  it("fixed stays on its grid", () => {
    expect(nextOccurrence({ _tag: "Fixed", v: 1, interval: 10, anchor: 3 }, 23, 58)).toEqual({
      nominalAt: 53,
      missed: 2
    })
  })
})

describe("advance", () => {
  it("moves the cursor to the successor and counts what was missed", () => {
    const schedule = aSchedule({ missed: 2 })
    const successor = { ...successorOf(schedule, t0), missed: 3 }
    expect(advance(schedule, t0, successor)).toEqual({
      schedule: { ...schedule, cursor: t0 + 10_000, missed: 5 },
      next: successor.task
    })
  })

  it("gives each occurrence one successor, whoever asks", () => {
    const schedule = aSchedule()
    const once = advance(schedule, t0, successorOf(schedule, t0))
    expect(once.next).toBeDefined()
    expect(advance(once.schedule, t0, successorOf(schedule, t0))).toEqual({ schedule: once.schedule, next: undefined })
  })

  it("refuses what was planned under another rule, after another occurrence, or for a schedule that is over", () => {
    const successor = successorOf(aSchedule(), t0)
    for (
      const schedule of [
        aSchedule({ revision: 2 }),
        aSchedule({ cursor: t0 + 1 }),
        aSchedule({ status: "Cancelled" }),
        aSchedule({ status: "Completed" })
      ]
    ) expect(advance(schedule, t0, successor)).toEqual({ schedule, next: undefined })
  })

  it("completes a schedule that has no runs left", () => {
    const schedule = aSchedule({ maxRuns: 2, runs: 2 })
    expect(hasRunsLeft(schedule)).toBe(false)
    expect(advance(schedule, t0, successorOf(schedule, t0))).toEqual({
      schedule: { ...schedule, status: "Completed" },
      next: undefined
    })
  })

  for (const maxRuns of [1, 2, 10]) {
    it(`makes exactly ${maxRuns} runs when told so`, () => {
      let schedule = aSchedule({ maxRuns })
      let occurrences = 1
      for (;;) {
        schedule = countRun(schedule)
        const next = advance(schedule, schedule.cursor, successorOf(schedule, schedule.cursor))
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

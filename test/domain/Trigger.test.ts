import { describe, expect, it } from "@effect/vitest"
import { DateTime, Duration } from "effect"
import { shown } from "../../src/domain/Time.ts"
import * as Trigger from "../../src/domain/Trigger.ts"
import { inputsOf } from "../support/badInputs.ts"
import { t0 } from "../support/builders.ts"
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

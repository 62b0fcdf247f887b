import { describe, expect, it } from "@effect/vitest"
import { TaskId } from "../../src/domain/Ids.ts"
import type { Recurrence } from "../../src/domain/Recurrence.ts"
import type { ScheduledTask, SkippedTask, SkipReason, Task } from "../../src/domain/Task.ts"
import type { TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import type { Explanation } from "../../src/policies/explain.ts"
import { explainInstant } from "../../src/policies/explain.ts"
import { aSchedule, aTask, t0 } from "../support/builders.ts"

const id = TaskId.make("018bcfe5-6800-7000-8000-000000000001")
const second = 1_000
const minute = 60 * second
const day = 86_400_000

/** Every ten seconds from `t0` on; its next occurrence is a minute later. */
const ticks = (fields: Partial<TaskSchedule> = {}): TaskSchedule =>
  aSchedule({
    overlap: { policy: "skip" },
    catchUp: { policy: "latest" },
    pauseAfterFailures: undefined,
    failures: 0,
    pause: undefined,
    cursor: t0 + minute,
    ...fields
  })

const spaced = (fields: Partial<TaskSchedule> = {}): TaskSchedule =>
  ticks({ recurrence: { _tag: "Spaced", v: 1, interval: 10_000 }, ...fields })

const occurrence = (nominalAt: number): ScheduledTask =>
  aTask({ id, name: "ticks", scheduleId: ticks().id, origin: "schedule", nominalAt, dueAt: nominalAt })

const skipped = (nominalAt: number, count: number, reason: SkipReason = "catchUp"): SkippedTask => ({
  ...occurrence(nominalAt),
  status: "Skipped",
  finishedAt: t0 + minute,
  skipped: reason,
  range: { count, last: nominalAt + (count - 1) * 10 * second },
  note: undefined
})

const ofTask: Explanation = { state: "running", rule: "ran", sentence: "...", taskId: id, nextAt: undefined, facts: {} }

/** Five seconds before the next occurrence. */
const now = t0 + 55 * second

const explain = (schedule: TaskSchedule, instant: number, latest?: Task, at = now) =>
  explainInstant(schedule, instant, { now: at, latest, taskExplanation: () => ofTask })

/** What decides, and how that is said. */
const told = (...args: Parameters<typeof explain>) => {
  const { nextAt, rule, sentence, state } = explain(...args)
  return nextAt === undefined ? [state, rule, sentence] : [state, rule, sentence, nextAt]
}

describe("explainInstant: what there is a record of", () => {
  it("leaves it to the occurrence's own Task", () => {
    expect(explain(ticks(), t0 + 20 * second, occurrence(t0 + 20 * second))).toBe(ofTask)
    expect(explain(ticks(), t0 + 3, occurrence(t0 + 3))).toBe(ofTask)
  })

  it("tells of one among several that were skipped", () => {
    const record = skipped(t0, 4)
    expect(told(ticks(), t0 + 20 * second, record)).toEqual([
      "skipped",
      "catchUp",
      `The occurrence of "ticks" at 2027-01-15T08:00:20.000Z was skipped, because its instant had passed before it could start, and a later one ran in its place or it was too late to be made up for. Its record, task ${id}, stands for 4 occurrences, from 2027-01-15T08:00:00.000Z to 2027-01-15T08:00:30.000Z.`
    ])
    expect(explain(ticks(), t0 + 20 * second, record).taskId).toBe(id)
    expect(told(ticks(), t0 + 30 * second, record)[0]).toBe("skipped")
    expect(told(ticks(), t0 + 40 * second, record)[1]).toBe("forgotten")
    expect(told(ticks(), t0 + 21 * second, record)[1]).toBe("notNamed")
    expect(told(ticks(), t0 + 20 * second, skipped(t0, 4, "cap"))[1]).toBe("catchUpMax")
  })

  it("tells that there is none any more", () => {
    const sentence =
      `There is no record of the occurrence of "ticks" at 2027-01-15T08:00:20.000Z: it has been removed since by retention, or the schedule had another rule, or had not begun, at that time.`
    expect(told(ticks(), t0 + 20 * second)).toEqual(["none", "forgotten", sentence])
    expect(told(ticks(), t0 + 20 * second, occurrence(t0 + 10 * second))).toEqual([
      "none",
      "forgotten",
      `${sentence} The latest record before that is of 2027-01-15T08:00:10.000Z.`
    ])
    expect(told(ticks({ status: "Cancelled" }), t0 + minute)[1]).toBe("forgotten")
  })
})

describe("explainInstant: what the schedule does not name", () => {
  it("tells of the occurrences around it", () => {
    expect(told(ticks(), t0 + 25 * second)).toEqual([
      "none",
      "notNamed",
      `The rule of "ticks" does not name 2027-01-15T08:00:25.000Z. The one before is at 2027-01-15T08:00:20.000Z, and the one after is at 2027-01-15T08:00:30.000Z.`
    ])
    expect(explain(ticks(), t0 + 25 * second).facts).toMatchObject({
      before: t0 + 20 * second,
      after: t0 + 30 * second
    })
  })

  it("knows none before the first, and none after the end", () => {
    const first = ticks({ recurrence: { _tag: "Fixed", v: 1, interval: 10_000, anchor: t0 + minute } })
    expect(told(first, t0 + 20 * second)[2]).toBe(
      `The rule of "ticks" does not name 2027-01-15T08:00:20.000Z. It names none before that since the schedule was made, and the one after is at 2027-01-15T08:01:00.000Z.`
    )
    const ends = ticks({
      recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, until: t0 + 65 * second }
    })
    expect(told(ends, t0 + 63 * second)[2]).toMatch(
      /The one before is at 2027-01-15T08:01:00\.000Z, and there is none after it\.$/
    )
    expect(told(ticks({ status: "Cancelled" }), t0 + 63 * second)[2]).toMatch(/, and there is none after it\.$/)
  })

  it("tells when the one before was due by its jitter, since that is when it may have run", () => {
    const schedule = ticks({ recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, jitter: 9_000 } })
    const { facts, sentence } = explain(schedule, t0 + 25 * second)
    expect(sentence).toMatch(
      /The one before is at 2027-01-15T08:00:20\.000Z( and due at 2027-01-15T08:00:2\d\.\d{3}Z)?, and/
    )
    expect(facts["beforeDueAt"]).toBeGreaterThanOrEqual(t0 + 20 * second)
  })

  const stockholm = (gap: "skip" | "run-after", expression = "30 2 * * *"): TaskSchedule => {
    const rule: Recurrence = {
      _tag: "Cron",
      v: 2,
      syntax: "unix",
      expression,
      timeZone: "Europe/Stockholm",
      gap,
      overlap: "default"
    }
    return ticks({ recurrence: rule, cursor: Date.UTC(2028, 0, 1, 1, 30) })
  }

  it("tells of a time that clocks leave out", () => {
    // 02:30 does not exist: clocks go from 02:00 to 03:00, at 01:00 UTC.
    const asked = Date.UTC(2027, 2, 28, 1, 30)
    expect(told(stockholm("skip"), asked)).toEqual([
      "none",
      "notNamed",
      `The rule of "ticks" does not name 2027-03-28T01:30:00.000Z. The one before is at 2027-03-27T01:30:00.000Z, and the one after is at 2027-03-29T00:30:00.000Z. Clocks in Europe/Stockholm do not show 2027-03-28T02:30:00, which the rule names.`
    ])
    // Here it is made up for after the gap.
    expect(told(stockholm("run-after"), asked)[2]).not.toContain("Clocks")
  })

  it("tells of a time that clocks show twice", () => {
    // 02:30 comes at 00:30 UTC and again at 01:30 UTC.
    expect(told(stockholm("skip"), Date.UTC(2027, 9, 31, 1, 30))[2]).toMatch(
      / Clocks in Europe\/Stockholm show a second time, which does not count, 2027-10-31T02:30:00, which the rule names\.$/
    )
  })

  it("names none of a spaced schedule but those that are there", () => {
    const asked = t0 + 20 * second
    expect(told(spaced(), asked, occurrence(t0 + 10 * second))).toEqual([
      "none",
      "notNamed",
      `"ticks" has no occurrence at 2027-01-15T08:00:20.000Z that is known of: each follows 10 seconds after the end of the run before. The one before is that of 2027-01-15T08:00:10.000Z, and the latest is that of 2027-01-15T08:01:00.000Z.`
    ])
    expect(told(spaced(), asked)[2]).toMatch(
      / There is no record of one before, and the latest is that of 2027-01-15T08:01:00\.000Z\.$/
    )
    expect(told(spaced({ status: "Cancelled" }), asked)[1]).toBe("notNamed")
    expect(told(spaced(), t0 + 2 * minute)).toEqual([
      "none",
      "notNamed",
      `"ticks" has no occurrence at 2027-01-15T08:02:00.000Z that is known of: each follows 10 seconds after the end of the run before. The latest is that of 2027-01-15T08:01:00.000Z.`
    ])
  })

  it("did not exist yet", () => {
    expect(told(ticks(), t0 - second)).toEqual([
      "none",
      "beforeCreation",
      `Schedule "ticks" did not exist yet at 2027-01-15T07:59:59.000Z: it was made at 2027-01-15T08:00:00.000Z.`
    ])
    expect(told(spaced(), t0 - second)[1]).toBe("beforeCreation")
  })

  it("has ended by then", () => {
    const until = t0 + 65 * second
    for (
      const schedule of [
        ticks({ recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, until } }),
        spaced({ recurrence: { _tag: "Spaced", v: 2, interval: 10_000, until } })
      ]
    ) {
      expect(told(schedule, until)[1]).toBe("notNamed")
      expect(told(schedule, t0 + 70 * second)).toEqual([
        "none",
        "afterEnd",
        `Schedule "ticks" has no occurrence at 2027-01-15T08:01:10.000Z: it ends at 2027-01-15T08:01:05.000Z.`
      ])
    }
  })

  it("has a rule that nobody can read", () => {
    const rule = { ...stockholm("skip").recurrence, timeZone: "Atlantis/Center" } as Recurrence
    expect(told(ticks({ recurrence: rule }), t0 + 70 * second)).toEqual([
      "none",
      "unreadableRule",
      `The rule of "ticks" is one that this version cannot read.`
    ])
  })
})

describe("explainInstant: what is to come", () => {
  const asked = t0 + 70 * second

  it("is planned", () => {
    expect(told(ticks(), asked)).toEqual([
      "planned",
      "notDue",
      `The occurrence of "ticks" at 2027-01-15T08:01:10.000Z is planned: it starts at 2027-01-15T08:01:10.000Z, in 15 seconds.`,
      asked
    ])
    expect(told(ticks(), t0 + minute)[3]).toBe(t0 + minute)
  })

  it("is planned with its jitter", () => {
    const schedule = ticks({ recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, jitter: 9_000 } })
    const { facts, nextAt } = explain(schedule, asked)
    expect(nextAt).toBe(facts["dueAt"])
    expect(nextAt).toBeGreaterThanOrEqual(asked)
    expect(nextAt).toBeLessThan(asked + 10_000)
  })

  it("does not come: the schedule is over", () => {
    expect(told(ticks({ status: "Cancelled" }), asked)).toEqual([
      "none",
      "scheduleCancelled",
      `Schedule "ticks" has no occurrence at 2027-01-15T08:01:10.000Z: it has been cancelled. Its last was that of 2027-01-15T08:01:00.000Z.`
    ])
    expect(told(ticks({ status: "Completed" }), asked)).toEqual([
      "none",
      "scheduleCompleted",
      `Schedule "ticks" has no occurrence at 2027-01-15T08:01:10.000Z: its rule has named no further occurrence. Its last was that of 2027-01-15T08:01:00.000Z.`
    ])
    expect(told(spaced({ status: "Completed", maxRuns: 7, runs: 7 }), asked)).toEqual([
      "none",
      "maxRuns",
      `Schedule "ticks" has no occurrence at 2027-01-15T08:01:10.000Z: it has started all of its 7 runs. Its last was that of 2027-01-15T08:01:00.000Z.`
    ])
  })

  it("does not come: its runs will be used up", () => {
    const schedule = ticks({ maxRuns: 8, runs: 6 })
    expect(told(schedule, t0 + 80 * second)).toEqual([
      "none",
      "maxRuns",
      `Schedule "ticks" has no occurrence at 2027-01-15T08:01:20.000Z: 6 of its 8 runs have been started, and those before that take the others, unless some are skipped.`
    ])
    expect(told(schedule, t0 + 70 * second)[1]).toBe("notDue")
    expect(told(schedule, t0 + 200_000 * 365 * day)[1]).toBe("maxRuns")
  })

  it("falls into a pause", () => {
    const pause = { since: t0 + 50 * second, until: t0 + 80 * second, by: "ada" }
    expect(told(ticks({ pause }), asked)).toEqual([
      "planned",
      "paused",
      `The occurrence of "ticks" at 2027-01-15T08:01:10.000Z does not start: its schedule is paused from 2027-01-15T08:00:50.000Z until 2027-01-15T08:01:20.000Z by ada. If nothing changes, it is recorded as skipped when the pause ends.`
    ])
    expect(told(ticks({ pause }), t0 + 80 * second)[1]).toBe("notDue")
    expect(told(ticks({ pause: { since: t0 } }), t0 + 1_000 * 365 * day)[1]).toBe("paused")
  })

  it("was missed before a pause, or falls on its beginning", () => {
    const pause = { since: t0 + 50 * second, until: t0 + 80 * second }
    const behind = ticks({ pause, cursor: t0 + 30 * second })
    expect(told(behind, t0 + 40 * second)).toEqual([
      "waiting",
      "paused",
      `The occurrence of "ticks" at 2027-01-15T08:00:40.000Z does not start: its schedule is paused from 2027-01-15T08:00:50.000Z until 2027-01-15T08:01:20.000Z. If nothing changes, the schedule's rule for missed occurrences (latest) decides when the pause ends whether it still starts.`
    ])
    expect(told(behind, t0 + 50 * second)[2]).toMatch(
      / If nothing changes, it is recorded as skipped when the pause ends\.$/
    )
    expect(told(ticks({ pause: { since: t0 } }), t0 + minute, undefined, t0 + 2 * minute)[0]).toBe("waiting")
  })

  it("has passed, and the schedule has not come to it", () => {
    const later = t0 + 95 * second
    expect(told(ticks(), asked, undefined, later)).toEqual([
      "waiting",
      "catchUp",
      `The occurrence of "ticks" at 2027-01-15T08:01:10.000Z has not been reached: its schedule is still at 2027-01-15T08:01:00.000Z. As things stand, it will be recorded as skipped, because a later one runs in its place, or it is too late to be made up for.`
    ])
    expect(told(ticks(), t0 + 90 * second, undefined, later)).toEqual([
      "waiting",
      "catchUp",
      `The occurrence of "ticks" at 2027-01-15T08:01:30.000Z has not been reached: its schedule is still at 2027-01-15T08:01:00.000Z. As things stand, it is made up for.`
    ])
    expect(told(ticks(), asked, undefined, asked).slice(0, 2)).toEqual(["waiting", "catchUp"])
    const few = ticks({ catchUp: { policy: "all", max: 2 } })
    expect(told(few, asked, undefined, later).slice(0, 2)).toEqual(["waiting", "catchUpMax"])
    const soon = ticks({ catchUp: { policy: "latest", window: 10 * second } })
    expect(told(soon, asked, undefined, later).slice(0, 2)).toEqual(["waiting", "window"])
    const paused = ticks({ pause: { since: t0 + minute, until: t0 + 75 * second } })
    expect(told(paused, asked, undefined, later).slice(0, 2)).toEqual(["waiting", "paused"])
  })
})

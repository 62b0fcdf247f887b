import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { AttemptOutcome } from "../../src/domain/Invocation.ts"
import type { OverlapPolicy } from "../../src/domain/Overlap.ts"
import type { Recurrence } from "../../src/domain/Recurrence.ts"
import type { FailedTask, SkippedTask, SucceededTask, Task } from "../../src/domain/Task.ts"
import type { TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import type { HealthSituation } from "../../src/policies/health.ts"
import { scheduleHealth } from "../../src/policies/health.ts"
import { anEnd, aSchedule, aTask, t0 } from "../support/builders.ts"
import { canary, someNow, someSchedule, someTask } from "./someTasks.ts"

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

const ran = (nominalAt: number, late: number, duration: number, outcome: AttemptOutcome = "succeeded") => {
  const [startedAt, at] = [nominalAt + late, nominalAt + late + duration]
  return {
    ...aTask({ name: "ticks", origin: "schedule", nominalAt, dueAt: nominalAt }),
    attempts: [{ number: 1, startedAt, ended: anEnd(outcome, at) }],
    finishedAt: at
  }
}

const succeeded = (nominalAt: number, late = 3, duration = 100): SucceededTask => ({
  ...ran(nominalAt, late, duration),
  status: "Succeeded",
  result: { text: "null", encoding: "utf8" }
})

const failed = (nominalAt: number): FailedTask => ({
  ...ran(nominalAt, 3, 100, "failed"),
  status: "Failed",
  failure: { reason: "FunctionError", message: "boom" },
  redrivenAs: undefined
})

const skipped = (nominalAt: number, fields: Partial<SkippedTask> = {}): SkippedTask => ({
  ...ran(nominalAt, 3, 100),
  attempts: [],
  status: "Skipped",
  skipped: "overlap",
  range: undefined,
  note: undefined,
  ...fields
})

/** The latest occurrences before the next one, newest first. */
const before = <A>(count: number, make: (nominalAt: number, index: number) => A): ReadonlyArray<A> =>
  Array.from({ length: count }, (_, index) => make(t0 + minute - (index + 1) * 10 * second, index))

/** Five seconds before the next occurrence. */
const calm: HealthSituation = { now: t0 + 55 * second, recent: [], runtime: "nodejs24.x" }

const told = (schedule: TaskSchedule, about: Partial<HealthSituation> = {}) =>
  scheduleHealth(schedule, { ...calm, ...about }).findings
    .map(({ code, sentence, severity }) => [code, severity, sentence])

const codes = (schedule: TaskSchedule, about: Partial<HealthSituation> = {}) =>
  scheduleHealth(schedule, { ...calm, ...about }).findings.map(({ code }) => code)

describe("scheduleHealth", () => {
  it("has nothing to tell of a schedule that fares well", () => {
    const recent = [...before(20, (at) => succeeded(at))]
    expect(scheduleHealth(ticks(), { ...calm, recent })).toEqual({
      healthy: true,
      findings: [],
      nextAt: t0 + minute,
      latenessP99: 3,
      runs: 20,
      failures: 0
    })
    expect(scheduleHealth(ticks(), calm)).toMatchObject({
      healthy: true,
      findings: [],
      latenessP99: undefined,
      runs: 0
    })
  })

  it("counts runs and failures of those it has looked at: a hundred, by the rule", () => {
    const byHand: Task = { ...succeeded(t0), origin: "manual:1" }
    const recent = [byHand, failed(t0 + 50 * second), ...before(120, (at) => succeeded(at - 10 * second))]
    expect(scheduleHealth(ticks(), { ...calm, recent })).toMatchObject({ runs: 99, failures: 1, healthy: true })
  })

  it("tells errors first", () => {
    const schedule = ticks({ pause: { since: t0 } })
    const recent = before(3, failed)
    expect(scheduleHealth(schedule, { ...calm, recent }).healthy).toBe(false)
    expect(codes(schedule, { recent })).toEqual(["failuresInARow", "paused"])
  })
})

describe("scheduleHealth: whether it fires again", () => {
  it("is over", () => {
    expect(told(ticks({ status: "Cancelled" }))).toEqual([
      ["neverFiresAgain", "warning", `Schedule "ticks" never fires again: it has been cancelled.`]
    ])
    expect(told(ticks({ status: "Completed" }))).toEqual([
      ["neverFiresAgain", "warning", `Schedule "ticks" never fires again: its rule names no further occurrence.`]
    ])
    expect(told(ticks({ status: "Completed", maxRuns: 1, runs: 1 }))).toEqual([
      ["neverFiresAgain", "warning", `Schedule "ticks" never fires again: it has started all of its 1 run.`]
    ])
    expect(scheduleHealth(ticks({ status: "Cancelled" }), calm).nextAt).toBeUndefined()
    expect(scheduleHealth(spaced({ maxRuns: 1, runs: 1 }), calm).nextAt).toBeUndefined()
  })

  it("comes to its last occurrence", () => {
    const last = ticks({ recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, until: t0 + minute } })
    expect(told(last)).toEqual([
      [
        "neverFiresAgain",
        "warning",
        `Schedule "ticks" never fires again after 2027-01-15T08:01:00.000Z: its rule names no further occurrence.`
      ]
    ])
    expect(scheduleHealth(last, calm).nextAt).toBe(t0 + minute)
  })

  it("fires only after years", () => {
    const leapDay: Recurrence = {
      _tag: "Cron",
      v: 2,
      syntax: "unix",
      expression: "0 0 29 2 *",
      timeZone: "UTC",
      gap: "run-after",
      overlap: "default"
    }
    const cursor = Date.UTC(2028, 1, 29)
    expect(told(ticks({ recurrence: leapDay, cursor }))).toEqual([
      [
        "firesFarAhead",
        "warning",
        `Schedule "ticks" fires next only in 409 days 15 hours, at 2028-02-29T00:00:00.000Z.`
      ]
    ])
    expect(codes(ticks({ recurrence: leapDay, cursor }), { now: cursor - 365 * day })).toEqual([])
  })

  it("cannot be read", () => {
    const recurrence = { _tag: "Cron", v: 2, expression: "* * * *", syntax: "unix", timeZone: "UTC" } as Recurrence
    const health = scheduleHealth(ticks({ recurrence }), { ...calm, recent: before(12, (at) => succeeded(at)) })
    expect(health).toMatchObject({ healthy: false, nextAt: undefined, latenessP99: 3 })
    expect(health.findings.map(({ sentence }) => sentence)).toEqual([
      `The rule of "ticks" is one that this version cannot read.`
    ])
  })
})

describe("scheduleHealth: when it fires next", () => {
  const nextAt = (schedule: TaskSchedule, now = calm.now) => scheduleHealth(schedule, { ...calm, now }).nextAt

  it("is at its cursor, with its jitter", () => {
    const jittery = ticks({ recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, jitter: 9_000 } })
    expect(nextAt(jittery)).toBeGreaterThanOrEqual(t0 + minute)
    expect(nextAt(jittery)).toBeLessThan(t0 + 70 * second)
    expect(nextAt(spaced())).toBe(t0 + minute)
  })

  it("is now, if it is late; what follows a run cannot be told", () => {
    expect(nextAt(ticks(), t0 + 75 * second)).toBe(t0 + 75 * second)
    expect(nextAt(spaced(), t0 + 75 * second)).toBeUndefined()
    expect(nextAt(spaced(), t0 + minute)).toBeUndefined()
  })

  it("is after a pause", () => {
    const until = t0 + 85 * second
    expect(nextAt(ticks({ pause: { since: t0 } }))).toBeUndefined()
    expect(nextAt(ticks({ pause: { since: t0, until } }))).toBe(t0 + 90 * second)
    expect(nextAt(spaced({ pause: { since: t0, until } }))).toBe(until)
    expect(nextAt(ticks({ pause: { since: t0, until: t0 + 58 * second } }))).toBe(t0 + minute)
    // What it had missed before the pause is made up for as soon as that is over.
    expect(nextAt(ticks({ cursor: t0 + 40 * second, pause: { since: t0 + 45 * second, until } }))).toBe(until)
  })
})

describe("scheduleHealth: what holds it back", () => {
  it("is paused by somebody", () => {
    expect(told(ticks({ pause: { since: t0, by: "ada", note: "month end" } }))).toEqual([
      ["paused", "warning", `Schedule "ticks" has been paused since 2027-01-15T08:00:00.000Z by ada: month end.`]
    ])
    expect(codes(ticks({ pause: { since: t0, until: calm.now } }))).toEqual([])
    expect(codes(ticks({ status: "Cancelled", pause: { since: t0 } }))).toEqual(["neverFiresAgain"])
  })

  it("has paused itself: that is an error", () => {
    const pause = { since: t0, by: "effect-lambda-scheduler", note: "3 failures in a row" }
    expect(told(ticks({ pause }))).toEqual([
      [
        "paused",
        "error",
        `Schedule "ticks" has been paused since 2027-01-15T08:00:00.000Z by effect-lambda-scheduler: 3 failures in a row.`
      ]
    ])
  })

  it("is due and does not begin", () => {
    expect(told(ticks(), { now: t0 + minute + 90 * second })).toEqual([
      [
        "overdue",
        "error",
        `The next occurrence of "ticks" has been due for 1 minute 30 seconds, since 2027-01-15T08:01:00.000Z, and has not begun.`
      ]
    ])
    expect(codes(ticks(), { now: t0 + 2 * minute })).toEqual([])
    expect(codes(ticks({ pause: { since: t0 } }), { now: t0 + 5 * minute })).toEqual(["paused"])
  })

  it("is not overdue while the occurrence of a spaced schedule runs", () => {
    const now = t0 + 5 * minute
    const running: Task = {
      ...aTask({ origin: "schedule", nominalAt: t0 + minute }),
      status: "Running",
      attempts: [{ number: 1, startedAt: t0 + minute, ended: undefined }]
    }
    expect(codes(spaced(), { now })).toEqual(["overdue"])
    expect(codes(spaced(), { now, recent: [running] })).toEqual([])
  })
})

describe("scheduleHealth: failures in a row", () => {
  it("are told from three on", () => {
    const tell = (
      failures: number
    ) => [...before(failures, failed), succeeded(t0 + minute - (failures + 1) * 10 * second)]
    expect(codes(ticks(), { recent: tell(2) })).toEqual([])
    expect(told(ticks(), { recent: tell(3) })).toEqual([
      ["failuresInARow", "error", `The latest 3 occurrences of "ticks" failed, the last with FunctionError.`]
    ])
  })

  it("are not counted over what was skipped or cancelled, but over a success", () => {
    const at = (index: number) => t0 + minute - index * 10 * second
    const between = [failed(at(1)), skipped(at(2)), failed(at(3)), failed(at(4))]
    expect(codes(ticks(), { recent: between })).toEqual(["failuresInARow"])
    expect(codes(ticks(), { recent: [failed(at(1)), succeeded(at(2)), failed(at(3)), failed(at(4))] })).toEqual([])
  })

  it("are not counted over a gap, in which there may have been successes", () => {
    const at = (index: number) => t0 + minute - index * 10 * second
    expect(codes(ticks(), { recent: [failed(at(1)), failed(at(2)), failed(at(4))] })).toEqual([])
    const range = { count: 2, last: at(3) }
    const recorded = [failed(at(1)), failed(at(2)), skipped(at(4), { range, skipped: "catchUp" }), failed(at(5))]
    expect(codes(ticks(), { recent: recorded })).toEqual(["failuresInARow"])
    // Of a spaced schedule nobody can tell.
    expect(codes(spaced(), { recent: [failed(at(1)), failed(at(2)), failed(at(4))] })).toEqual(["failuresInARow"])
  })

  it("are told halfway to the schedule's own pause, by its own count", () => {
    const schedule = ticks({ pauseAfterFailures: 4, failures: 2 })
    expect(told(schedule, { recent: before(1, failed) })).toEqual([
      [
        "failuresInARow",
        "error",
        `The latest 2 occurrences of "ticks" failed, the last with FunctionError; it pauses itself after 4.`
      ]
    ])
    expect(told(schedule)[0]?.[2]).toBe(`The latest 2 occurrences of "ticks" failed; it pauses itself after 4.`)
    expect(codes(ticks({ pauseAfterFailures: 4, failures: 1 }))).toEqual([])
    expect(codes(ticks({ pauseAfterFailures: 1, failures: 0 }), { recent: before(5, failed) })).toEqual([])
    expect(codes(ticks({ pauseAfterFailures: 100, failures: 3 }))).toEqual(["failuresInARow"])
  })
})

describe("scheduleHealth: runs that overrun their interval", () => {
  const recent = before(3, (at, index) => succeeded(at, 3, [12_000, 11_000, 1_000][index]))

  it.each<[OverlapPolicy, string]>([
    ["skip", "occurrences that are due meanwhile are skipped"],
    ["bufferOne", "one occurrence waits meanwhile, and the others are skipped"],
    ["bufferAll", "occurrences that are due meanwhile wait, later and later"],
    ["cancelOther", "the next occurrence cancels what still runs"],
    ["allowAll", "runs overlap"]
  ])("are told with what follows: %s", (policy, what) => {
    expect(told(ticks({ overlap: { policy } }), { recent })).toEqual([
      [
        "overrunsInterval",
        "warning",
        `Half of the last 3 successful runs of "ticks" took 11 seconds or more, and the next occurrence comes after 10 seconds: ${what}.`
      ]
    ])
  })

  it("are not told of few, of a spaced schedule, or where they just fit", () => {
    expect(codes(ticks(), { recent: recent.slice(0, 2) })).toEqual([])
    expect(codes(spaced(), { recent })).toEqual([])
    expect(codes(ticks(), { recent: before(3, (at) => succeeded(at, 3, 10_000)) })).toEqual([])
  })
})

describe("scheduleHealth: skips and lateness", () => {
  it("tells of several that were skipped for another one", () => {
    const recent = [...before(3, (at) => skipped(at)), succeeded(t0 + 20 * second)]
    expect(told(ticks(), { recent })).toEqual([
      [
        "skipsOverlaps",
        "warning",
        `3 of the last 4 occurrences of "ticks" were skipped, because another one was under way.`
      ]
    ])
    expect(codes(ticks(), { recent: recent.slice(1) })).toEqual([])
    expect(codes(ticks(), { recent: before(3, (at) => skipped(at, { skipped: "paused" })) })).toEqual([])
  })

  it("tells of lateness from ten runs on", () => {
    const recent = before(10, (at, index) => succeeded(at, index === 3 ? 2_500 : 3))
    expect(told(ticks(), { recent })).toEqual([
      ["late", "warning", `Recent runs of "ticks" start late: the 99th percentile of their lateness is 2.5 seconds.`]
    ])
    expect(codes(ticks(), { recent: recent.slice(0, 9) })).toEqual([])
    expect(codes(ticks(), { recent: before(10, (at) => succeeded(at, 1_000)) })).toEqual([])
  })

  it("takes the 99th of a hundred", () => {
    const recent = before(100, (at, index) => succeeded(at, index * 10))
    expect(scheduleHealth(ticks(), { ...calm, recent }).latenessP99).toBe(980)
  })
})

describe("scheduleHealth: the runtime", () => {
  const at = (date: string) => {
    const now = Date.parse(date)
    const anchor = Math.floor(now / 10_000) * 10_000
    const recurrence: Recurrence = { _tag: "Fixed", v: 1, interval: 10_000, anchor }
    return scheduleHealth(ticks({ recurrence, cursor: anchor + 10_000 }), { now, recent: [], runtime: "nodejs22.x" })
  }
  const sentence = (verb: string) =>
    `Runtime nodejs22.x ${verb} 2027-04-30; AWS refuses new functions on it from 2027-06-01 and updates from 2027-07-01. Move to nodejs24.x.`

  it("is near its end", () => {
    expect(at("2027-01-15T08:00:00Z").findings).toEqual([])
    expect(at("2027-03-01T00:00:00Z").findings).toEqual([
      {
        code: "runtimeBlocked",
        severity: "warning",
        sentence: sentence("will be deprecated on"),
        facts: { runtime: "nodejs22.x" }
      }
    ])
    expect(at("2027-05-31T23:59:59Z").healthy).toBe(true)
  })

  it("is an error once AWS refuses it", () => {
    expect(at("2027-06-01T00:00:00Z").findings).toMatchObject([
      { code: "runtimeBlocked", severity: "error", sentence: sentence("is deprecated since") }
    ])
  })

  it("says nothing of a runtime that it does not know", () => {
    expect(codes(ticks(), { runtime: undefined })).toEqual([])
    expect(codes(ticks(), { runtime: "python3.13" })).toEqual([])
  })
})

describe("scheduleHealth, for any schedule", () => {
  const someCase = fc.tuple(
    someSchedule,
    fc.record({
      now: someNow,
      recent: fc.array(someTask, { maxLength: 30 }),
      runtime: fc.constantFrom(undefined, "nodejs20.x", "nodejs24.x")
    })
  )

  it("never fails, and names a next instant only of what goes on, and only one that has not passed", () => {
    fc.assert(
      fc.property(someCase, ([schedule, about]) => {
        const { findings, healthy, nextAt } = scheduleHealth(schedule, about)
        for (const { sentence } of findings) expect(sentence).toMatch(/^["A-Z\d].*\.$/s)
        expect(healthy).toBe(!findings.some(({ severity }) => severity === "error"))
        if (schedule.status !== "Active") expect(nextAt).toBeUndefined()
        expect(nextAt ?? Infinity).toBeGreaterThanOrEqual(about.now)
      }),
      { numRuns: 1_000 }
    )
  })

  it("tells nothing of what was sent, answered, logged or said", () => {
    fc.assert(
      fc.property(someCase, ([schedule, about]) => {
        expect(JSON.stringify(scheduleHealth(schedule, about))).not.toContain(canary)
      }),
      { numRuns: 1_000 }
    )
  })
})

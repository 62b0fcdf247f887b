import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Task } from "../../src/domain/Task.ts"
import * as TaskLifecycle from "../../src/domain/TaskLifecycle.ts"
import type { TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import { automatic, noteEnd } from "../../src/policies/failures.ts"
import { anInstanceId, aSchedule, failed, occurrenceOf, retrying, succeeded, t0 } from "../support/builders.ts"

const me = anInstanceId()

const made = <A>(task: A | undefined): A => task ?? expect.fail("the transition was refused")

type End = "succeeded" | "failed" | "retrying" | "cancelled" | "skipped" | "expired"

/** An occurrence that has come to an end, or to a retry, at an instant. */
const ended = (schedule: TaskSchedule, end: End, at: number, origin = "schedule"): Task => {
  const claimed = made(TaskLifecycle.claim({ ...occurrenceOf(schedule, t0), origin }, me))
  const running = made(TaskLifecycle.start(claimed, me, claimed.token, t0))
  const why = { skipped: "overlap", range: undefined, note: undefined } as const
  switch (end) {
    case "succeeded":
      return made(TaskLifecycle.settle(running, me, succeeded(running, at)))
    case "failed":
      return made(TaskLifecycle.settle(running, me, failed(running, at)))
    case "retrying":
      return made(TaskLifecycle.settle(running, me, retrying(running, at + 10, { at })))
    case "cancelled":
      return made(TaskLifecycle.cancel(running, "task", at))
    case "skipped":
      return made(TaskLifecycle.skip(claimed, me, claimed.token, why, at))
    case "expired":
      return made(TaskLifecycle.expire(claimed, me, claimed.token, at))
  }
}

describe("noteEnd", () => {
  const counting = (fields: Partial<TaskSchedule> = {}) => aSchedule({ pauseAfterFailures: 3, ...fields })

  it("counts failures in a row, and pauses at the last that is borne", () => {
    let schedule = counting()
    for (const failures of [1, 2]) {
      schedule = noteEnd(schedule, ended(schedule, "failed", t0 + failures))
      expect(schedule).toMatchObject({ failures, pause: undefined, status: "Active" })
    }
    const last = ended(schedule, "failed", t0 + 3)
    schedule = noteEnd(schedule, last)
    expect(schedule).toMatchObject({
      failures: 3,
      status: "Active",
      pause: {
        since: t0 + 3,
        by: automatic,
        note: `3 failures in a row; the last is Task ${last.id}: FunctionError`
      }
    })
    expect(schedule.pause).not.toHaveProperty("until")
  })

  it("counts anew after a success", () => {
    const schedule = counting({ failures: 2 })
    expect(noteEnd(schedule, ended(schedule, "succeeded", t0))).toEqual({ ...schedule, failures: 0 })
    const fresh = counting()
    expect(noteEnd(fresh, ended(fresh, "succeeded", t0))).toBe(fresh)
  })

  it("learns nothing from what was cancelled, skipped, is tried again, or was asked for by hand", () => {
    const schedule = counting({ failures: 2 })
    for (const end of ["cancelled", "skipped", "retrying"] as const) {
      expect(noteEnd(schedule, ended(schedule, end, t0))).toBe(schedule)
    }
    for (const origin of ["manual:1", "backfill:1"]) {
      for (const end of ["succeeded", "failed"] as const) {
        expect(noteEnd(schedule, ended(schedule, end, t0, origin))).toBe(schedule)
      }
    }
  })

  it("counts what was too late, too", () => {
    const schedule = counting({ failures: 2 })
    expect(noteEnd(schedule, ended(schedule, "expired", t0)).pause?.note).toMatch(/: Expired$/)
  })

  it("does nothing where that was not asked for", () => {
    const schedule = aSchedule()
    for (const end of ["succeeded", "failed"] as const) {
      expect(noteEnd(schedule, ended(schedule, end, t0))).toBe(schedule)
    }
  })

  it("leaves a pause that holds as it is, and takes the place of one that is over", () => {
    const pause = { since: t0 - 10, until: t0 + 5, by: "ada" }
    const schedule = counting({ failures: 2, pause })
    expect(noteEnd(schedule, ended(schedule, "failed", t0 + 4))).toEqual({ ...schedule, failures: 3 })
    expect(noteEnd(schedule, ended(schedule, "failed", t0 + 5)).pause).toMatchObject({ since: t0 + 5, by: automatic })
  })

  it("does not pause what is over", () => {
    for (const status of ["Completed", "Cancelled"] as const) {
      const schedule = counting({ failures: 2, status })
      expect(noteEnd(schedule, ended(schedule, "failed", t0))).toEqual({ ...schedule, failures: 3 })
    }
  })

  it("pauses at once where no failure is borne", () => {
    const schedule = counting({ pauseAfterFailures: 1 })
    expect(noteEnd(schedule, ended(schedule, "failed", t0)).pause?.note).toMatch(/^1 failure in a row/)
  })

  it("pauses exactly when so many of the latest ends that tell something are failures", () => {
    const ends = fc.array(
      fc.constantFrom<End>("succeeded", "failed", "failed", "failed", "cancelled", "skipped", "retrying"),
      { maxLength: 40 }
    )
    fc.assert(
      fc.property(ends, fc.integer({ min: 1, max: 6 }), (ends, pauseAfterFailures) => {
        let schedule = counting({ pauseAfterFailures })
        const told: Array<End> = []
        for (const [index, end] of ends.entries()) {
          schedule = noteEnd(schedule, ended(schedule, end, t0 + index))
          if (end === "succeeded" || end === "failed") told.push(end)
          const row = told.length - 1 - told.lastIndexOf("succeeded")
          expect(schedule.failures).toBe(row)
          expect(schedule.pause !== undefined).toBe(row >= pauseAfterFailures)
          if (schedule.pause !== undefined) return
        }
      }),
      { numRuns: 500, seed: 1_202 }
    )
  })
})

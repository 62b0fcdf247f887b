/** What holds for every Task, every instant and whatever is known around them. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Task } from "../../src/domain/Task.ts"
import type { Explanation, ExplanationState, TaskSituation } from "../../src/policies/explain.ts"
import { explainInstant, explainTask } from "../../src/policies/explain.ts"
import { canary, instant, someNow, someSchedule, someTask, someTaskAbout } from "./someTasks.ts"

const runs = { numRuns: 3_000 }

const states: Readonly<Record<Task["status"], ReadonlyArray<ExplanationState>>> = {
  Scheduled: ["waiting", "planned"],
  Running: ["running"],
  Succeeded: ["succeeded"],
  Failed: ["failed"],
  Cancelled: ["cancelled"],
  Skipped: ["skipped"]
}

/** A sentence that can be read out, with nothing in it that was left out or cannot be said. */
const isReadable = ({ facts, sentence }: Explanation): void => {
  expect(sentence).toMatch(/^["A-Z].*\S$/s)
  expect(sentence).not.toMatch(/undefined|null|NaN|Infinity|\[object|Invalid| {2}|\.\.|,,/)
  for (const value of Object.values(facts)) {
    expect(typeof value === "string" || Number.isFinite(value)).toBe(true)
  }
}

/** Names, notes and zones are a caller's own text: they may contain what a sentence of ours would not. */
const withPlainTexts = ([task, about]: readonly [Task, TaskSituation]): readonly [Task, TaskSituation] => {
  const plain = (pause: TaskSituation["pauses"]["all"]) => pause && { ...pause, note: "month end" }
  const { pauses, schedule } = about
  return [
    { ...task, name: "hello", function: { ...task.function, name: "hello" } },
    {
      ...about,
      pauses: { function: plain(pauses.function), all: plain(pauses.all) },
      schedule: schedule && { ...schedule, name: "hello", pause: plain(schedule.pause) }
    }
  ]
}

describe("explainTask, for any Task", () => {
  it("always has something to say, that can be read", () => {
    fc.assert(
      fc.property(someTaskAbout.map(withPlainTexts), ([task, about]) => isReadable(explainTask(task, about))),
      runs
    )
  })

  it("does not fail for any text", () => {
    fc.assert(
      fc.property(someTaskAbout, ([task, about]) => {
        expect(explainTask(task, about).sentence).not.toBe("")
      }),
      runs
    )
  })

  it("tells of the state that the Task is in", () => {
    fc.assert(
      fc.property(someTaskAbout, ([task, about]) => {
        const { state, taskId } = explainTask(task, about)
        expect(states[task.status]).toContain(state)
        expect(taskId).toBe(task.id)
      }),
      runs
    )
  })

  it("names no next instant that has passed, and none of what is over or runs", () => {
    fc.assert(
      fc.property(someTaskAbout, ([task, about]) => {
        const { nextAt, state } = explainTask(task, about)
        if (state === "waiting" || state === "planned") expect(nextAt ?? Infinity).toBeGreaterThanOrEqual(about.now)
        else expect(nextAt).toBeUndefined()
      }),
      runs
    )
  })

  it("is planned only before it is due, and names no instant before that", () => {
    fc.assert(
      fc.property(someTaskAbout, ([task, about]) => {
        const { nextAt, state } = explainTask(task, about)
        if (state !== "planned") return
        expect(task.dueAt).toBeGreaterThan(about.now)
        expect(nextAt ?? Infinity).toBeGreaterThanOrEqual(task.dueAt)
      }),
      runs
    )
  })

  it("tells nothing of what was sent, answered, logged or said", () => {
    fc.assert(
      fc.property(someTaskAbout, ([task, about]) => {
        expect(JSON.stringify(explainTask(task, about))).not.toContain(canary)
      }),
      runs
    )
  })
})

describe("explainInstant, for any schedule", () => {
  const seen = (task: Task): Explanation => ({
    state: "succeeded",
    rule: "ran",
    sentence: "It ran.",
    taskId: task.id,
    nextAt: undefined,
    facts: {}
  })

  /** A schedule and an instant, often one that its rule names or its cursor. */
  const someCase = fc.tuple(someSchedule, someNow, fc.option(someTask, { nil: undefined }), instant, fc.nat(3))
    .map(([schedule, now, latest, asked, which]) => {
      const at = which === 0 ? schedule.cursor : asked
      return {
        schedule,
        at,
        about: {
          now,
          latest: latest && { ...latest, nominalAt: Math.min(latest.nominalAt, at) },
          taskExplanation: seen
        }
      }
    })

  it("always has something to say, and tells nothing of payloads", () => {
    fc.assert(
      fc.property(someCase, ({ about, at, schedule }) => {
        const told = explainInstant(schedule, at, about)
        expect(told.sentence).not.toBe("")
        expect(JSON.stringify(told)).not.toContain(canary)
        expect(told.sentence).not.toMatch(/undefined|NaN|Infinity|\[object/)
      }),
      runs
    )
  })

  it("names a next instant only where it has not passed, of what is planned", () => {
    fc.assert(
      fc.property(someCase, ({ about, at, schedule }) => {
        const { nextAt, state } = explainInstant(schedule, at, about)
        if (nextAt === undefined) return
        expect(state).toBe("planned")
        expect(nextAt).toBeGreaterThan(about.now)
        expect(nextAt).toBeGreaterThanOrEqual(at)
      }),
      runs
    )
  })

  it("leaves it to the occurrence's own Task, where there is one", () => {
    fc.assert(
      fc.property(someCase, someTask, ({ about, at, schedule }, task) => {
        const own = { ...task, nominalAt: at }
        expect(explainInstant(schedule, at, { ...about, latest: own })).toEqual(seen(own))
      }),
      { numRuns: 300 }
    )
  })
})

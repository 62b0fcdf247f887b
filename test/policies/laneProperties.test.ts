/** What holds of a schedule's occurrences whatever happens in whatever order. A failure names its seed. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { placesToWait } from "../../src/domain/Overlap.ts"
import type { Overlap } from "../../src/domain/Overlap.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { isByRule } from "../../src/domain/Task.ts"
import type { Task } from "../../src/domain/Task.ts"
import type { TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import { isAtCursor, pausedUntil } from "../../src/domain/TaskSchedule.ts"
import type { EpochMillis } from "../../src/domain/Time.ts"
import { anInstanceId, aSchedule, aTask, t0 } from "../support/builders.ts"
import type { Held, Marked } from "./laneModel.ts"
import { LaneModel } from "./laneModel.ts"

const me = anInstanceId()
const interval = 10

const events = ["claim", "mark", "succeed", "fail", "retry", "cancel", "manual", "pause", "resume", "edit"] as const

const aStep = fc.record({
  event: fc.constantFrom(
    ...events,
    ...Array.from({ length: 5 }, () => "claim" as const),
    ...Array.from({ length: 7 }, () => "mark" as const),
    "succeed",
    "succeed",
    "resume",
    "resume",
    "manual"
  ),
  /** Which of those that it may happen to. */
  which: fc.noBias(fc.nat(1_000)),
  elapsed: fc.noBias(fc.oneof({ weight: 8, arbitrary: fc.nat(8) }, { weight: 1, arbitrary: fc.nat(120) })),
  /** Whether a mark is sent once more later on. */
  again: fc.integer({ min: 0, max: 9 }).map((chance) => chance === 0)
})
type Step = typeof aStep extends fc.Arbitrary<infer A> ? A : never

const fields = fc.record({
  recurrence: fc.constantFrom<TaskSchedule["recurrence"]>(
    { _tag: "Fixed", v: 2, interval, anchor: t0 },
    { _tag: "Fixed", v: 2, interval, anchor: t0 },
    { _tag: "Fixed", v: 2, interval, anchor: t0, until: t0 + 25 * interval },
    { _tag: "Spaced", v: 2, interval }
  ),
  catchUp: fc.constantFrom<TaskSchedule["catchUp"]>(
    { policy: "latest" },
    { policy: "skip", window: 12 },
    { policy: "all", max: 3 },
    { policy: "all" },
    { policy: "all", window: 35 }
  ),
  maxRuns: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined, freq: 1 }),
  deadline: fc.option(fc.constantFrom(5, 40, 400), { nil: undefined, freq: 1 })
}).map(({ catchUp, deadline, maxRuns, recurrence }) => ({
  recurrence,
  catchUp,
  maxRuns,
  retry: deadline === undefined ? defaultRetryPolicy : { ...defaultRetryPolicy, deadline }
}))

const overlaps: ReadonlyArray<Overlap> = [
  { policy: "skip" },
  { policy: "bufferOne" },
  { policy: "bufferAll", max: 1 },
  { policy: "bufferAll", max: 3 },
  { policy: "bufferAll" },
  { policy: "cancelOther" },
  { policy: "allowAll" }
]

const byNominal = (one: Task, other: Task) => one.nominalAt - other.nominalAt || (one.id < other.id ? -1 : 1)

/** Those by the rule that have begun. */
const runsOf = (model: LaneModel) =>
  [...model.tasks.values()].filter((task) => isByRule(task) && task.attempts.length > 0)

/** Nominal instants of which something tells: an occurrence, or a record. */
const toldOf = (model: LaneModel): ReadonlyArray<EpochMillis> =>
  [...model.stored.map(({ id }) => model.tasks.get(id) as Task), ...model.passed].flatMap((task) =>
    task.status === "Skipped" && task.range !== undefined
      ? Array.from({ length: task.range.count }, (_, index) => task.nominalAt + index * interval)
      : [task.nominalAt]
  )

const checkMark = (model: LaneModel, { claimedAt, token }: Held, marked: Marked, now: EpochMillis): void => {
  const { before, begun, others, schedule, successor } = marked
  const isFirstByRule = isByRule(before) && before.attempts.length === 0
  const isPaused = isFirstByRule && pausedUntil(schedule, now) !== undefined
  if (begun === undefined) {
    // Refused, and nothing has changed.
    expect(model.tasks.get(before.id)).toBe(before)
    expect(model.schedule).toBe(schedule)
    expect(before.token !== token || before.owner !== me || successor?.revision !== schedule.revision).toBe(true)
    return
  }
  const { status } = begun.task
  if (isFirstByRule) expect(successor?.revision).toBe(schedule.revision)
  if (isPaused) expect(["Scheduled", "Failed"]).toContain(status)
  if (before.attempts.length > 0) expect(["Running", "Failed"]).toContain(status)
  if (status === "Running" && before.attempts.length === 0) {
    const { policy } = schedule.overlap
    if (policy === "skip" || policy.startsWith("buffer")) expect(others.underWay).toBe(0)
    expect(begun.replaces).toBe(policy === "cancelOther" && others.underWay > 0)
    // Whoever waits longer goes first, unless the schedule is paused.
    const earlier = [...model.waiting].map((id) => model.tasks.get(id) as Task)
      .filter((task) => byNominal(task, before) < 0 && !(isByRule(task) && pausedUntil(schedule, now) !== undefined))
    expect(earlier).toEqual([])
  }
  if (status === "Running" && isFirstByRule && schedule.recurrence._tag !== "Spaced" && isAtCursor(schedule, before)) {
    // What fell into a pause, of which whoever plans could know, is not made up for.
    const over = model.pauses.filter(({ until = Infinity }) => until <= claimedAt)
    expect(over.filter(({ since, until = Infinity }) => before.nominalAt >= since && before.nominalAt < until)).toEqual(
      []
    )
  }
  if (schedule.overlap.policy === "allowAll") {
    const isSkippedByOverlap = begun.task.status === "Skipped" && begun.task.skipped === "overlap"
    expect(isSkippedByOverlap).toBe(false)
    if (!isPaused) expect(status).not.toBe("Scheduled")
  }
}

const checkModel = (model: LaneModel): void => {
  const { cursor, maxRuns, missed, overlap, recurrence, runs, status } = model.schedule
  // I08: one at a time, where they are not to run beside each other.
  if (overlap.policy !== "allowAll") expect(model.underWay.length).toBeLessThanOrEqual(1)
  const waiting = Array.from(model.waiting, (id) => model.tasks.get(id) as Task)
  const places = placesToWait(overlap)
  // Of each kind: what is late, or paused, may find that others have come before it although it is to start before them.
  expect(waiting.filter(isByRule).length).toBeLessThanOrEqual(places)
  expect(waiting.filter((task) => !isByRule(task)).length).toBeLessThanOrEqual(places)
  // As many runs as have begun and are yet to begin, and never too many.
  const begun = runsOf(model).length
  expect(begun).toBeLessThanOrEqual(runs)
  expect(runs).toBeLessThanOrEqual(maxRuns ?? Infinity)
  // Each is followed once: none twice, and by the next.
  const nominals = model.stored.map(({ nominalAt }) => nominalAt)
  expect(nominals).toEqual([...new Set(nominals)].sort((one, other) => one - other))
  expect(nominals.at(-1)).toBe(cursor)
  // A schedule that goes on has one that is yet to be followed.
  const atCursor = model.stored.map(({ id }) => model.tasks.get(id) as Task).filter(({ nominalAt }) =>
    nominalAt === cursor
  )
  if (status === "Active") {
    expect(atCursor.map(({ status }) => status === "Scheduled" || status === "Running")).toEqual([true])
    if (recurrence._tag === "Fixed") expect(atCursor[0]?.attempts).toEqual([])
  } else expect(status).toBe("Completed")
  if (recurrence._tag === "Spaced") return
  // Everything that its rule has named is told of, once.
  const told = [...toldOf(model)].sort((one, other) => one - other)
  const expected = Array.from({ length: told.length }, (_, index) => t0 + index * interval)
  expect(told).toEqual(expected)
  if (status === "Active") expect(told.at(-1)).toBe(cursor)
  const isMissed = (task: Task) => task.status === "Skipped" && task.skipped !== "overlap" && task.skipped !== "paused"
  const counted = [...model.tasks.values(), ...model.passed].filter(isMissed)
    .reduce((sum, task) => sum + (task.status === "Skipped" ? task.range?.count ?? 1 : 0), 0)
  expect(missed).toBe(counted)
}

/** @param note told of what has happened, to see that enough has */
const run = (schedule: TaskSchedule, steps: ReadonlyArray<Step>, note: (what: string) => void): void => {
  const model = new LaneModel(schedule, me)
  const held: Array<Held> = []
  let now = t0
  for (const { again, elapsed, event, which } of steps) {
    now += elapsed
    const among = <A>(these: ReadonlyArray<A>): A | undefined => these[which % Math.max(1, these.length)]
    switch (event) {
      case "claim": {
        const task = among(model.claimable(now))
        if (task !== undefined) held.push(model.claim(task, now))
        break
      }
      case "mark": {
        const mark = among(held)
        if (mark === undefined) break
        if (!again) held.splice(held.indexOf(mark), 1)
        const marked = model.mark(mark, now)
        if (marked === undefined) break
        const task = marked.begun?.task
        note(task === undefined ? "refused" : task.status === "Skipped" ? `Skipped: ${task.skipped}` : task.status)
        if (marked.begun?.replaces === true) note("replaces")
        for (const record of marked.begun?.followed?.passed ?? []) note(`Record: ${record.skipped}`)
        checkMark(model, mark, marked, now)
        if (task === undefined && marked.before.token === mark.token) model.release(mark.id, now)
        break
      }
      case "succeed":
      case "fail":
      case "retry": {
        const task = among(model.live.filter(({ status }) => status === "Running"))
        if (task !== undefined) model.end(task, event, now)
        break
      }
      case "cancel": {
        const task = among(model.live)
        if (task !== undefined) model.cancel(task, now)
        break
      }
      case "manual":
        model.insert(
          aTask({
            scheduleId: schedule.id,
            origin: `manual:${now}`,
            createdAt: now,
            dueAt: now,
            retry: schedule.retry
          })
        )
        break
      case "pause":
        model.pause(which % 2 === 0 ? undefined : now + 1 + which % 60, now)
        break
      case "resume":
        model.resume(now)
        break
      case "edit":
        model.edit()
        break
    }
    checkModel(model)
  }
  note(model.schedule.status)
}

/** What comes of a policy besides. */
const perPolicy: Record<Overlap["policy"], ReadonlyArray<string>> = {
  skip: ["Skipped: overlap"],
  bufferOne: ["Skipped: overlap"],
  bufferAll: [],
  cancelOther: ["replaces"],
  allowAll: []
}

describe("a schedule's occurrences", () => {
  for (const overlap of overlaps) {
    const name = `${overlap.policy}${overlap.max === undefined ? "" : ` of ${overlap.max}`}`
    it(`${name}: begin one at a time or as they may, are followed once, and all are told of`, () => {
      const seen = new Map<string, number>()
      const note = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
      fc.assert(
        fc.property(fields, fc.noBias(fc.array(aStep, { maxLength: 150, size: "max" })), (fields, steps) => {
          run(aSchedule({ ...fields, overlap }), steps, note)
        }),
        { numRuns: 250, seed: 20_270_808 }
      )
      // A run that did not come to all of these would show too little.
      const usual = ["Running", "Failed", "refused", "Active", "Completed", "Skipped: catchUp", "Skipped: cap"]
      for (const what of [...usual, "Scheduled", "Skipped: window", "Skipped: paused", ...perPolicy[overlap.policy]]) {
        expect([what, (seen.get(what) ?? 0) > 3]).toEqual([what, true])
      }
    })
  }
})

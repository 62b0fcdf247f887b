/** What holds of a schedule's occurrences whatever happens in whatever order. A failure names its seed. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { placesToWait } from "../../src/domain/Overlap.ts"
import type { Overlap } from "../../src/domain/Overlap.ts"
import type { Pause } from "../../src/domain/Pause.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { isByRule, isLive } from "../../src/domain/Task.ts"
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
const someSteps = fc.noBias(fc.array(aStep, { maxLength: 150, size: "max" }))
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

/** How many by the rule have begun. */
const runsOf = (model: LaneModel): number =>
  model.stored.filter(({ id }) => model.tasks.get(id)?.attempts.length !== 0).length

/** Nominal instants of which something tells: an occurrence, or a record. */
const toldOf = (model: LaneModel): ReadonlyArray<EpochMillis> =>
  [...model.stored.map(({ id }) => model.tasks.get(id) as Task), ...model.passed].flatMap((task) =>
    task.status === "Skipped" && task.range !== undefined
      ? Array.from({ length: task.range.count }, (_, index) => task.nominalAt + index * interval)
      : [task.nominalAt]
  )

/** What has been broken, in words; asked after every step, and too often for an assertion each. */
type Broken = ReadonlyArray<string | false>

/** By-rule occurrences wait for the end of a pause. */
const isPausedNow = (schedule: TaskSchedule, task: Task, now: EpochMillis): boolean =>
  isByRule(task) && pausedUntil(schedule, now) !== undefined

/** Of a mark that was refused. */
const brokenByRefusal = (model: LaneModel, { token }: Held, { before, schedule, successor }: Marked): Broken => [
  (model.tasks.get(before.id) !== before || model.schedule !== schedule) && "a refused mark changes nothing",
  before.token === token && successor?.revision === schedule.revision && "no mark is refused without a reason"
]

/** Of one that was accepted. */
const brokenByMark = (
  model: LaneModel,
  { before, begun, others, schedule, successor }: Marked,
  now: EpochMillis
): Broken => {
  if (begun === undefined) return []
  const { policy } = schedule.overlap
  const { status } = begun.task
  const isFirst = before.attempts.length === 0
  const isPaused = isFirst && isPausedNow(schedule, before, now)
  const startsAnew = isFirst && status === "Running"
  const isEarlier = (id: Task["id"]) => {
    const task = model.tasks.get(id) as Task
    return byNominal(task, before) < 0 && !isPausedNow(schedule, task, now)
  }
  return [
    isFirst && (isByRule(before) || successor !== undefined) && successor?.revision !== schedule.revision &&
    "planned under another revision",
    isPaused && status !== "Scheduled" && status !== "Failed" && "nothing starts or is told of while it is paused",
    !isFirst && status !== "Running" && status !== "Failed" && "a later attempt starts, or is too late",
    startsAnew && (policy === "skip" || policy.startsWith("buffer")) && others.underWay > 0 && "starts beside another",
    begun.replaces !== (startsAnew && policy === "cancelOther" && others.underWay > 0) && "replaces those under way",
    startsAnew && [...model.waiting].some(isEarlier) && "whoever waits longer goes first",
    begun.task.status === "Skipped" && begun.task.skipped === "overlap" && policy === "allowAll" && "allowAll skips",
    status === "Scheduled" && !isPaused && !policy.startsWith("buffer") && "waits where nobody waits"
  ]
}

/** What fell into a pause is not made up for by who could know of that pause. */
const brokenByPause = (model: LaneModel, { claimedAt }: Held, { before, begun, schedule }: Marked): Broken => {
  const isMadeUp = begun?.task.status === "Running" && before.attempts.length === 0 && isAtCursor(schedule, before)
  if (!isMadeUp || schedule.recurrence._tag === "Spaced") return []
  const isIn = ({ since, until = Infinity }: Pause) =>
    until <= claimedAt && before.nominalAt >= since && before.nominalAt < until
  return [model.pauses.some(isIn) && "what fell into a pause is made up for"]
}

/** Of what there is after a step. */
const brokenIn = (model: LaneModel): Broken => {
  const { cursor, maxRuns, missed, overlap, recurrence, runs, status } = model.schedule
  const waiting = Array.from(model.waiting, (id) => model.tasks.get(id) as Task)
  const places = placesToWait(overlap)
  const waitByRule = waiting.filter(isByRule).length
  const last = model.stored.at(-1)
  const atCursor = last && model.tasks.get(last.id)
  const told = [...toldOf(model)].sort((one, other) => one - other)
  const isMissed = (task: Task) => task.status === "Skipped" && task.skipped !== "overlap" && task.skipped !== "paused"
  const countOf = (task: Task) => task.status === "Skipped" ? task.range?.count ?? 1 : 0
  const records = [...model.tasks.values(), ...model.passed].filter(isMissed)
  return [
    overlap.policy !== "allowAll" && model.underWay.length > 1 && "I08: two are under way at once",
    // Of each kind: what is late, or paused, may find that others have come before it although it goes first.
    waitByRule > places && "more wait than may",
    waiting.length - waitByRule > places && "more that were asked for by hand wait than may",
    // What waits is counted already: no more are stored than are to run.
    runsOf(model) > runs && "a run is not counted",
    runs > (maxRuns ?? Infinity) && "more runs than there may be",
    model.stored.some(({ nominalAt }, index) => nominalAt <= (model.stored[index - 1]?.nominalAt ?? -Infinity)) &&
    "one is followed twice, or by an earlier one",
    last?.nominalAt !== cursor && "the cursor is not at the last that was stored",
    // A schedule that goes on has one that is yet to be followed.
    status === "Active" && !(atCursor !== undefined && isLive(atCursor)) && "it goes on, but nothing does",
    status === "Active" && recurrence._tag !== "Spaced" && atCursor?.attempts.length !== 0 && "begun and not followed",
    status === "Cancelled" && "nobody has cancelled it",
    ...(recurrence._tag === "Spaced" ? [] : [
      told.some((at, index) => at !== t0 + index * interval) && "not told of each that its rule names, once",
      status === "Active" && told.at(-1) !== cursor && "told of more than it has come to",
      records.reduce((sum, task) => sum + countOf(task), 0) !== missed && "missed is not what the records say"
    ])
  ]
}

const expectWhole = (broken: Broken): void => {
  const found = broken.filter((each) => each !== false)
  if (found.length > 0) expect.fail(found.join("; "))
}

/**
 * @param note told of what has happened, to see that enough has
 * @param isStrict also looks at what fell into a pause
 */
const run = (
  schedule: TaskSchedule,
  steps: ReadonlyArray<Step>,
  note: (what: string) => void,
  isStrict = false
): void => {
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
        expectWhole(
          task === undefined ? brokenByRefusal(model, mark, marked) : brokenByMark(model, marked, now)
        )
        if (isStrict) expectWhole(brokenByPause(model, mark, marked))
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
    expectWhole(brokenIn(model))
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
        fc.property(fields, someSteps, (fields, steps) => run(aSchedule({ ...fields, overlap }), steps, note)),
        { numRuns: 500, seed: 20_270_808 }
      )
      // A run that did not come to all of these would show too little.
      const usual = ["Running", "Failed", "refused", "Active", "Completed", "Skipped: catchUp", "Skipped: cap"]
      for (const what of [...usual, "Scheduled", "Skipped: window", "Skipped: paused", ...perPolicy[overlap.policy]]) {
        expect([what, (seen.get(what) ?? 0) > 3]).toEqual([what, true])
      }
    })
  }

  // It takes that a pause is not forgotten before what fell into it is told of.
  it("that fell into a pause are not made up for", () => {
    fc.assert(
      fc.property(
        fields,
        fc.constantFrom(...overlaps),
        someSteps,
        (fields, overlap, steps) => run(aSchedule({ ...fields, overlap }), steps, () => {}, true)
      ),
      { numRuns: 1_000, seed: 20_270_809 }
    )
  })
})

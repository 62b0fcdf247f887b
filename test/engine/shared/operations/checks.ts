/** What must hold of schedules, their Tasks and the log of invocations, whatever has been asked for. */
import { assert } from "@effect/vitest"
import type { EpochMillis, SkippedTask, Task, TaskId, TaskSchedule, TaskScheduleId } from "../../../../src/index.ts"
import { iso } from "../stage.ts"
import type { Era, Grid, Model, ScheduleModel } from "./model.ts"
import {
  beginOf,
  countIn,
  endOf,
  eraOf,
  fateOf,
  isByRule,
  isLive,
  isNamed,
  laneOf,
  mustNotBegin,
  numberOf,
  pauseAt,
  placesOf,
  policyOf
} from "./model.ts"

/** An invocation as the function itself has seen it. */
export interface Call {
  readonly taskId: TaskId
  readonly attempt: number
  readonly fn: string
  readonly payload: unknown
  readonly at: EpochMillis
  /** `Infinity` while it lives. */
  endedAt: EpochMillis
  outcome: string
  /** Which of the processes, counted from 0, has made it. */
  readonly by: number
}

/** All there is at an instant at which nothing more is going to happen. */
export interface Seen {
  readonly now: EpochMillis
  readonly tasks: ReadonlyMap<TaskId, Task>
  readonly schedules: ReadonlyMap<TaskScheduleId, TaskSchedule>
  readonly calls: ReadonlyArray<Call>
  /** The process that is there now. */
  readonly by: number
}

export interface Checked {
  readonly model: Model
  readonly before: Seen
  readonly seen: Seen
  /** Told of what has happened, to see that enough has. */
  readonly note: (what: string) => void
}

export const told = (task: Task): string =>
  `${task.origin?.split(":")[0]} ${iso(task.nominalAt)} (${task.status}${
    task.status === "Skipped" ? ` for ${task.skipped}` : ""
  }${task.status === "Cancelled" ? ` by ${task.cancelledBy}` : ""}, attempts ${
    task.attempts.map(({ ended, startedAt }) =>
      `${iso(startedAt)}-${ended === undefined ? "" : `${iso(ended.at)} ${ended.outcome}`}`
    ).join(", ")
  }, claimable ${task.claimableAt < 8e15 ? iso(task.claimableAt) : "never"}${task.owner === undefined ? "" : ", owned"})`

const tasksOf = ({ tasks }: Seen, { id }: ScheduleModel): ReadonlyArray<Task> =>
  [...tasks.values()].filter(({ scheduleId }) => scheduleId === id)

/** Those of which the end is new, in the order of their ends. */
const newlyEnded = ({ before, seen }: Checked): ReadonlyArray<Task> =>
  [...seen.tasks.values()]
    .filter((task) => !isLive(task) && isLive(before.tasks.get(task.id) ?? { ...task, status: "Scheduled" }))
    .sort((one, other) => endOf(one) - endOf(other))

const newlyBegun = ({ before, seen }: Checked): ReadonlyArray<Task> =>
  [...seen.tasks.values()].filter((task) =>
    task.attempts.length > 0 && (before.tasks.get(task.id)?.attempts.length ?? 0) === 0
  )

/** What has ended is final; histories only grow; nothing disappears (I01, I19, I20). */
const checkHistories = ({ before, seen }: Checked): void => {
  for (const [id, earlier] of before.tasks) {
    const task = seen.tasks.get(id) ?? assert.fail(`I01: ${told(earlier)} is lost`)
    if (!isLive(earlier)) assert.deepStrictEqual(task, earlier, "I19: what has ended is final")
    const ended = earlier.attempts.filter((attempt) => attempt.ended !== undefined)
    assert.deepStrictEqual(task.attempts.slice(0, ended.length), ended, "I19: history is not rewritten")
  }
  for (const task of seen.tasks.values()) {
    assert.deepStrictEqual(task.attempts.map(({ number }) => number), task.attempts.map((_, index) => index + 1), "I19")
    const spent = task.attempts.filter(({ ended }) => ended?.outcome !== "notSent").length
    assert.isAtMost(spent, task.retry.maxAttempts, `I12: ${told(task)}`)
    if (task.status === "Cancelled" && task.attempts.length > 0) {
      assert.isDefined(task.attempts.at(-1)?.ended, `I19: ${told(task)}`)
    }
  }
}

/** Failures in a row pause a schedule by themselves, and nothing else does. */
const checkFailures = (checked: Checked): void => {
  const { model, note, seen } = checked
  for (const task of newlyEnded(checked)) {
    const schedule = model.of(task.scheduleId)
    if (schedule?.pauseAfter === undefined || !isByRule(task)) continue
    if (task.status === "Succeeded") schedule.failures = 0
    if (task.status !== "Failed") continue
    schedule.failures++
    const stored = seen.schedules.get(schedule.id)
    const isEnough = schedule.failures >= schedule.pauseAfter && stored?.status === "Active"
    if (!isEnough || pauseAt(schedule, endOf(task)) !== undefined) continue
    notePause(schedule, endOf(task), Infinity, stored)
    note("paused by itself")
  }
}

/** Of two pauses that follow each other before anything tells of the first, only the second is remembered. */
export const notePause = (
  schedule: ScheduleModel,
  since: EpochMillis,
  until: EpochMillis,
  stored: TaskSchedule | undefined
): void => {
  const before = schedule.pauses.at(-1)
  if (before !== undefined && stored !== undefined && eraOf(schedule).rule._tag === "Grid" && stored.cursor < before.until) {
    schedule.blurred.push({ since: Math.min(stored.cursor, before.since), until: since })
  }
  schedule.pauses.push({ since, until })
}

/** What has been invoked might be. */
const checkCalls = (checked: Checked): void => {
  const { before, model, note, seen } = checked
  for (const [index, call] of seen.calls.entries()) {
    const task = seen.tasks.get(call.taskId) ?? assert.fail(`I02: nobody has asked for ${call.taskId}`)
    const schedule = model.of(task.scheduleId) ?? assert.fail(`I02: no schedule of ${told(task)}`)
    const what = `${schedule.number}: ${told(task)}, attempt ${call.attempt} at ${iso(call.at)}`
    if (call.endedAt === Infinity && call.by === seen.by && seen.now >= model.unsettledUntil) {
      assert.strictEqual(task.status, "Running", `${what} still runs`)
      assert.strictEqual(task.attempts.length, call.attempt, `${what} still runs`)
    }
    if (index < before.calls.length) continue
    assert.isFalse(
      seen.calls.slice(0, index).some(({ attempt, taskId }) => attempt === call.attempt && taskId === call.taskId),
      `I07: ${what} was sent twice`
    )
    const notBefore = task.attempts[call.attempt - 2]?.ended?.at ?? task.nominalAt
    assert.isAtLeast(call.at, notBefore, `I05: ${what} was early`)
    assert.isFalse(model.mustNotCall(call.fn, call.at), `${what}: its function is paused`)
    const cancelledAt = model.cancelled.get(task.id)
    if (cancelledAt !== undefined) assert.isAtMost(call.at, cancelledAt, `I10: ${what} after it was cancelled`)
    if (schedule.ended !== undefined) assert.isAtMost(call.at, schedule.ended.at, `I10: ${what} after its schedule ended`)
    if (call.attempt > 1) {
      note(`attempt ${call.attempt}`)
      if (pauseAt(schedule, call.at) !== undefined) note("a retry in a pause")
      continue
    }
    if (isByRule(task)) {
      assert.isFalse(mustNotBegin(schedule, call.at), `${what}: its schedule is paused`)
      assert.deepStrictEqual(call.payload, payloadOf(schedule), `${what} has an old payload`)
      assert.strictEqual(call.fn, schedule.fn, `${what} is of another function`)
      continue
    }
    if (pauseAt(schedule, call.at) !== undefined) note(`${task.origin?.split(":")[0]} run in a pause`)
    const manual = model.manual.get(task.id)
    const backfill = model.backfills.find(({ id }) => task.origin === `backfill:${id}`)
    assert.deepStrictEqual(call.payload, (manual ?? backfill)?.payload, what)
  }
}

export const payloadOf = ({ number, version }: ScheduleModel) => ({ schedule: number, version })

/** I08: who has begun beside others might, and whose turn it was. */
const checkTurns = (checked: Checked): void => {
  const { model, note, seen } = checked
  const all = [...seen.tasks.values()]
  for (const task of newlyBegun(checked)) {
    const schedule = model.of(task.scheduleId) as ScheduleModel
    const overlap = task.overlap ?? schedule.overlap
    const policy = policyOf(overlap)
    const at = beginOf(task)
    const others = all.filter((other) => other.id !== task.id && laneOf(other) === laneOf(task))
    const underWay = others.filter((other) => beginOf(other) <= at && at < endOf(other))
    const what = `I08: ${schedule.number}: ${told(task)} by ${policy} beside ${underWay.map(told).join("; ")}`
    const backfill = model.backfills.find(({ id }) => task.origin === `backfill:${id}`)
    if (backfill !== undefined) {
      assert.isBelow(underWay.length, backfill.concurrency, what)
      if (beginOf(task) > task.createdAt) note("a backfill waited")
      for (const other of others) {
        if (other.nominalAt < task.nominalAt && endOf(other) > at) {
          assert.isAtMost(beginOf(other), at, `in order: ${told(other)} before ${told(task)}`)
        }
      }
      continue
    }
    if (policy === "allowAll") {
      if (underWay.length > 0) note("ran beside another")
      continue
    }
    // What came after it in the same moment is judged by its own policy.
    const judged = underWay.filter((other) =>
      beginOf(other) < at || !["allowAll", "cancelOther"].includes(policyOf(other.overlap ?? schedule.overlap))
    )
    assert.deepStrictEqual(judged.map(told), [], what)
    if (policy === "cancelOther") continue
    if (placesOf(overlap) === 0) continue
    if (at > task.dueAt && task.attempts.length === 1) note("waited for its turn")
    for (const other of others) {
      const isEarlier = other.nominalAt < task.nominalAt && other.createdAt <= at && beginOf(other) > at && endOf(other) > at
      if (!isEarlier || (isByRule(other) && pauseAt(schedule, at) !== undefined)) continue
      assert.fail(`in order: ${schedule.number}: ${told(task)} before ${told(other)}`)
    }
  }
  // Live at once, as the functions see it: a run that has been replaced has ended by then.
  for (const call of seen.calls.slice(checked.before.calls.length)) {
    const task = seen.tasks.get(call.taskId) as Task
    const schedule = model.of(task.scheduleId) as ScheduleModel
    const lane = laneOf(task)
    const backfill = model.backfills.find(({ id }) => task.origin === `backfill:${id}`)
    const most = backfill?.concurrency ?? (schedule.policies.has("allowAll") ? Infinity : 1)
    const live = seen.calls.filter((other) =>
      other.by === call.by && other.at <= call.at && call.at < other.endedAt && other.taskId !== call.taskId &&
      laneOf(seen.tasks.get(other.taskId) as Task) === lane
    )
    // Of those that have begun in the same moment one was the first.
    const earlier = live.filter((other) => other.at < call.at || seen.calls.indexOf(other) < seen.calls.indexOf(call))
    assert.isBelow(earlier.length, most, `I08: ${schedule.number}: live at once at ${iso(call.at)}: ${told(task)}`)
  }
}

/** What has been skipped had to be. */
const checkSkips = (checked: Checked): void => {
  const { model, note, seen } = checked
  for (const task of newlyEnded(checked)) {
    if (task.status === "Cancelled" && task.cancelledBy === "overlap") note("replaced")
    if (task.status !== "Skipped") continue
    const schedule = model.of(task.scheduleId) as ScheduleModel
    const what = `${schedule.number}: ${told(task)} at ${iso(task.finishedAt)}`
    assert.lengthOf(task.attempts, 0, what)
    if (task.skipped === "overlap") {
      const overlap = task.overlap ?? schedule.overlap
      assert.include(["skip", "bufferOne", "bufferAll"], policyOf(overlap), what)
      const others = [...seen.tasks.values()].filter((other) => other.id !== task.id && laneOf(other) === laneOf(task))
      const at = task.finishedAt
      const underWay = others.filter((other) => beginOf(other) <= at && at <= endOf(other) && other.attempts.length > 0)
      const waiting = others.filter((other) =>
        other.createdAt <= at && other.nominalAt <= task.nominalAt && beginOf(other) >= at && endOf(other) >= at
      )
      if (policyOf(overlap) === "skip") assert.isNotEmpty(underWay, `${what}: nothing was under way`)
      else assert.isAtLeast(waiting.length, placesOf(overlap), `${what}: there was a place to wait`)
      note(`skipped for ${task.skipped} by ${policyOf(overlap)}`)
      continue
    }
    note(`${task.range === undefined ? "record" : "range"} of ${task.skipped}`)
    assert.isTrue(isByRule(task), `${what}: only what the rule names is passed over`)
    assert.isUndefined(pauseAt(schedule, task.finishedAt), `${what}: passed over while it is paused`)
    checkFate(schedule, task, what)
  }
  for (const task of newlyBegun(checked)) {
    const schedule = model.of(task.scheduleId) as ScheduleModel
    const { rule } = eraOf(schedule)
    // What waits for others has been looked at before.
    const isLate = isByRule(task) && beginOf(task) > task.nominalAt && placesOf(schedule.overlap) === 0
    if (!isLate || rule._tag === "Spaced" || !isNamed(rule, task.nominalAt)) continue
    note("made up for")
    const fate = fateOf(schedule, rule, task.nominalAt, beginOf(task))
    assert.include(["runs", undefined], fate, `${schedule.number}: ${told(task)} has run`)
  }
}

const checkFate = (schedule: ScheduleModel, task: SkippedTask, what: string): void => {
  const { rule } = eraOf(schedule)
  if (rule._tag === "Spaced") return assert.fail(`${what}: of a spaced schedule nothing is passed over`)
  if (task.range !== undefined) {
    const count = countIn(rule, task.nominalAt - 1, task.range.last)
    assert.strictEqual(task.range.count, count, `${what}: the range up to ${iso(task.range.last)}`)
    assert.isAbove(count, 1, `${what}: a range of one`)
  }
  for (const at of [task.nominalAt, task.range?.last ?? task.nominalAt]) {
    const fate = fateOf(schedule, rule, at, task.finishedAt)
    if (fate !== undefined) assert.strictEqual(task.skipped, fate, `${what}, of ${iso(at)}`)
  }
}

/** Of each instant that a rule has named, from the first on and up to the next one, there is one record. */
const checkRecords = ({ model, note, seen }: Checked): void => {
  for (const schedule of model.schedules) {
    const own = tasksOf(seen, schedule).filter(isByRule)
    const stored = seen.schedules.get(schedule.id)
    for (const [index, era] of schedule.eras.entries()) {
      if (era.rule._tag === "Spaced") continue
      const until = schedule.eras[index + 1]?.since ?? Infinity
      // What was cancelled before it was due is of the rule of then: another one may name that instant again.
      const inEra = own.filter((task) => {
        const at = Math.min(task.nominalAt, endOf(task))
        return at >= era.since && at < until
      })
      const last = index < schedule.eras.length - 1 ? undefined : stored
      checkTiles(schedule, era, era.rule, inEra, last)
      if (inEra.length > 30) note("many occurrences")
    }
    checkSpaced(schedule, own, seen)
  }
}

const checkTiles = (
  schedule: ScheduleModel,
  era: Era,
  grid: Grid,
  tasks: ReadonlyArray<Task>,
  stored: TaskSchedule | undefined
): void => {
  const tiles = tasks.map((task) => {
    const last = task.status === "Skipped" && task.range !== undefined ? task.range.last : task.nominalAt
    assert.isTrue(isNamed(grid, task.nominalAt) && isNamed(grid, last), `I21: ${schedule.number}: off the grid: ${told(task)}`)
    return { task, from: numberOf(grid, task.nominalAt), to: numberOf(grid, last) }
  }).sort((one, other) => one.from - other.from)
  let next = numberOf(grid, era.first)
  for (const { from, task, to } of tiles) {
    const what = from < next ? "told of twice" : "not told of before"
    assert.strictEqual(from, next, `I24: ${schedule.number}: ${what}: ${told(task)}`)
    next = to + 1
  }
  const upTo = stored === undefined ? era.upTo : stored.cursor
  if (upTo === Infinity) return
  const expected = Math.max(numberOf(grid, era.first), Math.ceil(numberOf(grid, upTo)) + (stored === undefined ? 0 : 1))
  // A rule's last run is followed by nothing but what was passed over before it.
  if (stored?.status === "Completed") return assert.isAtLeast(next, expected, `I24: ${schedule.number} up to its end`)
  assert.strictEqual(next, expected, `I24: ${schedule.number}: told of up to ${iso(upTo)}`)
}

/** I22: each run comes an interval after the end of the one before. */
const checkSpaced = (schedule: ScheduleModel, own: ReadonlyArray<Task>, { now }: Seen): void => {
  const era = eraOf(schedule)
  if (era.rule._tag !== "Spaced") return
  const { interval } = era.rule
  for (const task of own) {
    if (task.nominalAt < era.since || task.createdAt < era.since || task.nominalAt > now + 30 * 86_400_000) continue
    const isFirst = task.nominalAt === era.first
    const follows = own.some((before) =>
      Math.max(endOf(before), before.nominalAt) + interval === task.nominalAt && endOf(before) === task.createdAt
    )
    assert.isTrue(isFirst || follows, `I22: ${schedule.number}: ${told(task)}`)
  }
}

/** The schedule as it is stored says what its records say. */
const checkSchedules = ({ model, note, seen }: Checked): void => {
  for (const schedule of model.schedules) {
    const stored = seen.schedules.get(schedule.id)
    const own = tasksOf(seen, schedule)
    const byRule = own.filter(isByRule)
    const what = `schedule ${schedule.number} at ${iso(seen.now)}: ${JSON.stringify(stored)}`
    if (schedule.ended !== undefined) {
      assert.deepStrictEqual(own.filter(isLive).map(told), [], `I10: live though it has ended: ${what}`)
      assert.strictEqual(stored === undefined, schedule.ended.removed, what)
    }
    if (stored === undefined) {
      assert.isTrue(schedule.ended?.removed, `I01: lost: ${what}`)
      continue
    }
    assert.strictEqual(stored.revision, schedule.revision, what)
    const missed = byRule.reduce(
      (sum, task) =>
        task.status === "Skipped" && !["overlap", "paused"].includes(task.skipped) ? sum + (task.range?.count ?? 1) : sum,
      0
    )
    assert.strictEqual(stored.missed, missed, `I24: missed: ${what}`)
    assert.strictEqual(stored.failures, schedule.failures, `failures: ${what}`)
    assert.strictEqual(stored.maxRuns, schedule.maxRuns, what)
    assert.deepStrictEqual(JSON.parse(stored.payload), payloadOf(schedule), what)
    const begun = byRule.filter(({ attempts }) => attempts.length > 0).length
    // What has waited counts, also if it was cancelled then, or skipped by another policy.
    const given = byRule.filter((task) =>
      task.attempts.length === 0 && (task.status === "Cancelled" || (task.status === "Skipped" && schedule.policies.size > 1))
    ).length
    const waiting = byRule.filter((task) =>
      task.attempts.length === 0 && task.status === "Scheduled" &&
      (task.nominalAt !== stored.cursor || stored.status === "Completed")
    ).length
    assert.isAtLeast(stored.runs, begun + waiting, `runs: ${what}`)
    assert.isAtMost(stored.runs, begun + waiting + given, `runs: ${what}`)
    if (stored.maxRuns !== undefined) assert.isAtMost(stored.runs, stored.maxRuns, `maxRuns: ${what}`)
    if (stored.status === "Completed") {
      assert.strictEqual(stored.runs, stored.maxRuns, `completed: ${what}`)
      note("completed")
    }
    if (schedule.ended === undefined) assert.notStrictEqual(stored.status, "Cancelled", what)
    if (stored.status !== "Active") continue
    // I03: there is one that is next, or that brings the next.
    const atCursor = byRule.filter((task) => isLive(task) && task.nominalAt === stored.cursor)
    assert.lengthOf(atCursor, 1, `I03: next: ${what}: ${byRule.map(told).join("\n")}`)
    const after = byRule.filter(({ nominalAt, status }) => nominalAt > stored.cursor && status !== "Cancelled")
    assert.deepStrictEqual(after.map(told), [], `I03: after the next: ${what}`)
    checkPause(schedule, stored, seen, what)
    const pause = pauseAt(schedule, seen.now)
    const isFree = pause === undefined && !model.isFunctionPaused(schedule.fn, seen.now) &&
      seen.now >= model.unsettledUntil
    if (isFree && eraOf(schedule).rule._tag === "Grid") assert.isAbove(stored.cursor, seen.now, `I03: behind: ${what}`)
  }
}

const checkPause = (schedule: ScheduleModel, { pause }: TaskSchedule, { now }: Seen, what: string): void => {
  const expected = pauseAt(schedule, now)
  const inForce = pause !== undefined && now < (pause.until ?? Infinity) ? pause : undefined
  assert.strictEqual(inForce !== undefined, expected !== undefined, `paused: ${what}`)
  if (expected === undefined || inForce === undefined) return
  assert.strictEqual(inForce.until ?? Infinity, expected.until, `paused until: ${what}`)
  if (!schedule.blurred.some(({ until }) => until === expected.since)) {
    assert.strictEqual(inForce.since, expected.since, `paused since: ${what}`)
  }
}

/** What is due and has not begun has a reason for that. */
const checkStalls = ({ model, note, seen }: Checked): void => {
  const all = [...seen.tasks.values()]
  if (seen.now < model.unsettledUntil) return
  for (const task of all) {
    const schedule = model.of(task.scheduleId) as ScheduleModel
    if (task.status === "Running") {
      const isLive = seen.calls.some(({ by, endedAt, taskId }) =>
        taskId === task.id && by === seen.by && endedAt === Infinity
      )
      assert.isTrue(isLive, `I03: ${schedule.number}: nobody runs ${told(task)}`)
    }
    if (task.status !== "Scheduled" || task.dueAt >= seen.now) continue
    if (model.isFunctionPaused(task.function.name, seen.now)) {
      note("held back by a pause of its function")
      continue
    }
    if (task.attempts.length === 0 && isByRule(task) && pauseAt(schedule, seen.now) !== undefined) continue
    const overlap = task.overlap ?? schedule.overlap
    const others = all.filter((other) => other.id !== task.id && laneOf(other) === laneOf(task))
    const underWay = others.filter((other) => other.attempts.length > 0 && isLive(other)).length
    const backfill = model.backfills.find(({ id }) => task.origin === `backfill:${id}`)
    // In their order, also behind one whose function is paused.
    const isHeldUp = others.some((other) =>
      other.status === "Scheduled" && other.nominalAt < task.nominalAt && model.isFunctionPaused(other.function.name, seen.now)
    )
    const mayWait = task.attempts.length === 0 &&
      (backfill === undefined
        ? placesOf(overlap) > 0 && (underWay > 0 || isHeldUp)
        : underWay >= backfill.concurrency)
    assert.isTrue(mayWait, `I03: ${schedule.number}: at ${iso(seen.now)} nothing is done about ${told(task)}`)
    note("waits for its turn")
    if (backfill !== undefined || schedule.policies.size > 1) continue
    // What waits while its schedule is paused takes no place from what is asked for by hand meanwhile.
    const waiting = others.filter((other) =>
      other.status === "Scheduled" && other.attempts.length === 0 && other.dueAt < seen.now &&
      (schedule.pauses.length === 0 || isByRule(other) === isByRule(task))
    )
    assert.isBelow(waiting.length, placesOf(overlap), `I08: ${schedule.number}: too many wait: ${waiting.map(told).join("; ")}`)
  }
}

/** A backfill has its instants, once each. */
const checkBackfills = ({ model, seen }: Checked): void => {
  for (const backfill of model.backfills) {
    const own = [...seen.tasks.values()].filter(({ origin }) => origin === `backfill:${backfill.id}`)
    assert.deepStrictEqual(own.map(({ nominalAt }) => nominalAt).sort((one, other) => one - other), backfill.instants)
    if (backfill.cancelledAt !== undefined) assert.deepStrictEqual(own.filter(isLive).map(told), [], "I10: a backfill")
    for (const task of own) assert.notStrictEqual(task.status, "Skipped", told(task))
  }
  for (const task of seen.tasks.values()) {
    const schedule = model.of(task.scheduleId)
    const isAskedFor = schedule !== undefined &&
      (isByRule(task) || model.manual.has(task.id) || model.backfills.some(({ id }) => task.origin === `backfill:${id}`))
    assert.isTrue(isAskedFor, `I02: nobody has asked for ${told(task)}`)
  }
}

export const check = (checked: Checked): void => {
  checkHistories(checked)
  checkFailures(checked)
  checkCalls(checked)
  checkTurns(checked)
  checkSkips(checked)
  checkRecords(checked)
  checkSchedules(checked)
  checkBackfills(checked)
  checkStalls(checked)
}

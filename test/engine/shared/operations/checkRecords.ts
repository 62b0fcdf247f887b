/** I21, I22, I24: of each instant that a rule has named there is one record, and it says what had to become of it. */
import { assert } from "@effect/vitest"
import type { SkippedTask, Task, TaskSchedule } from "../../../../src/index.ts"
import { iso } from "../stage.ts"
import type { Era, Grid, ScheduleModel } from "./model.ts"
import {
  beginOf,
  countIn,
  endOf,
  eraOf,
  fateOf,
  isByRule,
  isNamed,
  numberOf,
  pauseAt,
  placesOf,
  policyOf
} from "./model.ts"
import type { Checked, Seen } from "./seen.ts"
import { must, newlyBegun, newlyEnded, othersOf, same, scheduleOf, tasksOf, told } from "./seen.ts"

/** What has been skipped because of others had to be. */
const checkOverlap = (checked: Checked, task: SkippedTask, what: () => string): void => {
  const overlap = task.overlap ?? scheduleOf(checked, task).overlap
  const policy = policyOf(overlap)
  const at = task.finishedAt
  const others = othersOf(checked, task)
  must(["skip", "bufferOne", "bufferAll"].includes(policy), what)
  if (policy === "skip") {
    must(
      others.some((other) => beginOf(other) <= at && at <= endOf(other) && other.attempts.length > 0),
      () => `I08: ${what()}: nothing was under way`
    )
  } else {
    const waiting = others.filter((other) =>
      other.createdAt <= at && other.nominalAt <= task.nominalAt && beginOf(other) >= at && endOf(other) >= at
    )
    must(waiting.length >= placesOf(overlap), () => `I08: ${what()}: there was a place to wait`)
  }
  checked.note(`${policy}: skipped`)
}

const nameOfCatchUp = ({ catchUp }: ScheduleModel): string => {
  const { policy, window } = typeof catchUp === "string" ? { policy: catchUp, window: undefined } : catchUp
  return window === undefined ? policy : `${policy} with a window`
}

/** What has been passed over had to be. */
const checkFate = (schedule: ScheduleModel, task: SkippedTask, what: () => string): void => {
  const { rule } = eraOf(schedule)
  if (rule._tag === "Spaced") return assert.fail(`${what()}: of a spaced schedule nothing is passed over`)
  if (task.range !== undefined) {
    const { last } = task.range
    const count = countIn(rule, task.nominalAt - 1, last)
    same(task.range.count, count, () => `I24: ${what()}: the range up to ${iso(last)}`)
    must(count > 1, () => `I24: ${what()}: a range of one`)
  }
  for (const at of [task.nominalAt, task.range?.last ?? task.nominalAt]) {
    const fate = fateOf(schedule, rule, at, task.finishedAt)
    if (fate !== undefined) same(task.skipped, fate, () => `I24: ${what()}, of ${iso(at)}`)
  }
}

/** What has run late had to be made up for. */
const checkMadeUpFor = (checked: Checked, task: Task): void => {
  const schedule = scheduleOf(checked, task)
  const { rule } = eraOf(schedule)
  // What waits for others has been looked at before.
  const isLate = isByRule(task) && beginOf(task) > task.nominalAt && !schedule.hasBuffered
  if (!isLate || rule._tag === "Spaced" || !isNamed(rule, task.nominalAt)) return
  checked.note(`${nameOfCatchUp(schedule)}: made up for`)
  const fate = fateOf(schedule, rule, task.nominalAt, beginOf(task))
  must(fate === "runs" || fate === undefined, () => `I24: ${schedule.number}: ${told(task)} has run: ${fate}`)
}

export const checkSkips = (checked: Checked): void => {
  const { note } = checked
  for (const task of newlyEnded(checked)) {
    if (task.status === "Cancelled" && task.cancelledBy === "overlap") note("cancelOther: replaced")
    if (task.status !== "Skipped") continue
    const schedule = scheduleOf(checked, task)
    const what = () => `${schedule.number}: ${told(task)} at ${iso(task.finishedAt)}`
    must(task.attempts.length === 0, what)
    if (task.skipped === "overlap") {
      checkOverlap(checked, task, what)
      continue
    }
    note(
      `${task.skipped === "paused" ? "paused" : nameOfCatchUp(schedule)}: ${
        task.range === undefined ? "record" : "range"
      } of ${task.skipped}`
    )
    must(isByRule(task), () => `${what()}: only what the rule names is passed over`)
    must(pauseAt(schedule, task.finishedAt) === undefined, () => `${what()}: passed over while it is paused`)
    checkFate(schedule, task, what)
  }
  for (const task of newlyBegun(checked)) checkMadeUpFor(checked, task)
}

export const checkRecords = ({ model, note, seen }: Checked): void => {
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

/** From the first on and up to the next one, without a gap. */
const checkTiles = (
  schedule: ScheduleModel,
  era: Era,
  grid: Grid,
  tasks: ReadonlyArray<Task>,
  stored: TaskSchedule | undefined
): void => {
  const tiles = tasks.map((task) => {
    const last = task.status === "Skipped" && task.range !== undefined ? task.range.last : task.nominalAt
    must(
      isNamed(grid, task.nominalAt) && isNamed(grid, last),
      () => `I21: ${schedule.number}: off the grid: ${told(task)}`
    )
    return { task, from: numberOf(grid, task.nominalAt), to: numberOf(grid, last) }
  }).sort((one, other) => one.from - other.from)
  let next = numberOf(grid, era.first)
  for (const { from, task, to } of tiles) {
    const isTwice = from < next
    must(
      from === next,
      () => `I24: ${schedule.number}: ${isTwice ? "told of twice" : "not told of before"}: ${told(task)}`
    )
    next = to + 1
  }
  const upTo = stored === undefined ? era.upTo : stored.cursor
  if (upTo === Infinity) return
  const expected = Math.max(numberOf(grid, era.first), Math.ceil(numberOf(grid, upTo)) + (stored === undefined ? 0 : 1))
  // A rule's last run is followed by nothing but what was passed over before it.
  const isTold = stored?.status === "Completed" ? next >= expected : next === expected
  must(isTold, () => `I24: ${schedule.number}: told of ${next}, not of ${expected}, up to ${iso(upTo)}`)
}

/** Each run comes an interval after the end of the one before. */
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
    must(isFirst || follows, () => `I22: ${schedule.number}: ${told(task)}`)
  }
}

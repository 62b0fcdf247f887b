/** What is stored of schedules and backfills says what their Tasks say. */
import { assert } from "@effect/vitest"
import type { Task, TaskSchedule } from "../../../../src/index.ts"
import { iso } from "../stage.ts"
import { payloadOf } from "./checkCalls.ts"
import type { ScheduleModel } from "./model.ts"
import { endOf, eraOf, isByRule, isLive, notePause, pauseAt } from "./model.ts"
import type { Checked } from "./seen.ts"
import { backfillOf, must, newlyEnded, none, same, tasksOf, told } from "./seen.ts"

/** Failures in a row pause a schedule by themselves, and nothing else does. */
export const checkFailures = (checked: Checked): void => {
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
    note("paused by itself after failures")
  }
}

const checkCounts = (
  { note }: Checked,
  schedule: ScheduleModel,
  stored: TaskSchedule,
  byRule: ReadonlyArray<Task>,
  what: () => string
): void => {
  same(stored.revision, schedule.revision, () => `revision: ${what()}`)
  const missed = byRule.reduce(
    (sum, task) =>
      task.status === "Skipped" && !["overlap", "paused"].includes(task.skipped) ? sum + (task.range?.count ?? 1) : sum,
    0
  )
  same(stored.missed, missed, () => `I24: missed: ${what()}`)
  same(stored.failures, schedule.failures, () => `failures: ${what()}`)
  same(stored.maxRuns, schedule.maxRuns, () => `maxRuns: ${what()}`)
  same(JSON.parse(stored.payload), payloadOf(schedule), () => `payload: ${what()}`)
  const begun = byRule.filter(({ attempts }) => attempts.length > 0).length
  const notBegun = byRule.filter(({ attempts }) => attempts.length === 0)
  const waiting =
    notBegun.filter(({ nominalAt, status }) =>
      status === "Scheduled" && (nominalAt !== stored.cursor || stored.status === "Completed")
    ).length
  // What has waited counts, also if it was cancelled then, or skipped by another policy.
  const given =
    notBegun.filter(({ status }) => status === "Cancelled" || (status === "Skipped" && schedule.policies.size > 1))
      .length
  must(stored.runs >= begun + waiting && stored.runs <= begun + waiting + given, () => `runs: ${what()}`)
  must(stored.runs <= (stored.maxRuns ?? Infinity), () => `maxRuns: ${what()}`)
  if (stored.status !== "Completed") return
  same(stored.runs, stored.maxRuns, () => `completed: ${what()}`)
  note("completed by maxRuns")
}

/** I03: there is one that is next, or that brings the next. */
const checkNext = (
  { model, seen }: Checked,
  schedule: ScheduleModel,
  stored: TaskSchedule,
  byRule: ReadonlyArray<Task>,
  what: () => string
): void => {
  const atCursor = byRule.filter((task) => isLive(task) && task.nominalAt === stored.cursor)
  must(atCursor.length === 1, () => `I03: next: ${what()}: ${byRule.map(told).join("\n")}`)
  none(
    byRule.filter(({ nominalAt, status }) => nominalAt > stored.cursor && status !== "Cancelled"),
    () => `I03: after the next: ${what()}`
  )
  const isFree = pauseAt(schedule, seen.now) === undefined && !model.isFunctionPaused(schedule.fn, seen.now) &&
    seen.now >= model.unsettledUntil
  if (isFree && eraOf(schedule).rule._tag === "Grid") must(stored.cursor > seen.now, () => `I03: behind: ${what()}`)
}

const checkPause = (schedule: ScheduleModel, { pause }: TaskSchedule, now: number, what: () => string): void => {
  const expected = pauseAt(schedule, now)
  const inForce = pause !== undefined && now < (pause.until ?? Infinity) ? pause : undefined
  same(inForce !== undefined, expected !== undefined, () => `paused: ${what()}`)
  if (expected === undefined || inForce === undefined) return
  same(inForce.until ?? Infinity, expected.until, () => `paused until: ${what()}`)
  if (!schedule.blurred.some(({ until }) => until === expected.since)) {
    same(inForce.since, expected.since, () => `paused since: ${what()}`)
  }
}

export const checkSchedules = (checked: Checked): void => {
  const { model, seen } = checked
  for (const schedule of model.schedules) {
    const stored = seen.schedules.get(schedule.id)
    const own = tasksOf(seen, schedule)
    const byRule = own.filter(isByRule)
    const what = () => `schedule ${schedule.number} at ${iso(seen.now)}: ${JSON.stringify(stored)}`
    if (schedule.ended !== undefined) {
      none(own.filter(isLive), () => `I10: live though it has ended: ${what()}`)
      same(stored === undefined, schedule.ended.removed, () => `removed: ${what()}`)
    }
    if (stored === undefined) {
      must(schedule.ended?.removed === true, () => `I01: lost: ${what()}`)
      continue
    }
    checkCounts(checked, schedule, stored, byRule, what)
    must(schedule.ended !== undefined || stored.status !== "Cancelled", () => `cancelled: ${what()}`)
    if (stored.status !== "Active") continue
    checkNext(checked, schedule, stored, byRule, what)
    checkPause(schedule, stored, seen.now, what)
  }
}

/** A backfill has its instants, once each; and there is nothing that nobody has asked for. */
export const checkBackfills = (checked: Checked): void => {
  const { model, seen } = checked
  const own = new Map(model.backfills.map((backfill): [unknown, Array<Task>] => [backfill, []]))
  for (const task of seen.tasks.values()) {
    const backfill = backfillOf(checked, task)
    const isAskedFor = model.of(task.scheduleId) !== undefined &&
      (isByRule(task) || model.manual.has(task.id) || backfill !== undefined)
    must(isAskedFor, () => `I02: nobody has asked for ${told(task)}`)
    own.get(backfill)?.push(task)
  }
  for (const backfill of model.backfills) {
    const tasks = own.get(backfill) ?? assert.fail("not there")
    const instants = tasks.map(({ nominalAt }) => nominalAt).sort((one, other) => one - other)
    same(instants, backfill.instants, () => `backfill ${backfill.number}`)
    if (backfill.cancelledAt !== undefined) none(tasks.filter(isLive), () => `I10: backfill ${backfill.number}`)
    none(tasks.filter(({ status }) => status === "Skipped"), () => `skipped of backfill ${backfill.number}`)
  }
}

/** I08: who runs beside others may, and whoever waits has something to wait for. */
import { assert } from "@effect/vitest"
import type { Task } from "../../../../src/index.ts"
import { iso } from "../stage.ts"
import type { BackfillModel } from "./model.ts"
import { beginOf, endOf, isByRule, isLive, laneOf, nameOfPolicy, pauseAt, placesOf, policyOf } from "./model.ts"
import type { Checked } from "./seen.ts"
import { backfillOf, must, newlyBegun, none, othersOf, scheduleOf, told } from "./seen.ts"

const checkBackfillTurn = ({ note }: Checked, { concurrency }: BackfillModel, task: Task, turn: Turn): void => {
  const { at, others, underWay, what } = turn
  must(underWay.length < concurrency, what)
  if (at > task.createdAt) note("a backfill waited")
  none(
    others.filter((other) => other.nominalAt < task.nominalAt && endOf(other) > at && beginOf(other) > at),
    () => `in order: before ${told(task)}`
  )
}

interface Turn {
  readonly at: number
  readonly others: ReadonlyArray<Task>
  readonly underWay: ReadonlyArray<Task>
  readonly what: () => string
}

const checkTurn = (checked: Checked, task: Task): void => {
  const { note } = checked
  const schedule = scheduleOf(checked, task)
  const overlap = task.overlap ?? schedule.overlap
  const policy = policyOf(overlap)
  const at = beginOf(task)
  const others = othersOf(checked, task)
  const underWay = others.filter((other) => beginOf(other) <= at && at < endOf(other))
  const what = () => `I08: ${schedule.number}: ${told(task)} by ${policy} beside ${underWay.map(told).join("; ")}`
  const backfill = backfillOf(checked, task)
  if (backfill !== undefined) return checkBackfillTurn(checked, backfill, task, { at, others, underWay, what })
  if (policy === "allowAll") {
    if (underWay.length > 0) note("allowAll: ran beside another")
    return
  }
  // What came after it in the same moment is judged by its own policy.
  none(
    underWay.filter((other) =>
      beginOf(other) < at || !["allowAll", "cancelOther"].includes(policyOf(other.overlap ?? schedule.overlap))
    ),
    what
  )
  if (policy === "cancelOther" || placesOf(overlap) === 0) return
  if (at > task.dueAt && task.attempts.length === 1) note(`${policy}: waited for its turn`)
  none(
    others.filter((other) =>
      other.nominalAt < task.nominalAt && other.createdAt <= at && beginOf(other) > at && endOf(other) > at &&
      // Those by hand pass what waits for the end of its schedule's pause.
      !(isByRule(other) && pauseAt(schedule, at) !== undefined)
    ),
    () => `in order: ${schedule.number}: ${told(task)} before`
  )
}

/** Live at once, as the functions see it: a run that has been replaced has ended by then. */
const checkLive = (checked: Checked): void => {
  const { before, seen } = checked
  for (const [index, call] of seen.calls.entries()) {
    if (index < before.calls.length) continue
    const task = seen.tasks.get(call.taskId) ?? assert.fail(`I02: ${call.taskId}`)
    const schedule = scheduleOf(checked, task)
    const most = backfillOf(checked, task)?.concurrency ??
      (schedule.policies.has(nameOfPolicy("allowAll")) ? Infinity : 1)
    const lane = laneOf(task)
    const live = seen.calls.filter((other, otherIndex) => {
      // Of those that have begun in the same moment one was the first.
      const isEarlier = other.at < call.at || (other.at === call.at && otherIndex < index)
      if (!isEarlier || other.by !== call.by || call.at >= other.endedAt || other.taskId === call.taskId) return false
      const otherTask = seen.tasks.get(other.taskId)
      return otherTask !== undefined && laneOf(otherTask) === lane
    })
    must(live.length < most, () => `I08: ${schedule.number}: live at once at ${iso(call.at)}: ${told(task)}`)
  }
}

export const checkTurns = (checked: Checked): void => {
  for (const task of newlyBegun(checked)) checkTurn(checked, task)
  checkLive(checked)
}

/** Whether a Task that is due may have to wait for others. */
const mayWait = (checked: Checked, task: Task): boolean => {
  const { model, seen } = checked
  if (task.attempts.length > 0) return false
  const schedule = scheduleOf(checked, task)
  const others = othersOf(checked, task)
  const underWay = others.filter((other) => other.attempts.length > 0 && isLive(other)).length
  const backfill = backfillOf(checked, task)
  if (backfill !== undefined) return underWay >= backfill.concurrency
  if (seen.now < schedule.looksAgainBy) return true
  // In their order, also behind one whose function is paused.
  const isHeldUp = others.some((other) =>
    other.status === "Scheduled" && other.nominalAt < task.nominalAt &&
    model.isFunctionPaused(other.function.name, seen.now)
  )
  return placesOf(task.overlap ?? schedule.overlap) > 0 && (underWay > 0 || isHeldUp)
}

const checkPlaces = (checked: Checked, task: Task): void => {
  const schedule = scheduleOf(checked, task)
  if (backfillOf(checked, task) !== undefined || schedule.policies.size > 1) return
  // What waits while its schedule is paused takes no place from what is asked for by hand meanwhile.
  const waiting = othersOf(checked, task).filter((other) =>
    other.status === "Scheduled" && other.attempts.length === 0 && other.dueAt < checked.seen.now &&
    (schedule.pauses.length === 0 || isByRule(other) === isByRule(task))
  )
  const places = placesOf(task.overlap ?? schedule.overlap)
  must(
    waiting.length < places,
    () => `I08: ${schedule.number}: too many wait: ${waiting.map(told).join("; ")}`
  )
}

/** I03: what is due and has not begun has a reason for that, and what runs is run by somebody. */
export const checkStalls = (checked: Checked): void => {
  const { model, note, seen } = checked
  if (seen.now < model.unsettledUntil) return
  const run = new Set(
    seen.calls.filter(({ by, endedAt }) => by === seen.by && endedAt === Infinity).map((call) => call.taskId)
  )
  for (const task of seen.tasks.values()) {
    if (!isLive(task)) continue
    const { number } = scheduleOf(checked, task)
    if (task.status === "Running") must(run.has(task.id), () => `I03: ${number}: nobody runs ${told(task)}`)
    if (task.status !== "Scheduled" || task.dueAt >= seen.now) continue
    if (model.isFunctionPaused(task.function.name, seen.now)) {
      note("held back by a pause of its function")
      continue
    }
    const isFirst = task.attempts.length === 0 && isByRule(task)
    if (isFirst && pauseAt(scheduleOf(checked, task), seen.now) !== undefined) {
      note("held back by a pause of its schedule")
      continue
    }
    must(mayWait(checked, task), () => `I03: ${number}: at ${iso(seen.now)} nothing is done about ${told(task)}`)
    checkPlaces(checked, task)
  }
}

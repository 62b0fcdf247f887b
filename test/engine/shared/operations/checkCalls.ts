/** What has been invoked might be, and what is written of it stays. */
import { assert } from "@effect/vitest"
import { iso } from "../stage.ts"
import type { ScheduleModel } from "./model.ts"
import { isByRule, isLive, mustNotBegin, pauseAt } from "./model.ts"
import type { Call, Checked } from "./seen.ts"
import { backfillOf, must, same, scheduleOf, told } from "./seen.ts"

export const payloadOf = ({ number, version }: Pick<ScheduleModel, "number" | "version">) => ({
  schedule: number,
  version
})

/** What has ended is final; histories only grow; nothing disappears (I01, I19, I20). */
export const checkHistories = ({ before, seen }: Checked): void => {
  for (const [id, earlier] of before.tasks) {
    const task = seen.tasks.get(id) ?? assert.fail(`I01: ${told(earlier)} is lost`)
    if (task === earlier) continue
    if (!isLive(earlier)) same(task, earlier, () => "I19: what has ended is final")
    const ended = earlier.attempts.filter((attempt) => attempt.ended !== undefined)
    same(task.attempts.slice(0, ended.length), ended, () => "I19: history is not rewritten")
  }
  for (const task of seen.tasks.values()) {
    const { attempts, retry, status } = task
    must(attempts.every(({ number }, index) => number === index + 1), () => `I19: ${told(task)}`)
    const spent = attempts.filter(({ ended }) => ended?.outcome !== "notSent").length
    must(spent <= retry.maxAttempts, () => `I12: ${told(task)}`)
    must(status !== "Cancelled" || attempts.every(({ ended }) => ended !== undefined), () => `I19: ${told(task)}`)
  }
}

/** What a Task may be called for at all, at that instant. */
const checkMay = (checked: Checked, call: Call, what: () => string): void => {
  const { model, seen } = checked
  const task = seen.tasks.get(call.taskId) ?? assert.fail(`I02: nobody has asked for ${call.taskId}`)
  const schedule = scheduleOf(checked, task)
  must(
    !seen.calls.some((other) => other !== call && other.attempt === call.attempt && other.taskId === call.taskId),
    () => `I07: ${what()} was sent twice`
  )
  const notBefore = task.attempts[call.attempt - 2]?.ended?.at ?? task.nominalAt
  must(call.at >= notBefore, () => `I05: ${what()} was early`)
  must(!model.mustNotCall(call.fn, call.at), () => `${what()}: its function is paused`)
  must(call.at <= (model.cancelled.get(task.id) ?? Infinity), () => `I10: ${what()} after it was cancelled`)
  must(call.at <= (schedule.ended?.at ?? Infinity), () => `I10: ${what()} after its schedule ended`)
}

/** A first attempt is of its schedule as it is, and a later one as it was. */
const checkContent = (checked: Checked, call: Call, what: () => string): void => {
  const { model, note, seen } = checked
  const task = seen.tasks.get(call.taskId) ?? assert.fail(what())
  const schedule = scheduleOf(checked, task)
  const isPaused = pauseAt(schedule, call.at) !== undefined
  if (call.attempt > 1) {
    note(`attempt ${call.attempt}`)
    if (isPaused) note("a retry in a pause")
    return
  }
  if (isByRule(task)) {
    must(!mustNotBegin(schedule, call.at), () => `${what()}: its schedule is paused`)
    same(call.payload, payloadOf(schedule), () => `${what()} has an old payload`)
    same(call.fn, schedule.fn, () => `${what()} is of another function`)
    return
  }
  const manual = model.manual.get(task.id)
  if (isPaused) note(`${manual === undefined ? "a backfill's" : "by hand"}: ran in a pause`)
  same(call.payload, (manual ?? backfillOf(checked, task))?.payload, what)
}

export const checkCalls = (checked: Checked): void => {
  const { before, model, seen } = checked
  for (const [index, call] of seen.calls.entries()) {
    const isNew = index >= before.calls.length
    const isLiveHere = call.endedAt === Infinity && call.by === seen.by && seen.now >= model.unsettledUntil
    if (!isNew && !isLiveHere) continue
    const task = seen.tasks.get(call.taskId) ?? assert.fail(`I02: nobody has asked for ${call.taskId}`)
    const what = () => `${scheduleOf(checked, task).number}: ${told(task)}, attempt ${call.attempt} at ${iso(call.at)}`
    if (isLiveHere) {
      must(task.status === "Running" && task.attempts.length === call.attempt, () => `${what()} still runs`)
    }
    if (!isNew) continue
    checked.note("call")
    checkMay(checked, call, what)
    checkContent(checked, call, what)
  }
}

/** What happened, without ids: the same on every store (I26). */
import { assert } from "@effect/vitest"
import type { Task } from "../../../../src/index.ts"
import { iso } from "../stage.ts"
import type { Model } from "./model.ts"
import type { Seen } from "./seen.ts"
import { told } from "./seen.ts"

export interface History {
  readonly answers: ReadonlyArray<string>
  readonly schedules: ReadonlyArray<string>
  readonly tasks: ReadonlyArray<string>
  readonly calls: ReadonlyArray<string>
}

const orderOf = (model: Model, { attempts, createdAt, id, nominalAt, origin, scheduleId }: Task): string => {
  const manual = model.manual.get(id)?.number
  const backfill = model.backfills.find(({ id }) => origin === `backfill:${id}`)?.number
  const kind = manual === undefined ? backfill === undefined ? "r" : `b${backfill}` : `m${manual}`
  return `${model.of(scheduleId)?.number} ${nominalAt} ${kind} ${createdAt} ${attempts.length}`
}

/** In an order that does not depend on ids. */
export const inOrder = (model: Model, tasks: Iterable<Task>): ReadonlyArray<Task> =>
  [...tasks].map((task) => [orderOf(model, task), task] as const)
    .sort(([one], [other]) => one < other ? -1 : 1)
    .map(([, task]) => task)

/** When it is looked at again is up to each store. */
const whatBecameOf = (task: Task): string => told(task).replace(/, claimable .*\)$/, ")")

export const historyOf = (model: Model, seen: Seen, answers: ReadonlyArray<string>): History => ({
  answers,
  schedules: model.schedules.map(({ id, number }) => {
    const stored = seen.schedules.get(id)
    if (stored === undefined) return `${number}: removed`
    const { cursor, failures, missed, pause, revision, runs, status } = stored
    const paused = pause && `${iso(pause.since)} to ${pause.until === undefined ? "" : iso(pause.until)} by ${pause.by}`
    return `${number}: ${status} ${iso(cursor)} ${JSON.stringify({ failures, missed, revision, runs, paused })}`
  }),
  tasks: inOrder(model, seen.tasks.values()).map((task) => {
    const ended = "finishedAt" in task ? iso(task.finishedAt) : ""
    const range = task.status === "Skipped" && task.range !== undefined ? JSON.stringify(task.range) : ""
    return `${model.of(task.scheduleId)?.number}: ${whatBecameOf(task)} ${task.payload} ${ended} ${range}`
  }),
  calls: seen.calls.map(({ at, attempt, endedAt, fn, outcome, payload, taskId }) => {
    const task = seen.tasks.get(taskId) ?? assert.fail(taskId)
    return `${iso(at)} to ${iso(endedAt)} ${outcome}: ${fn} ${iso(task.nominalAt)} ${attempt} ${
      JSON.stringify(payload)
    }`
  }).sort()
})

/** What is looked at between two commands, and how it is compared with what must hold. */
import { assert } from "@effect/vitest"
import { isDeepStrictEqual } from "node:util"
import type { EpochMillis, Task, TaskId, TaskSchedule, TaskScheduleId } from "../../../../src/index.ts"
import { iso } from "../stage.ts"
import type { BackfillModel, Model, ScheduleModel } from "./model.ts"
import { endOf, isLive, laneOf } from "./model.ts"

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

/** There are thousands of these a story: what a failure says is put together only if it is one. */
export function must(holds: boolean, what: () => string): asserts holds {
  if (!holds) assert.fail(what())
}

export const same = (actual: unknown, expected: unknown, what: () => string): void => {
  if (!isDeepStrictEqual(actual, expected)) assert.deepStrictEqual(actual, expected, what())
}

export const none = (tasks: ReadonlyArray<Task>, what: () => string): void =>
  must(tasks.length === 0, () => `${what()}: ${tasks.map(told).join("; ")}`)

const toldAttempts = ({ attempts }: Task): string =>
  attempts.map(({ ended, startedAt }) =>
    `${iso(startedAt)}-${ended === undefined ? "" : `${iso(ended.at)} ${ended.outcome}`}`
  ).join(", ")

export const told = (task: Task): string => {
  const { claimableAt, nominalAt, origin, owner, status } = task
  const why = status === "Skipped" ? ` for ${task.skipped}` : status === "Cancelled" ? ` by ${task.cancelledBy}` : ""
  const claimable = claimableAt < 8e15 ? iso(claimableAt) : "never"
  return `${origin?.split(":")[0]} ${iso(nominalAt)} (${status}${why}, attempts ${toldAttempts(task)}, claimable ${
    claimable + (owner === undefined ? "" : ", owned")
  })`
}

export const scheduleOf = ({ model }: Checked, task: Task): ScheduleModel =>
  model.of(task.scheduleId) ?? assert.fail(`I02: no schedule of ${told(task)}`)

export const backfillOf = ({ model }: Checked, { origin }: Task): BackfillModel | undefined =>
  origin?.startsWith("backfill:") === true
    ? model.backfills.find(({ id }) => origin === `backfill:${id}`)
    : undefined

/** What a Task shares its turn with. */
export const othersOf = ({ seen }: Checked, task: Task): ReadonlyArray<Task> => {
  const lane = laneOf(task)
  return [...seen.tasks.values()].filter((other) =>
    other.scheduleId === task.scheduleId && other.id !== task.id && laneOf(other) === lane
  )
}

export const tasksOf = ({ tasks }: Seen, { id }: ScheduleModel): ReadonlyArray<Task> =>
  [...tasks.values()].filter(({ scheduleId }) => scheduleId === id)

/** Those of which the end is new, in the order of their ends. */
export const newlyEnded = ({ before, seen }: Checked): ReadonlyArray<Task> =>
  [...seen.tasks.values()]
    .filter((task) => !isLive(task) && isLive(before.tasks.get(task.id) ?? { ...task, status: "Scheduled" }))
    .sort((one, other) => endOf(one) - endOf(other))

export const newlyBegun = ({ before, seen }: Checked): ReadonlyArray<Task> =>
  [...seen.tasks.values()].filter((task) =>
    task.attempts.length > 0 && (before.tasks.get(task.id)?.attempts.length ?? 0) === 0
  )

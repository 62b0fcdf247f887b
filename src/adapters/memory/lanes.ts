/** What occurrences of a schedule share their turn with: those of one lane, in the order in which they are to run. */
import { isBuffering } from "../../domain/Overlap.ts"
import type { ScheduledTask, Task } from "../../domain/Task.ts"
import { isByRule, laneOf } from "../../domain/Task.ts"
import { pausedUntil } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { overlapOf } from "../../policies/occurrences.ts"
import type { Others } from "../../policies/overlap.ts"
import type { ScheduleEntry, Store } from "./Store.ts"

const isBefore = (left: Task, right: Task): boolean =>
  left.nominalAt < right.nominalAt || (left.nominalAt === right.nominalAt && left.id < right.id)

/** What goes on only later is waited for by nobody. */
const isPaused = (task: Task, { schedule }: ScheduleEntry, now: EpochMillis): boolean =>
  isByRule(task) && pausedUntil(schedule, now) !== undefined

/** Others of a Task's lane that have begun and not ended. */
export const othersUnderWay = (
  store: Store,
  task: Task,
  { underWay }: ScheduleEntry
): ReadonlyArray<Task> => {
  const lane = laneOf(task)
  const others: Array<Task> = []
  for (const id of underWay) {
    const other = store.tasks.get(id) as Task
    if (id !== task.id && laneOf(other) === lane) others.push(other)
  }
  return others
}

const countBefore = (store: Store, task: Task, entry: ScheduleEntry, now: EpochMillis): number => {
  const lane = laneOf(task)
  let before = 0
  for (const id of entry.live) {
    const other = store.tasks.get(id) as Task
    const waits = other.attempts.length === 0 && laneOf(other) === lane
    if (waits && isBefore(other, task) && !isPaused(other, entry, now)) before++
  }
  return before
}

export const othersOf = (store: Store, task: Task, entry: ScheduleEntry, now: EpochMillis): Others => ({
  underWay: othersUnderWay(store, task, entry).length,
  before: isBuffering(overlapOf(task, entry.schedule)) && laneOf(task) === "schedule"
    ? countBefore(store, task, entry, now)
    : 0
})

/**
 * One has ended: the first that waits in its lane is looked at now, and not only later. Whoever holds it already, for then,
 * does not know of it.
 *
 * @returns whether there was any
 */
export const freeNext = (store: Store, ended: Task, now: EpochMillis): boolean => {
  const entry = store.scheduleOf(ended)
  if (entry === undefined) return false
  const lane = laneOf(ended)
  let next: ScheduledTask | undefined
  for (const id of entry.live) {
    const task = store.tasks.get(id) as Task
    const waits = task.status === "Scheduled" && task.attempts.length === 0 &&
      task.claimableAt > now && task.dueAt <= now && laneOf(task) === lane && !isPaused(task, entry, now)
    if (waits && (next === undefined || isBefore(task, next))) next = task
  }
  if (next === undefined) return false
  store.put({ ...next, owner: undefined, claimableAt: now, token: next.token + 1 }, undefined)
  store.unowned.noteStale()
  return true
}

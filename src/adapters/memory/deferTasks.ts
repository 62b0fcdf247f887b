/** Has Tasks of a function wait longer than they are due, and brings them back. */
import type { ScheduledTask } from "../../domain/Task.ts"
import { farthest } from "../../domain/Time.ts"
import type { DeferRequest, RecallRequest } from "../../ports/TaskRepository.ts"
import type { Store } from "./Store.ts"
import { byTurn } from "./Unowned.ts"

/** In the order in which they are to run. */
const ofFunction = (
  { unowned }: Store,
  functionName: string,
  limit: number,
  matches: (task: ScheduledTask) => boolean
): ReadonlyArray<ScheduledTask> =>
  unowned.values()
    .filter((task) => task.function.name === functionName && unowned.isCurrent(task) && matches(task))
    .sort((left, right) => right.priority - left.priority || byTurn(left, right))
    .slice(0, limit)

export const deferTasks = (store: Store, { from, functionName, limit, now, step }: DeferRequest): number => {
  const found = ofFunction(store, functionName, limit, (task) => task.claimableAt <= now)
  for (const [place, task] of found.entries()) {
    store.put({ ...task, claimableAt: from + Math.round(place * step) }, undefined)
  }
  store.unowned.noteStale(found.length)
  return found.length
}

export const recallTasks = (store: Store, { functionName, limit, now }: RecallRequest): number => {
  // What waits for something else, such as the end of its schedule's pause, is not brought back.
  const isDeferred = (task: ScheduledTask) =>
    task.claimableAt > now && task.dueAt <= now && task.claimableAt < farthest &&
    store.scheduleOf(task)?.schedule.pause === undefined
  const found = ofFunction(store, functionName, limit, isDeferred)
  for (const task of found) store.put({ ...task, claimableAt: now }, undefined)
  store.unowned.noteStale(found.length)
  return found.length
}

/** Keeps history within its bounds: finished Tasks go, and their keys some time later. */
import type { TaskId } from "../../domain/Ids.ts"
import type { FinishedTask } from "../../domain/Task.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { PruneRequest, PurgeRequest } from "../../ports/TaskRepository.ts"
import { deadLetters, taskMatches } from "./reading.ts"
import type { Store } from "./Store.ts"

const remove = (store: Store, id: TaskId, now: EpochMillis): void => {
  store.tasks.delete(id)
  store.failed.delete(id)
  store.keys.noteRemoved(id, now)
}

const finishedAt = (store: Store, id: TaskId): EpochMillis => (store.tasks.get(id) as FinishedTask).finishedAt

/** @returns how many Tasks were removed, oldest first */
export const pruneTasks = (store: Store, request: PruneRequest): number => {
  const { failedMaxAge, failedMaxCount, limit, maxAge, maxCount, now } = request
  const { failed, finished } = store
  store.keys.prune(now)
  let removed = 0
  for (let id = finished.first; id !== undefined && removed < limit; id = finished.first) {
    if (finished.size <= maxCount && now - finishedAt(store, id) <= maxAge) break
    remove(store, id, now)
    finished.shift()
    removed++
  }
  for (const id of failed) {
    const isKept = failed.size <= failedMaxCount && now - finishedAt(store, id) <= failedMaxAge
    if (isKept || removed >= limit) break
    remove(store, id, now)
    removed++
  }
  return removed
}

/** @returns how many dead letters were removed */
export const purgeTasks = (store: Store, { filter, limit, now }: PurgeRequest): number => {
  const matches = taskMatches({ ...filter, status: ["Failed"] })
  let removed = 0
  for (const task of deadLetters(store)) {
    if (removed === limit) break
    if (!matches(task)) continue
    remove(store, task.id, now)
    removed++
  }
  return removed
}

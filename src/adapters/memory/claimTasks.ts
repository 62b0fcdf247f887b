/** Takes what is due, in order of time; one-shots that are due get their start mark with the claim. */
import type { RunningTask, ScheduledTask } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Claimed, ClaimRequest } from "../../ports/TaskRepository.ts"
import { isInstanceAlive } from "./leases.ts"
import type { Store } from "./Store.ts"
import { byTurn } from "./Unowned.ts"

/** By time: what is due first comes first. */
function* byTime(store: Store, { ahead, limit, now }: ClaimRequest): Iterable<ScheduledTask> {
  for (let count = 0; count < limit; count++) {
    const next = store.unowned.first
    if (next === undefined || next.claimableAt > now + ahead) return
    store.unowned.pop()
    yield next
  }
}

const isLaneBefore = (left: ScheduledTask | undefined, right: ScheduledTask | undefined): boolean =>
  left === undefined || right === undefined || left.priority > right.priority ||
  (left.priority === right.priority && left.function.name < right.function.name)

/** By lane, that is, by priority and function: some of each that is not excluded, the highest priorities first. */
const byLane = (
  { unowned }: Store,
  { ahead, excludeFunctions, limit, now }: ClaimRequest
): ReadonlyArray<ScheduledTask> => {
  const lanes = new Map<string, Array<ScheduledTask>>()
  for (const task of unowned.values()) {
    if (!unowned.isCurrent(task) || excludeFunctions.includes(task.function.name)) continue
    const key = `${task.priority} ${task.function.name}`
    const lane = lanes.get(key)
    if (lane === undefined) lanes.set(key, [task])
    else lane.push(task)
  }
  const each = Math.max(1, Math.floor(limit / lanes.size))
  const chosen = [...lanes.values()].sort(([left], [right]) => isLaneBefore(left, right) ? -1 : 1).slice(0, limit)
  const due = chosen.flatMap((lane) =>
    lane.filter((task) => task.claimableAt <= now + ahead).sort(byTurn).slice(0, each)
  ).sort(byTurn)
  unowned.noteStale(due.length)
  return due
}

/** @param storeNow by which leases are judged */
export const claimTasks = (store: Store, request: ClaimRequest, storeNow: EpochMillis): Claimed => {
  const { instanceId } = request.lease
  if (!isInstanceAlive(store, instanceId, storeNow)) return { tasks: [], nextAt: undefined }
  const isByLane = request.excludeFunctions.length > 0
  const tasks: Array<ScheduledTask | RunningTask> = []
  let startable = request.start ?? 0
  for (const next of isByLane ? byLane(store, request) : byTime(store, request)) {
    const claimed = TaskLifecycle.claim(next, instanceId)
    if (claimed === undefined) continue
    const isStartable = claimed.claimableAt <= request.now && claimed.scheduleId === undefined &&
      claimed.attempts.length === 0 && request.unstartable?.includes(claimed.function.name) !== true &&
      !store.controls.isPaused(claimed.function.name)
    const started = startable > 0 && isStartable
      ? TaskLifecycle.start(claimed, instanceId, claimed.token, request.now)
      : undefined
    if (started !== undefined) startable--
    store.put(started ?? claimed, started && "started")
    tasks.push(started ?? claimed)
  }
  return { tasks, nextAt: isByLane ? undefined : store.unowned.first?.claimableAt }
}

/** Leases: what keeps an instance's Tasks its own, and what becomes of those whose owner is gone. */
import type { InstanceId, TaskId } from "../../domain/Ids.ts"
import type { RunningTask, Task } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import type { Heartbeat, Held, Lease, Reaped, Reaping } from "../../ports/TaskRepository.ts"
import type { Store } from "./Store.ts"

export const openLease = (
  store: Store,
  instanceId: InstanceId,
  duration: Millis,
  now: EpochMillis
): Heartbeat => {
  const expiresAt = now + duration
  store.leases.set(instanceId, expiresAt)
  const others = [...store.leases].filter(([other]) => other !== instanceId)
  return {
    instanceId,
    expiresAt,
    storeNow: now,
    others: others.filter(([, ends]) => ends > now).length,
    nextExpiry: others.length === 0 ? undefined : Math.min(...others.map(([, ends]) => ends)),
    controlsRevision: store.controls.revision
  }
}

/** `undefined` when it has ended already: an ended lease is never revived. */
export const renewLease = (
  store: Store,
  { instanceId }: Lease,
  duration: Millis,
  now: EpochMillis
): Heartbeat | undefined =>
  isInstanceAlive(store, instanceId, now) ? openLease(store, instanceId, duration, now) : undefined

export const closeLease = (store: Store, { instanceId }: Lease): void => {
  store.leases.delete(instanceId)
}

export const isInstanceAlive = (store: Store, instanceId: InstanceId, now: EpochMillis): boolean => {
  const expiresAt = store.leases.get(instanceId)
  return expiresAt !== undefined && expiresAt > now
}

/** Takes over what the owners that `isGone` names still hold. */
const takeOver = (
  store: Store,
  taker: InstanceId,
  isGone: (task: Task, owner: InstanceId) => boolean,
  limit: number
): Reaped => {
  const orphans: Array<RunningTask> = []
  let released = 0
  for (const task of store.tasks.values()) {
    if (released + orphans.length >= limit) break
    if (task.owner === undefined || !isGone(task, task.owner)) continue
    const taken = TaskLifecycle.takeOver(task, taker)
    if (taken === undefined) continue
    store.put(taken, undefined)
    if (taken.status === "Running") orphans.push(taken)
    else released++
  }
  return { released, orphans }
}

/** Frees what the dead hold. Leases that have ended are removed first: from then on nothing can bring one back. */
export const reap = (store: Store, { instanceId }: Lease, limit: number, now: EpochMillis): Reaping => {
  let ended = 0
  for (const [instance, ends] of store.leases) if (ends <= now && store.leases.delete(instance)) ended++
  const reaped = takeOver(store, instanceId, (_, owner) => !isInstanceAlive(store, owner, now), limit)
  return { ...reaped, ended }
}

export const forgotten = (
  store: Store,
  { instanceId }: Lease,
  known: ReadonlySet<TaskId>
): ReadonlyArray<Held> =>
  Array.from(store.tasks.values()).filter((task) => task.owner === instanceId && !known.has(task.id))

export const reconcile = (store: Store, { instanceId }: Lease, held: ReadonlyArray<Held>): Reaped => {
  const tokens = new Map(held.map(({ id, token }) => [id, token]))
  const isForgotten = (task: Task, owner: InstanceId) => owner === instanceId && tokens.get(task.id) === task.token
  return takeOver(store, instanceId, isForgotten, Infinity)
}

export const release = (
  store: Store,
  { instanceId }: Lease,
  held: ReadonlyArray<Held>,
  claimableAt: EpochMillis
): void => {
  for (const { id, token } of held) {
    const task = store.tasks.get(id)
    const released = task?.owner === instanceId ? TaskLifecycle.release(task, token, claimableAt) : undefined
    if (released !== undefined) store.put(released, undefined)
  }
}

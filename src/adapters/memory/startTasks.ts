/** Start marks: accepted, refused, or an end, by what is paused, by caps, and by the rules of the schedule. */
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { begin, begunKinds, followReplaced, verdictOn } from "../../policies/occurrences.ts"
import type { Lease, StartMark, StartVerdict } from "../../ports/TaskRepository.ts"
import { cancelTasks } from "./cancelWork.ts"
import { freeNext, othersOf, othersUnderWay } from "./lanes.ts"
import { isInstanceAlive } from "./leases.ts"
import { countRunning } from "./reading.ts"
import type { Store } from "./Store.ts"

const startTask = (
  store: Store,
  lease: Lease,
  mark: StartMark,
  now: EpochMillis,
  storeNow: EpochMillis
): StartVerdict => {
  const task = store.tasks.get(mark.id)
  // What is not the writer's any more may have another function by now: that it is paused is no news of use to it.
  if (task === undefined || TaskLifecycle.start(task, lease.instanceId, mark.token, now) === undefined) {
    return { _tag: "Fenced" }
  }
  if (store.controls.isPaused(task.function.name)) return { _tag: "Paused" }
  const cap = mark.caps?.find((cap) => store.controls.capOf(cap) <= countRunning(store, cap, storeNow))
  if (cap !== undefined) return { _tag: "Capped", cap }
  const entry = store.scheduleOf(task)
  const state = entry && { schedule: entry.schedule, others: othersOf(store, task, entry, now) }
  const begun = begin(task, state, lease.instanceId, mark, now)
  if (begun === undefined) return { _tag: "Fenced" }
  const cancelled = begun.replaces && entry !== undefined
    ? cancelTasks(store, othersUnderWay(store, task, entry), "overlap", now)
    : []
  store.put(begun.task, begunKinds[begun.task.status])
  const next = begun.followed && store.followed(entry, begun.followed, lease)
  const replaced = entry && followReplaced(entry.schedule, cancelled, mark.successor, now)
  const afterReplaced = replaced && store.followed(entry, replaced, lease)
  if (begun.task.status === "Failed") freeNext(store, begun.task, now)
  return verdictOn(begun.task, next ?? afterReplaced, cancelled)
}

/**
 * One verdict each, in order.
 *
 * @param storeNow by which leases are judged
 */
export const startTasks = (
  store: Store,
  lease: Lease,
  marks: ReadonlyArray<StartMark>,
  now: EpochMillis,
  storeNow: EpochMillis
): ReadonlyArray<StartVerdict> =>
  isInstanceAlive(store, lease.instanceId, storeNow)
    ? marks.map((mark) => startTask(store, lease, mark, now, storeNow))
    : marks.map(() => ({ _tag: "Fenced" }))

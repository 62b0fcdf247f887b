/** Cancels Tasks and schedules, by their id or by what they have in common. */
import { originOf } from "../../domain/Backfill.ts"
import type { BackfillId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { CancelCause, CancelledTask, Task } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { follow } from "../../policies/occurrences.ts"
import type { Cancelled, CancelTarget, Lease } from "../../ports/TaskRepository.ts"
import { freeNext } from "./lanes.ts"
import type { ScheduleEntry, Store } from "./Store.ts"

const nothing: Cancelled = { tasks: [], schedules: [], next: undefined }

/** @returns `undefined` if it has ended */
const cancelTask = (
  store: Store,
  task: Task,
  cause: CancelCause,
  now: EpochMillis
): CancelledTask | undefined => {
  const cancelled = TaskLifecycle.cancel(task, cause, now)
  if (cancelled === undefined) return undefined
  store.put(cancelled, "cancelled")
  if (task.status === "Scheduled" && task.owner === undefined) store.unowned.noteStale()
  return cancelled
}

/** Cancels those of some Tasks that are live. */
export const cancelTasks = (
  store: Store,
  tasks: ReadonlyArray<Task>,
  cause: CancelCause,
  now: EpochMillis
): ReadonlyArray<CancelledTask> => tasks.flatMap((task) => cancelTask(store, task, cause, now) ?? [])

const liveOf = (store: Store, entry: ScheduleEntry | undefined): ReadonlyArray<Task> =>
  entry === undefined ? [] : Array.from(entry.live, (id) => store.tasks.get(id) as Task)

/** Cancels one Task, and has its occurrence followed. */
const cancelOne = (
  store: Store,
  id: TaskId,
  successor: Successor | undefined,
  canceller: Lease,
  now: EpochMillis
): Cancelled => {
  const task = store.tasks.get(id)
  const cancelled = task && cancelTask(store, task, "task", now)
  if (cancelled === undefined) return nothing
  const entry = store.scheduleOf(cancelled)
  const next = entry && store.followed(entry, follow(entry.schedule, cancelled, successor, now), canceller)
  freeNext(store, cancelled, now)
  return { tasks: [cancelled], schedules: [], next }
}

/** From here on it gets no other occurrence; `undefined` if it has ended already. */
const endSchedule = (entry: ScheduleEntry): TaskSchedule | undefined => {
  if (entry.schedule.status !== "Active") return undefined
  entry.schedule = { ...entry.schedule, status: "Cancelled", revision: entry.schedule.revision + 1 }
  return entry.schedule
}

const cancelSchedule = (store: Store, id: TaskScheduleId, now: EpochMillis): Cancelled => {
  const entry = store.schedules.get(id)
  const ended = entry && endSchedule(entry)
  const tasks = cancelTasks(store, liveOf(store, entry), "schedule", now)
  return { tasks, schedules: ended === undefined ? [] : [ended], next: undefined }
}

const removeSchedule = (store: Store, id: TaskScheduleId, now: EpochMillis): void => {
  store.schedules.delete(id)
  store.keys.noteRemoved(id, now)
  for (const backfill of store.backfills.values()) {
    if (backfill.scheduleId === id) store.backfills.delete(backfill.id)
  }
}

const cancelBackfill = (store: Store, id: BackfillId, now: EpochMillis): Cancelled => {
  const backfill = store.backfills.get(id)
  if (backfill === undefined) return nothing
  store.backfills.set(id, { ...backfill, cancelledAt: backfill.cancelledAt ?? now })
  const live = liveOf(store, store.schedules.get(backfill.scheduleId))
  const tasks = cancelTasks(store, live.filter((task) => task.origin === originOf(id)), "backfill", now)
  return { tasks, schedules: [], next: undefined }
}

const cancelMatching = (
  store: Store,
  cause: CancelCause,
  now: EpochMillis,
  matches: (work: Task | TaskSchedule) => boolean
): Cancelled => {
  const schedules: Array<TaskSchedule> = []
  for (const entry of store.schedules.values()) {
    const ended = matches(entry.schedule) ? endSchedule(entry) : undefined
    if (ended !== undefined) schedules.push(ended)
  }
  const tasks: Array<CancelledTask> = []
  for (const task of store.tasks.values()) {
    const cancelled = matches(task) ? cancelTask(store, task, cause, now) : undefined
    if (cancelled !== undefined) tasks.push(cancelled)
  }
  return { tasks, schedules, next: undefined }
}

export const cancelWork = (store: Store, lease: Lease, target: CancelTarget, now: EpochMillis): Cancelled => {
  switch (target._tag) {
    case "Task":
      return cancelOne(store, target.id, target.successor, lease, now)
    case "Schedule": {
      const cancelled = cancelSchedule(store, target.id, now)
      if (target.remove === true) removeSchedule(store, target.id, now)
      return cancelled
    }
    case "Backfill":
      return cancelBackfill(store, target.id, now)
    case "Function":
      return cancelMatching(store, "function", now, (work) => work.function.name === target.name)
    case "Named":
      return cancelMatching(store, "name", now, (work) => work.name === target.name)
  }
}

/** Stores a schedule with its first occurrence. */
import { TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { ClaimOnInsert, IdempotencyKey, InsertScheduleVerdict } from "../../ports/TaskRepository.ts"
import { storeTask } from "./insertTasks.ts"
import type { Store } from "./Store.ts"

export const insertSchedule = (
  store: Store,
  schedule: TaskSchedule,
  first: ScheduledTask,
  claim: ClaimOnInsert | undefined,
  key: IdempotencyKey | undefined
): InsertScheduleVerdict => {
  const before = store.keys.find(key)
  if (before?._tag === "Conflict") return { _tag: "Conflict", id: before.id }
  const id = before === undefined ? schedule.id : TaskScheduleId.make(before.id)
  const present = store.schedules.get(id)
  if (present === undefined && before !== undefined) return { _tag: "Gone", id }
  store.keys.note(key, id)
  if (present !== undefined) return { _tag: "Present", schedule: present.schedule }
  store.schedules.set(schedule.id, { schedule, live: new Set(), underWay: new Set() })
  return { _tag: "Inserted", schedule, first: storeTask(store, first, claim) }
}

/** Backfills; how far they are is counted from their Tasks. */
import type { Backfill } from "../../domain/Backfill.ts"
import { originOf } from "../../domain/Backfill.ts"
import type { TaskScheduleId } from "../../domain/Ids.ts"
import type { BackfillCounts } from "../../ports/TaskRepository.ts"
import { mostBackfills } from "../../ports/TaskRepository.ts"
import type { Store } from "./Store.ts"

/** @returns whether there was none of its id */
export const insertBackfill = ({ backfills }: Store, backfill: Backfill): boolean => {
  if (backfills.has(backfill.id)) return false
  backfills.set(backfill.id, backfill)
  return true
}

export const listBackfills = ({ backfills }: Store, id: TaskScheduleId): ReadonlyArray<Backfill> =>
  [...backfills.values()].filter(({ scheduleId }) => scheduleId === id)
    .sort((left, right) => left.id < right.id ? 1 : -1).slice(0, mostBackfills)

export const countBackfill = ({ tasks }: Store, { id, scheduleId }: Backfill): BackfillCounts => {
  const counts = { Scheduled: 0, Running: 0, Succeeded: 0, Failed: 0, Cancelled: 0, Skipped: 0 }
  for (const task of tasks.values()) {
    if (task.scheduleId === scheduleId && task.origin === originOf(id)) counts[task.status]++
  }
  return counts
}

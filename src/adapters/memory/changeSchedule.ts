/** Changes a schedule together with its occurrences that have not begun. */
import type { TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask, Task } from "../../domain/Task.ts"
import { isByRule } from "../../domain/Task.ts"
import type { ClaimOnInsert, ScheduleChange, ScheduleChanged, ScheduleFound } from "../../ports/TaskRepository.ts"
import { insertBackfill } from "./backfills.ts"
import { insertTask, storeTask } from "./insertTasks.ts"
import type { ScheduleEntry, Store } from "./Store.ts"

const waitingOf = (store: Store, { live }: ScheduleEntry): ReadonlyArray<ScheduledTask> => {
  const isWaiting = (task: Task | undefined): task is ScheduledTask =>
    task?.status === "Scheduled" && task.attempts.length === 0 && isByRule(task)
  return Array.from(live, (id) => store.tasks.get(id)).filter(isWaiting)
    .sort((left, right) => left.nominalAt - right.nominalAt)
}

export const changeSchedule = <A>(
  store: Store,
  id: TaskScheduleId,
  claim: ClaimOnInsert | undefined,
  change: (found: ScheduleFound | undefined) => ScheduleChange<A>
): ScheduleChanged<A> => {
  const entry = store.schedules.get(id)
  const changed = change(entry && { schedule: entry.schedule, waiting: waitingOf(store, entry) })
  if (entry !== undefined && changed.schedule !== undefined) entry.schedule = changed.schedule
  const tasks = (changed.tasks ?? []).map((task) => storeTask(store, task, claim))
  store.unowned.noteStale(tasks.length)
  // A backfill that is there has its Tasks, or had them.
  const isNew = changed.backfill === undefined || insertBackfill(store, changed.backfill)
  const inserted = (isNew ? changed.inserts ?? [] : []).map((task, index) =>
    insertTask(store, task, claim, index === 0 ? changed.key : undefined)
  )
  return { answer: changed.answer, tasks, inserted }
}

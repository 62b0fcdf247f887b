/** Looking: Tasks and schedules in pages, and how many there are. */
import { Effect, Schema } from "effect"
import { InvalidInput } from "../../domain/Errors.ts"
import { TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { Task } from "../../domain/Task.ts"
import { isByRule, isFinished } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { shown } from "../../domain/Time.ts"
import { ofAll } from "../../policies/caps.ts"
import type { Backlog, Page, PageRequest, TaskFilter, TaskScheduleFilter } from "../../ports/TaskRepository.ts"
import { mostCounted } from "../../ports/TaskRepository.ts"
import { isInstanceAlive } from "./leases.ts"
import type { Store } from "./Store.ts"

const parseCursor =
  <Id extends string>(isId: (cursor: unknown) => cursor is Id) =>
  ({ cursor }: PageRequest): Effect.Effect<Id | undefined, InvalidInput> =>
    cursor === undefined || isId(cursor)
      ? Effect.succeed(cursor)
      : Effect.fail(
        new InvalidInput({
          reason: "CursorInvalid",
          field: "cursor",
          message: `cursor: expected one that a page before has given, got ${shown(cursor)}`
        })
      )

export const parseTaskCursor = parseCursor(Schema.is(TaskId))
export const parseScheduleCursor = parseCursor(Schema.is(TaskScheduleId))

const hasTags = (
  subject: { readonly tags: Readonly<Record<string, string>> },
  tags: Readonly<Record<string, string>> | undefined
): boolean =>
  tags === undefined ||
  Object.keys(tags).every((key) => Object.hasOwn(subject.tags, key) && subject.tags[key] === tags[key])

const failureMatches = ({ failureReason, redriven }: TaskFilter, task: Task): boolean =>
  (failureReason === undefined && redriven === undefined) ||
  (task.status === "Failed" &&
    (failureReason === undefined || failureReason.includes(task.failure.reason)) &&
    (redriven === undefined || redriven === (task.redrivenAs !== undefined)))

const finishedAt = (task: Task): EpochMillis => isFinished(task) ? task.finishedAt : NaN

export const taskMatches = (filter: TaskFilter) => (task: Task): boolean =>
  (filter.ids === undefined || filter.ids.includes(task.id)) &&
  (filter.scheduleId === undefined || task.scheduleId === filter.scheduleId) &&
  (filter.origin === undefined || task.origin === filter.origin) &&
  (filter.name === undefined || task.name === filter.name) &&
  (filter.functionName === undefined || task.function.name === filter.functionName) &&
  (filter.status === undefined || filter.status.includes(task.status)) &&
  (filter.dueFrom === undefined || task.dueAt >= filter.dueFrom) &&
  (filter.dueBefore === undefined || task.dueAt < filter.dueBefore) &&
  (filter.finishedFrom === undefined || finishedAt(task) >= filter.finishedFrom) &&
  (filter.finishedBefore === undefined || finishedAt(task) < filter.finishedBefore) &&
  failureMatches(filter, task) &&
  hasTags(task, filter.tags)

const scheduleMatches = (filter: TaskScheduleFilter) => ({ schedule }: { readonly schedule: TaskSchedule }): boolean =>
  (filter.name === undefined || schedule.name === filter.name) &&
  (filter.functionName === undefined || schedule.function.name === filter.functionName) &&
  (filter.status === undefined || filter.status.includes(schedule.status)) &&
  hasTags(schedule, filter.tags)

export const listTasks = (
  { tasks }: Store,
  filter: TaskFilter,
  limit: number,
  below: TaskId | undefined
): Page<Task> => tasks.page(below, limit, taskMatches(filter))

export const listSchedules = (
  { schedules }: Store,
  filter: TaskScheduleFilter,
  limit: number,
  below: TaskScheduleId | undefined
): Page<TaskSchedule> => {
  const { cursor, items } = schedules.page(below, limit, scheduleMatches(filter))
  return { items: items.map(({ schedule }) => schedule), cursor }
}

/** To find dead letters is not to walk through all Tasks there are. */
export function* deadLetters({ failed, tasks }: Store): Iterable<Task> {
  for (const id of failed) yield tasks.get(id) as Task
}

export const countTasks = (store: Store, filter: TaskFilter): number => {
  const matches = taskMatches(filter)
  const onlyFailed = filter.status?.every((status) => status === "Failed") === true
  let count = 0
  for (const task of onlyFailed ? deadLetters(store) : store.tasks.values()) {
    if (matches(task) && ++count === mostCounted) break
  }
  return count
}

/** As in every store, what runs under a lease that has ended counts no more. */
export const countRunning = (store: Store, functionName: string, now: EpochMillis): number => {
  let running = 0
  for (const id of store.running) {
    const task = store.tasks.get(id)
    if (task?.owner === undefined || !isInstanceAlive(store, task.owner, now)) continue
    if (functionName === ofAll || task.function.name === functionName) running++
  }
  return running
}

export const latestOccurrence = (store: Store, id: TaskScheduleId, upTo: EpochMillis): Task | undefined => {
  let latest: Task | undefined
  for (const task of store.tasks.values()) {
    const isOne = task.scheduleId === id && isByRule(task) && task.nominalAt <= upTo
    if (isOne && task.nominalAt > (latest?.nominalAt ?? -Infinity)) latest = task
  }
  return latest
}

export const backlog = ({ unowned }: Store, now: EpochMillis): Backlog => {
  const oldestDueAt = unowned.first?.claimableAt
  const due = unowned.values().filter((task) => task.claimableAt <= now && unowned.isCurrent(task)).length
  return { due, oldestDueAt: due === 0 ? undefined : oldestDueAt }
}

export const cancelledOf = ({ tasks }: Store, ids: ReadonlyArray<TaskId>): ReadonlyArray<TaskId> =>
  ids.filter((id) => tasks.get(id)?.status === "Cancelled")

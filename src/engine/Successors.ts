/** Plans what follows an occurrence; the store decides whether it is stored. */
import type { Context } from "effect"
import { Effect, Exit, Option } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { InstanceId, TaskId, TaskScheduleId } from "../domain/Ids.ts"
import type { ScheduledTask, Task } from "../domain/Task.ts"
import type { Successor, TaskSchedule } from "../domain/TaskSchedule.ts"
import { nextOccurrence, occurrence, successorIsStoredAt } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { TaskRepository } from "../ports/TaskRepository.ts"

/**
 * @param task any Task; a one-shot has no successor
 * @param moment what is about to be stored of it; one that is over before it has run (`cancel`: cancelled or expired) is
 * followed whatever the rule
 * @param now epoch milliseconds
 */
export type PlanSuccessor = (
  task: Pick<Task, "scheduleId" | "nominalAt" | "attempts">,
  moment: "start" | "end" | "cancel",
  now: EpochMillis
) => Effect.Effect<Successor | undefined, TaskRepositoryError>

/**
 * What the store has put after an occurrence, when the reply that told of it was lost; `undefined` when there is nothing
 * for this writer to do about it.
 */
export const findSuccessor = (
  repository: Context.Tag.Service<TaskRepository>,
  successor: Successor | undefined,
  writer: InstanceId
): Effect.Effect<ScheduledTask | undefined, TaskRepositoryError> =>
  successor?.task === undefined ? noSuccessor : Effect.map(repository.get(successor.task.id), (found) => {
    const next = Option.getOrUndefined(found)
    return next?.status === "Scheduled" && (next.owner === undefined || next.owner === writer) ? next : undefined
  })

export const noSuccessor: Effect.Effect<undefined> = Exit.succeed(undefined)

/**
 * @param claimUntil up to when what follows is kept by its writer
 * @param held a schedule as it was when its fiber began. Good enough for a start: what changes a rule takes the occurrences
 * that have not started from whoever holds them.
 */
export const makePlanSuccessor = (
  repository: Context.Tag.Service<TaskRepository>,
  nextId: Effect.Effect<string>,
  claimUntil: (now: EpochMillis) => EpochMillis,
  held: (id: TaskScheduleId) => TaskSchedule | undefined
): PlanSuccessor =>
(task, moment, now) => {
  // A later attempt of an occurrence has been followed already.
  if (task.scheduleId === undefined || (moment === "start" && task.attempts.length > 0)) return noSuccessor
  const known = moment === "start" ? held(task.scheduleId) : undefined
  return Effect.flatMap(
    known === undefined ? repository.getSchedule(task.scheduleId) : Effect.succeedSome(known),
    Option.match({
      onNone: () => noSuccessor,
      onSome: (schedule) => {
        if (moment !== "cancel" && successorIsStoredAt(schedule.recurrence) !== moment) return noSuccessor
        const next = nextOccurrence(schedule.recurrence, task.nominalAt, now)
        return Effect.map(nextId, (id): Successor => ({
          task: next.nominalAt === undefined ? undefined : occurrence(schedule, id as TaskId, next.nominalAt, now),
          missed: next.missed,
          revision: schedule.revision,
          claimUntil: claimUntil(now)
        }))
      }
    })
  )
}

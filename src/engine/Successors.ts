/** Plans what follows an occurrence; the store decides whether it is stored. */
import type { Context } from "effect"
import { Effect, Exit, Option } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { InstanceId, TaskId, TaskScheduleId } from "../domain/Ids.ts"
import { isBuffering } from "../domain/Overlap.ts"
import type { ScheduledTask, SkippedTask, Task } from "../domain/Task.ts"
import { isByRule, laneOf } from "../domain/Task.ts"
import type { Skip } from "../domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../domain/TaskSchedule.ts"
import { instantAfter, occurrence, successorIsStoredAt } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { Passed, Planned } from "../policies/catchUp.ts"
import { missedOf, planAfter, planFrom } from "../policies/catchUp.ts"
import type { TaskRepository } from "../ports/TaskRepository.ts"

/** What a plan is made for. */
export type Followed = Pick<Task, "scheduleId" | "origin" | "nominalAt" | "dueAt" | "attempts">

export interface PlanSuccessor {
  /**
   * @param task any Task; a one-shot has no successor, and what was asked for by hand only that of a run it replaces
   * @param moment what is about to be stored of it; `over`: it is so before it has run, cancelled or expired
   * @param now epoch milliseconds
   * @param id of what follows; default: a new one
   */
  readonly of: (
    task: Followed,
    moment: "start" | "over",
    now: EpochMillis,
    id?: TaskId
  ) => Effect.Effect<Successor | undefined, TaskRepositoryError>
  /** What is to be stored with the end of a run. */
  readonly atEnd: (task: Followed, now: EpochMillis) => Effect.Effect<PlannedEnd, TaskRepositoryError>
}

export interface PlannedEnd {
  readonly successor: Successor | undefined
  /** Whether its schedule is to know of the end. */
  readonly tells: boolean
}

/**
 * What the store has put after an occurrence, when the reply that told of it was lost; `undefined` when there is nothing
 * for this writer to do about it.
 */
export const findSuccessor = (
  repository: Context.Tag.Service<TaskRepository>,
  successor: Successor | undefined,
  writer: InstanceId
): Effect.Effect<ScheduledTask | undefined, TaskRepositoryError> => {
  const id = successor?.task?.id ?? successor?.id
  return id === undefined ? noSuccessor : Effect.map(repository.get(id), (found) => {
    const next = Option.getOrUndefined(found)
    return next?.status === "Scheduled" && (next.owner === undefined || next.owner === writer) ? next : undefined
  })
}

const noSuccessor: Effect.Effect<undefined> = Exit.succeed(undefined)
const nothing: PlannedEnd = { successor: undefined, tells: false }

/** An end that concerns nobody else. */
export const noEnd: Effect.Effect<PlannedEnd> = Exit.succeed(nothing)

/** What is asked for by hand may end a run of the rule by taking its place; then that is to be followed. */
const mayReplace = (task: Followed, moment: "start" | "over"): boolean =>
  moment === "start" && laneOf(task) === "schedule"

const skipOf = ({ count, last, note, reason }: Passed): Skip => ({
  skipped: reason,
  range: count === 1 ? undefined : { count, last },
  note
})

/** The record of occurrences that nobody has made, and that are passed over. */
const recordOf = (schedule: TaskSchedule, id: TaskId, passed: Passed, now: EpochMillis): SkippedTask => ({
  ...occurrence(schedule, id, passed.first, now),
  status: "Skipped",
  finishedAt: now,
  ...skipOf(passed)
})

/** Whether what waits for others, or counts failures, is to be told of an occurrence's end. */
const tellsOf = (schedule: TaskSchedule, task: Followed): boolean =>
  !isByRule(task) || isBuffering(schedule.overlap) || schedule.pauseAfterFailures !== undefined

/** @returns `own`: why the occurrence itself does not run */
const plan = (
  schedule: TaskSchedule,
  nominalAt: EpochMillis,
  moment: "start" | "over",
  now: EpochMillis
): Planned & { readonly own: Passed | undefined } => {
  if (moment === "over" || schedule.recurrence._tag === "Spaced") {
    return { ...planAfter(schedule, nominalAt, now), own: undefined }
  }
  const fromItself = planFrom(schedule, nominalAt, now)
  if (fromItself.next !== nominalAt) {
    const [own, ...passed] = fromItself.passed
    return { own, passed, next: fromItself.next }
  }
  return { ...planFrom(schedule, instantAfter(schedule.recurrence, nominalAt), now), own: undefined }
}

/**
 * @param claimUntil up to when what follows is kept by its writer
 * @param held a schedule as it was when its fiber began. Good enough for a start in time: what changes a rule takes the
 * occurrences that have not started from whoever holds them. What is late may have been paused meanwhile.
 */
export const makePlanSuccessor = (
  repository: Context.Tag.Service<TaskRepository>,
  nextId: Effect.Effect<string>,
  claimUntil: (now: EpochMillis) => EpochMillis,
  held: (id: TaskScheduleId) => TaskSchedule | undefined
): PlanSuccessor => {
  const newId = nextId as Effect.Effect<TaskId>

  const successorOf = (
    schedule: TaskSchedule,
    task: Followed,
    moment: "start" | "over",
    now: EpochMillis,
    id: TaskId | undefined
  ): Effect.Effect<Successor> => {
    const { next, own, passed } = plan(schedule, task.nominalAt, moment, now)
    const records = passed.length === 0
      ? Exit.succeed([])
      : Effect.forEach(passed, (each) => Effect.map(newId, (id) => recordOf(schedule, id, each, now)))
    // In order of time, as they will be listed.
    return Effect.zipWith(records, id === undefined ? newId : Exit.succeed(id), (records, id): Successor => ({
      task: next === undefined ? undefined : occurrence(schedule, id, next, now),
      id,
      skip: own && skipOf(own),
      passed: records,
      missed: missedOf(own === undefined ? passed : [own, ...passed]),
      revision: schedule.revision,
      claimUntil: claimUntil(now)
    }))
  }

  return {
    of: (task, moment, now, id) => {
      // A later attempt of an occurrence has been followed already.
      const isFollowed = moment === "start" && task.attempts.length > 0
      if (task.scheduleId === undefined || isFollowed || !(isByRule(task) || mayReplace(task, moment))) {
        return noSuccessor
      }
      const known = moment === "start" && now <= task.dueAt ? held(task.scheduleId) : undefined
      return Effect.flatMap(
        known === undefined ? repository.getSchedule(task.scheduleId) : Effect.succeedSome(known),
        Option.match({
          onNone: () => noSuccessor,
          onSome: (schedule) =>
            isByRule(task) || successorIsStoredAt(schedule.recurrence) === "end"
              ? successorOf(schedule, task, moment, now, id)
              : noSuccessor
        })
      )
    },
    atEnd: (task, now) =>
      task.scheduleId === undefined
        ? noEnd
        : Effect.flatMap(
          repository.getSchedule(task.scheduleId),
          Option.match({
            onNone: () => noEnd,
            onSome: (schedule): Effect.Effect<PlannedEnd> => {
              const tells = tellsOf(schedule, task)
              return isByRule(task) && successorIsStoredAt(schedule.recurrence) === "end"
                ? Effect.map(
                  successorOf(schedule, task, "over", now, undefined),
                  (successor) => ({ successor, tells })
                )
                : Exit.succeed({ successor: undefined, tells })
            }
          })
        )
  }
}

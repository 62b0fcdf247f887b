/** What a start mark and the end of an occurrence do to their schedule: pure, the same for every store. */
import type { InstanceId } from "../domain/Ids.ts"
import type { CancelledTask, FailedTask, RunningTask, ScheduledTask, SkippedTask, Task } from "../domain/Task.ts"
import { isByRule, isExpired } from "../domain/Task.ts"
import * as TaskLifecycle from "../domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../domain/TaskSchedule.ts"
import { advance, countRun, isAtCursor, occurrence, pausedUntil, successorIsStoredAt } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { missedOf, planAfter } from "./catchUp.ts"
import { noteEnd } from "./failures.ts"
import type { Others } from "./overlap.ts"
import { lookAgainAt, onOverlap } from "./overlap.ts"

/** A schedule after something has happened to one of its occurrences, and what is to be stored with it. */
export interface Followed {
  readonly schedule: TaskSchedule
  readonly next: PlannedOccurrence | undefined
  readonly passed: ReadonlyArray<SkippedTask>
}

/** An occurrence to be stored: its writer keeps it if it becomes claimable by `claimUntil`. */
export interface PlannedOccurrence {
  readonly task: ScheduledTask
  readonly claimUntil: EpochMillis
}

/**
 * What was planned before its schedule was edited is planned anew, by the rule as it is: nobody comes a second time to store
 * what follows an end. Of what is passed over then, only the number is kept.
 */
const byTheRule = (
  schedule: TaskSchedule,
  { nominalAt }: Pick<Task, "nominalAt">,
  successor: Successor,
  now: EpochMillis
): Successor => {
  const id = successor.task?.id ?? successor.id
  if (successor.revision === schedule.revision || id === undefined) return successor
  const { next, passed } = planAfter(schedule, nominalAt, now)
  const task = next === undefined ? undefined : occurrence(schedule, id, next, now)
  return { ...successor, task, passed: [], missed: missedOf(passed), revision: schedule.revision }
}

/** Whether an occurrence's planned successor is stored now, and what becomes of the schedule. */
export const follow = (
  schedule: TaskSchedule,
  occurrence: Task,
  successor: Successor | undefined,
  now: EpochMillis
): Followed => {
  if (successor === undefined) return { schedule, next: undefined, passed: [] }
  const planned = byTheRule(schedule, occurrence, successor, now)
  const { next, passed, schedule: advanced } = advance(schedule, occurrence, planned, now)
  return { schedule: advanced, next: next && { task: next, claimUntil: successor.claimUntil }, passed }
}

/**
 * What follows once others have had to give their place: of a `spaced` schedule, the end of the latest run is now.
 *
 * @param successor of whoever has taken their place
 */
export const followReplaced = (
  schedule: TaskSchedule,
  replaced: ReadonlyArray<Task>,
  successor: Successor | undefined,
  now: EpochMillis
): Followed | undefined => {
  const latest = replaced.find((task) => isAtCursor(schedule, task))
  return latest === undefined || successorIsStoredAt(schedule.recurrence) === "start"
    ? undefined
    : follow(schedule, latest, successor, now)
}

/** A start mark that was accepted; `followed` is absent where no schedule is concerned. */
export interface Begun {
  /**
   * One that is not running is over: skipped, or failed because it has expired. One that is scheduled waits for its turn
   * and is nobody's.
   */
  readonly task: RunningTask | ScheduledTask | SkippedTask | FailedTask
  readonly followed: Followed | undefined
  /** Whether the others that are under way are to be cancelled. */
  readonly replaces: boolean
}

/** A Task's schedule, and what the Task shares its turn with. */
export interface ScheduleState {
  readonly schedule: TaskSchedule
  readonly others: Others
}

/** What holds for a Task of a schedule. */
export const overlapOf = (task: Pick<Task, "overlap">, schedule: TaskSchedule) => task.overlap ?? schedule.overlap

/**
 * Accepts a start mark, has the occurrence wait or skips it by its schedule's policies, ends a Task whose deadline has
 * passed, or refuses the mark (`undefined`).
 *
 * @param state `undefined` for a one-shot
 * @param now epoch milliseconds
 */
export const begin = (
  task: Task,
  state: ScheduleState | undefined,
  owner: InstanceId,
  mark: { readonly token: number; readonly successor: Successor | undefined },
  now: EpochMillis
): Begun | undefined => {
  const started = TaskLifecycle.start(task, owner, mark.token, now)
  if (started === undefined) return undefined
  const accepted = (task: Begun["task"] | undefined, followed?: Followed): Begun | undefined =>
    task && { task, followed, replaces: false }
  const { successor } = mark
  const isFirst = state !== undefined && task.attempts.length === 0
  const isFirstByRule = isFirst && isByRule(task)
  // Planned under a rule that no longer holds: it must not run, nor be followed by what was planned.
  if (isFirst && successor !== undefined && successor.revision !== state.schedule.revision) return undefined
  // What is passed over is told as that, also past its deadline: its record may stand for those after it.
  const passedOver = isFirstByRule && isAtCursor(state.schedule, task) ? successor?.skip : undefined
  if (passedOver === undefined && isExpired(task, now)) {
    const expired = TaskLifecycle.expire(task, owner, mark.token, now)
    return expired && accepted(expired, state && follow(noteEnd(state.schedule, expired), task, successor, now))
  }
  // A later attempt of an occurrence is no further run, and has been followed already.
  if (state === undefined || task.attempts.length > 0) return accepted(started)

  const { others, schedule } = state
  const wait = (until: EpochMillis) => TaskLifecycle.release(task, mark.token, until)
  const goesOnAt = isFirstByRule ? pausedUntil(schedule, now) : undefined
  if (goesOnAt !== undefined) return accepted(wait(goesOnAt))
  if (passedOver !== undefined) {
    const skipped = TaskLifecycle.skip(task, owner, mark.token, passedOver, now)
    return accepted(skipped, follow(schedule, task, successor, now))
  }
  const counted = isAtCursor(schedule, task) ? countRun(schedule) : schedule
  const isFollowedNow = successorIsStoredAt(schedule.recurrence) === "start"
  const goOn = (from: TaskSchedule) =>
    isFollowedNow ? follow(from, task, successor, now) : { schedule: from, next: undefined, passed: [] }
  switch (onOverlap(overlapOf(task, schedule), others)) {
    case "start":
      return accepted(started, goOn(counted))
    case "replace":
      return { task: started, followed: goOn(counted), replaces: true }
    case "wait":
      // What runs later and is followed now counts now: no more may be stored than are to run.
      return accepted(wait(lookAgainAt(task.dueAt, now)), isFollowedNow ? goOn(counted) : undefined)
    case "skip": {
      const why = { skipped: "overlap", range: undefined, note: undefined } as const
      return accepted(
        TaskLifecycle.skip(task, owner, mark.token, why, now),
        follow(schedule, task, successor, now)
      )
    }
  }
}

/** What a start mark that was accepted is told as. */
export const begunKinds = { Running: "started", Scheduled: undefined, Skipped: "skipped", Failed: "failed" } as const

/** What its writer is told. */
export const verdictOn = <Next>(task: Begun["task"], next: Next, cancelled: ReadonlyArray<CancelledTask>) => {
  switch (task.status) {
    case "Running":
      return cancelled.length === 0
        ? { _tag: "Started", task, next } as const
        : { _tag: "Started", task, next, cancelled } as const
    case "Scheduled":
      return { _tag: "Waits", task, next } as const
    case "Skipped":
      return { _tag: "Skipped", task, next } as const
    case "Failed":
      return { _tag: "Expired", task, next } as const
  }
}

/** An occurrence as it is stored: claimed by its writer if it becomes claimable soon enough. */
export const asStored = ({ claimUntil, task }: PlannedOccurrence, writer: InstanceId | undefined): ScheduledTask =>
  (writer !== undefined && task.claimableAt <= claimUntil ? TaskLifecycle.claim(task, writer) : undefined) ?? task

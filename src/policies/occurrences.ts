/** What a start mark and the end of an occurrence do to their schedule: pure, the same for every store. */
import type { InstanceId } from "../domain/Ids.ts"
import type { FailedTask, RunningTask, ScheduledTask, SkippedTask, Task } from "../domain/Task.ts"
import { isExpired } from "../domain/Task.ts"
import * as TaskLifecycle from "../domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../domain/TaskSchedule.ts"
import { advance, countRun } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { onOverlap } from "./overlap.ts"

/** A schedule after something has happened to one of its occurrences, and the occurrence to be stored with it. */
export interface Followed {
  readonly schedule: TaskSchedule
  readonly next: PlannedOccurrence | undefined
}

/** An occurrence to be stored: its writer keeps it if it becomes claimable by `claimUntil`. */
export interface PlannedOccurrence {
  readonly task: ScheduledTask
  readonly claimUntil: EpochMillis
}

/** Whether an occurrence's planned successor is stored now, and what becomes of the schedule. */
export const follow = (schedule: TaskSchedule, occurrence: Task, successor: Successor | undefined): Followed => {
  if (successor === undefined) return { schedule, next: undefined }
  const { next, schedule: advanced } = advance(schedule, occurrence.nominalAt, successor)
  return { schedule: advanced, next: next && { task: next, claimUntil: successor.claimUntil } }
}

/** A start mark that was accepted; `followed` is absent where no schedule is concerned. */
export interface Begun {
  /** One that is not running is over: skipped, or failed because it has expired. */
  readonly task: RunningTask | SkippedTask | FailedTask
  readonly followed: Followed | undefined
}

/**
 * Accepts a start mark, skips the occurrence by its schedule's overlap rule, ends a Task whose deadline has passed, or
 * refuses the mark (`undefined`).
 *
 * @param state the Task's schedule and how many other occurrences of it have begun and not ended; `undefined` for a
 * one-shot
 * @param now epoch milliseconds
 */
export const begin = (
  task: Task,
  state: { readonly schedule: TaskSchedule; readonly othersUnderWay: number } | undefined,
  owner: InstanceId,
  mark: { readonly token: number; readonly successor: Successor | undefined },
  now: EpochMillis
): Begun | undefined => {
  const started = TaskLifecycle.start(task, owner, mark.token, now)
  if (started === undefined) return undefined
  if (isExpired(task, now)) {
    const expired = TaskLifecycle.expire(task, owner, mark.token, now)
    return expired && { task: expired, followed: state && follow(state.schedule, task, mark.successor) }
  }
  // A later attempt of an occurrence is no further run, and has been followed already.
  if (state === undefined || task.attempts.length > 0) return { task: started, followed: undefined }
  const { othersUnderWay, schedule } = state
  if (onOverlap(schedule.recurrence, othersUnderWay) === "skip") {
    const skipped = TaskLifecycle.skip(task, owner, mark.token, "overlap", now)
    return skipped && { task: skipped, followed: follow(schedule, task, mark.successor) }
  }
  return { task: started, followed: follow(countRun(schedule), task, mark.successor) }
}

/** What a start mark that was accepted is told as. */
export const begunKinds = { Running: "started", Skipped: "skipped", Failed: "failed" } as const

/** What its writer is told. */
export const verdictOn = <Next>(task: Begun["task"], next: Next) => {
  switch (task.status) {
    case "Running":
      return { _tag: "Started", task, next } as const
    case "Skipped":
      return { _tag: "Skipped", task, next } as const
    case "Failed":
      return { _tag: "Expired", task, next } as const
  }
}

/** An occurrence as it is stored: claimed by its writer if it becomes claimable soon enough. */
export const asStored = ({ claimUntil, task }: PlannedOccurrence, writer: InstanceId | undefined): ScheduledTask =>
  (writer !== undefined && task.claimableAt <= claimUntil ? TaskLifecycle.claim(task, writer) : undefined) ?? task

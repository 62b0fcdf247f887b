/** Pauses a schedule of which too many occurrences in a row have failed for good: pure. */
import type { FinishedTask, Task } from "../domain/Task.ts"
import { isByRule } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { pausedUntil } from "../domain/TaskSchedule.ts"

/** Who pauses a schedule by itself. */
export const automatic = "effect-lambda-scheduler"

/**
 * A schedule once one of its occurrences has ended. What was cancelled, skipped or asked for by hand tells nothing.
 *
 * @example
 * noteEnd({ ...schedule, pauseAfterFailures: 3, failures: 2 }, failed).pause // { since, by, note: "3 failures ..." }
 */
export const noteEnd = (schedule: TaskSchedule, task: Task): TaskSchedule => {
  if (schedule.pauseAfterFailures === undefined || !isByRule(task)) return schedule
  if (task.status === "Succeeded") return schedule.failures === 0 ? schedule : { ...schedule, failures: 0 }
  if (task.status !== "Failed") return schedule
  const failures = schedule.failures + 1
  const isEnough = failures >= schedule.pauseAfterFailures && schedule.status === "Active"
  return !isEnough || pausedUntil(schedule, task.finishedAt) !== undefined
    ? { ...schedule, failures }
    : { ...schedule, failures, pause: pauseFor(failures, task) }
}

const pauseFor = (failures: number, { failure, finishedAt, id }: Extract<FinishedTask, { status: "Failed" }>) => ({
  since: finishedAt,
  by: automatic,
  note: `${failures} failure${failures === 1 ? "" : "s"} in a row; the last is Task ${id}: ${failure.reason}`
})

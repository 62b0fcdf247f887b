/** Gives claimed Tasks to whoever starts them: an occurrence to the fiber of its schedule, all else to the near future. */
import type { Context, Scope } from "effect"
import { Effect, Option, Runtime } from "effect"
import type { TaskId, TaskScheduleId } from "../domain/Ids.ts"
import { isByRule } from "../domain/Task.ts"
import { isAtCursor } from "../domain/TaskSchedule.ts"
import type { Millis } from "../domain/Time.ts"
import type { ClaimedTask, TaskRepository } from "../ports/TaskRepository.ts"
import type { ScheduleDrivers } from "./ScheduleDrivers.ts"
import { untilAvailable } from "./untilAvailable.ts"

export interface DriveOn {
  readonly handOn: (task: ClaimedTask) => void
  /** What is on its way to the fiber of its schedule. */
  readonly known: () => Iterable<TaskId>
}

/**
 * @param offer takes what no fiber has to wait for
 * @param longestWait milliseconds between two questions for a schedule while the store is away
 */
export const makeDriveOn = (
  repository: Context.Tag.Service<TaskRepository>,
  drivers: ScheduleDrivers,
  offer: (task: ClaimedTask) => void,
  longestWait: Millis
): Effect.Effect<DriveOn, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const scope = yield* Effect.scope
    const underWay = new Map<TaskId, ClaimedTask>()

    /** An occurrence that another instance has stored, or that was too far away: from here on this one drives it. */
    const drive = (id: TaskScheduleId, task: ClaimedTask) =>
      untilAvailable("tell a schedule", task.id, longestWait, repository.getSchedule(id)).pipe(
        Effect.map(Option.match({
          onNone: () => offer(task),
          // What has been followed already, and waits for its turn, no fiber waits for.
          onSome: (schedule) => isAtCursor(schedule, task) ? drivers.start(schedule, task) : offer(task)
        })),
        Effect.catchAllCause((cause) =>
          Effect.zipRight(
            Effect.logError("The schedule of an occurrence cannot be read", cause),
            Effect.sync(() => offer(task))
          )
        ),
        Effect.ensuring(Effect.sync(() => underWay.delete(task.id)))
      )

    return {
      handOn: (task) => {
        // A later attempt has been followed already: nobody waits for it.
        if (task.scheduleId === undefined || !isByRule(task) || task.attempts.length > 0) return offer(task)
        underWay.set(task.id, task)
        runFork(drive(task.scheduleId, task), { scope })
      },
      known: () => underWay.keys()
    }
  })

/** Calls of the store that must not be given up because it is away for a while. */
import { Effect } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { TaskId } from "../domain/Ids.ts"
import type { Millis } from "../domain/Time.ts"

const shortestWait: Millis = 50

/**
 * Repeats a call until the store has answered it: after 50 ms, doubling up to the longest wait. The call itself keeps the caller's
 * interruptibility; the waits can be interrupted, because a shutdown must not wait for a store that stays away.
 *
 * @param what what the store did not do, for the log
 * @param longestWait milliseconds; well below a lease, so that what was kept while the store was away is written before
 * anybody may take it over
 * @param onGivenUp called when a wait is interrupted
 *
 * @example
 * untilAvailable("take an outcome", task.id, config.heartbeatInterval, repository.settle(lease, [request]))
 */
export const untilAvailable = <A>(
  what: string,
  taskId: TaskId,
  longestWait: Millis,
  call: Effect.Effect<A, TaskRepositoryError>,
  onGivenUp: () => void = () => {}
): Effect.Effect<A, TaskRepositoryError> => {
  const again = (error: TaskRepositoryError, wait: Millis): Effect.Effect<A, TaskRepositoryError> =>
    error.reason === "Unavailable"
      ? Effect.zipRight(
        Effect.onInterrupt(Effect.interruptible(Effect.sleep(wait)), () => Effect.sync(onGivenUp)),
        Effect.catchAll(call, (error) => again(error, Math.min(2 * wait, longestWait)))
      )
      : Effect.fail(error)
  return Effect.catchAll(call, (error) =>
    Effect.zipRight(
      Effect.logWarning(`The store did not ${what}; trying again`, error).pipe(Effect.annotateLogs({ taskId })),
      again(error, shortestWait)
    ))
}

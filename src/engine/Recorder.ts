/** Writes outcomes: kept and tried again until the store has accepted them or refused them by their token. */
import type { Context } from "effect"
import { Effect, Schedule } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { Lease, SettleRequest, SettleVerdict, TaskRepository } from "../ports/TaskRepository.ts"

/** 50 ms, doubling up to 5 s. */
const backOff = Schedule.exponential("50 millis").pipe(Schedule.union(Schedule.spaced("5 seconds")))

export const makeRecord = (
  repository: Context.Tag.Service<TaskRepository>,
  lease: Lease
): (request: SettleRequest) => Effect.Effect<SettleVerdict, TaskRepositoryError> =>
(request) => {
  const settle = Effect.map(
    Effect.suspend(() => repository.settle(lease, [request])),
    ([verdict]): SettleVerdict => verdict ?? { _tag: "Fenced" }
  )
  return Effect.catchAll(settle, (error) =>
    error.reason === "Unavailable"
      ? Effect.logWarning("The store did not take an outcome; trying again", error).pipe(
        Effect.annotateLogs({ taskId: request.id }),
        Effect.zipRight(
          Effect.retry(settle, { schedule: backOff, while: (failure) => failure.reason === "Unavailable" })
        ),
        // A shutdown whose grace has passed must not wait for a store that stays away.
        Effect.interruptible
      )
      : Effect.fail(error))
}

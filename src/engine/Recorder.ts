/** Writes outcomes: kept and tried again until the store has accepted them or refused them by their token. */
import type { Context } from "effect"
import { Effect, Option } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { RunningTask } from "../domain/Task.ts"
import type { Millis } from "../domain/Time.ts"
import type { Lease, SettleRequest, SettleVerdict, TaskRepository } from "../ports/TaskRepository.ts"
import { findSuccessor } from "./Successors.ts"
import { untilAvailable } from "./untilAvailable.ts"

/** @param request made once the store can be asked what it takes; then the same for every try */
export type Record = (
  lease: Lease,
  task: RunningTask,
  request: Effect.Effect<SettleRequest, TaskRepositoryError>
) => Effect.Effect<SettleVerdict, TaskRepositoryError>

const fenced: SettleVerdict = { _tag: "Fenced" }

/** @param longestWait milliseconds between two tries while the store is away */
export const makeRecord = (repository: Context.Tag.Service<TaskRepository>, longestWait: Millis): Record => {
  /** After a lost reply a refusal may mean that the outcome was accepted the time before. */
  const acceptedBefore = (
    lease: Lease,
    task: RunningTask,
    request: SettleRequest
  ): Effect.Effect<SettleVerdict, TaskRepositoryError> =>
    Effect.gen(function*() {
      const now = Option.getOrUndefined(yield* repository.get(task.id))
      const ended = now?.attempts[task.attempts.length - 1]?.ended
      const isOurs = ended !== undefined && now !== undefined && now.status !== "Running" &&
        now.attempts.length === task.attempts.length && ended.at >= request.end.at &&
        ended.outcome === request.end.outcome && ended.requestId === request.end.requestId
      if (!isOurs) return fenced
      const next = yield* findSuccessor(repository, request.successor, lease.instanceId)
      return { _tag: "Accepted", task: now, next }
    })

  return (lease, task, request) => {
    let asked: SettleRequest | undefined
    const settle = (request: SettleRequest) => {
      const again = asked !== undefined
      asked = request
      return Effect.flatMap(
        repository.settle(lease, [request]),
        ([verdict = fenced]) =>
          verdict._tag === "Fenced" && again ? acceptedBefore(lease, task, request) : Effect.succeed(verdict)
      )
    }
    const attempt = Effect.suspend(() => asked === undefined ? Effect.flatMap(request, settle) : settle(asked))
    return untilAvailable("take an outcome", task.id, longestWait, attempt)
  }
}

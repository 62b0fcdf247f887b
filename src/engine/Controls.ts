/** Keeps this instance up to date with what all instances go by. */
import type { Context, Scope } from "effect"
import { Effect, Queue } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { Control, TaskRepository } from "../ports/TaskRepository.ts"
import { logFailedTick } from "./Chore.ts"

export interface Controls {
  /** A heartbeat has told of which revision the store's controls are. */
  readonly notice: (revision: number) => void
  /** Reads them: once it has answered, whatever was stored before it was asked for is known here. */
  readonly read: Effect.Effect<void, TaskRepositoryError>
}

/** @param learn takes the controls, all of them, whenever one may have changed */
export const makeControls = (
  repository: Context.Tag.Service<TaskRepository>,
  learn: (controls: ReadonlyArray<Control>) => void
): Effect.Effect<Controls, never, Scope.Scope> =>
  Effect.gen(function*() {
    const wake = yield* Queue.sliding<void>(1)
    let known = -1
    // One after the other: an answer that another one has overtaken would bring back what is over, and nothing tells of that.
    const reading = yield* Effect.makeSemaphore(1)
    const read = reading.withPermits(1)(Effect.map(repository.controls, ({ controls, revision }) => {
      known = revision
      learn(controls)
    }))
    const readIfPossible = Effect.catchAllCause(read, (cause) => logFailedTick("controls", cause))
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Queue.take(wake), readIfPossible)))
    Queue.unsafeOffer(wake, undefined)
    return {
      notice: (revision) => {
        if (revision !== known) Queue.unsafeOffer(wake, undefined)
      },
      read
    }
  })

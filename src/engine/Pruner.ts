/** Keeps history within its bounds of age and count. */
import type { Clock, Context, Scope } from "effect"
import { Effect, Queue, Schedule } from "effect"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import { chore } from "./Chore.ts"
import type { EngineSettings } from "./EngineConfig.ts"

/** Tasks removed in one statement. */
const batch = 1_000

export interface Pruner {
  /** Tells that Tasks have finished: pruning by count does not wait for the clock. */
  readonly noteFinished: () => void
}

export const makePruner = (
  repository: Context.Tag.Service<TaskRepository>,
  config: EngineSettings,
  clock: Clock.Clock
): Effect.Effect<Pruner, never, Scope.Scope> =>
  Effect.gen(function*() {
    const wanted = yield* Queue.sliding<void>(1)
    // A tenth above the bound, so that pruning comes in batches.
    const slack = Math.max(1, Math.floor(config.retentionCount / 10))
    let finished = 0

    const prune = Effect.suspend(() =>
      repository.prune({
        now: clock.unsafeCurrentTimeMillis(),
        maxAge: config.retentionAge,
        maxCount: config.retentionCount,
        limit: batch
      })
    ).pipe(Effect.repeat({ while: (removed) => removed === batch, schedule: Schedule.forever }))

    yield* chore("prune", Effect.zipRight(Effect.yieldNow(), prune), Schedule.spaced(config.pruneInterval))
    yield* chore("prune by count", Effect.zipRight(Queue.take(wanted), prune), Schedule.forever)

    return {
      noteFinished: () => {
        finished++
        if (finished < slack) return
        finished = 0
        Queue.unsafeOffer(wanted, undefined)
      }
    }
  })

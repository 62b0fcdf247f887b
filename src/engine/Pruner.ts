/** Keeps history within its bounds of age and count. */
import type { Clock, Context, Scope } from "effect"
import { Effect, Queue, Schedule } from "effect"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import { chore, logFailedTick } from "./Chore.ts"
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
    const tooMany = yield* Queue.sliding<void>(1)
    const first = yield* Queue.sliding<void>(1)
    // A tenth above the bound, so that pruning comes in batches.
    const slack = Math.max(1, Math.floor(config.retentionCount / 10))
    let finished = 0
    let lastFinishedAt = -Infinity

    const prune = Effect.suspend(() =>
      repository.prune({
        now: clock.unsafeCurrentTimeMillis(),
        maxAge: config.retentionAge,
        maxCount: config.retentionCount,
        limit: batch
      })
    ).pipe(Effect.repeat({ while: (removed) => removed === batch, schedule: Schedule.forever }))

    /** By age: every so often while there is anything that can grow too old; an idle engine does not wake for it. */
    const pruneWhileAging = prune.pipe(
      // Here, not by the chore alone: after a failed round the next one comes by the clock, not by a signal.
      Effect.catchAllCause((cause) => logFailedTick("prune by age", cause)),
      Effect.delay(config.pruneInterval),
      Effect.repeat({ until: () => clock.unsafeCurrentTimeMillis() - lastFinishedAt > config.retentionAge })
    )
    yield* chore("prune by age", Effect.zipRight(Queue.take(first), pruneWhileAging), Schedule.forever)
    // A store that others share, or that was there before, holds what this instance has not finished.
    if (repository.shared) yield* chore("prune what is there", prune, Schedule.spaced(config.pruneInterval))
    yield* chore("prune by count", Effect.zipRight(Queue.take(tooMany), prune), Schedule.forever)

    return {
      noteFinished: () => {
        const now = clock.unsafeCurrentTimeMillis()
        if (now - lastFinishedAt > config.retentionAge) Queue.unsafeOffer(first, undefined)
        lastFinishedAt = now
        finished++
        if (finished < slack) return
        finished = 0
        Queue.unsafeOffer(tooMany, undefined)
      }
    }
  })

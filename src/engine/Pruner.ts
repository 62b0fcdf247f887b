/** Keeps history within its bounds of age and count: dead letters within theirs, all else that has ended within others. */
import type { Clock, Context, Scope } from "effect"
import { Effect, Queue, Schedule } from "effect"
import type { FinishedTask } from "../domain/Task.ts"
import type { Millis } from "../domain/Time.ts"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import { chore, logFailedTick } from "./Chore.ts"
import type { EngineSettings } from "./EngineConfig.ts"

/** Tasks removed in one statement. */
const batch = 1_000

export interface Pruner {
  /** Tells that a Task has finished: pruning by count does not wait for the clock. */
  readonly noteFinished: (task: FinishedTask) => void
}

/** What is kept of one kind. */
const kept = (maxAge: Millis, maxCount: number) => ({
  maxAge,
  // A tenth above the bound, so that pruning comes in batches.
  slack: Math.max(1, Math.floor(maxCount / 10)),
  finished: 0,
  lastFinishedAt: -Infinity
})

export const makePruner = (
  repository: Context.Tag.Service<TaskRepository>,
  config: EngineSettings,
  clock: Clock.Clock
): Effect.Effect<Pruner, never, Scope.Scope> =>
  Effect.gen(function*() {
    const tooMany = yield* Queue.sliding<void>(1)
    const first = yield* Queue.sliding<void>(1)
    const failed = kept(config.deadLetterAge, config.deadLetterCount)
    const others = kept(config.retentionAge, config.retentionCount)
    /** Nothing that this instance has finished is left to grow too old. */
    const isOver = (now: number) =>
      now - others.lastFinishedAt > others.maxAge && now - failed.lastFinishedAt > failed.maxAge

    const prune = Effect.suspend(() =>
      repository.prune({
        now: clock.unsafeCurrentTimeMillis(),
        maxAge: config.retentionAge,
        maxCount: config.retentionCount,
        failedMaxAge: config.deadLetterAge,
        failedMaxCount: config.deadLetterCount,
        limit: batch
      })
    ).pipe(Effect.repeat({ while: (removed) => removed === batch, schedule: Schedule.forever }))

    /** By age: every so often while there is anything that can grow too old; an idle engine does not wake for it. */
    const pruneWhileAging = prune.pipe(
      // Here, not by the chore alone: after a failed round the next one comes by the clock, not by a signal.
      Effect.catchAllCause((cause) => logFailedTick("prune by age", cause)),
      Effect.delay(config.pruneInterval),
      Effect.repeat({ until: () => isOver(clock.unsafeCurrentTimeMillis()) })
    )
    yield* chore("prune by age", Effect.zipRight(Queue.take(first), pruneWhileAging), Schedule.forever)
    // A store that others share, or that was there before, holds what this instance has not finished.
    if (repository.shared) yield* chore("prune what is there", prune, Schedule.spaced(config.pruneInterval))
    yield* chore("prune by count", Effect.zipRight(Queue.take(tooMany), prune), Schedule.forever)

    return {
      noteFinished: (task) => {
        const kind = task.status === "Failed" ? failed : others
        const now = clock.unsafeCurrentTimeMillis()
        if (isOver(now)) Queue.unsafeOffer(first, undefined)
        kind.lastFinishedAt = now
        kind.finished++
        if (kind.finished < kind.slack) return
        kind.finished = 0
        Queue.unsafeOffer(tooMany, undefined)
      }
    }
  })

/**
 * Finds what has nobody: Tasks of instances whose lease has ended, and Tasks that this instance owns and has forgotten,
 * because the reply that told of them was lost. What had not started is free again; what ran is settled here as
 * `unknown`.
 */
import type { Clock, Context, Scope } from "effect"
import { Effect, Queue, Schedule } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { TaskId } from "../domain/Ids.ts"
import type { RunningTask } from "../domain/Task.ts"
import type { Millis } from "../domain/Time.ts"
import { monotonic } from "../domain/Time.ts"
import type { Heartbeat, Lease, Reaped, TaskRepository } from "../ports/TaskRepository.ts"
import { chore } from "./Chore.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import type { Leases } from "./Leases.ts"

export interface Reaper {
  readonly onHeartbeat: (heartbeat: Heartbeat, asked: { readonly sentAt: number; readonly wasAway: boolean }) => void
}

/** Tasks taken over in one statement. */
const batch = 1_000

/** After a lease has ended it is looked for its Tasks so often ... */
const soon: Millis = 250
/** ... for so long. */
const often: Millis = 3_000

/** A lease is looked at this much after its end, so that one look is enough. */
const afterEnd: Millis = 10

/**
 * @param clock this machine's own
 * @param settleOrphan ends an attempt whose owner was lost
 * @param onFreed told when claims have become free again
 */
export const makeReaper = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly leases: Leases
  readonly settleOrphan: (lease: Lease, orphan: RunningTask) => Effect.Effect<void>
  readonly onFreed: () => void
}): Effect.Effect<Reaper, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, config, leases, onFreed, repository, settleOrphan } = needs
    const wake = yield* Queue.sliding<void>(1)
    /** Monotonic milliseconds of the next look. */
    let looksAt = monotonic(clock)
    /** Nothing is taken from anybody before: after an outage the others must have had the time to come back. */
    let notBefore = -Infinity
    /** What a transaction of the dead still holds locked is passed over, and free a moment later. */
    let looksOftenUntil = -Infinity

    const settle = (lease: Lease, { orphans, released }: Reaped) => {
      engineMetrics.reaped(released, orphans.length)
      if (released > 0) onFreed()
      return Effect.forEach(orphans, (orphan) => settleOrphan(lease, orphan), { concurrency: batch, discard: true })
    }

    const reapOnce = Effect.suspend((): Effect.Effect<boolean, TaskRepositoryError> => {
      const lease = leases.current()
      if (lease === undefined) return Effect.succeed(false)
      return Effect.flatMap(repository.reap(lease, batch), (reaped) => {
        if (reaped.ended > 0) looksOftenUntil = monotonic(clock) + often
        return Effect.as(settle(lease, reaped), reaped.released + reaped.orphans.length === batch)
      })
    })

    const look = Effect.suspend(() => {
      const now = monotonic(clock)
      if (now < Math.max(looksAt, notBefore)) return Effect.void
      // What nobody's heartbeat announces, such as the claims of a lease that was closed, is looked for now and then.
      looksAt = now + config.reconcileInterval
      return Effect.ensuring(
        Effect.repeat(reapOnce, { while: (more) => more }),
        Effect.sync(() => {
          if (now < looksOftenUntil) looksAt = Math.min(looksAt, now + soon)
        })
      )
    })
    const untilNext = Effect.suspend(() =>
      Effect.timeoutOption(Queue.take(wake), Math.max(1, Math.max(looksAt, notBefore) - monotonic(clock)))
    )
    yield* chore("reap", Effect.zipRight(untilNext, look), Schedule.forever)

    return {
      onHeartbeat: ({ nextExpiry, storeNow }, { sentAt, wasAway }) => {
        if (wasAway) notBefore = sentAt + config.leaseDuration
        if (nextExpiry === undefined) return
        const at = sentAt + Math.max(0, nextExpiry - storeNow) + afterEnd
        if (at >= looksAt) return
        looksAt = at
        Queue.unsafeOffer(wake, undefined)
      }
    }
  })

/**
 * Every so often: what this instance owns in the store and does not know of. One look is not enough, because a claim may
 * be under way; what is unknown at two looks under the same token has been forgotten.
 *
 * @param known what this instance holds now
 */
export const makeReconciler = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly config: EngineSettings
  readonly leases: Leases
  readonly known: () => ReadonlySet<TaskId>
  readonly settleOrphan: (lease: Lease, orphan: RunningTask) => Effect.Effect<void>
  readonly onFreed: () => void
}): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend(() => {
    const { config, known, leases, onFreed, repository, settleOrphan } = needs
    let suspects = new Map<TaskId, number>()
    const reconcile = Effect.gen(function*() {
      const lease = leases.current()
      if (lease === undefined) return
      const unknown = yield* repository.forgotten(lease, known())
      const forgotten = unknown.filter(({ id, token }) => suspects.get(id) === token && !known().has(id))
      suspects = new Map(unknown.map(({ id, token }) => [id, token]))
      if (forgotten.length === 0) return
      const { orphans, released } = yield* repository.reconcile(lease, forgotten)
      engineMetrics.reaped(released, orphans.length)
      yield* Effect.logWarning(
        `Released ${released} Tasks and ended ${orphans.length} attempts that this instance owned and had forgotten`
      )
      if (released > 0) onFreed()
      yield* Effect.forEach(orphans, (orphan) => settleOrphan(lease, orphan), { concurrency: batch, discard: true })
    })
    return chore("reconcile", Effect.delay(reconcile, config.reconcileInterval), Schedule.forever)
  })

/**
 * This instance's lease: opened, kept by heartbeats on the store's clock, and given up in time. A lease that was lost is
 * never taken up again: what was claimed under it is dropped, and a new one is opened under a new instance id.
 */
import type { Clock, Context, Scope } from "effect"
import { Effect, Exit, Queue } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import { SchedulerNotReady } from "../domain/Errors.ts"
import { InstanceId } from "../domain/Ids.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { monotonic } from "../domain/Time.ts"
import type { Heartbeat, Lease, TaskRepository } from "../ports/TaskRepository.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import { engineMetrics } from "./EngineMetrics.ts"

export interface Leases {
  /** The lease under which something may be claimed or started now; `undefined` while none can be relied on. */
  readonly current: () => Lease | undefined
  /** By this machine's wall clock: nothing may leave after this instant. */
  readonly notAfter: () => EpochMillis
  /** How many other instances live, as of the last heartbeat. */
  readonly others: () => number
  /** Fails with the reason while there is no lease. */
  readonly ready: Effect.Effect<void, SchedulerNotReady>
  /** Ends the heartbeats and the lease. */
  readonly close: Effect.Effect<void, TaskRepositoryError>
}

/** What happens to leases, for the other parts of the engine. */
export interface LeaseEvents {
  /** The store has answered a heartbeat. `wasAway`: for so long that other instances may have missed theirs too. */
  readonly onHeartbeat: (heartbeat: Heartbeat, asked: { readonly sentAt: number; readonly wasAway: boolean }) => void
  /** All that was claimed under this lease belongs to others. */
  readonly onLost: (lease: Lease) => Effect.Effect<void>
}

interface Held {
  readonly lease: Lease
  /** Until when it may be relied on, by the monotonic and by the wall clock of this machine, in milliseconds. */
  readonly untilMonotonic: number
  readonly untilWall: number
}

/**
 * @param clock this machine's own: a lease is a matter between it and the store
 * @param nextId makes the id of an instance
 */
export const makeLeases = (
  needs: {
    readonly repository: Context.Tag.Service<TaskRepository>
    readonly config: EngineSettings
    readonly clock: Clock.Clock
    readonly nextId: Effect.Effect<string>
  } & LeaseEvents
): Effect.Effect<Leases, TaskRepositoryError, Scope.Scope> =>
  needs.repository.shared ? keptByHeartbeats(needs) : withoutEnd(needs)

/** No other process can see the store: the lease does not end, and an idle engine does not wake for it. */
const withoutEnd = (
  { nextId, repository }: Parameters<typeof makeLeases>[0]
): Effect.Effect<Leases, TaskRepositoryError> =>
  Effect.gen(function*() {
    const lease = yield* repository.openLease(InstanceId.make(yield* nextId), Infinity)
    return {
      current: () => lease,
      notAfter: () => Infinity,
      others: () => 0,
      ready: Effect.void,
      close: repository.closeLease(lease)
    }
  })

const keptByHeartbeats = (
  { clock, config, nextId, onHeartbeat, onLost, repository }: Parameters<typeof makeLeases>[0]
): Effect.Effect<Leases, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { heartbeatInterval, leaseDuration, leaseMargin } = config
    const beatNow = yield* Queue.sliding<void>(1)
    const beating = yield* Effect.makeSemaphore(1)
    let held: Held | undefined
    let others = 0
    let closing = false
    let lastBeatAt: number | undefined
    /** The store has been asked before, and has not answered once. */
    let wasAwayFromTheStart = false
    let problem = "The store has not been reached yet"

    const ask = Effect.suspend(() =>
      held === undefined
        ? Effect.flatMap(nextId, (id) => repository.openLease(InstanceId.make(id), leaseDuration))
        : repository.renewLease(held.lease, leaseDuration)
    )

    const answered = (heartbeat: Heartbeat, sentAt: number, sentAtWall: number) =>
      Effect.sync(() => {
        // From when it was asked for: the answer may have been long under way.
        const reliedOn = leaseDuration - leaseMargin
        held = {
          lease: { instanceId: heartbeat.instanceId, expiresAt: heartbeat.expiresAt },
          untilMonotonic: sentAt + reliedOn,
          untilWall: sentAtWall + reliedOn
        }
        others = heartbeat.others
        const wasAway = lastBeatAt === undefined ? wasAwayFromTheStart : sentAt - lastBeatAt > reliedOn
        lastBeatAt = sentAt
        onHeartbeat(heartbeat, { sentAt, wasAway })
      })

    const lost = (lease: Lease) =>
      Effect.suspend(() => {
        held = undefined
        engineMetrics.leaseLost()
        return Effect.zipRight(
          Effect.logWarning(`The lease of instance ${lease.instanceId} has ended: what it had claimed is up to others`),
          onLost(lease)
        )
      })

    const failed = (error: TaskRepositoryError): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (error.reason === "LeaseLost" && held !== undefined) {
          Queue.unsafeOffer(beatNow, undefined)
          return lost(held.lease)
        }
        engineMetrics.storeErrors()
        wasAwayFromTheStart = true
        const isNews = problem !== error.message
        problem = error.message
        return isNews ? Effect.logWarning("The store did not take a heartbeat; trying again", error) : Effect.void
      })

    const beat = beating.withPermits(1)(Effect.suspend(() => {
      if (closing) return Effect.void
      const sentAt = monotonic(clock)
      const sentAtWall = clock.unsafeCurrentTimeMillis()
      return Effect.flatMap(Effect.exit(ask), (exit) => {
        if (Exit.isSuccess(exit)) return answered(exit.value, sentAt, sentAtWall)
        return exit.cause._tag === "Fail"
          ? failed(exit.cause.error)
          : Effect.logError("A heartbeat broke off; the next one comes", exit.cause)
      })
    }))

    const isReliable = (now: Held): boolean =>
      monotonic(clock) < now.untilMonotonic && clock.unsafeCurrentTimeMillis() < now.untilWall

    // The first one before anything else is done; while the store is away it is tried on and on.
    yield* beat
    yield* Effect.forkScoped(Effect.forever(
      Effect.zipRight(
        Effect.timeoutOption(Queue.take(beatNow), heartbeatInterval),
        beat
      )
    ))

    return {
      current: () => {
        if (held === undefined || closing) return undefined
        if (isReliable(held)) return held.lease
        // The wall clock may only have been set forward: a heartbeat tells.
        Queue.unsafeOffer(beatNow, undefined)
        return undefined
      },
      notAfter: () =>
        held === undefined
          ? -Infinity
          : Math.min(
            held.untilWall,
            Math.floor(clock.unsafeCurrentTimeMillis() + held.untilMonotonic - monotonic(clock))
          ),
      others: () => others,
      ready: Effect.suspend(() =>
        held !== undefined && isReliable(held)
          ? Effect.void
          : new SchedulerNotReady({ message: `There is no lease: ${problem}` })
      ),
      close: Effect.suspend(() => {
        closing = true
        // A heartbeat that is under way may open a lease yet.
        return beating.withPermits(1)(
          Effect.suspend(() => held === undefined ? Effect.void : repository.closeLease(held.lease))
        )
      })
    }
  })

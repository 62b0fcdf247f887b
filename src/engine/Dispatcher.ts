/** Finds what is due in the store and hands it on, tick by tick. */
import type { Clock, Context, Scope } from "effect"
import { Cause, Deferred, Effect, Exit, Queue } from "effect"
import { SchedulerNotReady } from "../domain/Errors.ts"
import type { ScheduledTask } from "../domain/Task.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { Lease, TaskRepository } from "../ports/TaskRepository.ts"
import { logFailedTick } from "./Chore.ts"
import type { EngineSettings } from "./EngineConfig.ts"

export interface Dispatcher {
  /** Tells that a Task without owner becomes claimable then: the next look at the store is early enough for it. */
  readonly consider: (claimableAt: EpochMillis) => void
  /** Tells that claims may have left the near future, or that a slot has become free. */
  readonly noteRoom: () => void
  /** Whether the store holds Tasks that are near and did not fit: what comes in now must not overtake them. */
  readonly isBehind: () => boolean
  /** Succeeds when a tick that begins now has ended well within 2 seconds. */
  readonly ready: Effect.Effect<void, SchedulerNotReady>
}

/** How long a probe waits for the tick it asked for. */
const readyWithin = "2 seconds"

/**
 * @param room how many claims fit
 * @param slots how many Tasks could start at once
 * @param handOn takes a claimed Task
 */
export const makeDispatcher = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly lease: Lease
  readonly room: () => number
  readonly slots: () => number
  readonly handOn: (task: ScheduledTask) => void
}): Effect.Effect<Dispatcher, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, config, handOn, lease, repository, room, slots } = needs
    const wake = yield* Queue.sliding<void>(1)
    let probes = new Set<Deferred.Deferred<void, SchedulerNotReady>>()
    /** When the loop looks at the store next; `Infinity` also while a tick is under way. */
    let looksAt: EpochMillis = Infinity
    /** The store holds Tasks within the horizon that did not fit. */
    let behind = false
    /** Nothing can be claimed before there is room or a slot. */
    let blocked = false
    /** Enough to make another look at the store worth it. */
    const hasRoom = () => room() * 2 > config.nearFutureCapacity

    /** When to look again, after a look that has claimed so many and left `nextAt` as the earliest. */
    const nextLook = (now: EpochMillis, claimed: number, nextAt: EpochMillis): EpochMillis => {
      behind = nextAt <= now + config.horizon
      if (!behind) return nextAt - config.horizon
      // What was due at once has left again already: there may be more where it came from.
      if (claimed > 0 && hasRoom()) return now
      // It did not fit, but it may start when it is due.
      if (nextAt > now) return nextAt
      blocked = slots() <= 0
      if (blocked) return Infinity
      return claimed > 0 ? now : now + config.pollInterval
    }

    /**
     * Claims what is near as long as there is room; without room, only what is due and can start at once, so that what
     * is held for later does not hold it up. Answers when to look again, if nothing wakes the loop before.
     */
    const tick: Effect.Effect<EpochMillis, unknown> = Effect.suspend(() => {
      looksAt = Infinity
      const now = clock.unsafeCurrentTimeMillis()
      const free = room()
      const limit = free > 0 ? free : slots()
      blocked = limit <= 0
      if (blocked) return Effect.succeed(Infinity)
      const ahead = free > 0 ? config.horizon : 0
      return Effect.map(
        repository.claimDue({ lease, now, ahead, limit, excludeFunctions: [] }),
        ({ nextAt, tasks }) => {
          tasks.forEach(handOn)
          const next = nextLook(now, tasks.length, nextAt ?? Infinity)
          return repository.shared ? Math.min(next, now + config.pollInterval) : next
        }
      )
    })

    const sleepUntil = (at: EpochMillis) =>
      at === Infinity
        ? Queue.take(wake)
        : Effect.suspend(() => {
          looksAt = at
          const left = Math.min(at - clock.unsafeCurrentTimeMillis(), config.longestSleep)
          return left <= 0 ? Effect.yieldNow() : Effect.timeoutOption(Queue.take(wake), left)
        })

    const loop = Effect.suspend(() => {
      // Who asks while this tick is under way is answered by the next one.
      const asked = probes
      probes = new Set()
      return Effect.flatMap(Effect.exit(tick), (exit) => {
        for (const probe of asked) Deferred.unsafeDone(probe, answer(exit))
        return Exit.isSuccess(exit)
          ? sleepUntil(exit.value)
          : Effect.zipRight(
            logFailedTick("dispatch", exit.cause),
            sleepUntil(clock.unsafeCurrentTimeMillis() + config.pollInterval)
          )
      })
    })
    yield* Effect.forkScoped(Effect.forever(loop))

    return {
      consider: (claimableAt) => {
        if (claimableAt <= clock.unsafeCurrentTimeMillis() + config.horizon) behind = true
        if (!blocked && claimableAt - (behind ? 0 : config.horizon) < looksAt) Queue.unsafeOffer(wake, undefined)
      },
      noteRoom: () => {
        if ((behind && hasRoom()) || (blocked && slots() > 0)) Queue.unsafeOffer(wake, undefined)
      },
      isBehind: () => behind,
      ready: Effect.flatMap(Deferred.make<void, SchedulerNotReady>(), (probe) => {
        probes.add(probe)
        Queue.unsafeOffer(wake, undefined)
        return Deferred.await(probe).pipe(
          Effect.timeoutFail({
            duration: readyWithin,
            onTimeout: () =>
              new SchedulerNotReady({ message: `The dispatcher has not looked at the store within ${readyWithin}` })
          }),
          Effect.ensuring(Effect.sync(() => probes.delete(probe)))
        )
      })
    }
  })

const answer = (tick: Exit.Exit<unknown, unknown>): Effect.Effect<void, SchedulerNotReady> =>
  Exit.isSuccess(tick)
    ? Effect.void
    : new SchedulerNotReady({ message: `The dispatcher's last look at the store failed: ${brief(tick.cause)}` })

const brief = (cause: Cause.Cause<unknown>): string => {
  const failure = Cause.squash(cause)
  return failure instanceof Error ? failure.message : String(failure)
}

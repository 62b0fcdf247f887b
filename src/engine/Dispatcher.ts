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
  /** Tells that claims have left the near future. */
  readonly noteRoom: () => void
  /** Succeeds when a tick that begins now has ended well within 2 seconds. */
  readonly ready: Effect.Effect<void, SchedulerNotReady>
}

/** How long a probe waits for the tick it asked for. */
const readyWithin = "2 seconds"

/**
 * @param room how many claims fit
 * @param handOn takes a claimed Task
 */
export const makeDispatcher = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly lease: Lease
  readonly room: () => number
  readonly handOn: (task: ScheduledTask) => void
}): Effect.Effect<Dispatcher, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, config, handOn, lease, repository, room } = needs
    const wake = yield* Queue.sliding<void>(1)
    let probes = new Set<Deferred.Deferred<void, SchedulerNotReady>>()
    /** When the loop looks at the store next; `Infinity` also while a tick is under way. */
    let looksAt: EpochMillis = Infinity
    let full = false
    /** Enough to make another look at the store worth it. */
    const hasRoom = () => room() * 2 > config.nearFutureCapacity

    /** Claims what fits; answers when to look again, if nothing wakes the loop before. */
    const tick: Effect.Effect<EpochMillis, unknown> = Effect.suspend(() => {
      looksAt = Infinity
      const now = clock.unsafeCurrentTimeMillis()
      const limit = room()
      full = limit <= 0
      if (full) return Effect.succeed(Infinity)
      return Effect.map(
        repository.claimDue({ lease, now, ahead: config.horizon, limit, excludeFunctions: [] }),
        ({ nextAt, tasks }) => {
          tasks.forEach(handOn)
          // What was due at once has left again already: there may be more where it came from.
          if (tasks.length === limit && hasRoom()) return now
          full = tasks.length === limit
          const next = nextAt === undefined ? Infinity : Math.max(now, nextAt - config.horizon)
          if (repository.shared) return Math.min(next, now + config.pollInterval)
          return full ? Infinity : next
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
        if (claimableAt - config.horizon < looksAt) Queue.unsafeOffer(wake, undefined)
      },
      noteRoom: () => {
        if (full && hasRoom()) Queue.unsafeOffer(wake, undefined)
      },
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

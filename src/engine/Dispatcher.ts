/** Finds what is due in the store and hands it on, tick by tick. */
import type { Clock, Context, Scope } from "effect"
import { Cause, Deferred, Duration, Effect, Exit, Queue, Runtime } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import { SchedulerNotReady } from "../domain/Errors.ts"
import type { RunningTask } from "../domain/Task.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import type { ClaimedTask, Lease, TaskRepository } from "../ports/TaskRepository.ts"
import type { Admission } from "./Admission.ts"
import { logFailedTick } from "./Chore.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import type { Leases } from "./Leases.ts"
import type { NearFuture } from "./NearFuture.ts"

export interface Dispatcher {
  /** Tells that a Task without owner becomes claimable then: the next look at the store is early enough for it. */
  readonly consider: (claimableAt: EpochMillis) => void
  /** Tells that claims may have left the near future, or that a slot has become free. */
  readonly noteRoom: () => void
  /** Up to when a Task that is stored now is claimed by its own insert; `undefined`: not at all. */
  readonly claimUntil: (now: EpochMillis) => EpochMillis | undefined
  /** Looks at the store no more; waits for the look that is under way. */
  readonly stop: Effect.Effect<void>
  /** Succeeds when a tick that begins now has ended well within 2 seconds. */
  readonly ready: Effect.Effect<void, SchedulerNotReady>
}

/** How long a probe waits for the tick it asked for. */
const readyWithin = "2 seconds"

/** Tasks claimed in one statement: more would only make the first of them wait. */
const batch = 500

/** How soon to look again while there is no lease to claim under. */
const withoutLease: Millis = 100

/** Milliseconds between two looks for functions that have not had their share. */
const fairness: Millis = 250

/** What is deferred waits at least this long, in milliseconds ... */
const deferredFor: Millis = 1_000

/** ... and each further one so many longer than the one before. */
const shortestStep: Millis = 1
const longestStep: Millis = 10_000

/** How many are deferred in one statement. */
const batchOfDeferred = 1_000

/** How many of theirs are claimed in one look. */
const batchOfOthers = 100

/** How soon to look again at what others have locked. */
const contended: Millis = 50

const isStarted = (task: ClaimedTask | RunningTask): task is RunningTask => task.status === "Running"

/**
 * @param handOn takes a claimed Task
 */
export const makeDispatcher = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly leases: Leases
  readonly nearFuture: NearFuture
  readonly admission: Pick<Admission, "unstartable" | "crowded">
  /** Milliseconds from one end of a run of a function to the next, lately; 0 if that is not known. */
  readonly pace: (functionName: string, now: EpochMillis) => Millis
  readonly handOn: (task: ClaimedTask) => void
}): Effect.Effect<Dispatcher, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, config, handOn, leases, nearFuture, pace, repository } = needs
    const { crowded, unstartable } = needs.admission
    const { beginReserved, reserve, room, served, slots, waiting } = nearFuture
    const wake = yield* Queue.sliding<void>(1)
    const looking = yield* Effect.makeSemaphore(1)
    const runFork = Runtime.runFork(yield* Effect.runtime())
    let probes = new Set<Deferred.Deferred<void, SchedulerNotReady>>()
    let toBegin: Array<() => void> = []
    /** When the loop looks at the store next; `Infinity` also while a tick is under way. */
    let looksAt: EpochMillis = Infinity
    /** The store holds Tasks within the horizon that did not fit. */
    let behind = false
    /** The last look has found something due, and nothing that was to be had: room makes no difference to that. */
    let inVain = false
    /** Nothing can be claimed before there is room or a slot. */
    let blocked = false
    /** When functions without their share were looked for. */
    let othersLookedForAt: EpochMillis = -Infinity
    /** Functions of which Tasks wait longer than they are due, and until when the last of them does. */
    const deferredUntil = new Map<string, EpochMillis>()
    let recalledAt: EpochMillis = -Infinity
    /** Milliseconds until the next look at a store that others write to as well. */
    let pollsAfter = config.pollInterval
    /** Enough to make another look at the store worth it. */
    const hasRoom = () => room() * 2 > config.nearFutureCapacity

    const isSharing = () => repository.shared && leases.others() > 0
    /** While others live, what is further ahead is left to whoever has a slot for it then. */
    const horizon = () => isSharing() ? Math.min(config.horizon, config.sharedHorizon) : config.horizon
    const roomAhead = () => isSharing() ? Math.min(room(), 2 * slots() - waiting()) : room()
    /** Whether the last look could reach as far as the horizon. */
    let reachesAhead = true

    const awaitSlots = () => {
      crowded()
      return Infinity
    }

    /** When to look again, after a look that has claimed so many and left `nextAt` as the earliest. */
    const nextLook = (now: EpochMillis, claimed: number, nextAt: EpochMillis): EpochMillis => {
      behind = nextAt <= now + horizon()
      if (!behind) return nextAt - horizon()
      // What was due at once has left again already: there may be more where it came from.
      if (claimed > 0 && hasRoom()) return now
      // It did not fit, but it may start when it is due.
      if (nextAt > now) return nextAt
      blocked = slots() <= 0
      if (blocked) return awaitSlots()
      return claimed > 0 ? now : now + config.pollInterval
    }

    /**
     * Claims what is near as long as there is room; without room, only what is due and can start at once, so that what
     * is held for later does not hold it up. Answers when to look again, if nothing wakes the loop before.
     */
    const tick: Effect.Effect<EpochMillis, unknown> = Effect.suspend(() => {
      looksAt = Infinity
      const now = clock.unsafeCurrentTimeMillis()
      const lease = leases.current()
      if (lease === undefined) return Effect.succeed(now + withoutLease)
      return Effect.flatMap(
        deferFull(now).pipe(Effect.zipRight(recallEarly(now)), Effect.zipRight(lookForOthers(lease, now))),
        () => repository.shared ? tickShared(lease, now) : tickAlone(lease, now)
      ).pipe(
        Effect.map((next) => blocked || behind ? Math.min(next, othersLookedForAt + fairness) : next),
        Effect.map((next) => deferredUntil.size > 0 ? Math.min(next, now + fairness) : next)
      )
    })

    /**
     * What may not start now, and of which enough is held here, waits in the store: later than it is due, in its order, so
     * that no claim comes across it. Each further one waits a little longer, roughly as fast as they get through.
     */
    const deferFull = (now: EpochMillis): Effect.Effect<void, TaskRepositoryError> => {
      const full = nearFuture.full()
      if (full.length === 0) return Effect.void
      return Effect.forEach(full, (functionName) => {
        const step = Math.min(Math.max(pace(functionName, now), shortestStep), longestStep)
        const from = Math.max(now + deferredFor, deferredUntil.get(functionName) ?? 0)
        return Effect.map(
          repository.defer({ functionName, now, from, step, limit: batchOfDeferred }),
          (deferred) => {
            if (deferred > 0) deferredUntil.set(functionName, from + deferred * step)
          }
        )
      }, { discard: true })
    }

    /** What has waited enough, because more gets through than was thought, is due again. */
    const recallEarly = (now: EpochMillis): Effect.Effect<void, TaskRepositoryError> => {
      if (deferredUntil.size === 0 || now < recalledAt + fairness) return Effect.void
      recalledAt = now
      return Effect.forEach([...deferredUntil], ([functionName, until]) => {
        if (until <= now) return Effect.sync(() => deferredUntil.delete(functionName))
        // What gets through until the next looks, lately, and more: so it soon gets as fast as can be.
        const lately = pace(functionName, now)
        const more = lately > 0 ? Math.ceil(4 * fairness / lately) : 0
        const limit = Math.min(batchOfDeferred, Math.max(batchOfOthers, more))
        if (!nearFuture.isShort(functionName, limit / 2)) return Effect.void
        return Effect.map(
          repository.recall({ functionName, now, limit }),
          (recalled) => {
            if (recalled === 0) deferredUntil.delete(functionName)
          }
        )
      }, { discard: true })
    }

    /**
     * While there is more than can start, the functions that have few slots, or none, are looked for now and then: what
     * is due of them is claimed past the backlog of the others, and gets the next slots.
     */
    const lookForOthers = (lease: Lease, now: EpochMillis): Effect.Effect<void, TaskRepositoryError> => {
      if (!(blocked || behind) || now < othersLookedForAt + fairness) return Effect.void
      othersLookedForAt = now
      const { functions: excludeFunctions, othersWaiting } = served()
      // Beyond the capacity there are so many places for those without their share, and no more.
      const limit = batchOfOthers - othersWaiting
      if (excludeFunctions.length === 0 || limit <= 0) return Effect.void
      return Effect.map(
        repository.claimDue({ lease, now, ahead: 0, limit, excludeFunctions }),
        ({ tasks }) => take(tasks)
      )
    }

    const tickAlone = (lease: Lease, now: EpochMillis) => {
      const free = room()
      const limit = free > 0 ? free : slots()
      reachesAhead = free > 0
      blocked = limit <= 0
      if (blocked) return Effect.succeed(Infinity)
      const ahead = free > 0 ? config.horizon : 0
      return Effect.map(
        repository.claimDue({ lease, now, ahead, limit, excludeFunctions: [] }),
        ({ nextAt, tasks }) => {
          take(tasks)
          return nextLook(now, tasks.length, nextAt ?? Infinity)
        }
      )
    }

    /** What is due can be started by the claim itself: slots are kept for that while it is under way. */
    const tickShared = (lease: Lease, now: EpochMillis) => {
      const free = roomAhead()
      reachesAhead = free > 0
      // Unless it is behind, half of the slots are left to what waits here and falls due meanwhile.
      const reserved = reserve(behind ? batch : Math.min(batch, Math.ceil(slots() / 2)))
      // Behind with what is due, nothing is claimed that could not start: a start mark of its own costs a statement.
      const onlyDue = free <= 0 || behind
      const limit = Math.min(onlyDue ? reserved : Math.max(free, reserved), batch)
      blocked = limit <= 0
      if (blocked) return Effect.succeed(Infinity)
      const held = unstartable()
      const claim = {
        lease,
        now,
        ahead: onlyDue ? 0 : horizon(),
        limit,
        start: held.all ? 0 : reserved,
        unstartable: held.functions,
        excludeFunctions: []
      }
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.exit(restore(repository.claimDue(claim))), (exit) => {
          const tasks = Exit.isSuccess(exit) ? exit.value.tasks : []
          toBegin.push(() => beginReserved(reserved, tasks.filter(isStarted)))
          if (tasks.length < limit) begin()
          else runFork(Effect.zipRight(clock.sleep(Duration.zero), Effect.sync(begin)))
          return Effect.map(exit, ({ nextAt }) => {
            take(tasks)
            return nextPoll(now, tasks.length, limit, nextAt ?? Infinity)
          })
        })
      )
    }

    /** Begins what was claimed: where there is more, once the next claim is on its way, so that nobody waits for it. */
    const begin = () => {
      const beginning = toBegin
      toBegin = []
      for (const beginOne of beginning) beginOne()
    }

    const take = (tasks: ReadonlyArray<ClaimedTask | RunningTask>) => {
      engineMetrics.claimed(tasks.length)
      for (const task of tasks) if (!isStarted(task)) handOn(task)
    }

    /** The same of a store that others write to, too: what they store is found by looking, or by their hints. */
    const nextPoll = (now: EpochMillis, claimed: number, limit: number, nextAt: EpochMillis): EpochMillis => {
      const hasMore = claimed === limit
      behind = nextAt <= now
      inVain = behind && claimed === 0
      pollsAfter = claimed > 0 || behind || !repository.hintsGetThrough()
        ? config.pollInterval
        : Math.min(pollsAfter * 2, config.idlePollInterval)
      blocked = slots() <= 0 && (behind || hasMore)
      if (blocked) return awaitSlots()
      if (hasMore) return now
      // Due and not to be had: somebody else is about to take it.
      const next = behind ? now + contended : nextAt - (reachesAhead ? horizon() : 0)
      return Math.min(now + pollsAfter, Math.max(next, now + 1))
    }

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
      return Effect.flatMap(Effect.exit(looking.withPermits(1)(tick)), (exit) => {
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
        if (!repository.shared && claimableAt <= clock.unsafeCurrentTimeMillis() + config.horizon) behind = true
        const reach = repository.shared ? reachesAhead : !behind
        if (!blocked && claimableAt - (reach ? horizon() : 0) < looksAt) Queue.unsafeOffer(wake, undefined)
      },
      noteRoom: () => {
        if ((behind && !inVain && hasRoom()) || (blocked && slots() > 0)) Queue.unsafeOffer(wake, undefined)
      },
      claimUntil: (now) => !behind && roomAhead() > 0 ? now + horizon() : undefined,
      stop: Effect.map(looking.take(1), begin),
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

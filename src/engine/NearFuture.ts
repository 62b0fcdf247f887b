/**
 * What this instance has claimed and not yet started: a heap with one timer. What is due starts as soon as a slot is
 * free, in order of `dueAt`; nothing starts early.
 */
import type { Clock, Scope } from "effect"
import { Duration, Effect, Exit, Fiber, Runtime } from "effect"
import { Heap } from "../domain/Heap.ts"
import type { TaskId } from "../domain/Ids.ts"
import type { RunningTask } from "../domain/Task.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import type { ClaimedTask } from "../ports/TaskRepository.ts"
import { longestHeldPayload } from "../ports/TaskRepository.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import { leanRuntime } from "./leanRuntime.ts"

export interface NearFuture {
  /** Takes a claimed Task; starts it at once if it is due and a slot is free. */
  readonly offer: (task: ClaimedTask) => void
  /** Keeps so many of the free slots, or all, for Tasks that a claim is going to start; answers how many. */
  readonly reserve: (most: number) => number
  /** Gives reserved slots back, but for those taken by these Tasks, which carry their start mark already. */
  readonly beginReserved: (reserved: number, started: ReadonlyArray<RunningTask>) => void
  /** How many more claims fit; may be negative, because retries and occurrences come in without being asked. */
  readonly room: () => number
  /** How many claims wait here. */
  readonly waiting: () => number
  /** How many could start at once. */
  readonly slots: () => number
  /** What waits here or runs. */
  readonly known: () => Set<TaskId>
  /** How many have been started and not ended. */
  readonly running: () => number
  /** Interrupts runs; answers once they have noticed, without waiting for those that take their time to end. */
  readonly interrupt: (ids: Iterable<TaskId>) => Effect.Effect<void>
  /** Starts nothing more; what is still offered is only kept. */
  readonly close: Effect.Effect<void>
  /** Takes out what has not been started. */
  readonly takeUnstarted: Effect.Effect<ReadonlyArray<ClaimedTask>>
  /** Waits until nothing runs. */
  readonly drained: Effect.Effect<void>
  readonly interruptAll: Effect.Effect<void>
}

/** Roughly, besides the payload. */
const taskBytes = 600

const bytesOf = (task: ClaimedTask): number => taskBytes + (task.payload?.length ?? 0)

const isDueBefore = (left: ClaimedTask, right: ClaimedTask): boolean =>
  left.dueAt < right.dueAt || (left.dueAt === right.dueAt && left.id < right.id)

/** An invocation that has just begun still has a few steps before anything is sent: none of them may come later. */
const turnsToNotice = 16

const takeTurn = (turn: number) => Effect.as(Effect.yieldNow(), turn + 1)

/**
 * @param lead milliseconds before a Task is due at which its run may begin: with the start mark, not with the call
 * @param isShared the store gives a payload back with the start mark: long ones need not be held
 * @param run one Task, from its start mark to its settlement; must not fail
 * @param runStarted the same from behind the start mark
 * @param onRoom called when claims may have left the heap, or a slot has become free
 */
export const makeNearFuture = (needs: {
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly lead: Millis
  readonly isShared: boolean
  readonly run: (task: ClaimedTask) => Effect.Effect<void>
  readonly runStarted: (task: RunningTask) => Effect.Effect<void>
  readonly onRoom: () => void
}): Effect.Effect<NearFuture, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, config, isShared, lead, onRoom, run, runStarted } = needs
    const runFork = Runtime.runFork(leanRuntime(yield* Effect.runtime()))
    const waiting = new Heap<ClaimedTask>(isDueBefore)
    let waitingBytes = 0
    const runs = new Map<TaskId, Fiber.RuntimeFiber<void>>()
    let running = 0
    let reservedSlots = 0
    let closed = false
    let pumping = false
    let onDrained: Array<() => void> = []

    let timer: Fiber.RuntimeFiber<void> | undefined
    let wakesAt: EpochMillis = Infinity

    const arm = (at: EpochMillis, now: EpochMillis) => {
      if (at >= wakesAt) return
      if (timer !== undefined) runFork(Fiber.interruptFork(timer))
      wakesAt = at
      const sleep = clock.sleep(Duration.millis(Math.min(at - now, config.longestSleep)))
      const wake = Effect.sync(() => {
        timer = undefined
        wakesAt = Infinity
        pump()
      })
      timer = runFork(Effect.zipRight(sleep, wake))
    }

    const ended = (id: TaskId, fiber: Fiber.RuntimeFiber<void>) => {
      running--
      engineMetrics.running(-1)
      // A retry without delay has begun under the same id before the run before it came to its end.
      if (runs.get(id) === fiber) runs.delete(id)
      if (running === 0) {
        const waiters = onDrained
        onDrained = []
        for (const waiter of waiters) waiter()
      }
      pump()
    }

    const slots = () => closed ? 0 : Math.max(0, config.concurrency - running - reservedSlots)

    const launch = (id: TaskId, work: Effect.Effect<void>) => {
      running++
      engineMetrics.running(1)
      const fiber = runFork(work)
      if (fiber.unsafePoll() === null) {
        runs.set(id, fiber)
        fiber.addObserver(() => ended(id, fiber))
      } else ended(id, fiber)
    }

    /** Starts what is due while slots are free. A run that ends at once comes back here: it must not recurse. */
    const pump = () => {
      if (pumping || closed) return
      pumping = true
      for (;;) {
        const first = waiting.first
        if (first === undefined || running + reservedSlots >= config.concurrency) break
        const now = clock.unsafeCurrentTimeMillis()
        if (first.dueAt - lead > now) {
          arm(first.dueAt - lead, now)
          break
        }
        waiting.pop()
        waitingBytes -= bytesOf(first)
        launch(first.id, run(first))
      }
      pumping = false
      onRoom()
    }

    const interruptAll = Effect.suspend(() => Fiber.interruptAll([...runs.values()]))
    yield* Effect.addFinalizer(() => timer === undefined ? Effect.void : Fiber.interrupt(timer))

    return {
      offer: (task) => {
        const isHeavy = isShared && task.payload !== undefined && task.payload.length > longestHeldPayload
        const held = isHeavy ? { ...task, payload: undefined } : task
        waiting.push(held)
        waitingBytes += bytesOf(held)
        pump()
      },
      reserve: (most) => {
        const reserved = Math.min(most, slots())
        reservedSlots += reserved
        return reserved
      },
      beginReserved: (reserved, started) => {
        reservedSlots -= reserved
        for (const task of started) launch(task.id, runStarted(task))
        pump()
      },
      room: () => closed || waitingBytes >= config.nearFutureBytes ? 0 : config.nearFutureCapacity - waiting.size,
      waiting: () => waiting.size,
      slots,
      known: () => {
        const ids = new Set(runs.keys())
        for (const task of waiting.values()) ids.add(task.id)
        return ids
      },
      running: () => running,
      interrupt: (ids) =>
        Effect.suspend(() => {
          const fibers = Array.from(ids, (id) => runs.get(id)).filter((fiber) => fiber !== undefined)
          const gone = () => fibers.every((fiber) => fiber.unsafePoll() !== null)
          return Effect.zipRight(
            Effect.forEach(fibers, Fiber.interruptFork, { discard: true }),
            Effect.iterate(0, { while: (turn) => turn < turnsToNotice && !gone(), body: takeTurn })
          )
        }),
      close: Effect.sync(() => {
        closed = true
      }),
      takeUnstarted: Effect.sync(() => {
        const left = waiting.values().slice()
        waiting.retain(() => false)
        waitingBytes = 0
        return left
      }),
      drained: Effect.async<void>((resume) => {
        if (running === 0) resume(Exit.void)
        else onDrained.push(() => resume(Exit.void))
      }),
      interruptAll
    }
  })

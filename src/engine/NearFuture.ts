/**
 * What this instance has claimed and not yet started: a heap with one timer. What is due starts as soon as a slot is
 * free, in order of `dueAt`; nothing starts early.
 */
import type { Clock, Scope } from "effect"
import { Duration, Effect, Exit, Fiber, Runtime } from "effect"
import { Heap } from "../domain/Heap.ts"
import type { TaskId } from "../domain/Ids.ts"
import type { ScheduledTask } from "../domain/Task.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { EngineSettings } from "./EngineConfig.ts"

export interface NearFuture {
  /** Takes a claimed Task; starts it at once if it is due and a slot is free. */
  readonly offer: (task: ScheduledTask) => void
  /** How many more claims fit; may be negative, because retries and occurrences come in without being asked. */
  readonly room: () => number
  /** How many could start at once. */
  readonly slots: () => number
  /** How many have been started and not ended. */
  readonly running: () => number
  /** Interrupts runs; answers once they have noticed, without waiting for those that take their time to end. */
  readonly interrupt: (ids: Iterable<TaskId>) => Effect.Effect<void>
  /** Starts nothing more; what is still offered is only kept. */
  readonly close: Effect.Effect<void>
  /** Takes out what has not been started. */
  readonly takeUnstarted: Effect.Effect<ReadonlyArray<ScheduledTask>>
  /** Waits until nothing runs. */
  readonly drained: Effect.Effect<void>
  readonly interruptAll: Effect.Effect<void>
}

const isDueBefore = (left: ScheduledTask, right: ScheduledTask): boolean =>
  left.dueAt < right.dueAt || (left.dueAt === right.dueAt && left.id < right.id)

/** An invocation that has just begun still has a few steps before anything is sent: none of them may come later. */
const turnsToNotice = 16

const takeTurn = (turn: number) => Effect.as(Effect.yieldNow(), turn + 1)

/**
 * @param run one Task, from its start mark to its settlement; must not fail
 * @param onRoom called when claims may have left the heap, or a slot has become free
 */
export const makeNearFuture = (
  config: EngineSettings,
  clock: Clock.Clock,
  run: (task: ScheduledTask) => Effect.Effect<void>,
  onRoom: () => void
): Effect.Effect<NearFuture, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const waiting = new Heap<ScheduledTask>(isDueBefore)
    const runs = new Map<TaskId, Fiber.RuntimeFiber<void>>()
    let running = 0
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
      // A retry without delay has begun under the same id before the run before it came to its end.
      if (runs.get(id) === fiber) runs.delete(id)
      if (running === 0) {
        const waiters = onDrained
        onDrained = []
        for (const waiter of waiters) waiter()
      }
      pump()
    }

    const launch = (task: ScheduledTask) => {
      running++
      const fiber = runFork(run(task))
      if (fiber.unsafePoll() === null) {
        runs.set(task.id, fiber)
        fiber.addObserver(() => ended(task.id, fiber))
      } else ended(task.id, fiber)
    }

    /** Starts what is due while slots are free. A run that ends at once comes back here: it must not recurse. */
    const pump = () => {
      if (pumping || closed) return
      pumping = true
      for (;;) {
        const first = waiting.first
        if (first === undefined || running >= config.concurrency) break
        const now = clock.unsafeCurrentTimeMillis()
        if (first.dueAt > now) {
          arm(first.dueAt, now)
          break
        }
        waiting.pop()
        launch(first)
      }
      pumping = false
      onRoom()
    }

    const interruptAll = Effect.suspend(() => Fiber.interruptAll([...runs.values()]))
    yield* Effect.addFinalizer(() => timer === undefined ? Effect.void : Fiber.interrupt(timer))

    return {
      offer: (task) => {
        waiting.push(task)
        pump()
      },
      room: () => closed ? 0 : config.nearFutureCapacity - waiting.size,
      slots: () => closed ? 0 : config.concurrency - running,
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
        return left
      }),
      drained: Effect.async<void>((resume) => {
        if (running === 0) resume(Exit.void)
        else onDrained.push(() => resume(Exit.void))
      }),
      interruptAll
    }
  })

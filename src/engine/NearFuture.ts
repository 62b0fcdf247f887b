/**
 * What this instance has claimed and not yet started: a heap with one timer for what is not due, and a lane for each
 * function for what is. What is due starts as soon as a slot is free and its function may; of several functions the one
 * that has the least of the slots comes first, so that none starves another. Nothing starts early.
 */
import type { Clock, Scope } from "effect"
import { Duration, Effect, Exit, Fiber, Runtime } from "effect"
import { Heap } from "../domain/Heap.ts"
import type { TaskId } from "../domain/Ids.ts"
import type { RunningTask } from "../domain/Task.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import type { ClaimedTask } from "../ports/TaskRepository.ts"
import { longestHeldPayload } from "../ports/TaskRepository.ts"
import type { Admission, Admitted } from "./Admission.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import { Lane } from "./Lane.ts"
import { leanRuntime } from "./leanRuntime.ts"
import { Runs } from "./Runs.ts"

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
  /** Functions that may start nothing now, and hold enough here to go on with. */
  readonly full: () => ReadonlyArray<string>
  /** Whether of a function less than this waits here, and one more of it may start now. */
  readonly isShort: (functionName: string, enough: number) => boolean
  /** Functions that have about as many slots as they should have, or more; and how many Tasks of all others wait here. */
  readonly served: () => { readonly functions: ReadonlyArray<string>; readonly othersWaiting: number }
  /** Something that the gate has closed may be open again. */
  readonly reopened: () => void
  /** What waits here or runs. */
  readonly known: () => Set<TaskId>
  /** Waits until something runs. */
  readonly busy: Effect.Effect<void>
  /** What has been started and not ended. */
  readonly runningIds: () => ReadonlyArray<TaskId>
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

/** What has been deferred was claimed ahead as well: it waits here for as long as it was to wait in the store. */
const startsAt = (task: ClaimedTask): EpochMillis => Math.max(task.dueAt, task.claimableAt)

const isDueBefore = (left: ClaimedTask, right: ClaimedTask): boolean => {
  const difference = startsAt(left) - startsAt(right)
  return difference !== 0 ? difference < 0 : left.id < right.id
}

/** What a blocked function may hold here: enough to go on with at once. */
const heldWhileBlocked = 100

/** An invocation that has just begun still has a few steps before anything is sent: none of them may come later. */
const turnsToNotice = 16

const tellAll = (waiters: ReadonlyArray<() => void>) => {
  for (const waiter of waiters) waiter()
}

const takeTurn = (turn: number) => Effect.as(Effect.yieldNow(), turn + 1)

/**
 * @param lead milliseconds before a Task is due at which its run may begin: with the start mark, not with the call
 * @param isShared the store gives a payload back with the start mark: long ones need not be held
 * @param run one Task, from its start mark to its settlement; must not fail
 * @param runStarted the same from behind the start mark
 * @param onRoom called when claims may have left, or a slot has become free
 */
export const makeNearFuture = (needs: {
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly lead: Millis
  readonly isShared: boolean
  readonly gate: Pick<Admission, "slots" | "opensAt" | "admit" | "crowded">
  readonly run: (task: ClaimedTask, admitted: Admitted) => Effect.Effect<void>
  readonly runStarted: (task: RunningTask, admitted: Admitted) => Effect.Effect<void>
  readonly onRoom: () => void
}): Effect.Effect<NearFuture, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, config, gate, isShared, lead, onRoom, run, runStarted } = needs
    const runFork = Runtime.runFork(leanRuntime(yield* Effect.runtime()))
    /** A mark may be written early for what is due; not for what waits for something else, such as the end of a pause. */
    const beginsAt = (task: ClaimedTask): EpochMillis =>
      task.claimableAt > task.dueAt ? task.claimableAt : task.dueAt - lead
    /** What is not due yet ... */
    const future = new Heap<ClaimedTask>((left, right) =>
      beginsAt(left) < beginsAt(right) ||
      (beginsAt(left) === beginsAt(right) && isDueBefore(left, right))
    )
    /** ... and what is, by function: those that hold or run something. */
    const lanes = new Map<string, Lane>()
    const readyLanes = new Set<Lane>()
    let ready = 0
    let waitingBytes = 0
    const runs = new Runs()
    let running = 0
    let reservedSlots = 0
    let closed = false
    let pumping = false
    let onDrained: Array<() => void> = []
    let onBusy: Array<() => void> = []

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

    const laneOf = (name: string): Lane => {
      const known = lanes.get(name)
      if (known !== undefined) return known
      const lane = new Lane(name)
      lanes.set(name, lane)
      return lane
    }

    const forget = (lane: Lane) => {
      if (lane.waiting === 0 && lane.running === 0) lanes.delete(lane.name)
    }

    const freeSlots = () => gate.slots() - running - reservedSlots
    const slots = () => closed ? 0 : Math.max(0, freeSlots())

    const ended = (id: TaskId, fiber: Fiber.RuntimeFiber<void>, lane: Lane, admitted: Admitted) => {
      admitted.ended(undefined)
      running--
      lane.running--
      forget(lane)
      engineMetrics.running(-1)
      runs.delete(id, fiber)
      if (running === 0) {
        tellAll(onDrained)
        onDrained = []
      }
      pump()
    }

    const launch = (id: TaskId, lane: Lane, work: (admitted: Admitted) => Effect.Effect<void>) => {
      const admitted = gate.admit(lane.name)
      running++
      if (onBusy.length > 0) {
        tellAll(onBusy)
        onBusy = []
      }
      lane.running++
      engineMetrics.running(1)
      const fiber = runFork(work(admitted))
      if (fiber.unsafePoll() === null) {
        runs.add(id, fiber)
        fiber.addObserver(() => ended(id, fiber, lane, admitted))
      } else ended(id, fiber, lane, admitted)
    }

    const left = (task: ClaimedTask, lane: Lane) => {
      lane.waiting--
      waitingBytes -= bytesOf(task)
    }

    /** Moves what has fallen due to its lane; answers when the next does. */
    const moveDue = (now: EpochMillis): EpochMillis => {
      for (let first = future.first; first !== undefined; first = future.first) {
        const at = beginsAt(first)
        if (at > now) return at
        future.pop()
        const lane = laneOf(first.function.name)
        lane.ready.push(first)
        readyLanes.add(lane)
        ready++
      }
      return Infinity
    }

    /** The lane whose turn it is: that with the least of its share, if there are not slots for all. */
    const nextLane = (free: number, now: EpochMillis): Lane | undefined => {
      let next: Lane | undefined
      for (const lane of readyLanes) {
        if (next !== undefined && !lane.isNextBefore(next)) continue
        const opensAt = gate.opensAt(lane.name, lane.running, now)
        if (opensAt <= now) {
          next = lane
          if (free >= ready) break
        } else if (opensAt < Infinity) arm(opensAt, now)
      }
      return next
    }

    /** Starts what is due while slots are free. A run that ends at once comes back here: it must not recurse. */
    const pump = () => {
      if (pumping || closed) return
      pumping = true
      let next = Infinity
      for (;;) {
        const now = clock.unsafeCurrentTimeMillis()
        next = moveDue(now)
        const free = freeSlots()
        const lane = ready === 0 || free <= 0 ? undefined : nextLane(free, now)
        if (lane === undefined) {
          if (ready > 0 && free <= 0) gate.crowded()
          if (next < Infinity) arm(next, now)
          break
        }
        const task = lane.ready.pop() as ClaimedTask
        if (lane.ready.size === 0) readyLanes.delete(lane)
        ready--
        left(task, lane)
        launch(task.id, lane, (admitted) => run(task, admitted))
      }
      pumping = false
      onRoom()
    }

    const waitingTasks = (): Array<ClaimedTask> => {
      const tasks = future.values().slice()
      for (const lane of readyLanes) tasks.push(...lane.ready.values())
      return tasks
    }

    const names = (which: (lane: Lane) => boolean): ReadonlyArray<string> =>
      Array.from(lanes.values()).filter(which).map(({ name }) => name)

    const interruptAll = Effect.suspend(() => Fiber.interruptAll(runs.all()))
    yield* Effect.addFinalizer(() => timer === undefined ? Effect.void : Fiber.interrupt(timer))

    return {
      offer: (task) => {
        const isHeavy = isShared && task.payload !== undefined && task.payload.length > longestHeldPayload
        const held = isHeavy ? { ...task, payload: undefined } : task
        future.push(held)
        laneOf(held.function.name).waiting++
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
        for (const task of started) {
          launch(task.id, laneOf(task.function.name), (admitted) => runStarted(task, admitted))
        }
        pump()
      },
      room: () =>
        closed || waitingBytes >= config.nearFutureBytes ? 0 : config.nearFutureCapacity - future.size - ready,
      waiting: () => future.size + ready,
      slots,
      full: () => {
        const now = clock.unsafeCurrentTimeMillis()
        return names((lane) => lane.waiting >= heldWhileBlocked && gate.opensAt(lane.name, lane.running, now) > now)
      },
      isShort: (functionName, enough) => {
        const lane = lanes.get(functionName)
        const now = clock.unsafeCurrentTimeMillis()
        return (lane?.waiting ?? 0) < enough &&
          gate.opensAt(functionName, lane?.running ?? 0, now) <= now
      },
      served: () => {
        const busy = names(({ running }) => running > 0).length
        const functions: Array<string> = []
        let othersWaiting = 0
        for (const { name, running, waiting } of lanes.values()) {
          if (running > 0 && running * 2 * busy >= gate.slots()) functions.push(name)
          else othersWaiting += waiting
        }
        return { functions, othersWaiting }
      },
      reopened: () => pump(),
      known: () => {
        const ids = new Set(runs.ids())
        for (const { id } of waitingTasks()) ids.add(id)
        return ids
      },
      busy: Effect.async<void>((resume) => {
        if (running > 0) resume(Exit.void)
        else onBusy.push(() => resume(Exit.void))
      }),
      runningIds: () => [...runs.ids()],
      running: () => running,
      interrupt: (ids) =>
        Effect.suspend(() => {
          const fibers = Array.from(ids, (id) => runs.of(id)).flat()
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
        const left = waitingTasks()
        future.retain(() => false)
        readyLanes.clear()
        ready = 0
        waitingBytes = 0
        for (const lane of lanes.values()) {
          lane.empty()
          forget(lane)
        }
        return left
      }),
      drained: Effect.async<void>((resume) => {
        if (running === 0) resume(Exit.void)
        else onDrained.push(() => resume(Exit.void))
      }),
      interruptAll
    }
  })

/**
 * A Clock on which nothing waits: as soon as no fiber can run, time jumps to the next sleeper. A year of an hourly
 * schedule passes in the time its work takes.
 *
 * Everything due in between runs, in order, each at its exact instant; sleepers of one instant wake in the order in which
 * they went to sleep. Time stands still while any fiber can run, and while nobody sleeps. Real I/O and virtual time do not mix: a fiber that waits for a socket, a file or a child process
 * cannot be told from one that waits for ever, so time passes it by.
 */
import { Clock, Duration, Effect, Either, Layer, Scheduler } from "effect"
import type { EpochMillis, InstantInput } from "../domain/Time.ts"
import { parseInstant } from "../domain/Time.ts"
import type { Timer } from "./TimerHeap.ts"
import { TimerHeap } from "./TimerHeap.ts"

/** Where virtual time starts unless told otherwise: 2026-01-01T00:00:00Z. */
export const defaultStart: EpochMillis = Date.UTC(2026, 0, 1)

export interface VirtualClock {
  readonly clock: Clock.Clock
  /** Must be in force together with the clock: it tells the clock when fibers can still run. */
  readonly scheduler: Scheduler.Scheduler
  /** How many sleepers wait for the time to come. */
  readonly sleepers: Effect.Effect<number>
}

// A macrotask runs when every microtask, and so every fiber that could go on, has run.
// eslint-disable-next-line no-restricted-globals -- the turn of the event loop is what drives virtual time
const afterMicrotasks: (run: () => void) => void = setImmediate

/** How many turns of a busy fiber follow each other before the event loop gets one (Effect's own number). */
const turnsBetweenMacrotasks = 2_048

/**
 * Makes a virtual clock without putting it in force; `layer` does both.
 *
 * @param start where its time starts (default 2026-01-01T00:00:00Z)
 */
export const make = (start: InstantInput = defaultStart): VirtualClock => {
  let now = Either.getOrThrow(parseInstant(start, "start"))
  let sequence = 0
  let isArmed = false
  /** Fibers that gave way to the event loop and can still run: time must not pass them by. */
  let givenWay = 0
  const timers = new TimerHeap()

  const arm = (): void => {
    if (isArmed || timers.size === 0) return
    isArmed = true
    afterMicrotasks(wakeNext)
  }

  // One timer a turn: whatever it makes runnable runs before the next, also at the same instant.
  const wakeNext = (): void => {
    isArmed = false
    const timer = givenWay === 0 ? timers.pop() : undefined
    arm()
    if (timer === undefined) return
    now = timer.at
    timer.run()
  }

  const getRunner = Scheduler.SchedulerRunner.cached((turn, drain) => {
    if (turn < turnsBetweenMacrotasks) {
      void Promise.resolve().then(() => drain(turn + 1))
      return
    }
    givenWay++
    afterMicrotasks(() => {
      givenWay--
      drain(0)
    })
  })

  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now,
    unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        // Whole milliseconds, rounded up: like every instant of this library.
        const at = now + Math.ceil(Duration.toMillis(duration))
        if (at === Infinity) return
        const timer: Timer = { at, sequence: sequence++, run: () => resume(Effect.void), position: -1 }
        timers.push(timer)
        arm()
        return Effect.sync(() => timers.remove(timer))
      })
  }

  return {
    clock,
    scheduler: Scheduler.make((task, priority, fiber) => getRunner(fiber).scheduleTask(task, priority)),
    sleepers: Effect.sync(() => timers.size)
  }
}

/**
 * Virtual time that starts at a given instant. Provide it beneath everything that is to live on it.
 *
 * @param start a `Date`, a `DateTime`, epoch milliseconds, or ISO 8601 text with an offset; anything else is a defect
 *
 * @example
 * program.pipe(Effect.provide(Live.pipe(Layer.provideMerge(VirtualClock.layerAt("2028-02-29T00:00:00Z")))))
 */
export const layerAt = (start: InstantInput): Layer.Layer<never> =>
  Layer.unwrapEffect(Effect.sync(() => {
    const { clock, scheduler } = make(start)
    return Layer.provideMerge(Layer.setClock(clock), Layer.setScheduler(scheduler))
  }))

/**
 * Virtual time that starts at 2026-01-01T00:00:00Z, so that every run of a test sees the same instants.
 *
 * @example
 * // A test of a year, in milliseconds.
 * Effect.gen(function*() {
 *   const scheduler = yield* LambdaScheduler
 *   yield* scheduler.repeat(hello, { trigger: Trigger.fixed("1 hour") })
 *   yield* Effect.sleep("365 days")
 * }).pipe(Effect.provide(Live.pipe(Layer.provideMerge(VirtualClock.layer))))
 */
export const layer: Layer.Layer<never> = layerAt(defaultStart)

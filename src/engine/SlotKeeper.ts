/** Keeps the number of slots: looks at the load while there is one, and sleeps otherwise. */
import type { Clock, Scope } from "effect"
import { Duration, Effect, Runtime } from "effect"
import type { Millis } from "../domain/Time.ts"
import { monotonic } from "../domain/Time.ts"
import type { Slots, SlotsOptions } from "../policies/slots.ts"
import { nextSlots } from "../policies/slots.ts"
import { engineMetrics } from "./EngineMetrics.ts"

export interface SlotKeeper {
  /** How many may run in this process now. */
  readonly count: () => number
  /** More is due than can start. */
  readonly crowded: () => void
}

/** Milliseconds between two looks. */
const lookEvery: Millis = 100

/**
 * @param running how many run
 * @param onMore there are more slots than before
 */
export const makeSlotKeeper = (needs: {
  readonly clock: Clock.Clock
  readonly options: SlotsOptions
  readonly running: () => number
  readonly onMore: () => void
}): Effect.Effect<SlotKeeper, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, onMore, options, running } = needs
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const scope = yield* Effect.scope
    let slots: Slots = { count: options.least, idleSince: undefined }
    let isCrowded = false
    let isLooking = false
    engineMetrics.slots(slots.count, options.most)
    yield* Effect.addFinalizer(() => Effect.sync(() => engineMetrics.slots(-slots.count, -options.most)))

    const look: Effect.Effect<void> = Effect.suspend(() => {
      const due = monotonic(clock) + lookEvery
      return Effect.flatMap(clock.sleep(Duration.millis(lookEvery)), () => {
        const before = slots.count
        const load = { running: running(), isCrowded, lag: monotonic(clock) - due }
        isCrowded = false
        slots = nextSlots(slots, load, clock.unsafeCurrentTimeMillis(), options)
        if (slots.count !== before) engineMetrics.slots(slots.count - before, 0)
        if (slots.count > before) onMore()
        if (slots.count > options.least || isCrowded) return look
        isLooking = false
        return Effect.void
      })
    })

    return {
      count: () => slots.count,
      crowded: () => {
        isCrowded = true
        if (isLooking || options.least >= options.most) return
        isLooking = true
        runFork(look, { scope })
      }
    }
  })

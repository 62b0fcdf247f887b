/**
 * What may be called now: pauses, the caps that are set, what Lambda has been seen to take, and the breakers. One place that is
 * asked before a run begins, and told when its call has ended.
 */
import type { Clock } from "effect"
import type { EpochMillis } from "../domain/Time.ts"
import type { AttemptResult } from "../policies/retry.ts"
import type { Breakers } from "./Breakers.ts"
import type { Caps } from "./Caps.ts"
import type { Limiters } from "./Limiters.ts"
import type { Pauses } from "./Pauses.ts"
import type { SlotKeeper } from "./SlotKeeper.ts"

/** A run that has been let in, up to the end of its call. */
export interface Admitted {
  /** Its call has ended, or there was none (`undefined`). Only the first time counts. */
  readonly ended: (result: AttemptResult | undefined) => void
}

/** Says what may start. */
export interface Admission {
  /** How many may run in this process at once. */
  readonly slots: () => number
  /**
   * When the next Task of a function may start: not later than `now` if it may at once, `Infinity` if that will be told.
   *
   * @param running how many of it run here
   */
  readonly opensAt: (functionName: string, running: number, now: EpochMillis) => EpochMillis
  /** A run begins. */
  readonly admit: (functionName: string) => Admitted
  /** More is due than can start, for want of slots alone. */
  readonly crowded: () => void
  /** Functions of which a claim must not start anything by itself; `all` if it must not start any. */
  readonly unstartable: () => { readonly all: boolean; readonly functions: ReadonlyArray<string> }
}

export const makeAdmission = (needs: {
  readonly clock: Clock.Clock
  readonly slots: SlotKeeper
  readonly caps: Caps
  readonly limiters: Limiters
  readonly breakers: Breakers
  readonly pauses: Pauses
}): Admission => {
  const { breakers, caps, clock, limiters, pauses, slots } = needs
  return {
    slots: () => Math.min(slots.count(), caps.ofAll(), limiters.ofAll()),
    opensAt: (functionName, running, now) => {
      const held = Math.max(
        pauses.closedUntil(functionName, now),
        caps.closedUntil(functionName, running),
        limiters.closedUntil(functionName, now)
      )
      // Asked last: it takes being asked for wanting to call.
      return held > now ? held : breakers.closedUntil(functionName, now)
    },
    crowded: slots.crowded,
    admit: (functionName) => {
      const begunAt = clock.unsafeCurrentTimeMillis()
      const probes = breakers.begin(functionName)
      limiters.begin(functionName, begunAt)
      let isOver = false
      return {
        ended: (result) => {
          if (isOver) return
          isOver = true
          const now = clock.unsafeCurrentTimeMillis()
          limiters.end(functionName, begunAt, result, now)
          breakers.end(functionName, { begunAt, probes }, result, now)
        }
      }
    },
    unstartable: () => {
      const held = [caps.held(), limiters.held(), breakers.held(), pauses.held()]
      return {
        all: held.some(({ all }) => all),
        functions: [...new Set(held.flatMap(({ functions }) => [...functions]))]
      }
    }
  }
}

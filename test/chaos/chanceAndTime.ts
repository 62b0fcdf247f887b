/** Time that everybody shares, and chance that can be had again. */
import { Clock } from "effect"

const clock = Clock.make()

/** This machine's clock, epoch milliseconds. */
export const now = (): number => clock.unsafeCurrentTimeMillis()

/**
 * A generator of numbers from 0 to 1 that depends on its seed only (mulberry32).
 *
 * @example
 * const chance = seeded("42 quick")
 * chance() < 0.5
 */
export const seeded = (seed: string | number): () => number => {
  let state = 0x811c9dc5
  for (const char of String(seed)) state = Math.imul(state ^ char.charCodeAt(0), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A whole number from 0 to below `bound`. */
export const pick = (chance: () => number, bound: number): number => Math.floor(chance() * bound)

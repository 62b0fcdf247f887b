/** How many runs this process has room for: it follows what is due, as long as the process keeps up. Pure. */
import type { EpochMillis, Millis } from "../domain/Time.ts"

export interface SlotsOptions {
  /** There are never fewer ... */
  readonly least: number
  /** ... and never more. */
  readonly most: number
}

/** What a look at the engine has found. */
export interface Load {
  /** How many run. */
  readonly running: number
  /** Whether more is due that could start. */
  readonly isCrowded: boolean
  /** Milliseconds by which this look itself came late: the process has more to do than it can. */
  readonly lag: Millis
}

export interface Slots {
  readonly count: number
  /** Since when fewer than half of them have been needed. */
  readonly idleSince: EpochMillis | undefined
}

/** A process whose timers come later than this does not start more at once ... */
const strained: Millis = 50
/** ... and later than this, less. */
const overloaded: Millis = 250
/** Milliseconds for which half of the slots must have been idle before there are fewer. */
const idleFor: Millis = 10_000
const shrinkBy = 0.8

const fewer = ({ count }: Slots, { least }: SlotsOptions): Slots => ({
  count: Math.max(least, Math.floor(count * shrinkBy)),
  idleSince: undefined
})

/**
 * The slots after a look: twice as many while more is due than can start, fewer after a while without need, and at once
 * where the process does not keep up.
 *
 * @example
 * nextSlots({ count: 100, idleSince: undefined }, { running: 100, isCrowded: true, lag: 0 }, now, { least: 100, most: 1_000 })
 * // { count: 200, idleSince: undefined }
 */
export const nextSlots = (slots: Slots, load: Load, now: EpochMillis, options: SlotsOptions): Slots => {
  if (load.lag > overloaded) return fewer(slots, options)
  if (load.isCrowded && load.running >= slots.count) {
    return load.lag > strained
      ? { count: slots.count, idleSince: undefined }
      : { count: Math.min(options.most, slots.count * 2), idleSince: undefined }
  }
  if (load.running * 2 >= slots.count) return { count: slots.count, idleSince: undefined }
  const idleSince = slots.idleSince ?? now
  return now - idleSince >= idleFor ? { ...fewer(slots, options), idleSince } : { count: slots.count, idleSince }
}

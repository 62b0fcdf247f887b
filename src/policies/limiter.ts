/**
 * How many calls of a function, or of all of an account, Lambda takes at once and a second: learned from the calls that it
 * throttles. Pure: the engine counts its calls, and asks here.
 *
 * A throttle tells more than that there were too many. What was under way besides it, and what had been taken in the last
 * second, was not too many: so the limit falls at once to what is measured, not by a factor. From there it grows again, at
 * first by one; by twice as much each time that nothing is throttled; and the more rarely, the more often it has been.
 * As with AIMD, several instances that share a limit need not know of each other.
 *
 * Source of the idea: V. Jacobson, "Congestion Avoidance and Control", 1988; of the measured limit: BBR, 2016.
 */
import type { EpochMillis, Millis } from "../domain/Time.ts"

/** What a throttle is about. One that does not tell counts as one of concurrency. */
export type ThrottleKind = "concurrency" | "rate"

/** The calls of this instance, as they are now. */
export interface Traffic {
  /** Called, or about to be, and not answered. */
  readonly inFlight: number
  /** Called in the last second, and not throttled. */
  readonly lastSecond: number
}

/** A bound that is being learned. */
interface Bound {
  readonly limit: number
  /** How much the next growth adds. */
  readonly step: number
  readonly growsAt: EpochMillis
  readonly throttledAt: EpochMillis
  /** How many calls must succeed before the next growth. */
  readonly needs: number
}

/** What is known of the limits; `undefined`: nothing, and nothing is held back. */
export interface Limiter {
  readonly concurrency: Bound | undefined
  /** In calls a second. */
  readonly rate: Bound | undefined
  /** Calls that may be made at once, for the rate's sake, at `creditAt`. */
  readonly credit: number
  readonly creditAt: EpochMillis
  /** Nothing is called before. */
  readonly closedUntil: EpochMillis
  /** How many calls in a row have been throttled while none of ours was under way: others have all of the limit. */
  readonly crowdedOut: number
}

export const initialLimiter: Limiter = {
  concurrency: undefined,
  rate: undefined,
  credit: 0,
  creditAt: 0,
  closedUntil: -Infinity,
  crowdedOut: 0
}

export interface LimiterOptions {
  /** A limit of calls at once that is learned is not less than this, nor than 1 ... */
  readonly least: number
  /** ... and nothing is held back once it, or one of calls a second, would be more than this; 0: nothing ever is. */
  readonly most: number
}

export const defaultLimiterOptions: LimiterOptions = { least: 1, most: 10_000 }

/** Milliseconds from one growth to the next. */
const growthEvery: Millis = 250
/** A growth that is throttled at once costs one call: so many must have succeeded for it. */
const successesForAThrottle = 15
/** What was measured first may be far too low: so it is tried sooner. */
const successesAtFirst = 2
/** Milliseconds that it waits while others have all of the limit, for the first time and at the most. */
const firstWait: Millis = 100
const longestWait: Millis = 5_000
/** A limit that has not been reached for so long is forgotten. */
const forgottenAfter: Millis = 600_000
/** Timers are this coarse: for so long calls may be made up for. */
const burst: Millis = 20
/** Calls a second: a rate that is learned is not less. */
const slowest = 0.2

const smallestStep = (kind: ThrottleKind, limit: number): number =>
  kind === "rate" ? Math.max(1, limit * 0.02) : Math.max(1, Math.floor(limit * 0.02))

const fallen = (
  kind: ThrottleKind,
  bound: Bound | undefined,
  measured: number,
  { least, most }: LimiterOptions,
  now: EpochMillis,
  retryAfter: Millis
): Bound | undefined => {
  const limit = Math.max(least, Math.min(bound?.limit ?? Infinity, measured))
  // Of a hundred calls at once many are throttled: that counts once. Nothing has grown between them.
  const isOfTheSameWave = bound !== undefined && bound.needs > 0 && now < bound.throttledAt + growthEvery
  return limit > most ? undefined : {
    limit,
    step: smallestStep(kind, limit),
    growsAt: now + Math.max(growthEvery, retryAfter),
    throttledAt: now,
    needs: bound === undefined ? successesAtFirst : isOfTheSameWave ? bound.needs : successesForAThrottle
  }
}

/**
 * A call was throttled.
 *
 * @param throttle what it is about, and how many milliseconds the target asked to wait
 * @param traffic without the call that was throttled
 */
export const throttled = (
  limiter: Limiter,
  throttle: { readonly kind: ThrottleKind; readonly retryAfter: Millis },
  traffic: Traffic,
  now: EpochMillis,
  options: LimiterOptions
): Limiter => {
  const { kind, retryAfter } = throttle
  if (kind === "rate") {
    const before = limiter.rate
    // Too few for one second to tell: slower and slower.
    const measured = traffic.lastSecond >= 1 ? traffic.lastSecond : (before?.limit ?? 1) / 2
    const rate = fallen("rate", before, measured, { ...options, least: slowest }, now, retryAfter)
    if (rate === undefined) return { ...limiter, rate }
    const waits = traffic.lastSecond < 1 ? Math.max(retryAfter, 1_000 / rate.limit) : 0
    return {
      ...limiter,
      rate,
      credit: 0,
      creditAt: now,
      closedUntil: Math.max(limiter.closedUntil, waits > 0 ? now + waits : -Infinity)
    }
  }
  // With none at once nothing would ever end, and nothing be learned.
  const least = Math.max(1, options.least)
  const concurrency = fallen(
    "concurrency",
    limiter.concurrency,
    traffic.inFlight,
    { ...options, least },
    now,
    retryAfter
  )
  if (concurrency === undefined || traffic.inFlight > 0) return { ...limiter, concurrency }
  const waits = Math.max(retryAfter, Math.min(longestWait, firstWait * 2 ** Math.min(limiter.crowdedOut, 16)))
  return {
    ...limiter,
    concurrency,
    closedUntil: Math.max(limiter.closedUntil, now + waits),
    crowdedOut: limiter.crowdedOut + 1
  }
}

const grown = (
  kind: ThrottleKind,
  bound: Bound | undefined,
  isUsed: boolean,
  now: EpochMillis,
  most: number
): Bound | undefined => {
  if (bound === undefined || now > bound.throttledAt + forgottenAfter) return undefined
  if (bound.needs > 1 || !isUsed || now < bound.growsAt) {
    return bound.needs > 0
      ? { ...bound, needs: bound.needs - 1 }
      : bound
  }
  const limit = bound.limit + bound.step
  if (limit > most) return undefined
  return {
    limit,
    step: Math.max(bound.step * 2, smallestStep(kind, limit)),
    growsAt: now + growthEvery,
    throttledAt: bound.throttledAt,
    needs: 0
  }
}

/** A call was taken: the limits grow if they are what holds calls back. */
export const succeeded = (limiter: Limiter, traffic: Traffic, now: EpochMillis, options: LimiterOptions): Limiter => {
  const { concurrency, rate } = limiter
  if (concurrency === undefined && rate === undefined) return limiter
  return {
    ...limiter,
    concurrency: grown(
      "concurrency",
      concurrency,
      concurrency !== undefined && traffic.inFlight + 1 >= concurrency.limit,
      now,
      options.most
    ),
    rate: grown("rate", rate, rate !== undefined && traffic.lastSecond >= rate.limit * 0.8, now, options.most),
    crowdedOut: 0
  }
}

const creditAt = ({ credit, creditAt }: Limiter, rate: number, now: EpochMillis): number =>
  Math.min(Math.max(1, rate * burst / 1_000), credit + Math.max(0, now - creditAt) * rate / 1_000)

/**
 * When the next call may be made: not later than `now` if it may at once, `Infinity` if one has to end first.
 */
export const opensAt = (limiter: Limiter, traffic: Traffic, now: EpochMillis): EpochMillis => {
  const { closedUntil, concurrency, rate } = limiter
  if (concurrency !== undefined && traffic.inFlight >= concurrency.limit) return Infinity
  if (rate === undefined) return closedUntil
  // What was taken in a second falls out of it in time: it is looked at again soon.
  const full = rate.limit >= 1 && traffic.lastSecond >= rate.limit ? now + burst : -Infinity
  const credit = creditAt(limiter, rate.limit, now)
  const paced = credit >= 1 ? -Infinity : now + Math.ceil((1 - credit) * 1_000 / rate.limit)
  return Math.max(closedUntil, full, paced)
}

/** A call is made. */
export const called = (limiter: Limiter, now: EpochMillis): Limiter =>
  limiter.rate === undefined
    ? limiter
    : { ...limiter, credit: creditAt(limiter, limiter.rate.limit, now) - 1, creditAt: now }

/** Milliseconds that are counted as one instant. */
const grain: Millis = 20
/** One more than a second's, so that a call counts for not less than a second. */
const grains = 1_000 / grain + 1

/** Counts the calls of one function, or of all. */
export class CallCounter implements Traffic {
  inFlight = 0
  lastSecond = 0
  private readonly counts = new Uint32Array(grains)
  private newest = 0

  /** Looks at an instant: what is more than a second old counts no more. */
  at(now: EpochMillis): this {
    const grainNow = Math.floor(now / grain)
    const passed = grainNow - this.newest
    if (passed <= 0) return this
    for (let step = 1; step <= Math.min(passed, grains); step++) {
      const index = (this.newest + step) % grains
      this.lastSecond -= this.counts[index] as number
      this.counts[index] = 0
    }
    this.newest = grainNow
    return this
  }

  /** A call is made. */
  begin(now: EpochMillis): void {
    this.at(now)
    this.inFlight++
    this.lastSecond++
    const index = this.newest % grains
    this.counts[index] = (this.counts[index] as number) + 1
  }

  /**
   * A call has ended, or has not been made after all.
   *
   * @param begunAt when it was begun
   * @param taken whether it counts against a rate
   */
  end(begunAt: EpochMillis, taken: boolean, now: EpochMillis): void {
    this.at(now)
    this.inFlight--
    if (taken) return
    const grainThen = Math.floor(begunAt / grain)
    const index = grainThen % grains
    if (this.newest - grainThen >= grains || this.counts[index] === 0) return
    this.counts[index] = (this.counts[index] as number) - 1
    this.lastSecond--
  }
}

/** A target that throttles, and instances that call it: events on a clock of their own, so that hours take a moment. */
import { Heap } from "../../src/domain/Heap.ts"
import * as Limiter from "../../src/policies/limiter.ts"

export interface Target {
  /** How many may run at once. */
  readonly concurrency?: number
  /** How many may begin in a second ... */
  readonly rate?: number
  /** ... and how that is counted. */
  readonly counting?: "bucket" | "sliding" | "fixed"
  /** Of a bucket: how many may begin at once; default: a second's. */
  readonly burst?: number
  /** What a throttle asks for, in milliseconds. */
  readonly retryAfter?: number
  /** Whether a throttle tells what it is about. */
  readonly silent?: boolean
}

export interface Workload {
  readonly target: (at: number) => Target
  /** Milliseconds that a call runs. */
  readonly run: () => number
  /** Milliseconds of the way to the target, there and back. */
  readonly latency: number
  /** Milliseconds of the start mark, before a call leaves, and of the settlement after it. */
  readonly store: number
  readonly instances: number
  readonly slots: number
  /** Milliseconds to simulate. */
  readonly until: number
  /** How many calls there are to make; default: without end. */
  readonly tasks?: number
}

export interface Called {
  readonly at: number
  readonly throttled: boolean
}

interface Event {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/** Answers all calls in the order in which they reached the target. */
export const simulate = (
  work: Workload,
  options: Limiter.LimiterOptions = Limiter.defaultLimiterOptions
): ReadonlyArray<Called> => {
  const events = new Heap<Event>((left, right) => left.at !== right.at ? left.at < right.at : left.order < right.order)
  const calls: Array<Called> = []
  let order = 0
  let now = 0
  let running = 0
  const begun: Array<number> = []
  let begunHead = 0
  let tokens = Infinity
  let tokensAt = 0
  let left = work.tasks ?? Infinity
  const after = (millis: number, run: () => void) => events.push({ at: now + millis, order: order++, run })

  const rejects = (target: Target): Limiter.ThrottleKind | undefined => {
    if (running >= (target.concurrency ?? Infinity)) return "concurrency"
    const { counting = "bucket", rate } = target
    if (rate === undefined) return undefined
    if (counting === "bucket") {
      tokens = Math.min(target.burst ?? rate, tokens + (now - tokensAt) * rate / 1_000)
      tokensAt = now
      if (tokens < 1) return "rate"
      tokens--
      return undefined
    }
    const since = counting === "sliding" ? now - 1_000 : Math.floor(now / 1_000) * 1_000
    const isOver = (at: number) => counting === "sliding" ? at <= since : at < since
    while (begunHead < begun.length && isOver(begun[begunHead] as number)) begunHead++
    if (begun.length - begunHead >= rate) return "rate"
    begun.push(now)
    return undefined
  }

  const instances = Array.from({ length: work.instances }, () => {
    const counter = new Limiter.CallCounter()
    let limiter = Limiter.initialLimiter
    let slots = work.slots
    let wakesAt = Infinity
    const pump = () => {
      while (slots > 0 && left > 0) {
        const opensAt = Limiter.opensAt(limiter, counter.at(now), now)
        if (opensAt > now) {
          if (opensAt < wakesAt) {
            wakesAt = opensAt
            after(opensAt - now, () => {
              if (wakesAt !== opensAt) return
              wakesAt = Infinity
              pump()
            })
          }
          return
        }
        slots--
        left--
        const begunAt = now
        limiter = Limiter.called(limiter, now)
        counter.begin(now)
        after(work.store + work.latency / 2, () => {
          const target = work.target(now)
          const kind = rejects(target)
          calls.push({ at: now, throttled: kind !== undefined })
          if (kind === undefined) running++
          const takes = kind === undefined ? work.run() : 0
          after(takes, () => {
            if (kind === undefined) running--
            after(work.latency / 2, () => {
              counter.end(begunAt, kind === undefined, now)
              limiter = kind === undefined
                ? Limiter.succeeded(limiter, counter, now, options)
                : Limiter.throttled(
                  limiter,
                  { kind: target.silent === true ? "concurrency" : kind, retryAfter: target.retryAfter ?? 0 },
                  counter,
                  now,
                  options
                )
              if (kind !== undefined) left++
              after(work.store, () => {
                slots++
                pump()
              })
              pump()
            })
          })
        })
      }
    }
    return pump
  })
  for (const pump of instances) pump()
  for (let event = events.pop(); event !== undefined && event.at <= work.until; event = events.pop()) {
    now = event.at
    event.run()
  }
  return calls
}

/** Calls to the target for each that it took, and how many a second it took, from one instant to another. */
export const measure = (calls: ReadonlyArray<Called>, from: number, to: number) => {
  const within = calls.filter(({ at }) => at >= from && at < to)
  const taken = within.filter(({ throttled }) => !throttled).length
  return { perSuccess: within.length / taken, rate: taken * 1_000 / (to - from) }
}

/**
 * A circuit breaker for each function: after many failures of the service it opens, and nothing is called; after a while
 * a few calls probe whether it works again. Pure: the window is one instance's, the state is shared by all of them.
 *
 * Source: M. Nygard, "Release It!", 2007; the window as in Resilience4j (count-based).
 */
import { Option, Schema } from "effect"
import type { InvocationErrorReason } from "../domain/Invocation.ts"
import { InvocationError } from "../domain/Invocation.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"

export interface BreakerOptions {
  /** How many of the latest calls are looked at ... */
  readonly window: number
  /** ... how many milliseconds back at the most ... */
  readonly windowAge: Millis
  /** ... of which at least so many must have ended ... */
  readonly minimumCalls: number
  /** ... and this part have failed, from 0 to 1, for it to open. */
  readonly failureRate: number
  /** Milliseconds that it stays open for the first time; doubled with each probe that fails ... */
  readonly openFor: Millis
  /** ... up to this. */
  readonly longestOpen: Millis
  /** How many calls may probe at once, over all instances. */
  readonly probes: number
  /** Milliseconds in which a probe has to succeed; a call of a longer function that succeeds later closes it then. */
  readonly probeDeadline: Millis
}

export const defaultBreakerOptions: BreakerOptions = {
  window: 20,
  windowAge: 60_000,
  minimumCalls: 10,
  failureRate: 0.5,
  openFor: 1_000,
  longestOpen: 30_000,
  probes: 1,
  probeDeadline: 10_000
}

/** What a call says of the health of what it called; `ignored`: nothing, such as a request that was at fault itself. */
export type CallVerdict = "success" | "failure" | "ignored"

/** Of these the service is to blame, or the way to it. */
const failures: ReadonlySet<InvocationErrorReason> = new Set(["ServiceError", "NoAnswer", "FunctionTimeout"])

/** These concern every function alike: nothing gets as far as one of them. */
const onTheWay: ReadonlySet<InvocationErrorReason> = new Set(["Unreachable", "MissingCredentials"])

/**
 * What a call says of the way to the service, the same for all functions: whoever was answered, with whatever, has got
 * through; what was not sent for another reason, or not answered, says nothing.
 */
export const classifyWay = (result: unknown): CallVerdict => {
  if (!(result instanceof InvocationError)) return typeof result === "object" ? "success" : "ignored"
  if (onTheWay.has(result.reason)) return "failure"
  return result.outcome === "notSent" || result.outcome === "unknown" ? "ignored" : "success"
}

/**
 * What a function's breaker makes of an invocation: failures of the service and timeouts count, the caller's own (HTTP 4xx)
 * and throttles say nothing. A function that threw was reached: that is a success, unless the user chooses otherwise.
 *
 * @example
 * classifyInvocation(new InvocationError({ reason: "ServiceError", message: "HTTP 500" })) // "failure"
 */
export const classifyInvocation = (result: unknown): CallVerdict => {
  if (!(result instanceof InvocationError)) return typeof result === "object" ? "success" : "ignored"
  if (failures.has(result.reason)) return "failure"
  const hasRun = result.reason === "FunctionError" || result.reason === "GaveUp" || result.reason === "RetryRequested"
  return hasRun ? "success" : "ignored"
}

/** The latest calls of one function from this instance. */
export class CallWindow {
  private readonly options: BreakerOptions
  /** When the latest calls ended, the oldest overwritten first; `NaN` where there has been none yet. */
  private readonly endedAt: Float64Array
  /** Which of them have failed: 1, others 0. */
  private readonly failed: Uint8Array
  private next = 0
  private failures = 0

  constructor(options: BreakerOptions) {
    this.options = options
    this.endedAt = new Float64Array(options.window).fill(NaN)
    this.failed = new Uint8Array(options.window)
  }

  /** A call has ended. Answers whether so many have failed that the breaker must open. */
  note(hasFailed: boolean, now: EpochMillis): boolean {
    this.failures += (hasFailed ? 1 : 0) - (this.failed[this.next] as number)
    this.endedAt[this.next] = now
    this.failed[this.next] = hasFailed ? 1 : 0
    this.next = (this.next + 1) % this.failed.length
    const { failureRate, minimumCalls } = this.options
    return hasFailed && this.failures >= minimumCalls * failureRate && this.isFailing(now)
  }

  private isFailing(now: EpochMillis): boolean {
    const { failureRate, minimumCalls, windowAge } = this.options
    let calls = 0
    let failed = 0
    for (let index = 0; index < this.failed.length; index++) {
      // Not `<`: `NaN` is never in the window, even if that has no age.
      if (!((this.endedAt[index] as number) >= now - windowAge)) continue
      calls++
      failed += this.failed[index] as number
    }
    return calls >= minimumCalls && failed >= calls * failureRate
  }
}

const Opening = {
  v: Schema.Literal(1),
  /** Since when nothing but probes is called, epoch milliseconds. */
  openedAt: Schema.Number,
  /** What the call said that opened it. */
  reason: Schema.String,
  /** How many times in a row it has opened, from 1. */
  round: Schema.Number
}

/** Nothing is called. */
const Open = Schema.Struct({
  ...Opening,
  state: Schema.Literal("open"),
  /** From when on it may be probed, epoch milliseconds. */
  until: Schema.Number
})

/** Some calls probe; nothing else is called. */
const HalfOpen = Schema.Struct({
  ...Opening,
  state: Schema.Literal("half-open"),
  /** The probes' deadline, epoch milliseconds: without a success by then it opens again. */
  until: Schema.Number,
  /** How many probe. */
  probes: Schema.Number
})

/** As it is shared by all instances; `undefined`: it is closed. */
export type BreakerState = typeof Open.Type | typeof HalfOpen.Type | undefined

const Stored = Schema.parseJson(Schema.Union(Open, HalfOpen))
// Not `decodeEither`: that throws by itself where what should tell two states apart is no text, `{"v":{"toString":0}}`.
const decode = Option.liftThrowable(Schema.decodeSync(Stored))

/** @param text as it is stored; what a later version has written counts as closed: that is what there was before it */
export const parseBreaker = (text: string | undefined): BreakerState =>
  text === undefined ? undefined : Option.getOrUndefined(decode(text))

export const encodeBreaker = (state: BreakerState): string => JSON.stringify(state ?? { v: 1, state: "closed" })

const openFor = ({ longestOpen, openFor }: BreakerOptions, round: number): Millis =>
  Math.min(longestOpen, openFor * 2 ** Math.min(round - 1, 52))

const reopened = (
  { openedAt, reason, round }: NonNullable<BreakerState>,
  at: EpochMillis,
  options: BreakerOptions
): BreakerState => ({
  v: 1,
  state: "open",
  openedAt,
  reason,
  round: round + 1,
  until: at + openFor(options, round + 1)
})

/**
 * The state at an instant: a half-open one whose probes have had their time is open again.
 *
 * @example
 * breakerAt(halfOpen, halfOpen.until, options) // open
 */
export const breakerAt = (state: BreakerState, now: EpochMillis, options: BreakerOptions): BreakerState =>
  state?.state === "half-open" && now >= state.until ? reopened(state, state.until, options) : state

/** Too many calls have failed: a closed one opens. */
export const trip = (state: BreakerState, now: EpochMillis, reason: string, options: BreakerOptions): BreakerState =>
  breakerAt(state, now, options) ?? {
    v: 1,
    state: "open",
    openedAt: now,
    reason,
    round: 1,
    until: now + openFor(options, 1)
  }

/** The right to one call while the breaker is half-open. */
export interface Probe {
  /** Which opening it probes ... */
  readonly openedAt: EpochMillis
  /** ... and how many times that had been probed before, and one. */
  readonly round: number
}

/**
 * Asks for the right to probe.
 *
 * @returns `probe`: `undefined` if it may not now, or need not, because nothing is open
 */
export const askToProbe = (
  state: BreakerState,
  now: EpochMillis,
  options: BreakerOptions
): { readonly state: BreakerState; readonly probe: Probe | undefined } => {
  const current = breakerAt(state, now, options)
  if (current === undefined) return { state: current, probe: undefined }
  const { openedAt, reason, round } = current
  if (current.state === "half-open") {
    return current.probes < options.probes
      ? { state: { ...current, probes: current.probes + 1 }, probe: { openedAt, round } }
      : { state: current, probe: undefined }
  }
  if (now < current.until) return { state: current, probe: undefined }
  return {
    state: { v: 1, state: "half-open", openedAt, reason, round, until: now + options.probeDeadline, probes: 1 },
    probe: { openedAt, round }
  }
}

/**
 * A probe has ended. Its success closes the breaker, however late: it was called after that had opened. Its failure opens
 * it for longer; one of an earlier round has done so already. One that says nothing gives its right back.
 */
export const probed = (
  state: BreakerState,
  probe: Probe,
  verdict: CallVerdict,
  now: EpochMillis,
  options: BreakerOptions
): BreakerState => {
  const current = breakerAt(state, now, options)
  if (current === undefined || current.openedAt !== probe.openedAt) return current
  if (verdict === "success") return undefined
  if (current.state === "open" || probe.round < current.round) return current
  return verdict === "failure" ? reopened(current, now, options) : { ...current, probes: current.probes - 1 }
}

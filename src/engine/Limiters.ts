/** Keeps to what Lambda takes: counts the calls of each function and of all, and learns from those that are throttled. */
import type { Scope } from "effect"
import { Effect } from "effect"
import { InvocationError } from "../domain/Invocation.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { classifyInvocation } from "../policies/breaker.ts"
import { ofAll } from "../policies/caps.ts"
import type { Limiter, LimiterOptions } from "../policies/limiter.ts"
import { CallCounter, called, initialLimiter, opensAt, succeeded, throttled } from "../policies/limiter.ts"
import type { AttemptResult } from "../policies/retry.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import type { Held } from "./Held.ts"

/** What has been learned of a limit; `undefined`: nothing is held back. */
export interface LearnedLimit {
  /** How many calls at once. */
  readonly concurrency: number | undefined
  /** How many calls a second. */
  readonly rate: number | undefined
}

export interface Limiters {
  /** When the next call of a function may be made: not later than `now` if it may at once, `Infinity` if one has to end first. */
  readonly closedUntil: (functionName: string, now: EpochMillis) => EpochMillis
  /** How many calls there may be of all functions together. */
  readonly ofAll: () => number
  /** Functions that are held back; `all`: every function is. */
  readonly held: () => Held
  /** A call is about to be made. */
  readonly begin: (functionName: string, now: EpochMillis) => void
  /**
   * A call has ended.
   *
   * @param begunAt when it was about to be made
   * @param result `undefined`: it was not made after all
   */
  readonly end: (
    functionName: string,
    begunAt: EpochMillis,
    result: AttemptResult | undefined,
    now: EpochMillis
  ) => void
  /** Nothing has been learned any more. */
  readonly forget: () => void
  /** What has been learned, by function; under the empty name of the account. */
  readonly learned: () => ReadonlyMap<string, LearnedLimit>
}

interface Counted {
  readonly calls: CallCounter
  limiter: Limiter
}

/** How many functions are counted; beyond that those without calls are forgotten. */
const most = 10_000

const isLimited = ({ concurrency, rate }: Limiter): boolean => concurrency !== undefined || rate !== undefined

const throttleOf = (result: AttemptResult | undefined): InvocationError | undefined =>
  result instanceof InvocationError && result.reason === "Throttled" ? result : undefined

/** @param onOpen something that was held back may be called */
export const makeLimiters = (
  options: LimiterOptions,
  onOpen: () => void
): Effect.Effect<Limiters, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => make(options, onOpen)),
    (limiters) => Effect.sync(limiters.forget)
  )

const make = (options: LimiterOptions, onOpen: () => void): Limiters => {
  const account: Counted = { calls: new CallCounter(), limiter: initialLimiter }
  const functions = new Map<string, Counted>()
  const limited = new Set<string>()

  const noteLimited = (name: string, isHeldBack: boolean) => {
    if (isHeldBack === limited.has(name)) return
    if (isHeldBack) limited.add(name)
    else limited.delete(name)
    engineMetrics.limitedFunctions(isHeldBack ? 1 : -1)
  }

  const countedOf = (name: string): Counted => {
    const known = functions.get(name)
    if (known !== undefined) return known
    if (functions.size >= most) {
      for (const [idle, counted] of functions) {
        if (counted.calls.inFlight > 0) continue
        learn(counted, initialLimiter)
        functions.delete(idle)
        noteLimited(idle, false)
      }
    }
    const counted: Counted = { calls: new CallCounter(), limiter: initialLimiter }
    functions.set(name, counted)
    return counted
  }

  const closedUntil = ({ calls, limiter }: Counted, now: EpochMillis): EpochMillis =>
    limiter === initialLimiter ? -Infinity : opensAt(limiter, calls.at(now), now)

  /** What has been learned is another now: the metrics are told by how much. */
  const learn = (counted: Counted, limiter: Limiter) => {
    for (const kind of ["concurrency", "rate"] as const) {
      const change = (limiter[kind]?.limit ?? 0) - (counted.limiter[kind]?.limit ?? 0)
      if (change !== 0) engineMetrics.learnedLimit(counted === account, kind, change)
    }
    counted.limiter = limiter
  }

  const begin = (counted: Counted, now: EpochMillis) => {
    counted.calls.begin(now)
    counted.limiter = called(counted.limiter, now)
  }

  const end = (
    counted: Counted,
    begunAt: EpochMillis,
    result: AttemptResult | undefined,
    throttle: InvocationError | undefined,
    now: EpochMillis
  ) => {
    const { calls } = counted
    calls.end(begunAt, result !== undefined && throttle === undefined, now)
    if (throttle !== undefined) {
      const kind = throttle.throttle ?? "concurrency"
      const retryAfter = Math.max(0, throttle.retryAfter ?? 0) || 0
      learn(counted, throttled(counted.limiter, { kind, retryAfter }, calls, now, options))
    } else if (counted.limiter !== initialLimiter && classifyInvocation(result) === "success") {
      learn(counted, succeeded(counted.limiter, calls, now, options))
    }
  }

  const isHeldBack = (name: string) => limited.has(name) || isLimited(account.limiter)

  return {
    closedUntil: (name, now) => {
      const known = functions.get(name)
      const ofAccount = closedUntil(account, now)
      return known === undefined ? ofAccount : Math.max(ofAccount, closedUntil(known, now))
    },
    ofAll: () => account.limiter.concurrency?.limit ?? Infinity,
    held: () => ({ all: isLimited(account.limiter), functions: limited }),
    begin: (name, now) => {
      begin(account, now)
      begin(countedOf(name), now)
    },
    end: (name, begunAt, result, now) => {
      const throttle = throttleOf(result)
      const isAccountWide = throttle?.accountWide === true
      if (throttle !== undefined) engineMetrics.throttled(isAccountWide, throttle.throttle ?? "concurrency")
      const counted = countedOf(name)
      // What the account was throttled for says nothing of the function, and the other way round: it was not taken by either.
      end(account, begunAt, throttle === undefined ? result : undefined, isAccountWide ? throttle : undefined, now)
      end(counted, begunAt, throttle === undefined ? result : undefined, isAccountWide ? undefined : throttle, now)
      noteLimited(name, isLimited(counted.limiter))
      if (isHeldBack(name)) onOpen()
    },
    forget: () => {
      learn(account, initialLimiter)
      for (const [name, counted] of functions) {
        learn(counted, initialLimiter)
        noteLimited(name, false)
      }
    },
    learned: () => {
      const learnedOf = ({ limiter }: Counted): LearnedLimit => ({
        concurrency: limiter.concurrency?.limit,
        rate: limiter.rate?.limit
      })
      const learned = new Map<string, LearnedLimit>()
      if (isLimited(account.limiter)) learned.set(ofAll, learnedOf(account))
      for (const name of limited) learned.set(name, learnedOf(functions.get(name) as Counted))
      return learned
    }
  }
}

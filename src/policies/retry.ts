/** What follows from an attempt's end: pure, so that it can be tested with a million inputs and no clock. */
import type { InvocationErrorReason, InvocationResult } from "../domain/Invocation.ts"
import { InvocationError } from "../domain/Invocation.ts"
import type { RetryPolicy } from "../domain/RetryPolicy.ts"
import type { AttemptEnd, AttemptFailure, RunningTask, TaskFailure } from "../domain/Task.ts"
import { isExpired, isSpent, spentAttempts } from "../domain/Task.ts"
import type { SettledTo } from "../domain/TaskLifecycle.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import type { Asked } from "./answer.ts"
import { readAsked } from "./answer.ts"

/** Trying again cannot help: the request itself, the right to make it, or the configuration is at fault; or it says so. */
const neverRetryable: ReadonlySet<InvocationErrorReason> = new Set([
  "AccessDenied",
  "NotFound",
  "PayloadTooLarge",
  "Rejected",
  "MissingRegion",
  "GaveUp"
])

/** For this long a function that is not ready costs no attempt; then it counts as a failure like any other. */
const notReadyGrace: Millis = 120_000

/** Longer than any duration from one millisecond on, and short of Infinity, which makes NaN of a base of 0. */
const mostDoublings = 52

/** The part of a policy that says how long to wait. */
type Pace = Pick<RetryPolicy, "baseDelay" | "maxDelay" | "backoff" | "jitter">

const longestDelay = ({ backoff, baseDelay, maxDelay }: Pace, failure: number): Millis => {
  if (backoff === undefined) return Math.min(maxDelay, baseDelay * 2 ** Math.min(failure - 1, mostDoublings))
  return backoff === "fixed" ? baseDelay : backoff[Math.min(failure, backoff.length) - 1] ?? baseDelay
}

/**
 * The delay before the next attempt. Where it doubles it has full jitter, unless the policy says otherwise: it is drawn
 * evenly from 0 to `min(maxDelay, baseDelay * 2^(n-1))`. A delay that is fixed or listed is exact, unless jitter is asked
 * for.
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 *
 * @param failure n: which failure in a row of such it is that has just happened, from 1
 * @param random from 0 (included) to 1 (excluded)
 * @param retryAfter milliseconds the target asked us to wait: a lower bound
 * @returns milliseconds, whole
 *
 * @example
 * retryDelay(defaultRetryPolicy, 3, 0.5) // 2000
 */
export const retryDelay = (pace: Pace, failure: number, random: number, retryAfter: Millis = 0): Millis => {
  const longest = longestDelay(pace, failure)
  const isExact = (pace.jitter ?? (pace.backoff === undefined ? "full" : "none")) === "none"
  return Math.max(
    // A client of the user's own may have read the header wrong: NaN must not become an instant.
    Math.ceil(retryAfter) || 0,
    isExact ? longest : Math.round(random * longest)
  )
}

/** How an attempt came to its end: an answer, a failure, or its fiber was interrupted. */
export type AttemptResult = InvocationResult | InvocationError | "Interrupted" | "OwnerLost"

const interruptedMessages = {
  Interrupted: "The scheduler shut down while it ran",
  OwnerLost: "The instance that ran it was lost"
}

const isAnswer = (result: AttemptResult): result is InvocationResult =>
  typeof result !== "string" && !(result instanceof InvocationError)

const failureOf = (result: AttemptResult, asked: Asked | undefined): AttemptFailure | undefined => {
  if (typeof result === "string") {
    return { reason: result, message: interruptedMessages[result], errorType: undefined }
  }
  if (result instanceof InvocationError) {
    return { reason: result.reason, message: result.message, errorType: result.errorType }
  }
  return asked && {
    reason: asked._tag === "GiveUp" ? "GaveUp" : "RetryRequested",
    message: asked.message,
    errorType: undefined
  }
}

const outcomeOf = (task: RunningTask, result: AttemptResult, asked: Asked | undefined, now: EpochMillis) => {
  if (typeof result === "string") return "unknown"
  if (!(result instanceof InvocationError)) return asked === undefined ? "succeeded" : "failed"
  const begun = task.attempts[0]?.startedAt ?? now
  return result.outcome === "notReady" && now - begun > notReadyGrace ? "failed" : result.outcome
}

/** Records how an attempt ended. */
const attemptEnd = (
  task: RunningTask,
  result: AttemptResult,
  asked: Asked | undefined,
  now: EpochMillis
): AttemptEnd => {
  const said = typeof result === "string" ? undefined : result
  return {
    at: now,
    outcome: outcomeOf(task, result, asked, now),
    error: failureOf(result, asked),
    requestId: said?.requestId,
    executedVersion: said?.executedVersion,
    logTail: said?.logTail
  }
}

const mayRetry = (task: RunningTask, end: AttemptEnd, failure: AttemptFailure): boolean => {
  const { retry } = task
  const reason = failure.reason as InvocationErrorReason
  if (neverRetryable.has(reason) || retry.notRetryable.includes(reason)) return false
  if (failure.errorType !== undefined && retry.notRetryableErrors?.includes(failure.errorType) === true) return false
  if (end.outcome === "unknown" && retry.onUnknown === "fail") return false
  // The attempt that has just ended still counts as running here, hence as spent.
  return !isSpent(end.outcome) || spentAttempts(task) < retry.maxAttempts
}

/**
 * What costs no attempt is not bounded by `maxAttempts`: it has a pace of its own, and is never tried again without some
 * delay, whatever the policy says, or a throttled target would be asked in a tight loop.
 */
const patient = (policy: RetryPolicy): Pace => ({
  baseDelay: Math.max(policy.baseDelay, 1_000),
  maxDelay: Math.max(policy.maxDelay, 60_000)
})

const delayOf = (task: RunningTask, end: AttemptEnd, result: AttemptResult, random: number): Millis => {
  const retryAfter = result instanceof InvocationError ? result.retryAfter : undefined
  return isSpent(end.outcome)
    ? retryDelay(task.retry, spentAttempts(task), random, retryAfter)
    : retryDelay(patient(task.retry), task.attempts.length - firstOfRow(task), random, retryAfter)
}

/** Where the row of attempts begins that have cost nothing, of which the one that has just ended is the last. */
const firstOfRow = ({ attempts }: RunningTask): number => {
  let first = attempts.length - 1
  for (;;) {
    const before = attempts[first - 1]?.ended
    if (before === undefined || isSpent(before.outcome)) return first
    first--
  }
}

const waitsSince = (task: RunningTask): EpochMillis => task.attempts[firstOfRow(task)]?.startedAt ?? Infinity

/** Why nothing is tried again at an instant, if so. */
const outOfTime = (task: RunningTask, end: AttemptEnd, at: EpochMillis): string | undefined => {
  const { deadline, maxAge, maxWait } = task.retry
  if (isExpired(task, at)) return `its deadline of ${deadline} ms`
  if (at > Math.max(task.nominalAt, task.createdAt) + maxAge) return `${maxAge} ms`
  return maxWait !== undefined && !isSpent(end.outcome) && at > waitsSince(task) + maxWait
    ? `${maxWait} ms of attempts that cost nothing`
    : undefined
}

const failed = (reason: TaskFailure["reason"], message: string): SettledTo => ({
  _tag: "Failed",
  failure: { reason, message }
})

const expired = (after: string, failure: AttemptFailure): SettledTo =>
  failed("Expired", `Not tried again after ${after}; the last attempt: ${failure.message}`)

/** A timer may fire this early: what was given up at its deadline may end before it. */
const earliness: Millis = 1

/**
 * Decides what becomes of a Task whose attempt has ended: it succeeded, it failed for good, or it is due again later.
 * The delay is a later `dueAt`, never a sleeping fiber.
 *
 * @param given `now`: epoch milliseconds; `random`: from 0 to 1; `horizon`: milliseconds within which the owner keeps
 * its claim on a retry
 *
 * @example
 * settleAttempt(task, result, { now: 1_000, random: 0.5, horizon: 60_000 })
 */
export const settleAttempt = (
  task: RunningTask,
  result: AttemptResult,
  given: { readonly now: EpochMillis; readonly random: number; readonly horizon: Millis }
): { readonly end: AttemptEnd; readonly to: SettledTo } => {
  const { now } = given
  const asked = isAnswer(result) ? readAsked(result.body, now) : undefined
  const end = attemptEnd(task, result, asked, now)
  if (isAnswer(result) && asked === undefined) return { end, to: { _tag: "Succeeded", result: result.body } }
  const failure = end.error as AttemptFailure
  if (end.outcome === "unknown" && isExpired(task, now + earliness)) {
    return { end, to: expired(`its deadline of ${task.retry.deadline} ms`, failure) }
  }
  if (!mayRetry(task, end, failure)) return { end, to: failed(failure.reason, failure.message) }
  const dueAt = asked?._tag === "RetryAt" ? asked.at : now + delayOf(task, end, result, given.random)
  const after = outOfTime(task, end, dueAt)
  return after === undefined
    ? { end, to: { _tag: "Retry", dueAt, keep: dueAt - now <= given.horizon } }
    : { end, to: expired(after, failure) }
}

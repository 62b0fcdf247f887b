/** What follows from an attempt's end: pure, so that it can be tested with a million inputs and no clock. */
import type { InvocationErrorReason, InvocationResult } from "../domain/Invocation.ts"
import { InvocationError } from "../domain/Invocation.ts"
import type { RetryPolicy } from "../domain/RetryPolicy.ts"
import type { AttemptEnd, AttemptFailure, RunningTask, TaskFailure } from "../domain/Task.ts"
import { isSpent, spentAttempts } from "../domain/Task.ts"
import type { SettledTo } from "../domain/TaskLifecycle.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"

/** Trying again cannot help: the request itself, the right to make it, or the configuration is at fault. */
const neverRetryable: ReadonlySet<InvocationErrorReason> = new Set([
  "AccessDenied",
  "NotFound",
  "PayloadTooLarge",
  "Rejected",
  "MissingRegion"
])

/** For this long a function that is not ready costs no attempt; then it counts as a failure like any other. */
const notReadyGrace: Millis = 120_000

/** Longer than any duration from one millisecond on, and short of Infinity, which makes NaN of a base of 0. */
const mostDoublings = 52

/**
 * The delay before the next attempt: full jitter, that is, drawn evenly from 0 to `min(maxDelay, baseDelay * 2^(n-1))`.
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 *
 * @param attempt number of the attempt that has just ended, from 1
 * @param random from 0 (included) to 1 (excluded)
 * @param retryAfter milliseconds the target asked us to wait: a lower bound
 * @returns milliseconds, whole
 *
 * @example
 * retryDelay(defaultRetryPolicy, 3, 0.5) // 2000
 */
export const retryDelay = (policy: RetryPolicy, attempt: number, random: number, retryAfter: Millis = 0): Millis =>
  Math.max(
    // A client of the user's own may have read the header wrong: NaN must not become an instant.
    Math.ceil(retryAfter) || 0,
    Math.round(random * Math.min(policy.maxDelay, policy.baseDelay * 2 ** Math.min(attempt - 1, mostDoublings)))
  )

/** How an attempt came to its end: an answer, a failure, or its fiber was interrupted. */
export type AttemptResult = InvocationResult | InvocationError | "Interrupted" | "OwnerLost"

const interruptedMessages = {
  Interrupted: "The scheduler shut down while it ran",
  OwnerLost: "The instance that ran it was lost"
}

const failureOf = (result: Exclude<AttemptResult, InvocationResult>): AttemptFailure =>
  typeof result === "string"
    ? { reason: result, message: interruptedMessages[result], errorType: undefined }
    : { reason: result.reason, message: result.message, errorType: result.errorType }

/** Records how an attempt ended. */
const attemptEnd = (task: RunningTask, result: AttemptResult, now: EpochMillis): AttemptEnd => {
  if (typeof result === "string") {
    return {
      at: now,
      outcome: "unknown",
      error: failureOf(result),
      requestId: undefined,
      executedVersion: undefined,
      logTail: undefined
    }
  }
  const failed = result instanceof InvocationError
  const begun = task.attempts[0]?.startedAt ?? now
  return {
    at: now,
    outcome: !failed
      ? "succeeded"
      : result.outcome === "notReady" && now - begun > notReadyGrace
      ? "failed"
      : result.outcome,
    error: failed ? failureOf(result) : undefined,
    requestId: result.requestId,
    executedVersion: result.executedVersion,
    logTail: result.logTail
  }
}

const mayRetry = (task: RunningTask, end: AttemptEnd, failure: AttemptFailure): boolean => {
  const { retry } = task
  const reason = failure.reason as InvocationErrorReason
  if (neverRetryable.has(reason) || retry.notRetryable.includes(reason)) return false
  if (end.outcome === "unknown" && retry.onUnknown === "fail") return false
  // The attempt that has just ended still counts as running here, hence as spent.
  return !isSpent(end.outcome) || spentAttempts(task) < retry.maxAttempts
}

/**
 * What costs no attempt is not bounded by `maxAttempts`: it is never tried again without some delay, whatever the policy
 * says, or a throttled target would be asked in a tight loop.
 */
const patient = (policy: RetryPolicy): RetryPolicy => ({
  ...policy,
  baseDelay: Math.max(policy.baseDelay, 1_000),
  maxDelay: Math.max(policy.maxDelay, 60_000)
})

const failed = (reason: TaskFailure["reason"], message: string): SettledTo => ({
  _tag: "Failed",
  failure: { reason, message }
})

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
  const end = attemptEnd(task, result, now)
  if (typeof result !== "string" && !(result instanceof InvocationError)) {
    return { end, to: { _tag: "Succeeded", result: result.body } }
  }
  const failure = failureOf(result)
  if (!mayRetry(task, end, failure)) return { end, to: failed(failure.reason, failure.message) }
  const retryAfter = typeof result === "string" ? undefined : result.retryAfter
  const policy = isSpent(end.outcome) ? task.retry : patient(task.retry)
  const delay = retryDelay(policy, task.attempts.length, given.random, retryAfter)
  const expiresAt = Math.max(task.nominalAt, task.createdAt) + task.retry.maxAge
  return now + delay > expiresAt
    ? {
      end,
      to: failed("Expired", `Not tried again after ${task.retry.maxAge} ms; the last attempt: ${failure.message}`)
    }
    : { end, to: { _tag: "Retry", dueAt: now + delay, keep: delay <= given.horizon } }
}

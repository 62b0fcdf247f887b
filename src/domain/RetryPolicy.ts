/** When a failed attempt is made again: the data. The decisions are in `policies/retry.ts`. */
import { Either, Schema } from "effect"
import { InvalidInput } from "./Errors.ts"
import type { InvocationErrorReason } from "./Invocation.ts"
import type { DurationInput, Millis } from "./Time.ts"
import { parseDuration, shown } from "./Time.ts"

/** A retry policy as it is stored: every field set, durations in milliseconds. */
export const RetryPolicy = Schema.Struct({
  /** How many attempts may be spent, the first included; 1 to 100. */
  maxAttempts: Schema.Number,
  /** Milliseconds: the delay before the second attempt is drawn from 0 to this, then doubles. */
  baseDelay: Schema.Number,
  /** Milliseconds: upper bound of any one delay. */
  maxDelay: Schema.Number,
  /** Milliseconds from the nominal instant after which nothing is tried again, throttled or not. */
  maxAge: Schema.Number,
  /** What to do when an attempt may or may not have run: `retry` is at-least-once, `fail` at-most-once. */
  onUnknown: Schema.Literal("retry", "fail"),
  /** Reasons that are not worth another attempt, besides those that never are. */
  notRetryable: Schema.Array(Schema.String)
})
export interface RetryPolicy extends Schema.Schema.Type<typeof RetryPolicy> {}

/** 3 attempts, full jitter from 1 second, at most 5 minutes apart, for at most a day. */
export const defaultRetryPolicy: RetryPolicy = {
  maxAttempts: 3,
  baseDelay: 1_000,
  maxDelay: 300_000,
  maxAge: 86_400_000,
  onUnknown: "retry",
  notRetryable: []
}

/** What a caller may say about retries; the rest comes from the engine's default. */
export interface RetryOptions {
  readonly maxAttempts?: number | undefined
  readonly baseDelay?: DurationInput | undefined
  readonly maxDelay?: DurationInput | undefined
  readonly maxAge?: DurationInput | undefined
  readonly onUnknown?: "retry" | "fail" | undefined
  readonly notRetryable?: ReadonlyArray<InvocationErrorReason> | undefined
}

/**
 * Completes and checks what a caller said.
 *
 * @returns the policy, or `InvalidInput` with reason `RetryInvalid` or `IntervalInvalid`
 *
 * @example
 * parseRetryPolicy({ maxAttempts: 5 }, defaultRetryPolicy) // Either.right({ ...defaultRetryPolicy, maxAttempts: 5 })
 */
export const parseRetryPolicy = (
  options: RetryOptions | undefined,
  defaults: RetryPolicy
): Either.Either<RetryPolicy, InvalidInput> => {
  if (options === undefined) return Either.right(defaults)
  const duration = (field: "baseDelay" | "maxDelay" | "maxAge"): Either.Either<Millis, InvalidInput> => {
    const given = options[field]
    return given === undefined ? Either.right(defaults[field]) : parseDuration(given, `retry.${field}`)
  }
  return Either.gen(function*() {
    const maxAttempts = options.maxAttempts ?? defaults.maxAttempts
    if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 100) {
      return yield* Either.left(
        new InvalidInput({
          reason: "RetryInvalid",
          field: "retry.maxAttempts",
          message: `retry.maxAttempts: expected a whole number from 1 to 100, got ${shown(maxAttempts)}`
        })
      )
    }
    const onUnknown = options.onUnknown ?? defaults.onUnknown
    if (onUnknown !== "retry" && onUnknown !== "fail") {
      return yield* Either.left(
        new InvalidInput({
          reason: "RetryInvalid",
          field: "retry.onUnknown",
          message: `retry.onUnknown: expected "retry" or "fail", got ${shown(onUnknown)}`
        })
      )
    }
    const notRetryable: unknown = options.notRetryable ?? defaults.notRetryable
    if (!Array.isArray(notRetryable) || !notRetryable.every((reason) => typeof reason === "string")) {
      return yield* Either.left(
        new InvalidInput({
          reason: "RetryInvalid",
          field: "retry.notRetryable",
          message: `retry.notRetryable: expected an array of reasons, got ${shown(notRetryable)}`
        })
      )
    }
    return {
      maxAttempts,
      baseDelay: yield* duration("baseDelay"),
      maxDelay: yield* duration("maxDelay"),
      maxAge: yield* duration("maxAge"),
      onUnknown,
      notRetryable: [...notRetryable]
    }
  })
}

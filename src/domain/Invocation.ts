/**
 * What an invocation can come to. Every failure of every adapter becomes one `InvocationError`;
 * its `reason` alone decides whether the function may have run and whether trying again makes sense.
 */
import { Schema } from "effect"

/** How an attempt ended. All but `throttled`, `notReady` and `notSent` count against `maxAttempts`. */
export const AttemptOutcome = Schema.Literal("succeeded", "failed", "throttled", "notReady", "notSent", "unknown")
export type AttemptOutcome = typeof AttemptOutcome.Type

/** Why an invocation brought no result. */
export const InvocationErrorReason = Schema.Literal(
  /** The function ran and threw, or exited. */
  "FunctionError",
  /** The function ran into its own timeout. */
  "FunctionTimeout",
  /** The target refused for now (HTTP 429). */
  "Throttled",
  /** The function is not there yet: pending, being updated, or waking up. */
  "NotReady",
  /** The Lambda service failed (HTTP 5xx). */
  "ServiceError",
  /** No connection could be made: refused, no such host, TLS. Nothing was sent. */
  "Unreachable",
  /** The lease would have ended, or the Task's deadline had passed, before the bytes left. Nothing was sent. */
  "TooLate",
  /** No credentials could be had. Nothing was sent. */
  "MissingCredentials",
  /** No region is configured. Nothing was sent. */
  "MissingRegion",
  /** The connection broke, or no answer came in time, after sending: it may have run. */
  "NoAnswer",
  /** The credentials were expired or refused, or the clock is off. */
  "CredentialsRejected",
  "AccessDenied",
  "NotFound",
  "PayloadTooLarge",
  /** The service refused the request as such (HTTP 4xx). */
  "Rejected",
  /** The function answered that it wants another attempt, and when. */
  "RetryRequested",
  /** The function answered that another attempt makes no sense. */
  "GaveUp"
)
export type InvocationErrorReason = typeof InvocationErrorReason.Type

const outcomes: Record<InvocationErrorReason, Exclude<AttemptOutcome, "succeeded">> = {
  FunctionError: "failed",
  FunctionTimeout: "failed",
  Throttled: "throttled",
  NotReady: "notReady",
  ServiceError: "failed",
  Unreachable: "notSent",
  TooLate: "notSent",
  MissingCredentials: "notSent",
  MissingRegion: "notSent",
  NoAnswer: "unknown",
  CredentialsRejected: "failed",
  AccessDenied: "failed",
  NotFound: "failed",
  PayloadTooLarge: "failed",
  Rejected: "failed",
  RetryRequested: "failed",
  GaveUp: "failed"
}

/** The failure of one invocation. */
export class InvocationError extends Schema.TaggedError<InvocationError>()("InvocationError", {
  reason: InvocationErrorReason,
  message: Schema.String,
  /** `errorType` of the function's own error, such as `TypeError` or `Sandbox.Timedout`. */
  errorType: Schema.optional(Schema.String),
  /** The function's error payload as it came. */
  payload: Schema.optional(Schema.String),
  requestId: Schema.optional(Schema.String),
  executedVersion: Schema.optional(Schema.String),
  /** The last 4 KB of the function's log, decoded. */
  logTail: Schema.optional(Schema.String),
  /** Milliseconds the target asked us to wait (`Retry-After`): a lower bound of the next delay. */
  retryAfter: Schema.optional(Schema.Number),
  /** A throttle that concerns the whole account, not this function alone. */
  accountWide: Schema.optional(Schema.Boolean),
  /** What a throttle is about: too many at once, or too many a second; absent if the target does not tell. */
  throttle: Schema.optional(Schema.Literal("concurrency", "rate")),
  cause: Schema.optional(Schema.Defect)
}) {
  /** The attempt's outcome that this failure is recorded as. */
  get outcome(): Exclude<AttemptOutcome, "succeeded"> {
    return outcomes[this.reason]
  }
}

/** The body of a successful answer, as it came. */
export interface InvocationBody {
  /** The text itself, or its base64 when it is not valid UTF-8 or holds a NUL. */
  readonly text: string
  readonly encoding: "utf8" | "base64"
  /** The answer was longer than we take; this is its beginning. */
  readonly truncated?: true
}

/** A successful answer. */
export interface InvocationResult {
  /** Empty text for `Event` (HTTP 202) and `DryRun` (HTTP 204). */
  readonly body: InvocationBody
  readonly requestId: string | undefined
  readonly executedVersion: string | undefined
  /** The last 4 KB of the function's log, decoded; `RequestResponse` only. */
  readonly logTail: string | undefined
}

/**
 * Keeps the bytes of an answer: as text where that loses nothing, as base64 otherwise.
 *
 * @example
 * bodyFromBytes(new TextEncoder().encode("{}")) // { text: "{}", encoding: "utf8" }
 */
export const bodyFromBytes = (bytes: Uint8Array): InvocationBody => {
  try {
    const text = utf8.decode(bytes)
    if (!text.includes("\0")) return { text, encoding: "utf8" }
  } catch {
    // Not UTF-8: kept as base64 below.
  }
  return { text: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"), encoding: "base64" }
}
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

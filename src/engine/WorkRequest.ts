/** What a caller asks for, checked before anything is deployed or stored: pure. */
import { Either, ParseResult, Schema } from "effect"
import type { Random } from "effect"
import { InvalidInput } from "../domain/Errors.ts"
import { checkJsonText, toJsonText } from "../domain/Json.ts"
import type { AnyLambdaFunction } from "../domain/LambdaFunction.ts"
import { parseName, parseReference } from "../domain/LambdaFunction.ts"
import type { RetryOptions, RetryPolicy } from "../domain/RetryPolicy.ts"
import { parseRetryPolicy } from "../domain/RetryPolicy.ts"
import { isStorable } from "../domain/Text.ts"
import { shown } from "../domain/Time.ts"

/** What a Task and a schedule have in common. */
export interface WorkOptions<Payload> {
  /** Handed to the function as its event. Default: `{}`. */
  readonly payload?: Payload | undefined
  /** Instead of `payload`: JSON text, delivered byte for byte. */
  readonly payloadJson?: string | undefined
  /** A name to find it by; default: the function's. */
  readonly name?: string | undefined
  /** At most 50 tags to find it by. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Default: `EngineConfig.retry`. */
  readonly retry?: RetryOptions | undefined
  /**
   * -100 to 100, default 0. Where not everything that is due can start, what has more of it starts first; each point is
   * worth a second of waiting, so that what has less of it is late and not left.
   */
  readonly priority?: number | undefined
  /**
   * Makes the call repeatable: the same key with the same request answers what the first call has made; with another
   * request it is an `IdempotencyConflict`. 1 to 256 characters; it outlives what it has made by a day.
   */
  readonly idempotencyKey?: string | undefined
}

/** The part of a Task that its caller decides. */
export interface Work {
  readonly name: string
  readonly payload: string
  readonly tags: Readonly<Record<string, string>>
  readonly retry: RetryPolicy
  readonly priority: number
}

const noTags: Readonly<Record<string, string>> = {}
const noOptions: WorkOptions<unknown> = {}

const parseTags = (tags: unknown): Either.Either<Readonly<Record<string, string>>, InvalidInput> => {
  if (tags === undefined) return Either.right(noTags)
  const entries = typeof tags === "object" && tags !== null ? Object.entries(tags) : undefined
  return entries !== undefined && entries.length <= 50 &&
      entries.every(([key, value]) =>
        key.length > 0 && key.length <= 128 && typeof value === "string" && value.length <= 256 && isStorable(key) &&
        isStorable(value)
      )
    // A copy: what the caller does to its own afterwards is not done to a stored Task.
    ? Either.right({ ...tags as Readonly<Record<string, string>> })
    : Either.left(
      new InvalidInput({
        reason: "TagsInvalid",
        field: "tags",
        message: "tags: expected at most 50, keys of 1 to 128 characters, values of at most 256, without NUL or lone " +
          "surrogates"
      })
    )
}

const encodePayload = (fn: AnyLambdaFunction, payload: unknown): Either.Either<unknown, InvalidInput> =>
  fn.payloadSchema === undefined
    ? Either.right(payload)
    : Either.mapLeft(
      Schema.encodeUnknownEither(fn.payloadSchema)(payload),
      (error) =>
        new InvalidInput({
          reason: "PayloadInvalid",
          field: "payload",
          message: `payload: ${ParseResult.TreeFormatter.formatErrorSync(error)}`
        })
    )

const parsePayload = (fn: AnyLambdaFunction, options: WorkOptions<unknown>): Either.Either<string, InvalidInput> => {
  if (options.payloadJson !== undefined) return checkJsonText(options.payloadJson, "payloadJson")
  // `{ payload: undefined }` is a mistake worth telling; no payload at all is an empty event.
  if (!("payload" in options) && fn.payloadSchema === undefined) return Either.right("{}")
  return Either.flatMap(encodePayload(fn, options.payload), (encoded) => toJsonText(encoded, "payload"))
}

const parseWorkName = (fn: AnyLambdaFunction, name: string | undefined): Either.Either<string, InvalidInput> => {
  if (name !== undefined) return parseName(name, "name")
  return fn._tag === "Code"
    ? parseName(fn.name, "name")
    : Either.map(parseReference(fn.reference, "function"), (reference) => reference.name)
}

const parsePriority = (priority: unknown): Either.Either<number, InvalidInput> =>
  priority === undefined || (Number.isInteger(priority) && Math.abs(priority as number) <= 100)
    ? Either.right((priority ?? 0) as number)
    : Either.left(
      new InvalidInput({
        reason: "PriorityInvalid",
        field: "priority",
        message: `priority: expected a whole number from -100 to 100, got ${shown(priority)}`
      })
    )

/**
 * Checks and completes; the errors are those of its parts.
 *
 * @param random what the delays of a Schedule are drawn from
 */
export const parseWork = (
  fn: AnyLambdaFunction,
  options: WorkOptions<unknown> = noOptions,
  defaultRetry: RetryPolicy,
  random: () => Random.Random
): Either.Either<Work, InvalidInput> =>
  Either.flatMap(
    parseWorkName(fn, options.name),
    (name) =>
      Either.flatMap(parsePayload(fn, options), (payload) =>
        Either.flatMap(parseTags(options.tags), (tags) =>
          Either.flatMap(parsePriority(options.priority), (priority) =>
            Either.map(parseRetryPolicy(options.retry, defaultRetry, random), (retry) => ({
              name,
              payload,
              tags,
              retry,
              priority
            })))))
  )

/** Checks a whole number within bounds. */
export const parseWholeNumber = (
  input: unknown,
  field: string,
  least: number,
  most: number,
  reason: InvalidInput["reason"] = "OptionInvalid"
): Either.Either<number, InvalidInput> =>
  Number.isSafeInteger(input) && (input as number) >= least && (input as number) <= most
    ? Either.right(input as number)
    : Either.left(
      new InvalidInput({
        reason,
        field,
        message: `${field}: expected a whole number ${
          most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
        }, got ${shown(input)}`
      })
    )

/** Checks `maxRuns`: absent, or a whole number of at least 1. */
export const parseMaxRuns = (maxRuns: unknown): Either.Either<number | undefined, InvalidInput> =>
  maxRuns === undefined
    ? Either.right(undefined)
    : parseWholeNumber(maxRuns, "maxRuns", 1, Number.MAX_SAFE_INTEGER, "MaxRunsInvalid")

/** Checks a page's limit: 1 to 1,000, 1,000 when absent. */
export const parseLimit = (limit: unknown): Either.Either<number, InvalidInput> =>
  limit === undefined ? Either.right(1_000) : parseWholeNumber(limit, "limit", 1, 1_000, "QueryInvalid")

/** When a failed attempt is made again: the data. The decisions are in `policies/retry.ts`. */
import { Either, Schema } from "effect"
import type { Random, Schedule } from "effect"
import { InvalidInput } from "./Errors.ts"
import type { InvocationErrorReason } from "./Invocation.ts"
import { mostDelays, unrollSchedule } from "./RetrySchedule.ts"
import type { DurationInput, Millis } from "./Time.ts"
import { parseDuration, shown } from "./Time.ts"

const mostAttempts = mostDelays + 1

const duration = Schema.Int.pipe(Schema.nonNegative())
const positive = Schema.Int.pipe(Schema.positive())
const added = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/**
 * A retry policy as it is stored, durations in milliseconds. What the first version did not know is absent where it makes
 * no difference, so that a policy of then is the same today.
 */
export const RetryPolicy = Schema.Struct({
  /** How many attempts may be spent, the first included; 1 to 100. */
  maxAttempts: Schema.Number,
  /** The delay before the second attempt, which then doubles, or with `fixed` stays as it is. */
  baseDelay: Schema.Number,
  /** Upper bound of a delay that doubles. */
  maxDelay: Schema.Number,
  /** From the nominal instant; after that nothing is tried again, throttled or not. */
  maxAge: Schema.Number,
  /** What to do when an attempt may or may not have run: `retry` is at-least-once, `fail` at-most-once. */
  onUnknown: Schema.Literal("retry", "fail"),
  /** Reasons that are not worth another attempt, besides those that never are. */
  notRetryable: Schema.Array(Schema.String),
  /** Absent: delays double. `fixed`: they do not. A list: these, one after the other; the last of them goes on. */
  backoff: added(Schema.Union(Schema.Literal("fixed"), Schema.Array(duration).pipe(Schema.minItems(1)))),
  /** Whether a delay is drawn evenly from 0 to what it would be. Absent: delays that double are (`full`), others not. */
  jitter: added(Schema.Literal("full", "none")),
  /** A function's own `errorType`s that are not worth another attempt. Absent: none. */
  notRetryableErrors: added(Schema.Array(Schema.String)),
  /** For how long attempts that cost nothing may follow each other, from the start of the first of them on. */
  maxWait: added(duration),
  /** From the nominal instant; after that nothing is started, and what runs is given up. */
  deadline: added(positive),
  /** How long the answer to one attempt is waited for, if that is less than the function's own timeout and a margin. */
  attemptTimeout: added(positive)
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
  /** How many attempts may be spent, the first included; 1 to 100. By default as many as a list of delays makes. */
  readonly maxAttempts?: number | undefined
  /** The delay before the second attempt. */
  readonly baseDelay?: DurationInput | undefined
  /** Upper bound of a delay that doubles. */
  readonly maxDelay?: DurationInput | undefined
  /** From the nominal instant; after that nothing is tried again, throttled or not. */
  readonly maxAge?: DurationInput | undefined
  /** When an attempt may or may not have run: `retry` is at-least-once, `fail` at-most-once. */
  readonly onUnknown?: "retry" | "fail" | undefined
  /** Reasons that are not worth another attempt, besides those that never are. */
  readonly notRetryable?: ReadonlyArray<InvocationErrorReason> | undefined
  /** A function's own `errorType`s, by their exact names, that are not worth another attempt; at most 100. */
  readonly notRetryableErrors?: ReadonlyArray<string> | undefined
  /** How delays go on: they double, they stay, or they are these, 1 to 99, of which the last goes on. */
  readonly backoff?: "exponential" | "fixed" | ReadonlyArray<DurationInput> | undefined
  /**
   * Instead of `backoff`: the delays of an Effect `Schedule`, taken when the Task is asked for. One that ends says how many
   * attempts there are; one that does not is cut at `maxAttempts`. It must answer at once.
   *
   * @example
   * { schedule: Schedule.intersect(Schedule.exponential("1 second"), Schedule.recurs(5)) }
   */
  readonly schedule?: Schedule.Schedule<unknown, unknown> | undefined
  /** `full`: a delay is drawn evenly from 0 to what it would be; the default where delays double. */
  readonly jitter?: "full" | "none" | undefined
  /** For how long attempts that cost nothing may follow each other. Default: as long as `maxAge` allows. */
  readonly maxWait?: DurationInput | undefined
  /** From the nominal instant; after that nothing is started, and what runs is given up. Default: none. */
  readonly deadline?: DurationInput | undefined
  /** How long the answer to one attempt is waited for. Default: the function's own timeout and a margin. */
  readonly attemptTimeout?: DurationInput | undefined
}

type Parsed<A> = Either.Either<A, InvalidInput>

const refuse = (field: string, expected: string, got: unknown): Parsed<never> =>
  Either.left(
    new InvalidInput({ reason: "RetryInvalid", field, message: `${field}: expected ${expected}, got ${shown(got)}` })
  )

const parseCount = (given: unknown): Parsed<number> =>
  Number.isInteger(given) && (given as number) >= 1 && (given as number) <= mostAttempts
    ? Either.right(given as number)
    : refuse("retry.maxAttempts", `a whole number from 1 to ${mostAttempts}`, given)

const parseWord = <Word extends string>(field: string, words: ReadonlyArray<Word>, given: unknown): Parsed<Word> =>
  words.includes(given as Word)
    ? Either.right(given as Word)
    : refuse(field, words.map((word) => JSON.stringify(word)).join(" or "), given)

const isName = (name: unknown): name is string => typeof name === "string" && name.length >= 1 && name.length <= 256

const parsePositive = (field: string, given: unknown): Parsed<Millis> =>
  Either.flatMap(
    parseDuration(given, field),
    (millis) => millis >= 1 ? Either.right(millis) : refuse(field, "a duration of a millisecond or more", given)
  )

/** How delays go on, and how many attempts they make; `undefined` where they do not say. */
interface Delays {
  readonly backoff: "exponential" | "fixed" | ReadonlyArray<Millis> | undefined
  readonly attempts: number | undefined
}

const parseBackoff = (given: unknown): Parsed<Delays> => {
  if (!Array.isArray(given)) {
    return given === "exponential" || given === "fixed"
      ? Either.right({ backoff: given, attempts: undefined })
      : refuse("retry.backoff", `"exponential", "fixed" or a list of delays`, given)
  }
  if (given.length < 1 || given.length > mostDelays) {
    return refuse("retry.backoff", `1 to ${mostDelays} delays`, `${given.length} of them`)
  }
  return Either.map(
    Either.all(given.map((delay, index) => parseDuration(delay, `retry.backoff[${index}]`))),
    (backoff) => ({ backoff, attempts: backoff.length + 1 })
  )
}

const parseSchedule = (
  schedule: Schedule.Schedule<unknown, unknown>,
  maxAttempts: number | undefined,
  usual: number,
  random: Random.Random
): Parsed<Delays> =>
  Either.map(
    unrollSchedule(schedule, maxAttempts === undefined ? undefined : maxAttempts - 1, usual - 1, random),
    (delays) => ({ backoff: delays.length === 0 ? undefined : delays, attempts: delays.length + 1 })
  )

const usualJitter = (backoff: RetryPolicy["backoff"]): "full" | "none" => backoff === undefined ? "full" : "none"

/**
 * Completes and checks what a caller said.
 *
 * @param random what the jitter of an Effect `Schedule` is drawn from
 * @returns the policy, or `InvalidInput` with reason `RetryInvalid` or `IntervalInvalid`
 *
 * @example
 * parseRetryPolicy({ maxAttempts: 5 }, defaultRetryPolicy, random) // Either.right({ ...defaultRetryPolicy, maxAttempts: 5 })
 */
export const parseRetryPolicy = (
  options: RetryOptions | undefined,
  defaults: RetryPolicy,
  random: () => Random.Random
): Either.Either<RetryPolicy, InvalidInput> => {
  if (options === undefined) return Either.right(defaults)
  const duration = (field: "baseDelay" | "maxDelay" | "maxAge"): Parsed<Millis> => {
    const given = options[field]
    return given === undefined ? Either.right(defaults[field]) : parseDuration(given, `retry.${field}`)
  }
  /** What may be absent stays so. */
  const perhaps = <Field extends "maxWait" | "deadline" | "attemptTimeout" | "jitter" | "notRetryableErrors">(
    field: Field,
    parse: (field: string, given: unknown) => Parsed<NonNullable<RetryPolicy[Field]>>
  ): Parsed<RetryPolicy[Field]> => {
    const given = options[field]
    return given === undefined ? Either.right(defaults[field]) : parse(`retry.${field}`, given)
  }
  const delays = (maxAttempts: number | undefined): Parsed<Delays> => {
    const { backoff, schedule } = options
    if (schedule === undefined) {
      return backoff === undefined
        ? Either.right({ backoff: defaults.backoff, attempts: undefined })
        : parseBackoff(backoff)
    }
    return backoff === undefined
      ? parseSchedule(schedule, maxAttempts, defaults.maxAttempts, random())
      : refuse("retry.schedule", "either schedule or backoff", "both")
  }
  return Either.gen(function*() {
    const given = options.maxAttempts === undefined ? undefined : yield* parseCount(options.maxAttempts)
    const onUnknown = yield* parseWord("retry.onUnknown", ["retry", "fail"], options.onUnknown ?? defaults.onUnknown)
    const notRetryable: unknown = options.notRetryable ?? defaults.notRetryable
    if (!Array.isArray(notRetryable) || !notRetryable.every((reason) => typeof reason === "string")) {
      return yield* refuse("retry.notRetryable", "an array of reasons", notRetryable)
    }
    const { attempts, ...growth } = yield* delays(given)
    const backoff = growth.backoff === "exponential" ? undefined : growth.backoff
    // A Schedule has a jitter of its own, if any.
    const jitter = options.schedule !== undefined && options.jitter === undefined
      ? undefined
      : yield* perhaps("jitter", (field, given) => parseWord(field, ["full", "none"], given))
    const errors = yield* perhaps(
      "notRetryableErrors",
      (field, given) =>
        Array.isArray(given) && given.length <= 100 && given.every(isName)
          ? Either.right([...given])
          : refuse(field, "at most 100 names of 1 to 256 characters", given)
    )
    const maxWait = yield* perhaps("maxWait", (field, given) => parseDuration(given, field))
    const deadline = yield* perhaps("deadline", parsePositive)
    const attemptTimeout = yield* perhaps("attemptTimeout", parsePositive)
    return {
      maxAttempts: options.schedule === undefined
        ? given ?? attempts ?? defaults.maxAttempts
        : attempts ?? defaults.maxAttempts,
      baseDelay: yield* duration("baseDelay"),
      maxDelay: yield* duration("maxDelay"),
      maxAge: yield* duration("maxAge"),
      onUnknown,
      notRetryable: [...notRetryable],
      ...(backoff === undefined ? {} : { backoff }),
      ...(jitter === undefined || jitter === usualJitter(backoff) ? {} : { jitter }),
      ...(errors === undefined || errors.length === 0 ? {} : { notRetryableErrors: errors }),
      ...(maxWait === undefined ? {} : { maxWait }),
      ...(deadline === undefined ? {} : { deadline }),
      ...(attemptTimeout === undefined ? {} : { attemptTimeout })
    }
  })
}

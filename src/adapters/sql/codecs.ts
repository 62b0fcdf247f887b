/**
 * What is stored as JSON inside a row: policies, targets, rules, errors. Each carries a version, `v`; what a later
 * version has written is refused and never guessed at. Rows share most of these texts, so what has been read is kept.
 */
import { Either, ParseResult, Schema } from "effect"
import { CatchUp, defaultCatchUp } from "../../domain/CatchUp.ts"
import { defaultOverlap, Overlap } from "../../domain/Overlap.ts"
import { Pause } from "../../domain/Pause.ts"
import { isRunnable, Recurrence } from "../../domain/Recurrence.ts"
import { defaultRetryPolicy, RetryPolicy } from "../../domain/RetryPolicy.ts"
import type { AttemptFailure, CancelCause, FunctionTarget, SkipReason, TaskFailure } from "../../domain/Task.ts"
import type { Skip } from "../../domain/TaskLifecycle.ts"

/** A row says something that this version cannot read. */
export class Undecodable extends Error {
  override readonly name = "Undecodable"
}

const v1 = Schema.Literal(1)

/**
 * Fields that are absent have the value that version 1 gives them, whatever a later default may be. Version 2 is what has
 * fields that version 1 did not know: a program that would pass over them leaves it alone.
 */
const StoredRetryPolicy = Schema.extend(Schema.Struct({ v: Schema.Literal(1, 2) }), Schema.partial(RetryPolicy))

const StoredTarget = Schema.Struct({
  v: v1,
  arn: Schema.optional(Schema.String),
  qualifier: Schema.optional(Schema.String),
  timeout: Schema.Number
})

const StoredFailure = Schema.Struct({
  v: v1,
  reason: Schema.String,
  message: Schema.String,
  errorType: Schema.optional(Schema.String)
})

/** How many texts of a kind are kept. */
const remembered = 1_000

/** A decoder that has each text decoded once, as long as there are not too many. */
const remembering = <A, I>(what: string, schema: Schema.Schema<A, I>): (text: string) => A => {
  const decode = Schema.decodeUnknownEither(Schema.parseJson(schema))
  const known = new Map<string, A>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const decoded = Either.getOrElse(decode(text), (error) => {
      throw new Undecodable(`${what}: ${ParseResult.TreeFormatter.formatErrorSync(error)}`)
    })
    if (known.size >= remembered) known.clear()
    known.set(text, decoded)
    return decoded
  }
}

const decodeStoredRetry = remembering("retry", StoredRetryPolicy)
const retries = new WeakMap<object, RetryPolicy>()

const retryV1: RetryPolicy = { ...defaultRetryPolicy }

export const decodeRetry = (text: string): RetryPolicy => {
  const stored = decodeStoredRetry(text)
  const before = retries.get(stored)
  if (before !== undefined) return before
  const { v: _, ...fields } = stored
  const policy = { ...retryV1, ...fields } as RetryPolicy
  retries.set(stored, policy)
  return policy
}

const retryTexts = new WeakMap<RetryPolicy, string>()

const isSame = (left: unknown, right: unknown): boolean =>
  left === right || (Array.isArray(left) && Array.isArray(right) && left.length === 0 && right.length === 0)

export const encodeRetry = (policy: RetryPolicy): string => {
  const before = retryTexts.get(policy)
  if (before !== undefined) return before
  const differing = Object.entries(policy).filter(([name, value]) => !isSame(value, retryV1[name as keyof RetryPolicy]))
  const v = differing.some(([name, value]) => value !== undefined && !(name in retryV1)) ? 2 : 1
  const text = JSON.stringify({ v, ...Object.fromEntries(differing) })
  retryTexts.set(policy, text)
  return text
}

const decodeStoredTarget = remembering("function", StoredTarget)
const targets = new Map<string, FunctionTarget>()

export const decodeTarget = (name: string, text: string): FunctionTarget => {
  const key = `${name}\n${text}`
  const before = targets.get(key)
  if (before !== undefined) return before
  const { arn, qualifier, timeout } = decodeStoredTarget(text)
  const target: FunctionTarget = { name, arn, qualifier, timeout }
  if (targets.size >= remembered) targets.clear()
  targets.set(key, target)
  return target
}

const targetTexts = new WeakMap<FunctionTarget, string>()

export const encodeTarget = (target: FunctionTarget): string => {
  const before = targetTexts.get(target)
  if (before !== undefined) return before
  const text = JSON.stringify({ v: 1, arn: target.arn, qualifier: target.qualifier, timeout: target.timeout })
  targetTexts.set(target, text)
  return text
}

export const decodeRecurrence: (text: string) => Recurrence = remembering(
  "recurrence",
  Recurrence.pipe(Schema.filter(isRunnable))
)
export const encodeRecurrence = (recurrence: Recurrence): string => JSON.stringify(recurrence)

const decodeFailureText = remembering("failure", StoredFailure)

export const decodeFailure = (text: string): TaskFailure => {
  const { message, reason } = decodeFailureText(text)
  return { reason: reason as TaskFailure["reason"], message }
}

export const decodeAttemptFailure = (text: string): AttemptFailure => {
  const { errorType, message, reason } = decodeFailureText(text)
  return { reason: reason as AttemptFailure["reason"], message, errorType }
}

export const encodeFailure = (failure: TaskFailure | AttemptFailure): string => JSON.stringify({ v: 1, ...failure })

const skipReason = Schema.Literal(
  ...["overlap", "paused", "catchUp", "window", "cap"] as const satisfies ReadonlyArray<SkipReason>
)
const StoredSkip = Schema.Struct({
  v: v1,
  reason: skipReason,
  count: Schema.optional(Schema.Number),
  last: Schema.optional(Schema.Number),
  note: Schema.optional(Schema.String)
})
const decodeSkipText = remembering("skipped", StoredSkip)

/** A reason that stands alone is stored as its word. */
export const encodeSkip = ({ note, range, skipped }: Skip): string =>
  range === undefined && note === undefined ? skipped : JSON.stringify({ v: 1, reason: skipped, ...range, note })

const isSkipReason = Schema.is(skipReason)

export const decodeSkip = (text: string): Skip => {
  if (isSkipReason(text)) return { skipped: text, range: undefined, note: undefined }
  const { count, last, note, reason } = decodeSkipText(text)
  return { skipped: reason, range: count === undefined || last === undefined ? undefined : { count, last }, note }
}

const causes: ReadonlySet<string> = new Set(
  ["task", "schedule", "function", "name", "backfill", "overlap"] satisfies Array<CancelCause>
)

/** Where the reason of a failure would be; what was cancelled before reasons were kept has none. */
export const decodeCancelCause = (text: string | null): CancelCause => {
  const cause = text ?? "task"
  if (causes.has(cause)) return cause as CancelCause
  throw new Undecodable(`failure: expected who has cancelled it, got ${cause.slice(0, 100)}`)
}

const withVersion = <A, I>(schema: Schema.Schema<A, I>) => Schema.extend(Schema.Struct({ v: v1 }), schema)

const withoutVersion = <A extends { readonly v: 1 }>(stored: A): Omit<A, "v"> => {
  const { v: _, ...rest } = stored
  return rest
}

const decodeOverlapText = remembering("overlap", withVersion(Overlap))
const decodeCatchUpText = remembering("catch_up", withVersion(CatchUp))
const decodePauseText = remembering("pause", withVersion(Pause))

const encodeSmall = (value: object): string => JSON.stringify({ v: 1, ...value })

/** Of a Task: absent, its schedule's holds. */
export const decodeOwnOverlap = (text: string | null): Overlap | undefined =>
  text === null ? undefined : withoutVersion(decodeOverlapText(text))
export const encodeOwnOverlap = (overlap: Overlap | undefined): string | undefined => overlap && encodeSmall(overlap)

/** Of a schedule; what is absent is the default, as version 1 had no other. */
export const decodeOverlap = (text: string | null): Overlap => decodeOwnOverlap(text) ?? defaultOverlap
export const encodeOverlap = (overlap: Overlap): string | undefined =>
  overlap.policy === defaultOverlap.policy ? undefined : encodeSmall(overlap)

export const decodeCatchUp = (text: string | null): CatchUp =>
  text === null ? defaultCatchUp : withoutVersion(decodeCatchUpText(text))
export const encodeCatchUp = (catchUp: CatchUp): string | undefined =>
  catchUp.policy === defaultCatchUp.policy && catchUp.window === undefined ? undefined : encodeSmall(catchUp)

export const decodePause = (text: string | null): Pause | undefined =>
  text === null ? undefined : withoutVersion(decodePauseText(text))
export const encodePause = (pause: Pause | undefined): string | undefined => pause && encodeSmall(pause)

const knownTags = new Map<string, Readonly<Record<string, string>>>()

// By hand: a Schema would lose a tag called __proto__.
const decodeTagsText = (text: string): Readonly<Record<string, string>> => {
  const before = knownTags.get(text)
  if (before !== undefined) return before
  const tags: unknown = JSON.parse(text)
  const isRecord = typeof tags === "object" && tags !== null && !Array.isArray(tags)
  if (!isRecord || Object.values(tags).some((value) => typeof value !== "string")) {
    throw new Undecodable(`tags: expected an object of texts, got ${text.slice(0, 100)}`)
  }
  if (knownTags.size >= remembered) knownTags.clear()
  knownTags.set(text, tags as Readonly<Record<string, string>>)
  return tags as Readonly<Record<string, string>>
}
const noTags: Readonly<Record<string, string>> = {}

export const decodeTags = (text: string | null): Readonly<Record<string, string>> =>
  text === null ? noTags : decodeTagsText(text)

export const encodeTags = (tags: Readonly<Record<string, string>>): string | null => {
  // Most have none.
  for (const _ in tags) return JSON.stringify(tags)
  return null
}

/** What makes a call repeatable: its key, and a digest of all that it asks for. Pure. */
import { Effect, Either, Schema } from "effect"
import { IdempotencyConflict, InvalidInput } from "../domain/Errors.ts"
import { TaskId } from "../domain/Ids.ts"
import type { FunctionTarget } from "../domain/Task.ts"
import { isStorable } from "../domain/Text.ts"
import { parseDuration, parseInstant, shown } from "../domain/Time.ts"
import type { Trigger } from "../domain/Trigger.ts"
import type { IdempotencyKey } from "../ports/TaskRepository.ts"
import type { Work } from "./WorkRequest.ts"

const isUuid = Schema.is(TaskId)

/** What a caller may say about repeating. */
export interface Repeatable {
  readonly id?: string | undefined
  readonly idempotencyKey?: string | undefined
}

const parseId = (id: unknown): Either.Either<string | undefined, InvalidInput> =>
  id === undefined || isUuid(id)
    ? Either.right(id)
    : Either.left(
      new InvalidInput({ reason: "IdInvalid", field: "id", message: `id: expected a UUID, got ${shown(id)}` })
    )

const parseKey = (key: unknown): Either.Either<string | undefined, InvalidInput> =>
  key === undefined ||
    (typeof key === "string" && key.length >= 1 && key.length <= 256 && isStorable(key))
    ? Either.right(key)
    : Either.left(
      new InvalidInput({
        reason: "IdempotencyKeyInvalid",
        field: "idempotencyKey",
        message: `idempotencyKey: expected 1 to 256 characters of text, got ${shown(key)}`
      })
    )

const neither = Either.right({ id: undefined, key: undefined })

/** Checks an id and a key; an id without a key is one. */
export const parseRepeatable = (
  options: Repeatable
): Either.Either<{ readonly id: string | undefined; readonly key: string | undefined }, InvalidInput> =>
  options.id === undefined && options.idempotencyKey === undefined ?
    neither :
    Either.flatMap(
      parseId(options.id),
      (id) =>
        Either.map(
          parseKey(options.idempotencyKey),
          (key) => ({ id: id?.toLowerCase(), key: key ?? id?.toLowerCase() })
        )
    )

const sorted = (record: object): ReadonlyArray<readonly [string, unknown]> =>
  Object.entries(record).sort(([left], [right]) => left < right ? -1 : 1)

/** What a trigger says, however it is written; it has been checked before. */
const said = (trigger: Trigger): ReadonlyArray<unknown> => {
  switch (trigger._tag) {
    case "Now":
      return [trigger._tag]
    case "At":
      return trigger.timeZone === undefined
        ? [trigger._tag, Either.getOrUndefined(parseInstant(trigger.instant, "trigger"))]
        : [trigger._tag, trigger.instant, trigger.timeZone]
    case "After":
      return [trigger._tag, Either.getOrUndefined(parseDuration(trigger.delay, "trigger"))]
    case "Spaced":
    case "Fixed":
      return [trigger._tag, Either.getOrUndefined(parseDuration(trigger.interval, "trigger"))]
    case "Cron":
    case "Calendar":
      return [sorted(trigger)]
  }
}

const sha256 = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", Buffer.from(text, "utf8"))),
    (digest) => Buffer.from(digest).toString("base64")
  )

const noKey: Effect.Effect<undefined> = Effect.as(Effect.void, undefined)

/**
 * A digest of a request: the function, its payload, and what the caller said of the time, not what came of it, so that
 * "in two seconds" is the same request a second later.
 */
export const keyOf = (
  key: string | undefined,
  asked: {
    readonly work: Work
    readonly target: FunctionTarget
    readonly trigger: Trigger
    readonly more: Readonly<Record<string, unknown>>
  }
): Effect.Effect<IdempotencyKey | undefined> =>
  key === undefined ? noKey : Effect.map(
    sha256(JSON.stringify([
      asked.target,
      asked.work.name,
      asked.work.payload,
      sorted(asked.work.tags),
      sorted(asked.work.retry),
      said(asked.trigger),
      // What is as before priorities has the digest of before.
      sorted(asked.work.priority === 0 ? asked.more : { ...asked.more, priority: asked.work.priority })
    ])),
    (digest) => ({ key, digest })
  )

/** The error of a key that has been used otherwise. */
export const conflictOf = (
  verdict: { readonly _tag: "Conflict" | "Gone"; readonly id: string },
  key: IdempotencyKey | undefined
): IdempotencyConflict =>
  new IdempotencyConflict({
    reason: verdict._tag === "Conflict" ? "OtherRequest" : "Removed",
    key: key?.key ?? verdict.id,
    id: verdict.id
  })

/**
 * What a function may answer about its own retries: a JSON object with `$scheduler` as its only key. Anything that is not
 * exactly one of these is an ordinary result.
 */
import { Either } from "effect"
import type { InvocationBody } from "../domain/Invocation.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { longestDuration, parseInstant } from "../domain/Time.ts"

/** What a function has asked for instead of a result. */
export type Asked =
  | { readonly _tag: "RetryAt"; readonly at: EpochMillis; readonly message: string }
  | { readonly _tag: "GiveUp"; readonly message: string }

// Every result comes by here: only what begins like this is parsed.
const beginning = /^[ \t\r\n]*\{[ \t\r\n]*"\$scheduler"[ \t\r\n]*:/

const longestMessage = 1_000

type Fields = Readonly<Record<string, unknown>>

/** The fields of an object that has no others than these. */
const fieldsOf = (value: unknown, names: ReadonlyArray<string>): Fields | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.keys(value).every((name) => names.includes(name))
    ? value as Fields
    : undefined

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    // A result may be any text.
    return undefined
  }
}

const messageOf = (reason: string | undefined, otherwise: string): string =>
  reason === undefined || reason === "" ? otherwise : reason.slice(0, longestMessage)

const instantOf = ({ retryAfter, retryAt }: Fields, now: EpochMillis): EpochMillis | undefined => {
  if (typeof retryAt === "string" || typeof retryAt === "number") {
    return retryAfter === undefined ? Either.getOrUndefined(parseInstant(retryAt, "retryAt")) : undefined
  }
  const isAfter = retryAt === undefined && typeof retryAfter === "number" && retryAfter >= 0 &&
    retryAfter * 1_000 <= longestDuration
  return isAfter ? now + Math.ceil(retryAfter * 1_000) : undefined
}

/**
 * Reads what a function asks for. Never before now: an instant that has passed is now.
 *
 * @param now epoch milliseconds
 * @returns `undefined` for an ordinary result
 *
 * @example
 * readAsked({ text: `{"$scheduler":{"retryAfter":90,"reason":"busy"}}`, encoding: "utf8" }, 0)
 * // { _tag: "RetryAt", at: 90_000, message: "busy" }
 */
export const readAsked = (body: InvocationBody, now: EpochMillis): Asked | undefined => {
  if (body.encoding !== "utf8" || !beginning.test(body.text)) return undefined
  const asked = fieldsOf(parsed(body.text), ["$scheduler"])?.["$scheduler"]
  const giveUp = fieldsOf(asked, ["giveUp"])?.["giveUp"]
  if (typeof giveUp === "string") return { _tag: "GiveUp", message: messageOf(giveUp, "The function gave up") }
  const fields = fieldsOf(asked, ["retryAt", "retryAfter", "reason"])
  const at = fields && instantOf(fields, now)
  const reason = fields?.["reason"]
  return at === undefined || (reason !== undefined && typeof reason !== "string")
    ? undefined
    : { _tag: "RetryAt", at: Math.max(now, at), message: messageOf(reason, "The function asked for another attempt") }
}

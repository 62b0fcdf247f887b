/** Instants and durations, parsed strictly and once, at the edge. Inside they are whole milliseconds. */
import type { Clock } from "effect"
import { DateTime, Duration, Either, Option } from "effect"
import { InvalidInput } from "./Errors.ts"

/** Milliseconds since 1970-01-01T00:00:00Z, whole. */
export type EpochMillis = number

/** Milliseconds, whole and not negative. */
export type Millis = number

/** Monotonic milliseconds, with a fraction; only differences mean something. */
export const monotonic = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos()) / 1e6

/** No duration is longer than this (100 years), so that no sum leaves the range of a Date. */
export const longestDuration: Millis = 100 * 365.25 * 24 * 3600 * 1000

const humanDuration = /^\d+(\.\d+)?\s+(nanos?|micros?|millis?|seconds?|minutes?|hours?|days?|weeks?)$/
// Years and months have no fixed length: they are refused, not guessed.
const isoDuration = /^P(?=[\dT])(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/

/** A duration as Effect takes it, or ISO 8601 text such as `"PT5S"`. */
export type DurationInput = Duration.DurationInput | `P${string}`

const decodeDuration = (input: unknown): Option.Option<Duration.Duration> => {
  if (typeof input === "string") {
    if (humanDuration.test(input)) return Option.some(Duration.decode(input as Duration.DurationInput))
    return isoDuration.test(input) ? Duration.fromIso(input) : Option.none()
  }
  if (typeof input === "number") {
    return Number.isFinite(input) && input >= 0
      ? Option.some(Duration.millis(input))
      : Option.none()
  }
  if (typeof input === "bigint") return input >= 0n ? Option.some(Duration.nanos(input)) : Option.none()
  if (Array.isArray(input)) {
    return input.every((part) => Number.isFinite(part) && part >= 0) ? Duration.decodeUnknown(input) : Option.none()
  }
  return Duration.isDuration(input) ? Option.some(input) : Option.none()
}

/** At most 100 characters of what came, for an error message. */
export const shown = (input: unknown): string => {
  const text = typeof input === "string" ? JSON.stringify(input) : asText(input)
  return text.length > 100 ? `${text.slice(0, 99)}…` : text
}

const asText = (input: unknown): string => {
  try {
    return String(input)
  } catch {
    // Without a prototype, or with a `toString` that throws: still no reason to fail in another way than by a refusal.
    return Object.prototype.toString.call(input)
  }
}

/**
 * Parses a duration, rounded up to whole milliseconds. Stricter than `Duration.decode`, which turns `-1`, `NaN`
 * and `"-5 seconds"` into 0.
 *
 * @param input `"5 seconds"`, `"PT5S"`, a `Duration`, or a number of milliseconds
 * @param field the caller's name for it, for the error
 * @returns milliseconds, or `InvalidInput` with reason `IntervalInvalid`
 *
 * @example
 * parseDuration("PT1.5S", "timeout") // Either.right(1500)
 */
export const parseDuration = (input: unknown, field: string): Either.Either<Millis, InvalidInput> => {
  const millis = decodeDuration(input).pipe(Option.map(Duration.toMillis), Option.getOrUndefined)
  return millis !== undefined && millis <= longestDuration
    ? Either.right(Math.ceil(millis))
    : Either.left(
      new InvalidInput({
        reason: "IntervalInvalid",
        field,
        message: `${field}: expected a duration such as "5 seconds" or "PT5S" (at most 100 years), got ${shown(input)}`
      })
    )
}

/** An instant as callers may give it: a `Date`, a `DateTime`, epoch milliseconds, or ISO 8601 text with an offset. */
export type InstantInput = Date | DateTime.DateTime | number | string

const isoInstant = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?$/
const isoDate = /^\d{4}-\d\d-\d\d$/
/** Milliseconds from 1970 that a `Date` can hold, either way. */
export const farthest = 8.64e15

/**
 * Parses an instant, rounded up to whole milliseconds (a fraction of ISO 8601 text beyond milliseconds is cut).
 * Calendar fields are checked: `new Date("2026-02-30")` would roll over to March.
 *
 * @returns epoch milliseconds, or `InvalidInput` with reason `DateInvalid`, `DateNoOffset` or `DateRange`
 *
 * @example
 * parseInstant("2027-01-01T09:00:00+01:00", "at") // Either.right(1798790400000)
 */
export const parseInstant = (input: unknown, field: string): Either.Either<EpochMillis, InvalidInput> => {
  const refuse = (reason: "DateInvalid" | "DateNoOffset" | "DateRange", expected: string) =>
    Either.left(
      new InvalidInput({ reason, field, message: `${field}: expected ${expected}, got ${shown(input)}` })
    )
  const inRange = (millis: number) =>
    Math.abs(millis) <= farthest
      ? Either.right(Math.ceil(millis))
      : refuse("DateRange", "an instant within 8.64e15 milliseconds of 1970")
  if (typeof input === "number") {
    return Number.isNaN(input) ? refuse("DateInvalid", "epoch milliseconds") : inRange(input)
  }
  if (input instanceof Date) {
    return Number.isNaN(input.getTime()) ? refuse("DateInvalid", "a valid Date") : inRange(input.getTime())
  }
  if (typeof input === "object" && input !== null && "epochMillis" in input && typeof input.epochMillis === "number") {
    return inRange(input.epochMillis)
  }
  const expected = "an instant such as \"2027-01-01T09:00:00Z\""
  if (typeof input !== "string") return refuse("DateInvalid", expected)
  if (isoDate.test(input)) return refuse("DateNoOffset", `${expected}, with a time and an offset`)
  const match = isoInstant.exec(input)
  if (match === null) return refuse("DateInvalid", expected)
  const [, year, month, day, hour, minute, second = "00", fraction = "", offset] = match
  if (offset === undefined) return refuse("DateNoOffset", `${expected}, with an offset`)
  const utc = `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, "0")}Z`
  const asUtc = Date.parse(utc)
  if (Number.isNaN(asUtc)) return refuse(/^[+-]/.test(input) ? "DateRange" : "DateInvalid", expected)
  // A day that does not exist is read as another one.
  if (DateTime.unsafeMake(asUtc).pipe(DateTime.getPartUtc("day")) !== Number(day)) {
    return refuse("DateInvalid", expected)
  }
  const [offsetHours, offsetMinutes] = offset === "Z"
    ? [0, 0]
    : [Number(offset.slice(1, 3)), Number(offset.slice(4, 6))]
  if (offsetHours > 23 || offsetMinutes > 59) return refuse("DateInvalid", `${expected}, with a valid offset`)
  const sign = offset.startsWith("-") ? 1 : -1
  return inRange(asUtc + sign * (offsetHours * 60 + offsetMinutes) * 60_000)
}

const units: ReadonlyArray<readonly [Millis, string]> = [
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"]
]

/** A duration in the largest unit that says it whole, as `parseDuration` reads it. */
export const inLargestUnit = (millis: Millis): { readonly count: number; readonly unit: string } => {
  const [size, unit] = units.find(([size]) => millis % size === 0) ?? [1, "milli"]
  return { count: millis / size, unit }
}

/** An instant as ISO 8601, in UTC. */
export const iso = (instant: EpochMillis): string => DateTime.formatIso(DateTime.unsafeMake(instant))

/**
 * @example
 * durationText(90_000) // "90 seconds"
 */
export const durationText = (millis: Millis): string => {
  const { count, unit } = inLargestUnit(millis)
  return `${count} ${unit}${count === 1 ? "" : "s"}`
}

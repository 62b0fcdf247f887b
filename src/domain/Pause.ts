/** A pause: nothing starts until it is over. */
import { Either, Schema } from "effect"
import { InvalidInput } from "./Errors.ts"
import { isStorable } from "./Text.ts"
import type { EpochMillis, InstantInput } from "./Time.ts"
import { farthest, iso, parseInstant, shown } from "./Time.ts"

const instant = Schema.Int.pipe(Schema.between(-farthest, farthest))

export const Pause = Schema.Struct({
  since: instant,
  /** When it is over; absent: when somebody ends it. */
  until: Schema.optionalWith(instant, { exact: true }),
  /** Who asked for it. */
  by: Schema.optionalWith(Schema.String, { exact: true }),
  /** Why. */
  note: Schema.optionalWith(Schema.String, { exact: true })
})
export type Pause = typeof Pause.Type

export interface PauseOptions {
  /** Who pauses, for others to see; at most 128 characters. */
  readonly by?: string | undefined
  /** Why, for others to see; at most 1,000 characters. */
  readonly note?: string | undefined
  /** When it goes on by itself; default: when it is resumed. */
  readonly until?: InstantInput | undefined
}

/** A pause if it holds at an instant; `until` itself is no longer part of it. */
export const inForce = (pause: Pause | undefined, now: EpochMillis): Pause | undefined =>
  now < (pause?.until ?? Infinity) ? pause : undefined

const text = (input: unknown, field: string, longest: number): Either.Either<string | undefined, InvalidInput> =>
  input === undefined ||
    (typeof input === "string" && input.length >= 1 && input.length <= longest && isStorable(input))
    ? Either.right(input)
    : Either.left(
      new InvalidInput({
        reason: "OptionInvalid",
        field,
        message: `${field}: expected 1 to ${longest} characters of text, got ${shown(input)}`
      })
    )

/**
 * Checks what a caller says of a pause that begins now.
 *
 * @example
 * parsePause({ by: "ada", note: "month end", until: "2027-01-01T00:00:00Z" }, now)
 */
export const parsePause = (options: PauseOptions, now: EpochMillis): Either.Either<Pause, InvalidInput> =>
  Either.flatMap(
    Either.all({
      by: text(options.by, "by", 128),
      note: text(options.note, "note", 1_000),
      until: options.until === undefined ? Either.right(undefined) : parseInstant(options.until, "until")
    }),
    ({ by, note, until }) =>
      until !== undefined && until <= now
        ? Either.left(
          new InvalidInput({
            reason: "DateRange",
            field: "until",
            message: `until: expected an instant after now, got ${iso(until)}`
          })
        )
        : Either.right({
          since: now,
          ...(until === undefined ? {} : { until }),
          ...(by === undefined ? {} : { by }),
          ...(note === undefined ? {} : { note })
        })
  )

/**
 * A pause in words.
 *
 * @example
 * describePause({ since: 0, by: "ada", note: "month end" }) // "paused since 1970-01-01T00:00:00.000Z by ada: month end"
 */
export const describePause = ({ by, note, since, until }: Pause): string =>
  `paused since ${iso(since)}${until === undefined ? "" : ` until ${iso(until)}`}${
    by === undefined ? "" : ` by ${by}`
  }` +
  (note === undefined ? "" : `: ${note}`)

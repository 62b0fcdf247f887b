/** What becomes of occurrences whose instants passed while nobody could start them. */
import { Either, Schema } from "effect"
import { InvalidInput } from "./Errors.ts"
import type { DurationInput, Millis } from "./Time.ts"
import { parseDuration, shown } from "./Time.ts"

export const CatchUpPolicy = Schema.Literal("latest", "skip", "all")
/**
 * - `latest`: the latest one runs, for all that were missed.
 * - `skip`: the same, but only what is at most a minute late, or as late as the window says.
 * - `all`: each of them runs, one after the other, up to a number of them, the latest ones.
 */
export type CatchUpPolicy = typeof CatchUpPolicy.Type

export const CatchUp = Schema.Struct({
  policy: CatchUpPolicy,
  /** Of `all`: how many are made up for. */
  max: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 10_000)), { exact: true }),
  /** Milliseconds by which an occurrence may be late and still start. */
  window: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { exact: true })
})
export type CatchUp = typeof CatchUp.Type

/** A policy by its name, or with its bounds. */
export type CatchUpOption = CatchUpPolicy | {
  readonly policy: CatchUpPolicy
  /** Of `all`: how many are made up for, the latest ones; 1 to 10,000, default 100. */
  readonly max?: number | undefined
  /** By how much an occurrence may be late and still start. Default: of `skip` a minute, of the others without bound. */
  readonly window?: DurationInput | undefined
}

export const defaultCatchUp: CatchUp = { policy: "latest" }

const defaultMax = 100
const defaultWindowOfSkip: Millis = 60_000

/** How many of those that were missed are made up for at the most. */
export const mostMadeUp = ({ max = defaultMax, policy }: CatchUp): number => policy === "all" ? max : 1

/** Milliseconds by which one may be late. */
export const windowOf = ({ policy, window }: CatchUp): Millis =>
  window ?? (policy === "skip" ? defaultWindowOfSkip : Infinity)

const isPolicy = Schema.is(CatchUpPolicy)

const invalid = (message: string) =>
  Either.left(new InvalidInput({ reason: "OptionInvalid", field: "catchUp", message: `catchUp: ${message}` }))

/**
 * Checks what a caller says of catching up; `latest` when absent.
 *
 * @example
 * parseCatchUp({ policy: "all", max: 24, window: "1 day" })
 */
export const parseCatchUp = (input: unknown): Either.Either<CatchUp, InvalidInput> => {
  if (input === undefined) return Either.right(defaultCatchUp)
  const given = typeof input === "object" && input !== null ? input as Record<string, unknown> : { policy: input }
  const { max, policy, window } = given
  if (!isPolicy(policy)) {
    return invalid(`expected one of ${CatchUpPolicy.literals.join(", ")}, got ${shown(policy)}`)
  }
  if (max !== undefined && policy !== "all") return invalid(`max: only all takes one, got ${shown(max)} for ${policy}`)
  if (max !== undefined && !(Number.isInteger(max) && (max as number) >= 1 && (max as number) <= 10_000)) {
    return invalid(`max: expected a whole number from 1 to 10000, got ${shown(max)}`)
  }
  const bounded = max === undefined ? { policy } : { policy, max: max as number }
  if (window === undefined) return Either.right(bounded)
  return Either.flatMap(
    parseDuration(window, "catchUp.window"),
    (window) =>
      window > 0
        ? Either.right({ ...bounded, window })
        : invalid(`window: expected a duration of at least a millisecond, got ${shown(given["window"])}`)
  )
}

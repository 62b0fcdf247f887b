/** What becomes of an occurrence that is due while another one of its schedule is under way. */
import { Either, Schema } from "effect"
import { InvalidInput } from "./Errors.ts"
import { shown } from "./Time.ts"

export const OverlapPolicy = Schema.Literal("skip", "bufferOne", "bufferAll", "cancelOther", "allowAll")
/**
 * - `skip`: it is recorded as skipped, and the schedule goes on.
 * - `bufferOne`, `bufferAll`: it waits for its turn, one or many; what finds no place to wait is skipped.
 * - `cancelOther`: what is under way is cancelled, and it starts. On AWS a function that has been called runs on.
 * - `allowAll`: it starts beside the others.
 */
export type OverlapPolicy = typeof OverlapPolicy.Type

export const Overlap = Schema.Struct({
  policy: OverlapPolicy,
  /** Of `bufferAll`: how many may wait. */
  max: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 1_000)), { exact: true }),
  /** How many may be under way before the policy applies; absent: one. Only a backfill has more. */
  running: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 1_000)), { exact: true })
})
export type Overlap = typeof Overlap.Type

/** A policy by its name, or `bufferAll` with the number that may wait: 1 to 1,000, default 100. */
export type OverlapOption = OverlapPolicy | { readonly policy: OverlapPolicy; readonly max?: number | undefined }

export const defaultOverlap: Overlap = { policy: "skip" }

const defaultMax = 100

/** How many may wait. */
export const placesToWait = ({ max = defaultMax, policy }: Overlap): number =>
  policy === "bufferAll" ? max : policy === "bufferOne" ? 1 : 0

/** Whether what is due may have to wait. */
export const isBuffering = (overlap: Overlap): boolean => placesToWait(overlap) > 0

const isPolicy = Schema.is(OverlapPolicy)

const invalid = (message: string) =>
  Either.left(new InvalidInput({ reason: "OptionInvalid", field: "overlap", message: `overlap: ${message}` }))

/**
 * Checks what a caller says of overlaps; `skip` when absent.
 *
 * @example
 * parseOverlap({ policy: "bufferAll", max: 10 })
 */
export const parseOverlap = (input: unknown): Either.Either<Overlap, InvalidInput> => {
  if (input === undefined) return Either.right(defaultOverlap)
  const given = typeof input === "object" && input !== null ? input as Record<string, unknown> : { policy: input }
  const { max, policy } = given
  if (!isPolicy(policy)) {
    return invalid(`expected one of ${OverlapPolicy.literals.join(", ")}, got ${shown(policy)}`)
  }
  if (max === undefined) return Either.right({ policy })
  if (policy !== "bufferAll") return invalid(`max: only bufferAll takes one, got ${shown(max)} for ${policy}`)
  return Number.isInteger(max) && (max as number) >= 1 && (max as number) <= 1_000
    ? Either.right({ policy, max: max as number })
    : invalid(`max: expected a whole number from 1 to 1000, got ${shown(max)}`)
}

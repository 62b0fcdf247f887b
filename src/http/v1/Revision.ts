/** Revisions as entity tags (RFC 9110, section 8.8.3): who edits says which one was read. */
import { Either, Schema } from "effect"
import { shown } from "../../domain/Time.ts"
import { described } from "../Contract.ts"
import type { ProblemOf } from "../Problem.ts"
import { problem } from "../Problem.ts"

/** The header that says what an edit is made for. */
export const IfMatchHeaders = Schema.Struct({
  "if-match": described(
    Schema.String.annotations({ examples: ["\"3\""] }),
    "Required: the ETag of the schedule that was read, its revision in quotes; or * for whichever there is"
  )
})

/** @example etagOf({ revision: 3 }) // "3", with its quotes */
export const etagOf = ({ revision }: { readonly revision: number }): string => `"${revision}"`

const entityTags = /^"[1-9]\d{0,14}"(?:\s*,\s*"[1-9]\d{0,14}")*$/

/**
 * The revisions that a request is made for, mostly one.
 *
 * @returns `undefined` for whichever there is, or a problem: `IF_MATCH_REQUIRED`, `IF_MATCH_INVALID`
 */
export const readIfMatch = (
  header: string | undefined
): Either.Either<ReadonlyArray<number> | undefined, ProblemOf<400> | ProblemOf<428>> => {
  if (header === undefined) {
    return Either.left(
      problem(
        428,
        "IF_MATCH_REQUIRED",
        "Send the header \"if-match\" with the ETag of the schedule that was read, or with *."
      )
    )
  }
  if (header === "*") return Either.right(undefined)
  return entityTags.test(header)
    ? Either.right(header.split(",").map((tag) => Number(tag.trim().slice(1, -1))))
    // A weak tag is none of this server's, and never matches where something is to be changed.
    : Either.left(
      problem(400, "IF_MATCH_INVALID", `if-match: expected an ETag such as "3", or *, got ${shown(header)}`)
    )
}

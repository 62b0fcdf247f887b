/** Creation that may be repeated: what a key or an id of the caller's has made before is found, not made again. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect } from "effect"
import { IdempotencyConflict } from "../../domain/Errors.ts"
import type { ProblemOf } from "../Problem.ts"
import { problem } from "../Problem.ts"

/** An id of the caller's that stands for something else already. */
export const takenId = (code: string, id: string): ProblemOf<409> =>
  problem(409, code, `The id ${id} stands for something else already.`)

/**
 * Makes something once.
 *
 * @param options `id`, `key`: of the caller; `exists`: whether there is something of an id; `make`: under an id of the
 * caller's, or a new one, or the scheduler's; `isAsked`: whether it is what the request asks for; `taken`: the code of an
 * id that stands for something else
 * @returns what there is now, and whether this call has made it
 */
export const makeOnce = <A extends { readonly id: string }, LookError, MakeError>(options: {
  readonly id: string | undefined
  readonly key: string | undefined
  readonly newId: Effect.Effect<string>
  readonly exists: (id: string) => Effect.Effect<boolean, LookError>
  readonly make: (id: string | undefined) => Effect.Effect<A, MakeError>
  readonly isAsked: (made: A) => boolean
  readonly taken: string
}): Effect.Effect<{ readonly made: A; readonly isNew: boolean }, LookError | MakeError | ProblemOf<409>> =>
  Effect.gen(function*() {
    const { id, key, taken } = options
    const isThere = id !== undefined && (yield* options.exists(id))
    // A key answers what it has made before, under the id that it was made under.
    const asked = id ?? (key === undefined ? undefined : yield* options.newId)
    const made = yield* Effect.mapError(
      options.make(asked),
      (error) =>
        error instanceof IdempotencyConflict && id !== undefined && key === undefined ? takenId(taken, id) : error
    )
    // What was made under an id of the scheduler's has no key that could tell.
    if (made.id === id && !options.isAsked(made)) return yield* Effect.fail(takenId(taken, id))
    return { made, isNew: !isThere && (asked === undefined || made.id === asked) }
  })

/** 201 with what was made, 200 with what was there. */
export const madeResponse = (
  answer: { readonly id: string },
  isNew: boolean,
  path: string
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson(
    answer,
    isNew ? { status: 201, headers: { location: `${path}/${answer.id}` } } : { status: 200 }
  )

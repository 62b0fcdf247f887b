/** Creation that may be repeated: what a key or an id of the caller's has made before is found, not made again. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Either } from "effect"
import type { DeploymentError } from "../../domain/Deployment.ts"
import type { IdempotencyConflict } from "../../domain/Errors.ts"
import { parseReference } from "../../domain/LambdaFunction.ts"
import type { FunctionTarget } from "../../domain/Task.ts"
import type { ScheduleError } from "../../engine/SchedulerApi.ts"
import type { ProblemOf } from "../Problem.ts"
import { problem } from "../Problem.ts"
import type { WorkRequest } from "./WorkRequest.ts"

/** What a Task and a schedule have in common. */
interface Made {
  readonly id: string
  readonly name: string
  readonly payload: string
  readonly function: FunctionTarget
}

/** Whether something does what a request asks for. */
const isAsked = (made: Made, { function: fn, name, payload = {}, payloadJson, qualifier }: WorkRequest): boolean => {
  const reference = Either.getOrUndefined(parseReference(fn, "function"))
  return made.function.name === reference?.name && made.function.qualifier === (qualifier ?? reference.qualifier) &&
    made.name === (name ?? reference.name) && made.payload === (payloadJson ?? JSON.stringify(payload))
}

/**
 * Makes something once.
 *
 * @param options `id`, `key`: of the caller; `exists`: whether there is something of an id; `make`: under an id of the
 * caller's, or a new one, or the scheduler's; `taken`: the code of an id that stands for something else
 * @returns what there is now, and whether this call has made it
 */
export const makeOnce = <A extends Made, E>(options: {
  readonly request: WorkRequest
  readonly id: string | undefined
  readonly key: string | undefined
  readonly newId: Effect.Effect<string>
  readonly exists: (id: string) => Effect.Effect<boolean, E>
  readonly make: (id: string | undefined) => Effect.Effect<A, ScheduleError>
  readonly taken: string
}): Effect.Effect<
  { readonly made: A; readonly isNew: boolean },
  E | Exclude<ScheduleError, DeploymentError> | ProblemOf<409>
> =>
  Effect.gen(function*() {
    const { id, key, request } = options
    const taken = (id: string) => problem(409, options.taken, `The id ${id} stands for something else already.`)
    const isThere = id !== undefined && (yield* options.exists(id))
    // A key answers what it has made before, under the id that it was made under.
    const asked = id ?? (key === undefined ? undefined : yield* options.newId)
    const made = yield* options.make(asked).pipe(
      Effect.catchTags({
        // Nothing is deployed: the function exists.
        DeploymentError: Effect.die,
        IdempotencyConflict: (conflict): Effect.Effect<never, IdempotencyConflict | ProblemOf<409>> =>
          Effect.fail(id !== undefined && key === undefined ? taken(id) : conflict)
      })
    )
    // What was made under an id of the scheduler's has no key that could tell.
    if (made.id === id && !isAsked(made, request)) return yield* Effect.fail(taken(id))
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

/** What a Task and a schedule have in common: what to run, and with what. */
import { Effect, Either, Schema } from "effect"
import { DeploymentError } from "../../domain/Deployment.ts"
import { InvalidInput } from "../../domain/Errors.ts"
import { InvocationErrorReason } from "../../domain/Invocation.ts"
import type { AnyLambdaFunction } from "../../domain/LambdaFunction.ts"
import { existing, parseReference } from "../../domain/LambdaFunction.ts"
import type { RetryOptions } from "../../domain/RetryPolicy.ts"
import type { FunctionTarget } from "../../domain/Task.ts"
import type { WorkOptions } from "../../engine/WorkRequest.ts"
import { described, Duration, FunctionName } from "../Contract.ts"

export const Retry = Schema.Struct({
  maxAttempts: described(
    Schema.Number.annotations({ jsonSchema: { type: "integer", minimum: 1, maximum: 100 } }),
    "How many attempts may be spent, the first included"
  ),
  baseDelay: described(Duration, "The delay before the second attempt"),
  maxDelay: described(Duration, "Upper bound of a delay that doubles"),
  maxAge: described(Duration, "From the nominal instant; after that nothing is tried again"),
  onUnknown: described(
    Schema.Literal("retry", "fail"),
    "When an attempt may or may not have run: retry is at-least-once, fail at-most-once"
  ),
  notRetryable: described(Schema.Array(InvocationErrorReason), "Reasons that are not worth another attempt"),
  notRetryableErrors: described(
    Schema.Array(Schema.String),
    "At most 100: the function's own errorTypes that are not worth another attempt"
  ),
  backoff: described(
    Schema.Union(Schema.Literal("exponential", "fixed"), Schema.Array(Duration)),
    "Delays double, or stay as they are, or are these, 1 to 99, of which the last goes on. Default: exponential"
  ),
  jitter: described(
    Schema.Literal("full", "none"),
    "full: a delay is drawn evenly from 0 to what it would be. Default: full where delays double, else none"
  ),
  maxWait: described(
    Duration,
    "For how long attempts that cost nothing may follow each other. Default: as maxAge allows"
  ),
  deadline: described(
    Duration,
    "From the nominal instant; after that nothing is started, and what runs is given up. Default: none"
  ),
  attemptTimeout: described(
    Duration,
    "How long the answer to one attempt is waited for. Default: the function's own timeout and a margin"
  )
})

export const FunctionReference = Schema.String.annotations({
  description: "Name, name:qualifier or ARN of a function that exists: nothing is deployed",
  examples: ["payroll", "arn:aws:lambda:eu-north-1:123456789012:function:payroll"]
})

export const Priority = Schema.Number.annotations({ jsonSchema: { type: "integer", minimum: -100, maximum: 100 } })

export const payload = {
  payload: described(Schema.Unknown, "Any JSON, handed to the function as its event. Default: {}"),
  payloadJson: described(Schema.String, "Instead of payload: JSON text, delivered byte for byte")
}

/** The fields of a request. */
export const work = {
  function: FunctionReference,
  qualifier: described(Schema.String, "A version or an alias"),
  name: described(FunctionName, "A name to find it by. Default: the function's"),
  ...payload,
  tags: described(
    Schema.Record({ key: Schema.String, value: Schema.String }),
    "At most 50: keys of 1 to 128 characters, values of at most 256"
  ),
  retry: described(Retry, "What is not said here is the server's default"),
  priority: described(
    Priority,
    "-100 to 100: where not everything that is due can start, what has more of it starts first. Default: 0"
  )
}

export type WorkRequest = Schema.Struct.Type<typeof work>

/** The header that makes a request repeatable. */
export const IdempotencyHeaders = Schema.Struct({
  "idempotency-key": described(
    Schema.String,
    "1 to 256 characters: the same key with the same request answers what the first one has made"
  )
})

export const functionOf = (request: WorkRequest): AnyLambdaFunction =>
  existing(request.function, { qualifier: request.qualifier })

type GivenPayload = Pick<WorkRequest, "payload" | "payloadJson">

/** One of the two, or none: what is absent stays so. */
export const payloadOptions = (request: GivenPayload): Either.Either<GivenPayload, InvalidInput> => {
  const { payload, payloadJson } = request
  if (payloadJson === undefined) return Either.right("payload" in request ? { payload } : {})
  return "payload" in request
    ? Either.left(
      new InvalidInput({
        reason: "PayloadInvalid",
        field: "payloadJson",
        message: "payloadJson: expected either payload or payloadJson, got both"
      })
    )
    : Either.right({ payloadJson })
}

/** What the scheduler takes; what is absent stays so. */
export const workOptions = (
  { name, priority, retry, tags, ...request }: Omit<WorkRequest, "function">
): Either.Either<WorkOptions<unknown>, InvalidInput> =>
  Either.map(
    payloadOptions(request),
    (payload) => ({ ...payload, name, tags, retry: retry as RetryOptions | undefined, priority })
  )

/** Nothing is deployed where the function exists. */
export const withoutDeployment = <A, E, R>(
  self: Effect.Effect<A, E | DeploymentError, R>
): Effect.Effect<A, Exclude<E, DeploymentError>, R> =>
  Effect.catchAll(
    self,
    (error) => error instanceof DeploymentError ? Effect.die(error) : Effect.fail(error as Exclude<E, DeploymentError>)
  )

/** Whether something does what a request asks for. */
export const isAsked = (
  made: { readonly name: string; readonly payload: string; readonly function: FunctionTarget },
  { function: fn, name, payload = {}, payloadJson, qualifier }: WorkRequest
): boolean => {
  const reference = Either.getOrUndefined(parseReference(fn, "function"))
  return made.function.name === reference?.name && made.function.qualifier === (qualifier ?? reference.qualifier) &&
    made.name === (name ?? reference.name) && made.payload === (payloadJson ?? JSON.stringify(payload))
}

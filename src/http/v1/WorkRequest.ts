/** What a Task and a schedule have in common: what to run, and with what. */
import { Either, Schema } from "effect"
import { InvalidInput } from "../../domain/Errors.ts"
import { InvocationErrorReason } from "../../domain/Invocation.ts"
import type { AnyLambdaFunction } from "../../domain/LambdaFunction.ts"
import { existing } from "../../domain/LambdaFunction.ts"
import type { RetryOptions } from "../../domain/RetryPolicy.ts"
import type { WorkOptions } from "../../engine/WorkRequest.ts"
import { described, Duration, FunctionName } from "../Contract.ts"

const Retry = Schema.Struct({
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

/** The fields of a request. */
export const work = {
  function: Schema.String.annotations({
    description: "Name, name:qualifier or ARN of a function that exists: nothing is deployed",
    examples: ["payroll", "arn:aws:lambda:eu-north-1:123456789012:function:payroll"]
  }),
  qualifier: described(Schema.String, "A version or an alias"),
  name: described(FunctionName, "A name to find it by. Default: the function's"),
  payload: described(Schema.Unknown, "Any JSON, handed to the function as its event. Default: {}"),
  payloadJson: described(Schema.String, "Instead of payload: JSON text, delivered byte for byte"),
  tags: described(
    Schema.Record({ key: Schema.String, value: Schema.String }),
    "At most 50: keys of 1 to 128 characters, values of at most 256"
  ),
  retry: described(Retry, "What is not said here is the server's default")
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

/** What the scheduler takes; what is absent stays so. */
export const workOptions = (request: WorkRequest): Either.Either<WorkOptions<unknown>, InvalidInput> => {
  const { name, payloadJson, retry, tags } = request
  const options = { name, payloadJson, tags, retry: retry as RetryOptions | undefined }
  if (!("payload" in request)) return Either.right(options)
  return payloadJson === undefined
    ? Either.right({ ...options, payload: request.payload })
    : Either.left(
      new InvalidInput({
        reason: "PayloadInvalid",
        field: "payloadJson",
        message: "payloadJson: expected either payload or payloadJson, got both"
      })
    )
}

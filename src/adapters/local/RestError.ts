/** The errors of the Lambda REST API, in AWS's words. */
import { HttpServerResponse } from "@effect/platform"
import { Data } from "effect"
import type { InvalidInput } from "../../domain/Errors.ts"
import type { InvocationError, InvocationErrorReason } from "../../domain/Invocation.ts"

/** An error as the wire has it. */
export class RestError extends Data.TaggedError("RestError")<{
  readonly status: number
  /** The exception's name in the SDK. */
  readonly type: string
  readonly message: string
  readonly throttleReason?: string
}> {}

const restError = (status: number, type: string) => (message: string): RestError =>
  new RestError({ status, type, message })

export const notFound = restError(404, "ResourceNotFoundException")
export const conflict = restError(409, "ResourceConflictException")
export const invalidParameter = restError(400, "InvalidParameterValueException")
export const invalidContent = restError(400, "InvalidRequestContentException")
export const validation = restError(400, "ValidationException")
export const preconditionFailed = restError(412, "PreconditionFailedException")
export const tooLarge = restError(413, "RequestEntityTooLargeException")
export const forbidden = restError(403, "MissingAuthenticationTokenException")

/** What is wrong with a function that was sent. */
export const fromInvalidInput = ({ message, reason }: InvalidInput): RestError =>
  reason === "ZipInvalid" || reason === "ZipSymlink"
    ? invalidParameter(`Could not unzip uploaded file. Please check your file, then try to upload again. (${message})`)
    : invalidParameter(message)

const exceptions: Partial<Record<InvocationErrorReason, readonly [status: number, type: string]>> = {
  NotFound: [404, "ResourceNotFoundException"],
  NotReady: [409, "ResourceConflictException"],
  PayloadTooLarge: [413, "RequestTooLargeException"],
  Throttled: [429, "TooManyRequestsException"]
}

export const fromInvocationError = ({ message, reason }: InvocationError): RestError => {
  const [status, type] = exceptions[reason] ?? [500, "ServiceException"]
  return new RestError({
    status,
    type,
    message,
    ...(reason === "Throttled" ? { throttleReason: "ConcurrentInvocationLimitExceeded" } : {})
  })
}

export const errorResponse = (error: RestError): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson({
    Type: error.status < 500 ? "User" : "Service",
    Message: error.message,
    ...(error.throttleReason === undefined ? {} : { Reason: error.throttleReason })
  }, { status: error.status, headers: { "x-amzn-errortype": error.type } })

/** One invocation: one request, no retries, nothing sent too late. */
import type { InvokeCommandInput, LambdaClient as SdkClient } from "@aws-sdk/client-lambda"
import * as Aws from "@aws-sdk/client-lambda"
import type { Clock } from "effect"
import { Effect } from "effect"
import { InvocationError } from "../../domain/Invocation.ts"
import type { InvocationResult } from "../../domain/Invocation.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import type { InvokeRequest } from "../../ports/LambdaClient.ts"
import { collectAnswer, readAnswer } from "./answer.ts"
import { classifyInvocation } from "./classify.ts"
import { departing, guardClient, guardedAgents } from "./departure.ts"
import type { Departure } from "./departure.ts"

/** A connection that takes longer is given up; nothing was sent. */
const connectTimeout: Millis = 5_000

/** The data plane's own settings: retries are the engine's to decide, and two retry loops multiply. */
export const dataClientConfig = (): Aws.LambdaClientConfig => ({
  maxAttempts: 1,
  retryMode: "standard",
  requestHandler: guardedAgents(connectTimeout),
  streamCollector: collectAnswer
})

const inputOf = ({ clientContext, payload, target, type }: InvokeRequest): InvokeCommandInput => ({
  FunctionName: target.arn ?? target.name,
  InvocationType: type,
  Payload: Buffer.from(payload, "utf8"),
  ...(target.qualifier !== undefined && { Qualifier: target.qualifier }),
  ...(type === "RequestResponse" && {
    LogType: "Tail",
    ...(clientContext !== undefined && {
      ClientContext: Buffer.from(JSON.stringify({ custom: clientContext }), "utf8").toString("base64")
    })
  })
})

/**
 * Late by the wall clock, or by the monotonic one: a wall clock that was set back grants no time, and neither does a
 * process that slept.
 */
const lateness = (clock: Clock.Clock, notAfter: EpochMillis): () => boolean => {
  const started = clock.unsafeCurrentTimeNanos()
  const budget = notAfter - clock.unsafeCurrentTimeMillis()
  return () =>
    clock.unsafeCurrentTimeMillis() > notAfter ||
    Number(clock.unsafeCurrentTimeNanos() - started) / 1_000_000 > budget
}

const tooLate = () =>
  new InvocationError({ reason: "TooLate", message: "The lease would have ended before the request left" })

const timedOut = (timeout: Millis, left: boolean) =>
  new InvocationError(
    left
      ? { reason: "NoAnswer", message: `No answer within ${timeout} ms` }
      : { reason: "Unreachable", message: `The request could not be sent within ${timeout} ms` }
  )

/** `LambdaClient.invoke` over a client made with `dataClientConfig`. */
export const makeInvoke = (client: SdkClient) => {
  guardClient(client)
  const failure = (error: unknown, departure: Departure): InvocationError =>
    departure.state === "refused" ? tooLate() : classifyInvocation(error, departure.state === "left")
  // Keys that expired are fetched anew for the next attempt; this one is settled, whatever comes of it.
  const refreshCredentials = Effect.ignore(
    Effect.tryPromise(() => client.config.credentials({ forceRefresh: true }))
  )
  return Effect.fnUntraced(function*(request: InvokeRequest): Effect.fn.Return<InvocationResult, InvocationError> {
    const clock = yield* Effect.clock
    const departure: Departure = { isLate: lateness(clock, request.notAfter), state: "held" }
    const output = yield* Effect.tryPromise({
      try: (abortSignal) =>
        departing(departure, () => client.send(new Aws.InvokeCommand(inputOf(request)), { abortSignal })),
      catch: (error) => failure(error, departure)
    }).pipe(
      // Over the whole exchange, the body included; it aborts the request. The SDK's own timeout ends with the headers.
      Effect.timeoutFail({
        duration: request.timeout,
        onTimeout: () => timedOut(request.timeout, departure.state === "left")
      }),
      Effect.tapError((error) => error.reason === "CredentialsRejected" ? refreshCredentials : Effect.void)
    )
    return yield* readAnswer(output)
  })
}

/** Deploys and invokes functions: on AWS, or on this machine. */
import { Context } from "effect"
import type { Effect } from "effect"
import type { DeployedFunction, DeploymentError } from "../domain/Deployment.ts"
import type { InvalidInput } from "../domain/Errors.ts"
import type { InvocationError, InvocationResult } from "../domain/Invocation.ts"
import type { AnyCodeFunction } from "../domain/LambdaFunction.ts"
import type { FunctionTarget } from "../domain/Task.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"

export interface InvokeRequest {
  readonly target: FunctionTarget
  /** JSON text, delivered byte for byte. */
  readonly payload: string
  readonly type: "RequestResponse" | "Event" | "DryRun"
  /** Reaches a synchronous function as `context.clientContext.custom`. */
  readonly clientContext: Readonly<Record<string, string | number>> | undefined
  /** Nothing may leave after this instant (epoch milliseconds): the caller's lease ends. `Infinity` for no bound. */
  readonly notAfter: EpochMillis
  /**
   * How long to wait for the answer, in milliseconds: the function's own timeout and a margin, or less where the Task says so.
   * Then it fails with `NoAnswer`, if the request may have left.
   */
  readonly timeout: Millis
}

export class LambdaClient extends Context.Tag("effect-lambda-scheduler/ports/LambdaClient")<LambdaClient, {
  /** One line for people: where functions run, such as "AWS Lambda in eu-north-1". */
  readonly description: string

  /** The region whose functions can be named by ARN; `undefined` where regions mean nothing. */
  readonly region: string | undefined

  /** How many calls it makes at once, if that is bounded: more would only wait in it. */
  readonly concurrency?: number | undefined

  /**
   * Makes sure that the function exists with exactly this code and these settings, and can be invoked. Changes only
   * functions that carry our owner tag. Code that is unchanged costs no more than the check.
   */
  readonly deploy: (fn: AnyCodeFunction) => Effect.Effect<DeployedFunction, DeploymentError | InvalidInput>

  /**
   * Invokes once: no retries in here. Interruption aborts the request; on AWS the function itself runs on.
   */
  readonly invoke: (request: InvokeRequest) => Effect.Effect<InvocationResult, InvocationError>

  /** Removes a function that carries our owner tag. One that is not there is a success. */
  readonly remove: (name: string) => Effect.Effect<void, DeploymentError>
}>() {}

/** The calls that deploy: retried by the SDK, and together no more than Lambda takes. */
import type {
  CreateFunctionCommandInput,
  FunctionConfiguration,
  UpdateFunctionCodeCommandInput,
  UpdateFunctionConfigurationCommandInput
} from "@aws-sdk/client-lambda"
import * as Aws from "@aws-sdk/client-lambda"
import { Effect, RateLimiter, Runtime } from "effect"
import type { Scope } from "effect"
import type { DeploymentError } from "../../domain/Deployment.ts"
import { classifyDeployment } from "./classify.ts"

type Call<A> = Effect.Effect<A, DeploymentError>

/** What deploying needs of AWS. Each call fails with `DeploymentError`, told by `classifyDeployment`. */
export interface ControlPlane {
  readonly configuration: (name: string) => Call<FunctionConfiguration>
  readonly tags: (name: string, arn: string) => Call<Readonly<Record<string, string>>>
  /** @param secrets values to keep out of error messages: AWS repeats an environment it refuses */
  readonly create: (
    input: Named<CreateFunctionCommandInput>,
    secrets: ReadonlyArray<string>
  ) => Call<FunctionConfiguration>
  readonly updateCode: (input: Named<UpdateFunctionCodeCommandInput>) => Call<FunctionConfiguration>
  readonly updateConfiguration: (
    input: Named<UpdateFunctionConfigurationCommandInput>,
    secrets: ReadonlyArray<string>
  ) => Call<FunctionConfiguration>
  readonly tag: (name: string, arn: string, tags: Readonly<Record<string, string>>) => Call<void>
  readonly remove: (name: string) => Call<void>
}

type Named<Input extends { readonly FunctionName: string | undefined }> = Input & { readonly FunctionName: string }

/** Lambda's limit for all control calls of an account in a region together. It cannot be raised. */
export const callsPerSecond = 15

/** A call that hangs is given up after this many milliseconds, and tried again by the SDK. */
const requestTimeout = 60_000

export const controlClientConfig = {
  maxAttempts: 5,
  retryMode: "standard",
  requestHandler: { requestTimeout, throwOnRequestTimeout: true, connectionTimeout: 5_000 }
} satisfies Aws.LambdaClientConfig

/** Paces every request of the client, the SDK's retries included. */
export const paceClient = (client: Aws.LambdaClient): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    // One call per fifteenth of a second rather than fifteen at once: a window's end and the next one's start would
    // make thirty.
    const paced = yield* RateLimiter.make({
      limit: 1,
      interval: Math.ceil(1_000 / callsPerSecond),
      algorithm: "fixed-window"
    })
    const runtime = yield* Effect.runtime()
    client.middlewareStack.add(
      (next) => async (args) => {
        await Runtime.runPromise(runtime, paced(Effect.void))
        return next(args)
      },
      { name: "paceMiddleware", step: "finalizeRequest", priority: "low" }
    )
  })

/** The control plane over a client of the SDK. */
export const makeControlPlane = (client: Aws.LambdaClient): ControlPlane => {
  const call = <A>(
    name: string,
    send: (options: { readonly abortSignal: AbortSignal }) => Promise<A>,
    secrets: ReadonlyArray<string> = []
  ): Call<A> =>
    Effect.tryPromise({
      try: (abortSignal) => send({ abortSignal }),
      catch: (error) => classifyDeployment(error, name, secrets)
    })
  return {
    configuration: (FunctionName) =>
      call(FunctionName, (options) => client.send(new Aws.GetFunctionConfigurationCommand({ FunctionName }), options)),
    tags: (name, Resource) =>
      call(name, (options) => client.send(new Aws.ListTagsCommand({ Resource }), options)).pipe(
        Effect.map((output) => output.Tags ?? {})
      ),
    create: (input, secrets) =>
      call(input.FunctionName, (options) => client.send(new Aws.CreateFunctionCommand(input), options), secrets),
    updateCode: (input) =>
      call(input.FunctionName, (options) => client.send(new Aws.UpdateFunctionCodeCommand(input), options)),
    updateConfiguration: (input, secrets) =>
      call(
        input.FunctionName,
        (options) => client.send(new Aws.UpdateFunctionConfigurationCommand(input), options),
        secrets
      ),
    tag: (name, Resource, tags) =>
      call(name, (options) => client.send(new Aws.TagResourceCommand({ Resource, Tags: { ...tags } }), options)).pipe(
        Effect.asVoid
      ),
    remove: (FunctionName) =>
      call(FunctionName, (options) => client.send(new Aws.DeleteFunctionCommand({ FunctionName }), options)).pipe(
        Effect.asVoid
      )
  }
}

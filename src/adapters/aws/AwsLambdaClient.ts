/** The LambdaClient for AWS, on the AWS SDK. */
import * as Aws from "@aws-sdk/client-lambda"
import { Effect, Layer } from "effect"
import { DeploymentError } from "../../domain/Deployment.ts"
import { InvocationError } from "../../domain/Invocation.ts"
import { packageFunction } from "../../packaging/Package.ts"
import { LambdaClient } from "../../ports/LambdaClient.ts"
import { defaultOwnerTag, roleFromEnvironment, sdkConfig } from "./AwsLambdaConfig.ts"
import type { AwsLambdaOptions } from "./AwsLambdaConfig.ts"
import { controlClientConfig, makeControlPlane, paceClient } from "./ControlPlane.ts"
import { makeDeployer } from "./deploy.ts"
import { dataClientConfig, makeInvoke } from "./invoke.ts"
import { makeJustCreated } from "./JustCreated.ts"
import { regionMissing } from "./messages.ts"

const acquire = (config: Aws.LambdaClientConfig) =>
  Effect.acquireRelease(
    Effect.sync(() => new Aws.LambdaClient(config)),
    (client) => Effect.sync(() => client.destroy())
  )

/** The region, or `undefined` when neither options, environment nor profile name one. */
const resolveRegion = (client: Aws.LambdaClient): Effect.Effect<string | undefined> =>
  Effect.tryPromise(() => client.config.region()).pipe(
    Effect.tapError(() => Effect.logWarning(`${regionMissing}: deploying and invoking will fail`)),
    Effect.orElseSucceed(() => undefined)
  )

const make = Effect.fnUntraced(function*(options: AwsLambdaOptions) {
  const config = sdkConfig(options)
  const controlClient = yield* acquire({ ...config, ...controlClientConfig })
  yield* paceClient(controlClient)
  const region = yield* resolveRegion(controlClient)
  // One chain of credentials for both: the second asks nobody again.
  const dataClient = yield* acquire({
    ...config,
    ...dataClientConfig(),
    credentials: controlClient.config.credentials,
    ...(region !== undefined && { region })
  })
  const deployer = yield* makeDeployer(makeControlPlane(controlClient), {
    role: options.role ?? (yield* roleFromEnvironment),
    ownerTag: options.ownerTag ?? defaultOwnerTag
  })
  const invoke = makeInvoke(dataClient)
  const justCreated = makeJustCreated()
  const withoutRegion = (functionName: string) =>
    new DeploymentError({ reason: "MissingRegion", functionName, message: regionMissing })

  return region === undefined
    ? LambdaClient.of({
      description: "AWS Lambda (no region)",
      region,
      deploy: (fn) => withoutRegion(fn.name),
      invoke: () => new InvocationError({ reason: "MissingRegion", message: regionMissing }),
      remove: withoutRegion
    })
    : LambdaClient.of({
      description: `AWS Lambda in ${region}`,
      region,
      deploy: (fn) =>
        packageFunction(fn).pipe(
          Effect.flatMap(deployer.deploy),
          Effect.tap(({ change, target }) => change === "created" ? justCreated.note(target.name) : Effect.void)
        ),
      invoke: (request) =>
        Effect.catchAll(invoke(request), (error) => Effect.flip(justCreated.judge(request.target, error))),
      remove: (name) => Effect.zipRight(deployer.remove(name), justCreated.forget(name))
    })
})

/**
 * Functions on AWS.
 *
 * Invoking needs `lambda:InvokeFunction` alone; see `invokePolicy` and `deployPolicy`.
 */
export const AwsLambdaClient: {
  /**
   * As the environment says: region, credentials and endpoint are found as the SDK always finds them
   * (`AWS_REGION`, `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, container and instance roles), and `AWS_LAMBDA_ROLE_ARN` is the
   * execution role of functions that name none. What is missing is said by the call that needs it, exactly:
   * `AWS_REGION not set`, `AWS credentials not found`, `AWS_LAMBDA_ROLE_ARN not set`.
   *
   * @example
   * LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, AwsLambdaClient.layer)))
   */
  readonly layer: Layer.Layer<LambdaClient>
  /**
   * As the options say, and for what they leave open as the environment says.
   *
   * @example
   * AwsLambdaClient.layerWith({ region: "eu-north-1", role: "arn:aws:iam::123456789012:role/jobs" })
   */
  readonly layerWith: (options: AwsLambdaOptions) => Layer.Layer<LambdaClient>
} = {
  layer: Layer.scoped(LambdaClient, Effect.suspend(() => make({}))),
  layerWith: (options) => Layer.scoped(LambdaClient, Effect.suspend(() => make(options)))
}

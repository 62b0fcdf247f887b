/** Lambda on this machine behind AWS's own REST API, so that programs that use the AWS SDK run against it. */
import { Context, Effect, Layer } from "effect"
import { defaultSettings } from "./LocalSettings.ts"
import type { LocalSettings } from "./LocalSettings.ts"

/**
 * A Lambda service on a loopback port. Any credentials will do; requests must be signed, as the SDK signs them.
 *
 * Understood: CreateFunction (zip), GetFunction, GetFunctionConfiguration, ListFunctions, DeleteFunction,
 * UpdateFunctionCode, UpdateFunctionConfiguration, ListTags, TagResource, UntagResource, Invoke, GetAccountSettings.
 */
export class LocalLambdaServer extends Context.Tag("effect-lambda-scheduler/adapters/local/LocalLambdaServer")<
  LocalLambdaServer,
  {
    /** Such as `http://127.0.0.1:40123`: the SDK's `endpoint`. */
    readonly url: string
  }
>() {
  /**
   * Serves until the scope closes, which also ends every function's processes.
   *
   * @param options those of `LocalSettings`, durations in milliseconds; `port`: default 0, any that is free
   *
   * @example
   * Effect.gen(function*() {
   *   const { url } = yield* LocalLambdaServer
   *   const sdk = new Lambda({ endpoint: url, region: "us-east-1", credentials })
   * }).pipe(Effect.provide(LocalLambdaServer.layer({ pendingFor: 100 })))
   */
  static readonly layer = (
    options: Partial<LocalSettings> & { readonly port?: number } = {}
  ): Layer.Layer<LocalLambdaServer> => {
    const { port = 0, ...settings } = options
    return Layer.scoped(
      LocalLambdaServer,
      // Loaded when it is used: who only wants the LambdaClient need not have @effect/platform.
      Effect.promise(() => import("./RestServer.ts")).pipe(
        Effect.flatMap(({ serveRest }) => serveRest({ ...defaultSettings, ...settings }, port)),
        Effect.map((url) => ({ url }))
      )
    )
  }
}

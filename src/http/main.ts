/** The server process: `npm start`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Clock, Console, Effect, Exit, Layer, Option, Runtime } from "effect"
import type { Millis } from "../domain/Time.ts"
import { EngineConfig } from "../engine/EngineConfig.ts"
import { LambdaScheduler } from "../engine/LambdaScheduler.ts"
import { LambdaClient } from "../ports/LambdaClient.ts"
import { greeting } from "./Greeting.ts"
import type { LambdaTarget } from "./LambdaTarget.ts"
import { SchedulerServer } from "./SchedulerServer.ts"
import type { ServerSettings } from "./ServerConfig.ts"
import { serverSettings } from "./ServerConfig.ts"
import { ServerError } from "./ServerError.ts"
import { serverLog } from "./ServerLog.ts"
import { giveUpStore, storeGivenUpCode } from "./StoreGiveUp.ts"
import { storeLayer } from "./storeLayer.ts"
import type { StoreTarget } from "./StoreTarget.ts"

// Only what is used is loaded: the AWS SDK alone would cost a third of the time it takes to start.
const lambdaClient = ({ where }: LambdaTarget): Layer.Layer<LambdaClient> =>
  Layer.unwrapEffect(
    where === "aws"
      ? Effect.map(Effect.promise(() => import("../adapters/aws/index.ts")), (aws) => aws.AwsLambdaClient.layer)
      : Effect.map(Effect.promise(() => import("../adapters/local/index.ts")), (local) => local.LocalLambdaClient.layer)
  )

const greet = (target: LambdaTarget, store: StoreTarget) =>
  Effect.gen(function*() {
    const { description } = yield* LambdaClient
    const { key, url } = yield* SchedulerServer
    const lines = greeting({ url, key, runsOn: description, target, store })
    yield* Console.log(lines.join("\n"))
  })

const server = ({ concurrency, shutdownGrace, store, storeGiveUp, ...settings }: ServerSettings) =>
  Effect.gen(function*() {
    yield* Layer.build(
      Layer.effectDiscard(greet(settings.lambda, store)).pipe(
        Layer.provide(SchedulerServer.layer(settings))
      )
    )
    return yield* store.where === "memory" ? Effect.never : giveUpStore(storeGiveUp)
  }).pipe(
    Effect.scoped,
    Effect.provide(
      LambdaScheduler.layer.pipe(
        Layer.provide(EngineConfig.layer({ concurrency, shutdownGrace })),
        // Functions of this machine are kept where the Tasks are.
        Layer.provideMerge(lambdaClient(settings.lambda)),
        Layer.provide(storeLayer(store))
      )
    )
  )

/** How much longer than its grace a shutdown may take before the process ends anyway. */
const shutdownMargin = 5_000

/**
 * Bounds the wait for a shutdown, which the first signal begins. npm passes Ctrl-C on to a process that the terminal
 * has told already: signals within a second are one. A later one means that somebody does not want to wait.
 */
const endInTime = (grace: Millis) =>
  Effect.map(Effect.runtime(), (runtime) => {
    let first: number | undefined
    const now = () => Runtime.runSync(runtime, Clock.currentTimeMillis)
    const onSignal = (code: number) => () => {
      if (first === undefined) {
        first = now()
        const end = Effect.sync((): void => process.exit(1))
        Runtime.runFork(runtime, Effect.delay(end, grace + shutdownMargin))
      } else if (now() - first > 1_000) process.exit(code)
    }
    process.on("SIGINT", onSignal(130)).on("SIGTERM", onSignal(143))
  })

const program = Effect.gen(function*() {
  const settings = yield* serverSettings
  yield* endInTime(settings.shutdownGrace)
  return yield* server(settings)
}).pipe(
  Effect.tapErrorCause((cause) =>
    Option.match(Cause.failureOption(cause), {
      onSome: (error) => Console.error(error.message),
      onNone: () => Cause.isInterruptedOnly(cause) ? Effect.void : Effect.logFatal("The server failed", cause)
    })
  ),
  Effect.provide(serverLog)
)

const exitCode = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return 0
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  return failure instanceof ServerError && failure.reason === "StoreGivenUp" ? storeGivenUpCode : 1
}

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, onExit) => onExit(exitCode(exit))
})

/** The `LambdaClient` of this machine: handlers run in child processes of this one. */
import { Clock, Effect, Layer, Option } from "effect"
import type { DeployedFunction } from "../../domain/Deployment.ts"
import { bodyFromBytes, InvocationError } from "../../domain/Invocation.ts"
import type { InvocationResult } from "../../domain/Invocation.ts"
import { packageFunction } from "../../packaging/Package.ts"
import { FunctionStore } from "../../ports/FunctionStore.ts"
import { LambdaClient } from "../../ports/LambdaClient.ts"
import type { InvokeRequest } from "../../ports/LambdaClient.ts"
import type { LocalRuntime } from "./LocalRuntime.ts"
import { makeLocalRuntime, samePackage } from "./LocalRuntime.ts"
import { defaultSettings } from "./LocalSettings.ts"
import type { LocalSettings } from "./LocalSettings.ts"
import type { Outcome } from "./Outcome.ts"
import { makeSharedFunctions } from "./SharedFunctions.ts"
import type { Functions } from "./SharedFunctions.ts"

const textOf = (value: unknown): string => (typeof value === "string" ? value : "")

/** `errorType` and `errorMessage` of an error payload. */
const describe = (payload: string): { readonly type: string; readonly message: string } => {
  try {
    const { errorMessage, errorType } = JSON.parse(payload) as Record<string, unknown>
    return { type: textOf(errorType), message: textOf(errorMessage) }
  } catch {
    return { type: "", message: payload.slice(0, 1000) }
  }
}

const functionError = ({ body, log, requestId, timedOut }: Outcome): InvocationError => {
  const payload = body.toString("utf8")
  const { message, type } = describe(payload)
  return new InvocationError({
    reason: timedOut ? "FunctionTimeout" : "FunctionError",
    message: `${type}: ${message}`,
    errorType: type,
    payload,
    requestId,
    executedVersion: "$LATEST",
    logTail: log
  })
}

const tooLate = new InvocationError({
  reason: "TooLate",
  message: "The lease would have ended before the call was handed to the function. Nothing was sent."
})

const noSlot = ({ target, timeout }: InvokeRequest) =>
  new InvocationError({
    reason: "Throttled",
    message: `No process was free for function ${target.name} within ${timeout} ms. Nothing was sent.`,
    accountWide: true
  })

const noAnswer = ({ target, timeout }: InvokeRequest) =>
  new InvocationError({ reason: "NoAnswer", message: `Function ${target.name} did not answer within ${timeout} ms` })

/** Functions that live as long as this process. */
const functionsOfOurOwn = (runtime: LocalRuntime): Functions => ({
  refresh: () => Effect.void,
  deploy: Effect.fnUntraced(function*(functionPackage) {
    const previous = runtime.find(functionPackage.settings.name)?.functionPackage
    if (previous !== undefined && samePackage(previous, functionPackage)) return "unchanged"
    const { active } = yield* runtime.install(functionPackage)
    yield* active
    return previous === undefined ? "created" : "updated"
  }),
  remove: runtime.remove
})

const invokeOn = (runtime: LocalRuntime, functions: Functions) =>
  Effect.fnUntraced(function*(request: InvokeRequest) {
    const { clientContext, notAfter, payload, target, timeout, type } = request
    yield* functions.refresh(target.name, timeout)
    let isSent = false
    const beforeSend = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now > notAfter) return tooLate
      isSent = true
      return Effect.void
    })
    const outcome = yield* runtime.invoke({
      name: target.name,
      qualifier: target.qualifier,
      type,
      payload: Buffer.from(payload),
      clientContext: clientContext === undefined ? undefined : JSON.stringify({ custom: clientContext }),
      beforeSend
    }).pipe(
      Effect.timeoutFail({ duration: timeout, onTimeout: () => (isSent ? noAnswer(request) : noSlot(request)) })
    )
    if (outcome.functionError !== undefined) return yield* functionError(outcome)
    const isSync = type === "RequestResponse"
    const result: InvocationResult = {
      body: bodyFromBytes(outcome.body),
      requestId: outcome.requestId,
      executedVersion: isSync ? "$LATEST" : undefined,
      logTail: isSync ? outcome.log : undefined
    }
    return result
  })

const make = (options: Partial<LocalSettings>) =>
  Effect.gen(function*() {
    const local = { ...defaultSettings, ...options }
    const runtime = yield* makeLocalRuntime(local)
    const store = Option.getOrUndefined(yield* Effect.serviceOption(FunctionStore))
    const functions = store === undefined ? functionsOfOurOwn(runtime) : yield* makeSharedFunctions(store, runtime)

    const deploy: LambdaClient["Type"]["deploy"] = Effect.fn("LocalLambdaClient.deploy")(function*(fn) {
      const functionPackage = yield* packageFunction(fn)
      const { codeSha256, settings } = functionPackage
      const deployed: DeployedFunction = {
        target: { name: settings.name, arn: undefined, qualifier: undefined, timeout: settings.timeout },
        codeSha256,
        change: yield* functions.deploy(functionPackage)
      }
      return deployed
    })

    return LambdaClient.of({
      description: `this machine (child processes, Node ${process.versions.node})`,
      region: undefined,
      concurrency: local.concurrency,
      deploy,
      invoke: invokeOn(runtime, functions),
      remove: Effect.fn("LocalLambdaClient.remove")(functions.remove)
    })
  })

/**
 * Runs functions on this machine, each call in a child process of its own that is used again while warm. Closing the
 * Layer's scope ends their processes and removes their files. Functions live as long as the Layer; where there is a
 * `FunctionStore`, they live in it, and every LocalLambdaClient on that store runs them, a change by another within a
 * second.
 *
 * Handlers are held by Node's permission model, by limits of the system, and as root by another user: a seat belt for
 * code you trust, not a sandbox.
 */
export class LocalLambdaClient {
  /**
   * With the default settings; needs nothing.
   *
   * @example
   * LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, LocalLambdaClient.layer)))
   */
  static readonly layer: Layer.Layer<LambdaClient> = Layer.scoped(LambdaClient, make({}))

  /**
   * With some settings changed.
   *
   * @param options see `LocalSettings`; durations in milliseconds
   *
   * @example
   * LocalLambdaClient.layerOptions({ concurrency: 4, idleTimeout: 60_000 })
   */
  static readonly layerOptions = (options: Partial<LocalSettings>): Layer.Layer<LambdaClient> =>
    Layer.scoped(LambdaClient, make(options))
}

/** What the tests of the local runtime share. */
import { Effect, Layer, Logger } from "effect"
import { execFileSync } from "node:child_process"
import { LocalLambdaClient } from "../../../src/adapters/local/index.ts"
import type { LocalSettings } from "../../../src/adapters/local/index.ts"
import type { InvocationError, InvocationResult } from "../../../src/domain/Invocation.ts"
import * as LambdaFunction from "../../../src/domain/LambdaFunction.ts"
import type { AnyCodeFunction, CodeOptions } from "../../../src/domain/LambdaFunction.ts"
import { LambdaClient } from "../../../src/ports/LambdaClient.ts"
import type { InvokeRequest } from "../../../src/ports/LambdaClient.ts"

/** The client, without the line each function logs about its runtime. */
export const client = (settings: Partial<LocalSettings> = {}): Layer.Layer<LambdaClient> =>
  LocalLambdaClient.layerOptions(settings).pipe(Layer.provideMerge(Logger.remove(Logger.defaultLogger)))

export const runtimeOfThisNode = `nodejs${process.versions.node.split(".")[0]}.x`

/** Whether children become another user: we are root, and Node lies where that user can reach it (not below /root). */
export const dropsUser = process.getuid?.() === 0 && (() => {
  try {
    execFileSync(process.execPath, ["--version"], { uid: 65534, gid: 65534, cwd: "/", env: {}, stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

/** A request with sensible rest. */
export const request = (
  name: string,
  payload: string = "{}",
  changes: Partial<InvokeRequest> = {}
): InvokeRequest => ({
  target: { name, arn: undefined, qualifier: undefined, timeout: 3_000 },
  payload,
  type: "RequestResponse",
  clientContext: undefined,
  notAfter: Infinity,
  timeout: 30_000,
  ...changes
})

/** Deploys a function and invokes it once. */
export const run = (
  fn: AnyCodeFunction,
  payload?: string,
  changes?: Partial<InvokeRequest>
): Effect.Effect<InvocationResult, InvocationError, LambdaClient> =>
  Effect.gen(function*() {
    const lambda = yield* LambdaClient
    yield* Effect.orDie(lambda.deploy(fn))
    return yield* lambda.invoke(request(fn.name, payload, changes))
  })

/** Runs source text once and answers its parsed result. */
export const evaluate = (
  source: string,
  options?: CodeOptions
): Effect.Effect<unknown, InvocationError, LambdaClient> =>
  Effect.map(run(LambdaFunction.inline("subject", source, options)), ({ body }): unknown => JSON.parse(body.text))

/** Runs source text that is to fail. */
export const failure = (source: string, options?: CodeOptions): Effect.Effect<InvocationError, unknown, LambdaClient> =>
  Effect.flip(run(LambdaFunction.inline("subject", source, options)))

/** Whether a process is there. */
export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Waits, in real time, until something holds; fails after ten seconds, or as many as are given. */
export const eventually = (what: string, holds: () => boolean, seconds = 10): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (!holds()) yield* Effect.sleep(20)
  }).pipe(
    Effect.timeoutOption(`${seconds} seconds`),
    Effect.flatMap((met) => met._tag === "Some" ? Effect.void : Effect.dieMessage(`still not so: ${what}`))
  )

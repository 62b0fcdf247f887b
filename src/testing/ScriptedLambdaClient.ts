/**
 * A LambdaClient for tests: it answers from a script and records everything it is asked for. Nothing leaves the
 * process and nothing waits but the script itself, so that it works on a VirtualClock and on Effect's TestClock alike.
 */
import { Cause, Clock, Context, Effect, Exit, Layer, Redacted } from "effect"
import { createHash } from "node:crypto"
import type { DeployedFunction } from "../domain/Deployment.ts"
import { InvocationError } from "../domain/Invocation.ts"
import type { InvocationErrorReason, InvocationResult } from "../domain/Invocation.ts"
import type { AnyCodeFunction } from "../domain/LambdaFunction.ts"
import { settings } from "../domain/LambdaFunction.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { InvokeRequest } from "../ports/LambdaClient.ts"
import { LambdaClient } from "../ports/LambdaClient.ts"

/** One invocation as it was asked for. */
export interface ScriptedCall {
  /** The bare name of the function. */
  readonly functionName: string
  readonly qualifier: string | undefined
  /** 1, 2, ...: how many times this function has been invoked, this time included. */
  readonly number: number
  /** When it was invoked. */
  readonly at: EpochMillis
  /** What the function would get as its event, parsed. */
  readonly payload: any
  /** Everything else that was asked for. */
  readonly request: InvokeRequest
}

/** An invocation and what came of it so far. */
export interface RecordedInvocation extends ScriptedCall {
  readonly outcome: "running" | "succeeded" | "interrupted" | InvocationErrorReason
  /** When it was answered or interrupted. */
  readonly endedAt: EpochMillis | undefined
}

export interface RecordedDeployment {
  readonly at: EpochMillis
  readonly function: AnyCodeFunction
  readonly change: DeployedFunction["change"]
}

export interface RecordedRemoval {
  readonly at: EpochMillis
  readonly functionName: string
}

/**
 * What a function does in a test: a value that is its result, or an Effect that takes its time (`Effect.sleep`) and
 * succeeds with the result or fails with an `InvocationError`. One that throws fails with `FunctionError`; `undefined` is
 * answered as `null`, as Lambda does.
 */
export type Script = (call: ScriptedCall) => unknown

export interface ScriptOptions {
  /**
   * What an invocation of a function without a script comes to: `null` as its result, or, with `"refuse"`, an
   * `InvocationError` with the reason `NotFound`. Default: `"answer"`.
   */
  readonly unscripted?: "answer" | "refuse" | undefined
}

/** Reads what a scripted LambdaClient was asked for. */
export class ScriptedLambdaClient
  extends Context.Tag("effect-lambda-scheduler/testing/ScriptedLambdaClient")<ScriptedLambdaClient, {
    /** Every invocation so far, in the order in which they began. */
    readonly invocations: Effect.Effect<ReadonlyArray<RecordedInvocation>>
    /** The invocations of one function, by its bare name. */
    readonly invocationsOf: (functionName: string) => Effect.Effect<ReadonlyArray<RecordedInvocation>>
    readonly deployments: Effect.Effect<ReadonlyArray<RecordedDeployment>>
    readonly removals: Effect.Effect<ReadonlyArray<RecordedRemoval>>
    /** Forgets what was recorded; calls are numbered from 1 again. What is deployed stays. */
    readonly clear: Effect.Effect<void>
  }>()
{
  /**
   * The LambdaClient and its records.
   *
   * @param scripts what each function does, by its bare name
   *
   * @example
   * ScriptedLambdaClient.layer({
   *   hello: ({ payload }) => ({ hi: payload.name }),
   *   slow: () => Effect.as(Effect.sleep("2 seconds"), "done"),
   *   flaky: ({ number }) => number < 3 ? ScriptedLambdaClient.fail("Throttled") : "third time lucky"
   * })
   */
  static readonly layer = (
    scripts: Readonly<Record<string, Script>> = {},
    options: ScriptOptions = {}
  ): Layer.Layer<LambdaClient | ScriptedLambdaClient> =>
    Layer.effectContext(Effect.sync(() => {
      const { client, records } = make(scripts, options)
      return Context.make(LambdaClient, client).pipe(Context.add(ScriptedLambdaClient, records))
    }))

  /**
   * The failure of an invocation, for a script to answer with.
   *
   * @example
   * ScriptedLambdaClient.fail("FunctionError", { message: "no such customer", errorType: "TypeError" })
   */
  static readonly fail = (
    reason: InvocationErrorReason,
    details: Partial<ConstructorParameters<typeof InvocationError>[0]> = {}
  ): Effect.Effect<never, InvocationError> =>
    Effect.fail(new InvocationError({ message: `Scripted failure: ${reason}`, ...details, reason }))
}

const digestOf = (fn: AnyCodeFunction): string =>
  createHash("sha256").update(JSON.stringify([fn.code, fn.options], visible)).digest("base64")

// JSON.stringify hands over what `toJSON` made of a value, and a secret makes nothing of itself.
const visible = function(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key]
  if (Redacted.isRedacted(original)) return Redacted.value(original)
  return original instanceof Uint8Array ? Buffer.from(original).toString("base64") : value
}

const outcomeOf = (exit: Exit.Exit<unknown, InvocationError>): RecordedInvocation["outcome"] =>
  Exit.match(exit, {
    onSuccess: () => "succeeded",
    onFailure: (cause) =>
      Cause.isInterruptedOnly(cause)
        ? "interrupted"
        : Cause.failureOption(cause).pipe((failure) => failure._tag === "Some" ? failure.value.reason : "FunctionError")
  })

const make = (scripts: Readonly<Record<string, Script>>, options: ScriptOptions) => {
  const deployed = new Map<string, string>()
  const counts = new Map<string, number>()
  let invocations: Array<{ -readonly [Key in keyof RecordedInvocation]: RecordedInvocation[Key] }> = []
  let deployments: Array<RecordedDeployment> = []
  let removals: Array<RecordedRemoval> = []
  const scriptOf = (name: string): Script | undefined => Object.hasOwn(scripts, name) ? scripts[name] : undefined

  const answer = (call: ScriptedCall): Effect.Effect<unknown, InvocationError> => {
    const script = scriptOf(call.functionName)
    if (script === undefined) {
      return options.unscripted === "refuse"
        ? ScriptedLambdaClient.fail("NotFound", { message: `Function ${call.functionName} has no script` })
        : Effect.succeed(null)
    }
    return Effect.flatMap(
      Effect.try({ try: () => script(call), catch: thrown }),
      (answered) =>
        Effect.isEffect(answered)
          ? inTime(call, answered as Effect.Effect<unknown, InvocationError>)
          : Effect.succeed(answered)
    )
  }

  const client: LambdaClient["Type"] = {
    description: "scripted functions (nothing leaves this process)",
    region: undefined,

    deploy: Effect.fn("ScriptedLambdaClient.deploy")(function*(fn: AnyCodeFunction) {
      const { name, timeout } = yield* settings(fn)
      const codeSha256 = digestOf(fn)
      const before = deployed.get(name)
      const change = before === undefined ? "created" : before === codeSha256 ? "unchanged" : "updated"
      deployed.set(name, codeSha256)
      deployments.push({ at: yield* Clock.currentTimeMillis, function: fn, change })
      return { target: { name, arn: undefined, qualifier: undefined, timeout }, codeSha256, change } as const
    }),

    invoke: Effect.fnUntraced(function*(request: InvokeRequest) {
      const at = yield* Clock.currentTimeMillis
      if (at > request.notAfter) return yield* ScriptedLambdaClient.fail("TooLate")
      const functionName = request.target.name
      const number = (counts.get(functionName) ?? 0) + 1
      counts.set(functionName, number)
      const call: ScriptedCall = {
        functionName,
        qualifier: request.target.qualifier,
        number,
        at,
        payload: JSON.parse(request.payload) as unknown,
        request
      }
      const record: (typeof invocations)[number] = { ...call, outcome: "running", endedAt: undefined }
      invocations.push(record)
      return yield* answer(call).pipe(
        Effect.map((result) => resultOf(request, result)),
        Effect.onExit((exit) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            record.outcome = outcomeOf(exit)
            record.endedAt = now
          })
        )
      )
    }),

    remove: Effect.fn("ScriptedLambdaClient.remove")(function*(functionName: string) {
      deployed.delete(functionName)
      removals.push({ at: yield* Clock.currentTimeMillis, functionName })
    })
  }

  const records: ScriptedLambdaClient["Type"] = {
    invocations: Effect.sync(() => invocations.map((record) => ({ ...record }))),
    invocationsOf: (functionName) =>
      Effect.sync(() => invocations.flatMap((record) => record.functionName === functionName ? [{ ...record }] : [])),
    deployments: Effect.sync(() => [...deployments]),
    removals: Effect.sync(() => [...removals]),
    clear: Effect.sync(() => {
      counts.clear()
      invocations = []
      deployments = []
      removals = []
    })
  }
  return { client, records }
}

/** A script that throws is a function that throws. */
const thrown = (cause: unknown): InvocationError =>
  new InvocationError({
    reason: "FunctionError",
    message: cause instanceof Error ? cause.message : String(cause),
    errorType: cause instanceof Error ? cause.name : "Error",
    cause
  })

/** Lambda ends a function that overruns its own timeout, and a client gives up an answer that takes too long; so do we. */
const inTime = (
  { request }: ScriptedCall,
  script: Effect.Effect<unknown, InvocationError>
): Effect.Effect<unknown, InvocationError> => {
  const { timeout } = request.target
  return Effect.timeoutFail(script, {
    duration: Math.min(timeout, request.timeout),
    onTimeout: () =>
      request.timeout < timeout
        ? new InvocationError({ reason: "NoAnswer", message: `No answer within ${request.timeout} ms` })
        : new InvocationError({
          reason: "FunctionTimeout",
          errorType: "Sandbox.Timedout",
          message: `Task timed out after ${(timeout / 1_000).toFixed(2)} seconds`
        })
  })
}

const resultOf = (request: InvokeRequest, result: unknown): InvocationResult => ({
  // Lambda answers Event and DryRun without a body.
  body: { text: request.type === "RequestResponse" ? jsonOf(result) : "", encoding: "utf8" },
  requestId: undefined,
  executedVersion: request.target.qualifier ?? "$LATEST",
  logTail: undefined
})

// What has no JSON of its own, Lambda answers as null.
const jsonOf = (value: unknown): string => (JSON.stringify(value)) ?? "null"

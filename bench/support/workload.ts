/** The work that the engine's benchmarks give it. */
import { Effect, Layer } from "effect"
import { LambdaClient, LambdaFunction } from "effect-lambda-scheduler"
import type { InvocationResult, InvokeRequest } from "effect-lambda-scheduler"

/** Invoked by reference: nothing is deployed. */
export const noop = LambdaFunction.existing("noop")

const payloadBytes = 200

/** A payload of 200 bytes of JSON, told apart by its number. */
export const payloadOf = (n: number): { readonly n: number; readonly text: string } => {
  const bare = JSON.stringify({ n, text: "" }).length
  return { n, text: "x".repeat(payloadBytes - bare) }
}

export const answer: InvocationResult = {
  body: { text: "null", encoding: "utf8" },
  requestId: undefined,
  executedVersion: undefined,
  logTail: undefined
}

/** A LambdaClient that can do no more than invoke. */
export const lambdaThat = (invoke: LambdaClient["Type"]["invoke"]): Layer.Layer<LambdaClient> =>
  Layer.succeed(LambdaClient, {
    description: "nothing",
    region: undefined,
    deploy: () => Effect.dieMessage("the benchmark deploys nothing"),
    invoke,
    remove: () => Effect.void
  })

/** A LambdaClient that does nothing but tell `onInvoke`, so that only the scheduler is measured. */
export const noopLambda = (onInvoke: (request: InvokeRequest) => void): Layer.Layer<LambdaClient> =>
  lambdaThat((request) =>
    Effect.sync(() => {
      onInvoke(request)
      return answer
    })
  )

/** Runs `each` for 0 to `count` - 1 from `callers` fibers, as that many clients of the library would. */
export const fromCallers = <E, R>(
  count: number,
  callers: number,
  each: (n: number) => Effect.Effect<void, E, R>
): Effect.Effect<void, E, R> =>
  Effect.forEach(
    Array.from({ length: callers }, (_, caller) => caller),
    (caller) =>
      Effect.loop(caller, {
        while: (n) => n < count,
        step: (n) => n + callers,
        body: each,
        discard: true
      }),
    { concurrency: "unbounded", discard: true }
  )

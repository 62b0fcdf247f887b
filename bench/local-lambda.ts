/** How long a call of a function on this machine takes: cold, warm, in process, and over HTTP through the AWS SDK. */
import { Effect, Layer, Redacted } from "effect"
import { LambdaClient, LambdaFunction } from "effect-lambda-scheduler"
import { AwsLambdaClient } from "effect-lambda-scheduler/aws"
import { LocalLambdaClient, LocalLambdaServer } from "effect-lambda-scheduler/local"
import type { Bench } from "./support/Bench.ts"
import { insist, quantile, seconds } from "./support/Bench.ts"
import { payloadOf } from "./support/workload.ts"

const coldCalls = 20
const warmCalls = 2_000

const echo = (n: number) =>
  LambdaFunction.inline(`echo-${n}`, "export const handler = async (event) => event", { timeout: "10 seconds" })

/** Milliseconds of the first call of each of several functions, and of many calls of one of them. */
const calls = Effect.gen(function*() {
  const lambda = yield* LambdaClient
  const call = (n: number) =>
    Effect.gen(function*() {
      const payload = JSON.stringify(payloadOf(n))
      const [elapsed, result] = yield* seconds(lambda.invoke({
        target: { name: `echo-${n}`, arn: undefined, qualifier: undefined, timeout: 10_000 },
        payload,
        type: "RequestResponse",
        clientContext: undefined,
        notAfter: Infinity,
        timeout: 20_000
      }))
      yield* insist(result.body.text === payload, `echo-${n} answered ${result.body.text}`)
      return elapsed * 1_000
    })
  const functions = Array.from({ length: coldCalls }, (_, n) => n)
  yield* Effect.forEach(functions, (n) => lambda.deploy(echo(n)))
  const cold = yield* Effect.forEach(functions, call)
  const warm = yield* Effect.replicateEffect(call(0), warmCalls)
  return { cold, warm }
})

const inProcess = calls.pipe(Effect.provide(LocalLambdaClient.layer))

const overHttp = calls.pipe(
  Effect.provide(
    Layer.unwrapEffect(Effect.map(LocalLambdaServer, ({ url }) =>
      AwsLambdaClient.layerWith({
        endpoint: url,
        region: "us-east-1",
        role: "arn:aws:iam::123456789012:role/bench",
        credentials: { accessKeyId: "bench", secretAccessKey: Redacted.make("bench") }
      }))).pipe(Layer.provide(LocalLambdaServer.layer()))
  )
)

export default {
  about: `${coldCalls} cold calls and ${warmCalls} warm ones of a function that echoes 200 bytes`,
  run: Effect.gen(function*() {
    const local = yield* inProcess
    const http = yield* overHttp
    return [
      { metric: "cold_p50", value: quantile(local.cold, 0.5), unit: "ms" },
      { metric: "cold_max", value: quantile(local.cold, 1), unit: "ms" },
      { metric: "warm_p50", value: quantile(local.warm, 0.5), unit: "ms" },
      { metric: "warm_p99", value: quantile(local.warm, 0.99), unit: "ms" },
      { metric: "http_cold_p50", value: quantile(http.cold, 0.5), unit: "ms" },
      { metric: "http_cold_max", value: quantile(http.cold, 1), unit: "ms" },
      { metric: "http_warm_p50", value: quantile(http.warm, 0.5), unit: "ms" },
      { metric: "http_warm_p99", value: quantile(http.warm, 0.99), unit: "ms" }
    ]
  })
} satisfies Bench

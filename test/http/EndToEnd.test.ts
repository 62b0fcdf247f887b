/** From an HTTP request to a function and back: server, engine, AWS client, the real SDK, Lambda's REST API, processes. */
import { Lambda } from "@aws-sdk/client-lambda"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { AwsLambdaClient } from "../../src/adapters/aws/index.ts"
import { LocalLambdaServer } from "../../src/adapters/local/index.ts"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import { inline } from "../../src/domain/LambdaFunction.ts"
import { LambdaScheduler } from "../../src/engine/LambdaScheduler.ts"
import { SchedulerServer } from "../../src/http/index.ts"
import { packageFunction } from "../../src/packaging/Package.ts"
import { askPort } from "./support.ts"

const role = "arn:aws:iam::123456789012:role/jobs"
const credentials = { accessKeyId: "AKIATESTTESTTEST0000", secretAccessKey: "nobody's" }

const setUp = Effect.gen(function*() {
  const lambda = Context.get(yield* Layer.build(LocalLambdaServer.layer({ pendingFor: 50 })), LocalLambdaServer)
  const region = "eu-north-1"
  const sdk = yield* Effect.acquireRelease(
    Effect.sync(() => new Lambda({ endpoint: lambda.url, region, credentials })),
    (client) => Effect.sync(() => client.destroy())
  )
  const keys = { ...credentials, secretAccessKey: Redacted.make(credentials.secretAccessKey) }
  const Aws = AwsLambdaClient.layerWith({ endpoint: lambda.url, region, role, credentials: keys })
  const { port } = Context.get(
    yield* Layer.build(
      SchedulerServer.layer({ port: 0 }).pipe(
        Layer.provide(LambdaScheduler.layer),
        Layer.provide(Layer.merge(MemoryTaskRepository.layer, Aws))
      )
    ),
    SchedulerServer
  )
  return { sdk, ask: (method: string, path: string, json?: unknown) => askPort(port, method, path, { json }) }
})

/** A function of somebody else's, as CDK or a person would have made it. */
const production = (sdk: Lambda) =>
  Effect.gen(function*() {
    const { codeSha256, zip } = yield* packageFunction(
      inline("payroll", `export const handler = async (event) => ({ paid: event.who })`)
    )
    yield* Effect.promise(() =>
      sdk.createFunction({
        FunctionName: "payroll",
        Role: role,
        Runtime: "nodejs24.x",
        Handler: "index.handler",
        Code: { ZipFile: zip }
      })
    )
    return codeSha256
  })

const whenDone = (ask: Effect.Effect.Success<typeof setUp>["ask"], name: string) =>
  ask("GET", `/result/${name}`).pipe(
    Effect.map((answer) => answer.task),
    Effect.delay("20 millis"),
    Effect.repeat({ until: (task) => task.finishedAt !== null }),
    Effect.timeout("10 seconds")
  )

it.scopedLive(
  "a demo request named like a production function does not touch it; invoking it is allowed",
  () =>
    Effect.gen(function*() {
      const { ask, sdk } = yield* setUp
      const before = yield* production(sdk)

      const refused = yield* ask("POST", "/schedule", { name: "payroll", jsonPayload: "{}" })
      expect(refused.refusal).toEqual([409, "DEPLOYMENT_NOT_OWNED"])
      expect((yield* ask("GET", "/list")).tasks).toEqual([])
      const after = yield* Effect.promise(() => sdk.getFunctionConfiguration({ FunctionName: "payroll" }))
      expect(after.CodeSha256).toBe(before)

      const invoked = yield* ask("POST", "/schedule", { name: "may", function: "payroll", jsonPayload: { who: "Ada" } })
      expect(invoked.status).toBe(202)
      expect(yield* whenDone(ask, "may")).toMatchObject({ status: "Succeeded", result: { paid: "Ada" } })
    }),
  30_000
)

it.scopedLive("a demo function is deployed, run, and carries our tag", () =>
  Effect.gen(function*() {
    const { ask, sdk } = yield* setUp
    expect((yield* ask("POST", "/schedule", { name: "hello", jsonPayload: `{"n": 1}` })).status).toBe(202)
    expect(yield* whenDone(ask, "hello")).toMatchObject({
      status: "Succeeded",
      result: { message: "Hello from hello", received: { n: 1 } }
    })
    const { FunctionArn } = yield* Effect.promise(() => sdk.getFunctionConfiguration({ FunctionName: "hello" }))
    const { Tags } = yield* Effect.promise(() => sdk.listTags({ Resource: FunctionArn }))
    expect(Tags).toMatchObject({ "effect-lambda-scheduler:owner": "effect-lambda-scheduler" })
  }), 30_000)

it.scopedLive("a function of another region is refused at creation", () =>
  Effect.gen(function*() {
    const { ask } = yield* setUp
    const arn = "arn:aws:lambda:us-east-1:123456789012:function:payroll"
    const refused = yield* ask("POST", "/schedule", { name: "far", function: arn })
    expect(refused.refusal).toEqual([400, "ARN_REGION_MISMATCH"])
  }))

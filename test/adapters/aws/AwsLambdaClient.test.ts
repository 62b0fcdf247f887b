import { describe, expect, it, vi } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Logger, LogLevel, Redacted } from "effect"
import { createHash } from "node:crypto"
import { callsPerSecond } from "../../../src/adapters/aws/ControlPlane.ts"
import { AwsLambdaClient, deployPolicy, invokePolicy } from "../../../src/adapters/aws/index.ts"
import type { Policy } from "../../../src/adapters/aws/index.ts"
import { files, inline } from "../../../src/domain/LambdaFunction.ts"
import { LambdaClient } from "../../../src/ports/LambdaClient.ts"
import { endpoint, failure, json } from "./support/endpoint.ts"
import type { Asked } from "./support/endpoint.ts"
import { makeModel } from "./support/LambdaModel.ts"
import { clientAt, request, testRole } from "./support/live.ts"
import { scriptOf } from "./support/modelFaces.ts"

const handler = (text: string) => `export const handler = async () => ${JSON.stringify(text)}`

/** A client and a model of AWS behind the REST API. */
const setUp = Effect.gen(function*() {
  const model = makeModel()
  const server = yield* endpoint(scriptOf(model))
  const client = yield* clientAt(server.url)
  return { model, server, client }
})

/** Sets variables of the process for the test: the SDK's own chain reads them, not Effect's Config. */
const withEnvironment = (variables: Readonly<Record<string, string | undefined>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value)
    }),
    () => Effect.sync(() => vi.unstubAllEnvs())
  )

const nowhere = {
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_SESSION_TOKEN: undefined,
  AWS_PROFILE: undefined,
  AWS_REGION: undefined,
  AWS_CONTAINER_CREDENTIALS_FULL_URI: undefined,
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: undefined,
  AWS_WEB_IDENTITY_TOKEN_FILE: undefined,
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_CONFIG_FILE: "/nonexistent/config",
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent/credentials"
}

describe("through the SDK", () => {
  it.scopedLive("creates, invokes, updates, leaves alone, removes", () =>
    Effect.gen(function*() {
      const { client, model, server } = yield* setUp
      expect([client.description, client.region]).toEqual(["AWS Lambda in eu-north-1", "eu-north-1"])

      const created = yield* client.deploy(inline("hello", handler("one"), { tags: { team: "payroll" } }))
      expect(created.change).toBe("created")
      expect(model.functions.get("hello")?.configuration).toMatchObject({
        State: "Active",
        CodeSha256: created.codeSha256,
        Role: testRole
      })

      const result = yield* client.invoke(request({ target: created.target, payload: `[1]` }))
      expect(result.body.text).toBe("[1]")

      const before = server.log.length
      expect(yield* client.deploy(inline("hello", handler("one"), { tags: { team: "payroll" } }))).toMatchObject({
        change: "unchanged",
        codeSha256: created.codeSha256
      })
      expect(server.log.slice(before).map(({ method }) => method)).toEqual(["GET", "GET"])

      const updated = yield* client.deploy(inline("hello", handler("two"), { memory: 256, tags: { team: "hr" } }))
      expect(updated.change).toBe("updated")
      expect(model.functions.get("hello")).toMatchObject({
        configuration: { CodeSha256: updated.codeSha256, MemorySize: 256 },
        tags: { team: "hr", "effect-lambda-scheduler:owner": "effect-lambda-scheduler" }
      })

      yield* client.remove("hello")
      expect(model.functions.size).toBe(0)
      yield* client.remove("hello")
    }))

  it.scopedLive("leaves a foreign function's code as it is", () =>
    Effect.gen(function*() {
      const { client, model } = yield* setUp
      model.createFunction({ FunctionName: "production", Code: { ZipFile: Buffer.from("theirs") }, Role: testRole })
      const error = yield* Effect.flip(client.deploy(inline("production", handler("mine"))))
      expect(error).toMatchObject({ _tag: "DeploymentError", reason: "NotOwned" })
      expect(model.functions.get("production")?.configuration.CodeSha256).toBe(
        createHash("sha256").update("theirs").digest("base64")
      )
    }))

  it.scopedLive("sends nothing for code that cannot be packaged", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setUp
      const error = yield* Effect.flip(client.deploy(files("hello", {})))
      expect(error._tag).toBe("InvalidInput")
      expect(server.log).toEqual([])
    }))
})

describe("the control plane", () => {
  it.scopedLive("has its retries, and no more than 15 requests a second, retries and all callers together", () =>
    Effect.gen(function*() {
      let answered = 0
      const server = yield* endpoint(() =>
        ++answered === 1
          ? failure(500, "ServiceException", "once")
          : failure(404, "ResourceNotFoundException", "Function not found")
      )
      const client = yield* clientAt(server.url)
      yield* Effect.forEach(["a", "b", "c", "d", "e"], client.remove, { concurrency: "unbounded" })
      expect(server.log.length).toBe(6)
      const gaps = server.log.slice(1).map(({ at }, index) => at - (server.log[index]?.at ?? 0))
      // Arrivals jitter by a few milliseconds; fifteen a second are 67 apart.
      for (const gap of gaps) expect(gap).toBeGreaterThan(1_000 / callsPerSecond - 15)
    }))
})

describe("a configuration that lacks something says so exactly", () => {
  const fn = inline("hello", handler("one"))

  it.scopedLive("the region", () =>
    Effect.gen(function*() {
      yield* withEnvironment(nowhere)
      const context = yield* Layer.build(AwsLambdaClient.layerWith({ role: testRole }))
      const client = yield* Effect.provide(LambdaClient, context)
      expect(client.region).toBeUndefined()
      expect(yield* Effect.flip(client.deploy(fn))).toMatchObject({
        reason: "MissingRegion",
        message: "AWS_REGION not set"
      })
      expect(yield* Effect.flip(client.invoke(request()))).toMatchObject({
        reason: "MissingRegion",
        message: "AWS_REGION not set",
        outcome: "notSent"
      })
      expect(yield* Effect.flip(client.remove("hello"))).toMatchObject({ reason: "MissingRegion" })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))

  it.scopedLive("the credentials", () =>
    Effect.gen(function*() {
      const server = yield* endpoint(() => json(200, {}))
      yield* withEnvironment({ ...nowhere, AWS_REGION: "eu-west-1" })
      const context = yield* Layer.build(AwsLambdaClient.layerWith({ role: testRole, endpoint: server.url }))
      const client = yield* Effect.provide(LambdaClient, context)
      expect(client.region).toBe("eu-west-1")
      const expected = { reason: "MissingCredentials", message: "AWS credentials not found" }
      expect(yield* Effect.flip(client.deploy(fn))).toMatchObject(expected)
      expect(yield* Effect.flip(client.invoke(request()))).toMatchObject({ ...expected, outcome: "notSent" })
      expect(server.log).toEqual([])
    }))

  it.scopedLive("the role, which the environment or the function may name", () =>
    Effect.gen(function*() {
      const model = makeModel()
      const server = yield* endpoint(scriptOf(model))
      const withRole = (role: string) =>
        Effect.withConfigProvider(
          clientAt(server.url, { role: undefined }),
          ConfigProvider.fromMap(new Map([["AWS_LAMBDA_ROLE_ARN", role]]))
        )
      const without = yield* withRole("")
      expect(yield* Effect.flip(without.deploy(fn))).toMatchObject({
        reason: "RoleMissing",
        message: "AWS_LAMBDA_ROLE_ARN not set"
      })
      expect(server.log).toEqual([])
      // Invoking needs none.
      model.createFunction({ FunctionName: "theirs", Code: {}, Role: testRole })
      yield* without.invoke(request())

      const named = yield* withRole(`${testRole}-from-environment`)
      yield* named.deploy(fn)
      expect(model.functions.get("hello")?.configuration.Role).toBe(`${testRole}-from-environment`)
    }))
})

describe("secrets", () => {
  it.scopedLive("are neither logged nor told in errors", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make((entry) => {
        lines.push(JSON.stringify([entry.message, String(entry.cause), [...entry.annotations]]))
      })
      const canaries = ["canary-secret-access-key", "canary-session-token", "canary-environment-value", "AKIATEST"]
      const failures: Array<unknown> = []
      // AWS repeats an environment that it refuses, and the signed headers of a request it does not believe.
      const server = yield* endpoint(({ headers, method }) =>
        method === "GET"
          ? failure(404, "ResourceNotFoundException", "Function not found")
          : method === "POST" && headers["x-amz-invocation-type"] !== undefined
          ? failure(403, "InvalidSignatureException", `Refused AKIATESTTESTTEST0000\n${JSON.stringify(headers)}`)
          : failure(400, "InvalidParameterValueException", `String measured: {"SECRET":"canary-environment-value"}`)
      )
      yield* Effect.gen(function*() {
        const client = yield* clientAt(server.url)
        failures.push(
          yield* Effect.flip(client.deploy(
            inline("hello", handler("one"), { environment: { SECRET: Redacted.make("canary-environment-value") } })
          )),
          yield* Effect.flip(client.invoke(request()))
        )
      }).pipe(
        Effect.tapErrorCause((cause) => Effect.logError(cause)),
        Effect.provide(Layer.merge(Logger.replace(Logger.defaultLogger, logger), Logger.minimumLogLevel(LogLevel.All)))
      )
      expect(failures).toMatchObject([{ reason: "Rejected" }, { reason: "CredentialsRejected" }])
      const told = [...lines, ...failures.map((error) => `${String(error)} ${JSON.stringify(error)}`)].join("\n")
      for (const canary of canaries) expect(told).not.toContain(canary)
      // The value did reach AWS, and nothing else.
      expect(server.log.map(({ body }) => body.toString()).join("")).toContain("canary-environment-value")
    }))
})

describe("the least-privilege policy", () => {
  const scope = { region: "eu-north-1", account: "123456789012", prefix: "jobs-" }

  /** The IAM actions of a request: those of its operation, and those that its content needs besides. */
  const actionsOf = ({ body, headers, method, path }: Asked): ReadonlyArray<string> => {
    const content = () => JSON.parse(body.toString("utf8")) as { readonly Tags?: object; readonly Role?: string }
    const besides = () => [
      ...(content().Tags === undefined ? [] : ["lambda:TagResource"]),
      ...(content().Role === undefined ? [] : ["iam:PassRole"])
    ]
    const last = path.split("/").at(-1) ?? ""
    if (headers["x-amz-invocation-type"] !== undefined) return ["lambda:InvokeFunction"]
    if (path.includes("/tags/")) return [method === "GET" ? "lambda:ListTags" : "lambda:TagResource"]
    if (last === "configuration") {
      return method === "GET"
        ? ["lambda:GetFunctionConfiguration"]
        : ["lambda:UpdateFunctionConfiguration", ...besides()]
    }
    if (last === "code") return [method === "PUT" ? "lambda:UpdateFunctionCode" : "unknown"]
    if (method === "POST" && last === "functions") return ["lambda:CreateFunction", ...besides()]
    return [method === "DELETE" ? "lambda:DeleteFunction" : `unknown: ${method} ${path}`]
  }
  const allowed = (policy: Policy) => [...new Set(policy.Statement.flatMap(({ Action }) => Action))].sort()
  const recorded = (log: ReadonlyArray<Asked>) => [...new Set(log.flatMap(actionsOf))].sort()

  it.scopedLive("to deploy: none missing, none unused", () =>
    Effect.gen(function*() {
      const { client, model, server } = yield* setUp
      const { target } = yield* client.deploy(inline("jobs-a", handler("one")))
      yield* client.invoke(request({ target }))
      yield* client.deploy(inline("jobs-a", handler("two"), { memory: 256, tags: { team: "hr" } }))
      // A creation that failed is made again.
      model.behaviour.creationFails = "bad luck"
      yield* Effect.flip(client.deploy(inline("jobs-b", handler("one"))))
      model.behaviour.creationFails = undefined
      yield* client.deploy(inline("jobs-b", handler("one")))
      yield* client.remove("jobs-a")
      expect(recorded(server.log)).toEqual(allowed(deployPolicy(scope, testRole)))
    }))

  it.scopedLive("to invoke: lambda:InvokeFunction alone", () =>
    Effect.gen(function*() {
      const { client, model, server } = yield* setUp
      model.createFunction({ FunctionName: "jobs-a", Code: {}, Role: testRole })
      for (const type of ["RequestResponse", "Event", "DryRun"] as const) yield* client.invoke(request({ type }))
      expect(recorded(server.log)).toEqual(["lambda:InvokeFunction"])
      expect(allowed(invokePolicy(scope))).toEqual(["lambda:InvokeFunction"])
    }))

  it("names its resources: no action for everything, the role for Lambda alone", () => {
    const policy = deployPolicy(scope, testRole)
    for (const { Action, Resource } of policy.Statement) {
      for (const action of Action) expect(action).not.toContain("*")
      for (const resource of Resource) {
        expect(resource).toMatch(
          /^arn:aws:(lambda:eu-north-1:123456789012:function:jobs-\*|iam::123456789012:role\/jobs)/
        )
      }
    }
    expect(policy.Statement.find(({ Action }) => Action.includes("iam:PassRole"))).toMatchObject({
      Resource: [testRole],
      Condition: { StringEquals: { "iam:PassedToService": "lambda.amazonaws.com" } }
    })
  })
})

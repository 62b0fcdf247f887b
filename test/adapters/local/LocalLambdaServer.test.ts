import type { LambdaServiceException } from "@aws-sdk/client-lambda"
import { Lambda } from "@aws-sdk/client-lambda"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { createHash } from "node:crypto"
import { request as httpRequest } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { LocalLambdaServer } from "../../../src/adapters/local/index.ts"
import { rawZip } from "../../packaging/rawZip.ts"

const served = (options: Parameters<typeof LocalLambdaServer.layer>[0] = {}) =>
  LocalLambdaServer.layer(options).pipe(Layer.provide(Logger.remove(Logger.defaultLogger)))

const sdkOf = (url: string) =>
  new Lambda({
    endpoint: url,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
    maxAttempts: 1
  })

const code = (source: string) => rawZip([{ name: "index.mjs", data: source }])
const echo = code("export const handler = async (event, context) => ({ event, client: context.clientContext })")
const role = "arn:aws:iam::123456789012:role/lambda"
const arn = "arn:aws:lambda:us-east-1:000000000000:function:hello"
const hello = { FunctionName: "hello", Runtime: "nodejs24.x", Handler: "index.handler", Role: role } as const

/** Runs an async test against the SDK. */
const withSdk = (
  test: (sdk: Lambda, url: string) => Promise<void>,
  options?: Parameters<typeof LocalLambdaServer.layer>[0]
) =>
  Effect.gen(function*() {
    const { url } = yield* LocalLambdaServer
    yield* Effect.promise(() => test(sdkOf(url), url))
  }).pipe(Effect.provide(served(options)))

const failureOf = (call: Promise<unknown>): Promise<LambdaServiceException> =>
  call.then(
    () => Promise.reject(new TypeError("the call succeeded")),
    (error: LambdaServiceException) => error
  )

const untilActive = async (sdk: Lambda, name: string) => {
  for (;;) {
    const { LastUpdateStatus, State } = await sdk.getFunctionConfiguration({ FunctionName: name })
    if (State === "Active" && LastUpdateStatus === "Successful") return
    await sleep(5)
  }
}

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("utf8")

describe("functions over REST", () => {
  it.live("are created Pending, become Active, and can be read", () =>
    withSdk(async (sdk) => {
      const created = await sdk.createFunction({
        ...hello,
        Code: { ZipFile: echo },
        Timeout: 5,
        MemorySize: 256,
        Description: "says hello",
        Architectures: ["arm64"],
        Environment: { Variables: { GREETING: "hi" } },
        Tags: { owner: "me" }
      })
      const expected = {
        FunctionName: "hello",
        FunctionArn: arn,
        Role: role,
        Timeout: 5,
        MemorySize: 256,
        Description: "says hello",
        Architectures: ["arm64"],
        Environment: { Variables: { GREETING: "hi" } },
        Version: "$LATEST",
        PackageType: "Zip",
        CodeSize: echo.length,
        CodeSha256: createHash("sha256").update(echo).digest("base64")
      }
      expect(created).toMatchObject({ ...expected, State: "Pending", StateReasonCode: "Creating" })
      expect(created.$metadata).toMatchObject({
        httpStatusCode: 201,
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string
      })
      const early = await failureOf(sdk.invoke({ FunctionName: "hello" }))
      expect(early).toMatchObject({ name: "ResourceConflictException", $metadata: { httpStatusCode: 409 } })
      await untilActive(sdk, "hello")
      const read = await sdk.getFunction({ FunctionName: arn })
      expect(read).toMatchObject({ Configuration: { ...expected, State: "Active" }, Tags: { owner: "me" } })
      expect(Date.parse(read.Configuration?.LastModified ?? "")).not.toBeNaN()
    }, { pendingFor: 100 }))

  it.live("that are there are not created again; Role is needed, and a sound zip", () =>
    withSdk(async (sdk) => {
      await sdk.createFunction({ ...hello, Code: { ZipFile: echo } })
      expect(await failureOf(sdk.createFunction({ ...hello, Code: { ZipFile: echo } }))).toMatchObject({
        name: "ResourceConflictException",
        message: "Function already exist: hello",
        $metadata: { httpStatusCode: 409 }
      })
      const other = { ...hello, FunctionName: "other" }
      const refusals: ReadonlyArray<readonly [Parameters<Lambda["createFunction"]>[0], string]> = [
        [{ ...other, Role: undefined, Code: { ZipFile: echo } }, "ValidationException"],
        [{ ...other, Role: "me", Code: { ZipFile: echo } }, "ValidationException"],
        [{ ...other, Code: { ZipFile: Buffer.from("no zip") } }, "InvalidParameterValueException"],
        [{ ...other, Code: { S3Bucket: "b", S3Key: "k" } }, "InvalidParameterValueException"],
        [{ ...other, Code: { ZipFile: echo }, MemorySize: 1 }, "InvalidParameterValueException"],
        [{ ...other, Code: { ZipFile: rawZip([{ name: "../x", data: "" }]) } }, "InvalidParameterValueException"]
      ]
      for (const [input, name] of refusals) {
        expect(await failureOf(sdk.createFunction(input))).toMatchObject({ name, $metadata: { httpStatusCode: 400 } })
      }
      expect((await sdk.listFunctions({})).Functions?.map((fn) => fn.FunctionName)).toEqual(["hello"])
    }))

  it.live("are updated one change at a time, guarded by RevisionId", () =>
    withSdk(async (sdk) => {
      const FunctionName = "hello"
      await sdk.createFunction({ ...hello, Code: { ZipFile: echo }, Environment: { Variables: { GREETING: "hi" } } })
      await untilActive(sdk, FunctionName)
      const stale = (await sdk.getFunctionConfiguration({ FunctionName })).RevisionId
      const greet = code("export const handler = async () => process.env.GREETING ?? 'none'")
      const updated = await sdk.updateFunctionCode({ FunctionName, ZipFile: greet })
      expect(updated).toMatchObject({ State: "Active", LastUpdateStatus: "InProgress" })
      expect(updated.CodeSha256).toBe(createHash("sha256").update(greet).digest("base64"))
      // No other change meanwhile; calls run the old code.
      for (
        const change of [
          () => sdk.updateFunctionCode({ FunctionName, ZipFile: echo }),
          () => sdk.updateFunctionConfiguration({ FunctionName, Timeout: 9 })
        ]
      ) {
        expect(await failureOf(change())).toMatchObject({
          name: "ResourceConflictException",
          message: `The operation cannot be performed at this time. An update is in progress for resource: ${arn}`
        })
      }
      expect(text((await sdk.invoke({ FunctionName, Payload: "1" })).Payload)).toBe(`{"event":1}`)
      await untilActive(sdk, FunctionName)
      expect(text((await sdk.invoke({ FunctionName })).Payload)).toBe(`"hi"`)
      const guarded = await failureOf(sdk.updateFunctionConfiguration({ FunctionName, Timeout: 9, RevisionId: stale }))
      expect(guarded).toMatchObject({ name: "PreconditionFailedException", $metadata: { httpStatusCode: 412 } })
      await sdk.updateFunctionConfiguration({ FunctionName, Timeout: 9, Environment: { Variables: {} } })
      await untilActive(sdk, FunctionName)
      const present = await sdk.getFunctionConfiguration({ FunctionName })
      expect(present).toMatchObject({ Timeout: 9, MemorySize: 128, Handler: "index.handler" })
      expect(present.Environment).toBeUndefined()
      expect(text((await sdk.invoke({ FunctionName })).Payload)).toBe(`"none"`)
    }, { pendingFor: 500 }))

  it.live("are listed by page, tagged, untagged and deleted", () =>
    withSdk(async (sdk) => {
      for (const name of ["c", "a", "b"]) {
        await sdk.createFunction({ ...hello, FunctionName: name, Code: { ZipFile: echo }, Tags: { one: "1" } })
      }
      const first = await sdk.listFunctions({ MaxItems: 2 })
      expect(first.Functions?.map((fn) => fn.FunctionName)).toEqual(["a", "b"])
      const rest = await sdk.listFunctions({ MaxItems: 2, Marker: first.NextMarker })
      expect(rest.Functions?.map((fn) => fn.FunctionName)).toEqual(["c"])
      expect(rest.NextMarker).toBeUndefined()

      const Resource = "arn:aws:lambda:us-east-1:000000000000:function:a"
      await sdk.tagResource({ Resource, Tags: { two: "2", "a b": "ü" } })
      expect((await sdk.listTags({ Resource })).Tags).toEqual({ one: "1", two: "2", "a b": "ü" })
      await sdk.untagResource({ Resource, TagKeys: ["one", "a b"] })
      expect((await sdk.listTags({ Resource })).Tags).toEqual({ two: "2" })

      expect((await sdk.getAccountSettings({})).AccountUsage).toEqual({
        FunctionCount: 3,
        TotalCodeSize: 3 * echo.length
      })
      await sdk.deleteFunction({ FunctionName: "a" })
      for (
        const call of [
          () => sdk.deleteFunction({ FunctionName: "a" }),
          () => sdk.getFunction({ FunctionName: "a" }),
          () => sdk.getFunctionConfiguration({ FunctionName: "a" }),
          () => sdk.updateFunctionCode({ FunctionName: "a", ZipFile: echo }),
          () => sdk.invoke({ FunctionName: "a" }),
          () => sdk.listTags({ Resource })
        ]
      ) {
        expect(await failureOf(call())).toMatchObject({
          name: "ResourceNotFoundException",
          message: `Function not found: ${Resource}`,
          $metadata: { httpStatusCode: 404 }
        })
      }
    }))
})

describe("Invoke over REST", () => {
  const deployed = async (sdk: Lambda, zip: Uint8Array, settings = {}) => {
    await sdk.createFunction({ ...hello, ...settings, Code: { ZipFile: zip } })
    await untilActive(sdk, "hello")
  }

  it.live("brings payload, client context, version, log and request id", () =>
    withSdk(async (sdk) => {
      await deployed(sdk, echo)
      const context = { custom: { taskId: "ü" } }
      const answer = await sdk.invoke({
        FunctionName: "hello",
        Payload: `{"name":"Ada €"}`,
        LogType: "Tail",
        ClientContext: Buffer.from(JSON.stringify(context)).toString("base64")
      })
      expect(answer).toMatchObject({ StatusCode: 200, ExecutedVersion: "$LATEST" })
      expect(answer.FunctionError).toBeUndefined()
      expect(JSON.parse(text(answer.Payload))).toEqual({ event: { name: "Ada €" }, client: context })
      const id = answer.$metadata.requestId ?? ""
      expect(Buffer.from(answer.LogResult ?? "", "base64").toString()).toContain(
        `START RequestId: ${id} Version: $LATEST`
      )
      const plain = await sdk.invoke({ FunctionName: `${arn}:$LATEST` })
      expect(plain.LogResult).toBeUndefined()
      expect(text(plain.Payload)).toBe(`{"event":{}}`)
    }))

  it.live("answers 200 with FunctionError for a function that failed", () =>
    withSdk(async (sdk) => {
      await deployed(
        sdk,
        code("export const handler = async (event) => { if (event) throw new TypeError('x'); for (;;); }"),
        {
          Timeout: 1
        }
      )
      const thrown = await sdk.invoke({ FunctionName: "hello", Payload: "1", LogType: "Tail" })
      expect(thrown).toMatchObject({ StatusCode: 200, FunctionError: "Unhandled" })
      expect(JSON.parse(text(thrown.Payload))).toMatchObject({ errorType: "TypeError", errorMessage: "x" })
      const late = await sdk.invoke({ FunctionName: "hello", Payload: "0" })
      expect(late).toMatchObject({ StatusCode: 200, FunctionError: "Unhandled" })
      expect(JSON.parse(text(late.Payload))).toMatchObject({
        errorType: "Sandbox.Timedout",
        errorMessage: expect.stringMatching(/Task timed out after 1\.00 seconds$/) as string
      })
    }))

  it.live("answers 202 for Event and 204 for DryRun", () =>
    withSdk(async (sdk) => {
      await deployed(sdk, code("let n = 0; export const handler = async () => ++n"))
      expect((await sdk.invoke({ FunctionName: "hello", InvocationType: "DryRun" })).StatusCode).toBe(204)
      expect((await sdk.invoke({ FunctionName: "hello", InvocationType: "Event" })).StatusCode).toBe(202)
      // One process at a time: the answer to this call comes after the event has been run.
      expect(text((await sdk.invoke({ FunctionName: "hello" })).Payload)).toBe("2")
    }, { concurrency: 1 }))

  it.live("refuses what Lambda refuses", () =>
    withSdk(async (sdk) => {
      await deployed(sdk, echo)
      const refusals: ReadonlyArray<readonly [Parameters<Lambda["invoke"]>[0], string, number]> = [
        [{ FunctionName: "nobody" }, "ResourceNotFoundException", 404],
        [{ FunctionName: "hello", Qualifier: "live" }, "ResourceNotFoundException", 404],
        [{ FunctionName: "hello", Payload: "{" }, "InvalidRequestContentException", 400],
        [{ FunctionName: "hello", ClientContext: "%%%" }, "InvalidRequestContentException", 400],
        [
          { FunctionName: "hello", Payload: JSON.stringify("x".repeat(6 * 1024 * 1024)) },
          "RequestTooLargeException",
          413
        ],
        [
          { FunctionName: "hello", InvocationType: "Event", Payload: JSON.stringify("x".repeat(1024 * 1024)) },
          "RequestTooLargeException",
          413
        ]
      ]
      for (const [input, name, status] of refusals) {
        expect(await failureOf(sdk.invoke(input))).toMatchObject({ name, $metadata: { httpStatusCode: status } })
      }
      expect(await failureOf(sdk.invoke({ FunctionName: "hello", InvocationType: "Wrong" as "Event" })))
        .toMatchObject({ name: "ValidationException" })
      expect(await failureOf(sdk.listLayers({}))).toMatchObject({ name: "ResourceNotFoundException" })
    }))

  it.live("as on AWS, a caller that hangs up does not end the function", () =>
    withSdk(async (sdk) => {
      await deployed(
        sdk,
        code(`let finished = 0
          export const handler = async (wait) => { await new Promise((done) => setTimeout(done, wait)); return finished++ }`)
      )
      const controller = new AbortController()
      const hungUp = failureOf(
        sdk.invoke({ FunctionName: "hello", Payload: "300" }, { abortSignal: controller.signal })
      )
      await sleep(150)
      controller.abort()
      expect((await hungUp).name).toBe("AbortError")
      expect(text((await sdk.invoke({ FunctionName: "hello", Payload: "0" })).Payload)).toBe("1")
    }, { concurrency: 1 }))
})

describe("the loopback port", () => {
  const get = (url: string, headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      httpRequest(`${url}/2015-03-31/functions`, { headers }, (response) => {
        response.resume()
        resolve(response.statusCode)
      }).on("error", reject).end()
    })

  it.live("is closed to pages of a browser: unsigned, or under another name", () =>
    withSdk(async (_, url) => {
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      const authorization = "AWS4-HMAC-SHA256 Credential=local"
      expect(await get(url, {})).toBe(403)
      expect(await get(url, { authorization, host: "evil.test" })).toBe(403)
      expect(await get(url, { authorization })).toBe(200)
    }))
})

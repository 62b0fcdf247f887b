/** The Lambda REST API over a `LocalRuntime`: what the AWS SDK needs to deploy, invoke and remove functions. */
import type { HttpApp } from "@effect/platform"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Fiber, Schema } from "effect"
import type { Scope } from "effect"
import { randomUUID } from "node:crypto"
import { maxPayloadBytes } from "../../domain/Json.ts"
import { parseReference } from "../../domain/LambdaFunction.ts"
import type { FunctionPackage } from "../../packaging/FunctionPackage.ts"
import type { LocalFunction, LocalInvocation, LocalRuntime } from "./LocalRuntime.ts"
import {
  conflict,
  errorResponse,
  forbidden,
  fromInvalidInput,
  fromInvocationError,
  invalidContent,
  notFound,
  preconditionFailed,
  tooLarge,
  validation
} from "./RestError.ts"
import type { RestError } from "./RestError.ts"
import {
  configurationOf,
  CreateFunctionBody,
  packageCreated,
  packageUpdated,
  TagsBody,
  UpdateCodeBody,
  UpdateConfigurationBody
} from "./RestFunction.ts"

/** 50 MB of zip as base64, and the rest of the request. */
const maxBodyBytes = 70 * 1024 * 1024

const functionsPath = "/2015-03-31/functions"
const functionPath = `${functionsPath}/:name`
const tagsPath = "/2017-03-31/tags/:name"

const json = (body: unknown, status = 200) => HttpServerResponse.unsafeJson(body, { status })
const noContent = HttpServerResponse.empty({ status: 204 })

const readBytes = Effect.fnUntraced(function*(limit: number) {
  const request = yield* HttpServerRequest.HttpServerRequest
  if (Number(request.headers["content-length"] ?? 0) > limit) {
    return yield* tooLarge(`Request must be smaller than ${limit} bytes`)
  }
  return Buffer.from(yield* Effect.mapError(request.arrayBuffer, () => invalidContent("The request's body broke off")))
})

const readBody = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decode(Schema.parseJson(schema))
  return readBytes(maxBodyBytes).pipe(
    Effect.flatMap((bytes) =>
      Effect.mapError(decode(bytes.toString("utf8")), (error) => validation(error.message.slice(0, 1000)))
    )
  )
}

/** A text parameter of the query. */
const queryParameter = (name: string) =>
  Effect.map(
    HttpServerRequest.HttpServerRequest,
    ({ url }) => new URL(url, "http://localhost").searchParams.getAll(name)
  )

const InvocationType = Schema.Literal("RequestResponse", "Event", "DryRun")

/** AWS's limit of a client context, in characters of base64. */
const maxClientContext = 3583

/** JSON text of the client context; Lambda reads it from base64. */
const readClientContext = (header: string): Effect.Effect<string | undefined, RestError> => {
  const text = Buffer.from(header, "base64").toString("utf8")
  return header.length <= maxClientContext && isJson(text)
    ? Effect.succeed(text)
    : invalidContent("Client context must be a valid Base64-encoded JSON object.")
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const accountSettings = (functions: ReadonlyArray<LocalFunction>, concurrency: number) => ({
  AccountLimit: {
    TotalCodeSize: 80_530_636_800,
    CodeSizeUnzipped: 262_144_000,
    CodeSizeZipped: 52_428_800,
    ConcurrentExecutions: concurrency,
    UnreservedConcurrentExecutions: concurrency
  },
  AccountUsage: {
    TotalCodeSize: functions.reduce((sum, fn) => sum + fn.functionPackage.zip.byteLength, 0),
    FunctionCount: functions.length
  }
})

/** The loopback names a caller may use, so that no page of a browser reaches this API under a name of its own. */
const isLoopback = (host: string | undefined) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host ?? "")

/** Whoever signs may call: a browser's page cannot set this header without a preflight, which we never answer. */
const checkSigned = Effect.flatMap(
  HttpServerRequest.HttpServerRequest,
  ({ headers }) =>
    isLoopback(headers["host"]) && (headers["authorization"] ?? "").startsWith("AWS4-HMAC-SHA256 ")
      ? Effect.void
      : forbidden("Missing Authentication Token")
)

/** Every answer has a request id; an invocation's is the function's own. */
const withRequestId = (response: HttpServerResponse.HttpServerResponse) =>
  response.headers["x-amzn-requestid"] === undefined
    ? HttpServerResponse.setHeader(response, "x-amzn-requestid", randomUUID())
    : response

/**
 * Makes the API as an HttpApp. Invocations run in `scope`: as on AWS, a caller that hangs up does not end them.
 *
 * @param concurrency what `GetAccountSettings` reports
 */
export const makeRestApi = (
  runtime: LocalRuntime,
  concurrency: number,
  scope: Scope.Scope
): Effect.Effect<HttpApp.Default> => {
  /** The function that a path names, by name or ARN. */
  const named = Effect.gen(function*() {
    const { name = "" } = yield* HttpRouter.params
    return yield* Effect.mapError(parseReference(name, "FunctionName"), fromInvalidInput)
  })
  const present = Effect.flatMap(named, ({ name }) => {
    const fn = runtime.find(name)
    return fn === undefined ? notFound(`Function not found: ${runtime.arnOf(name)}`) : Effect.succeed(fn)
  })
  const changeable = (revisionId: string | undefined) =>
    Effect.flatMap(present, (fn): Effect.Effect<LocalFunction, RestError> => {
      if (fn.next !== undefined) {
        return conflict(
          "The operation cannot be performed at this time. An update is in progress for resource: " + fn.arn
        )
      }
      return revisionId === undefined || revisionId === fn.revisionId
        ? Effect.succeed(fn)
        : preconditionFailed(
          "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve " +
            "the latest RevisionId"
        )
    })
  const install = (functionPackage: FunctionPackage) =>
    Effect.map(
      Effect.mapError(runtime.install(functionPackage), fromInvalidInput),
      ({ installed }) => configurationOf(installed)
    )

  const create = Effect.gen(function*() {
    const body = yield* readBody(CreateFunctionBody)
    const functionPackage = yield* packageCreated(body)
    const { name } = functionPackage.settings
    if (runtime.find(name) !== undefined) return yield* conflict(`Function already exist: ${name}`)
    return json(yield* install(functionPackage), 201)
  })

  const get = Effect.map(present, (fn) => {
    const { tags } = fn.functionPackage.settings
    return json({
      Configuration: configurationOf(fn),
      Code: { RepositoryType: "S3", Location: "" },
      ...(Object.keys(tags).length === 0 ? {} : { Tags: tags })
    })
  })

  const list = Effect.gen(function*() {
    const [marker = ""] = yield* queryParameter("Marker")
    const [maxItems = "50"] = yield* queryParameter("MaxItems")
    const names = runtime.list().map((fn) => fn.functionPackage.settings.name).sort().filter((name) => name > marker)
    const page = names.slice(0, Math.min(Math.max(1, Number(maxItems) || 1), 50))
    const last = page.at(-1)
    return json({
      Functions: page.flatMap((name) => runtime.find(name) ?? []).map(configurationOf),
      ...(page.length < names.length && last !== undefined ? { NextMarker: last } : {})
    })
  })

  const updateCode = Effect.gen(function*() {
    const body = yield* readBody(UpdateCodeBody)
    const fn = yield* changeable(body.RevisionId)
    const functionPackage = yield* packageUpdated(fn, { zip: body.ZipFile, architecture: body.Architectures?.[0] })
    return json(body.DryRun === true ? configurationOf({ ...fn, functionPackage }) : yield* install(functionPackage))
  })

  const updateConfiguration = Effect.gen(function*() {
    const body = yield* readBody(UpdateConfigurationBody)
    const fn = yield* changeable(body.RevisionId)
    return json(yield* install(yield* packageUpdated(fn, body)))
  })

  const remove = Effect.flatMap(present, (fn) => runtime.remove(fn.functionPackage.settings.name)).pipe(
    Effect.as(noContent)
  )

  const listTags = Effect.map(present, (fn) => json({ Tags: fn.functionPackage.settings.tags }))

  const tag = Effect.gen(function*() {
    const { settings } = (yield* present).functionPackage
    const { Tags: tags } = yield* readBody(TagsBody)
    runtime.retag(settings.name, { ...settings.tags, ...tags })
    return noContent
  })

  const untag = Effect.gen(function*() {
    const { settings } = (yield* present).functionPackage
    const keys = new Set(yield* queryParameter("tagKeys"))
    runtime.retag(settings.name, Object.fromEntries(Object.entries(settings.tags).filter(([key]) => !keys.has(key))))
    return noContent
  })

  const invoke = Effect.gen(function*() {
    const { name, qualifier } = yield* named
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const [asked] = yield* queryParameter("Qualifier")
    const type = yield* Effect.mapError(
      Schema.decodeUnknown(InvocationType)(headers["x-amz-invocation-type"] ?? "RequestResponse"),
      () => validation("invocationType must be one of RequestResponse, Event, DryRun")
    )
    // One byte more than the limit is read, so that the runtime can say so in AWS's words.
    const payload = yield* readBytes(maxPayloadBytes + 1024)
    if (payload.length > 0 && payload.length <= maxPayloadBytes && !isJson(payload.toString("utf8"))) {
      return yield* invalidContent("Could not parse request body into json: Could not parse payload into json")
    }
    const clientContext = headers["x-amz-client-context"]
    const invocation: LocalInvocation = {
      name,
      qualifier: asked ?? qualifier,
      type,
      payload: payload.length === 0 ? Buffer.from("{}") : payload,
      // Only synchronous functions get one.
      clientContext: type === "RequestResponse" && clientContext ? yield* readClientContext(clientContext) : undefined,
      beforeSend: Effect.void
    }
    const running = yield* Effect.forkIn(runtime.invoke(invocation), scope)
    const outcome = yield* Effect.mapError(Fiber.join(running), fromInvocationError)
    const requestId = { "x-amzn-requestid": outcome.requestId }
    if (type === "DryRun") return HttpServerResponse.empty({ status: 204, headers: requestId })
    if (type === "Event") return HttpServerResponse.empty({ status: 202, headers: requestId })
    return HttpServerResponse.uint8Array(outcome.body, {
      contentType: "application/json",
      headers: {
        ...requestId,
        "x-amz-executed-version": "$LATEST",
        ...(outcome.functionError === undefined ? {} : { "x-amz-function-error": outcome.functionError }),
        ...(headers["x-amz-log-type"] === "Tail"
          ? { "x-amz-log-result": Buffer.from(outcome.log).toString("base64") }
          : {})
      }
    })
  })

  const router = HttpRouter.empty.pipe(
    HttpRouter.post(functionsPath, create),
    HttpRouter.get(functionsPath, list),
    HttpRouter.get(functionPath, get),
    HttpRouter.del(functionPath, remove),
    HttpRouter.get(`${functionPath}/configuration`, Effect.map(present, (fn) => json(configurationOf(fn)))),
    HttpRouter.put(`${functionPath}/configuration`, updateConfiguration),
    HttpRouter.put(`${functionPath}/code`, updateCode),
    HttpRouter.post(`${functionPath}/invocations`, invoke),
    HttpRouter.get(tagsPath, listTags),
    HttpRouter.post(tagsPath, tag),
    HttpRouter.del(tagsPath, untag),
    HttpRouter.get(
      "/2016-08-19/account-settings",
      Effect.sync(() => json(accountSettings(runtime.list(), concurrency)))
    )
  )
  // An ARN is longer than a path's parameter may be by default.
  return HttpRouter.toHttpApp(router).pipe(
    HttpRouter.withRouterConfig({ maxParamLength: 512 }),
    Effect.map((app) =>
      Effect.zipRight(checkSigned, app).pipe(
        Effect.catchTags({
          RestError: (error) => Effect.succeed(errorResponse(error)),
          RouteNotFound: () => Effect.succeed(errorResponse(notFound("This operation is not supported here")))
        }),
        Effect.map(withRequestId)
      )
    )
  )
}

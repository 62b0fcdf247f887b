/** The HTTP application: the routes, and around them what holds for all: access, problems, headers. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import * as HttpApiSwagger from "@effect/platform/HttpApiSwagger"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import { RouteNotFound } from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type { Scope } from "effect"
import { Cause, Effect, Layer } from "effect"
import type { IncomingMessage } from "node:http"
import type { LambdaScheduler } from "../engine/LambdaScheduler.ts"
import type { Access } from "./Access.ts"
import { LambdaSchedulerApi } from "./Api.ts"
import { compatibilityLayer, healthLayer, metricsLayer } from "./Handlers.ts"
import { isProblem, problem, problemResponse } from "./Problem.ts"
import { policyOf, securityHeaders } from "./SecurityHeaders.ts"
import { v1BackfillsLayer } from "./v1/BackfillsHandlers.ts"
import { v1DeadLettersLayer } from "./v1/DeadLettersHandlers.ts"
import { v1ExplainLayer } from "./v1/ExplainHandlers.ts"
import { v1PausesLayer } from "./v1/PausesHandlers.ts"
import { v1SchedulesLayer } from "./v1/SchedulesHandlers.ts"
import { v1TasksLayer } from "./v1/TasksHandlers.ts"
import { v1TriggersLayer } from "./v1/TriggersHandlers.ts"

const docsPath = "/docs"
const specPath = "/openapi.json"

/** Every route's methods by its path, as a pattern. */
const routes: ReadonlyArray<{ readonly path: RegExp; readonly methods: ReadonlyArray<string> }> = (() => {
  const methods = new Map<string, Array<string>>([[docsPath, ["GET", "HEAD"]], [specPath, ["GET", "HEAD"]]])
  HttpApi.reflect(LambdaSchedulerApi, {
    onGroup: () => {},
    onEndpoint: ({ endpoint: { method, path } }) => {
      methods.set(path, [...methods.get(path) ?? [], ...(method === "GET" ? ["GET", "HEAD"] : [method])])
    }
  })
  return Array.from(methods, ([path, methods]) => ({
    path: new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/:[a-z]+/gi, "[^/]+")}$`),
    methods
  }))
})()

const pathOf = (request: HttpServerRequest.HttpServerRequest): string => request.url.split("?", 1)[0] ?? ""

const notRouted = (request: HttpServerRequest.HttpServerRequest): HttpServerResponse.HttpServerResponse => {
  const path = pathOf(request)
  const route = routes.find((candidate) => candidate.path.test(path))
  return route === undefined || route.methods.includes(request.method)
    ? problemResponse(problem(404, "ROUTE_NOT_FOUND", "There is nothing here. /docs shows what there is."))
    : problemResponse(
      problem(405, "METHOD_NOT_ALLOWED", `Only ${route.methods.join(", ")} can be used here.`),
      { allow: route.methods.join(", ") }
    )
}

/** Every failure becomes a problem. What is unexpected is logged and not told. */
const answerFailures = (app: HttpApp.Default<unknown>): HttpApp.Default =>
  Effect.catchAllCause(app as HttpApp.Default, (cause) => {
    if (Cause.isInterrupted(cause)) return Effect.failCause(cause)
    const failure: unknown = Cause.squash(cause)
    if (isProblem(failure)) return Effect.succeed(problemResponse(failure))
    if (failure instanceof HttpApiDecodeError) {
      return Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
        // A parameter of a path can only be missing; what it says is judged by its route.
        pathOf(request).endsWith("/")
          ? notRouted(request)
          : problemResponse(problem(400, "QUERY_INVALID", queryDetail(failure))))
    }
    if (failure instanceof RouteNotFound) return Effect.map(HttpServerRequest.HttpServerRequest, notRouted)
    return Effect.as(
      Effect.logError("A request failed unexpectedly", cause),
      problemResponse(problem(500, "INTERNAL", "The server has a fault; its log says which."))
    )
  })

/** What parameters of queries are expected to be. */
const parameters: Readonly<Record<string, string>> = {
  limit: "one whole number from 1 to 1000",
  cursor: "one cursor, from the page before",
  function: "one name",
  name: "one name",
  status: "one status, as /docs shows them",
  scheduleId: "one UUID",
  origin: "schedule, manual:<UUID> or backfill:<UUID>",
  at: "one instant such as 2027-01-01T09:00:00Z",
  dueFrom: "one instant such as 2027-01-01T09:00:00Z",
  dueBefore: "one instant such as 2027-01-01T09:00:00Z",
  finishedFrom: "one instant such as 2027-01-01T09:00:00Z",
  finishedBefore: "one instant such as 2027-01-01T09:00:00Z",
  reason: "one reason, as /docs shows them",
  id: "one UUID",
  redriven: "true or false",
  all: "true"
}

// Bodies are decoded by the handlers: what HttpApi decodes is the path and the query.
const queryDetail = ({ issues: [issue] }: HttpApiDecodeError): string => {
  const [parameter] = issue?.path ?? []
  const expected = issue?._tag === "Unexpected" || parameter === undefined ? undefined : parameters[String(parameter)]
  return expected === undefined
    ? "There is a query parameter that this route does not have."
    : `${String(parameter)}: expected ${expected}`
}

/**
 * Lets the rest of a body that nobody reads pass by, so that the client gets to read the answer instead of a reset;
 * not for long, since it may never end.
 */
const discardRest = (incoming: IncomingMessage): Effect.Effect<void> =>
  incoming.complete || incoming.destroyed
    ? Effect.void
    : Effect.async<void>((resume) => {
      const done = () => resume(Effect.void)
      incoming.on("error", done).once("end", done).once("close", done).resume()
    }).pipe(Effect.interruptible, Effect.timeoutOption("1 second"), Effect.asVoid)

/** The routes, with everything they need built. */
const makeRoutes = (access: Access): Effect.Effect<HttpApp.Default, never, LambdaScheduler | Scope.Scope> =>
  Layer.mergeAll(
    HttpApiBuilder.middlewareOpenApi({ path: specPath }),
    HttpApiSwagger.layer({ path: docsPath }),
    HttpApiBuilder.middleware(answerFailures)
  ).pipe(
    Layer.provideMerge(
      Layer.provide(HttpApiBuilder.api(LambdaSchedulerApi), [
        compatibilityLayer,
        v1TasksLayer,
        v1SchedulesLayer,
        v1BackfillsLayer,
        v1PausesLayer,
        v1ExplainLayer,
        v1TriggersLayer,
        v1DeadLettersLayer,
        healthLayer(access),
        metricsLayer
      ])
    ),
    Layer.provideMerge(Layer.merge(HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer)),
    Layer.provideMerge(HttpServer.layerContext),
    // Built here and not provided from above: each server has its own routes.
    Layer.build,
    Effect.flatMap((context) =>
      HttpApiBuilder.httpApp.pipe(
        // A path means what it says: no case folding, no lenient slashes.
        HttpRouter.withRouterConfig({ caseSensitive: true, ignoreDuplicateSlashes: false, ignoreTrailingSlash: false }),
        Effect.map(Effect.provide(context)),
        Effect.provide(context)
      )
    )
  )

/**
 * Builds the application. It never fails: every answer, also to a defect, is a response.
 *
 * @param isClosing whether connections are to be closed with their answer
 */
export const makeApp = (
  access: Access,
  isClosing: () => boolean
): Effect.Effect<HttpApp.Default, never, LambdaScheduler | Scope.Scope> =>
  Effect.map(makeRoutes(access), (routes) =>
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const incoming = NodeHttpServerRequest.toIncomingMessage(request)
      const refused = access.refuse(incoming)
      const response = refused === undefined ? yield* routes : problemResponse(refused)
      yield* discardRest(incoming)
      return HttpServerResponse.setHeaders(response, {
        ...securityHeaders,
        ...(pathOf(request) === docsPath ? { "content-security-policy": policyOf(response) } : {}),
        ...(incoming.complete && !isClosing() ? {} : { connection: "close" })
      })
    }))

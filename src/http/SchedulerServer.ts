/** The HTTP server: a node:http server with limits, around the application. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type { Redacted, Scope } from "effect"
import { Context, Deferred, Effect, Layer } from "effect"
import type { RequestListener, Server } from "node:http"
import { createServer, STATUS_CODES } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { LambdaScheduler } from "../engine/LambdaScheduler.ts"
import { makeAccess } from "./Access.ts"
import { makeApp } from "./App.ts"
import type { ProblemOf } from "./Problem.ts"
import { problem, problemContentType } from "./Problem.ts"
import { securityHeaders } from "./SecurityHeaders.ts"
import { ServerError } from "./ServerError.ts"
import type { ServerKey } from "./ServerKey.ts"
import { decideKey } from "./ServerKey.ts"

export interface ServerOptions {
  /** Address or name to listen on. Default: 127.0.0.1. */
  readonly host?: string | undefined
  /** 0 takes a free one. Default: 8080. */
  readonly port?: number | undefined
  /** At least 32 characters. Default: none on a loopback host, one made at start on any other. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Serves hosts other than loopback without a key. Default: false. */
  readonly insecureNoAuth?: boolean | undefined
  /** Names, beside `host` and those of loopback, that requests may be sent to. */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
}

export const serverDefaults = { host: "127.0.0.1", port: 8080 } as const

/** How long a request under way may take when the server closes. */
const closingGrace = "5 seconds"

export class SchedulerServer extends Context.Tag("effect-lambda-scheduler/http/SchedulerServer")<SchedulerServer, {
  /** Where it listens, such as `http://127.0.0.1:8080`; a wildcard address is shown as loopback's. */
  readonly url: string
  readonly port: number
  readonly key: ServerKey
}>() {
  /**
   * Serves a LambdaScheduler over HTTP until the scope closes: then it takes no more connections, lets requests under
   * way finish for up to 5 seconds, and cuts the rest.
   *
   * @example
   * SchedulerServer.layer({ port: 8080 }).pipe(Layer.provide(LambdaScheduler.layer), Layer.provide(adapters))
   */
  static readonly layer = (options: ServerOptions = {}): Layer.Layer<SchedulerServer, ServerError, LambdaScheduler> =>
    Layer.scoped(SchedulerServer, make(options))
}

const make = (
  options: ServerOptions
): Effect.Effect<SchedulerServer["Type"], ServerError, LambdaScheduler | Scope.Scope> =>
  Effect.gen(function*() {
    const host = (options.host ?? serverDefaults.host).replace(/^\[(.*)\]$/, "$1")
    const key = yield* decideKey({
      host,
      apiKey: options.apiKey,
      insecureNoAuth: options.insecureNoAuth ?? false
    })
    const access = makeAccess({
      hosts: [bracketed(host), ...options.allowedHosts ?? []],
      key: "key" in key ? key.key : undefined
    })
    let closing = false
    const handler = yield* Effect.flatMap(makeApp(access, () => closing), (app) => NodeHttpServer.makeHandler(app))
    const server = yield* Effect.acquireRelease(
      listen(handler, host, options.port ?? serverDefaults.port),
      (server) =>
        Effect.suspend(() => {
          closing = true
          return close(server)
        })
    )
    const { port } = server.address() as AddressInfo
    const shownHost = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : bracketed(host)
    return { url: `http://${shownHost}:${port}`, port, key }
  })

/** An IPv6 address as URLs and Host headers have it. */
const bracketed = (host: string): string => host.includes(":") ? `[${host}]` : host

const limits = {
  // Only the receiving of a request is bounded: a deployment may take 180 seconds to be answered.
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000
}
const maxConnections = 1_000

const listen = (
  handler: RequestListener,
  host: string,
  port: number
): Effect.Effect<Server, ServerError> =>
  Effect.async((resume) => {
    const server = createServer(limits, handler)
    server.maxConnections = maxConnections
    server.on("clientError", answerUnparsable)
    server.once("error", (cause) => resume(cannotListen(cause, host, port)))
    server.listen(port, host, () => resume(Effect.succeed(server)))
  })

const cannotListen = ({ code, message }: NodeJS.ErrnoException, host: string, port: number): ServerError => {
  switch (code) {
    case "EADDRINUSE":
      return new ServerError({
        reason: "AddressInUse",
        message: `Port ${port} on ${host} is in use. Stop what uses it, or set PORT to another.`
      })
    case "EACCES":
      return new ServerError({
        reason: "AddressRefused",
        message: `Port ${port} on ${host} is reserved by the system. Set PORT to one above 1023.`
      })
    default:
      return new ServerError({
        reason: "AddressRefused",
        message: `Cannot listen on ${host}, port ${port} (${code ?? message}). HOST must be an address of this machine.`
      })
  }
}

const unparsable = (code: string | undefined): ProblemOf<400> | ProblemOf<408> | ProblemOf<431> => {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return problem(431, "HEADERS_TOO_LARGE", "The request's headers are too large.")
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return problem(408, "REQUEST_TIMEOUT", "The request did not arrive in time.")
    default:
      return problem(400, "REQUEST_MALFORMED", "This is not an HTTP request that can be read.")
  }
}

/** What node:http cannot read never becomes a request: the answer is written by hand, as a problem too. */
const answerUnparsable = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy()
    return
  }
  const answer = unparsable(error.code)
  const body = JSON.stringify(answer)
  const headers = Object.entries({
    ...securityHeaders,
    "content-type": problemContentType,
    "content-length": Buffer.byteLength(body),
    connection: "close"
  })
  socket.end([
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    "",
    body
  ].join("\r\n"))
}

const close = (server: Server): Effect.Effect<void> =>
  Effect.gen(function*() {
    const closed = yield* Deferred.make<void>()
    server.close(() => Deferred.unsafeDone(closed, Effect.void))
    server.closeIdleConnections()
    yield* Effect.timeoutOption(Effect.interruptible(Deferred.await(closed)), closingGrace)
    server.closeAllConnections()
    yield* Deferred.await(closed)
  })

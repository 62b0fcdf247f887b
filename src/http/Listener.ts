/** A node:http server with limits. */
import { Effect } from "effect"
import type { RequestListener, Server, ServerResponse } from "node:http"
import { createServer, STATUS_CODES } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Millis } from "../domain/Time.ts"
import type { ProblemOf } from "./Problem.ts"
import { problem, problemContentType } from "./Problem.ts"
import { securityHeaders } from "./SecurityHeaders.ts"
import { ServerError } from "./ServerError.ts"

const limits = {
  // Only the receiving of a request is bounded: a deployment may take 180 seconds to be answered.
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000
}
const maxConnections = 1_000

export interface Listener {
  readonly port: number
  /** Takes no more connections, waits for the requests under way (milliseconds at the most), and cuts what is left. */
  readonly close: (grace: Millis) => Effect.Effect<void>
}

/**
 * Listens until it is closed.
 *
 * @param port 0 takes a free one
 * @returns the listener, or `ServerError` (`AddressInUse`, `AddressRefused`)
 */
export const listen = (
  handler: RequestListener,
  host: string,
  port: number
): Effect.Effect<Listener, ServerError> =>
  Effect.async((resume) => {
    const server = createServer(limits)
    server.maxConnections = maxConnections
    server.on("clientError", answerUnparsable)
    const close = trackRequests(server)
    server.on("request", handler)
    // Stays: an error of a later connection (no descriptors left) is that connection's, not the server's end.
    server.on("error", (cause) => resume(cannotListen(cause, host, port)))
    server.listen(port, host, () => resume(Effect.succeed({ port: (server.address() as AddressInfo).port, close })))
  })

/** Counts requests under way: connections on which nothing is asked are none to wait for, new and kept ones alike. */
const trackRequests = (server: Server): Listener["close"] => {
  let underWay = 0
  let whenIdle = () => {}
  server.on("request", (_, response: ServerResponse) => {
    underWay++
    response.once("close", () => {
      underWay--
      if (underWay === 0) whenIdle()
    })
  })
  const idle = Effect.async<void>((resume) => {
    whenIdle = () => resume(Effect.void)
    if (underWay === 0) whenIdle()
  })
  return (grace) =>
    Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
    }).pipe(
      Effect.zipLeft(
        Effect.andThen(
          Effect.timeoutOption(Effect.interruptible(idle), grace),
          Effect.sync(() => server.closeAllConnections())
        ),
        { concurrent: true }
      )
    )
}

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

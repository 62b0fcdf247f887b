/** A small HTTP server on loopback that answers as a test says and keeps a log of what was asked. */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
  /** Milliseconds on the monotonic clock. */
  readonly at: number
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** Answers, or takes the response into its own hands and returns `undefined`. */
export type Script = (asked: Asked, response: Http.ServerResponse) => Answer | undefined

export interface Endpoint {
  readonly url: string
  readonly log: ReadonlyArray<Asked>
}

export const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { "content-type": "application/json", "x-amzn-requestid": "request-1", ...headers },
  body: JSON.stringify(body)
})

/** An error as Lambda puts it on the wire. */
export const failure = (
  status: number,
  type: string,
  message: string,
  more: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {}
): Answer =>
  json(status, { Type: "User", Message: message, message, ...more }, { "x-amzn-errortype": type, ...headers })

/** @param port for one that has to be there again; by default any that is free */
export const endpoint = (script: Script, port = 0): Effect.Effect<Endpoint, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Http.Server; readonly log: Array<Asked> }>((resume) => {
      const log: Array<Asked> = []
      const server = Http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("error", () => response.destroy())
        request.on("end", () => {
          const url = new URL(request.url ?? "/", "http://localhost")
          const asked: Asked = {
            method: request.method ?? "",
            path: decodeURIComponent(url.pathname),
            query: url.searchParams,
            headers: request.headers,
            body: Buffer.concat(chunks),
            at: performance.now()
          }
          log.push(asked)
          const answer = script(asked, response)
          if (answer !== undefined) response.writeHead(answer.status, answer.headers).end(answer.body)
        })
      })
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed({ server, log })))
    }),
    ({ server }) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(
    Effect.map(({ log, server }) => ({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, log }))
  )

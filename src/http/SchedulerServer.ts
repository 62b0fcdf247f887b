/** The HTTP server: a node:http server with limits, around the application. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type { Redacted, Scope } from "effect"
import { Context, Effect, Layer } from "effect"
import type { LambdaScheduler } from "../engine/LambdaScheduler.ts"
import { makeAccess } from "./Access.ts"
import { makeApp } from "./App.ts"
import { listen } from "./Listener.ts"
import type { ServerError } from "./ServerError.ts"
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

/** Milliseconds that a request under way may take when the server closes. */
const closingGrace = 5_000

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
    const app = yield* makeApp(access, () => closing)
    const { port } = yield* Effect.acquireRelease(
      Effect.flatMap(NodeHttpServer.makeHandler(app), (handler) =>
        listen(handler, host, options.port ?? serverDefaults.port)),
      (listener) => {
        closing = true
        return listener.close(closingGrace)
      }
    )
    const shownHost = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : bracketed(host)
    return { url: `http://${shownHost}:${port}`, port, key }
  })

/** An IPv6 address as URLs and Host headers have it. */
const bracketed = (host: string): string => host.includes(":") ? `[${host}]` : host

/** Serves the Lambda REST API on a loopback port. */
import { NodeHttpServer } from "@effect/platform-node"
import { Effect } from "effect"
import { createServer } from "node:http"
import { makeLocalRuntime } from "./LocalRuntime.ts"
import type { LocalSettings } from "./LocalSettings.ts"
import { makeRestApi } from "./RestApi.ts"

/** Starts a runtime of its own and serves it; answers the URL. */
export const serveRest = Effect.fnUntraced(function*(settings: LocalSettings, port: number) {
  const scope = yield* Effect.scope
  const runtime = yield* makeLocalRuntime(settings)
  const api = yield* makeRestApi(runtime, settings.concurrency, scope)
  // A port that is taken is a mistake of whoever configured it.
  const server = yield* Effect.orDie(NodeHttpServer.make(() => createServer(), { host: "127.0.0.1", port }))
  yield* server.serve(api)
  const { address } = server
  return `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : port}`
})

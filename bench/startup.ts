/** How long `npm start` takes until the server says that it is ready. */
import { Command, HttpClient } from "@effect/platform"
import { NodeContext, NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer, Schedule } from "effect"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import type { Bench } from "./support/Bench.ts"
import { seconds } from "./support/Bench.ts"

const freePort = Effect.async<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const isReady = (port: number) =>
  HttpClient.get(`http://127.0.0.1:${port}/readyz`).pipe(
    Effect.flatMap((response) => response.status === 200 ? Effect.void : Effect.fail("not ready")),
    Effect.timeout("1 second"),
    Effect.retry(Schedule.spaced("5 millis")),
    Effect.timeout("60 seconds")
  )

const startup = Effect.gen(function*() {
  const port = yield* freePort
  // A shell of its own, so that the end of the benchmark reaches what npm started as well.
  const start = Command.make("npm", "start").pipe(
    Command.env({ HOST: "127.0.0.1", PORT: String(port), LAMBDA: "local" }),
    Command.start
  )
  const [elapsed] = yield* seconds(Effect.zipRight(start, isReady(port)))
  return elapsed
}).pipe(Effect.scoped)

export default {
  about: "from `npm start` (built) to /readyz answering 200",
  run: Effect.gen(function*() {
    // The first start may have to build.
    yield* startup
    const elapsed = yield* startup
    return [{ metric: "ready_after", value: elapsed, unit: "s" }]
  }).pipe(Effect.provide(Layer.merge(NodeContext.layer, NodeHttpClient.layer)))
} satisfies Bench

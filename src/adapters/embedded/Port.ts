/** The port on loopback that a cluster's server listens on. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

/** The one that was written down last; `undefined` before the first start. */
export const lastPort = (file: string): Effect.Effect<number | undefined> =>
  Effect.sync(() => {
    try {
      const port = Number(readFileSync(file, "utf8"))
      return port > 0 && port < 65_536 ? port : undefined
    } catch {
      return undefined
    }
  })

/** One that nobody has, a moment ago. */
export const freePort: Effect.Effect<number, EmbeddedPostgresError> = Effect.async((resume) => {
  const server = createServer()
  server.on("error", (error) =>
    resume(
      new EmbeddedPostgresError({
        reason: "StartFailed",
        message: `expected a free port on 127.0.0.1, got ${error.message}.`
      })
    ))
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

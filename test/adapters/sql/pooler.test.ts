/** What a pooler such as PgBouncer has to put up with; `prepared.test.ts` has the rest. */
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Redacted } from "effect"
import type { AddressInfo } from "node:net"
import { createServer } from "node:net"
import { connections } from "./support.ts"

/** Parameters that PgBouncer takes in a startup packet; it refuses a connection that comes with any other. */
const taken = ["user", "database", "client_encoding", "application_name"]

it.scopedLive("a connection asks for nothing that a pooler refuses", () =>
  Effect.gen(function*() {
    const packet = yield* Deferred.make<Buffer>()
    const { port } = yield* Effect.acquireRelease(
      Effect.async<AddressInfo & { readonly close: () => void }>((resume) => {
        const server = createServer((socket) => {
          socket.on("error", () => {})
          socket.once("data", (data) => {
            Deferred.unsafeDone(packet, Effect.succeed(data))
            socket.destroy()
          })
        }).listen(0, "127.0.0.1", () =>
          resume(Effect.succeed({
            ...server.address() as AddressInfo,
            close: () => server.close()
          })))
      }),
      ({ close }) => Effect.sync(close)
    )
    const url = Redacted.make(`postgres://somebody:secret@127.0.0.1:${port}/somewhere`)
    yield* Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(Effect.ignore, Effect.provide(connections({ url })))
    // After the length and the version: names and values, each ended by a zero.
    const words = (yield* Deferred.await(packet)).subarray(8).toString().split("\0")
    const names = words.filter((word, index) => index % 2 === 0 && word !== "")
    expect(names).toContain("user")
    expect(names.filter((name) => !taken.includes(name))).toEqual([])
  }))

it.scopedLive("a statement is ended by the server after its time, also if nobody waits for it any more", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [row] = yield* sql<{ statement_timeout: string }>`SHOW statement_timeout`
    expect(row?.statement_timeout).toBe("1234ms")
  }).pipe(Effect.provide(connections({ queryTimeout: 1_234 }))))

/** What lies between the store and its database: poolers such as PgBouncer, and networks. See `prepared.test.ts`, too. */
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Redacted } from "effect"
import type { AddressInfo, Server, Socket } from "node:net"
import { createServer } from "node:net"
import { connections } from "./support.ts"

/** Where something listens that is no PostgreSQL; it is given what comes, with the number of the piece, from 0. */
const somethingElse = (onData: (socket: Socket, data: Buffer, piece: number) => void) =>
  Effect.acquireRelease(
    Effect.async<Server>((resume) => {
      const server = createServer((socket) => {
        let pieces = 0
        socket.on("error", () => {})
        socket.on("data", (data) => onData(socket, data, pieces++))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) =>
    Redacted.make(`postgres://somebody:secret@127.0.0.1:${(server.address() as AddressInfo).port}/somewhere`)
  ))

/** Parameters that PgBouncer takes in a startup packet; it refuses a connection that comes with any other. */
const taken = ["user", "database", "client_encoding", "application_name"]

it.scopedLive("a connection asks for nothing that a pooler refuses", () =>
  Effect.gen(function*() {
    const packet = yield* Deferred.make<Buffer>()
    const url = yield* somethingElse((socket, data) => {
      Deferred.unsafeDone(packet, Effect.succeed(data))
      socket.destroy()
    })
    yield* Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(Effect.ignore, Effect.provide(connections({ url })))
    // After the length and the version: names and values, each ended by a zero.
    const words = (yield* Deferred.await(packet)).subarray(8).toString().split("\0")
    const names = words.filter((word, index) => index % 2 === 0 && word !== "")
    expect(names).toContain("user")
    expect(names.filter((name) => !taken.includes(name))).toEqual([])
  }))

/** `AuthenticationOk` and `ReadyForQuery`. */
const comeIn = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])

it.scopedLive("a connection that breaks as soon as it is made fails its statement, and nothing else", () =>
  Effect.gen(function*() {
    const url = yield* somethingElse((socket, _, piece) => {
      if (piece === 0) socket.write(comeIn)
      else socket.resetAndDestroy()
    })
    const ask = Effect.flatMap(SqlClient, (sql) => sql`SELECT 1`).pipe(Effect.provide(connections({ url })))
    expect((yield* Effect.flip(ask))._tag).toBe("SqlError")
  }))

it.scopedLive("a statement is ended by the server after its time, also if nobody waits for it any more", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [row] = yield* sql<{ statement_timeout: string }>`SHOW statement_timeout`
    expect(row?.statement_timeout).toBe("1234ms")
  }).pipe(Effect.provide(connections({ queryTimeout: 1_234 }))))

import { PgClient } from "@effect/sql-pg/PgClient"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted } from "effect"
import { createHash } from "node:crypto"
import { makeDb } from "../../../src/adapters/sql/Db.ts"
import { migrate } from "../../../src/adapters/sql/migrate.ts"
import { PgConnections } from "../../../src/adapters/sql/PgConnections.ts"
import { SqlFunctionStore } from "../../../src/adapters/sql/SqlFunctionStore.ts"
import type { FunctionToStore } from "../../../src/ports/FunctionStore.ts"
import { FunctionStore } from "../../../src/ports/FunctionStore.ts"
import { functionStoreContract } from "../../ports/functionStoreContract.ts"
import { freshSchemaName, postgresUrl } from "../../support/postgres.ts"

const connections = Layer.suspend(() => PgConnections.layer({ url: Redacted.make(postgresUrl()) }))

/** A store in a schema of its own, and the client to look behind it. */
const storeIn = (schema: string) =>
  SqlFunctionStore.layerOptions({ schema }).pipe(
    Layer.provide(Layer.effectDiscard(Effect.flatMap(PgClient, (client) => migrate(makeDb(client), schema)))),
    Layer.provideMerge(connections)
  )

functionStoreContract("postgres", Layer.suspend(() => storeIn(freshSchemaName())))

const canary = "c4n4ry"
const zip = Uint8Array.of(1, 2, 3)
const fn: FunctionToStore = {
  settings: {
    name: "hello",
    runtime: "nodejs24.x",
    handler: "index.handler",
    role: undefined,
    memory: 128,
    timeout: 3_000,
    architecture: "x86_64",
    environment: { TOKEN: Redacted.make(canary) },
    tags: {},
    description: undefined
  },
  zip,
  codeSha256: createHash("sha256").update(zip).digest("base64")
}

describe("functions on PostgreSQL", () => {
  it.live("a row that cannot be read is Corrupt, says where, shows nothing of it, and is mended by another put", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      yield* Effect.gen(function*() {
        const store = yield* FunctionStore
        const sql = yield* SqlClient
        for (
          const [damage, where] of [
            ["v = 2", "v"],
            ["settings = '{'", "settings"],
            [`settings = '{"secret":"${canary}"}'`, "settings.runtime"],
            [`settings = replace(settings, '"memory":128', '"memory":"${canary}"')`, "settings.memory"],
            [`settings = replace(settings, '"secret"', '"other"')`, "settings.environment.TOKEN"],
            ["zip = '\\x00'", "zip"],
            ["code_sha256 = 'AAAA'", "zip"]
          ] as const
        ) {
          yield* store.put(fn)
          yield* sql.unsafe(`UPDATE "${schema}".lambda_functions SET ${damage}`)
          const error = yield* Effect.flip(store.get("hello"))
          expect([damage, error.reason, error.message]).toEqual([
            damage,
            "Corrupt",
            `Function hello is stored in a way that this program cannot read (${where}). Deploy it again.`
          ])
          expect(JSON.stringify(error)).not.toContain(canary)
          expect((yield* store.put(fn)).change).toBe("updated")
          expect(Option.isSome(yield* store.get("hello"))).toBe(true)
        }
      }).pipe(Effect.provide(storeIn(schema)))
    }))

  it.live("does not take part in a caller's transaction, which may be undone", () =>
    Effect.gen(function*() {
      const store = yield* FunctionStore
      const sql = yield* SqlClient
      const undone = Effect.zipRight(store.put(fn), Effect.fail("undone"))
      expect(yield* Effect.flip(sql.withTransaction(undone))).toBe("undone")
      expect(Option.isSome(yield* store.versionOf("hello"))).toBe(true)
    }).pipe(Effect.provide(Layer.suspend(() => storeIn(freshSchemaName())))))

  it.live("a database that is away is Unavailable", () =>
    Effect.gen(function*() {
      const store = yield* FunctionStore
      for (
        const call of [store.get("hello"), store.versionOf("hello"), store.list, store.put(fn), store.remove("hello")]
      ) {
        const error = yield* Effect.flip(call)
        expect(error.reason).toBe("Unavailable")
      }
    }).pipe(Effect.provide(
      SqlFunctionStore.layer.pipe(
        Layer.provide(PgConnections.layer({ url: Redacted.make("postgres://nobody@127.0.0.1:1/none") }))
      )
    )))
})

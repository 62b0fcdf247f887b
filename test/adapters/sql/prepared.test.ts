/** Statements that come again and again are prepared, few others are, and nothing depends on it. */
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import type { PgConnectionsOptions } from "../../../src/adapters/sql/PgConnections.ts"
import { connections } from "./support.ts"

const often = 20

/** The texts that the only connection of the pool has prepared, but for the question itself. */
const prepared = Effect.flatMap(SqlClient, (sql) =>
  Effect.map(
    sql.unsafe<{ statement: string }>("SELECT statement FROM pg_prepared_statements WHERE from_sql IS NOT NULL"),
    (rows) => rows.map(({ statement }) => statement)
  ))

const ask = (text: string, ...params: ReadonlyArray<unknown>) =>
  Effect.flatMap(SqlClient, (sql) => Effect.map(sql.unsafe(text, params).values, ([row]) => row?.[0]))

const add = (n: number) => ask("SELECT $1::int + 1", n)

const test = (
  name: string,
  body: Effect.Effect<void, unknown, SqlClient>,
  options: Partial<PgConnectionsOptions> = {}
) => it.effect(name, () => Effect.provide(body, connections({ maxConnections: 1, ...options })))

describe("statements of a pool", () => {
  test(
    "are prepared once they have come several times",
    Effect.gen(function*() {
      expect(yield* add(1)).toBe(2)
      expect(yield* prepared).toEqual([])
      for (let n = 0; n < often; n++) expect(yield* add(n)).toBe(n + 1)
      expect(yield* prepared).toEqual(["SELECT $1::int + 1"])
    })
  )

  test(
    "are not prepared if every one has another text, nor without parameters",
    Effect.gen(function*() {
      for (let n = 0; n < often; n++) expect(yield* ask(`SELECT ${n} + $1::int`, 1)).toBe(n + 1)
      for (let n = 0; n < often; n++) expect(yield* ask("SELECT 1")).toBe(1)
      expect(yield* prepared).toEqual([])
    })
  )

  test(
    "are prepared up to a number, so that the database's memory has an end",
    Effect.gen(function*() {
      for (let round = 0; round < 5; round++) {
        for (let n = 0; n < 150; n++) expect(yield* ask(`SELECT ${n} + $1::int`, 1)).toBe(n + 1)
      }
      expect(yield* prepared).toHaveLength(100)
    })
  )

  test(
    "are not prepared if that is turned off",
    Effect.gen(function*() {
      for (let n = 0; n < often; n++) yield* add(n)
      expect(yield* prepared).toEqual([])
    }),
    { prepareStatements: false }
  )

  test(
    "go on, not prepared, where a pooler has lost what was prepared",
    Effect.gen(function*() {
      for (let n = 0; n < often; n++) yield* add(n)
      yield* ask("DEALLOCATE ALL")
      for (let n = 0; n < often; n++) expect(yield* add(n)).toBe(n + 1)
      expect(yield* prepared).toEqual([])
    })
  )

  test(
    "go on after a transaction that failed because of it",
    Effect.gen(function*() {
      const sql = yield* SqlClient
      for (let n = 0; n < often; n++) yield* add(n)
      yield* ask("DEALLOCATE ALL")
      expect(Exit.isFailure(yield* Effect.exit(sql.withTransaction(add(1))))).toBe(true)
      expect(yield* sql.withTransaction(add(1))).toBe(2)
      expect(yield* prepared).toEqual([])
    })
  )

  test(
    "are planned anew when their table has changed",
    Effect.gen(function*() {
      yield* ask("CREATE TEMPORARY TABLE changing (a int)")
      yield* ask("INSERT INTO changing VALUES (1)")
      const read = ask("SELECT * FROM changing WHERE a = $1", 1)
      for (let n = 0; n < often; n++) expect(yield* read).toBe(1)
      yield* ask("ALTER TABLE changing ADD COLUMN b int")
      expect(yield* read).toBe(1)
      for (let n = 0; n < often; n++) expect(yield* read).toBe(1)
      // Of the two plans the connection knows, the second is in use.
      expect(yield* prepared).toHaveLength(2)
    })
  )
})

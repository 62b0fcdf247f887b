/** Brings a store to this program's version; safe with any number of starters, on an empty database too. */
import { Effect } from "effect"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import type { Db } from "./Db.ts"
import { asStoreError } from "./Db.ts"
import type { Migration } from "./migrations.ts"
import { migrations } from "./migrations.ts"
import { table } from "./SchemaName.ts"

/** Any number, as long as nobody else in this database takes the same. */
const migrationLock = 4_771_093_652

const newer = (version: number, readableFrom: number, own: number) =>
  new TaskRepositoryError({
    reason: "Incompatible",
    message: `The store has version ${version} and can be read from version ${readableFrom} on; this program knows ` +
      `version ${own}. Use a newer release of effect-lambda-scheduler, or another schema.`
  })

/**
 * @returns which versions were applied
 * @param known the registered migrations; others only in tests
 */
export const migrate = (
  db: Db,
  schema: string,
  known: ReadonlyArray<Migration> = migrations
): Effect.Effect<ReadonlyArray<number>, TaskRepositoryError> => {
  const versions = table(schema, "schema_versions")
  const own = known[known.length - 1]?.version ?? 0
  const applied = (rows: ReadonlyArray<ReadonlyArray<unknown>>) => {
    const [version, readableFrom] = rows[0] ?? []
    return { version: Number(version ?? 0), readableFrom: Number(readableFrom ?? 0) }
  }
  const latest = `SELECT version, readable_from FROM ${versions} ORDER BY version DESC LIMIT 1`

  return asStoreError(db.transact((run) =>
    Effect.gen(function*() {
      // Held to the end of the transaction, so that one starter migrates and the others find it done.
      yield* run("SELECT pg_advisory_xact_lock($1)", [migrationLock])
      const present = yield* run("SELECT to_regclass($1) IS NOT NULL", [versions])
      if (present[0]?.[0] !== true) {
        // Only if it is not there: a user who may not create schemas can be given one.
        const made = yield* run("SELECT to_regnamespace($1) IS NOT NULL", [`"${schema}"`])
        if (made[0]?.[0] !== true) yield* run(`CREATE SCHEMA "${schema}"`)
        yield* run(
          `CREATE TABLE ${versions} (version integer PRIMARY KEY, readable_from integer NOT NULL, ` +
            "applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
      }
      const store = applied(yield* run(latest))
      if (store.readableFrom > own) return yield* newer(store.version, store.readableFrom, own)
      const pending = known.filter(({ version }) => version > store.version)
      for (const { readableFrom, statements, version } of pending) {
        for (const statement of statements(schema)) yield* run(statement)
        yield* run(`INSERT INTO ${versions} (version, readable_from) VALUES ($1, $2)`, [version, readableFrom])
      }
      return pending.map(({ version }) => version)
    })
  ))
}

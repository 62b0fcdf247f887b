/** The `FunctionStore` on PostgreSQL: beside the Tasks, so that whoever can run a Task has its function. */
import { PgClient } from "@effect/sql-pg/PgClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Either } from "effect"
import { Effect, Layer, Option } from "effect"
import type { TaskRepositoryError } from "../../domain/Errors.ts"
import { FunctionStore } from "../../ports/FunctionStore.ts"
import type { FunctionToStore, StoredVersion } from "../../ports/FunctionStore.ts"
import type { Row } from "./Db.ts"
import { asStoreError, makeDb } from "./Db.ts"
import {
  decodeFunction,
  decodeNamedVersion,
  decodePut,
  decodeVersion,
  encodeSettings,
  functionColumns,
  functionRowVersion,
  versionColumns
} from "./functionRows.ts"
import { defaultSchema, parseSchema, table } from "./SchemaName.ts"

export interface SqlFunctionStoreOptions {
  /** The schema that holds the store. Default: `lambda_scheduler`. */
  readonly schema?: string | undefined
}

const make = (options: SqlFunctionStoreOptions) =>
  Effect.gen(function*() {
    const { run } = makeDb(yield* PgClient)
    const functions = table(yield* Effect.orDie(parseSchema(options.schema ?? defaultSchema)), "lambda_functions")

    // The revision is a time in microseconds: so it grows beyond what a removed function of the name has had.
    const put = `INSERT INTO ${functions} AS f (name, v, settings, zip, code_sha256, revision)
      VALUES ($1, ${functionRowVersion}, $2, $3, $4, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
      ON CONFLICT (name) DO UPDATE SET
        v = excluded.v, settings = excluded.settings, zip = excluded.zip, code_sha256 = excluded.code_sha256,
        revision = greatest(f.revision + 1, excluded.revision), updated_at = now()
      WHERE (f.v, f.settings, f.code_sha256, f.zip)
        IS DISTINCT FROM (excluded.v, excluded.settings, excluded.code_sha256, excluded.zip)
      RETURNING revision::text, xmax = 0`

    const one = <A>(
      columns: string,
      name: string,
      decode: (name: string, row: Row) => Either.Either<A, TaskRepositoryError>
    ): Effect.Effect<Option.Option<A>, TaskRepositoryError> =>
      run(`SELECT ${columns} FROM ${functions} WHERE name = $1`, [name]).pipe(
        Effect.flatMap(([row]) => row === undefined ? Effect.succeedNone : Effect.asSome(decode(name, row))),
        asStoreError
      )
    const versionOf = (name: string) => one(versionColumns, name, decodeVersion)

    const store = (fn: FunctionToStore): Effect.Effect<StoredVersion, SqlError | TaskRepositoryError> => {
      const { codeSha256, settings: { name }, zip } = fn
      return Effect.flatMap(run(put, [name, encodeSettings(fn.settings), zip, codeSha256]), ([row]) =>
        row !== undefined
          ? Effect.map(decodePut(name, row), (version) => ({ ...version, codeSha256 }))
          : Effect.flatMap(
            versionOf(name),
            Option.match({
              // Removed since it was found unchanged.
              onNone: () => store(fn),
              onSome: (version) => Effect.succeed({ ...version, change: "unchanged" as const })
            })
          ))
    }

    return FunctionStore.of({
      put: (fn) => asStoreError(store(fn)),
      get: (name) => one(functionColumns, name, decodeFunction),
      versionOf,
      list: run(`SELECT ${versionColumns}, name FROM ${functions} ORDER BY name COLLATE "C"`).pipe(
        Effect.flatMap(Effect.forEach(decodeNamedVersion)),
        asStoreError
      ),
      remove: (name) => asStoreError(Effect.asVoid(run(`DELETE FROM ${functions} WHERE name = $1`, [name])))
    })
  })

export class SqlFunctionStore {
  /** In the schema `lambda_scheduler`. Its table is made by the migrations of the `TaskRepository`. */
  static readonly layer: Layer.Layer<FunctionStore, never, PgClient> = Layer.effect(FunctionStore, make({}))

  /**
   * With some options changed. A schema's name that is none is a defect.
   *
   * @example
   * LocalLambdaClient.layer.pipe(Layer.provide(SqlFunctionStore.layerOptions({ schema: "jobs" })), Layer.provide(Pg))
   */
  static readonly layerOptions = (options: SqlFunctionStoreOptions): Layer.Layer<FunctionStore, never, PgClient> =>
    Layer.effect(FunctionStore, make(options))
}

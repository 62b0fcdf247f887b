import { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Exit, Layer, Redacted, Scope } from "effect"
import { afterAll } from "vitest"
import { PgConnections, SqlTaskRepository } from "../../../src/adapters/sql/index.ts"
import type { PgConnectionsOptions } from "../../../src/adapters/sql/PgConnections.ts"
import type { SqlTaskRepositoryOptions } from "../../../src/adapters/sql/SqlTaskRepository.ts"
import type { Lease } from "../../../src/ports/TaskRepository.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import { freshSchemaName, postgresUrl } from "../../support/postgres.ts"

/** A pool of its own each time it is built. */
export const connections = (options: Partial<PgConnectionsOptions> = {}): Layer.Layer<PgClient> =>
  Layer.orDie(PgConnections.layer({ url: Redacted.make(postgresUrl()), ...options }))

const fileScope = Effect.runSync(Scope.make())
afterAll(() => Effect.runPromise(Scope.close(fileScope, Exit.void)))
const pool = Effect.runSync(Effect.cached(Layer.buildWithScope(connections(), fileScope)))

/** One pool for all tests of a file. */
export const sharedConnections: Layer.Layer<PgClient> = Layer.effectContext(pool)

const schemas = new WeakMap<Repository, string>()

/** The schema that a store of this file is in. */
export const schemaOf = (repository: Repository): string => {
  const schema = schemas.get(repository)
  if (schema === undefined) throw new Error("not a store of storeIn")
  return schema
}

/** A store in a schema, on whatever connections it is given. */
export const storeIn = (schema: string, options: SqlTaskRepositoryOptions = {}) =>
  Layer.tap(SqlTaskRepository.layerOptions({ schema, ...options }), (context) =>
    Effect.map(Effect.provide(TaskRepository, context), (repository) => schemas.set(repository, schema)))

/** A store of its own, in a schema that nobody else uses, each time it is built; with the client to look behind it. */
export const freshStore = Layer.unwrapEffect(
  // Named when it is built.
  Effect.sync(() => storeIn(freshSchemaName()))
).pipe(Layer.provideMerge(sharedConnections))

/** Ends a lease as time would. */
export const expire = (repository: Repository, lease: Lease): Effect.Effect<void, unknown> =>
  Effect.flatMap(PgClient, (sql) =>
    sql.unsafe(`UPDATE "${schemaOf(repository)}".instances SET expires_at = clock_timestamp() WHERE id = $1`, [
      lease.instanceId
    ])).pipe(Effect.provide(sharedConnections), Effect.asVoid)

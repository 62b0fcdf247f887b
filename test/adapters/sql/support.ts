import type { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"
import { PgConnections, SqlTaskRepository } from "../../../src/adapters/sql/index.ts"
import { freshSchemaName, postgresUrl } from "../../support/postgres.ts"

export const connections = (options: { readonly maxConnections?: number } = {}): Layer.Layer<PgClient> =>
  Layer.orDie(PgConnections.layer({ url: Redacted.make(postgresUrl()), ...options }))

/** A store of its own, in a schema that nobody else uses, each time it is built. */
export const freshStore = Layer.unwrapEffect(
  // Named when it is built.
  Effect.sync(() => SqlTaskRepository.layerOptions({ schema: freshSchemaName() }))
).pipe(Layer.provide(connections()))

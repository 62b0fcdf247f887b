/** The store that the server was told to use. Only what is used is loaded. */
import { Effect, Layer } from "effect"
import type { Redacted } from "effect"
import { MemoryTaskRepository } from "../adapters/memory/index.ts"
import { engineMetrics } from "../engine/EngineMetrics.ts"
import type { FunctionStore } from "../ports/FunctionStore.ts"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import { ServerError } from "./ServerError.ts"
import type { StoreTarget } from "./StoreTarget.ts"

/** Statements under way at a time, heartbeats included. */
const maxConnections = 10

const onPostgres = (url: Redacted.Redacted, schema: string) =>
  Layer.unwrapEffect(Effect.map(
    Effect.promise(() => import("../adapters/sql/index.ts")),
    ({ PgConnections, SqlFunctionStore, SqlTaskRepository }) =>
      Layer.merge(
        SqlTaskRepository.layerOptions({ schema, waitForDatabase: true, onGroupCommit: engineMetrics.groupCommit }),
        SqlFunctionStore.layerOptions({ schema })
      ).pipe(Layer.provide(PgConnections.layer({ url, maxConnections })))
  ))

const onEmbedded = (directory: string, schema: string) =>
  Layer.unwrapEffect(Effect.map(
    Effect.promise(() => import("../adapters/embedded/index.ts")),
    ({ EmbeddedPostgres }) =>
      Layer.unwrapEffect(Effect.map(EmbeddedPostgres, ({ url }) => onPostgres(url, schema))).pipe(
        Layer.provide(EmbeddedPostgres.layer({ directory }))
      )
  ))

/** What goes wrong here goes wrong at the start, and is for whoever starts the server. */
const storeFailed = (error: { readonly message: string }) =>
  new ServerError({ reason: "StoreFailed", message: error.message })

export const storeLayer = (
  target: StoreTarget
): Layer.Layer<TaskRepository | FunctionStore, ServerError> | Layer.Layer<TaskRepository> => {
  switch (target.where) {
    case "memory":
      return MemoryTaskRepository.layer
    case "postgres":
      return Layer.mapError(onPostgres(target.url, target.schema), storeFailed)
    case "embedded":
      return Layer.mapError(onEmbedded(target.directory, target.schema), storeFailed)
  }
}

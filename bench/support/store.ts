/** The store that the benchmarks use: an embedded PostgreSQL of their own, with the settings its users have. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"
import type { LambdaClient } from "effect-lambda-scheduler"
import { EngineConfig, LambdaScheduler } from "effect-lambda-scheduler"
import type { EngineSettings } from "effect-lambda-scheduler"
import { EmbeddedPostgres } from "effect-lambda-scheduler/embedded"
import { PgConnections, SqlTaskRepository } from "effect-lambda-scheduler/sql"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { insist } from "./Bench.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "scheduler-bench-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

/** A new cluster, fsync on; removed when the benchmark is over. */
export const Postgres: Layer.Layer<EmbeddedPostgres> = Layer.orDie(Layer.unwrapScoped(
  Effect.map(temporaryDirectory, (directory) =>
    EmbeddedPostgres.layer({ directory: join(directory, "postgres"), settings: { max_wal_size: "8GB", shared_buffers: "512MB" } }))
))

export const Connections: Layer.Layer<PgClient, never, EmbeddedPostgres> = Layer.orDie(
  Layer.unwrapEffect(Effect.map(EmbeddedPostgres, ({ url }) => PgConnections.layer({ url })))
)

/** A scheduler on that store, with this client for the functions. */
export const storeScheduler = (lambda: Layer.Layer<LambdaClient>, settings: Partial<EngineSettings> = {}) =>
  LambdaScheduler.layer.pipe(
    Layer.provide(EngineConfig.layer(settings)),
    Layer.provide(Layer.merge(Layer.orDie(SqlTaskRepository.layer), lambda))
  )

const show = (name: string) =>
  Effect.flatMap(PgClient, (sql) => Effect.map(sql.unsafe(`SHOW ${name}`).values, ([row]) => String(row?.[0])))

/** The figures are worth nothing without them. */
export const insistDurable = Effect.gen(function*() {
  for (const name of ["fsync", "synchronous_commit", "full_page_writes"]) {
    const value = yield* show(name)
    yield* insist(value === "on", `${name} is ${value}`)
  }
})

/** One number of the database. */
export const numberOf = (statement: string) =>
  Effect.flatMap(PgClient, (sql) => Effect.map(sql.unsafe(statement).values, ([row]) => Number(row?.[0])))

export const revealed = Effect.map(EmbeddedPostgres, ({ url }) => Redacted.value(url))

/** The store that the benchmarks use: an embedded PostgreSQL of their own, with the settings its users have. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { Effect, Layer, Schedule } from "effect"
import type { LambdaClient } from "effect-lambda-scheduler"
import { EngineConfig, LambdaScheduler } from "effect-lambda-scheduler"
import type { EngineSettings } from "effect-lambda-scheduler"
import { EmbeddedPostgres } from "effect-lambda-scheduler/embedded"
import { PgConnections, SqlTaskRepository } from "effect-lambda-scheduler/sql"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { insist } from "./Bench.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "scheduler-bench-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

/** A new cluster, fsync on; removed when the benchmark is over. */
export const Postgres: Layer.Layer<EmbeddedPostgres> = Layer.orDie(Layer.unwrapScoped(
  Effect.map(
    temporaryDirectory,
    (directory) =>
      EmbeddedPostgres.layer({
        directory: join(directory, "postgres"),
        settings: { max_wal_size: "8GB", shared_buffers: "512MB" }
      })
  )
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

/** Kills the database without a word, and waits until it is back. */
export const crash = Effect.gen(function*() {
  const { dataDirectory } = yield* EmbeddedPostgres
  const [pid] = (yield* Effect.promise(() => readFile(join(dataDirectory, "postmaster.pid"), "utf8"))).split("\n")
  process.kill(Number(pid), "SIGKILL")
  yield* Effect.sleep("200 millis")
  yield* Effect.retry(numberOf("SELECT 1"), Schedule.spaced("100 millis"))
})

/** CPU seconds that the database's processes have used so far. */
export const databaseCpu = Effect.gen(function*() {
  const { dataDirectory } = yield* EmbeddedPostgres
  const [pid] = (yield* Effect.promise(() => readFile(join(dataDirectory, "postmaster.pid"), "utf8"))).split("\n")
  return yield* Effect.promise(async () => {
    let ticks = 0
    for (const name of await readdir("/proc")) {
      if (!/^\d+$/.test(name)) continue
      const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "")
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      // User and system time, of the postmaster also that of its children that have ended.
      if (fields[1] === pid) ticks += Number(fields[11]) + Number(fields[12])
      if (name === pid) ticks += fields.slice(11, 15).reduce((sum, value) => sum + Number(value), 0)
    }
    return ticks / 100
  })
})

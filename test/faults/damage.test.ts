/** A Task that kills whoever runs it (F64), rows that cannot be read (F65), and a store that is full of the past (F66). */
import { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expect, it } from "@effect/vitest"
import { Config, Effect, Logger, LogLevel, Option } from "effect"
import { join } from "node:path"
import { defaultRetryPolicy, LambdaFunction, TaskRepository, Trigger } from "../../src/index.ts"
import { eventually, sharedConnections, storeIn } from "../adapters/sql/support.ts"
import { bundle, temporaryDirectory } from "../chaos/programs.ts"
import type { Worker } from "../chaos/WorkerProcess.ts"
import { startWorker } from "../chaos/WorkerProcess.ts"
import { aTarget, aTask } from "../support/builders.ts"
import { freshSchemaName, postgresUrl } from "../support/postgres.ts"
import { ended, launch, outcomesOf, postgresIn } from "./rig.ts"
import { now, ok, scriptedEndpoint, throttle } from "./ScriptedEndpoint.ts"

const job = LambdaFunction.existing("job")

/** The store of a schema, to look and write behind a scheduler. */
const storeOf = (schema: string) =>
  Logger.withMinimumLogLevel(Effect.provide(TaskRepository, storeIn(schema)), LogLevel.Warning)

describe("F64: a Task that kills the process that runs it", () => {
  it.scopedLive("F64: is a dead letter after as many as it may have, and others go on", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const repository = yield* storeOf(schema)
      const directory = yield* temporaryDirectory
      const program = yield* bundle("worker.ts")
      let living: Worker | undefined
      const endpoint = yield* scriptedEndpoint({
        poison: () => {
          living?.kill("SIGKILL")
          return "Nothing"
        }
      })
      const lease = 1_000
      const begin = (name: string) =>
        Effect.tap(
          startWorker(program, {
            name,
            seed: 1,
            databaseUrl: postgresUrl(),
            schema,
            queryTimeout: 2_000,
            endpoint: endpoint.url,
            journal: join(directory, name),
            engine: {
              leaseDuration: lease,
              heartbeatInterval: lease / 4,
              leaseMargin: lease / 4,
              pollInterval: lease / 4,
              attemptMargin: 500
            },
            clockSkew: 0,
            functionTimeout: 2_000,
            maxAttempts: 10,
            load: { rate: 10, functions: ["job"], ahead: 200, recurring: false }
          }),
          (worker) => Effect.sync(() => (living = worker))
        )
      const poison = aTask({
        function: aTarget("poison"),
        createdAt: Math.floor(now()),
        retry: { ...defaultRetryPolicy, maxAttempts: 3, backoff: "fixed", baseDelay: 1 }
      })
      yield* repository.insert([poison], undefined)
      for (const name of ["first", "second", "third"]) {
        const worker = yield* begin(name)
        yield* Effect.timeout(worker.ended, "10 seconds")
      }
      const survivor = yield* begin("survivor")
      const task = Option.getOrThrow(
        yield* eventually(repository.get(poison.id), (found) => Option.getOrThrow(found).status === "Failed")
      )
      // Short leases on a slow machine: what would have left too late was not sent, and costs nothing.
      const spent = task.attempts.filter(({ ended }) => ended?.error?.reason !== "TooLate")
      expect(spent.map(({ ended }) => ended?.error?.reason)).toEqual(["OwnerLost", "OwnerLost", "OwnerLost"])
      expect(endpoint.of("poison").map(({ attempt }) => attempt)).toEqual(spent.map(({ number }) => number))
      const before = endpoint.of("job").length
      yield* eventually(Effect.sync(() => endpoint.of("job").length), (count) => count > before + 5)
      expect(survivor.hasEnded()).toBe(false)
    }).pipe(Effect.provide(sharedConnections)), 60_000)
})

describe("F65: rows that cannot be read", () => {
  it.scopedLive("F65: are never sent, told of once, and in nobody's way", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const sql = yield* PgClient
      const endpoint = yield* scriptedEndpoint({})
      const lines: Array<string> = []
      const capture = Logger.make(({ annotations, message }) => {
        lines.push([message, ...annotations].flat().map(String).join(" "))
      })
      const scheduler = yield* launch(endpoint, {
        store: postgresIn(schema),
        with: Logger.replace(Logger.defaultLogger, capture)
      })
      // Beyond what is claimed ahead.
      const trigger = Trigger.after("2 minutes")
      const tasks = yield* scheduler.scheduleAll(job, Array.from({ length: 30 }, () => ({ trigger })))
      const sick = tasks.slice(0, 10).map(({ id }) => id)
      const damages = ["retry = '{'", "function = 'null'", "tags = '[1]'", "v = 99", "attempt = -1"]
      for (const [index, id] of sick.entries()) {
        yield* sql.unsafe(`UPDATE "${schema}".tasks SET ${damages[index % damages.length]} WHERE id = $1`, [id])
      }
      yield* sql.unsafe(`UPDATE "${schema}".tasks SET due_at = $1, claimable_at = $1, nominal_at = $1`, [
        Math.floor(now()) - 1_000
      ])
      for (const { id } of tasks.slice(10)) expect((yield* ended(scheduler, id)).status).toBe("Succeeded")
      const later = yield* scheduler.schedule(job)
      expect((yield* ended(scheduler, later.id)).status).toBe("Succeeded")
      yield* scheduler.ready
      const sent = endpoint.log.map(({ taskId }) => taskId)
      expect(sent.length).toBe(21)
      expect(sent.filter((id) => (sick as ReadonlyArray<string>).includes(id))).toEqual([])
      for (const id of sick) expect(lines.filter((line) => line.includes(id)).length).toBe(1)
    }).pipe(Effect.provide(sharedConnections)))
})

/** `FAULTS_ENDED=1000000 FAULTS_ATTEMPTS=100000` for as much of a past as there may be. */
const finished = Effect.runSync(Config.withDefault(Config.integer("FAULTS_ENDED"), 50_000))
const attempts = Effect.runSync(Config.withDefault(Config.integer("FAULTS_ATTEMPTS"), 10_000))

describe("F66: a store that is full of the past", () => {
  it.scopedLive(
    `F66: a Task of ${attempts} attempts goes on, and ${finished} that have ended are removed in batches while others run`,
    () =>
      Effect.gen(function*() {
        const schema = freshSchemaName()
        const sql = yield* PgClient
        const repository = yield* storeOf(schema)
        const createdAt = Math.floor(now()) - 3_600_000
        // What costs nothing begins with short delays again after what did.
        const old = aTask({ function: aTarget("old"), createdAt, retry: { ...defaultRetryPolicy, maxAttempts: 2 } })
        yield* repository.insert([old, aTask({ createdAt })], undefined)
        const columns = (yield* sql.unsafe<{ name: string }>(
          `SELECT column_name AS name FROM information_schema.columns
            WHERE table_schema = $1 AND table_name = 'tasks' AND is_generated = 'NEVER' AND column_default IS NULL`,
          [schema]
        )).map(({ name }) => name)
        const changed: Readonly<Record<string, string>> = {
          id: `(lpad('7', 8, '0') || '-0000-7000-8000-' || lpad(g::text, 12, '0'))::uuid`,
          status: "'Succeeded'",
          finished_at: `${createdAt} + g`,
          result: "'null'",
          result_encoding: "'utf8'"
        }
        yield* sql.unsafe(
          `INSERT INTO "${schema}".tasks (${columns.join(", ")})
            SELECT ${columns.map((column) => changed[column] ?? `t.${column}`).join(", ")}
            FROM "${schema}".tasks t, generate_series(1, ${finished}) g WHERE t.id <> $1`,
          [old.id]
        )
        yield* sql.unsafe(`DELETE FROM "${schema}".tasks WHERE status = 'Scheduled' AND id <> $1`, [old.id])
        yield* sql.unsafe(
          `INSERT INTO "${schema}".task_attempts (task_id, number, token, owner, started_at, ended_at, outcome, error)
            SELECT $1, g, 1, $1, ${createdAt} + g, ${createdAt} + g,
            CASE WHEN g < ${attempts} THEN 'throttled' ELSE 'failed' END, NULL FROM generate_series(1, ${attempts}) g`,
          [old.id]
        )
        yield* sql.unsafe(`UPDATE "${schema}".tasks SET attempt = ${attempts} WHERE id = $1`, [old.id])

        const endpoint = yield* scriptedEndpoint({
          old: (_, nth) => nth === 1 ? throttle("CallerRateLimitExceeded") : ok()
        })
        const scheduler = yield* launch(endpoint, { store: postgresIn(schema), settings: { retentionCount: 1_000 } })
        const asked = now()
        const tasks = yield* scheduler.scheduleAll(job, Array.from({ length: 100 }, () => ({})))
        for (const { id } of tasks) yield* ended(scheduler, id)
        // Generous: what is looked for are seconds for each of them.
        expect(now() - asked).toBeLessThan(15_000)
        const end = yield* ended(scheduler, old.id)
        expect(end.status).toBe("Succeeded")
        expect(end.attempts.length).toBe(attempts + 2)
        expect(outcomesOf(end).slice(-2)).toEqual(["throttled", "succeeded"])
        expect(endpoint.of("old").map(({ attempt }) => attempt)).toEqual([attempts + 1, attempts + 2])
        const left = yield* eventually(
          sql.unsafe<{ count: number }>(`SELECT count(*)::int AS count FROM "${schema}".tasks`),
          ([row]) => (row?.count ?? Infinity) <= 1_101,
          30_000
        )
        expect(left[0]?.count).toBeGreaterThanOrEqual(1_000)
        expect(yield* scheduler.backlog).toMatchObject({ due: 0 })
      }).pipe(Effect.provide(sharedConnections)),
    120_000
  )
})

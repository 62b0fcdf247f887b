/** A store comes to be, and to be of a version: with several starters, as other users, beside newer programs (F33, I34). */
import { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer } from "effect"
import type { Scope } from "effect"
import { makeDb } from "../../../src/adapters/sql/Db.ts"
import { SqlTaskRepository } from "../../../src/adapters/sql/index.ts"
import { migrate } from "../../../src/adapters/sql/migrate.ts"
import type { Migration } from "../../../src/adapters/sql/migrations.ts"
import { migrations } from "../../../src/adapters/sql/migrations.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import {
  allTasks,
  claimAll,
  insertedSchedule,
  mustGet,
  mustGetSchedule,
  started
} from "../../ports/contract/harness.ts"
import {
  allEnded,
  anInstanceId,
  aSchedule,
  aTask,
  occurrenceOf,
  retrying,
  succeeded,
  successorOf,
  t0
} from "../../support/builders.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, freshUser, sharedConnections, storeIn } from "./support.ts"

const newest = migrations.at(-1)?.version ?? expect.fail("there is a first")

const query = (text: string, params: ReadonlyArray<unknown> = []) =>
  Effect.flatMap(PgClient, (sql) => sql.unsafe<Record<string, unknown>>(text, params))

const versionsOf = (schema: string) =>
  Effect.map(
    query(`SELECT version FROM "${schema}".schema_versions ORDER BY version`),
    (rows) => rows.map(({ version }) => version)
  )

const tablesOf = (schema: string) =>
  Effect.map(
    query("SELECT table_name FROM information_schema.tables WHERE table_schema = $1 ORDER BY 1", [schema]),
    (rows) => rows.map(({ table_name: name }) => name)
  )

/** Every kind of write that there is, so that none of them needs what it has not got. */
const aWholeLife = (repository: Repository) =>
  Effect.gen(function*() {
    const lease = yield* repository.openLease(anInstanceId(), 60_000)
    yield* repository.renewLease(lease, 60_000)
    const [first, second] = [aTask({ tags: { a: "b" } }), aTask()]
    yield* repository.insert([first, second], undefined, [{ key: first.id, digest: "d" }])
    const { tasks } = yield* claimAll(repository, lease)
    const { task } = yield* started(repository, lease, tasks[0] ?? first)
    const [retry] = yield* repository.settle(lease, [{ ...retrying(task, t0, { keep: true }), running: task }])
    if (retry?._tag !== "Accepted") return expect.fail("expected Accepted")
    const again = yield* started(repository, lease, retry.task)
    yield* repository.settle(lease, [succeeded(again.task)])
    const schedule = aSchedule()
    const occurrence = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
    yield* started(repository, lease, occurrence, { successor: successorOf(schedule, t0) })
    yield* repository.reap(lease, 10)
    yield* repository.reconcile(lease, yield* repository.forgotten(lease, new Set()))
    yield* repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0)
    expect((yield* mustGet(repository, first.id)).attempts).toHaveLength(2)
    expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ status: "Cancelled", runs: 1 })
    expect(yield* repository.prune(allEnded(t0 + 1, 10))).toBe(3)
    expect(yield* allTasks(repository)).toHaveLength(1)
    yield* repository.closeLease(lease)
  })

const withStore = <A, E, R>(
  store: Layer.Layer<TaskRepository, unknown, PgClient>,
  use: (repository: Repository) => Effect.Effect<A, E, R>
) => Effect.scoped(Effect.flatMap(Layer.build(store), (context) => use(Context.get(context, TaskRepository))))

const failureOf = (store: Layer.Layer<TaskRepository, unknown, PgClient>) =>
  Effect.map(
    Effect.flip(Effect.scoped(Layer.build(store))),
    (error) => error as { readonly _tag: string; readonly reason: string; readonly message: string }
  )

const aUser = (more: (name: string) => string) => Effect.map(freshUser(more), (url) => connections({ url }))

describe("migrations", () => {
  const test = (title: string, body: () => Effect.Effect<void, unknown, PgClient | Scope.Scope>) =>
    it.scopedLive(title, () => Effect.provide(body(), sharedConnections))

  test("eight that start at once on an empty database all find a store, made once", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const stores = yield* Effect.all(
        Array.from({ length: 8 }, () => Layer.build(Layer.fresh(storeIn(schema).pipe(Layer.provide(connections()))))),
        { concurrency: "unbounded" }
      )
      expect(stores).toHaveLength(8)
      expect(yield* versionsOf(schema)).toEqual(migrations.map(({ version }) => version))
      yield* aWholeLife(Context.get(stores[7] ?? expect.fail("there are eight"), TaskRepository))
    }))

  test("whoever comes later finds it done, and changes nothing", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const db = makeDb(yield* PgClient)
      expect(yield* migrate(db, schema)).toEqual(migrations.map(({ version }) => version))
      const made = yield* query(`SELECT * FROM "${schema}".schema_versions`)
      expect(yield* Effect.all([migrate(db, schema), migrate(db, schema)], { concurrency: 2 })).toEqual([[], []])
      expect(yield* query(`SELECT * FROM "${schema}".schema_versions`)).toEqual(made)
    }))

  test("two stores in two schemas of a database know nothing of each other", () =>
    Effect.gen(function*() {
      const [one, other] = [freshSchemaName(), freshSchemaName()]
      const task = aTask()
      yield* withStore(storeIn(one), (repository) => repository.insert([task], undefined))
      yield* withStore(storeIn(other), (repository) =>
        Effect.gen(function*() {
          expect(yield* allTasks(repository)).toEqual([])
          expect(yield* repository.insert([task], undefined)).toEqual([{ _tag: "Inserted", task }])
        }))
    }))

  test("a store that only a newer program can read is refused, and both versions are named", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      yield* migrate(makeDb(yield* PgClient), schema)
      yield* query(`INSERT INTO "${schema}".schema_versions (version, readable_from) VALUES (99, 98)`)
      const error = yield* failureOf(storeIn(schema))
      expect(error).toMatchObject({ _tag: "TaskRepositoryError", reason: "Incompatible" })
      for (const named of ["version 99", "98", `version ${newest}`, "newer release"]) {
        expect(error.message).toContain(named)
      }
      const waiting = storeIn(schema, { waitForDatabase: true })
      const call = yield* withStore(waiting, (repository) => Effect.flip(repository.backlog(t0)))
      expect(call).toMatchObject({ reason: "Incompatible", message: error.message })
    }))

  test("beside a newer program that this one may still work with, it works, and makes nothing older", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      yield* migrate(makeDb(yield* PgClient), schema)
      yield* query(`INSERT INTO "${schema}".schema_versions (version, readable_from) VALUES (99, ${newest})`)
      for (const table of yield* tablesOf(schema)) {
        yield* query(
          `ALTER TABLE "${schema}"."${
            String(table)
          }" ADD COLUMN urgency smallint NOT NULL DEFAULT 0, ADD COLUMN more text`
        )
      }
      yield* query(`CREATE TABLE "${schema}".of_the_newer (name text)`)
      yield* withStore(storeIn(schema), aWholeLife)
      expect(yield* versionsOf(schema)).toEqual([...migrations.map(({ version }) => version), 99])
    }))

  /** A second version for a store, and what is wrong with it. */
  const second = (...statements: ReadonlyArray<string>): Migration => ({
    version: newest + 1,
    readableFrom: newest,
    statements: (schema) => [`CREATE TABLE "${schema}".added (id int)`, ...statements]
  })

  test("one that fails half-way leaves nothing behind on an empty database", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const db = makeDb(yield* PgClient)
      const broken = [...migrations, second("SELECT 1 / 0")]
      const failed = yield* Effect.exit(migrate(db, schema, broken))
      expect(Exit.isFailure(failed)).toBe(true)
      expect(yield* tablesOf(schema)).toEqual([])
      expect(yield* query("SELECT 1 AS found FROM pg_namespace WHERE nspname = $1", [schema])).toEqual([])
      expect(yield* migrate(db, schema)).toEqual(migrations.map(({ version }) => version))
    }))

  test("one that fails half-way leaves a store as it was, and comes off when it is mended", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const db = makeDb(yield* PgClient)
      yield* migrate(db, schema)
      const before = yield* tablesOf(schema)
      const task = aTask()
      yield* withStore(storeIn(schema), (repository) =>
        Effect.gen(function*() {
          yield* repository.insert([task], undefined)
          const broken = [...migrations, second(`ALTER TABLE "${schema}".tasks ADD COLUMN x int`, "SELECT 1 / 0")]
          const tries = yield* Effect.all(
            Array.from({ length: 4 }, () => Effect.exit(migrate(db, schema, broken))),
            { concurrency: "unbounded" }
          )
          expect(tries.every(Exit.isFailure)).toBe(true)
          expect(yield* tablesOf(schema)).toEqual(before)
          expect(yield* versionsOf(schema)).toEqual(migrations.map(({ version }) => version))
          const mended = [...migrations, second()]
          const applied = yield* Effect.all(
            Array.from({ length: 4 }, () => migrate(db, schema, mended)),
            { concurrency: "unbounded" }
          )
          expect(applied.flat()).toEqual([newest + 1])
          expect(yield* tablesOf(schema)).toContain("added")
          // The program of before works on beside it.
          expect(yield* mustGet(repository, task.id)).toEqual(task)
          yield* repository.prune(allEnded(t0, 1))
        }))
    }))

  for (
    const schema of [
      "",
      "A",
      "jobS",
      "1a",
      "a-b",
      "a b",
      "a.b",
      "a\"b",
      "a\\b",
      "a'b",
      "$a",
      "é",
      "pg_jobs",
      "a".repeat(64)
    ]
  ) {
    test(`refuses ${JSON.stringify(schema)} as the name of its schema`, () =>
      Effect.map(failureOf(SqlTaskRepository.layerOptions({ schema })), (error) => {
        expect(error).toMatchObject({ _tag: "InvalidInput", reason: "NamePattern", field: "schema" })
      }))
  }

  for (const [what, schema] of [["a word of SQL", "select"], ["63 characters", `t_${"x".repeat(61)}`]] as const) {
    test(`takes ${what} as the name of its schema`, () =>
      Effect.ensuring(
        withStore(SqlTaskRepository.layerOptions({ schema }), aWholeLife),
        Effect.orDie(query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`))
      ))
  }

  test("a user who may not make schemas is content with one that was made for it", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const user = yield* aUser((name) => `CREATE SCHEMA "${schema}" AUTHORIZATION "${name}"`)
      yield* withStore(Layer.provide(storeIn(schema), user), aWholeLife)
      const again = withStore(Layer.provide(storeIn(schema), user), allTasks)
      expect(yield* again).toHaveLength(1)
    }))

  test("a user who may make none and was given none is told what is missing", () =>
    Effect.gen(function*() {
      const user = yield* aUser(() => "")
      const error = yield* failureOf(Layer.provide(storeIn(freshSchemaName()), user))
      expect(error).toMatchObject({ _tag: "TaskRepositoryError", reason: "Unavailable" })
      expect(error.message).toContain("lacks a privilege")
      expect(error.message).toContain("42501")
    }))

  test("on a store that is there, reading and writing rows is all a user must be allowed", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      yield* migrate(makeDb(yield* PgClient), schema)
      const user = yield* aUser((name) =>
        `GRANT USAGE ON SCHEMA "${schema}" TO "${name}";
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "${schema}" TO "${name}"`
      )
      yield* withStore(Layer.provide(storeIn(schema), user), aWholeLife)
    }))

  test("a schema that is dropped under a running store fails its calls with what to do, and no more", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      yield* withStore(storeIn(schema), (repository) =>
        Effect.gen(function*() {
          yield* query(`DROP SCHEMA "${schema}" CASCADE`)
          const error = yield* Effect.flip(repository.insert([aTask()], undefined))
          expect(error).toMatchObject({ reason: "Unavailable" })
          expect(error.message).toMatch(/missing.*Start again/)
          yield* migrate(makeDb(yield* PgClient), schema)
          expect(yield* repository.insert([aTask()], undefined)).toMatchObject([{ _tag: "Inserted" }])
        }))
    }))
})

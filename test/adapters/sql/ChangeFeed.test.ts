import { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import type { Scope } from "effect"
import { randomUUID } from "node:crypto"
import { makeChangeFeed } from "../../../src/adapters/sql/ChangeFeed.ts"
import { makeDb } from "../../../src/adapters/sql/Db.ts"
import type { Store } from "../../../src/adapters/sql/Store.ts"
import { columnsOf, tablesOf } from "../../../src/adapters/sql/Store.ts"
import type { TaskId } from "../../../src/domain/Ids.ts"
import { ChangeLog } from "../../../src/ports/ChangeLog.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import { insertedOne, started } from "../../ports/contract/harness.ts"
import { allEnded, anInstanceId, aTask, succeeded } from "../../support/builders.ts"
import { eventually, freshStore, schemaOf } from "./support.ts"

const timing = { pollEvery: 30, idleRounds: 3, reliedOn: 60_000 }

/** The feed of an instance that has done nothing itself, and a store that others write to. */
const feedBeside = (repository: Repository, more: Partial<typeof timing> = {}) =>
  Effect.gen(function*() {
    const schema = schemaOf(repository)
    const tables = tablesOf(schema)
    const client = yield* PgClient
    const statements: Array<string> = []
    const db = makeDb(client)
    const store: Store = {
      db: {
        ...db,
        run: (text, params) =>
          Effect.suspend(() => {
            statements.push(text)
            return db.run(text, params)
          })
      },
      schema,
      tables,
      columns: columnsOf(tables),
      boot: randomUUID(),
      log: new ChangeLog(),
      unreadable: new Set()
    }
    return { feed: yield* makeChangeFeed(store, { ...timing, ...more }), statements }
  })

const test = (title: string, body: (repository: Repository) => Effect.Effect<void, unknown, PgClient | Scope.Scope>) =>
  it.scopedLive(title, () => Effect.provide(Effect.flatMap(TaskRepository, body), freshStore))

const insertOne = (repository: Repository) =>
  Effect.gen(function*() {
    const task = aTask()
    yield* repository.insert([task], undefined)
    return task.id
  })

const asleep = ({ isHeard }: { readonly isHeard: () => boolean }) => eventually(Effect.sync(isHeard), (heard) => !heard)

describe("ChangeFeed", () => {
  test("tells what others have changed since it was asked, each once, however many read", (repository) =>
    Effect.gen(function*() {
      yield* insertOne(repository)
      const { feed } = yield* feedBeside(repository)
      const { last } = yield* feed.changes("latest")
      const ids: Array<TaskId> = []
      const readers = yield* Effect.forEach(
        [1, 2, 3],
        () =>
          Effect.fork(Effect.iterate({ at: last, got: [] as ReadonlyArray<string> }, {
            while: ({ got }) => got.length < 30,
            body: ({ at, got }) =>
              Effect.map(feed.changes(at), (read) => ({
                at: read.last,
                got: [...got, ...read.changes.map(({ task }) => task.id)]
              }))
          }))
      )
      for (let round = 0; round < 30; round++) {
        ids.push(yield* insertOne(repository))
        if (round % 10 === 0) feed.wake()
        if (round % 7 === 0) yield* feed.changes("latest")
      }
      for (const { got } of yield* Fiber.joinAll(readers)) expect(got).toEqual(ids)
    }))

  test("what was committed before is no news, though an older transaction is open still", (repository) =>
    Effect.gen(function*() {
      const sql = yield* PgClient
      const [isOpen, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const transaction = yield* Effect.fork(sql.withTransaction(
        sql`SELECT pg_current_xact_id()`.pipe(
          Effect.zipRight(Deferred.succeed(isOpen, undefined)),
          Effect.zipRight(Deferred.await(mayEnd))
        )
      ))
      yield* Deferred.await(isOpen)
      yield* insertOne(repository)
      const { feed } = yield* feedBeside(repository)
      const { last } = yield* feed.changes("latest")
      const id = yield* insertOne(repository)
      expect((yield* feed.changes(last)).changes.map(({ task }) => task.id)).toEqual([id])
      yield* Deferred.succeed(mayEnd, undefined)
      yield* Fiber.join(transaction)
    }))

  test("misses nothing of a transaction that began long before it is committed, and tells nothing twice", (repository) =>
    Effect.gen(function*() {
      const sql = yield* PgClient
      const { feed } = yield* feedBeside(repository, { idleRounds: 1_000 })
      const { last } = yield* feed.changes("latest")
      const [isOpen, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const early = aTask()
      const transaction = yield* Effect.fork(sql.withTransaction(Effect.gen(function*() {
        yield* repository.insert([early], undefined)
        yield* Deferred.succeed(isOpen, undefined)
        yield* Deferred.await(mayEnd)
      })))
      yield* Deferred.await(isOpen)
      const got: Array<string> = []
      const reader = yield* Effect.fork(Effect.iterate(last, {
        while: () => got.length < 6,
        body: (at) =>
          Effect.map(feed.changes(at), (read) => {
            got.push(...read.changes.map(({ task }) => task.id))
            return read.last
          })
      }))
      const ids: Array<TaskId> = []
      for (let round = 0; round < 5; round++) {
        ids.push(yield* insertOne(repository))
        yield* Effect.sleep(40)
      }
      yield* eventually(Effect.sync(() => got.length), (length) => length === 5)
      yield* Deferred.succeed(mayEnd, undefined)
      yield* Fiber.join(transaction)
      yield* Fiber.join(reader)
      yield* Effect.sleep(100)
      expect(got).toEqual([...ids, early.id])
      expect((yield* feed.changes("latest")).last).toBe(last + 6)
    }))

  test("asks nothing while nobody reads, and goes on where it was when somebody does again", (repository) =>
    Effect.gen(function*() {
      const { feed, statements } = yield* feedBeside(repository)
      const { last } = yield* feed.changes("latest")
      yield* asleep(feed)
      const asked = statements.length
      const ids = [yield* insertOne(repository), yield* insertOne(repository)]
      feed.wake()
      yield* Effect.sleep(200)
      expect(statements).toHaveLength(asked)
      const read = yield* feed.changes(last)
      expect(read.changes.map(({ task }) => task.id)).toEqual(ids)
      expect(read.truncated).toBe(false)
    }))

  test("a reader that comes back too late is told that it has missed something", (repository) =>
    Effect.gen(function*() {
      const { feed } = yield* feedBeside(repository, { reliedOn: 300 })
      const { last } = yield* feed.changes("latest")
      yield* asleep(feed)
      yield* insertOne(repository)
      yield* Effect.sleep(400)
      const read = yield* feed.changes(last)
      expect(read).toMatchObject({ changes: [], truncated: true })
      const id = yield* insertOne(repository)
      const next = yield* feed.changes(read.last)
      expect(next.changes.map(({ task }) => task.id)).toEqual([id])
      expect(next.truncated).toBe(false)
    }))

  test("one who asks for the latest after a pause does not get what came in between; who read before is told", (repository) =>
    Effect.gen(function*() {
      const { feed } = yield* feedBeside(repository)
      const early = yield* feed.changes("latest")
      yield* asleep(feed)
      yield* insertOne(repository)
      const { last } = yield* feed.changes("latest")
      const id = yield* insertOne(repository)
      const read = yield* feed.changes(last)
      expect(read.changes.map(({ task }) => task.id)).toEqual([id])
      expect(read.truncated).toBe(false)
      expect(yield* feed.changes(early.last)).toMatchObject({ truncated: true })
    }))

  test("a change of a Task that is gone meanwhile is passed over", (repository) =>
    Effect.gen(function*() {
      const { feed } = yield* feedBeside(repository, { pollEvery: 5_000 })
      const { last } = yield* feed.changes("latest")
      const reading = yield* Effect.fork(feed.changes(last))
      yield* Effect.sleep(100)
      const lease = yield* repository.openLease(anInstanceId(), 60_000)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* repository.settle(lease, [succeeded(task, 0)])
      yield* repository.prune(allEnded(10, 10))
      const id = yield* insertOne(repository)
      feed.wake()
      expect((yield* Fiber.join(reading)).changes.map(({ kind, task }) => [kind, task.id])).toEqual([["scheduled", id]])
    }))
})

/** Scheduling as part of the application's own transaction: with it or not at all, and never in anybody else's. */
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it, layer } from "@effect/vitest"
import { Chunk, Clock, Context, Deferred, Effect, Either, Fiber, Layer, Stream } from "effect"
import { LambdaFunction, LambdaScheduler, Trigger } from "../../../src/index.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, engineIn, eventually, freshDatabase, invoked, job } from "./support.ts"

/** A function of its own for each test, so that engines can be shared. */
let functions = 0
const freshFunction = () => {
  const name = `fn${++functions}`
  return { name, fn: LambdaFunction.existing(name) }
}

const undone = "undone" as const

/** Runs it in a transaction of the application that is rolled back in the end. */
const rolledBack = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    let answer: A | undefined
    const inside = Effect.zipRight(
      Effect.map(effect, (value) => {
        answer = value
      }),
      Effect.fail(undone)
    )
    expect(yield* Effect.flip(sql.withTransaction(inside))).toBe(undone)
    return answer as A
  })

const tasksOf = (functionName: string) =>
  Effect.flatMap(LambdaScheduler, (scheduler) => Effect.map(scheduler.list({ functionName }), ({ items }) => items))

/** Names that the application itself has stored. */
const names = Effect.flatMap(
  SqlClient,
  (sql) =>
    Effect.map(
      sql<{ name: string }>`SELECT name FROM application ORDER BY name`,
      (rows) => rows.map(({ name }) => name)
    )
)
const note = (name: string) => Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO application VALUES (${name})`)

const application = Layer.effectDiscard(
  Effect.flatMap(SqlClient, (sql) => sql`CREATE TABLE IF NOT EXISTS application (name text)`)
)

describe("in a transaction of the application", () => {
  layer(application.pipe(Layer.provideMerge(engineIn(freshSchemaName()))), { excludeTestServices: true })((it) => {
    it.effect("rolled back: there is no Task, no schedule, and nothing runs", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { fn, name } = freshFunction()
        const [task, schedule] = yield* rolledBack(Effect.gen(function*() {
          yield* note("gone")
          const task = yield* scheduler.schedule(fn)
          yield* scheduler.scheduleAll(fn, [{ payload: 1 }, { payload: 2 }])
          return [task, yield* scheduler.repeat(fn, { trigger: Trigger.fixed("1 second") })] as const
        }))
        yield* Effect.sleep("1200 millis")
        expect(yield* invoked(name)).toBe(0)
        expect(yield* tasksOf(name)).toEqual([])
        expect((yield* Effect.flip(scheduler.get(task.id)))._tag).toBe("TaskNotFound")
        expect((yield* Effect.flip(scheduler.getSchedule(schedule.id)))._tag).toBe("TaskScheduleNotFound")
        expect(yield* names).toEqual([])
      }))

    it.effect("committed: sent after the commit, and not a moment before", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const sql = yield* SqlClient
        const client = yield* ScriptedLambdaClient
        const { fn, name } = freshFunction()
        const stored = yield* sql.withTransaction(Effect.gen(function*() {
          const task = yield* scheduler.schedule(fn)
          expect(task).toMatchObject({ status: "Scheduled", owner: undefined })
          const many = yield* scheduler.scheduleAll(fn, [{ payload: 1 }, { payload: 2 }])
          const schedule = yield* scheduler.repeat(fn, { trigger: Trigger.fixed("2 seconds"), maxRuns: 2 })
          yield* note("kept")
          yield* Effect.sleep("1200 millis")
          expect(yield* invoked(name)).toBe(0)
          // Nobody else sees them yet, and reading is not part of the transaction.
          expect(yield* tasksOf(name)).toEqual([])
          return { tasks: [task, ...many], schedule }
        }))
        const committedAt = yield* Clock.currentTimeMillis
        for (const { id } of stored.tasks) expect(yield* scheduler.awaitResult(id)).toBe(null)
        yield* eventually(scheduler.getSchedule(stored.schedule.id), ({ status }) => status === "Completed")
        yield* eventually(tasksOf(name), (tasks) => tasks.every(({ status }) => status === "Succeeded"))
        const invocations = yield* client.invocationsOf(name)
        expect(invocations).toHaveLength(5)
        for (const { at } of invocations) expect(at).toBeGreaterThanOrEqual(committedAt - 5)
        // A hint comes with the commit: nobody waits for the next poll.
        expect((invocations[0]?.at ?? Infinity) - committedAt).toBeLessThan(900)
        expect(yield* names).toEqual(["kept"])
      }))

    it.effect("a savepoint that is undone takes its own with it, and only that", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const sql = yield* SqlClient
        const { fn, name } = freshFunction()
        const [outer, inner, last] = yield* sql.withTransaction(Effect.gen(function*() {
          const outer = yield* scheduler.schedule(fn)
          const inner = yield* rolledBack(scheduler.schedule(fn))
          return [outer, inner, yield* sql.withTransaction(scheduler.schedule(fn))] as const
        }))
        expect(yield* scheduler.awaitResult(outer.id)).toBe(null)
        expect(yield* scheduler.awaitResult(last.id)).toBe(null)
        expect((yield* Effect.flip(scheduler.get(inner.id)))._tag).toBe("TaskNotFound")
        expect(yield* invoked(name)).toBe(2)
      }))

    it.effect("a statement that fails there leaves the transaction to its owner, who may go back to a savepoint", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const repository = yield* TaskRepository
        const sql = yield* SqlClient
        const { fn, name } = freshFunction()
        const good = yield* sql.withTransaction(Effect.gen(function*() {
          const good = yield* scheduler.schedule(fn, { trigger: Trigger.after("1 hour") })
          const bad = { ...good, status: "Scheduled" as const, id: good.id.replace(/.$/, "x") as typeof good.id }
          const refused = yield* Effect.flip(sql.withTransaction(repository.insert([bad], undefined)))
          expect(refused).toMatchObject({ _tag: "TaskRepositoryError", reason: "Rejected" })
          return good
        }))
        expect((yield* tasksOf(name)).map(({ id }) => id)).toEqual([good.id])
      }))

    it.effect("an idempotency key is part of it: twice inside is once, and a rollback frees it", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const sql = yield* SqlClient
        const { fn, name } = freshFunction()
        const ask = (payload: number) => scheduler.schedule(fn, { idempotencyKey: name, payload })
        const [gone, same, conflict] = yield* rolledBack(
          Effect.all([ask(1), ask(1), Effect.flip(ask(2))])
        )
        expect(same).toEqual(gone)
        expect(conflict).toMatchObject({ _tag: "IdempotencyConflict", id: gone.id })
        const kept = yield* sql.withTransaction(ask(2))
        expect(kept.id).not.toBe(gone.id)
        expect((yield* ask(2)).id).toBe(kept.id)
        expect(yield* scheduler.awaitResult(kept.id)).toBe(null)
        expect(yield* invoked(name)).toBe(1)
      }))

    it.effect("reading, awaiting and cancelling are not part of it", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { fn, name } = freshFunction()
        const later = { trigger: Trigger.after("1 hour") }
        const [task, other] = yield* scheduler.scheduleAll(fn, [later, later])
        const schedule = yield* scheduler.repeat(fn, { trigger: Trigger.fixed("1 hour"), initialDelay: "1 hour" })
        if (task === undefined || other === undefined) return expect.fail("there are two")
        yield* rolledBack(Effect.gen(function*() {
          const inside = yield* scheduler.schedule(fn, later)
          expect((yield* Effect.flip(scheduler.get(inside.id)))._tag).toBe("TaskNotFound")
          expect((yield* Effect.flip(scheduler.cancel(inside.id)))._tag).toBe("TaskNotFound")
          expect((yield* Effect.flip(scheduler.awaitResult(inside.id)))._tag).toBe("TaskNotFound")
          expect((yield* scheduler.cancel(task.id)).status).toBe("Cancelled")
          expect((yield* scheduler.cancelSchedule(schedule.id)).status).toBe("Cancelled")
          expect((yield* scheduler.listSchedules({ functionName: name })).items).toHaveLength(1)
        }))
        expect((yield* scheduler.get(task.id)).status).toBe("Cancelled")
        expect((yield* scheduler.get(other.id)).status).toBe("Scheduled")
        expect((yield* scheduler.getSchedule(schedule.id)).status).toBe("Cancelled")
      }))

    it.effect("a Task that runs elsewhere meanwhile can be awaited from inside", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { fn } = freshFunction()
        const task = yield* scheduler.schedule(fn, { trigger: Trigger.after("100 millis") })
        expect(yield* rolledBack(scheduler.awaitResult(task.id))).toBe(null)
      }))

    it.effect("those outside are stored, run and answered while it is open", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { fn, name } = freshFunction()
        const isOpen = yield* Deferred.make<void>()
        const mayEnd = yield* Deferred.make<void>()
        const transaction = yield* Effect.fork(rolledBack(Effect.gen(function*() {
          yield* scheduler.schedule(fn, { payload: "inside" })
          yield* Deferred.succeed(isOpen, undefined)
          yield* Deferred.await(mayEnd)
        })))
        yield* Deferred.await(isOpen)
        const tasks = yield* Effect.forEach(Array.from({ length: 60 }), () => scheduler.schedule(fn), {
          concurrency: "unbounded"
        })
        yield* Effect.forEach(tasks, ({ id }) => scheduler.awaitResult(id), { concurrency: "unbounded" })
        yield* Deferred.succeed(mayEnd, undefined)
        yield* Fiber.join(transaction)
        expect(yield* invoked(name)).toBe(60)
      }))

    it.effect("a key that it has taken holds up those who ask for the same, and nobody else", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { fn, name } = freshFunction()
        const isOpen = yield* Deferred.make<void>()
        const mayEnd = yield* Deferred.make<void>()
        const ask = (key: string) => scheduler.schedule(fn, { idempotencyKey: key })
        const transaction = yield* Effect.fork(rolledBack(Effect.gen(function*() {
          yield* ask(name)
          yield* Deferred.succeed(isOpen, undefined)
          yield* Deferred.await(mayEnd)
        })))
        yield* Deferred.await(isOpen)
        const same = yield* Effect.fork(Effect.all([ask(name), ask(name)], { concurrency: 2 }))
        yield* Effect.sleep("50 millis")
        // Whoever has no key, or another one, is answered at once.
        yield* Effect.forEach(Array.from({ length: 5 }), () => scheduler.schedule(fn), { concurrency: "unbounded" })
          .pipe(
            Effect.timeoutFail({ duration: "2 seconds", onTimeout: () => "held up" as const })
          )
        expect(same.unsafePoll()).toBeNull()
        yield* Deferred.succeed(mayEnd, undefined)
        yield* Fiber.join(transaction)
        const [first, second] = yield* Fiber.join(same)
        expect(second.id).toBe(first.id)
      }))

    it.effect("its Tasks are told of in the events once it is committed, and not if it is undone", () =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const sql = yield* SqlClient
        const { fn, name } = freshFunction()
        const gone = freshFunction()
        const told = yield* scheduler.events.pipe(
          Stream.filter(({ task }) => [name, gone.name].includes(task.function.name)),
          Stream.take(3),
          Stream.runCollect,
          Effect.fork
        )
        yield* Effect.sleep("100 millis")
        yield* rolledBack(scheduler.schedule(gone.fn))
        const task = yield* sql.withTransaction(scheduler.schedule(fn))
        const events = Chunk.toReadonlyArray(yield* Effect.timeout(Fiber.join(told), "5 seconds"))
        // Nobody tells this process of the commit but the store: the Task may have begun by then.
        expect(new Set(events.map(({ kind, task }) => `${kind} ${task.id}`)))
          .toEqual(new Set(["scheduled", "started", "succeeded"].map((kind) => `${kind} ${task.id}`)))
      }))
  })

  it.scopedLive("an engine that is built inside one does not live in it", () =>
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const client = Layer.succeedContext(yield* Layer.build(connections()))
      const engine = yield* rolledBack(Effect.gen(function*() {
        const engine = yield* Layer.buildWithScope(engineIn(freshSchemaName(), { connections: client }), scope)
        const scheduler = Context.get(engine, LambdaScheduler)
        // To schedule is part of the transaction here as well; the engine is not.
        const inside = yield* scheduler.schedule(job)
        yield* Effect.sleep("300 millis")
        expect((yield* Effect.flip(scheduler.get(inside.id)))._tag).toBe("TaskNotFound")
        return engine
      })).pipe(Effect.provide(client))
      yield* Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        expect(yield* tasksOf("job")).toEqual([])
        const task = yield* scheduler.schedule(job)
        expect(yield* scheduler.awaitResult(task.id)).toBe(null)
        expect(yield* invoked("job")).toBe(1)
      }).pipe(Effect.provide(engine))
    }))
})

describe("in a transaction of another client", () => {
  for (
    const [where, other] of [
      ["another database", Layer.unwrapScoped(Effect.map(freshDatabase, (url) => connections({ url })))],
      ["the same database", connections()]
    ] as const
  ) {
    it.live(`of ${where}: stored at once, and neither touches the other`, () =>
      Effect.gen(function*() {
        // The application's client is the one in the context; the engine has its own.
        const engine = yield* Layer.build(engineIn(freshSchemaName(), { connections: connections() }))
        const scheduler = Context.get(engine, LambdaScheduler)
        const sql = yield* SqlClient
        yield* sql`DROP TABLE IF EXISTS application`
        yield* sql`CREATE TABLE application (name text)`
        const [task, schedule] = yield* rolledBack(Effect.gen(function*() {
          yield* note("gone")
          const task = yield* scheduler.schedule(job, { trigger: Trigger.after("200 millis") })
          const schedule = yield* scheduler.repeat(job, { trigger: Trigger.fixed("1 hour"), initialDelay: "1 hour" })
          expect(yield* names).toEqual(["gone"])
          expect((yield* scheduler.get(task.id)).status).toBe("Scheduled")
          expect(yield* scheduler.awaitResult(task.id)).toBe(null)
          return [task, schedule] as const
        }))
        expect(yield* names).toEqual([])
        expect((yield* scheduler.get(task.id)).status).toBe("Succeeded")
        expect((yield* scheduler.getSchedule(schedule.id)).status).toBe("Active")
        const kept = yield* sql.withTransaction(Effect.gen(function*() {
          yield* note("kept")
          const refused = yield* Effect.either(scheduler.schedule(job, { payloadJson: "{" }))
          expect(Either.isLeft(refused)).toBe(true)
          return yield* scheduler.schedule(job)
        }))
        expect(yield* names).toEqual(["kept"])
        expect(yield* scheduler.awaitResult(kept.id)).toBe(null)
        yield* sql`DROP TABLE application`
      }).pipe(Effect.scoped, Effect.provide(other)))
  }
})

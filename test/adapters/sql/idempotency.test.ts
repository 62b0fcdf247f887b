/** One key, several processes: here two instances that share nothing but the database. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { LambdaScheduler, Trigger } from "../../../src/index.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import { aSchedule, aTask, occurrenceOf } from "../../support/builders.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, engineIn, job, storeIn } from "./support.ts"

const two = <A, E>(layer: (schema: string) => Layer.Layer<A, E>) =>
  Effect.suspend(() => {
    const schema = freshSchemaName()
    // Built apart, so that each has a pool of its own.
    return Effect.all([Layer.build(Layer.fresh(layer(schema))), Layer.build(Layer.fresh(layer(schema)))])
  })

/** The n-th of 50 callers, spread over two instances. */
const callers = Array.from({ length: 50 }, (_, index) => index)

describe("an idempotency key, from two instances at once", () => {
  it.scopedLive("makes one Task", () =>
    Effect.gen(function*() {
      const stores = (yield* two((schema) => storeIn(schema).pipe(Layer.provide(connections()))))
        .map((context) => Context.get(context, TaskRepository))
      const [one, other] = stores
      if (one === undefined || other === undefined) return expect.fail("there are two")
      for (let round = 0; round < 10; round++) {
        const key = `k${round}`
        const verdicts = yield* Effect.forEach(
          callers,
          (index) => (index % 2 === 0 ? one : other).insert([aTask()], undefined, [{ key, digest: `d${index % 5}` }]),
          { concurrency: "unbounded" }
        )
        const [made, ...more] = verdicts.flat().filter(({ _tag }) => _tag === "Inserted")
        if (made?._tag !== "Inserted") return expect.fail("one is made")
        expect(more).toEqual([])
        const won = verdicts.findIndex(([verdict]) => verdict === made) % 5
        verdicts.flat().forEach((verdict, index) => {
          if (verdict === made) return
          const isSame = index % 5 === won
          expect(verdict)
            .toEqual(isSame ? { _tag: "Present", task: made.task } : { _tag: "Conflict", id: made.task.id })
        })
      }
      expect((yield* one.list({}, { limit: 100 })).items).toHaveLength(10)
    }))

  it.scopedLive("many keys in many orders: none waits for another for ever", () =>
    Effect.gen(function*() {
      const stores = (yield* two((schema) => storeIn(schema).pipe(Layer.provide(connections()))))
        .map((context) => Context.get(context, TaskRepository))
      const keys = Array.from({ length: 20 }, (_, index) => ({ key: `k${index}`, digest: "d" }))
      const verdicts = yield* Effect.forEach(
        callers.slice(0, 20),
        (index) => {
          const mine = keys.map((_, position) => keys[(index * 7 + position * 3) % 20])
          const store = stores[index % 2] ?? expect.fail("there are two")
          return Effect.map(store.insert(mine.map(() => aTask()), undefined, mine), (verdicts) =>
            verdicts.map((verdict, position) => ({ key: mine[position]?.key, verdict })))
        },
        { concurrency: "unbounded" }
      )
      const byKey = new Map<string | undefined, Set<string>>()
      for (const { key, verdict } of verdicts.flat()) {
        const id = "task" in verdict ? verdict.task.id : expect.fail(`got ${verdict._tag}`)
        byKey.set(key, (byKey.get(key) ?? new Set()).add(id))
      }
      expect([...byKey.values()].map((ids) =>
        ids.size
      )).toEqual(keys.map(() => 1))
      expect(verdicts.flat().filter(({ verdict }) => verdict._tag === "Inserted")).toHaveLength(20)
    }))

  it.scopedLive("makes one schedule", () =>
    Effect.gen(function*() {
      const stores = (yield* two((schema) => storeIn(schema).pipe(Layer.provide(connections()))))
        .map((context) => Context.get(context, TaskRepository))
      const verdicts = yield* Effect.forEach(callers, (index) => {
        const schedule = aSchedule()
        const store = stores[index % 2] ?? expect.fail("there are two")
        return store.insertSchedule(schedule, occurrenceOf(schedule), undefined, { key: "k", digest: "d" })
      }, { concurrency: "unbounded" })
      expect(verdicts.filter(({ _tag }) => _tag === "Inserted")).toHaveLength(1)
      expect(new Set(verdicts.map((verdict) => "schedule" in verdict ? verdict.schedule.id : verdict.id)).size).toBe(1)
      expect((yield* stores[0]?.list({}, { limit: 10 }) ?? expect.fail()).items).toHaveLength(1)
    }))

  it.scopedLive("of two schedulers: one Task runs once; another request is told what the first has made", () =>
    Effect.gen(function*() {
      const contexts = yield* two((schema) => engineIn(schema, { connections: connections() }))
      const schedulers = contexts.map((context) => Context.get(context, LambdaScheduler))
      const ask = (index: number, payload: unknown) =>
        (schedulers[index % 2] ?? expect.fail("there are two")).schedule(job, {
          idempotencyKey: "order 7",
          payload,
          trigger: Trigger.after("300 millis")
        })
      const tasks = yield* Effect.forEach(callers, (index) => ask(index, { a: 1, b: 2 }), {
        concurrency: "unbounded"
      })
      const [first] = tasks
      if (first === undefined) return expect.fail("there are fifty")
      expect(new Set(tasks.map(({ id }) => id))).toEqual(new Set([first.id]))
      // What "in 300 ms" comes to differs from call to call; the request does not.
      yield* Effect.sleep("20 millis")
      expect((yield* ask(1, { a: 1, b: 2 })).id).toBe(first.id)
      expect(yield* Effect.flip(ask(0, { a: 1 }))).toMatchObject({ _tag: "IdempotencyConflict", id: first.id })
      for (const scheduler of schedulers) expect(yield* scheduler.awaitResult(first.id)).toBe(null)
      expect((yield* ask(0, { a: 1, b: 2 })).status).toBe("Succeeded")
      expect((yield* schedulers[0]?.get(first.id) ?? expect.fail()).attempts).toHaveLength(1)
    }))
})

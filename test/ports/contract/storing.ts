import { expect } from "@effect/vitest"
import { Effect, Option } from "effect"
import { aTarget, aTask, aTaskId, succeeded, t0 } from "../../support/builders.ts"
import { claimAll, idsOf, inserted, insertedOne, mustGet, started, tasksOf } from "./harness.ts"
import type { Suite } from "./harness.ts"

/** Text that stores have been seen to change: each is valid JSON and must come back byte for byte. */
const awkward: Readonly<Record<string, string>> = {
  "an escaped NUL": String.raw`{"a":"\u0000"}`,
  "an escaped lone surrogate": String.raw`{"a":"\ud800"}`,
  "a duplicate key": `{"a":1,"a":2}`,
  "a number beyond doubles": `{"n":12345678901234567890.123456789,"e":1e400,"z":-0,"t":1.10}`,
  "its own spacing": ` { "b" : 1 ,\n\t"a" : [ ] } `,
  "a prototype's name": `{"__proto__":{"x":1},"constructor":null}`,
  "characters of four bytes": `"😀 \u{10ffff} \u2028"`,
  "SQL": `"'; DROP TABLE tasks; -- $1 %s \\\\"`,
  "one megabyte": JSON.stringify("x".repeat(1_048_574))
}

export const storingContract = ({ open, test }: Suite): void => {
  test("gives one verdict per Task, in order, and stores each as it came", (repository) =>
    Effect.gen(function*() {
      const tasks = [aTask({ name: "b" }), aTask({ name: "a", dueAt: t0 + 5_000 }), aTask({ tags: { team: "blue" } })]
      const verdicts = yield* repository.insert(tasks, undefined)
      expect(verdicts).toEqual(tasks.map((task) => ({ _tag: "Inserted", task })))
      for (const task of tasks) expect(yield* mustGet(repository, task.id)).toEqual(task)
    }))

  test("stores nothing for an empty batch", (repository) =>
    Effect.gen(function*() {
      expect(yield* repository.insert([], undefined)).toEqual([])
      expect((yield* repository.list({}, { limit: 10 })).items).toEqual([])
    }))

  test("is repeatable: an id that is there is Present, as it is now, and nothing changes", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [first, second] = [aTask(), aTask()]
      const held = yield* insertedOne(repository, lease, first)
      const { task: running } = yield* started(repository, lease, held)
      yield* repository.settle(lease, [succeeded(running, t0 + 10)])
      const finished = yield* mustGet(repository, first.id)

      const verdicts = yield* repository.insert([{ ...first, payload: "1" }, second], undefined)
      expect(verdicts).toEqual([{ _tag: "Present", task: finished }, { _tag: "Inserted", task: second }])
      expect(yield* mustGet(repository, first.id)).toEqual(finished)
      expect(finished.status).toBe("Succeeded")
    }))

  test("takes the first of two Tasks with the same id in one batch", (repository) =>
    Effect.gen(function*() {
      const task = aTask({ payload: "1" })
      const verdicts = yield* repository.insert([task, { ...task, payload: "2" }], undefined)
      expect(verdicts.map((verdict) => verdict._tag)).toEqual(["Inserted", "Present"])
      expect((yield* mustGet(repository, task.id)).payload).toBe("1")
    }))

  test("stores one row when many insert the same id at once", (repository) =>
    Effect.gen(function*() {
      const task = aTask()
      const verdicts = yield* Effect.all(
        Array.from({ length: 50 }, () => repository.insert([task], undefined)),
        { concurrency: "unbounded" }
      )
      expect(verdicts.flat().filter((verdict) => verdict._tag === "Inserted")).toHaveLength(1)
      expect((yield* repository.list({}, { limit: 10 })).items).toHaveLength(1)
    }))

  test("claims for its writer what is claimable up to an instant, and no more", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [near, edge, far] = [aTask(), aTask({ dueAt: t0 + 1_000 }), aTask({ dueAt: t0 + 1_001 })]
      const verdicts = yield* repository.insert([near, edge, far], { lease, until: t0 + 1_000 })
      const tasks = tasksOf(verdicts)
      expect(tasks.map((task) => task.owner)).toEqual([lease.instanceId, lease.instanceId, undefined])
      expect(tasks.map((task) => task.token > 0)).toEqual([true, true, false])
      for (const task of tasks) expect(yield* mustGet(repository, task.id)).toEqual(task)
      const other = yield* open(repository)
      expect(idsOf(yield* claimAll(repository, other, t0 + 60_000))).toEqual([far.id])
    }))

  test("does not claim what is already there", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const task = aTask()
      const held = yield* insertedOne(repository, lease, task)
      const [again] = yield* repository.insert([task], { lease: other, until: t0 })
      expect(again).toEqual({ _tag: "Present", task: held })
    }))

  test("an id that was never stored is none", (repository) =>
    Effect.gen(function*() {
      yield* repository.insert([aTask()], undefined)
      expect(Option.isNone(yield* repository.get(aTaskId()))).toBe(true)
    }))

  for (const [what, payload] of Object.entries(awkward)) {
    test(`delivers a payload with ${what} byte for byte`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const held = yield* insertedOne(repository, lease, aTask({ payload }))
        const { task } = yield* started(repository, lease, held)
        expect(task.payload === payload).toBe(true)
        expect((yield* mustGet(repository, task.id)).payload === payload).toBe(true)
      }))

    test(`keeps a result with ${what} byte for byte`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
        const settlement = succeeded(task)
        yield* repository.settle(lease, [
          { ...settlement, to: { _tag: "Succeeded", result: { text: payload, encoding: "utf8" } } }
        ])
        const found = yield* mustGet(repository, task.id)
        expect(found.status === "Succeeded" && found.result.text === payload).toBe(true)
      }))
  }

  test("keeps names and tags that objects inherit, and ones that look like SQL", (repository) =>
    Effect.gen(function*() {
      const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "x'; DROP TABLE tasks;--", "名前 😀"]
      const tasks = names.map((name) =>
        aTask({ name, function: aTarget("constructor"), tags: Object.fromEntries([[name, name]]) })
      )
      yield* repository.insert(tasks, undefined)
      for (const [index, name] of names.entries()) {
        const byName = yield* repository.list({ name }, { limit: 10 })
        expect(idsOf(byName.items)).toEqual([tasks[index]?.id])
        expect(Object.entries(byName.items[0]?.tags ?? {})).toEqual([[name, name]])
        const byTag = yield* repository.list({ tags: Object.fromEntries([[name, name]]) }, { limit: 10 })
        expect(idsOf(byTag.items)).toEqual([tasks[index]?.id])
      }
      expect((yield* repository.list({ functionName: "constructor" }, { limit: 10 })).items).toHaveLength(names.length)
      expect((yield* repository.list({ functionName: "__proto__" }, { limit: 10 })).items).toEqual([])
    }))

  test("keeps all that an attempt's end says", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const end = {
        at: t0 + 7,
        outcome: "failed" as const,
        error: { reason: "FunctionError" as const, message: "it's \"broken\"\n\u001b[2J", errorType: "TypeError" },
        requestId: "5b3a9c1e-0000-4000-8000-000000000001",
        executedVersion: "$LATEST",
        logTail: "START\nEND\n"
      }
      yield* repository.settle(lease, [{
        id: task.id,
        token: task.token,
        end,
        to: { _tag: "Failed", failure: { reason: "FunctionError", message: "it's broken" } },
        successor: undefined
      }])
      expect(yield* mustGet(repository, task.id)).toMatchObject({
        status: "Failed",
        owner: undefined,
        finishedAt: t0 + 7,
        failure: { reason: "FunctionError", message: "it's broken" },
        attempts: [{ number: 1, startedAt: t0, ended: end }]
      })
    }))

  test("keeps instants at the ends of time and texts of every length", (repository) =>
    Effect.gen(function*() {
      const tasks = [aTask({ dueAt: 0 }), aTask({ dueAt: 8.64e15 }), aTask({ dueAt: -62_167_219_200_000, name: "" })]
      yield* repository.insert(tasks, undefined)
      for (const task of tasks) expect(yield* mustGet(repository, task.id)).toEqual(task)
      const lease = yield* open(repository)
      expect(yield* inserted(repository, lease, [])).toEqual([])
      expect(idsOf(yield* claimAll(repository, lease))).toEqual([tasks[2]?.id, tasks[0]?.id])
    }))
}

import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type { TaskId } from "../../../src/domain/Ids.ts"
import type { TaskFilter } from "../../../src/ports/TaskRepository.ts"
import { aTarget, aTask, failed, succeeded, t0 } from "../../support/builders.ts"
import { allTasks, idsOf, inserted, insertedOne, started } from "./harness.ts"
import type { Suite } from "./harness.ts"

export const listingContract = ({ open, test }: Suite): void => {
  test("lists newest first, in whatever order they were stored and due", (repository) =>
    Effect.gen(function*() {
      const tasks = [0, 1, 2, 3].map((index) => aTask({ createdAt: t0 + index, dueAt: t0 + 100 - index }))
      yield* repository.insert([...tasks.slice(2), ...tasks.slice(0, 2)], undefined)
      expect((yield* repository.list({}, { limit: 10 })).items).toEqual([...tasks].reverse())
    }))

  test("finds by every filter and by all of them together", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const a = aTask({ createdAt: t0, name: "a", tags: { team: "blue", tier: "1" } })
      const b = aTask({ createdAt: t0 + 1, name: "b", tags: { team: "blue" }, dueAt: t0 + 1_000 })
      const c = aTask({ createdAt: t0 + 2, name: "a", function: aTarget("other"), dueAt: t0 + 2_000 })
      yield* repository.insert([a, b, c], undefined)
      const [running, done, broken, gone] = yield* inserted(
        repository,
        lease,
        [3, 4, 5, 6].map((index) => aTask({ createdAt: t0 + index, name: "run", dueAt: t0 + index * 10_000 }))
      )
      if (running === undefined || done === undefined || broken === undefined || gone === undefined) {
        return expect.fail("four were inserted")
      }
      yield* started(repository, lease, running)
      yield* repository.settle(lease, [
        succeeded((yield* started(repository, lease, done)).task),
        failed((yield* started(repository, lease, broken)).task)
      ])
      yield* repository.cancel(lease, { _tag: "Task", id: gone.id, successor: undefined }, t0)

      const found = (filter: TaskFilter) =>
        Effect.map(repository.list(filter, { limit: 100 }), ({ items }) => idsOf(items))
      expect(yield* found({})).toEqual(idsOf([gone, broken, done, running, c, b, a]))
      expect(yield* found({ name: "a" })).toEqual([c.id, a.id])
      expect(yield* found({ name: "A" })).toEqual([])
      expect(yield* found({ functionName: "other" })).toEqual([c.id])
      expect(yield* found({ status: ["Scheduled"] })).toEqual([c.id, b.id, a.id])
      expect(yield* found({ status: ["Running"] })).toEqual([running.id])
      expect(yield* found({ status: ["Succeeded", "Cancelled"] })).toEqual([gone.id, done.id])
      expect(yield* found({ status: ["Failed"] })).toEqual([broken.id])
      expect(yield* found({ status: ["Skipped"] })).toEqual([])
      expect(yield* found({ tags: { team: "blue" } })).toEqual([b.id, a.id])
      expect(yield* found({ tags: { team: "blue", tier: "1" } })).toEqual([a.id])
      expect(yield* found({ tags: { team: "red" } })).toEqual([])
      expect(yield* found({ tags: { constructor: "x" } })).toEqual([])
      expect(yield* found({ dueFrom: t0 + 2_000 })).toEqual(idsOf([gone, broken, done, running, c]))
      expect(yield* found({ dueBefore: t0 + 2_000 })).toEqual([b.id, a.id])
      expect(yield* found({ dueFrom: t0 + 1_000, dueBefore: t0 + 2_001 })).toEqual([c.id, b.id])
      expect(yield* found({ name: "a", functionName: "hello", status: ["Scheduled"], tags: { tier: "1" } }))
        .toEqual([a.id])
      expect(yield* found({ name: undefined, status: undefined, tags: undefined, dueFrom: undefined }))
        .toHaveLength(7)
    }))

  test("pages completely and without duplicates while others insert and finish Tasks", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const there = yield* inserted(
        repository,
        lease,
        Array.from({ length: 53 }, (_, index) => aTask({ createdAt: t0 + Math.floor(index / 5), name: "there" }))
      )
      const seen: Array<TaskId> = []
      let cursor: string | undefined = undefined
      let pages = 0
      do {
        const page: { readonly items: ReadonlyArray<{ readonly id: TaskId }>; readonly cursor: string | undefined } =
          yield* repository.list({}, { limit: 7, cursor })
        expect(page.items.length).toBeLessThanOrEqual(7)
        seen.push(...page.items.map(({ id }) => id))
        cursor = page.cursor
        yield* repository.insert([aTask({ createdAt: t0 + 1_000 + pages })], undefined)
        const between = there[pages * 6]
        if (between !== undefined) {
          yield* repository.settle(lease, [succeeded((yield* started(repository, lease, between)).task)])
        }
        expect(++pages).toBeLessThan(20)
      } while (cursor !== undefined)
      expect(new Set(seen).size).toBe(seen.length)
      expect(seen.filter((id) => there.some((task) => task.id === id))).toEqual(idsOf([...there].reverse()))
    }))

  test("pages within a filter, and says at the last page that it is the last", (repository) =>
    Effect.gen(function*() {
      const tasks = Array.from({ length: 12 }, (_, index) => aTask({ name: index % 2 === 0 ? "even" : "odd" }))
      yield* repository.insert(tasks, undefined)
      const one = yield* repository.list({ name: "odd" }, { limit: 3 })
      expect(one.cursor).toBeDefined()
      const two = yield* repository.list({ name: "odd" }, { limit: 3, cursor: one.cursor })
      expect(two.cursor).toBeUndefined()
      expect([...one.items, ...two.items]).toEqual(tasks.filter(({ name }) => name === "odd").reverse())
      expect((yield* repository.list({ name: "none" }, { limit: 3 })).cursor).toBeUndefined()
      expect((yield* repository.list({}, { limit: 12 })).cursor).toBeUndefined()
    }))

  for (const cursor of ["", "garbage", "0", "'; DROP TABLE tasks; --", "\u0000", "x".repeat(10_000)]) {
    test(`refuses the cursor ${JSON.stringify(cursor.slice(0, 30))}`, (repository) =>
      Effect.gen(function*() {
        const refused = yield* Effect.either(repository.list({}, { limit: 10, cursor }))
        expect(refused).toMatchObject({ _tag: "Left", left: { _tag: "InvalidInput", reason: "CursorInvalid" } })
        expect(refused._tag === "Left" ? refused.left.message.length : Infinity).toBeLessThan(300)
      }))
  }

  test("what was deleted by nobody is always listed", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const ids: Array<TaskId> = []
      for (let round = 0; round < 30; round++) {
        const held = yield* insertedOne(repository, lease, aTask({ createdAt: t0 + ((round * 7) % 30) }))
        ids.push(held.id)
        expect(new Set(idsOf(yield* allTasks(repository)))).toEqual(new Set(ids))
      }
    }))
}

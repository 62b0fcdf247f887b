import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type { Task } from "../../../src/domain/Task.ts"
import { aTarget, aTask, t0 } from "../../support/builders.ts"
import { claimAll, idsOf, insertedOne, mustGet, startOne } from "./harness.ts"
import type { Suite } from "./harness.ts"

export const claimingContract = ({ end, open, test }: Suite): void => {
  test("takes what is due by claimableAt and then by id", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [a, b, c, d] = [aTask({ dueAt: t0 - 1 }), aTask(), aTask(), aTask({ dueAt: t0 - 2 })]
      yield* repository.insert([c, a, b, d], undefined)
      const claimed = yield* claimAll(repository, lease)
      expect(idsOf(claimed)).toEqual([d.id, a.id, b.id, c.id])
      for (const task of claimed.tasks) {
        expect(task.owner).toBe(lease.instanceId)
        expect(task.token).toBeGreaterThan(0)
      }
    }))

  test("goes by claimableAt, not by dueAt", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const held = aTask({ claimableAt: t0 + 5_000 })
      const free = aTask({ dueAt: t0 + 1_000 })
      yield* repository.insert([held, free], undefined)
      expect(idsOf(yield* claimAll(repository, lease, t0 + 1_000))).toEqual([free.id])
      expect(idsOf(yield* claimAll(repository, lease, t0 + 5_000))).toEqual([held.id])
    }))

  test("takes exactly up to the limit, the earliest first, and tells when the next is", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const tasks = Array.from({ length: 10 }, (_, index) => aTask({ dueAt: t0 + index }))
      yield* repository.insert(tasks, undefined)
      const claimed = yield* repository.claimDue({ lease, now: t0 + 60, ahead: 0, limit: 7, excludeFunctions: [] })
      expect(idsOf(claimed)).toEqual(idsOf(tasks.slice(0, 7)))
      expect(claimed.nextAt).toBe(t0 + 7)
    }))

  test("never comes early, not by a millisecond; ahead reaches into the future", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const task = aTask({ dueAt: t0 + 1_000 })
      yield* repository.insert([task], undefined)
      const early = yield* claimAll(repository, lease, t0 + 999)
      expect(early).toEqual({ tasks: [], nextAt: t0 + 1_000 })
      const short = yield* repository.claimDue({ lease, now: t0, ahead: 999, limit: 10, excludeFunctions: [] })
      expect(short.tasks).toEqual([])
      const enough = yield* repository.claimDue({ lease, now: t0, ahead: 1_000, limit: 10, excludeFunctions: [] })
      expect(idsOf(enough)).toEqual([task.id])
      expect(enough.nextAt).toBeUndefined()
    }))

  test("leaves the functions alone that are excluded", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [busy, calm] = [aTask({ function: aTarget("busy") }), aTask({ function: aTarget("calm") })]
      const proto = aTask({ function: aTarget("constructor") })
      yield* repository.insert([busy, calm, proto], undefined)
      const request = { lease, now: t0, ahead: 0, limit: 10 }
      expect(idsOf(yield* repository.claimDue({ ...request, excludeFunctions: ["busy", "other"] })))
        .toEqual([calm.id, proto.id])
      expect(idsOf(yield* repository.claimDue({ ...request, excludeFunctions: [] }))).toEqual([busy.id])
    }))

  test("excluded functions do not use up the limit", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const busy = Array.from({ length: 20 }, () => aTask({ function: aTarget("busy"), dueAt: t0 - 1 }))
      const calm = aTask({ function: aTarget("calm") })
      yield* repository.insert([...busy, calm], undefined)
      const claimed = yield* repository.claimDue({ lease, now: t0, ahead: 0, limit: 5, excludeFunctions: ["busy"] })
      expect(idsOf(claimed)).toEqual([calm.id])
    }))

  test("with some excluded, gives each of the others its share, the highest priorities first", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const some = (name: string, count: number, priority = 0) =>
        Array.from(
          { length: count },
          (_, index) => aTask({ function: aTarget(name), dueAt: t0 - 100 + index, priority })
        )
      const [flood, calm, urgent] = [some("flood", 50), some("calm", 3), some("calm", 5, 7)]
      const later = aTask({ function: aTarget("later"), dueAt: t0 + 1 })
      yield* repository.insert([...some("busy", 50), ...flood, ...calm, ...urgent, later], undefined)
      const claim = (limit: number) =>
        Effect.map(
          repository.claimDue({ lease, now: t0, ahead: 0, limit, excludeFunctions: ["busy"] }),
          (claimed) => new Set(idsOf(claimed))
        )
      expect(yield* claim(1)).toEqual(new Set(idsOf(urgent.slice(0, 1))))
      const shares = [...urgent.slice(1, 3), ...calm.slice(0, 2), ...flood.slice(0, 2)]
      expect(yield* claim(8)).toEqual(new Set(idsOf(shares)))
    }))

  test("has what is due of a function wait, in its order, and brings it back", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const busy = Array.from({ length: 4 }, (_, index) => aTask({ function: aTarget("busy"), dueAt: t0 - index }))
      const [third, second, first] = busy as [Task, Task, Task]
      const other = aTask({ function: aTarget("other") })
      const later = aTask({ function: aTarget("busy"), dueAt: t0 + 1 })
      yield* repository.insert([...busy, other, later], undefined)
      const held = yield* claimAll(repository, lease, t0 - 3)
      expect(held.tasks).toHaveLength(1)
      const defer = { functionName: "busy", now: t0, from: t0 + 1_000, step: 10 }
      expect(yield* repository.defer({ ...defer, limit: 2 })).toBe(2)
      expect(yield* repository.defer({ ...defer, from: t0 + 1_020, limit: 9 })).toBe(1)
      expect(yield* repository.defer({ ...defer, limit: 9 })).toBe(0)
      for (const [index, task] of [first, second, third].entries()) {
        const now = yield* mustGet(repository, task.id)
        expect(now).toMatchObject({ dueAt: task.dueAt, claimableAt: t0 + 1_000 + 10 * index, token: task.token })
      }
      expect(idsOf(yield* claimAll(repository, lease, t0))).toEqual([other.id])
      const recall = { functionName: "busy", now: t0 + 2, limit: 2 }
      expect(yield* repository.recall(recall)).toBe(2)
      expect(idsOf(yield* claimAll(repository, lease, t0 + 2))).toEqual([later.id, first.id, second.id])
      expect(yield* repository.recall(recall)).toBe(1)
      expect(yield* repository.recall(recall)).toBe(0)
    }))

  test("gives no Task twice, not to its owner either", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const task = aTask()
      yield* repository.insert([task], undefined)
      expect(idsOf(yield* claimAll(repository, lease))).toEqual([task.id])
      expect(yield* claimAll(repository, lease, t0 + 60_000)).toEqual({ tasks: [], nextAt: undefined })
      expect(yield* claimAll(repository, other, t0 + 60_000)).toEqual({ tasks: [], nextAt: undefined })
    }))

  test("shares out what is due among concurrent callers: all of it, each Task once", (repository) =>
    Effect.gen(function*() {
      const tasks = Array.from({ length: 200 }, (_, index) => aTask({ dueAt: t0 - index }))
      yield* repository.insert(tasks, undefined)
      const leases = yield* Effect.all(Array.from({ length: 8 }, () => open(repository)))
      const takeAll = (lease: typeof leases[number]) =>
        Effect.iterate({ got: [] as Array<string>, more: true }, {
          while: (state) => state.more,
          body: (state) =>
            Effect.map(
              repository.claimDue({ lease, now: t0, ahead: 0, limit: 7, excludeFunctions: [] }),
              ({ tasks }) => ({ got: [...state.got, ...idsOf(tasks)], more: tasks.length > 0 })
            )
        })
      const taken = yield* Effect.forEach(leases, takeAll, { concurrency: "unbounded" })
      const ids = taken.flatMap(({ got }) => got)
      expect(ids).toHaveLength(tasks.length)
      expect(new Set(ids)).toEqual(new Set(idsOf(tasks)))
    }))

  test("a lease that has ended takes nothing that could start", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const task = aTask()
      yield* repository.insert([task], undefined)
      yield* end(repository, lease)
      const claimed = yield* Effect.either(claimAll(repository, lease))
      if (claimed._tag === "Left") expect(claimed.left.reason).toBe("LeaseLost")
      else expect(claimed.right.tasks).toEqual([])
      const other = yield* open(repository)
      expect(idsOf(yield* claimAll(repository, other))).toEqual([task.id])
    }))

  test("release frees it under a new token, claimable again at the given instant", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask())
      yield* repository.release(lease, [held], t0 + 3_000)
      const freed = yield* mustGet(repository, held.id)
      expect(freed).toMatchObject({ status: "Scheduled", owner: undefined, claimableAt: t0 + 3_000, dueAt: t0 })
      expect(freed.token).toBeGreaterThan(held.token)
      expect((yield* startOne(repository, lease, held))._tag).toBe("Fenced")
      expect(yield* claimAll(repository, other, t0 + 2_999)).toEqual({ tasks: [], nextAt: t0 + 3_000 })
      expect(idsOf(yield* claimAll(repository, other, t0 + 3_000))).toEqual([held.id])
    }))

  test("release never makes a Task claimable before it is due", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask({ dueAt: t0 + 10_000 }))
      yield* repository.release(lease, [held], t0)
      expect((yield* mustGet(repository, held.id)).claimableAt).toBe(t0 + 10_000)
    }))

  test("release passes over what is not the caller's, what has started and what is not there", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const theirs = yield* insertedOne(repository, other, aTask())
      const stale = yield* insertedOne(repository, lease, aTask())
      const running = yield* insertedOne(repository, lease, aTask())
      expect((yield* startOne(repository, lease, running))._tag).toBe("Started")
      const mine = yield* insertedOne(repository, lease, aTask())
      const before = yield* Effect.all([theirs, stale, running].map(({ id }) => mustGet(repository, id)))
      yield* repository.release(
        lease,
        [theirs, { id: stale.id, token: stale.token - 1 }, running, aTask(), mine],
        t0
      )
      expect(yield* Effect.all([theirs, stale, running].map(({ id }) => mustGet(repository, id)))).toEqual(before)
      expect((yield* mustGet(repository, mine.id)).owner).toBeUndefined()
    }))
}

import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type { ClaimedTask, ClaimRequest, Lease } from "../../../src/ports/TaskRepository.ts"
import { aSchedule, aTarget, aTask, occurrenceOf, retrying, succeeded, t0 } from "../../support/builders.ts"
import { changesUpTo, idsOf, insertedOne, mustGet, started } from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

const claim = (repository: Repository, lease: Lease, start: number, more: Partial<ClaimRequest> = {}) =>
  repository.claimDue({ lease, now: t0, ahead: 0, limit: 100, excludeFunctions: [], start, ...more })

/** What a claim gave: the start of each id, and how far it has come. */
const statusOf = (tasks: ReadonlyArray<{ readonly id: string; readonly status: string }>) =>
  tasks.map(({ id, status }) => [id, status])

export const startingClaimsContract = ({ end, open, test }: Suite): void => {
  test("starts the earliest of what is due, as many as it may, and claims the rest", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const tasks = Array.from({ length: 6 }, (_, index) => aTask({ dueAt: t0 - 100 + index }))
      yield* repository.insert(tasks.slice().reverse(), undefined)
      const { nextAt, tasks: claimed } = yield* claim(repository, lease, 2, { limit: 5 })
      expect(statusOf(claimed)).toEqual(
        tasks.slice(0, 5).map(({ id }, index) => [id, index < 2 ? "Running" : "Scheduled"])
      )
      expect(nextAt).toBe(t0 - 95)
      for (const [index, task] of claimed.entries()) {
        const attempts = index < 2 ? [{ number: 1, startedAt: t0, ended: undefined }] : []
        expect(task).toEqual({ ...tasks[index], status: task.status, owner: lease.instanceId, token: 1, attempts })
        expect(yield* mustGet(repository, task.id)).toEqual(task)
      }
    }))

  test("starts nothing unless told to", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      yield* repository.insert([aTask(), aTask()], undefined)
      const none = yield* repository.claimDue({ lease, now: t0, ahead: 0, limit: 1, excludeFunctions: [] })
      const zero = yield* claim(repository, lease, 0)
      expect([...none.tasks, ...zero.tasks].map(({ status }) => status)).toEqual(["Scheduled", "Scheduled"])
    }))

  test("claims ahead what is not due yet, and does not start it", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [due, soon] = [aTask(), aTask({ dueAt: t0 + 1 })]
      yield* repository.insert([soon, due], undefined)
      const { tasks } = yield* claim(repository, lease, 100, { ahead: 1_000 })
      expect(statusOf(tasks)).toEqual([[due.id, "Running"], [soon.id, "Scheduled"]])
    }))

  test("neither occurrences nor retries are started by the claim, nor do they take a place", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const occurrence = occurrenceOf(schedule)
      yield* repository.insertSchedule(schedule, occurrence, undefined)
      const first = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask({ dueAt: t0 - 1 })))
      yield* repository.settle(lease, [retrying(first.task, t0)])
      const fresh = [aTask(), aTask(), aTask()]
      yield* repository.insert(fresh, undefined)
      const { tasks } = yield* claim(repository, lease, 2)
      const running = tasks.filter(({ status }) => status === "Running")
      expect(idsOf(running)).toEqual(idsOf(fresh.slice(0, 2)))
      expect(new Set(idsOf(tasks))).toEqual(new Set(idsOf([first.task, occurrence, ...fresh])))
      const retry = tasks.find(({ id }) => id === first.task.id)
      expect(retry?.attempts).toHaveLength(1)
    }))

  test("what was given back before its start may be started by the next claim", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask())
      yield* repository.release(lease, [held], t0)
      const { tasks: [task] } = yield* claim(repository, other, 1)
      expect(task).toMatchObject({ id: held.id, status: "Running", owner: other.instanceId, token: 3 })
    }))

  test("leaves excluded functions alone", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [busy, calm] = [aTask({ function: aTarget("busy") }), aTask({ function: aTarget("calm") })]
      yield* repository.insert([busy, calm], undefined)
      const { tasks } = yield* claim(repository, lease, 5, { excludeFunctions: ["busy"] })
      expect(statusOf(tasks)).toEqual([[calm.id, "Running"]])
      expect((yield* mustGet(repository, busy.id)).attempts).toEqual([])
    }))

  test("starts none of a function for which something has to be asked first", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [capped, calm] = [aTask({ function: aTarget("capped") }), aTask({ function: aTarget("calm") })]
      yield* repository.insert([capped, calm], undefined)
      const { tasks } = yield* claim(repository, lease, 1, { unstartable: ["capped", "another"] })
      expect(statusOf(tasks)).toEqual([[capped.id, "Scheduled"], [calm.id, "Running"]])
    }))

  test("tells of what it has started, and of nothing that it has only claimed", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      yield* repository.insert([aTask(), aTask(), aTask()], undefined)
      const { last } = yield* repository.changes("latest")
      const { tasks } = yield* claim(repository, lease, 2)
      const now = yield* repository.changes("latest")
      const { changes } = yield* changesUpTo(repository, last, now.last)
      expect(changes.map(({ kind, task }) => [kind, task])).toEqual(tasks.slice(0, 2).map((task) => ["started", task]))
    }))

  test("what it has started is settled as any other, and no start mark is accepted for it", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      yield* repository.insert([aTask(), aTask()], undefined)
      const { tasks: [held, alone] } = yield* claim(repository, lease, 2)
      if (held?.status !== "Running" || alone?.status !== "Running") return expect.fail("both are started")
      const marks = [held, alone].map(({ id, token }) => ({ id, token, successor: undefined }))
      expect(yield* repository.start(lease, marks, t0)).toEqual([{ _tag: "Fenced" }, { _tag: "Fenced" }])
      const settled = yield* repository.settle(lease, [{ ...succeeded(held), running: held }, succeeded(alone)])
      expect(settled.map(({ _tag }) => _tag)).toEqual(["Accepted", "Accepted"])
      for (const { id } of [held, alone]) expect((yield* mustGet(repository, id)).attempts).toHaveLength(1)
    }))

  test("a lease that has ended starts nothing", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const task = aTask()
      yield* repository.insert([task], undefined)
      yield* end(repository, lease)
      yield* Effect.ignore(claim(repository, lease, 1))
      expect(yield* mustGet(repository, task.id)).toEqual(task)
    }))

  test("shares out what is due among concurrent callers: each is started once, and none by two", (repository) =>
    Effect.gen(function*() {
      const tasks = Array.from({ length: 120 }, () => aTask())
      yield* repository.insert(tasks, undefined)
      const leases = yield* Effect.all(Array.from({ length: 6 }, () => open(repository)))
      const taken = yield* Effect.forEach(
        leases.flatMap((lease) => Array.from({ length: 6 }, () => lease)),
        (lease) => claim(repository, lease, 3, { limit: 5 }),
        { concurrency: "unbounded" }
      )
      const rest = yield* claim(repository, leases[0] as Lease, 0)
      const all = [...taken, rest].flatMap(({ tasks }) => tasks)
      expect(all).toHaveLength(120)
      expect(new Set(idsOf(all)).size).toBe(120)
      for (const { tasks } of taken) {
        expect(tasks.filter(({ status }) => status === "Running")).toHaveLength(Math.min(3, tasks.length))
      }
    }))

  test("a payload that the claim leaves out comes whole with the start mark", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const payloads = [4_094, 4_095, 100_000].map((length) => JSON.stringify("é".repeat(length >> 1)))
      const tasks = payloads.map((payload) => aTask({ payload }))
      yield* repository.insert([...tasks, ...payloads.map((payload) => aTask({ payload, dueAt: t0 + 1 }))], undefined)
      const begun = yield* claim(repository, lease, 3)
      expect(begun.tasks.map(({ payload }) => payload)).toEqual(payloads)
      const { tasks: claimed } = yield* claim(repository, lease, 0, { ahead: 1 })
      expect(claimed.map(({ payload }, index) => payload ?? payloads[index])).toEqual(payloads)
      const marks = claimed.map((task) => ({
        id: task.id,
        token: task.token,
        successor: undefined,
        claimed: task as ClaimedTask
      }))
      for (const [index, verdict] of (yield* repository.start(lease, marks, t0 + 1)).entries()) {
        if (verdict._tag !== "Started") return expect.fail("expected Started")
        expect(verdict.task.payload === payloads[index]).toBe(true)
        expect(yield* mustGet(repository, verdict.task.id)).toEqual(verdict.task)
      }
    }))
}

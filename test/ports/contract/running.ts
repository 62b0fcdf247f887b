import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { aTask, aTaskId, failed, retrying, succeeded, t0 } from "../../support/builders.ts"
import { claimAll, idsOf, inserted, insertedOne, mustGet, started, startOne } from "./harness.ts"
import type { Suite } from "./harness.ts"

export const runningContract = ({ end, open, test }: Suite): void => {
  test("a start mark begins attempt 1 under the token of the claim", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask({ payload: `{"a":1}` }))
      const { next, task } = yield* started(repository, lease, held, { now: t0 + 3 })
      expect(next).toBeUndefined()
      expect(task).toMatchObject({
        status: "Running",
        owner: lease.instanceId,
        payload: `{"a":1}`,
        attempts: [{ number: 1, startedAt: t0 + 3, ended: undefined }]
      })
      expect(yield* mustGet(repository, held.id)).toEqual(task)
    }))

  test("gives one verdict per mark, in order", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [a, b] = yield* inserted(repository, lease, [aTask(), aTask()])
      if (a === undefined || b === undefined) return expect.fail("two were inserted")
      const mark = (task: { readonly id: typeof a.id; readonly token: number }) => ({
        id: task.id,
        token: task.token,
        successor: undefined
      })
      const verdicts = yield* repository.start(
        lease,
        [mark(b), mark({ id: aTaskId(), token: 1 }), mark(a), mark(b)],
        t0
      )
      expect(verdicts.map((verdict) => "task" in verdict ? verdict.task.id : verdict._tag))
        .toEqual([b.id, "Fenced", a.id, "Fenced"])
      expect((yield* mustGet(repository, b.id)).attempts).toHaveLength(1)
    }))

  test("refuses a start mark without the claim, of another owner, and with another token", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const free = aTask()
      yield* repository.insert([free], undefined)
      expect((yield* startOne(repository, lease, free))._tag).toBe("Fenced")
      const held = yield* insertedOne(repository, lease, aTask())
      expect((yield* startOne(repository, other, held))._tag).toBe("Fenced")
      for (const token of [held.token - 1, held.token + 1, 0, -1]) {
        expect((yield* startOne(repository, lease, { id: held.id, token }))._tag).toBe("Fenced")
      }
      expect(yield* mustGet(repository, held.id)).toEqual(held)
      expect(yield* mustGet(repository, free.id)).toEqual(free)
    }))

  test("refuses a start mark once the lease has ended", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask())
      yield* end(repository, lease)
      expect((yield* startOne(repository, lease, held))._tag).toBe("Fenced")
      expect((yield* mustGet(repository, held.id)).attempts).toEqual([])
    }))

  test("a success ends the Task with its result", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const [verdict] = yield* repository.settle(lease, [{
        ...succeeded(task, t0 + 20),
        to: { _tag: "Succeeded", result: { text: "AAEC/w==", encoding: "base64" } }
      }])
      expect(verdict).toMatchObject({
        _tag: "Accepted",
        next: undefined,
        task: {
          status: "Succeeded",
          owner: undefined,
          finishedAt: t0 + 20,
          result: { text: "AAEC/w==", encoding: "base64" },
          attempts: [{ number: 1, startedAt: t0, ended: { at: t0 + 20, outcome: "succeeded" } }]
        }
      })
      expect(yield* mustGet(repository, task.id)).toEqual(verdict?._tag === "Accepted" ? verdict.task : undefined)
    }))

  test("accepts one outcome; a second one is fenced and changes nothing", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const verdicts = yield* repository.settle(lease, [succeeded(task, t0 + 1), failed(task, t0 + 2)])
      expect(verdicts.map((verdict) => verdict._tag)).toEqual(["Accepted", "Fenced"])
      const [again] = yield* repository.settle(lease, [failed(task, t0 + 3)])
      expect(again).toEqual({ _tag: "Fenced" })
      expect(yield* mustGet(repository, task.id)).toMatchObject({ status: "Succeeded", finishedAt: t0 + 1 })
    }))

  test("accepts one outcome of many that come at once", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const verdicts = yield* Effect.all(
        Array.from({ length: 20 }, (_, index) => repository.settle(lease, [succeeded(task, t0 + index)])),
        { concurrency: "unbounded" }
      )
      expect(verdicts.flat().filter((verdict) => verdict._tag === "Accepted")).toHaveLength(1)
      expect((yield* mustGet(repository, task.id)).attempts).toHaveLength(1)
    }))

  test("refuses the outcome of another owner, of another token, and of what never started", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const waiting = yield* insertedOne(repository, lease, aTask())
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const [foreign] = yield* repository.settle(other, [succeeded(task)])
      expect(foreign).toEqual({ _tag: "Fenced" })
      const mine = yield* repository.settle(lease, [
        succeeded({ id: task.id, token: task.token - 1 }),
        succeeded({ id: task.id, token: task.token + 1 }),
        succeeded(waiting),
        succeeded({ id: aTaskId(), token: 0 })
      ])
      expect(mine.map((verdict) => verdict._tag)).toEqual(["Fenced", "Fenced", "Fenced", "Fenced"])
      expect(yield* mustGet(repository, task.id)).toEqual(task)
      expect(yield* mustGet(repository, waiting.id)).toEqual(waiting)
    }))

  test("a retry gives the Task back: due later, under a new token, for anyone to claim", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const [verdict] = yield* repository.settle(lease, [retrying(task, t0 + 4_000, { at: t0 + 1_000 })])
      expect(verdict).toMatchObject({
        _tag: "Accepted",
        task: { status: "Scheduled", owner: undefined, nominalAt: t0, dueAt: t0 + 4_000, claimableAt: t0 + 4_000 }
      })
      expect((yield* startOne(repository, lease, task))._tag).toBe("Fenced")
      expect(yield* claimAll(repository, other, t0 + 3_999)).toEqual({ tasks: [], nextAt: t0 + 4_000 })
      const [again] = (yield* claimAll(repository, other, t0 + 4_000)).tasks
      expect(again?.token).toBeGreaterThan(task.token)
      const second = yield* started(repository, other, again ?? task, { now: t0 + 4_001 })
      expect(second.task.attempts).toMatchObject([
        { number: 1, startedAt: t0, ended: { at: t0 + 1_000, outcome: "failed" } },
        { number: 2, startedAt: t0 + 4_001, ended: undefined }
      ])
    }))

  test("a retry that is kept stays its owner's: nobody claims it, and it starts without a claim", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const [verdict] = yield* repository.settle(lease, [retrying(task, t0 + 10, { keep: true })])
      if (verdict?._tag !== "Accepted") return expect.fail("expected Accepted")
      expect(verdict.task).toMatchObject({ status: "Scheduled", owner: lease.instanceId, dueAt: t0 + 10 })
      expect(verdict.task.token).toBeGreaterThan(task.token)
      expect(yield* claimAll(repository, other, t0 + 60_000)).toEqual({ tasks: [], nextAt: undefined })
      const second = yield* started(repository, lease, verdict.task, { now: t0 + 10 })
      expect(second.task.attempts.map(({ number }) => number)).toEqual([1, 2])
    }))

  test("numbers attempts 1, 2, 3, ... and keeps each end as it was", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      let held: { readonly id: ReturnType<typeof aTaskId>; readonly token: number } = yield* insertedOne(
        repository,
        lease,
        aTask()
      )
      for (let number = 1; number <= 12; number++) {
        const { task } = yield* started(repository, lease, held, { now: t0 + number * 10 })
        expect(task.attempts.at(-1)).toEqual({ number, startedAt: t0 + number * 10, ended: undefined })
        const [verdict] = yield* repository.settle(lease, [
          retrying(task, t0 + number * 10 + 10, { at: t0 + number * 10 + 5, keep: number % 2 === 0 })
        ])
        if (verdict?._tag !== "Accepted") return expect.fail("expected Accepted")
        const [claimed] = (yield* claimAll(repository, lease, t0 + number * 10 + 10)).tasks
        held = claimed ?? verdict.task
      }
      expect((yield* mustGet(repository, held.id)).attempts.map(({ ended, number }) => [number, ended?.at])).toEqual(
        Array.from({ length: 12 }, (_, index) => [index + 1, t0 + (index + 1) * 10 + 5])
      )
    }))

  test("history does not run backwards when a clock steps back", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const first = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()), { now: t0 + 100 })
      const [verdict] = yield* repository.settle(lease, [retrying(first.task, t0, { at: t0 - 5_000, keep: true })])
      if (verdict?._tag !== "Accepted") return expect.fail("expected Accepted")
      const second = yield* started(repository, lease, verdict.task, { now: t0 - 4_000 })
      yield* repository.settle(lease, [succeeded(second.task, t0 - 3_000)])
      const found = yield* mustGet(repository, first.task.id)
      const instants = [
        ...found.attempts.flatMap(({ ended, startedAt }) => [startedAt, ended?.at ?? Number.NaN]),
        found.status === "Succeeded" ? found.finishedAt : Number.NaN
      ]
      expect(instants).toHaveLength(5)
      expect(instants).toEqual([...instants].sort((left, right) => left - right))
      expect(instants.every((instant) => instant >= t0 + 100)).toBe(true)
    }))

  test("an outcome from before a lost claim is refused, and the new owner's counts", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* end(repository, lease)
      const other = yield* open(repository)
      const { orphans } = yield* repository.reap(other, 100)
      expect(idsOf(orphans)).toEqual([task.id])
      const [late] = yield* repository.settle(lease, [succeeded(task, t0 + 10)])
      expect(late).toEqual({ _tag: "Fenced" })
      const [orphan] = orphans
      const [verdict] = yield* repository.settle(other, [failed(orphan ?? task, t0 + 20)])
      expect(verdict?._tag).toBe("Accepted")
      expect((yield* mustGet(repository, task.id)).status).toBe("Failed")
    }))

  test("an outcome is accepted from an owner whose lease has ended, as long as nobody took over", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* end(repository, lease)
      const [verdict] = yield* repository.settle(lease, [succeeded(task, t0 + 10)])
      expect(verdict?._tag).toBe("Accepted")
    }))
}

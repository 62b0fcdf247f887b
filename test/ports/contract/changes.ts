import { expect } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { aSchedule, aTask, failed, occurrenceOf, retrying, succeeded, successorOf, t0 } from "../../support/builders.ts"
import { changesUpTo, insertedOne, insertedSchedule, mustGet, started, startOne } from "./harness.ts"
import type { Suite } from "./harness.ts"

const giveWay = Effect.repeatN(Effect.yieldNow(), 20)

export const changesContract = ({ harness, open, test }: Suite): void => {
  test("tells what happened to a Task, in order, each with the Task right after it", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask())
      const first = yield* started(repository, lease, held)
      const [retry] = yield* repository.settle(lease, [retrying(first.task, t0 + 5, { keep: true })])
      if (retry?._tag !== "Accepted") return expect.fail("expected Accepted")
      const second = yield* started(repository, lease, retry.task)
      const [end] = yield* repository.settle(lease, [succeeded(second.task)])
      if (end?._tag !== "Accepted") return expect.fail("expected Accepted")
      const { changes, last, truncated } = yield* repository.changes(0)
      expect(changes.map(({ kind, task }) => [kind, task])).toEqual([
        ["scheduled", held],
        ["started", first.task],
        ["retrying", retry.task],
        ["started", second.task],
        ["succeeded", end.task]
      ])
      expect(last).toBe(changes.at(-1)?.sequence)
      expect(truncated).toBe(false)
    }))

  test("tells of failures, cancellations, skips and successors", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      const skipped = yield* startOne(repository, lease, first.next ?? held, {
        successor: successorOf(schedule, t0 + 10_000)
      })
      if (skipped._tag !== "Skipped") return expect.fail("expected Skipped")
      yield* repository.settle(lease, [failed(first.task)])
      yield* repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0)
      const { changes } = yield* repository.changes(0)
      const kindsOf = (id: typeof held.id) => changes.filter(({ task }) => task.id === id).map(({ kind }) => kind)
      expect(kindsOf(held.id)).toEqual(["scheduled", "started", "failed"])
      expect(kindsOf(skipped.task.id)).toEqual(["scheduled", "skipped"])
      expect(kindsOf(skipped.next?.id ?? held.id)).toEqual(["scheduled", "cancelled"])
      expect(changes).toHaveLength(7)
    }))

  test("numbers without gaps, whoever writes at once", (repository) =>
    Effect.gen(function*() {
      yield* Effect.forEach(
        Array.from({ length: 40 }, () => [aTask(), aTask()]),
        (tasks) => repository.insert(tasks, undefined),
        { concurrency: "unbounded" }
      )
      const { changes, truncated } = yield* changesUpTo(repository, 0, (yield* repository.changes("latest")).last)
      expect(changes).toHaveLength(80)
      expect(truncated).toBe(false)
      const [first] = changes
      expect(changes.map(({ sequence }) => sequence)).toEqual(changes.map((_, index) => (first?.sequence ?? 0) + index))
      expect(new Set(changes.map(({ task }) => task.id)).size).toBe(80)
    }))

  test("writes that change nothing make no change", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* repository.settle(lease, [succeeded(task)])
      const { last } = yield* repository.changes("latest")
      yield* repository.settle(lease, [failed(task)])
      yield* startOne(repository, lease, task)
      yield* repository.cancel(lease, { _tag: "Task", id: task.id, successor: undefined }, t0)
      yield* repository.insert([aTask({ id: task.id })], undefined)
      expect((yield* repository.changes("latest")).last).toBe(last)
    }))

  test("goes on after a sequence number, and after the latest", (repository) =>
    Effect.gen(function*() {
      const [a, b, c] = [aTask(), aTask(), aTask()]
      yield* repository.insert([a], undefined)
      const first = yield* repository.changes(0)
      const latest = yield* repository.changes("latest")
      expect(latest).toEqual({ changes: [], last: first.last, truncated: false })
      yield* repository.insert([b], undefined)
      yield* repository.insert([c], undefined)
      const { changes, last } = yield* changesUpTo(repository, first.last, first.last + 2)
        .pipe(Effect.map(({ changes }) => ({ changes, last: changes.at(-1)?.sequence })))
      expect(changes.map(({ task }) => task.id)).toEqual([b.id, c.id])
      expect(last).toBe(first.last + 2)
    }))

  test("waits while there is nothing, and answers all that wait as soon as there is something", (repository) =>
    Effect.gen(function*() {
      yield* repository.insert([aTask()], undefined)
      const { last } = yield* repository.changes("latest")
      const waiting = yield* Effect.fork(
        Effect.all(Array.from({ length: 3 }, () => repository.changes(last)), { concurrency: "unbounded" })
      )
      yield* giveWay
      expect(Option.isNone(yield* Fiber.poll(waiting))).toBe(true)
      const task = aTask()
      yield* repository.insert([task], undefined)
      for (const read of yield* Fiber.join(waiting)) {
        expect(read).toEqual({
          changes: [{ sequence: last + 1, kind: "scheduled", task: yield* mustGet(repository, task.id) }],
          last: last + 1,
          truncated: false
        })
      }
    }))

  test("a reader that gives up waiting harms nobody", (repository) =>
    Effect.gen(function*() {
      const { last } = yield* repository.changes("latest")
      const one = yield* Effect.fork(repository.changes(last))
      const other = yield* Effect.fork(repository.changes(last))
      yield* giveWay
      yield* Fiber.interrupt(one)
      yield* repository.insert([aTask()], undefined)
      expect((yield* Fiber.join(other)).changes).toHaveLength(1)
    }))

  const kept = harness.changesKept
  if (kept !== undefined) {
    test(`keeps the last ${kept} changes and tells a reader that lags further behind`, (repository) =>
      Effect.gen(function*() {
        let last = 0
        for (let round = 0; round < 200; round++) {
          yield* repository.insert(Array.from({ length: 1_000 }, () => aTask()), undefined)
          last = (yield* repository.changes("latest")).last
          if (last > kept && (yield* repository.changes(1)).truncated) break
        }
        expect(last).toBeGreaterThan(kept)
        const recent = yield* changesUpTo(repository, last - kept, last)
        expect(recent.truncated).toBe(false)
        expect(recent.changes.map(({ sequence }) => sequence))
          .toEqual(Array.from({ length: kept }, (_, index) => last - kept + 1 + index))
        const behind = yield* changesUpTo(repository, 1, last)
        expect(behind.truncated).toBe(true)
        expect(behind.changes.length).toBeGreaterThanOrEqual(kept)
        const oldest = behind.changes[0]?.sequence ?? 0
        expect(oldest).toBeGreaterThan(2)
        expect(behind.changes.map(({ sequence }) => sequence))
          .toEqual(behind.changes.map((_, index) => oldest + index))
        expect(behind.changes.at(-1)?.sequence).toBe(last)
      }))
  }
}

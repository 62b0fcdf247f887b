import { expect } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Lease } from "../../../src/ports/TaskRepository.ts"
import {
  allEnded,
  aSchedule,
  aTask,
  failed,
  occurrenceOf,
  retrying,
  succeeded,
  successorOf,
  t0
} from "../../support/builders.ts"
import { allTasks, idsOf, insertedOne, insertedSchedule, mustGetSchedule, started, startOne } from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

const everything = allEnded(t0 + 1_000_000)

/** Tasks that finished at these instants. */
const finishedAt = (repository: Repository, lease: Lease, instants: ReadonlyArray<number>) =>
  Effect.forEach(instants, (instant) =>
    Effect.gen(function*() {
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* repository.settle(lease, [succeeded(task, instant)])
      return task
    }))

export const pruningContract = ({ open, test }: Suite): void => {
  test("removes what finished longer ago than maxAge, to the millisecond", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [, edge, young] = yield* finishedAt(repository, lease, [t0, t0 + 1, t0 + 2])
      const removed = yield* repository.prune({ ...allEnded(t0 + 1_001), maxAge: 1_000, maxCount: 1_000 })
      expect(removed).toBe(1)
      expect(idsOf(yield* allTasks(repository))).toEqual([young?.id, edge?.id])
      expect(yield* repository.prune({ ...allEnded(t0 + 1_001), maxAge: 1_000, maxCount: 1_000 })).toBe(0)
    }))

  test("removes what is too many, the oldest first", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const tasks = yield* finishedAt(repository, lease, [t0, t0 + 1, t0 + 2, t0 + 3, t0 + 4])
      expect(yield* repository.prune({ ...allEnded(t0 + 10), maxAge: 1_000_000, maxCount: 3 })).toBe(2)
      expect(idsOf(yield* allTasks(repository))).toEqual(idsOf(tasks.slice(2).reverse()))
      for (const task of tasks.slice(0, 2)) expect(Option.isNone(yield* repository.get(task.id))).toBe(true)
    }))

  test("removes no more than its limit in one call, the oldest first", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const tasks = yield* finishedAt(repository, lease, Array.from({ length: 10 }, (_, index) => t0 + index))
      const request = { ...everything, limit: 4 }
      expect(yield* repository.prune(request)).toBe(4)
      expect(idsOf(yield* allTasks(repository))).toEqual(idsOf(tasks.slice(4).reverse()))
      expect(yield* repository.prune(request)).toBe(4)
      expect(yield* repository.prune(request)).toBe(2)
      expect(yield* repository.prune(request)).toBe(0)
    }))

  test("counts finished Tasks only, and never touches live ones or schedules, however old", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const ancient = { createdAt: 0, dueAt: 0 }
      const free = aTask(ancient)
      yield* repository.insert([free], undefined)
      const held = yield* insertedOne(repository, lease, aTask(ancient))
      const { task: running } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask(ancient)))
      const begun = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask(ancient)))
      yield* repository.settle(lease, [retrying(begun.task, 1)])
      const schedule = aSchedule({ createdAt: 0 })
      const first = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const [done] = yield* finishedAt(repository, lease, [t0])
      expect(yield* repository.prune({ ...allEnded(t0), maxAge: 1_000, maxCount: 1 })).toBe(0)
      expect(yield* repository.prune(everything)).toBe(1)
      expect(Option.isNone(yield* repository.get(done?.id ?? free.id))).toBe(true)
      expect(new Set(idsOf(yield* allTasks(repository))))
        .toEqual(new Set([free.id, held.id, running.id, begun.task.id, first.id]))
      yield* repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0)
      expect(yield* repository.prune(everything)).toBe(1)
      expect((yield* mustGetSchedule(repository, schedule.id)).status).toBe("Cancelled")
    }))

  test("removes all four kinds of finished Tasks", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule({ maxRuns: 1 })
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const extra = yield* insertedOne(repository, lease, {
        ...occurrenceOf(schedule, t0 + 10_000),
        origin: "manual:1"
      })
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      expect((yield* startOne(repository, lease, extra))._tag).toBe("Skipped")
      yield* repository.settle(lease, [failed(first.task)])
      yield* finishedAt(repository, lease, [t0])
      const gone = yield* insertedOne(repository, lease, aTask())
      yield* repository.cancel(lease, { _tag: "Task", id: gone.id, successor: undefined }, t0)
      const statuses = (yield* allTasks(repository)).map(({ status }) => status)
      expect(new Set(statuses)).toEqual(new Set(["Succeeded", "Failed", "Cancelled", "Skipped"]))
      expect(yield* repository.prune(everything)).toBe(4)
      expect(yield* allTasks(repository)).toEqual([])
    }))

  test("what is gone stays gone: no late writer brings it back", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [task] = yield* finishedAt(repository, lease, [t0])
      if (task === undefined) return expect.fail("one has finished")
      expect(yield* repository.prune(everything)).toBe(1)
      expect(yield* repository.settle(lease, [succeeded(task)])).toEqual([{ _tag: "Fenced" }])
      expect((yield* startOne(repository, lease, task))._tag).toBe("Fenced")
      yield* repository.release(lease, [task], t0)
      const target = { _tag: "Task" as const, id: task.id, successor: undefined }
      expect((yield* repository.cancel(lease, target, t0)).tasks).toEqual([])
      expect(Option.isNone(yield* repository.get(task.id))).toBe(true)
      expect(yield* allTasks(repository)).toEqual([])
    }))
}

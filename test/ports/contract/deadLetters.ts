import { expect } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { TaskId } from "../../../src/domain/Ids.ts"
import type { FailedTask, RedriveTask } from "../../../src/domain/Task.ts"
import * as TaskLifecycle from "../../../src/domain/TaskLifecycle.ts"
import type { Lease, RedriveVerdict, TaskFilter } from "../../../src/ports/TaskRepository.ts"
import {
  allEnded,
  aSchedule,
  aTarget,
  aTask,
  aTaskId,
  failed,
  occurrenceOf,
  retrying,
  succeeded,
  t0,
  toFailed
} from "../../support/builders.ts"
import {
  allTasks,
  changesUpTo,
  claimAll,
  idsOf,
  insertedOne,
  insertedSchedule,
  mustGet,
  mustGetSchedule,
  started
} from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

type Fields = Parameters<typeof aTask>[0]

/** A Task that has failed at an instant. */
const dead = Effect.fnUntraced(function*(
  repository: Repository,
  lease: Lease,
  fields: Fields = {},
  at: number = t0,
  reason: Parameters<typeof toFailed>[0] = "FunctionError"
) {
  const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask(fields)))
  yield* repository.settle(lease, [{ ...failed(task, at), to: toFailed(reason) }])
  return (yield* mustGet(repository, task.id)) as FailedTask
})

const redriveOf = (task: FailedTask, payload?: string, now: number = t0 + 1_000): RedriveTask =>
  TaskLifecycle.redrive(task, { id: aTaskId(now), payload, now })

const redriveOne = (repository: Repository, task: RedriveTask, lease?: Lease) =>
  Effect.map(
    repository.redrive([task], lease && { lease, until: Number.MAX_SAFE_INTEGER }),
    ([verdict]) => verdict ?? expect.fail("no verdict")
  )

const tagsOf = (verdicts: ReadonlyArray<RedriveVerdict>) => verdicts.map(({ _tag }) => _tag)

const purge = (repository: Repository, filter: TaskFilter = {}, limit = 1_000) =>
  repository.purge({ filter, now: t0 + 10_000, limit })

export const deadLettersContract = ({ open, test }: Suite): void => {
  test("redrives: a new Task that is free, and both know of each other", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letter = yield* dead(repository, lease, { name: "n", tags: { a: "b" }, payload: "[1]", priority: 7 })
      const task = redriveOf(letter)
      expect(yield* redriveOne(repository, task)).toEqual({ _tag: "Redriven", task })
      expect(yield* mustGet(repository, task.id)).toEqual(task)
      expect(yield* mustGet(repository, letter.id)).toEqual({ ...letter, redrivenAs: task.id })
      expect(task).toMatchObject({
        redriveOf: letter.id,
        name: "n",
        tags: { a: "b" },
        payload: "[1]",
        priority: 7,
        dueAt: t0 + 1_000,
        attempts: []
      })
      expect(idsOf(yield* claimAll(repository, lease, t0 + 1_000))).toEqual([task.id])
    }))

  test("claims what it has made for its writer, if it is due soon enough", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [one, two] = yield* Effect.replicateEffect(dead(repository, lease), 2)
      if (one === undefined || two === undefined) return expect.fail("there are two")
      const held = redriveOf(one)
      expect(yield* redriveOne(repository, held, lease)).toEqual({
        _tag: "Redriven",
        task: { ...held, owner: lease.instanceId, token: 1 }
      })
      const { task } = yield* started(repository, lease, { id: held.id, token: 1 })
      expect(task.attempts.map(({ number }) => number)).toEqual([1])
      const late = redriveOf(two)
      const claim = { lease, until: late.claimableAt - 1 }
      expect(yield* repository.redrive([late], claim)).toEqual([{ _tag: "Redriven", task: late }])
    }))

  test("once: whoever asks again gets what the first has made, as it is now, also after it has ended", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letter = yield* dead(repository, lease)
      const first = redriveOf(letter)
      yield* redriveOne(repository, first, lease)
      const again = redriveOf(letter, `"other"`)
      const held = yield* mustGet(repository, first.id)
      expect(yield* redriveOne(repository, again, lease)).toEqual({ _tag: "Present", task: held })
      // The same request, because the answer to it got lost.
      expect(yield* redriveOne(repository, first, lease)).toEqual({ _tag: "Present", task: held })
      const { task } = yield* started(repository, lease, held)
      yield* repository.settle(lease, [succeeded(task)])
      const ended = yield* mustGet(repository, first.id)
      expect(ended.status).toBe("Succeeded")
      expect(yield* redriveOne(repository, again, lease)).toEqual({ _tag: "Present", task: ended })
      expect(Option.isNone(yield* repository.get(again.id))).toBe(true)
      expect(yield* allTasks(repository)).toHaveLength(2)
    }))

  test("Gone, once retention has removed what the first has made", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letter = yield* dead(repository, lease)
      const first = redriveOf(letter)
      yield* redriveOne(repository, first, lease)
      const { task } = yield* started(repository, lease, { id: first.id, token: 1 })
      yield* repository.settle(lease, [succeeded(task)])
      expect(yield* repository.prune({ ...allEnded(t0 + 10_000), failedMaxAge: 100_000, failedMaxCount: 10 })).toBe(1)
      expect(yield* redriveOne(repository, redriveOf(letter))).toEqual({ _tag: "Gone", id: first.id })
      expect(idsOf(yield* allTasks(repository))).toEqual([letter.id])
    }))

  test("50 at once make one", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const letter = yield* dead(repository, lease)
      const verdicts = yield* Effect.forEach(
        Array.from({ length: 50 }),
        (_, index) => redriveOne(repository, redriveOf(letter), index % 2 === 0 ? lease : other),
        { concurrency: "unbounded" }
      )
      expect(tagsOf(verdicts).filter((tag) => tag === "Redriven")).toHaveLength(1)
      const made = new Set(
        verdicts.map((verdict) =>
          verdict._tag === "Redriven" || verdict._tag === "Present" ? verdict.task.id : verdict._tag
        )
      )
      expect(made).toEqual(new Set([((yield* mustGet(repository, letter.id)) as FailedTask).redrivenAs]))
      expect(yield* allTasks(repository)).toHaveLength(2)
    }))

  test("several in one call, in order: new, twice, not failed, not there", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [one, two] = yield* Effect.replicateEffect(dead(repository, lease), 2)
      if (one === undefined || two === undefined) return expect.fail("there are two")
      const first = redriveOf(two)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* repository.settle(lease, [succeeded(task)])
      const waiting = yield* insertedOne(repository, lease, aTask({ dueAt: t0 + 100_000 }))
      const lost = { ...one, id: aTaskId() }
      const verdicts = yield* repository.redrive(
        [
          first,
          redriveOf({ ...one, id: task.id }),
          redriveOf(lost),
          redriveOf(one),
          redriveOf(two),
          redriveOf({ ...one, id: waiting.id })
        ],
        undefined
      )
      expect(tagsOf(verdicts)).toEqual(["Redriven", "NotFailed", "NotFound", "Redriven", "Present", "NotFailed"])
      expect(verdicts[1]).toEqual({ _tag: "NotFailed", status: "Succeeded" })
      expect(verdicts[4]).toEqual({ _tag: "Present", task: first })
      expect(verdicts[5]).toEqual({ _tag: "NotFailed", status: "Scheduled" })
      expect(yield* repository.redrive([], undefined)).toEqual([])
      expect(yield* allTasks(repository)).toHaveLength(6)
    }))

  test("a redriven one that fails again is a dead letter of its own, and redriven as such", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letter = yield* dead(repository, lease)
      const second = redriveOf(letter, `{"n":2}`)
      yield* redriveOne(repository, second, lease)
      const { task } = yield* started(repository, lease, { id: second.id, token: 1 })
      yield* repository.settle(lease, [failed(task, t0 + 2_000)])
      const again = (yield* mustGet(repository, second.id)) as FailedTask
      expect(again).toMatchObject({ status: "Failed", redriveOf: letter.id, redrivenAs: undefined })
      const third = redriveOf(again)
      expect(yield* redriveOne(repository, third)).toEqual({ _tag: "Redriven", task: third })
      expect(third).toMatchObject({ redriveOf: second.id, payload: `{"n":2}` })
      expect(yield* mustGet(repository, letter.id)).toMatchObject({ redrivenAs: second.id })
    }))

  test("what repeats an occurrence is a one-shot: its schedule does not notice", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule({ maxRuns: 1 })
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const { task } = yield* started(repository, lease, held)
      yield* repository.settle(lease, [failed(task)])
      const before = yield* mustGetSchedule(repository, schedule.id)
      const again = redriveOf((yield* mustGet(repository, task.id)) as FailedTask)
      expect(again).toMatchObject({ name: schedule.name, scheduleId: undefined, origin: undefined })
      yield* redriveOne(repository, again, lease)
      const run = yield* started(repository, lease, { id: again.id, token: 1 })
      expect(run.next).toBeUndefined()
      expect(yield* repository.settle(lease, [succeeded(run.task)])).toMatchObject([{ next: undefined }])
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual(before)
    }))

  test("tells of the new Task as of any other", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letter = yield* dead(repository, lease)
      const { last } = yield* repository.changes("latest")
      const task = redriveOf(letter)
      yield* redriveOne(repository, task)
      yield* redriveOne(repository, redriveOf(letter))
      const { changes } = yield* changesUpTo(repository, last, last + 1)
      expect(changes.map(({ kind, task }) => [kind, task.id])).toEqual([["scheduled", task.id]])
    }))

  test("dead letters are exactly those that failed, found by every filter of theirs, and counted", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const a = yield* dead(repository, lease, { createdAt: t0, name: "a" }, t0 + 10)
      const b = yield* dead(repository, lease, { createdAt: t0 + 1, tags: { team: "blue" } }, t0 + 20, "Expired")
      const c = yield* dead(repository, lease, { createdAt: t0 + 2, function: aTarget("other") }, t0 + 30, "OwnerLost")
      const others = yield* Effect.forEach(
        [3, 4, 5, 6],
        (index) => insertedOne(repository, lease, aTask({ createdAt: t0 + index }))
      )
      const [done, gone, waits, runs] = others
      if (done === undefined || gone === undefined || waits === undefined || runs === undefined) {
        return expect.fail("there are four")
      }
      yield* repository.settle(lease, [succeeded((yield* started(repository, lease, done)).task, t0 + 20)])
      yield* repository.cancel(lease, { _tag: "Task", id: gone.id, successor: undefined }, t0 + 20)
      yield* repository.settle(lease, [retrying((yield* started(repository, lease, waits)).task, t0 + 9_000)])
      yield* started(repository, lease, runs)
      yield* redriveOne(repository, redriveOf(c))

      const found = Effect.fnUntraced(function*(filter: TaskFilter) {
        const { items } = yield* repository.list(filter, { limit: 100 })
        expect(yield* repository.count(filter)).toBe(items.length)
        return idsOf(items)
      })
      const status = ["Failed"] as const
      expect(yield* found({ status })).toEqual(idsOf([c, b, a]))
      expect(yield* found({ status, redriven: true })).toEqual([c.id])
      expect(yield* found({ redriven: false })).toEqual(idsOf([b, a]))
      expect(yield* found({ failureReason: ["FunctionError"] })).toEqual([a.id])
      expect(yield* found({ status, failureReason: ["Expired", "OwnerLost"] })).toEqual(idsOf([c, b]))
      expect(yield* found({ status, failureReason: [] })).toEqual([])
      expect(yield* found({ status, finishedFrom: t0 + 20 })).toEqual(idsOf([c, b]))
      expect(yield* found({ status, finishedBefore: t0 + 20 })).toEqual([a.id])
      expect(yield* found({ finishedFrom: t0 + 20, finishedBefore: t0 + 21 })).toEqual(idsOf([gone, done, b]))
      expect(yield* found({ status, name: "a", functionName: "hello" })).toEqual([a.id])
      expect(yield* found({ status, functionName: "other" })).toEqual([c.id])
      expect(yield* found({ status, tags: { team: "blue" } })).toEqual([b.id])
      expect(yield* found({ status, ids: [a.id, c.id, done.id] })).toEqual(idsOf([c, a]))
      expect(yield* found({ ids: [done.id, aTaskId()] })).toEqual([done.id])
      expect(yield* found({ ids: [] })).toEqual([])
      expect(yield* found({ status: ["Failed", "Succeeded"], redriven: false })).toEqual(idsOf([b, a]))
      expect(yield* found({ status: ["Succeeded"], redriven: false })).toEqual([])
      expect(yield* repository.count({})).toBe(8)
    }))

  test("a reason is that of the failure, whatever its message says", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const message = `{"reason":"Expired"} \\"reason\\":\\"Expired\\"`
      yield* repository.settle(lease, [
        { ...failed(task), to: { _tag: "Failed", failure: { message, reason: "FunctionError" } } }
      ])
      expect(yield* repository.count({ failureReason: ["Expired"] })).toBe(0)
      expect(yield* repository.count({ failureReason: ["FunctionError"] })).toBe(1)
    }))

  test("purges what matches and nothing but dead letters, no more than its limit in one call", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letters = yield* Effect.forEach(
        [0, 1, 2, 3, 4],
        (index) => dead(repository, lease, { name: index < 3 ? "low" : "high" }, t0 + index)
      )
      const done = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask({ name: "low" })))
      yield* repository.settle(lease, [succeeded(done.task)])
      const waiting = yield* insertedOne(repository, lease, aTask({ name: "low" }))
      expect(yield* purge(repository, { name: "nobody" })).toBe(0)
      expect(yield* purge(repository, { ids: [done.task.id, waiting.id] })).toBe(0)
      expect(yield* purge(repository, { name: "low", status: ["Succeeded"] })).toBe(3)
      expect(new Set(idsOf(yield* allTasks(repository))))
        .toEqual(new Set([...idsOf(letters.slice(3)), done.task.id, waiting.id]))
      expect(yield* purge(repository, {}, 1)).toBe(1)
      expect(yield* purge(repository, {}, 1)).toBe(1)
      expect(yield* purge(repository, {}, 1)).toBe(0)
      expect(new Set(idsOf(yield* allTasks(repository)))).toEqual(new Set([done.task.id, waiting.id]))
      for (const { id } of letters) {
        expect(Option.isNone(yield* repository.get(id))).toBe(true)
      }
    }))

  test("what is purged takes its history with it: its id, used again, begins anew", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letter = yield* dead(repository, lease)
      expect(letter.attempts).toHaveLength(1)
      expect(yield* purge(repository)).toBe(1)
      expect(yield* redriveOne(repository, redriveOf(letter))).toEqual({ _tag: "NotFound" })
      const { task } = yield* started(
        repository,
        lease,
        yield* insertedOne(repository, lease, aTask({ id: letter.id }))
      )
      yield* repository.settle(lease, [failed(task)])
      expect((yield* mustGet(repository, letter.id)).attempts).toHaveLength(1)
    }))

  test("an idempotency key outlives what was purged by a day", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const key = { key: "k", digest: "d" }
      const task = aTask()
      yield* repository.insert([task], { lease, until: t0 }, [key])
      yield* repository.settle(lease, [failed((yield* started(repository, lease, { id: task.id, token: 1 })).task)])
      expect(yield* purge(repository)).toBe(1)
      const ask = (now: number) =>
        Effect.flatMap(repository.prune(allEnded(now)), () => repository.insert([aTask()], undefined, [key]))
      expect(yield* ask(t0 + 10_000 + 86_399_999)).toEqual([{ _tag: "Gone", id: task.id }])
      expect(tagsOf((yield* ask(t0 + 10_000 + 86_400_000)) as never)).toEqual(["Inserted"])
    }))

  test("retention of their own: older and more of them stay than of the others, and the other way round", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const finish = (at: number) =>
        Effect.gen(function*() {
          const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
          yield* repository.settle(lease, [succeeded(task, at)])
          return task.id
        })
      const done: Array<TaskId> = []
      const letters: Array<TaskId> = []
      for (let index = 0; index < 6; index++) {
        done.push(yield* finish(t0 + index))
        letters.push((yield* dead(repository, lease, {}, t0 + index)).id)
      }
      const left = () => Effect.map(allTasks(repository), (tasks) => new Set(idsOf(tasks)))
      const bounds = { now: t0 + 1_001, limit: 1_000 }
      const long = { maxAge: 10_000, maxCount: 100, failedMaxAge: 10_000, failedMaxCount: 100 }
      expect(yield* repository.prune({ ...bounds, ...long })).toBe(0)
      // By age, to the millisecond.
      expect(yield* repository.prune({ ...bounds, ...long, maxAge: 1_000 })).toBe(1)
      expect(yield* repository.prune({ ...bounds, ...long, failedMaxAge: 999 })).toBe(2)
      expect(yield* left()).toEqual(new Set([...done.slice(1), ...letters.slice(2)]))
      // By count, each of its own.
      expect(yield* repository.prune({ ...bounds, ...long, maxCount: 3 })).toBe(2)
      expect(yield* repository.prune({ ...bounds, ...long, failedMaxCount: 1 })).toBe(3)
      expect(yield* left()).toEqual(new Set([...done.slice(3), ...letters.slice(5)]))
      // Both count towards the limit of a call.
      expect(yield* repository.prune(allEnded(t0 + 10_000, 2))).toBe(2)
      expect(yield* repository.prune(allEnded(t0 + 10_000, 2))).toBe(2)
      expect(yield* left()).toEqual(new Set())
    }))

  test("retention goes on past what was purged", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const letters = yield* Effect.forEach([0, 1, 2, 3], (index) => dead(repository, lease, {}, t0 + index))
      expect(yield* purge(repository, { ids: idsOf([letters[0] ?? expect.fail(), letters[2] ?? expect.fail()]) })).toBe(
        2
      )
      const bounds = { ...allEnded(t0 + 100), failedMaxAge: 10_000, failedMaxCount: 1 }
      expect(yield* repository.prune({ ...bounds, failedMaxCount: 2 })).toBe(0)
      expect(yield* repository.prune(bounds)).toBe(1)
      expect(idsOf(yield* allTasks(repository))).toEqual([letters[3]?.id])
    }))
}

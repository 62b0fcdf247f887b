/** Idempotent creation (I25): a key makes one thing, however often, by whomever and with whatever id it is asked for. */
import { expect } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { IdempotencyKey, InsertVerdict } from "../../../src/ports/TaskRepository.ts"
import { allEnded, aSchedule, aTask, occurrenceOf, succeeded, t0 } from "../../support/builders.ts"
import { allTasks, changesUpTo, idsOf, insertedOne, mustGet, mustGetSchedule, started } from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

const day = 86_400_000

const keyed = (key: string, digest: string = "asked"): IdempotencyKey => ({ key, digest })

const insertOne = (repository: Repository, task = aTask(), key: IdempotencyKey | null = keyed("k")) =>
  Effect.map(
    repository.insert([task], undefined, [key ?? undefined]),
    ([verdict]) => verdict ?? expect.fail("no verdict")
  )

/** What a verdict says, and of which Task. */
const brief = (verdict: InsertVerdict) => [verdict._tag, "task" in verdict ? verdict.task.id : verdict.id]

export const idempotencyContract = ({ open, test }: Suite): void => {
  test("the same key and digest is Present, with the first Task as it is now", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const first = aTask()
      expect(yield* insertOne(repository, first)).toEqual({ _tag: "Inserted", task: first })
      expect(yield* insertOne(repository, aTask({ payload: "2" }))).toEqual({ _tag: "Present", task: first })
      const [held] = (yield* repository.claimDue({ lease, now: t0, ahead: 0, limit: 9, excludeFunctions: [] })).tasks
      const { task } = yield* started(repository, lease, held ?? first)
      yield* repository.settle(lease, [succeeded(task)])
      const again = yield* insertOne(repository)
      expect(again).toEqual({ _tag: "Present", task: yield* mustGet(repository, first.id) })
      expect(again._tag === "Present" && again.task.status).toBe("Succeeded")
      expect(idsOf(yield* allTasks(repository))).toEqual([first.id])
    }))

  test("another digest is a Conflict that names what the key has made, and stores nothing", (repository) =>
    Effect.gen(function*() {
      const first = aTask()
      yield* insertOne(repository, first)
      expect(yield* insertOne(repository, aTask(), keyed("k", "other"))).toEqual({ _tag: "Conflict", id: first.id })
      // The id of the first does not help: it is another request.
      expect(yield* insertOne(repository, first, keyed("k", "other"))).toEqual({ _tag: "Conflict", id: first.id })
      expect(idsOf(yield* allTasks(repository))).toEqual([first.id])
    }))

  test("keys are told apart by every character of theirs", (repository) =>
    Effect.gen(function*() {
      const keys = [
        "k",
        "K",
        " k",
        "k ",
        "",
        "NULL",
        "null",
        "__proto__",
        "constructor",
        "{k}",
        "k,k",
        "\"k\"",
        "\\k",
        "k\\",
        "'k'",
        "k\n",
        "é",
        "e\u0301",
        "😀",
        "%",
        "_",
        "x".repeat(256)
      ]
      const tasks = keys.map(() => aTask())
      const verdicts = yield* repository.insert(tasks, undefined, keys.map((key) => keyed(key)))
      expect(verdicts).toEqual(tasks.map((task) => ({ _tag: "Inserted", task })))
      const again = yield* repository.insert(keys.map(() => aTask()), undefined, keys.map((key) => keyed(key)))
      expect(again).toEqual(tasks.map((task) => ({ _tag: "Present", task })))
    }))

  test("of the same key many times in one batch the first counts", (repository) =>
    Effect.gen(function*() {
      const tasks = Array.from({ length: 30 }, () => aTask())
      const keys = tasks.map((_, index) => keyed(`k${index % 3}`, index === 20 || index === 0 ? "x" : "asked"))
      const verdicts = yield* repository.insert(tasks, undefined, keys)
      const firsts = tasks.slice(0, 3).map(({ id }) => id)
      expect(verdicts.map(brief)).toEqual(tasks.map(({ id }, index) => {
        if (index < 3) return ["Inserted", id]
        const isOther = index % 3 === 0 || index === 20
        return [isOther ? "Conflict" : "Present", firsts[index % 3]]
      }))
      expect(idsOf(yield* allTasks(repository))).toEqual([...firsts].reverse())
    }))

  test("the same id and key with another digest is a Conflict in one batch, too", (repository) =>
    Effect.gen(function*() {
      const task = aTask()
      const verdicts = yield* repository.insert(
        [task, { ...task, payload: "2" }, task],
        undefined,
        [keyed("k"), keyed("k", "other"), keyed("k")]
      )
      expect(verdicts).toEqual([
        { _tag: "Inserted", task },
        { _tag: "Conflict", id: task.id },
        { _tag: "Present", task }
      ])
      expect(yield* mustGet(repository, task.id)).toEqual(task)
    }))

  test("callers at once who ask for different things under one id and key are not taken for one another", (repository) =>
    Effect.gen(function*() {
      const task = aTask()
      const verdicts = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => index % 2 === 0 ? "even" : "odd"),
        (digest) => insertOne(repository, { ...task, payload: JSON.stringify(digest) }, keyed(task.id, digest)),
        { concurrency: "unbounded" }
      )
      const stored = yield* mustGet(repository, task.id)
      const won = stored.payload === "\"even\"" ? 0 : 1
      const winners = verdicts.filter((_, index) => index % 2 === won)
      expect(winners.filter((verdict) => verdict._tag === "Inserted")).toEqual([{ _tag: "Inserted", task: stored }])
      expect(winners.filter((verdict) => verdict._tag === "Present"))
        .toEqual(Array.from({ length: 9 }, () => ({ _tag: "Present", task: stored })))
      expect(verdicts.filter((_, index) => index % 2 !== won))
        .toEqual(Array.from({ length: 10 }, () => ({ _tag: "Conflict", id: task.id })))
    }))

  test("keyed and unkeyed, new and present share a batch", (repository) =>
    Effect.gen(function*() {
      const [present, made] = [aTask(), aTask()]
      yield* repository.insert([present], undefined)
      yield* insertOne(repository, made, keyed("made"))
      const fresh = Array.from({ length: 4 }, () => aTask())
      const [unkeyed, withKey, last] = fresh
      if (unkeyed === undefined || withKey === undefined || last === undefined) return expect.fail("there are four")
      const verdicts = yield* repository.insert(
        [unkeyed, present, withKey, aTask(), aTask(), last],
        undefined,
        [undefined, undefined, keyed("new"), keyed("made"), keyed("made", "other"), keyed("newer")]
      )
      expect(verdicts.map(brief)).toEqual([
        ["Inserted", unkeyed.id],
        ["Present", present.id],
        ["Inserted", withKey.id],
        ["Present", made.id],
        ["Conflict", made.id],
        ["Inserted", last.id]
      ])
      expect(new Set(idsOf(yield* allTasks(repository))))
        .toEqual(new Set([present, made, unkeyed, withKey, last].map(({ id }) => id)))
    }))

  test("fewer keys than Tasks: the rest have none", (repository) =>
    Effect.gen(function*() {
      const tasks = [aTask(), aTask()]
      const verdicts = yield* repository.insert(tasks, undefined, [keyed("k")])
      expect(verdicts).toEqual(tasks.map((task) => ({ _tag: "Inserted", task })))
    }))

  test("a key that asks for an id that is there stands for it from then on", (repository) =>
    Effect.gen(function*() {
      const task = aTask()
      yield* repository.insert([task], undefined)
      expect(yield* insertOne(repository, task)).toEqual({ _tag: "Present", task })
      expect(yield* insertOne(repository)).toEqual({ _tag: "Present", task })
      expect(yield* insertOne(repository, task, keyed("second"))).toEqual({ _tag: "Present", task })
      expect(yield* insertOne(repository, aTask(), keyed("second"))).toEqual({ _tag: "Present", task })
      expect(yield* insertOne(repository)).toEqual({ _tag: "Present", task })
      expect(idsOf(yield* allTasks(repository))).toEqual([task.id])
    }))

  test("50 callers at once get one Task between them, and one change is told", (repository) =>
    Effect.gen(function*() {
      const { last } = yield* repository.changes("latest")
      const verdicts = yield* Effect.all(
        Array.from({ length: 50 }, () => insertOne(repository)),
        { concurrency: "unbounded" }
      )
      const made = verdicts.filter((verdict) => verdict._tag === "Inserted")
      expect(made).toHaveLength(1)
      expect(new Set(verdicts.map((verdict) => brief(verdict)[1])).size).toBe(1)
      expect(verdicts.filter((verdict) => verdict._tag === "Present")).toHaveLength(49)
      expect(yield* allTasks(repository)).toHaveLength(1)
      const now = yield* repository.changes("latest")
      const { changes } = yield* changesUpTo(repository, last, now.last)
      expect(changes.map(({ kind }) => kind)).toEqual(["scheduled"])
    }))

  test("is claimed by the insert that made it, and by no other", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const [made] = yield* repository.insert([aTask()], { lease, until: t0 }, [keyed("k")])
      if (made?._tag !== "Inserted") return expect.fail("expected Inserted")
      expect(made.task).toMatchObject({ owner: lease.instanceId, token: 1 })
      const [again] = yield* repository.insert([aTask()], { lease: other, until: t0 }, [keyed("k")])
      expect(again).toEqual({ _tag: "Present", task: made.task })
      const [conflict] = yield* repository.insert([aTask()], { lease: other, until: t0 }, [keyed("k", "other")])
      expect(conflict).toEqual({ _tag: "Conflict", id: made.task.id })
      expect(yield* mustGet(repository, made.task.id)).toEqual(made.task)
      expect(yield* repository.forgotten(other, new Set())).toEqual([])
    }))

  test("what retention has removed is Gone, for a day to the millisecond; then the key is free", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [verdict] = yield* repository.insert([aTask()], { lease, until: t0 }, [keyed("k")])
      if (verdict?._tag !== "Inserted") return expect.fail("expected Inserted")
      const { id } = verdict.task
      // A second key of the same Task ends with it as well.
      yield* insertOne(repository, aTask({ id }), keyed("second"))
      const { task } = yield* started(repository, lease, verdict.task)
      yield* repository.settle(lease, [succeeded(task)])
      const prune = (now: number) => repository.prune(allEnded(now, 100))
      const removedAt = t0 + 5
      expect(yield* prune(removedAt)).toBe(1)
      for (const now of [removedAt, removedAt + day - 1]) {
        yield* prune(now)
        for (const key of ["k", "second"]) {
          expect(yield* insertOne(repository, aTask(), keyed(key))).toEqual({ _tag: "Gone", id })
          expect(yield* insertOne(repository, aTask(), keyed(key, "other"))).toEqual({ _tag: "Conflict", id })
        }
      }
      expect(yield* allTasks(repository)).toEqual([])
      yield* prune(removedAt + day)
      for (const key of ["k", "second"]) {
        const fresh = aTask()
        expect(yield* insertOne(repository, fresh, keyed(key, "other"))).toEqual({ _tag: "Inserted", task: fresh })
      }
    }))

  test("a key outlives by far what is still live, however old", (repository) =>
    Effect.gen(function*() {
      const task = aTask({ createdAt: 0, dueAt: 0 })
      yield* insertOne(repository, task)
      yield* repository.prune(allEnded(t0 + 1_000 * day, 100))
      expect(yield* insertOne(repository)).toEqual({ _tag: "Present", task })
    }))

  test("a schedule's key: Present as it is now, a Conflict, one of 50 at once", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const ask = (digest: string = "asked") => {
        const schedule = aSchedule()
        return repository.insertSchedule(schedule, occurrenceOf(schedule), { lease, until: t0 }, keyed("k", digest))
      }
      const verdicts = yield* Effect.all(Array.from({ length: 50 }, () => ask()), { concurrency: "unbounded" })
      const [made, ...more] = verdicts.filter((verdict) => verdict._tag === "Inserted")
      if (made?._tag !== "Inserted") return expect.fail("one is made")
      expect(more).toEqual([])
      const { first, schedule } = made
      expect(first.owner).toBe(lease.instanceId)
      expect(verdicts.filter((verdict) => verdict._tag !== "Inserted"))
        .toEqual(Array.from({ length: 49 }, () => ({ _tag: "Present", schedule })))
      expect(yield* ask("other")).toEqual({ _tag: "Conflict", id: schedule.id })
      expect(idsOf(yield* allTasks(repository))).toEqual([first.id])
      expect((yield* repository.listSchedules({}, { limit: 10 })).items).toEqual([schedule])
      yield* repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0)
      yield* repository.prune(allEnded(t0 + 1_000 * day, 100))
      expect(yield* ask()).toEqual({ _tag: "Present", schedule: yield* mustGetSchedule(repository, schedule.id) })
    }))

  test("a key has made a Task or a schedule, and never makes the other as well", (repository) =>
    Effect.gen(function*() {
      const task = aTask()
      const schedule = aSchedule()
      const ask = (key: IdempotencyKey) => repository.insertSchedule(schedule, occurrenceOf(schedule), undefined, key)
      yield* insertOne(repository, task, keyed("task"))
      expect(yield* ask(keyed("task", "other"))).toEqual({ _tag: "Conflict", id: task.id })
      expect(yield* ask(keyed("task"))).toEqual({ _tag: "Gone", id: task.id })
      expect(Option.isNone(yield* repository.getSchedule(schedule.id))).toBe(true)
      expect(yield* ask(keyed("schedule"))).toMatchObject({ _tag: "Inserted" })
      expect(yield* insertOne(repository, aTask(), keyed("schedule", "other")))
        .toEqual({ _tag: "Conflict", id: schedule.id })
      expect(yield* insertOne(repository, aTask(), keyed("schedule"))).toEqual({ _tag: "Gone", id: schedule.id })
      expect(yield* allTasks(repository)).toHaveLength(2)
    }))

  test("without a key nothing is remembered", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* repository.settle(lease, [succeeded(task)])
      yield* repository.prune(allEnded(t0 + 10, 10))
      const again = aTask({ id: task.id })
      expect(yield* insertOne(repository, again, null)).toMatchObject({ _tag: "Inserted" })
    }))
}

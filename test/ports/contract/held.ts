/**
 * A writer that shows the Task it holds spares the store reading it: what comes of it must be the same as without, to
 * the last column. Each story is told twice in one store, and the two are compared.
 */
import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type { RunningTask, ScheduledTask, Task } from "../../../src/domain/Task.ts"
import type { Successor } from "../../../src/domain/TaskSchedule.ts"
import type {
  ClaimedTask,
  Lease,
  SettleRequest,
  SettleVerdict,
  StartVerdict
} from "../../../src/ports/TaskRepository.ts"
import {
  anEnd,
  aSchedule,
  aSpacedSchedule,
  aTask,
  failed,
  occurrenceOf,
  retrying,
  succeeded,
  successorOf,
  t0,
  toSucceeded
} from "../../support/builders.ts"
import { allTasks, insertedOne, insertedSchedule, mustGet, mustGetSchedule } from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

/** The steps of a story, with or without showing what is held. */
interface Steps {
  readonly lease: Lease
  readonly start: (held: ClaimedTask, now: number, successor?: Successor) => Effect.Effect<StartVerdict, unknown>
  readonly settle: (running: RunningTask, request: SettleRequest) => Effect.Effect<SettleVerdict, unknown>
}

const stepsOf = (repository: Repository, lease: Lease, isShown: boolean): Steps => ({
  lease,
  start: (held, now, successor) =>
    Effect.map(
      repository.start(
        lease,
        [{ id: held.id, token: held.token, successor, ...(isShown ? { claimed: held } : {}) }],
        now
      ),
      ([verdict]) => verdict ?? expect.fail("no verdict")
    ),
  settle: (running, request) =>
    Effect.map(
      repository.settle(lease, [{ ...request, ...(isShown ? { running } : {}) }]),
      ([verdict]) => verdict ?? expect.fail("no verdict")
    )
})

const runningOf = (verdict: StartVerdict): RunningTask =>
  verdict._tag === "Started" ? verdict.task : expect.fail(`expected Started, got ${verdict._tag}`)

const settledOf = (verdict: SettleVerdict): Task =>
  verdict._tag === "Accepted" ? verdict.task : expect.fail(`expected Accepted, got ${verdict._tag}`)

/** Without what must differ: ids, what is made of them, which other instance it was, and how long something waited. */
const anonymous = (value: unknown, lease: Lease): unknown =>
  JSON.parse(JSON.stringify(value, (key, field: unknown) => {
    if (key === "id" || key === "scheduleId") return "*"
    if (key === "waited") return undefined
    return key === "owner" && field !== undefined && field !== lease.instanceId ? "another's" : field
  }))

export const heldContract = ({ end, open, test }: Suite): void => {
  const same = (
    title: string,
    story: (repository: Repository, steps: Steps) => Effect.Effect<unknown, unknown>
  ) =>
    test(title, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const stories: Array<unknown> = []
        for (const isShown of [false, true]) {
          const before = new Set((yield* allTasks(repository)).map(({ id }) => id))
          const { last } = yield* repository.changes("latest")
          const told = yield* story(repository, stepsOf(repository, lease, isShown))
          const tasks = (yield* allTasks(repository)).filter(({ id }) => !before.has(id))
          const now = yield* repository.changes("latest")
          const changes = now.last === last ? [] : (yield* repository.changes(last)).changes
          const schedules = new Set(tasks.flatMap(({ scheduleId }) => scheduleId ?? []))
          stories.push(anonymous({
            told,
            tasks,
            schedules: yield* Effect.forEach(schedules, (id) => mustGetSchedule(repository, id)),
            changes: changes.map(({ kind, task }) => ({ kind, task }))
          }, lease))
        }
        expect(stories[1]).toEqual(stories[0])
      }))

  const held = (repository: Repository, lease: Lease, fields: Partial<ScheduledTask> = {}) =>
    insertedOne(repository, lease, aTask({ tags: { team: "blue" }, payload: "[1]", ...fields }))

  same("a success with all that it says", (repository, { lease, settle, start }) =>
    Effect.gen(function*() {
      const running = runningOf(yield* start(yield* held(repository, lease), t0 + 3))
      const ended = anEnd("succeeded", t0 + 7, { requestId: "r", executedVersion: "3", logTail: "START\n" })
      const result = { text: "AAEC", encoding: "base64", truncated: true } as const
      return yield* settle(running, { ...succeeded(running), end: ended, to: { _tag: "Succeeded", result } })
    }))

  same(
    "a failure, and one that comes before it began by a clock that stepped back",
    (repository, steps) =>
      Effect.gen(function*() {
        const running = runningOf(yield* steps.start(yield* held(repository, steps.lease), t0 + 3))
        return yield* steps.settle(running, failed(running, t0 - 50))
      })
  )

  same(
    "retries, kept and given back, to the last attempt",
    (repository, { lease, settle, start }) =>
      Effect.gen(function*() {
        const told: Array<unknown> = []
        let claimed: ClaimedTask = yield* held(repository, lease)
        for (const keep of [true, false, true]) {
          const running = runningOf(yield* start(claimed, t0 + 10))
          const settled = settledOf(yield* settle(running, retrying(running, t0 + 10, { at: t0 + 11, keep })))
          told.push(running, settled)
          const again = keep ? [settled] : (yield* repository.claimDue({
            lease,
            now: t0 + 10,
            ahead: 0,
            limit: 10,
            excludeFunctions: [],
            start: 5
          })).tasks
          claimed = again[0] as ClaimedTask
          expect(claimed.status).toBe("Scheduled")
        }
        const last = runningOf(yield* start(claimed, t0 + 5))
        told.push(last, yield* settle(last, failed(last, t0 + 20)))
        return told
      })
  )

  same(
    "an anchored occurrence, its retry and its end",
    (repository, { lease, settle, start }) =>
      Effect.gen(function*() {
        const schedule = aSchedule()
        const first = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
        const begun = yield* start(first, t0, successorOf(schedule, t0))
        const running = runningOf(begun)
        const retry = settledOf(yield* settle(running, retrying(running, t0 + 5, { keep: true })))
        const again = yield* start(retry as ClaimedTask, t0 + 5, successorOf(schedule, t0))
        const last = yield* settle(runningOf(again), succeeded(runningOf(again), t0 + 6))
        return [begun, retry, again, last]
      })
  )

  same("an anchored occurrence that is skipped", (repository, { lease, start }) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const first = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const begun = yield* start(first, t0, successorOf(schedule, t0))
      const next = begun._tag === "Started" && begun.next || expect.fail("it is followed")
      return yield* start(next, t0 + 10_000, successorOf(schedule, t0 + 10_000))
    }))

  for (const maxRuns of [1, 2]) {
    same(
      `a spaced occurrence, retried, with maxRuns ${maxRuns}`,
      (repository, { lease, settle, start }) =>
        Effect.gen(function*() {
          const schedule = aSpacedSchedule({ maxRuns })
          const first = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
          const running = runningOf(yield* start(first, t0))
          const retry = settledOf(yield* settle(running, retrying(running, t0 + 5, { keep: true })))
          const again = runningOf(yield* start(retry as ClaimedTask, t0 + 5))
          return yield* settle(again, {
            ...succeeded(again, t0 + 6),
            successor: successorOf(schedule, t0, t0 + 6)
          })
        })
    )
  }

  same("what is refused: another's, a stale token, what runs already, what has ended, what is cancelled", (
    repository,
    steps
  ) =>
    Effect.gen(function*() {
      const { lease, settle, start } = steps
      const other = yield* open(repository)
      const theirs = yield* held(repository, other)
      const task = yield* held(repository, lease)
      const told: Array<unknown> = [
        yield* start(theirs, t0),
        yield* start({ ...theirs, owner: lease.instanceId }, t0),
        yield* start({ ...task, token: task.token - 1 }, t0),
        yield* start({ ...task, token: task.token + 1 }, t0)
      ]
      const running = runningOf(yield* start(task, t0))
      told.push(yield* start(task, t0))
      told.push(yield* settle({ ...running, token: running.token - 1 }, succeeded({ ...running, token: 0 })))
      const ended = yield* settle(running, succeeded(running))
      told.push(ended, yield* settle(running, failed(running)))
      const gone = yield* held(repository, lease)
      yield* repository.cancel(lease, { _tag: "Task", id: gone.id, successor: undefined }, t0)
      told.push(yield* start(gone, t0))
      const going = runningOf(yield* start(yield* held(repository, lease), t0))
      yield* repository.cancel(lease, { _tag: "Task", id: going.id, successor: undefined }, t0)
      told.push(yield* settle(going, succeeded(going)))
      const never = aTask()
      told.push(yield* start({ ...never, owner: lease.instanceId }, t0))
      return told
    }))

  for (const isShown of [false, true]) {
    test(`a dead lease starts nothing, and its outcome is accepted (${isShown ? "shown" : "not shown"})`, (repository) =>
      Effect.gen(function*() {
        const dead = yield* open(repository)
        const { settle, start } = stepsOf(repository, dead, isShown)
        const waiting = yield* held(repository, dead)
        const running = runningOf(yield* start(yield* held(repository, dead), t0))
        yield* end(repository, dead)
        expect(yield* start(waiting, t0)).toEqual({ _tag: "Fenced" })
        expect(yield* mustGet(repository, waiting.id)).toEqual(waiting)
        expect(settledOf(yield* settle(running, succeeded(running))).status).toBe("Succeeded")
      }))
  }

  test("of duplicates in one batch the first counts, shown or not", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [shown, plain] = [yield* held(repository, lease), yield* held(repository, lease)]
      const mark = (task: ScheduledTask) => ({ id: task.id, token: task.token, successor: undefined })
      const starts = yield* repository.start(lease, [
        { ...mark(shown), claimed: shown },
        mark(plain),
        { ...mark(shown), claimed: shown },
        mark(plain)
      ], t0)
      expect(starts.map(({ _tag }) => _tag)).toEqual(["Started", "Started", "Fenced", "Fenced"])
      const [first, second] = starts.slice(0, 2).map(runningOf)
      if (first === undefined || second === undefined) return expect.fail("two have started")
      expect([first.id, second.id]).toEqual([shown.id, plain.id])
      const ends = yield* repository.settle(lease, [
        { ...succeeded(first), to: toSucceeded("1"), running: first },
        { ...succeeded(second), to: toSucceeded("2") },
        { ...failed(first), running: first },
        failed(second)
      ])
      expect(ends.map(({ _tag }) => _tag)).toEqual(["Accepted", "Accepted", "Fenced", "Fenced"])
      expect(yield* mustGet(repository, first.id)).toMatchObject({ status: "Succeeded", result: { text: "1" } })
      expect(yield* mustGet(repository, second.id)).toMatchObject({ status: "Succeeded", result: { text: "2" } })
    }))

  test("of many at once, some shown and some not, one start and one end is accepted for each Task", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const tasks = yield* Effect.forEach(Array.from({ length: 20 }), () => held(repository, lease))
      const tries = tasks.flatMap((task) => [task, task, task, task])
      const starts = yield* Effect.forEach(
        tries,
        (task, index) => stepsOf(repository, lease, index % 2 === 0).start(task, t0),
        { concurrency: "unbounded" }
      )
      const begun = starts.flatMap((verdict) => verdict._tag === "Started" ? [verdict.task] : [])
      expect(new Set(begun.map(({ id }) => id)).size).toBe(20)
      expect(begun).toHaveLength(20)
      const ends = yield* Effect.forEach(
        begun.flatMap((task) => [task, task, task, task]),
        (task, index) => stepsOf(repository, lease, index % 2 === 0).settle(task, succeeded(task)),
        { concurrency: "unbounded" }
      )
      expect(ends.filter(({ _tag }) => _tag === "Accepted")).toHaveLength(20)
      for (const { id } of tasks) {
        expect(yield* mustGet(repository, id)).toMatchObject({ status: "Succeeded", attempts: [{ number: 1 }] })
      }
    }))
}

/** A Task whose deadline has passed is not started: its mark ends it, alone or with its schedule. */
import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type { RetryPolicy } from "../../../src/domain/RetryPolicy.ts"
import { defaultRetryPolicy } from "../../../src/domain/RetryPolicy.ts"
import type { Successor } from "../../../src/domain/TaskSchedule.ts"
import type { ClaimedTask, Lease, StartVerdict } from "../../../src/ports/TaskRepository.ts"
import {
  aSchedule,
  aSpacedSchedule,
  aTask,
  occurrenceOf,
  retrying,
  succeeded,
  successorOf,
  t0
} from "../../support/builders.ts"
import {
  allTasks,
  changesUpTo,
  claimAll,
  inserted,
  insertedOne,
  insertedSchedule,
  mustGet,
  mustGetSchedule,
  started,
  startOne
} from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

const retry: RetryPolicy = { ...defaultRetryPolicy, deadline: 500 }
const expired = { reason: "Expired", message: "Not started within its deadline of 500 ms" }

const mark = (
  repository: Repository,
  lease: Lease,
  held: ClaimedTask,
  now: number,
  successor: Successor | undefined,
  isShown: boolean
): Effect.Effect<StartVerdict, unknown> =>
  Effect.map(
    repository.start(
      lease,
      [{ id: held.id, token: held.token, successor, ...(isShown ? { claimed: held } : {}) }],
      now
    ),
    ([verdict]) => verdict ?? expect.fail("no verdict")
  )

export const expiringContract = ({ end, open, test }: Suite): void => {
  for (const isShown of [false, true]) {
    const how = isShown ? ", as its writer shows it" : ""

    test(`a one-shot starts before its deadline, and has failed from then on${how}`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const [early, late] = yield* inserted(repository, lease, [
          aTask({ retry }),
          aTask({ retry, payload: `"${"é".repeat(5_000)}"` })
        ])
        if (early === undefined || late === undefined) return expect.fail("two were inserted")
        expect((yield* mark(repository, lease, early, t0 + 499, undefined, isShown))._tag).toBe("Started")
        const { last } = yield* repository.changes("latest")
        const verdict = yield* mark(repository, lease, late, t0 + 500, undefined, isShown)
        if (verdict._tag !== "Expired") return expect.fail(`expected Expired, got ${verdict._tag}`)
        expect(verdict).toEqual({
          _tag: "Expired",
          next: undefined,
          task: {
            ...late,
            status: "Failed",
            owner: undefined,
            token: late.token + 1,
            finishedAt: t0 + 500,
            failure: expired,
            redrivenAs: undefined
          }
        })
        expect(yield* mustGet(repository, late.id)).toEqual(verdict.task)
        const now = yield* repository.changes("latest")
        const { changes } = yield* changesUpTo(repository, last, now.last)
        expect(changes.map(({ kind, task }) => [kind, task])).toEqual([["failed", verdict.task]])
        // It is over: nobody starts, claims or settles it any more.
        expect((yield* mark(repository, lease, late, t0 + 500, undefined, isShown))._tag).toBe("Fenced")
        expect(yield* claimAll(repository, lease, t0 + 9_000)).toEqual({ tasks: [], nextAt: undefined })
        expect(yield* repository.settle(lease, [succeeded(verdict.task)])).toEqual([{ _tag: "Fenced" }])
      }))

    test(`an anchored occurrence that expires is followed, and is no run${how}`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const schedule = aSchedule({ retry, maxRuns: 2 })
        const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
        const successor = { ...successorOf(schedule, t0), missed: 1 }
        const verdict = yield* mark(repository, lease, held, t0 + 9_000, successor, isShown)
        expect(verdict).toMatchObject({
          _tag: "Expired",
          task: { status: "Failed", failure: expired, attempts: [] },
          next: { id: successor.task.id, status: "Scheduled", owner: lease.instanceId }
        })
        expect(yield* mustGetSchedule(repository, schedule.id)).toEqual({
          ...schedule,
          cursor: t0 + 10_000,
          runs: 0,
          missed: 1
        })
        expect(yield* allTasks(repository)).toHaveLength(2)
        if (verdict._tag !== "Expired" || verdict.next === undefined) return expect.fail("it is followed")
        expect(yield* mustGet(repository, verdict.next.id)).toEqual(verdict.next)
        const next = yield* mark(
          repository,
          lease,
          verdict.next,
          t0 + 10_000,
          successorOf(schedule, t0 + 10_000),
          isShown
        )
        expect(next._tag).toBe("Started")
      }))

    test(`a spaced occurrence that expires is followed at once, as it has no end${how}`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const schedule = aSpacedSchedule({ retry })
        const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
        const successor = successorOf(schedule, t0, t0 + 700)
        const verdict = yield* mark(repository, lease, held, t0 + 700, successor, isShown)
        expect(verdict).toMatchObject({ _tag: "Expired", next: { id: successor.task.id, dueAt: t0 + 10_700 } })
        expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ cursor: t0 + 10_700, runs: 0 })
      }))

    test(`a retry that comes too late has expired, with the history that it has${how}`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const schedule = aSchedule({ retry })
        const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
        const { next, task } = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
        const [again] = yield* repository.settle(lease, [retrying(task, t0 + 100, { at: t0 + 50, keep: true })])
        if (again?._tag !== "Accepted" || again.task.status !== "Scheduled" || next === undefined) {
          return expect.fail("a retry")
        }
        const other = yield* insertedOne(repository, lease, aTask())
        const verdict = yield* mark(
          repository,
          lease,
          again.task,
          t0 + 501,
          successorOf(schedule, t0, t0 + 501),
          isShown
        )
        expect(verdict).toMatchObject({
          _tag: "Expired",
          next: undefined,
          task: { failure: expired, finishedAt: t0 + 501, attempts: [{ number: 1, ended: { outcome: "failed" } }] }
        })
        expect(yield* mustGet(repository, task.id)).toEqual(verdict._tag === "Expired" ? verdict.task : undefined)
        expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ runs: 1, cursor: t0 + 10_000 })
        // It is under way no more: the next occurrence is not skipped for it.
        const started2 = yield* mark(repository, lease, next, t0 + 10_000, undefined, isShown)
        expect(started2._tag).toBe("Started")
        expect((yield* mark(repository, lease, other, t0 + 501, undefined, isShown))._tag).toBe("Started")
      }))
  }

  test("the deadline of an occurrence is its nominal instant's, however late it was made; by hand it is not", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const made = { createdAt: t0, nominalAt: t0 - 500, dueAt: t0, retry }
      const schedule = aSchedule({ retry })
      yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule, t0 + 5_000))
      const occurrences = [
        { scheduleId: schedule.id, origin: "schedule" },
        { scheduleId: schedule.id, origin: "manual:1" },
        {}
      ]
      const tags: Array<string> = []
      for (const of of occurrences) {
        const held = yield* insertedOne(repository, lease, aTask({ ...made, ...of }))
        const verdict = yield* startOne(repository, lease, held)
        tags.push(verdict._tag)
        if (verdict._tag === "Started") yield* repository.settle(lease, [succeeded(verdict.task)])
      }
      expect(tags).toEqual(["Expired", "Started", "Started"])
    }))

  test("nobody ends what is not theirs, however late it is", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask({ retry }))
      for (const claimed of [undefined, held]) {
        for (const [by, token] of [[other, held.token], [lease, held.token + 1], [lease, held.token - 1]] as const) {
          const [verdict] = yield* repository.start(
            by,
            [{ id: held.id, token, successor: undefined, claimed: claimed && { ...claimed, token } }],
            t0 + 9_000
          )
          expect(verdict).toEqual({ _tag: "Fenced" })
        }
      }
      yield* end(repository, lease)
      expect((yield* startOne(repository, lease, held, { now: t0 + 9_000 }))._tag).toBe("Fenced")
      expect(yield* mustGet(repository, held.id)).toEqual(held)
    }))

  test("what a claim starts is as late as it is: it knows nothing of deadlines", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      yield* repository.insert([aTask({ retry })], undefined)
      const { tasks } = yield* repository.claimDue({
        lease,
        now: t0 + 9_000,
        ahead: 0,
        limit: 1,
        start: 1,
        excludeFunctions: []
      })
      expect(tasks).toMatchObject([{ status: "Running", retry }])
    }))
}

import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { isLive } from "../../../src/domain/Task.ts"
import type { TaskSchedule } from "../../../src/domain/TaskSchedule.ts"
import type { CancelTarget, Lease } from "../../../src/ports/TaskRepository.ts"
import {
  aSchedule,
  aScheduleId,
  aSpacedSchedule,
  aTarget,
  aTask,
  aTaskId,
  failed,
  occurrenceOf,
  succeeded,
  successorOf,
  t0
} from "../../support/builders.ts"
import {
  allTasks,
  claimAll,
  idsOf,
  insertedOne,
  insertedSchedule,
  mustGet,
  mustGetSchedule,
  started,
  startOne
} from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

const ofTask = (id: ReturnType<typeof aTaskId>): CancelTarget => ({ _tag: "Task", id, successor: undefined })

/** A schedule whose first occurrence runs and whose second waits. */
const underWay = Effect.fnUntraced(function*(repository: Repository, lease: Lease, schedule: TaskSchedule) {
  const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
  const { next, task } = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
  return next === undefined ? expect.fail("no successor") : { running: task, waiting: next }
})

export const cancellingContract = ({ open, test }: Suite): void => {
  test("a cancelled Task that had not started never starts, claimed or not", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const free = aTask()
      yield* repository.insert([free], undefined)
      const held = yield* insertedOne(repository, lease, aTask())
      for (const task of [free, held]) {
        const { next, schedules, tasks } = yield* repository.cancel(lease, ofTask(task.id), t0 + 5)
        expect({ next, schedules }).toEqual({ next: undefined, schedules: [] })
        expect(tasks).toMatchObject([
          { id: task.id, status: "Cancelled", owner: undefined, finishedAt: t0 + 5, attempts: [] }
        ])
        expect(tasks[0]?.token).toBeGreaterThan(task.token)
        expect(yield* mustGet(repository, task.id)).toEqual(tasks[0])
      }
      expect((yield* startOne(repository, lease, held))._tag).toBe("Fenced")
      const now = yield* mustGet(repository, held.id)
      expect((yield* startOne(repository, lease, now))._tag).toBe("Fenced")
      expect(yield* claimAll(repository, lease)).toEqual({ tasks: [], nextAt: undefined })
    }))

  test("a running attempt ends as unknown, and no late outcome overwrites Cancelled", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const { tasks } = yield* repository.cancel(other, ofTask(task.id), t0 + 40)
      expect(tasks).toMatchObject([{
        status: "Cancelled",
        owner: undefined,
        finishedAt: t0 + 40,
        attempts: [{
          number: 1,
          startedAt: t0,
          ended: { at: t0 + 40, outcome: "unknown", error: { reason: "Cancelled" } }
        }]
      }])
      const [cancelled] = tasks
      const verdicts = yield* repository.settle(lease, [
        succeeded(task, t0 + 50),
        failed({ id: task.id, token: cancelled?.token ?? 0 }, t0 + 60)
      ])
      expect(verdicts).toEqual([{ _tag: "Fenced" }, { _tag: "Fenced" }])
      expect(yield* mustGet(repository, task.id)).toEqual(cancelled)
    }))

  test("a second cancel and one of nothing change nothing", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const task = aTask()
      yield* repository.insert([task], undefined)
      yield* repository.cancel(lease, ofTask(task.id), t0 + 5)
      const cancelled = yield* mustGet(repository, task.id)
      const targets: ReadonlyArray<CancelTarget> = [
        ofTask(task.id),
        ofTask(aTaskId()),
        { _tag: "Schedule", id: aScheduleId() },
        { _tag: "Function", name: "hello" },
        { _tag: "Named", name: "hello" },
        { _tag: "Function", name: "__proto__" }
      ]
      for (const target of targets) {
        expect((yield* repository.cancel(lease, target, t0 + 9)).tasks).toEqual([])
      }
      expect(yield* mustGet(repository, task.id)).toEqual(cancelled)
    }))

  test("leaves finished Tasks as they are", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const one = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const two = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* repository.settle(lease, [succeeded(one.task), failed(two.task)])
      const before = yield* allTasks(repository)
      for (const target of [ofTask(one.task.id), ofTask(two.task.id)]) {
        expect(yield* repository.cancel(lease, target, t0)).toEqual({ tasks: [], schedules: [], next: undefined })
      }
      expect((yield* repository.cancel(lease, { _tag: "Function", name: "hello" }, t0)).tasks).toEqual([])
      expect(yield* allTasks(repository)).toEqual(before)
    }))

  test("a schedule is cancelled with its live occurrences, and only with those", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const { running, waiting } = yield* underWay(repository, lease, schedule)
      const other = yield* underWay(repository, lease, aSchedule())
      const oneShot = yield* insertedOne(repository, lease, aTask({ name: "ticks" }))

      const cancelled = yield* repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0 + 5)
      expect(new Set(idsOf(cancelled.tasks))).toEqual(new Set([running.id, waiting.id]))
      expect(cancelled.schedules).toMatchObject([{ id: schedule.id, status: "Cancelled" }])
      expect(cancelled.next).toBeUndefined()
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual(cancelled.schedules[0])
      expect((yield* startOne(repository, lease, waiting))._tag).toBe("Fenced")
      for (const task of [other.running, other.waiting, oneShot]) {
        expect(yield* mustGet(repository, task.id)).toEqual(task)
      }
      const again = yield* repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0 + 6)
      expect(again.tasks).toEqual([])
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual(cancelled.schedules[0])
    }))

  test("a cancelled schedule gets no further occurrence", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSpacedSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const { task } = yield* started(repository, lease, held)
      yield* repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0 + 5)
      const verdicts = yield* repository.settle(lease, [succeeded(task, t0 + 6, successorOf(schedule, t0, t0 + 6))])
      expect(verdicts).toEqual([{ _tag: "Fenced" }])
      expect(yield* allTasks(repository)).toHaveLength(1)
    }))

  test("a function is cancelled with all its live Tasks and schedules, whatever their names", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const payroll = aTarget("payroll")
      const schedule = aSchedule({ name: "nightly", function: payroll })
      const { running, waiting } = yield* underWay(repository, lease, schedule)
      const oneShot = yield* insertedOne(repository, lease, aTask({ name: "once", function: payroll }))
      const unclaimed = aTask({ function: { ...payroll, qualifier: "live" } })
      const named = aTask({ name: "payroll" })
      yield* repository.insert([unclaimed, named], undefined)

      const cancelled = yield* repository.cancel(lease, { _tag: "Function", name: "payroll" }, t0)
      expect(new Set(idsOf(cancelled.tasks)))
        .toEqual(new Set([running.id, waiting.id, oneShot.id, unclaimed.id]))
      expect(cancelled.schedules).toMatchObject([{ id: schedule.id, status: "Cancelled" }])
      expect(yield* mustGet(repository, named.id)).toEqual(named)
      expect((yield* startOne(repository, lease, oneShot))._tag).toBe("Fenced")
      expect(idsOf(yield* claimAll(repository, lease))).toEqual([named.id])
    }))

  test("a name is cancelled with all live Tasks and schedules that have it, whatever their functions", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule({ name: "constructor", function: aTarget("a") })
      const { running, waiting } = yield* underWay(repository, lease, schedule)
      const oneShot = yield* insertedOne(repository, lease, aTask({ name: "constructor", function: aTarget("b") }))
      const other = aTask({ name: "other", function: aTarget("constructor") })
      yield* repository.insert([other], undefined)

      const cancelled = yield* repository.cancel(lease, { _tag: "Named", name: "constructor" }, t0)
      expect(new Set(idsOf(cancelled.tasks))).toEqual(new Set([running.id, waiting.id, oneShot.id]))
      expect(cancelled.schedules).toMatchObject([{ id: schedule.id, status: "Cancelled" }])
      expect(yield* mustGet(repository, other.id)).toEqual(other)
    }))

  test("one cancelled occurrence does not end its schedule: its successor is stored, claimed by the writer", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const successor = successorOf(schedule, t0)
      const target: CancelTarget = { _tag: "Task", id: held.id, successor }
      const { next, schedules, tasks } = yield* repository.cancel(lease, target, t0)
      expect(idsOf(tasks)).toEqual([held.id])
      expect(schedules).toEqual([])
      expect(next).toMatchObject({ id: successor.task.id, owner: lease.instanceId })
      expect(yield* mustGetSchedule(repository, schedule.id))
        .toMatchObject({ status: "Active", cursor: t0 + 10_000, runs: 0 })
      const again = yield* repository.cancel(lease, { ...target, successor: successorOf(schedule, t0) }, t0)
      expect(again).toEqual({ tasks: [], schedules: [], next: undefined })
      expect(yield* allTasks(repository)).toHaveLength(2)
      const second = yield* started(repository, lease, next ?? held, { now: t0 + 10_000 })
      expect(second.task.nominalAt).toBe(t0 + 10_000)
    }))

  test("a running anchored occurrence that is cancelled has its successor already", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const { running, waiting } = yield* underWay(repository, lease, schedule)
      const { next, tasks } = yield* repository.cancel(
        lease,
        { _tag: "Task", id: running.id, successor: successorOf(schedule, t0) },
        t0 + 1
      )
      expect(idsOf(tasks)).toEqual([running.id])
      expect(next).toBeUndefined()
      expect((yield* allTasks(repository)).filter(isLive)).toEqual([waiting])
    }))

  test("a running spaced occurrence that is cancelled gets its successor with the cancel", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSpacedSchedule({ maxRuns: 2 })
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      yield* started(repository, lease, held)
      const first = yield* repository.cancel(
        lease,
        { _tag: "Task", id: held.id, successor: successorOf(schedule, t0, t0 + 500) },
        t0 + 500
      )
      expect(first.next).toMatchObject({ dueAt: t0 + 10_500, owner: lease.instanceId })
      const second = yield* started(repository, lease, first.next ?? held, { now: t0 + 10_500 })
      const last = yield* repository.cancel(
        lease,
        { _tag: "Task", id: second.task.id, successor: successorOf(schedule, t0 + 10_500, t0 + 11_000) },
        t0 + 11_000
      )
      expect(last.next).toBeUndefined()
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ status: "Completed", runs: 2 })
    }))

  test("a cancelled schedule has nothing live, whatever races with the cancel", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      for (let round = 0; round < 20; round++) {
        const schedule = round % 2 === 0 ? aSchedule() : aSpacedSchedule()
        const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
        const successor = successorOf(schedule, t0)
        const run = Effect.flatMap(startOne(repository, lease, held, { successor }), (verdict) =>
          verdict._tag === "Started"
            ? repository.settle(lease, [succeeded(verdict.task, t0 + 1, successorOf(schedule, t0, t0 + 1))])
            : Effect.succeed([]))
        const cancel = repository.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0 + 1)
        yield* Effect.all(round % 4 < 2 ? [run, cancel] : [cancel, run], { concurrency: "unbounded" })
        expect((yield* mustGetSchedule(repository, schedule.id)).status).toBe("Cancelled")
        const left = yield* repository.list(
          { scheduleId: schedule.id, status: ["Scheduled", "Running"] },
          { limit: 10 }
        )
        expect(left.items).toEqual([])
      }
    }))

  test("once a cancel has answered, every start mark is refused", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      for (let round = 0; round < 20; round++) {
        const held = yield* insertedOne(repository, lease, aTask())
        const [verdict, cancelled] = yield* Effect.all([
          startOne(repository, lease, held),
          repository.cancel(lease, ofTask(held.id), t0 + 1)
        ], { concurrency: "unbounded" })
        expect(cancelled.tasks).toHaveLength(1)
        const found = yield* mustGet(repository, held.id)
        expect(found.status).toBe("Cancelled")
        // Either order explains it: started and then cancelled, or never started.
        expect(found.attempts).toHaveLength(verdict._tag === "Started" ? 1 : 0)
        expect((yield* startOne(repository, lease, held))._tag).toBe("Fenced")
      }
    }))
}

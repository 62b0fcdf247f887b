import { expect } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Backfill } from "../../../src/domain/Backfill.ts"
import { originOf } from "../../../src/domain/Backfill.ts"
import { BackfillId, uuid7 } from "../../../src/domain/Ids.ts"
import type { ScheduledTask } from "../../../src/domain/Task.ts"
import type { TaskSchedule } from "../../../src/domain/TaskSchedule.ts"
import { farthest } from "../../../src/domain/Time.ts"
import { editSchedule, pauseSchedule, resumeSchedule, whileActive } from "../../../src/policies/changes.ts"
import {
  aSchedule,
  aScheduleId,
  aTarget,
  aTask,
  aTaskId,
  failed,
  occurrenceOf,
  succeeded,
  successorOf,
  t0
} from "../../support/builders.ts"
import { allTasks, claimAll, insertedSchedule, mustGet, mustGetSchedule, started, startOne } from "./harness.ts"
import type { Suite } from "./harness.ts"

let made = 0
const aBackfill = (schedule: TaskSchedule, fields: Partial<Backfill> = {}): Backfill => ({
  id: BackfillId.make(uuid7(t0, 0, ++made, 7)),
  scheduleId: schedule.id,
  from: t0 - 100_000,
  to: t0 - 50_000,
  concurrency: 2,
  total: 5,
  createdAt: t0,
  cancelledAt: undefined,
  ...fields
})

const backfillTasks = (schedule: TaskSchedule, backfill: Backfill): ReadonlyArray<ScheduledTask> =>
  Array.from({ length: backfill.total }, (_, index) => ({
    ...occurrenceOf(schedule, backfill.from + index * 10_000),
    origin: originOf(backfill.id),
    overlap: { policy: "bufferAll", running: backfill.concurrency ?? 1 } as const,
    createdAt: t0,
    dueAt: t0,
    claimableAt: index < (backfill.concurrency ?? Infinity) ? t0 : farthest
  }))

const manual = (schedule: TaskSchedule, fields: Partial<ScheduledTask> = {}): ScheduledTask => {
  const id = aTaskId()
  return { ...occurrenceOf(schedule, t0 + 1), id, origin: `manual:${id}`, ...fields }
}

export const changingContract = ({ open, test }: Suite): void => {
  const stored = (schedule: TaskSchedule) => (repository: Parameters<Parameters<typeof test>[1]>[0]) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const first = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      return { first, lease }
    })

  test("a change finds the schedule and what waits of it, and nothing else", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      const other = aSchedule()
      yield* insertedSchedule(repository, lease, other, occurrenceOf(other))
      const { next } = yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      const { answer, inserted, tasks } = yield* repository.changeSchedule(schedule.id, undefined, (found) => ({
        answer: [found?.schedule.id, found?.schedule.cursor, found?.waiting.map(({ id }) => id)]
      }))
      expect(answer).toEqual([schedule.id, t0 + 10_000, [next?.id]])
      expect([inserted, tasks]).toEqual([[], []])
      const none = yield* repository.changeSchedule(aScheduleId(), undefined, (found) => ({ answer: found }))
      expect(none.answer).toBeUndefined()
    }))

  test("an edit rewrites what has not begun: the old one never runs, the new one does", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      const edit = {
        fields: {
          name: "other",
          payload: "[2]",
          tags: { a: "b" },
          priority: 7,
          function: aTarget("else"),
          recurrence: { _tag: "Fixed", v: 1, interval: 60_000, anchor: t0 + 5_000 } as const,
          maxRuns: 9
        },
        first: t0 + 5_000,
        revision: 1,
        newId: aTaskId()
      }
      const changed = yield* repository.changeSchedule(
        schedule.id,
        { lease, until: t0 + 60_000 },
        (found) => editSchedule(found, edit, t0)
      )
      const edited = { ...schedule, ...edit.fields, revision: 2, cursor: t0 + 5_000 }
      expect(changed.answer).toEqual({ _tag: "Changed", schedule: edited })
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual(edited)
      const expected = {
        id: first.id,
        name: "other",
        payload: "[2]",
        tags: { a: "b" },
        priority: 7,
        nominalAt: t0 + 5_000,
        dueAt: t0 + 5_000,
        owner: lease.instanceId
      }
      expect(changed.tasks).toMatchObject([expected])
      const held = yield* mustGet(repository, first.id)
      expect(held).toMatchObject({ ...expected, function: { name: "else" } })
      expect(held.token).toBe(changed.tasks[0]?.token)
      expect(yield* startOne(repository, lease, first, { successor: successorOf(schedule, t0) })).toEqual({
        _tag: "Fenced"
      })
      const { task } = yield* started(repository, lease, held, {
        now: t0 + 5_000,
        successor: successorOf(edited, t0 + 5_000)
      })
      expect(task.payload).toBe("[2]")
      const again = yield* repository.changeSchedule(
        schedule.id,
        undefined,
        (found) => editSchedule(found, edit, t0)
      )
      expect(again.answer).toEqual({ _tag: "OtherRevision", actual: 2 })
      expect((yield* mustGetSchedule(repository, schedule.id)).revision).toBe(2)
    }))

  test("policies and pauses are stored as they are", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule({
        overlap: { policy: "bufferAll", max: 7 },
        catchUp: { policy: "all", max: 3, window: 60_000 },
        pauseAfterFailures: 4,
        pause: { since: t0 - 10, until: t0 + 10, by: "ada \"x\"", note: "ü\n'" }
      })
      yield* stored(schedule)(repository)
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual(schedule)
      const plain = aSchedule({ overlap: { policy: "allowAll" }, catchUp: { policy: "latest", window: 5 } })
      yield* stored(plain)(repository)
      expect(yield* mustGetSchedule(repository, plain.id)).toEqual(plain)
    }))

  test("while it is paused what its rule names waits, and goes on when it is resumed; by hand it runs", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      const byHand = manual(schedule)
      yield* repository.changeSchedule(
        schedule.id,
        undefined,
        (found) => pauseSchedule(found, { since: t0, by: "ada" })
      )
      yield* repository.changeSchedule(
        schedule.id,
        { lease, until: farthest },
        (found) => whileActive(found, ({ schedule }) => ({ answer: { _tag: "Changed", schedule }, inserts: [byHand] }))
      )
      const waits = yield* startOne(repository, lease, first, { successor: successorOf(schedule, t0) })
      expect(waits).toMatchObject({ _tag: "Waits", task: { owner: undefined, claimableAt: farthest }, next: undefined })
      yield* started(repository, lease, yield* mustGet(repository, byHand.id), { now: t0 + 1 })
      expect((yield* claimAll(repository, lease, t0 + 86_400_000)).tasks).toEqual([])
      // Twice is fine, and what is recalled for another reason stays.
      yield* repository.changeSchedule(schedule.id, undefined, (found) => pauseSchedule(found, { since: t0 + 5 }))
      expect((yield* mustGetSchedule(repository, schedule.id)).pause).toEqual({ since: t0 })
      expect(yield* repository.recall({ functionName: "hello", now: t0 + 5_000, limit: 10 })).toBe(0)
      const resumed = yield* repository.changeSchedule(
        schedule.id,
        undefined,
        (found) => resumeSchedule(found, t0 + 5_000)
      )
      expect(resumed.tasks).toMatchObject([{ id: first.id, claimableAt: t0 + 5_000 }])
      expect((yield* claimAll(repository, lease, t0 + 5_000)).tasks).toMatchObject([{ id: first.id }])
    }))

  test("an occurrence that is too late is skipped, and one record stands for all that were passed over", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      const now = t0 + 95_000
      const next = occurrenceOf(schedule, t0 + 90_000)
      const passed = {
        ...occurrenceOf(schedule, t0 + 50_000),
        status: "Skipped",
        finishedAt: now,
        skipped: "catchUp",
        range: { count: 4, last: t0 + 80_000 },
        note: undefined
      } as const
      const skip = { skipped: "window", range: { count: 5, last: t0 + 40_000 }, note: "why" } as const
      const verdict = yield* startOne(repository, lease, first, {
        now,
        successor: { task: next, skip, passed: [passed], missed: 9, revision: 1, claimUntil: farthest }
      })
      expect(verdict).toMatchObject({ _tag: "Skipped", task: { id: first.id, ...skip }, next: { id: next.id } })
      expect(yield* mustGet(repository, first.id)).toMatchObject({ status: "Skipped", ...skip, finishedAt: now })
      expect(yield* mustGet(repository, passed.id)).toEqual(passed)
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ missed: 9, cursor: t0 + 90_000, runs: 0 })
      const found = (at: number) => repository.latestOccurrence(schedule.id, at)
      expect(Option.getOrUndefined(yield* found(t0 + 49_999))?.id).toBe(first.id)
      expect(Option.getOrUndefined(yield* found(t0 + 50_000))?.id).toBe(passed.id)
      expect(Option.getOrUndefined(yield* found(t0 + 95_000))?.id).toBe(next.id)
      expect(Option.isNone(yield* found(t0 - 1))).toBe(true)
    }))

  for (const [policy, places] of [["bufferOne", 1], ["bufferAll", 2]] as const) {
    test(`${policy}: what finds another under way waits for its turn, in order, and the rest is skipped`, (repository) =>
      Effect.gen(function*() {
        const schedule = aSchedule({ overlap: policy === "bufferAll" ? { policy, max: places } : { policy } })
        const { first, lease } = yield* stored(schedule)(repository)
        let { next, task: running } = yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
        const waiting: Array<ScheduledTask> = []
        for (let k = 1; k <= places; k++) {
          const now = t0 + k * 10_000
          const verdict = yield* startOne(repository, lease, next ?? first, {
            now,
            successor: successorOf(schedule, now)
          })
          if (verdict._tag !== "Waits") return expect.fail(`expected Waits, got ${verdict._tag}`)
          expect(verdict.task).toMatchObject({ nominalAt: now, owner: undefined, claimableAt: now + 100 })
          waiting.push(verdict.task)
          next = verdict.next
        }
        const now = t0 + (places + 1) * 10_000
        const skipped = yield* startOne(repository, lease, next ?? first, {
          now,
          successor: successorOf(schedule, now)
        })
        expect(skipped).toMatchObject({ _tag: "Skipped", task: { skipped: "overlap" } })
        // Looked at meanwhile they wait on, the longer the longer they have waited; the latter not before the former.
        const { tasks: looked } = yield* claimAll(repository, lease, now)
        for (const task of looked.toReversed()) {
          expect(yield* startOne(repository, lease, task, { now })).toMatchObject({
            _tag: "Waits",
            task: { claimableAt: now + (now - task.dueAt) }
          })
        }
        for (const { id } of waiting) {
          const [settled] = yield* repository.settle(lease, [{ ...succeeded(running, now + 1), tells: true }])
          expect(settled).toMatchObject({ _tag: "Accepted", freed: true })
          const { tasks } = yield* claimAll(repository, lease, now + 1)
          expect(tasks).toMatchObject([{ id }])
          running = (yield* started(repository, lease, tasks[0] ?? first, { now: now + 1 })).task
        }
        const [last] = yield* repository.settle(lease, [{ ...succeeded(running, now + 2), tells: true }])
        expect(last).not.toHaveProperty("freed")
        expect((yield* mustGetSchedule(repository, schedule.id)).runs).toBe(places + 1)
      }))
  }

  test("cancelling what is under way frees the next that waits", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule({ overlap: { policy: "bufferOne" } })
      const { first, lease } = yield* stored(schedule)(repository)
      const { next } = yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      const now = t0 + 10_000
      yield* startOne(repository, lease, next ?? first, { now, successor: successorOf(schedule, now) })
      expect((yield* claimAll(repository, lease, now + 1)).tasks).toEqual([])
      yield* repository.cancel(lease, { _tag: "Task", id: first.id, successor: undefined }, now + 1)
      expect((yield* claimAll(repository, lease, now + 1)).tasks).toMatchObject([{ id: next?.id }])
    }))

  test("cancelOther: the later one starts, and those under way are cancelled for it", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule({ overlap: { policy: "cancelOther" } })
      const { first, lease } = yield* stored(schedule)(repository)
      const { next, task: running } = yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      const now = t0 + 10_000
      const verdict = yield* startOne(repository, lease, next ?? first, { now, successor: successorOf(schedule, now) })
      expect(verdict).toMatchObject({
        _tag: "Started",
        cancelled: [{ id: first.id, status: "Cancelled", cancelledBy: "overlap" }]
      })
      expect(yield* mustGet(repository, first.id)).toMatchObject({ status: "Cancelled", cancelledBy: "overlap" })
      expect(yield* repository.settle(lease, [succeeded(running, now + 1)])).toEqual([{ _tag: "Fenced" }])
    }))

  test("allowAll: all start; a run by hand goes by its own policy where it has one", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule({ overlap: { policy: "allowAll" } })
      const { first, lease } = yield* stored(schedule)(repository)
      yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      const [plain, skips, replaces] = [
        manual(schedule),
        manual(schedule, { overlap: { policy: "skip" } }),
        manual(schedule, { overlap: { policy: "cancelOther" } })
      ]
      for (const task of [plain, skips, replaces]) {
        yield* repository.changeSchedule(
          schedule.id,
          { lease, until: farthest },
          (found) => whileActive(found, ({ schedule }) => ({ answer: { _tag: "Changed", schedule }, inserts: [task] }))
        )
      }
      const start = (task: ScheduledTask) =>
        Effect.flatMap(mustGet(repository, task.id), (held) => startOne(repository, lease, held, { now: t0 + 1 }))
      expect((yield* start(plain))._tag).toBe("Started")
      expect(yield* start(skips)).toMatchObject({ _tag: "Skipped", task: { skipped: "overlap" } })
      const replaced = yield* start(replaces)
      if (replaced._tag !== "Started") return expect.fail(`expected Started, got ${replaced._tag}`)
      expect(replaced.cancelled?.map(({ id }) => id).toSorted()).toEqual([first.id, plain.id].toSorted())
      // By hand: neither the cadence nor the number of runs knows of it.
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ runs: 1, cursor: t0 + 10_000 })
    }))

  test("failures in a row pause a schedule, and a success counts anew", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule({ pauseAfterFailures: 2 })
      const { first, lease } = yield* stored(schedule)(repository)
      let next: ScheduledTask | undefined = first
      const ends = [failed, succeeded, failed, failed]
      for (const [k, end] of ends.entries()) {
        const now = t0 + k * 10_000
        const run: { task: { id: ScheduledTask["id"]; token: number }; next: ScheduledTask | undefined } =
          yield* started(
            repository,
            lease,
            next ?? first,
            { now, successor: successorOf(schedule, now) }
          )
        yield* repository.settle(lease, [{ ...end(run.task, now + 1), tells: true }])
        next = run.next
        const { failures, pause } = yield* mustGetSchedule(repository, schedule.id)
        expect([failures, pause !== undefined]).toEqual([[1, false], [0, false], [1, false], [2, true]][k])
      }
      const now = t0 + 40_000
      expect(yield* startOne(repository, lease, next ?? first, { now, successor: successorOf(schedule, now) }))
        .toMatchObject({ _tag: "Waits" })
    }))

  test("a paused function starts nothing, retries and occurrences included; the Tasks stay the caller's", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      const [one, other] = [aTask(), aTask({ function: aTarget("other"), name: "other" })]
      const [held, free] = yield* repository.insert([one, other], { lease, until: farthest })
      if (held?._tag !== "Inserted" || free?._tag !== "Inserted") return expect.fail("not inserted")
      const set = (name: string, state: string) =>
        repository.changeControl("pause", name, () => ({ answer: undefined, state }))
      const mark = (task: ScheduledTask, whole: boolean) =>
        Effect.map(
          repository.start(lease, [{
            id: task.id,
            token: task.token,
            successor: task.scheduleId === undefined ? undefined : successorOf(schedule, t0),
            ...(whole ? { claimed: task } : {})
          }], t0),
          ([verdict]) => verdict?._tag
        )
      yield* set("hello", `{"v":1,"state":"paused","since":1}`)
      expect(yield* mark(held.task, true)).toBe("Paused")
      expect(yield* mark(held.task, false)).toBe("Paused")
      expect(yield* mark(first, true)).toBe("Paused")
      expect(yield* mark(free.task, true)).toBe("Started")
      yield* repository.insert([aTask(), aTask({ function: aTarget("third"), name: "third" })], undefined)
      const claim = { lease, now: t0, ahead: 0, limit: 10, start: 10, excludeFunctions: [] }
      expect((yield* repository.claimDue(claim)).tasks.map(({ name, status }) => [name, status])).toEqual([
        ["hello", "Scheduled"],
        ["third", "Running"]
      ])
      // What a later version has written is not guessed at.
      yield* set("", `{"v":2,"state":"perhaps"}`)
      yield* set("hello", `{"v":1,"state":"running"}`)
      expect(yield* mark(held.task, true)).toBe("Paused")
      yield* set("", `{"v":1,"state":"running"}`)
      expect(yield* mark(held.task, true)).toBe("Started")
      expect(yield* mark(first, true)).toBe("Started")
    }))

  test("a backfill runs as many at once as it may, each end has the next one start, and once only", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      const backfill = aBackfill(schedule)
      const make = repository.changeSchedule(schedule.id, undefined, (found) =>
        whileActive(found, ({ schedule }) => ({
          answer: { _tag: "Changed", schedule },
          backfill,
          inserts: backfillTasks(schedule, backfill)
        })))
      expect((yield* make).inserted).toHaveLength(5)
      expect((yield* make).inserted).toHaveLength(0)
      expect(Option.getOrUndefined(yield* repository.getBackfill(backfill.id))).toEqual(backfill)
      expect(yield* repository.listBackfills(schedule.id)).toEqual([backfill])
      expect(yield* repository.recall({ functionName: "hello", now: t0 + 1_000, limit: 10 })).toBe(0)
      const ran: Array<number> = []
      for (let round = 0; round < 10; round++) {
        const { tasks } = yield* claimAll(repository, lease, t0 + round)
        if (tasks.length === 0) break
        expect(tasks.length).toBeLessThanOrEqual(2)
        for (const task of tasks) {
          const run = yield* started(repository, lease, task, { now: t0 + round })
          ran.push(task.nominalAt)
          yield* repository.settle(lease, [{ ...succeeded(run.task, t0 + round), tells: true }])
        }
      }
      expect(ran).toEqual([0, 1, 2, 3, 4].map((k) => backfill.from + k * 10_000))
      expect(yield* repository.countBackfill(backfill)).toEqual({
        Scheduled: 0,
        Running: 0,
        Succeeded: 5,
        Failed: 0,
        Cancelled: 0,
        Skipped: 0
      })
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ runs: 1, cursor: t0 + 10_000 })
    }))

  test("more of a backfill than may run wait, whoever claims them", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { lease } = yield* stored(schedule)(repository)
      const backfill = aBackfill(schedule, { concurrency: 2 })
      const tasks = backfillTasks(schedule, backfill).map((task) => ({ ...task, claimableAt: t0 }))
      yield* repository.changeSchedule(schedule.id, { lease, until: farthest }, (found) =>
        whileActive(found, ({ schedule }) => ({ answer: { _tag: "Changed", schedule }, backfill, inserts: tasks })))
      const verdicts: Array<string> = []
      for (const { id } of tasks) {
        verdicts.push((yield* startOne(repository, lease, yield* mustGet(repository, id)))._tag)
      }
      expect(verdicts).toEqual(["Started", "Started", "Waits", "Waits", "Waits"])
    }))

  test("a backfill is cancelled with its live Tasks, and with nothing else", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      const [one, other] = [aBackfill(schedule), aBackfill(schedule, { from: t0 - 400_000, to: t0 - 350_000 })]
      for (const backfill of [one, other]) {
        yield* repository.changeSchedule(schedule.id, undefined, (found) =>
          whileActive(found, ({ schedule }) => ({
            answer: { _tag: "Changed", schedule },
            backfill,
            inserts: backfillTasks(schedule, backfill)
          })))
      }
      const cancel = repository.cancel(lease, { _tag: "Backfill", id: one.id }, t0 + 5)
      expect((yield* cancel).tasks.map((task) => task.cancelledBy)).toEqual(Array(5).fill("backfill"))
      expect((yield* cancel).tasks).toEqual([])
      expect(Option.getOrUndefined(yield* repository.getBackfill(one.id))?.cancelledAt).toBe(t0 + 5)
      expect(yield* repository.countBackfill(one)).toMatchObject({ Cancelled: 5, Scheduled: 0 })
      expect(yield* repository.countBackfill(other)).toMatchObject({ Cancelled: 0, Scheduled: 5 })
      expect((yield* mustGet(repository, first.id)).status).toBe("Scheduled")
    }))

  test("a schedule that is removed leaves its Tasks, and nothing of it goes on", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      const { task } = yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      const remove = repository.cancel(lease, { _tag: "Schedule", id: schedule.id, remove: true }, t0 + 1)
      expect((yield* remove).tasks.map(({ cancelledBy }) => cancelledBy)).toEqual(["schedule", "schedule"])
      expect((yield* remove).tasks).toEqual([])
      expect(Option.isNone(yield* repository.getSchedule(schedule.id))).toBe(true)
      expect(yield* repository.settle(lease, [succeeded(task, t0 + 2)])).toEqual([{ _tag: "Fenced" }])
      expect((yield* allTasks(repository)).map(({ status }) => status)).toEqual(["Cancelled", "Cancelled"])
      expect((yield* claimAll(repository, lease, t0 + 86_400_000)).tasks).toEqual([])
    }))

  test("tells who lives, and how many run", (repository) =>
    Effect.gen(function*() {
      const schedule = aSchedule()
      const { first, lease } = yield* stored(schedule)(repository)
      expect([yield* repository.isAlive(lease.instanceId), yield* repository.countRunning("hello")]).toEqual([true, 0])
      yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      const counted = Effect.all(["hello", "", "other", "\0"].map(repository.countRunning))
      expect(yield* counted).toEqual([1, 1, 0, 0])
      yield* repository.closeLease(lease)
      expect([yield* repository.isAlive(lease.instanceId), ...yield* counted]).toEqual([false, 0, 0, 0, 0])
    }))
}

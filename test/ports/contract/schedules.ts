import { expect } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { Recurrence } from "../../../src/domain/Recurrence.ts"
import {
  aSchedule,
  aScheduleId,
  aSpacedSchedule,
  aTarget,
  aTask,
  failed,
  occurrenceOf,
  retrying,
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
import type { Suite } from "./harness.ts"

export const schedulesContract = ({ open, test }: Suite): void => {
  test("stores a schedule with its first occurrence, claimed as insert does", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule({ tags: { team: "blue" }, payload: `{"a":1,"a":2}`, maxRuns: 7 })
      const first = occurrenceOf(schedule)
      const stored = yield* repository.insertSchedule(schedule, first, { lease, until: t0 })
      if (stored._tag !== "Inserted") return expect.fail(`expected Inserted, got ${stored._tag}`)
      expect(stored.schedule).toEqual(schedule)
      expect(stored.first).toMatchObject({ id: first.id, owner: lease.instanceId })
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual(schedule)
      expect(yield* mustGet(repository, first.id)).toEqual(stored.first)

      const later = aSchedule()
      const second = yield* repository.insertSchedule(later, occurrenceOf(later, t0 + 1), { lease, until: t0 })
      if (second._tag !== "Inserted") return expect.fail(`expected Inserted, got ${second._tag}`)
      expect(second.first.owner).toBeUndefined()
    }))

  test("is repeatable by id", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const first = occurrenceOf(schedule)
      const held = yield* insertedSchedule(repository, lease, schedule, first)
      yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      const now = yield* mustGetSchedule(repository, schedule.id)
      const again = yield* repository.insertSchedule({ ...schedule, name: "other" }, first, undefined)
      expect(again).toEqual({ _tag: "Present", schedule: now })
      expect((yield* repository.listSchedules({}, { limit: 10 })).items).toEqual([now])
      expect(yield* allTasks(repository)).toHaveLength(2)
    }))

  test("a schedule that was never stored is none", (repository) =>
    Effect.gen(function*() {
      expect(Option.isNone(yield* repository.getSchedule(aScheduleId()))).toBe(true)
    }))

  test("two schedules of one function stand side by side", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [a, b] = [aSchedule({ name: "a", payload: "1" }), aSchedule({ name: "b", payload: "2" })]
      const heldA = yield* insertedSchedule(repository, lease, a, occurrenceOf(a))
      const heldB = yield* insertedSchedule(repository, lease, b, occurrenceOf(b))
      const startedA = yield* started(repository, lease, heldA, { successor: successorOf(a, t0) })
      const startedB = yield* started(repository, lease, heldB, { successor: successorOf(b, t0) })
      expect([startedA.task.payload, startedB.task.payload]).toEqual(["1", "2"])
      expect((yield* mustGetSchedule(repository, a.id)).runs).toBe(1)
      expect((yield* mustGetSchedule(repository, b.id)).runs).toBe(1)
    }))

  test("an anchored occurrence's start stores its successor once, claimed by the writer", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const successor = { ...successorOf(schedule, t0), missed: 3 }
      const { next } = yield* started(repository, lease, held, { successor })
      expect(next).toMatchObject({ id: successor.task.id, status: "Scheduled", owner: lease.instanceId })
      expect(yield* mustGet(repository, successor.task.id)).toEqual(next)
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual({
        ...schedule,
        cursor: t0 + 10_000,
        runs: 1,
        missed: 3
      })
      // The same mark again, after a lost reply, and another successor of the same occurrence.
      const other = successorOf(schedule, t0)
      expect((yield* startOne(repository, lease, held, { successor: other }))._tag).toBe("Fenced")
      expect(Option.isNone(yield* repository.get(other.task.id))).toBe(true)
      expect(yield* allTasks(repository)).toHaveLength(2)
    }))

  test("the successor starts under the token that the verdict gave", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      yield* repository.settle(lease, [succeeded(first.task, t0 + 1)])
      const second = yield* started(repository, lease, first.next ?? held, {
        now: t0 + 10_000,
        successor: successorOf(schedule, t0 + 10_000)
      })
      expect(second.task.nominalAt).toBe(t0 + 10_000)
      expect(second.next?.nominalAt).toBe(t0 + 20_000)
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ runs: 2, cursor: t0 + 20_000 })
    }))

  test("a retry is no further run, and stores no further successor", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      const [retry] = yield* repository.settle(lease, [retrying(first.task, t0 + 10, { keep: true })])
      if (retry?._tag !== "Accepted") return expect.fail("expected Accepted")
      const again = yield* started(repository, lease, retry.task, { successor: successorOf(schedule, t0) })
      expect(again.next).toBeUndefined()
      expect(again.task.attempts).toHaveLength(2)
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ runs: 1, cursor: t0 + 10_000 })
      expect(yield* allTasks(repository)).toHaveLength(2)
    }))

  test("a successor that was planned under another revision or after another occurrence is not stored", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule({ revision: 4 })
      const stale = aSchedule({ revision: 4 })
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      // It may have been planned under a rule that no longer holds: it does not run before it is planned anew.
      const first = yield* startOne(repository, lease, held, {
        successor: { ...successorOf(schedule, t0), revision: 3 }
      })
      expect(first).toEqual({ _tag: "Fenced" })
      expect((yield* mustGetSchedule(repository, schedule.id)).cursor).toBe(t0)
      const again = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      expect(again.next).toMatchObject({ nominalAt: t0 + 10_000 })

      const elsewhere = yield* insertedSchedule(repository, lease, stale, occurrenceOf(stale, t0 - 10_000))
      const second = yield* started(repository, lease, elsewhere, { successor: successorOf(stale, t0 - 10_000) })
      expect(second.next).toBeUndefined()
      expect((yield* mustGetSchedule(repository, stale.id)).cursor).toBe(t0)
    }))

  test("an anchored schedule is Completed once maxRuns occurrences have started", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule({ maxRuns: 2 })
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      expect(first.next).toBeDefined()
      yield* repository.settle(lease, [succeeded(first.task, t0 + 1)])
      const second = yield* started(repository, lease, first.next ?? held, {
        now: t0 + 10_000,
        successor: successorOf(schedule, t0 + 10_000)
      })
      expect(second.next).toBeUndefined()
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ status: "Completed", runs: 2 })
      yield* repository.settle(lease, [succeeded(second.task, t0 + 10_001)])
      expect(yield* claimAll(repository, lease, t0 + 86_400_000)).toEqual({ tasks: [], nextAt: undefined })
    }))

  for (const maxRuns of [1, 2, 3]) {
    test(`a spaced schedule with maxRuns ${maxRuns} makes exactly as many occurrences`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const schedule = aSpacedSchedule({ maxRuns })
        let held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
        for (let run = 1; run <= maxRuns; run++) {
          const { next, task } = yield* started(repository, lease, held, { now: held.dueAt })
          expect(next).toBeUndefined()
          const ended = task.dueAt + 700
          const [verdict] = yield* repository.settle(lease, [
            succeeded(task, ended, successorOf(schedule, task.nominalAt, ended))
          ])
          if (verdict?._tag !== "Accepted") return expect.fail("expected Accepted")
          expect(verdict.next?.dueAt).toBe(run < maxRuns ? ended + 10_000 : undefined)
          held = verdict.next ?? held
        }
        expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ status: "Completed", runs: maxRuns })
        expect(yield* allTasks(repository)).toHaveLength(maxRuns)
      }))
  }

  test("a spaced occurrence's end stores its successor, once, also when it failed", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSpacedSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const { task } = yield* started(repository, lease, held)
      const successor = successorOf(schedule, t0, t0 + 2_000)
      const verdicts = yield* repository.settle(lease, [
        failed(task, t0 + 2_000, successor),
        failed(task, t0 + 2_000, successorOf(schedule, t0, t0 + 2_000))
      ])
      expect(verdicts).toMatchObject([
        { _tag: "Accepted", next: { id: successor.task.id, owner: lease.instanceId, dueAt: t0 + 12_000 } },
        { _tag: "Fenced" }
      ])
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ cursor: t0 + 12_000, runs: 1 })
      expect(yield* allTasks(repository)).toHaveLength(2)
    }))

  test("an anchored occurrence is skipped while another runs, and the rate goes on", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      const verdict = yield* startOne(repository, lease, first.next ?? held, {
        now: t0 + 10_000,
        successor: successorOf(schedule, t0 + 10_000)
      })
      expect(verdict).toMatchObject({
        _tag: "Skipped",
        task: { status: "Skipped", skipped: "overlap", owner: undefined, finishedAt: t0 + 10_000, attempts: [] },
        next: { nominalAt: t0 + 20_000, owner: lease.instanceId }
      })
      if (verdict._tag !== "Skipped") return expect.fail("expected Skipped")
      expect(verdict.task.token).toBeGreaterThan(first.next?.token ?? Infinity)
      expect(yield* mustGet(repository, verdict.task.id)).toEqual(verdict.task)
      // A skipped occurrence is no run.
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ runs: 1, cursor: t0 + 20_000 })

      yield* repository.settle(lease, [succeeded(first.task, t0 + 15_000)])
      const third = yield* started(repository, lease, verdict.next ?? held, {
        now: t0 + 20_000,
        successor: successorOf(schedule, t0 + 20_000)
      })
      expect(third.next?.nominalAt).toBe(t0 + 30_000)
      expect((yield* mustGetSchedule(repository, schedule.id)).runs).toBe(2)
    }))

  for (const order of ["the retry first", "the new occurrence first"] as const) {
    test(`an anchored occurrence is skipped while another waits for its retry (${order})`, (repository) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const schedule = aSchedule()
        const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
        const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
        const [retry] = yield* repository.settle(lease, [retrying(first.task, t0 + 10_000, { keep: true })])
        if (retry?._tag !== "Accepted" || first.next === undefined) return expect.fail("expected Accepted")
        const marks = [
          { id: retry.task.id, token: retry.task.token, successor: successorOf(schedule, t0) },
          { id: first.next.id, token: first.next.token, successor: successorOf(schedule, t0 + 10_000) }
        ]
        const verdicts = yield* repository.start(
          lease,
          order === "the retry first" ? marks : marks.reverse(),
          t0 + 10_000
        )
        const outcome = Object.fromEntries(
          verdicts.map((verdict) => "task" in verdict ? [verdict.task.id, verdict._tag] : ["", ""])
        )
        expect(outcome).toEqual({ [retry.task.id]: "Started", [first.next.id]: "Skipped" })
        expect((yield* mustGet(repository, retry.task.id)).attempts).toHaveLength(2)
        expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({ runs: 1, cursor: t0 + 20_000 })
      }))
  }

  test("a retry that was given back still counts as under way", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      yield* repository.settle(lease, [retrying(first.task, t0 + 60_000)])
      const verdict = yield* startOne(repository, lease, first.next ?? held, {
        now: t0 + 10_000,
        successor: successorOf(schedule, t0 + 10_000)
      })
      expect(verdict._tag).toBe("Skipped")
    }))

  test("overlap concerns one schedule: not its function, not a one-shot, not an occurrence that is over", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = aSchedule()
      const heldOther = yield* insertedSchedule(repository, lease, other, occurrenceOf(other))
      yield* started(repository, lease, heldOther, { successor: successorOf(other, t0) })
      yield* started(repository, lease, yield* insertedOne(repository, lease, aTask({ name: "ticks" })))

      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const first = yield* started(repository, lease, held, { successor: successorOf(schedule, t0) })
      yield* repository.cancel(lease, { _tag: "Task", id: held.id, successor: undefined }, t0 + 5_000)
      const second = yield* started(repository, lease, first.next ?? held, {
        now: t0 + 10_000,
        successor: successorOf(schedule, t0 + 10_000)
      })
      yield* repository.settle(lease, [failed(second.task, t0 + 10_001)])
      const third = yield* started(repository, lease, second.next ?? held, {
        now: t0 + 20_000,
        successor: successorOf(schedule, t0 + 20_000)
      })
      expect(third.task.status).toBe("Running")
    }))

  test("lists schedules, newest first, by every filter", (repository) =>
    Effect.gen(function*() {
      const schedules = [
        aSchedule({ createdAt: t0, name: "a", tags: { team: "blue", tier: "1" } }),
        aSchedule({ createdAt: t0 + 1, name: "b", tags: { team: "blue" }, function: aTarget("other") }),
        aSpacedSchedule({ createdAt: t0 + 2, name: "a", tags: { team: "red" } })
      ]
      for (const schedule of schedules) yield* repository.insertSchedule(schedule, occurrenceOf(schedule), undefined)
      const [first, second, third] = schedules
      const lease = yield* open(repository)
      yield* repository.cancel(lease, { _tag: "Schedule", id: third?.id ?? aScheduleId() }, t0)
      const found = (filter: Parameters<typeof repository.listSchedules>[0]) =>
        Effect.map(repository.listSchedules(filter, { limit: 10 }), (page) => page.items.map(({ id }) => id))
      expect(yield* found({})).toEqual([third?.id, second?.id, first?.id])
      expect(yield* found({ name: "a" })).toEqual([third?.id, first?.id])
      expect(yield* found({ functionName: "other" })).toEqual([second?.id])
      expect(yield* found({ status: ["Active"] })).toEqual([second?.id, first?.id])
      expect(yield* found({ status: ["Cancelled", "Completed"] })).toEqual([third?.id])
      expect(yield* found({ tags: { team: "blue" } })).toEqual([second?.id, first?.id])
      expect(yield* found({ tags: { team: "blue", tier: "1" } })).toEqual([first?.id])
      expect(yield* found({ tags: { constructor: "x" } })).toEqual([])
      expect(yield* found({ name: "a", status: ["Active"], tags: { team: "blue" } })).toEqual([first?.id])
      expect(yield* found({ name: "constructor" })).toEqual([])
    }))

  test("pages through schedules completely", (repository) =>
    Effect.gen(function*() {
      const schedules = Array.from({ length: 7 }, (_, index) => aSchedule({ createdAt: t0 + index }))
      for (const schedule of schedules) yield* repository.insertSchedule(schedule, occurrenceOf(schedule), undefined)
      const one = yield* repository.listSchedules({}, { limit: 3 })
      const two = yield* repository.listSchedules({}, { limit: 3, cursor: one.cursor })
      const three = yield* repository.listSchedules({}, { limit: 3, cursor: two.cursor })
      expect([one, two, three].flatMap(({ items }) => items)).toEqual([...schedules].reverse())
      expect(three.cursor).toBeUndefined()
      const refused = yield* Effect.either(repository.listSchedules({}, { limit: 3, cursor: "garbage" }))
      expect(refused).toMatchObject({ _tag: "Left", left: { _tag: "InvalidInput", reason: "CursorInvalid" } })
    }))

  test("finds an occurrence by its schedule", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [a, b] = [aSchedule(), aSchedule()]
      const held = yield* insertedSchedule(repository, lease, a, occurrenceOf(a))
      yield* insertedSchedule(repository, lease, b, occurrenceOf(b))
      const { next } = yield* started(repository, lease, held, { successor: successorOf(a, t0) })
      const page = yield* repository.list({ scheduleId: a.id }, { limit: 10 })
      expect(idsOf(page.items)).toEqual([next?.id, held.id])
    }))

  test("stores rules of all kinds with their limits, as they are", (repository) =>
    Effect.gen(function*() {
      const limits = { until: t0 + 86_400_000, jitter: 60_000 }
      const zoned = { v: 2, timeZone: "Europe/Stockholm", gap: "shift" } as const
      const rules: ReadonlyArray<Recurrence> = [
        { _tag: "Spaced", v: 1, interval: 10_000 },
        { _tag: "Spaced", v: 2, interval: 10_000, ...limits },
        { _tag: "Fixed", v: 1, interval: 10_000, anchor: -1 },
        { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, until: t0 },
        { _tag: "Cron", syntax: "unix", expression: "0 9 * * MON", overlap: "once", ...zoned },
        { _tag: "Cron", syntax: "eventbridge", expression: "0 9 ? * 2 *", overlap: "both", ...zoned, ...limits },
        { _tag: "Calendar", every: 2, unit: "month", from: 1_800_000_000, missingDay: "skip", ...zoned, jitter: 1 }
      ]
      for (const recurrence of rules) {
        const schedule = aSchedule({ recurrence })
        yield* repository.insertSchedule(schedule, occurrenceOf(schedule), undefined)
        expect(yield* mustGetSchedule(repository, schedule.id)).toEqual(schedule)
      }
    }))

  test("a rule that names no further occurrence completes its schedule with the start of the last", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const held = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const last = { task: undefined, missed: 0, revision: schedule.revision, claimUntil: Infinity }
      const { next, task } = yield* started(repository, lease, held, { successor: last })
      expect(next).toBeUndefined()
      expect(yield* mustGetSchedule(repository, schedule.id)).toEqual({ ...schedule, status: "Completed", runs: 1 })
      yield* repository.settle(lease, [succeeded(task, t0 + 1)])
      expect((yield* mustGet(repository, task.id)).status).toBe("Succeeded")
      expect(yield* claimAll(repository, lease, t0 + 86_400_000)).toEqual({ tasks: [], nextAt: undefined })

      const spaced = aSpacedSchedule()
      const only = yield* insertedSchedule(repository, lease, spaced, occurrenceOf(spaced))
      const running = yield* started(repository, lease, only)
      const [verdict] = yield* repository.settle(lease, [succeeded(running.task, t0 + 1, last)])
      expect(verdict).toMatchObject({ _tag: "Accepted", next: undefined })
      expect((yield* mustGetSchedule(repository, spaced.id)).status).toBe("Completed")
    }))

  test("an occurrence is claimed when it is due, whatever instant it is meant for", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule({ recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, jitter: 9_000 } })
      const late = { ...occurrenceOf(schedule), dueAt: t0 + 4_321, claimableAt: t0 + 4_321 }
      yield* repository.insertSchedule(schedule, late, undefined)
      expect(yield* claimAll(repository, lease, t0 + 4_320)).toEqual({ tasks: [], nextAt: t0 + 4_321 })
      const { tasks: [first] } = yield* claimAll(repository, lease, t0 + 4_321)
      expect(first).toMatchObject({ id: late.id, nominalAt: t0, dueAt: t0 + 4_321 })
      const planned = successorOf(schedule, t0, t0 + 4_321)
      const task = { ...planned.task, dueAt: t0 + 18_765, claimableAt: t0 + 18_765 }
      const { next } = yield* started(repository, lease, first ?? expect.fail("nothing was claimed"), {
        now: t0 + 4_321,
        successor: { ...planned, task }
      })
      expect(next).toMatchObject({ nominalAt: t0 + 10_000, dueAt: t0 + 18_765 })
      // The next is reckoned from what it is meant for.
      expect((yield* mustGetSchedule(repository, schedule.id)).cursor).toBe(t0 + 10_000)
    }))

  test("a weekly rule goes on from where the store has it, whoever asks and however seldom", (repository) =>
    Effect.gen(function*() {
      // Mondays at nine in Stockholm, over the night of 28 March 2027: an hour earlier by UTC from then on.
      const mondays = [15, 22, 29].map((day, week) => Date.UTC(2027, 2, day, week < 2 ? 8 : 7))
      const [first, second, third] = mondays as [number, number, number]
      const week = 7 * 86_400_000
      const schedule = aSchedule({
        cursor: first,
        recurrence: {
          _tag: "Cron",
          v: 2,
          syntax: "unix",
          expression: "0 9 * * MON",
          timeZone: "Europe/Stockholm",
          gap: "run-after",
          overlap: "default"
        }
      })
      yield* repository.insertSchedule(schedule, occurrenceOf(schedule), undefined)
      /** What an instance of its own finds due at an instant, run at once. */
      const lookAt = (now: number) =>
        Effect.gen(function*() {
          const lease = yield* open(repository)
          const { tasks } = yield* claimAll(repository, lease, now)
          for (const { id, nominalAt, token } of tasks) {
            const stored = yield* mustGetSchedule(repository, schedule.id)
            const successor = { ...successorOf(stored, nominalAt, now), claimUntil: -Infinity }
            const { task } = yield* started(repository, lease, { id, token }, { now, successor })
            yield* repository.settle(lease, [succeeded(task, now)])
          }
          yield* repository.closeLease(lease)
          return tasks.map(({ nominalAt }) => nominalAt)
        })
      const found: Array<number> = []
      for (let now = first - 86_400_000 + 1; now < third + 86_400_000; now += 86_400_000) {
        found.push(...(yield* lookAt(now)))
      }
      expect(found).toEqual([first, second, third])
      // Four weeks on: the one that was stored, the latest, and two that were missed.
      const later = third + 4 * week + 1
      expect([yield* lookAt(later), yield* lookAt(later), yield* lookAt(later)]).toEqual([
        [third + week],
        [third + 4 * week],
        []
      ])
      expect(yield* mustGetSchedule(repository, schedule.id)).toMatchObject({
        cursor: third + 5 * week,
        runs: 5,
        missed: 2
      })
    }))
}

/**
 * Random sequences of calls by several instances, some of them dead or stale, against the reference. After every call
 * the whole store must be what the reference says: nothing lost (I01), nothing made up or risen again (I02), no start
 * after a cancel (I10), attempts numbered one by one (I12, I19), legal steps only (I20), one owner at the most, and
 * tokens that only grow.
 */
import { expect, it } from "@effect/vitest"
import { Effect, TestContext } from "effect"
import * as fc from "fast-check"
import type { InstanceId } from "../../../src/domain/Ids.ts"
import type { RedriveTask, ScheduledTask, Task } from "../../../src/domain/Task.ts"
import type { SettledTo } from "../../../src/domain/TaskLifecycle.ts"

import type { CancelTarget, Lease } from "../../../src/ports/TaskRepository.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Followed } from "../../support/builders.ts"
import {
  allEnded,
  anEnd,
  anInstanceId,
  aSchedule,
  aTarget,
  aTask,
  occurrenceOf,
  successorOf,
  t0,
  toFailed,
  toRetry,
  toSucceeded
} from "../../support/builders.ts"
import { allTasks, idsOf, mustGetSchedule, tasksOf } from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"
import type { ExpectedTask } from "./model.ts"
import { isLive, isUnderWay, Model } from "./model.ts"

/** No lease ends by time here: they die by the calls. */
const longLease = 3_600_000

const slot = fc.nat(2)
const which = fc.nat(1_000)
const functionName = fc.constantFrom("a", "b")
const delay = fc.nat(20_000)
/** Mostly the right token; now and then a stale or a forged one. */
const tokenOff = fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1) })

const weighted = <A>(weight: number, arbitrary: fc.Arbitrary<A>) => ({ weight, arbitrary })

const call = fc.oneof(
  weighted(
    4,
    fc.record({
      _tag: fc.constant("insert" as const),
      slot,
      functionName,
      delays: fc.array(delay, { minLength: 1, maxLength: 4 }),
      claim: fc.boolean()
    })
  ),
  weighted(
    2,
    fc.record({
      _tag: fc.constant("insertSchedule" as const),
      slot,
      functionName,
      rule: fc.constantFrom("Fixed" as const, "Spaced" as const),
      maxRuns: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined })
    })
  ),
  weighted(1, fc.record({ _tag: fc.constant("insertAgain" as const), which })),
  weighted(
    6,
    fc.record({
      _tag: fc.constant("claimDue" as const),
      slot,
      ahead: fc.constantFrom(0, 5_000),
      limit: fc.integer({ min: 1, max: 6 }),
      exclude: fc.subarray(["a", "b"], { maxLength: 1 })
    })
  ),
  weighted(12, fc.record({ _tag: fc.constant("start" as const), slot, which, tokenOff, anyones: fc.nat(9) })),
  weighted(
    10,
    fc.record({
      _tag: fc.constant("settle" as const),
      slot,
      which,
      tokenOff,
      anyones: fc.nat(9),
      to: fc.constantFrom("Succeeded" as const, "Failed" as const, "Retry" as const, "Keep" as const),
      delay
    })
  ),
  weighted(2, fc.record({ _tag: fc.constant("release" as const), slot, which, tokenOff, delay })),
  weighted(
    2,
    fc.record({
      _tag: fc.constant("defer" as const),
      functionName,
      delay,
      step: fc.constantFrom(0, 700),
      limit: fc.integer({ min: 1, max: 4 })
    })
  ),
  weighted(3, fc.record({ _tag: fc.constant("recall" as const), functionName, limit: fc.integer({ min: 1, max: 4 }) })),
  weighted(
    2,
    fc.record({
      _tag: fc.constant("cancel" as const),
      slot,
      which,
      target: fc.oneof(
        weighted(5, fc.constant("Task" as const)),
        weighted(2, fc.constant("Schedule" as const)),
        weighted(1, fc.constantFrom("Function" as const, "Named" as const))
      )
    })
  ),
  weighted(1, fc.record({ _tag: fc.constant("die" as const), slot })),
  weighted(2, fc.record({ _tag: fc.constant("reboot" as const), slot })),
  weighted(2, fc.record({ _tag: fc.constant("reap" as const), slot })),
  weighted(1, fc.record({ _tag: fc.constant("reconcile" as const), slot, knows: fc.boolean() })),
  weighted(1, fc.record({ _tag: fc.constant("prune" as const), keepFailed: fc.boolean() })),
  weighted(7, fc.record({ _tag: fc.constant("redrive" as const), slot, which, anyones: fc.nat(3) })),
  weighted(2, fc.record({ _tag: fc.constant("purge" as const), functionName, redriven: fc.boolean() })),
  weighted(4, fc.record({ _tag: fc.constant("pass" as const), millis: delay }))
)
type Call = typeof call extends fc.Arbitrary<infer A> ? A : never
type CallOf<Tag extends Call["_tag"]> = Extract<Call, { readonly _tag: Tag }>

const run = Effect.fnUntraced(function*(repository: Repository, calls: ReadonlyArray<Call>, seen: Set<string>) {
  const model = new Model()
  const slots: Array<Lease> = []
  const seenTasks = new Map<string, Task>()
  let now = t0

  const reboot = Effect.fnUntraced(function*(index: number) {
    const lease = yield* repository.openLease(anInstanceId(), longLease)
    model.alive.add(lease.instanceId)
    slots[index] = lease
  })
  for (let index = 0; index < 3; index++) yield* reboot(index)

  const leaseOf = (index: number): Lease => slots[index] ?? expect.fail("no such slot")

  /** A Task that is there: mostly one that this instance owns. */
  const pick = (which: number, owner: InstanceId | undefined, status?: Task["status"]): ExpectedTask | undefined => {
    const all = [...model.tasks.values()]
    const own = all.filter((task) => task.owner === owner && (status === undefined || task.status === status))
    const from = owner === undefined || own.length === 0 ? all : own
    return from[which % from.length]
  }

  const successor = (task: ExpectedTask): Followed | undefined => {
    const rule = model.scheduleOf(task)?.rule
    return rule && successorOf(rule, task.nominalAt, now)
  }

  /** A successor must be there exactly if the reference says so; a dead writer's may have been left unclaimed. */
  const follow = (task: ExpectedTask, planned: Followed | undefined, next: ScheduledTask | undefined, by: Lease) => {
    if (!model.follows(task, planned)) return expect(next).toBeUndefined()
    expect(next?.id).toBe(planned?.task.id)
    if (next === undefined) return
    if (model.alive.has(by.instanceId)) expect(next.owner).toBe(by.instanceId)
    model.insert(next, next.owner)
  }

  const steps: { readonly [Tag in Call["_tag"]]: (call: CallOf<Tag>) => Effect.Effect<void, unknown> } = {
    insert: Effect.fnUntraced(function*({ claim, delays, functionName, slot }) {
      const lease = leaseOf(slot)
      const tasks = delays.map((delay) =>
        aTask({
          createdAt: now,
          dueAt: now + delay - 2_000,
          function: aTarget(functionName),
          name: `of ${functionName}`
        })
      )
      const until = now + 5_000
      const verdicts = yield* repository.insert(tasks, claim ? { lease, until } : undefined)
      expect(verdicts.map(({ _tag }) => _tag)).toEqual(tasks.map(() => "Inserted"))
      const stored = tasksOf(verdicts)
      expect(idsOf(stored)).toEqual(idsOf(tasks))
      for (const [index, task] of tasks.entries()) {
        const claimed = claim && task.claimableAt <= until
        const owner = stored[index]?.owner
        if (model.alive.has(lease.instanceId) || !claimed) expect(owner).toBe(claimed ? lease.instanceId : undefined)
        model.insert(task, owner)
      }
    }),
    insertSchedule: Effect.fnUntraced(function*({ functionName, maxRuns, rule, slot }) {
      const schedule = aSchedule({
        createdAt: now,
        name: `of ${functionName}`,
        function: aTarget(functionName),
        maxRuns,
        recurrence: rule === "Fixed"
          ? { _tag: "Fixed", v: 1, interval: 7_000, anchor: now }
          : { _tag: "Spaced", v: 1, interval: 7_000 }
      })
      const first = occurrenceOf(schedule)
      const stored = yield* repository.insertSchedule(schedule, first, { lease: leaseOf(slot), until: now })
      if (stored._tag !== "Inserted") return expect.fail(`expected Inserted, got ${stored._tag}`)
      model.schedules.set(schedule.id, { rule: schedule, status: "Active", cursor: schedule.cursor, runs: 0 })
      model.insert(first, stored.first.owner)
    }),
    insertAgain: Effect.fnUntraced(function*({ which }) {
      const task = pick(which, undefined)
      if (task === undefined) return
      const [verdict] = yield* repository.insert([aTask({ id: task.id })], { lease: leaseOf(0), until: now })
      expect(verdict).toMatchObject({ _tag: "Present", task: { id: task.id, status: task.status } })
    }),
    claimDue: Effect.fnUntraced(function*({ ahead, exclude, limit, slot }) {
      const lease = leaseOf(slot)
      const request = { lease, now, ahead, limit, excludeFunctions: exclude }
      if (!model.alive.has(lease.instanceId)) {
        const claimed = yield* Effect.either(repository.claimDue(request))
        expect(claimed._tag === "Right" ? claimed.right.tasks : []).toEqual([])
        return
      }
      const due = model.free()
        .filter((task) => task.claimableAt <= now + ahead && !exclude.includes(task.functionName))
        .slice(0, limit)
      const claimed = yield* repository.claimDue(request)
      expect(idsOf(claimed)).toEqual(due.map(({ id }) => id))
      for (const task of due) task.owner = lease.instanceId
      if (exclude.length === 0) expect(claimed.nextAt).toBe(model.free()[0]?.claimableAt)
      if (due.length > 0) seen.add("claimed")
    }),
    start: Effect.fnUntraced(function*({ anyones, slot, tokenOff, which }) {
      const lease = leaseOf(slot)
      const task = pick(which, anyones === 0 ? undefined : lease.instanceId, "Scheduled")
      if (task === undefined) return
      const token = task.token + tokenOff
      const planned = model.scheduleOf(task)?.rule.recurrence._tag === "Fixed" ? successor(task) : undefined
      const expected = model.judgeStart(task, lease.instanceId, token)
      const [verdict] = yield* repository.start(lease, [{ id: task.id, token, successor: planned }], now)
      expect(verdict?._tag).toBe(expected)
      seen.add(`start ${expected}`)
      if (verdict === undefined || !("next" in verdict)) return
      if (verdict._tag === "Started") model.started(task)
      else model.finished(task, "Skipped")
      follow(task, planned, verdict.next, lease)
    }),
    settle: Effect.fnUntraced(function*({ anyones, delay, slot, to, tokenOff, which }) {
      const lease = leaseOf(slot)
      const task = pick(which, anyones === 0 ? undefined : lease.instanceId, "Running")
      if (task === undefined) return
      const token = task.token + tokenOff
      const accepted = task.status === "Running" && task.owner === lease.instanceId && task.token === token
      const retries = to === "Retry" || to === "Keep"
      const planned = retries || model.scheduleOf(task)?.rule.recurrence._tag !== "Spaced" ? undefined : successor(task)
      const goes: SettledTo = retries
        ? toRetry(now + delay, to === "Keep")
        : to === "Failed"
        ? toFailed()
        : toSucceeded()
      const [verdict] = yield* repository.settle(lease, [
        {
          id: task.id,
          token,
          end: anEnd(to === "Succeeded" ? "succeeded" : "failed", now),
          to: goes,
          successor: planned
        }
      ])
      expect(verdict?._tag).toBe(accepted ? "Accepted" : "Fenced")
      seen.add(accepted ? `settled ${to}` : "settle Fenced")
      if (verdict === undefined || verdict._tag === "Fenced") return
      if (retries) {
        task.status = "Scheduled"
        task.owner = to === "Keep" ? task.owner : undefined
        task.dueAt = now + delay
        task.claimableAt = now + delay
      } else model.finished(task, to)
      follow(task, planned, verdict.next, lease)
    }),
    release: Effect.fnUntraced(function*({ delay, slot, tokenOff, which }) {
      const lease = leaseOf(slot)
      const task = pick(which, lease.instanceId)
      if (task === undefined) return
      const token = task.token + tokenOff
      yield* repository.release(lease, [{ id: task.id, token }], now + delay)
      if (task.status !== "Scheduled" || task.owner !== lease.instanceId || task.token !== token) return
      task.owner = undefined
      task.claimableAt = Math.max(now + delay, task.dueAt)
      seen.add("released")
    }),
    defer: Effect.fnUntraced(function*({ delay, functionName, limit, step }) {
      const due = model.free().filter((task) => task.functionName === functionName && task.claimableAt <= now)
        .slice(0, limit)
      const from = now + delay
      expect(yield* repository.defer({ functionName, now, from, step, limit })).toBe(due.length)
      for (const [place, task] of due.entries()) task.claimableAt = from + place * step
      if (due.length > 0) seen.add("deferred")
    }),
    recall: Effect.fnUntraced(function*({ functionName, limit }) {
      const waiting = model.free()
        .filter((task) => task.functionName === functionName && task.claimableAt > now && task.dueAt <= now)
        .slice(0, limit)
      expect(yield* repository.recall({ functionName, now, limit })).toBe(waiting.length)
      for (const task of waiting) task.claimableAt = now
      if (waiting.length > 0) seen.add("recalled")
    }),
    cancel: Effect.fnUntraced(function*({ slot, target, which }) {
      const lease = leaseOf(slot)
      const task = pick(which, undefined)
      if (task === undefined || (target === "Schedule" && task.scheduleId === undefined)) return
      const planned = target === "Task" ? successor(task) : undefined
      const targets: Record<typeof target, () => CancelTarget> = {
        Task: () => ({ _tag: "Task", id: task.id, successor: planned }),
        Schedule: () => ({ _tag: "Schedule", id: task.scheduleId ?? expect.fail("no schedule") }),
        Function: () => ({ _tag: "Function", name: task.functionName }),
        Named: () => ({ _tag: "Named", name: task.name })
      }
      const reached = (other: ExpectedTask): boolean =>
        isLive(other) && {
          Task: other.id === task.id,
          Schedule: other.scheduleId === task.scheduleId,
          Function: other.functionName === task.functionName,
          Named: other.name === task.name
        }[target]
      const hit = [...model.tasks.values()].filter(reached)
      const answer = yield* repository.cancel(lease, targets[target](), now)
      expect(new Set(idsOf(answer.tasks))).toEqual(new Set(hit.map(({ id }) => id)))
      for (const each of hit) {
        if (each.status === "Running") seen.add("cancelled while it ran")
        model.finished(each, "Cancelled")
      }
      if (target === "Task") {
        if (hit.length === 0) return void expect(answer.next).toBeUndefined()
        follow(task, planned, answer.next, lease)
        return model.freed(task, now)
      }
      expect(answer.next).toBeUndefined()
      for (const schedule of model.schedules.values()) {
        const { rule } = schedule
        const named = {
          Schedule: rule.id === task.scheduleId,
          Function: rule.function.name === task.functionName,
          Named: rule.name === task.name
        }[target]
        if (named && schedule.status === "Active") schedule.status = "Cancelled"
      }
    }),
    die: Effect.fnUntraced(function*({ slot }) {
      yield* repository.closeLease(leaseOf(slot))
      model.alive.delete(leaseOf(slot).instanceId)
    }),
    reboot: ({ slot }) => reboot(slot),
    reap: Effect.fnUntraced(function*({ slot }) {
      const lease = leaseOf(slot)
      if (!model.alive.has(lease.instanceId)) return
      const dead = model.live().filter(({ owner }) => owner !== undefined && !model.alive.has(owner))
      const { orphans, released } = yield* repository.reap(lease, 10_000)
      expect(released).toBe(dead.filter(({ status }) => status === "Scheduled").length)
      expect(new Set(idsOf(orphans)))
        .toEqual(new Set(dead.filter(({ status }) => status === "Running").map(({ id }) => id)))
      for (const task of dead) task.owner = task.status === "Running" ? lease.instanceId : undefined
      if (orphans.length > 0) seen.add("orphans")
      if (released > 0) seen.add("freed")
    }),
    reconcile: Effect.fnUntraced(function*({ knows, slot }) {
      const lease = leaseOf(slot)
      if (!model.alive.has(lease.instanceId)) return
      const own = model.live().filter(({ owner }) => owner === lease.instanceId)
      const known = new Set(knows ? own.map(({ id }) => id) : [])
      const { orphans, released } = yield* repository.reconcile(lease, yield* repository.forgotten(lease, known))
      const forgotten = knows ? [] : own
      expect(released).toBe(forgotten.filter(({ status }) => status === "Scheduled").length)
      expect(new Set(idsOf(orphans)))
        .toEqual(new Set(forgotten.filter(({ status }) => status === "Running").map(({ id }) => id)))
      for (const task of forgotten) if (task.status === "Scheduled") task.owner = undefined
      if (forgotten.length > 0) seen.add("reconciled")
    }),
    prune: Effect.fnUntraced(function*({ keepFailed }) {
      const over = [...model.tasks.values()].filter((task) =>
        !isLive(task) && !(keepFailed && task.status === "Failed")
      )
      const bounds = keepFailed ? { failedMaxAge: Number.MAX_SAFE_INTEGER, failedMaxCount: 10_000 } : {}
      expect(yield* repository.prune({ ...allEnded(now, 10_000), ...bounds })).toBe(over.length)
      for (const { id } of over) model.tasks.delete(id)
      if (over.length > 0) seen.add("pruned")
    }),
    redrive: Effect.fnUntraced(function*({ anyones, slot, which }) {
      const lease = leaseOf(slot)
      const failed = [...model.tasks.values()].filter(({ status }) => status === "Failed")
      const task = anyones === 0 ? pick(which, undefined) : failed[which % failed.length]
      if (task === undefined) return
      const again: RedriveTask = {
        ...aTask({ createdAt: now, function: aTarget(task.functionName), name: task.name }),
        redriveOf: task.id
      }
      const [verdict] = yield* repository.redrive([again], { lease, until: now })
      if (task.status !== "Failed") {
        expect(verdict).toEqual({ _tag: "NotFailed", status: task.status })
        return
      }
      const before = task.redrivenAs === undefined ? undefined : model.tasks.get(task.redrivenAs)
      if (before !== undefined) {
        expect(verdict).toMatchObject({ _tag: "Present", task: { id: before.id, status: before.status } })
        seen.add("redriven before")
      } else if (task.redrivenAs !== undefined) {
        expect(verdict).toEqual({ _tag: "Gone", id: task.redrivenAs })
      } else {
        if (verdict?._tag !== "Redriven") return expect.fail(`expected Redriven, got ${verdict?._tag}`)
        expect(verdict.task).toMatchObject({ id: again.id, redriveOf: task.id })
        if (model.alive.has(lease.instanceId)) expect(verdict.task.owner).toBe(lease.instanceId)
        task.redrivenAs = again.id
        model.insert(again, verdict.task.owner)
        seen.add("redriven")
      }
    }),
    purge: Effect.fnUntraced(function*({ functionName, redriven }) {
      const over = [...model.tasks.values()].filter((task) =>
        task.status === "Failed" && task.functionName === functionName && (task.redrivenAs !== undefined) === redriven
      )
      const filter = { functionName, redriven }
      expect(yield* repository.count(filter)).toBe(over.length)
      expect(yield* repository.purge({ filter, now, limit: 10_000 })).toBe(over.length)
      for (const { id } of over) model.tasks.delete(id)
      if (over.length > 0) seen.add("purged")
    }),
    pass: ({ millis }) => Effect.sync(() => void (now += millis))
  }

  /** The store against the reference, and against what it was before the call. */
  const compare = Effect.fnUntraced(function*() {
    const stored = yield* allTasks(repository)
    expect(new Set(idsOf(stored))).toEqual(new Set(model.tasks.keys()))
    expect(stored).toHaveLength(model.tasks.size)
    for (const task of stored) {
      const expected = model.tasks.get(task.id) ?? expect.fail("a Task that nobody asked for")
      const { attempts, claimableAt, dueAt, owner, status } = task
      expect({ status, owner, dueAt, claimableAt, attempts: attempts.map(({ number }) => number) }).toEqual({
        status: expected.status,
        owner: expected.owner,
        dueAt: expected.dueAt,
        claimableAt: expected.claimableAt,
        attempts: Array.from({ length: expected.attempts }, (_, index) => index + 1)
      })
      const before = seenTasks.get(task.id)
      if (before !== undefined) {
        expect(task.token).toBeGreaterThanOrEqual(before.token)
        const changedHands = before.owner !== task.owner && task.status !== "Succeeded" && task.status !== "Failed"
        const changedIntent = before.status !== task.status &&
          (task.status === "Cancelled" || task.status === "Skipped" || task.status === "Scheduled")
        if (changedHands || changedIntent) expect(task.token).toBeGreaterThan(before.token)
        const ended = before.attempts.filter((attempt) => attempt.ended !== undefined)
        expect(attempts.slice(0, ended.length)).toEqual(ended)
        if (!["Scheduled", "Running"].includes(before.status)) {
          const { redrivenAs } = expected
          expect(task).toEqual(before.status === "Failed" ? { ...before, redrivenAs } : before)
        }
      }
      seenTasks.set(task.id, task)
      expected.token = task.token
    }
    for (const { cursor, rule, runs, status } of model.schedules.values()) {
      expect(yield* mustGetSchedule(repository, rule.id)).toMatchObject({ cursor, runs, status })
      if (status === "Completed") seen.add("completed")
      const occurrences = [...model.tasks.values()].filter(({ scheduleId }) => scheduleId === rule.id)
      expect(new Set(occurrences.map(({ nominalAt }) => nominalAt)).size).toBe(occurrences.length)
      if (rule.recurrence._tag === "Fixed") expect(occurrences.filter(isUnderWay).length).toBeLessThanOrEqual(1)
      // At any moment a live schedule has its next occurrence, or the one that will bring it.
      if (status === "Active") expect(occurrences.some((task) => isLive(task) && task.nominalAt === cursor)).toBe(true)
    }
  })

  for (const each of calls) {
    yield* (steps[each._tag] as (call: Call) => Effect.Effect<void, unknown>)(each)
    yield* compare()
  }
})

/** Without each of these a run of the property would show too little. */
const mustHaveBeenSeen = [
  "claimed",
  "start Started",
  "start Skipped",
  "start Fenced",
  "settled Succeeded",
  "settled Failed",
  "settled Retry",
  "settled Keep",
  "settle Fenced",
  "released",
  "cancelled while it ran",
  "orphans",
  "freed",
  "reconciled",
  "pruned",
  "deferred",
  "recalled",
  "redriven",
  "redriven before",
  "purged",
  "completed"
]

export const randomCallsContract = ({ harness }: Suite): void => {
  it("leave the store as the reference says, call by call", async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 80, size: "max" }), (calls) => {
        const body = Effect.flatMap(TaskRepository, (repository) => run(repository, calls, seen)).pipe(
          Effect.provide(harness.layer)
        )
        return Effect.runPromise(harness.clock === "test" ? Effect.provide(body, TestContext.TestContext) : body)
      }),
      { numRuns: harness.randomRuns, seed: 20_270_504 }
    )
    // A few runs need not come across everything.
    if (harness.randomRuns >= 100) expect([...seen].sort()).toEqual([...mustHaveBeenSeen].sort())
    else expect(seen.size).toBeGreaterThan(4)
  }, 120_000)
}

import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type { TaskId } from "../../../src/domain/Ids.ts"
import { anInstanceId, aTask, retrying, succeeded, t0 } from "../../support/builders.ts"
import { claimAll, idsOf, inserted, insertedOne, mustGet, started, startOne, tasksOf } from "./harness.ts"
import type { Suite } from "./harness.ts"

export const leasesContract = ({ end, harness, open, test }: Suite): void => {
  const { leaseDuration } = harness

  test("a heartbeat keeps a lease for as long as it comes in time", (repository) =>
    Effect.gen(function*() {
      const instanceId = anInstanceId()
      let lease = yield* repository.openLease(instanceId, leaseDuration)
      expect(lease.instanceId).toBe(instanceId)
      const held = yield* insertedOne(repository, lease, aTask())
      for (let beat = 0; beat < 3; beat++) {
        yield* harness.elapse(leaseDuration / 2)
        const renewed = yield* repository.renewLease(lease, leaseDuration)
        expect(renewed.instanceId).toBe(instanceId)
        expect(renewed.expiresAt === Infinity || renewed.expiresAt > lease.expiresAt).toBe(true)
        lease = renewed
      }
      expect((yield* startOne(repository, lease, held))._tag).toBe("Started")
    }))

  test("a renewed lease is judged by its renewal, whichever copy of it is shown", (repository) =>
    Effect.gen(function*() {
      const first = yield* repository.openLease(anInstanceId(), leaseDuration)
      const held = yield* insertedOne(repository, first, aTask())
      yield* harness.elapse(leaseDuration / 2)
      yield* repository.renewLease(first, leaseDuration)
      yield* harness.elapse(leaseDuration / 2 + 1)
      expect((yield* startOne(repository, first, held))._tag).toBe("Started")
    }))

  test("a lease ends by time, and is never revived", (repository) =>
    Effect.gen(function*() {
      const lease = yield* repository.openLease(anInstanceId(), leaseDuration)
      if (Number.isFinite(lease.expiresAt)) yield* harness.elapse(leaseDuration + 1)
      else yield* repository.closeLease(lease)
      for (let attempt = 0; attempt < 2; attempt++) {
        const renewed = yield* Effect.either(repository.renewLease(lease, leaseDuration))
        expect(renewed).toMatchObject({ _tag: "Left", left: { _tag: "TaskRepositoryError", reason: "LeaseLost" } })
      }
    }))

  test("a closed lease is not renewed, and closing it again is fine", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      yield* repository.closeLease(lease)
      yield* repository.closeLease(lease)
      const renewed = yield* Effect.either(repository.renewLease(lease, leaseDuration))
      expect(renewed).toMatchObject({ _tag: "Left", left: { reason: "LeaseLost" } })
    }))

  test("a lease that was never opened is not renewed", (repository) =>
    Effect.gen(function*() {
      const renewed = yield* Effect.either(
        repository.renewLease({ instanceId: anInstanceId(), expiresAt: Infinity }, leaseDuration)
      )
      expect(renewed).toMatchObject({ _tag: "Left", left: { reason: "LeaseLost" } })
    }))

  test("what a closed lease held is free after a reap", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const held = yield* insertedOne(repository, lease, aTask())
      yield* repository.closeLease(lease)
      expect((yield* startOne(repository, lease, held))._tag).toBe("Fenced")
      yield* repository.reap(other, 100)
      expect(idsOf(yield* claimAll(repository, other))).toEqual([held.id])
    }))

  test("reap takes nothing from the living", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const [waiting, begun] = yield* inserted(repository, lease, [aTask(), aTask()])
      if (waiting === undefined || begun === undefined) return expect.fail("two were inserted")
      const { task } = yield* started(repository, lease, begun)
      const mine = yield* insertedOne(repository, other, aTask())
      expect(yield* repository.reap(other, 100)).toEqual({ released: 0, orphans: [], ended: 0 })
      expect(yield* mustGet(repository, waiting.id)).toEqual(waiting)
      expect(yield* mustGet(repository, task.id)).toEqual(task)
      expect(yield* mustGet(repository, mine.id)).toEqual(mine)
    }))

  test("reap frees what a dead owner had claimed and hands over what it ran", (repository) =>
    Effect.gen(function*() {
      const dead = yield* open(repository)
      const [waiting, begun, kept] = yield* inserted(repository, dead, [aTask(), aTask(), aTask()])
      if (waiting === undefined || begun === undefined || kept === undefined) return expect.fail("three were inserted")
      const { task: running } = yield* started(repository, dead, begun)
      const { task: again } = yield* started(repository, dead, kept)
      const [retry] = yield* repository.settle(dead, [retrying(again, t0 + 5, { keep: true })])
      if (retry?._tag !== "Accepted") return expect.fail("expected Accepted")
      const finished = yield* started(repository, dead, yield* insertedOne(repository, dead, aTask()))
      yield* repository.settle(dead, [succeeded(finished.task)])
      yield* end(repository, dead)

      const lease = yield* open(repository)
      const { ended, orphans } = yield* repository.reap(lease, 100)
      expect(ended).toBe(1)
      expect(orphans).toHaveLength(1)
      const [orphan] = orphans
      expect(orphan).toMatchObject({ id: running.id, status: "Running", owner: lease.instanceId })
      expect(orphan?.attempts).toEqual(running.attempts)
      expect(orphan?.token).toBeGreaterThan(running.token)
      expect(yield* mustGet(repository, running.id)).toEqual(orphan)
      for (const before of [waiting, retry.task]) {
        const freed = yield* mustGet(repository, before.id)
        expect(freed).toMatchObject({ status: "Scheduled", owner: undefined })
        expect(freed.token).toBeGreaterThan(before.token)
      }
      expect((yield* startOne(repository, dead, waiting))._tag).toBe("Fenced")
      expect(new Set(idsOf(yield* claimAll(repository, lease, t0 + 5)))).toEqual(new Set([waiting.id, kept.id]))
      expect(yield* repository.reap(lease, 100)).toEqual({ released: 0, orphans: [], ended: 0 })
      expect((yield* mustGet(repository, finished.task.id)).status).toBe("Succeeded")
    }))

  test("reap counts what it frees", (repository) =>
    Effect.gen(function*() {
      const ghost = { instanceId: anInstanceId(), expiresAt: Infinity }
      const lease = yield* open(repository)
      const verdicts = yield* repository.insert([aTask(), aTask(), aTask()], { lease: ghost, until: t0 })
      const claimed = tasksOf(verdicts).filter(({ owner }) => owner !== undefined).length
      expect(yield* repository.reap(lease, 100)).toEqual({ released: claimed, orphans: [], ended: 0 })
    }))

  test("an owner without any lease is as dead as one whose lease has ended", (repository) =>
    Effect.gen(function*() {
      const ghost = { instanceId: anInstanceId(), expiresAt: Infinity }
      const tasks = [aTask(), aTask()]
      yield* repository.insert(tasks, { lease: ghost, until: t0 })
      const lease = yield* open(repository)
      yield* repository.reap(lease, 100)
      expect(idsOf(yield* claimAll(repository, lease))).toEqual(idsOf(tasks))
    }))

  test("reap takes up to its limit, and the rest the next time", (repository) =>
    Effect.gen(function*() {
      const dead = yield* open(repository)
      const held = yield* inserted(repository, dead, Array.from({ length: 9 }, () => aTask()))
      for (const task of held.slice(0, 4)) yield* started(repository, dead, task)
      yield* end(repository, dead)
      const lease = yield* open(repository)
      const orphans: Array<TaskId> = []
      for (let round = 0; round < 9; round++) {
        const reaped = yield* repository.reap(lease, 2)
        expect(reaped.orphans.length + reaped.released).toBeLessThanOrEqual(2)
        orphans.push(...idsOf(reaped.orphans))
      }
      expect(new Set(orphans)).toEqual(new Set(idsOf(held.slice(0, 4))))
      expect(orphans).toHaveLength(4)
      expect(idsOf(yield* claimAll(repository, lease))).toEqual(idsOf(held.slice(4)))
    }))

  test("two reapers get each orphan once", (repository) =>
    Effect.gen(function*() {
      const dead = yield* open(repository)
      const held = yield* inserted(repository, dead, Array.from({ length: 20 }, () => aTask()))
      for (const task of held) yield* started(repository, dead, task)
      yield* end(repository, dead)
      const leases = yield* Effect.all([open(repository), open(repository), open(repository)])
      const reaped = yield* Effect.forEach(leases, (lease) => repository.reap(lease, 100), { concurrency: "unbounded" })
      const ids = reaped.flatMap(({ orphans }) => idsOf(orphans))
      expect(ids).toHaveLength(20)
      expect(new Set(ids)).toEqual(new Set(idsOf(held)))
      for (const [index, { orphans }] of reaped.entries()) {
        for (const orphan of orphans) expect(orphan.owner).toBe(leases[index]?.instanceId)
      }
    }))

  test("who asks is told which Tasks have been cancelled", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const [held, runs, ended, cancelled] = yield* inserted(repository, lease, [aTask(), aTask(), aTask(), aTask()])
      if (held === undefined || runs === undefined || ended === undefined || cancelled === undefined) {
        return expect.fail("four were inserted")
      }
      yield* started(repository, lease, runs)
      const done = yield* started(repository, lease, ended)
      yield* repository.settle(lease, [succeeded(done.task)])
      yield* started(repository, lease, cancelled)
      yield* repository.cancel(other, { _tag: "Task", id: cancelled.id, successor: undefined }, t0)
      const never = aTask()
      const asked = [held, runs, ended, cancelled, never].map(({ id }) => id)
      expect(new Set(yield* repository.cancelledOf(asked))).toEqual(new Set([cancelled.id]))
      expect(yield* repository.cancelledOf([])).toEqual([])
    }))

  test("reconcile frees what the caller owns and does not know of, and nothing else", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const other = yield* open(repository)
      const [known, forgotten, begun, knownBegun] = yield* inserted(
        repository,
        lease,
        [aTask(), aTask(), aTask(), aTask()]
      )
      if (known === undefined || forgotten === undefined || begun === undefined || knownBegun === undefined) {
        return expect.fail("four were inserted")
      }
      const lost = yield* started(repository, lease, begun)
      const runs = yield* started(repository, lease, knownBegun)
      const theirs = yield* insertedOne(repository, other, aTask())
      const reconcile = () =>
        Effect.flatMap(
          repository.forgotten(lease, new Set([known.id, knownBegun.id])),
          (found) => repository.reconcile(lease, found)
        )

      const { orphans, released } = yield* reconcile()
      expect(released).toBe(1)
      expect(orphans).toMatchObject([{ id: begun.id, status: "Running", owner: lease.instanceId }])
      expect(orphans[0]?.token).toBeGreaterThan(lost.task.token)
      expect(yield* mustGet(repository, known.id)).toEqual(known)
      expect(yield* mustGet(repository, knownBegun.id)).toEqual(runs.task)
      expect(yield* mustGet(repository, theirs.id)).toEqual(theirs)
      expect(idsOf(yield* claimAll(repository, other))).toEqual([forgotten.id])
      // The lost fiber's own outcome, should it turn up after all, is refused; the orphan's counts.
      const verdicts = yield* repository.settle(lease, [succeeded(lost.task), succeeded(orphans[0] ?? lost.task)])
      expect(verdicts.map((verdict) => verdict._tag)).toEqual(["Fenced", "Accepted"])
      expect(yield* reconcile()).toEqual({ released: 0, orphans: [] })
    }))
}

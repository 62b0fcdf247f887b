import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Trigger } from "../../../src/index.ts"
import { lostRequest, slow } from "../linkedStore.ts"
import type { CallName, Link } from "../linkedStore.ts"
import { counter, inWorld } from "../world.ts"
import { job, lease, other, outcomes, reliedOn, sound, timeline } from "./support.ts"

const losing = (link: Link, ...names: ReadonlyArray<CallName>) => {
  link.fault = (call) => names.includes(call) ? lostRequest : undefined
}

describe("outside of a lease nothing is invoked", () => {
  it("what falls due when the lease is near its end is left to others, though the store would take its mark", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { begin, instants, until } = yield* timeline(world)
        const one = yield* world.start()
        const task = yield* one.scheduler.schedule(job, { trigger: Trigger.after(reliedOn + 500) })
        assert.strictEqual(task.owner, one.link.lease?.instanceId)
        losing(one.link, "renewLease")
        const two = yield* world.start()
        yield* until(lease - 1)
        assert.deepStrictEqual(world.calls, [])
        assert.isAbove(one.link.lease?.expiresAt ?? 0, begin + lease - 2, "it still lives by the store")
        yield* until(lease + 1_000)
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        assert.isAtMost(instants()[0] ?? Infinity, lease + 1_000)
        sound(world)
      })))

  for (const step of [0, -600_000, -4_000, 100]) {
    it(`no request leaves after the end of what is relied on, though the wall clock was set by ${step} ms`, () =>
      inWorld({}, (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const one = yield* world.start()
          const task = yield* one.scheduler.schedule(job, { trigger: Trigger.after(reliedOn - 300) })
          losing(one.link, "renewLease")
          yield* until(reliedOn - 400)
          one.setClock(step)
          one.departsAfter = 301
          yield* until(lease - 1)
          assert.deepStrictEqual(world.calls, [])
          assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["notSent"])
          one.departsAfter = 0
          one.link.fault = () => undefined
          yield* until(20_000)
          assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["notSent", "succeeded"])
          sound(world)
        })))
  }

  it("a lease counts from when its heartbeat was sent, however long the answer takes", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { begin, until } = yield* timeline(world)
        const one = yield* world.start()
        const due = 1_500 + reliedOn + 500
        yield* one.scheduler.schedule(job, { trigger: Trigger.after(due) })
        const two = yield* world.start()
        let beats = 0
        one.link.fault = (call) => {
          if (call !== "renewLease") return undefined
          beats++
          return beats === 1 ? slow(3_000) : lostRequest
        }
        yield* until(due - 100)
        // The monotonic clock alone has to tell.
        one.setClock(-600_000)
        yield* until(due + 400)
        assert.isAbove(one.link.lease?.expiresAt ?? 0, begin + due + 400, "it still lives by the store")
        assert.deepStrictEqual(world.calls, [])
        yield* until(20_000)
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        sound(world)
      })))

  it("an instance that stood still for longer than its lease starts nothing, and its outcome is refused", () =>
    inWorld({ scripts: { job: () => Effect.sleep("2 seconds") } }, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const refused = counter("late_writes_refused_total")
        const one = yield* world.start()
        const runs = yield* one.scheduler.schedule(job)
        const waits = yield* one.scheduler.schedule(other, { trigger: Trigger.after("4 seconds") })
        yield* one.scheduler.repeat(other, { trigger: Trigger.fixed("3 seconds"), maxRuns: 6, initialDelay: 5_000 })
        const two = yield* world.start()
        yield* until(1_000)
        one.freeze()
        yield* until(20_000)
        assert.deepStrictEqual(
          [...new Set(world.calls.slice(1).map(({ by }) => by))],
          [two.name]
        )
        const before = world.calls.length
        one.thaw()
        yield* until(20_500)
        assert.strictEqual(world.calls.slice(before).filter(({ by }) => by === one.name).length, 0)
        yield* until(60_000)
        assert.deepStrictEqual(outcomes(yield* world.task(runs.id)), ["unknown", "succeeded"])
        assert.deepStrictEqual(outcomes(yield* world.task(waits.id)), ["succeeded"])
        assert.isAtMost(instants(world.calls.filter(({ taskId }) => taskId === waits.id))[0] ?? Infinity, lease + 1_000)
        assert.isAbove(counter("late_writes_refused_total"), refused)
        assert.include(world.logs.join(), "Outcome refused")
        assert.strictEqual(one.link.instanceIds.size, 2, "it goes on under a new id")
        sound(world)
      })))
})

describe("a lease that has ended", () => {
  it("is never revived: the instance goes on under a new id, and drops what it had claimed", () =>
    inWorld({ settings: { nearFutureCapacity: 10 } }, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const lost = counter("leases_lost_total")
        const one = yield* world.start()
        const tasks = yield* one.scheduler.scheduleAll(
          job,
          Array.from({ length: 10 }, () => ({ trigger: Trigger.after("50 seconds") }))
        )
        const first = one.link.lease?.instanceId
        assert.deepStrictEqual([...new Set(tasks.map(({ owner }) => owner))], [first])
        yield* until(1_000)
        one.link.isAway = true
        yield* until(9_000)
        one.link.isAway = false
        yield* until(25_000)
        const second = one.link.lease?.instanceId
        assert.notStrictEqual(second, first)
        assert.strictEqual(one.link.instanceIds.size, 2)
        assert.strictEqual(counter("leases_lost_total"), lost + 1)
        assert.include(world.logs.join(), "has ended")
        // Under the new lease, long before they are due: what was claimed under the old one takes no room.
        for (const task of tasks) assert.strictEqual((yield* world.task(task.id)).owner, second)
        yield* until(60_000)
        assert.deepStrictEqual(instants(), tasks.map(() => 50_000))
        sound(world)
      })))

  for (const trigger of [Trigger.fixed("10 seconds"), Trigger.spaced("10 seconds")]) {
    it(`does not end a schedule (${trigger._tag}), and no occurrence of it runs twice`, () =>
      inWorld({}, (world) =>
        Effect.gen(function*() {
          const { instants, until } = yield* timeline(world)
          const one = yield* world.start()
          yield* one.scheduler.repeat(job, { trigger })
          for (const at of [2_000, 31_000, 63_000]) {
            yield* until(at)
            one.link.isAway = true
            yield* until(at + 7_500)
            one.link.isAway = false
          }
          yield* until(200_000)
          const ticks = instants()
          assert.isAtLeast(ticks.length, 18, ticks.join())
          for (const [index, at] of ticks.slice(1).entries()) {
            const waited = at - (ticks[index] ?? 0)
            assert.isAtMost(waited, 10_000 + 2 * lease + 2_000, ticks.join())
            if (trigger._tag === "Spaced") assert.isAtLeast(waited, 10_000, ticks.join())
          }
          sound(world)
        })))

    it(`though the store stands still for longer, and answers then, a schedule (${trigger._tag}) goes on`, () =>
      inWorld({ settings: { horizon: 3_000 } }, (world) =>
        Effect.gen(function*() {
          const { begin, instants, until } = yield* timeline(world)
          const one = yield* world.start()
          yield* one.scheduler.repeat(job, { trigger })
          for (let stop = 0; stop < 12; stop++) {
            const from = 30_000 * (stop + 1) + 700 * stop
            yield* until(from)
            // All that is asked for within 8 seconds takes effect at once, and is answered after them.
            one.link.fault = () => ({ answers: begin + from + 8_000 - world.time() })
            yield* until(from + 8_000)
            one.link.fault = () => undefined
          }
          yield* until(600_000)
          const ticks = instants()
          assert.isAbove(ticks.at(-1) ?? 0, 585_000, ticks.join())
          assert.isAtLeast(ticks.length, 35, ticks.join())
          sound(world)
        })))
  }
})

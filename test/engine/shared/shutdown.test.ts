import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Trigger } from "../../../src/index.ts"
import { aTarget, aTask } from "../../support/builders.ts"
import { lostRequest, slow } from "../linkedStore.ts"
import { counter, inWorld } from "../world.ts"
import type { World } from "../world.ts"
import { job, lease, other, outcomes, sound, timeline } from "./support.ts"

/** How many instances have a row, as a newcomer sees it. */
const instancesOf = (world: World) =>
  Effect.gen(function*() {
    const probe = { instanceId: aTask().id as never, expiresAt: 0 }
    const { nextExpiry, others } = yield* world.store.openLease(probe.instanceId, 1)
    yield* world.store.closeLease(probe)
    return nextExpiry === undefined ? 0 : others
  })

describe("a graceful stop", () => {
  it("waits for what runs under a lease that goes on, hands back what had not started, and ends the lease", () =>
    inWorld({ scripts: { job: () => Effect.sleep("20 seconds") } }, (world) =>
      Effect.gen(function*() {
        const { begin, instants, until } = yield* timeline(world)
        const lost = counter("leases_lost_total")
        const one = yield* world.start()
        const runs = yield* one.scheduler.schedule(job)
        const waits = yield* one.scheduler.schedule(other, { trigger: Trigger.after("5 seconds") })
        yield* one.scheduler.repeat(other, {
          trigger: Trigger.fixed("7 seconds"),
          initialDelay: "7 seconds",
          maxRuns: 2
        })
        const two = yield* world.start()
        yield* until(1_000)
        const stopping = yield* Effect.fork(one.stop)
        yield* until(1_001)
        const claims = one.link.made.get("claimDue")
        // It would be its to claim, too.
        yield* world.store.insert(
          [aTask({ function: aTarget("other"), createdAt: begin, dueAt: begin + 2_000 })],
          undefined
        )
        yield* until(19_000)
        assert.isNull(stopping.unsafePoll())
        assert.strictEqual(yield* instancesOf(world), 2)
        yield* until(20_001)
        yield* Fiber.join(stopping)
        assert.strictEqual(yield* instancesOf(world), 1)
        assert.deepStrictEqual(outcomes(yield* world.task(runs.id)), ["succeeded"])
        assert.strictEqual((yield* world.task(waits.id)).status, "Succeeded")
        assert.strictEqual(one.link.made.get("claimDue"), claims)
        assert.deepStrictEqual(instants(), [0, 2_000, 5_000, 7_000, 14_000])
        assert.deepStrictEqual([...new Set(world.calls.slice(1).map(({ by }) => by))], [two.name])
        assert.strictEqual(counter("leases_lost_total"), lost)
        yield* until(60_000)
        assert.strictEqual(world.calls.length, 5)
        sound(world)
      })))

  it("waits no longer than its grace; then what runs is ended as unknown, by itself", () =>
    inWorld(
      { scripts: { job: () => Effect.sleep("1 hour") }, settings: { shutdownGrace: 10_000 } },
      (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const attempts = counter("reaped_attempts_total")
          const one = yield* world.start()
          const { id } = yield* one.scheduler.schedule(job, { retry: { maxAttempts: 1 } })
          yield* until(1_000)
          const stopping = yield* Effect.fork(one.stop)
          yield* until(10_900)
          assert.isNull(stopping.unsafePoll())
          yield* until(11_100)
          yield* Fiber.join(stopping)
          assert.deepStrictEqual(outcomes(yield* world.task(id)), ["unknown"])
          assert.strictEqual(counter("reaped_attempts_total"), attempts)
        })
    ))

  it("writes the outcomes that the store had not taken yet", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        one.link.fault = (call) => call === "settle" ? lostRequest : undefined
        const tasks = yield* one.scheduler.scheduleAll(job, [{}, {}, {}])
        yield* until(1_000)
        const stopping = yield* Effect.fork(one.stop)
        yield* until(9_000)
        one.link.fault = () => undefined
        yield* until(11_000)
        yield* Fiber.join(stopping)
        for (const { id } of tasks) assert.deepStrictEqual(outcomes(yield* world.task(id)), ["succeeded"])
        assert.strictEqual(yield* instancesOf(world), 0)
      })))

  for (const delay of [0, 20_000]) {
    it(`waits for a claim that is under way: nothing is left to be reaped (due in ${delay} ms)`, () =>
      inWorld({}, (world) =>
        Effect.gen(function*() {
          const { begin, until } = yield* timeline(world)
          const one = yield* world.start()
          yield* until(500)
          one.link.fault = (call) => call === "claimDue" ? slow(400) : undefined
          const task = aTask({ function: aTarget("job"), createdAt: begin, dueAt: begin + delay })
          yield* world.store.insert([task], undefined)
          yield* until(1_100)
          assert.isDefined((yield* world.task(task.id)).owner, "it is under way")
          const stopping = yield* Effect.fork(one.stop)
          yield* until(3_000)
          yield* Fiber.join(stopping)
          const left = yield* world.task(task.id)
          assert.deepInclude(left, delay === 0 ? { status: "Succeeded" } : { status: "Scheduled", owner: undefined })
          assert.strictEqual(yield* instancesOf(world), 0)
          sound(world)
        })))
  }

  it("and for an insert that is under way", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        one.link.fault = (call) => call === "insert" || call === "insertSchedule" ? slow(400) : undefined
        const asked = yield* Effect.fork(Effect.all([
          one.scheduler.schedule(job, { trigger: Trigger.after("20 seconds") }),
          one.scheduler.repeat(job, { trigger: Trigger.fixed("20 seconds"), initialDelay: "20 seconds" })
        ], { concurrency: 2 }))
        yield* until(100)
        const stopping = yield* Effect.fork(one.stop)
        yield* until(3_000)
        yield* Fiber.join(stopping)
        yield* Fiber.join(asked)
        for (const task of yield* world.tasks) assert.deepInclude(task, { status: "Scheduled", owner: undefined })
        assert.strictEqual((yield* world.tasks).length, 2)
      })))

  it("ends though the store is away, and the others take what it held when its lease ends", () =>
    inWorld({ settings: { shutdownGrace: 5_000 } }, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const one = yield* world.start()
        yield* one.scheduler.schedule(job, { trigger: Trigger.after("4 seconds") })
        const two = yield* world.start()
        yield* until(1_000)
        one.link.isAway = true
        yield* until(1_500)
        const stopping = yield* Effect.fork(one.stop)
        yield* until(12_000)
        assert.isNotNull(stopping.unsafePoll())
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        assert.isAtMost(instants()[0] ?? Infinity, lease + 1_000)
        sound(world)
      })))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Trigger } from "../../../src/index.ts"
import { lostRequest } from "../linkedStore.ts"
import { counter, inWorld } from "../world.ts"
import { job, lease, other, outcomes, sound, timeline } from "./support.ts"

/** Nothing but the end of a lease makes anybody look. */
const onlyByLeases = { reconcileInterval: 3_600_000 }

describe("what a dead instance held", () => {
  for (const trigger of [Trigger.fixed("10 seconds"), Trigger.spaced("10 seconds")]) {
    it(`goes on within its lease and a second (with a schedule: ${trigger._tag})`, () =>
      inWorld(
        { settings: onlyByLeases, scripts: { job: () => Effect.sleep("3 seconds") } },
        (world) =>
          Effect.gen(function*() {
            const { begin, instants, until } = yield* timeline(world)
            const claims = counter("reaped_claims_total")
            const attempts = counter("reaped_attempts_total")
            const one = yield* world.start()
            const waiting = yield* one.scheduler.schedule(job, { trigger: Trigger.after("40 seconds") })
            const late = yield* one.scheduler.schedule(job, { trigger: Trigger.after("32 seconds") })
            const { id } = yield* one.scheduler.repeat(other, { trigger })
            const two = yield* world.start()
            yield* until(29_000)
            const running = yield* one.scheduler.schedule(job)
            yield* until(31_000)
            one.kill()
            yield* until(31_000 + lease + 1_000)
            assert.deepStrictEqual((yield* world.tasks).filter(({ owner }) => owner === one.link.lease?.instanceId), [])
            yield* until(60_000)
            const [first, ...again] = world.calls.filter(({ taskId }) => taskId === running.id)
            assert.strictEqual(first?.by, one.name)
            assert.strictEqual(again.length, 1)
            // The retry's own delay is at most a second.
            assert.isAtMost((again[0]?.at ?? Infinity) - begin, 31_000 + lease + 2_000)
            assert.deepStrictEqual(outcomes(yield* world.task(running.id)), ["unknown", "succeeded"])
            const [ranLate] = world.calls.filter(({ taskId }) => taskId === late.id)
            assert.isAtMost((ranLate?.at ?? Infinity) - begin, 31_000 + lease + 1_000)
            assert.deepStrictEqual(instants(world.calls.filter(({ taskId }) => taskId === waiting.id)), [40_000])
            const ticks = world.calls.filter(({ functionName }) => functionName === "other")
            assert.deepStrictEqual(
              instants(ticks).map((at) => trigger._tag === "Fixed" ? at % 10_000 : 0),
              ticks.map(() => 0)
            )
            assert.isAtLeast(ticks.length, 6)
            assert.strictEqual(ticks.at(-1)?.by, two.name)
            for (const { taskId } of ticks) assert.strictEqual((yield* world.task(taskId)).scheduleId, id)
            assert.isAtLeast(counter("reaped_claims_total"), claims + 2)
            assert.strictEqual(counter("reaped_attempts_total"), attempts + 1)
            sound(world)
          })
      ))
  }

  it("goes on also when it is the only one that starts again, as soon as its lease has ended", () =>
    inWorld({ settings: onlyByLeases }, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const one = yield* world.start()
        yield* one.scheduler.schedule(job, { trigger: Trigger.after("3 seconds") })
        yield* until(1_000)
        one.kill()
        yield* until(2_000)
        const two = yield* world.start()
        yield* until(20_000)
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        assert.isAtMost(instants()[0] ?? Infinity, lease + 1_000)
        sound(world)
      })))

  it("goes on soon after a transaction of the dead has let go of it", () =>
    inWorld({ settings: onlyByLeases }, (world) =>
      Effect.gen(function*() {
        const { begin, instants, until } = yield* timeline(world)
        const clock = yield* Effect.clock
        const one = yield* world.start()
        yield* one.scheduler.schedule(job, { trigger: Trigger.after("3 seconds") })
        const two = yield* world.start()
        yield* until(1_000)
        one.kill()
        const lockedUntil = begin + lease + 1_500
        // What is locked is passed over; the lease is gone with the first look.
        two.link.fault = (call, [mine]) =>
          call === "reap" && clock.unsafeCurrentTimeMillis() < lockedUntil ? { asked: [mine, 0] } : undefined
        yield* until(60_000)
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        assert.isAtLeast(instants()[0] ?? 0, lockedUntil - begin)
        assert.isAtMost(instants()[0] ?? Infinity, lockedUntil - begin + 500)
        sound(world)
      })))

  it("is found also when no lease tells of it, because that was closed: by a look now and then", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const one = yield* world.start()
        yield* one.scheduler.schedule(job, { trigger: Trigger.after("5 seconds") })
        const two = yield* world.start()
        yield* until(2_500)
        one.link.fault = (call) => call === "release" ? lostRequest : undefined
        yield* one.stop
        yield* until(30_000)
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        assert.isAtMost(instants()[0] ?? Infinity, 12_000)
        sound(world)
      })))

  it("and when it turns up only once its owner is gone for good", () =>
    inWorld({ settings: { shutdownGrace: 0 } }, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const one = yield* world.start()
        const two = yield* world.start()
        // On its way to the store for longer than anybody waits.
        one.link.fault = (call) => call === "insert" ? { reaches: 25_000 } : undefined
        yield* Effect.fork(one.scheduler.schedule(job))
        yield* until(1_000)
        yield* one.stop
        yield* until(60_000)
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        assert.isAtMost(instants()[0] ?? Infinity, 25_000 + 11_000)
        sound(world)
      })))

  it("is taken by one of the living only", () =>
    inWorld({ scripts: { job: () => Effect.sleep("1 minute") } }, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        const tasks = yield* one.scheduler.scheduleAll(job, Array.from({ length: 50 }, () => ({})))
        for (let more = 0; more < 3; more++) yield* world.start()
        yield* until(1_000)
        one.kill()
        yield* until(100_000)
        for (const { id } of tasks) assert.deepStrictEqual(outcomes(yield* world.task(id)), ["unknown", "succeeded"])
        assert.strictEqual(world.calls.length, 100)
        sound(world)
      })))
})

describe("after the store was away for all", () => {
  it("nobody takes anything from anybody before one lease has passed, whoever comes back first", () =>
    inWorld({ scripts: { job: () => Effect.sleep("20 seconds") } }, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const attempts = counter("reaped_attempts_total")
        const one = yield* world.start()
        const two = yield* world.start()
        const { id } = yield* one.scheduler.schedule(job)
        yield* until(1_000)
        one.link.isAway = two.link.isAway = true
        yield* until(31_000)
        two.link.isAway = false
        yield* until(31_000 + lease - 2_000)
        one.link.isAway = false
        yield* until(60_000)
        assert.deepStrictEqual(outcomes(yield* world.task(id)), ["succeeded"])
        assert.strictEqual(world.calls.length, 1)
        assert.strictEqual(counter("reaped_attempts_total"), attempts)
        sound(world)
      })))

  it("nor does one that was started meanwhile", () =>
    inWorld({ scripts: { job: () => Effect.sleep("20 seconds") } }, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        const { id } = yield* one.scheduler.schedule(job)
        yield* until(1_000)
        one.link.isAway = true
        yield* until(20_000)
        const two = yield* world.start({}, ({ link }) => {
          link.isAway = true
        })
        yield* until(31_000)
        two.link.isAway = false
        yield* until(31_000 + lease - 2_000)
        one.link.isAway = false
        yield* until(60_000)
        assert.deepStrictEqual(outcomes(yield* world.task(id)), ["succeeded"])
        assert.strictEqual(world.calls.length, 1)
        sound(world)
      })))

  it("what is nobody's then is taken as soon as it has", () =>
    inWorld({ settings: onlyByLeases }, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const one = yield* world.start()
        const two = yield* world.start()
        yield* one.scheduler.schedule(job, { trigger: Trigger.after("4 seconds") })
        yield* until(1_000)
        one.link.isAway = two.link.isAway = true
        yield* until(2_000)
        one.kill()
        yield* until(30_000)
        two.link.isAway = false
        yield* until(60_000)
        assert.deepStrictEqual(world.calls.map(({ by }) => by), [two.name])
        const [at = 0] = instants()
        assert.isAtLeast(at, 30_000 + lease)
        assert.isAtMost(at, 30_000 + lease + 2_500)
        sound(world)
      })))
})

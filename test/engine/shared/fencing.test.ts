import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Trigger } from "../../../src/index.ts"
import { aTarget, aTask } from "../../support/builders.ts"
import { slow } from "../linkedStore.ts"
import { counter, inWorld } from "../world.ts"
import { job, lease, outcomes, sound, timeline } from "./support.ts"

describe("nothing is written about a run by who does not own it", () => {
  it("an outcome that comes after a takeover is refused, counted and logged; the other attempt's stands", () =>
    inWorld(
      { scripts: { job: ({ by }) => Effect.as(Effect.sleep("20 seconds"), by) } },
      (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const refused = counter("late_writes_refused_total")
          const one = yield* world.start()
          const two = yield* world.start()
          const { id } = yield* one.scheduler.schedule(job)
          yield* until(1_000)
          one.link.isAway = true
          yield* until(25_000)
          one.link.isAway = false
          yield* until(60_000)
          const task = yield* world.task(id)
          assert.deepStrictEqual(outcomes(task), ["unknown", "succeeded"])
          assert.deepInclude(task, { status: "Succeeded", result: { text: `"${two.name}"`, encoding: "utf8" } })
          assert.strictEqual(counter("late_writes_refused_total"), refused + 1)
          assert.strictEqual(world.logs.filter((line) => line.includes("Outcome refused")).length, 1)
          sound(world)
        })
    ))

  it("nor by its owner under an older token: its own late reply does not end the attempt that came after", () =>
    inWorld({ scripts: { job: () => Effect.sleep("30 seconds") } }, (world) =>
      Effect.gen(function*() {
        const { begin, until } = yield* timeline(world)
        const one = yield* world.start()
        const task = aTask({ function: aTarget("job"), createdAt: begin, dueAt: begin })
        yield* world.store.insert([task], undefined)
        // Claimed and started by the claim, and told only when reconcile has ended that attempt and another one runs.
        one.link.fault = (call) => call === "claimDue" ? slow(25_000) : undefined
        yield* until(2_000)
        one.link.fault = () => undefined
        yield* until(25_900)
        assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["unknown", undefined])
        yield* until(28_000)
        assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["unknown", undefined])
        yield* until(60_000)
        assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["unknown", "succeeded"])
        assert.deepStrictEqual(world.calls.map(({ attempt }) => attempt), [2])
        sound(world)
      })))

  it("a start mark is refused, and nothing sent, once another instance has cancelled", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const refused = counter("late_writes_refused_total")
        const one = yield* world.start()
        const two = yield* world.start()
        const { id } = yield* one.scheduler.schedule(job, { trigger: Trigger.after("3 seconds") })
        yield* until(1_000)
        yield* two.scheduler.cancel(id)
        yield* until(10_000)
        assert.deepStrictEqual(world.calls, [])
        assert.strictEqual((yield* world.task(id)).status, "Cancelled")
        assert.strictEqual(counter("late_writes_refused_total"), refused + 1)
      })))

  for (const hints of [false, true]) {
    it(`what another instance cancelled while it ran stays cancelled (hints: ${hints})`, () =>
      inWorld({ hints, scripts: { job: () => Effect.sleep("5 seconds") } }, (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const refused = counter("late_writes_refused_total")
          const one = yield* world.start({ concurrency: 1 })
          const two = yield* world.start({ concurrency: 0 })
          const { id } = yield* one.scheduler.schedule(job)
          const next = yield* one.scheduler.schedule(job)
          yield* until(1_050)
          const cancelled = yield* two.scheduler.cancel(id)
          yield* until(1_100)
          // A hint ends the wait for the answer, and frees the slot; without one a look does, within a second.
          assert.strictEqual(world.calls.length, hints ? 2 : 1)
          yield* until(2_050)
          assert.strictEqual(world.calls.length, 2)
          yield* until(20_000)
          assert.deepStrictEqual(yield* world.task(id), cancelled)
          assert.strictEqual((yield* world.task(next.id)).status, "Succeeded")
          assert.strictEqual(counter("late_writes_refused_total"), refused + 1)
          sound(world)
        })))
  }

  it("a claim that was taken over is not released by who had it", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        const { id } = yield* one.scheduler.schedule(job, { trigger: Trigger.after("20 seconds") })
        const two = yield* world.start({ sharedHorizon: 60_000 })
        yield* until(1_000)
        one.freeze()
        yield* until(lease + 2_000)
        const held = yield* world.task(id)
        assert.strictEqual(held.owner, two.link.lease?.instanceId)
        one.thaw()
        yield* one.stop
        assert.deepStrictEqual(yield* world.task(id), held)
      })))
})

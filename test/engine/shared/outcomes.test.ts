import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Trigger } from "../../../src/index.ts"
import { lostReply, lostRequest } from "../linkedStore.ts"
import { counter, inWorld } from "../world.ts"
import { failure, job, outcomes, sound, timeline } from "./support.ts"

describe("an outcome is kept until the store has accepted or refused it", () => {
  it("a store that is away for all re-runs nothing that finished meanwhile, nor what still runs", () =>
    inWorld(
      { scripts: { job: ({ request }) => Effect.sleep(Number(request.payload)) } },
      (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const one = yield* world.start()
          const two = yield* world.start()
          const tasks = yield* Effect.forEach(
            [3, 5, 10, 20, 29, 31, 34, 45],
            (seconds, index) => (index % 2 === 0 ? one : two).scheduler.schedule(job, { payload: seconds * 1_000 })
          )
          yield* until(2_000)
          one.link.isAway = two.link.isAway = true
          yield* until(30_000)
          one.link.isAway = false
          yield* until(33_000)
          two.link.isAway = false
          yield* until(90_000)
          for (
            const { id } of tasks.filter(({ payload }) => Number(payload) <= 31_000)
          ) {
            const task = yield* world.task(id)
            assert.deepStrictEqual(outcomes(task), ["succeeded"], task.payload)
          }
          assert.strictEqual(world.calls.filter(({ request }) => Number(request.payload) <= 31_000).length, 6)
          sound(world)
        })
    ))

  for (const trigger of [Trigger.fixed("5 seconds"), Trigger.spaced("5 seconds")]) {
    it(`a lost reply to one that took effect is recognized, and a schedule (${trigger._tag}) goes on from it`, () =>
      inWorld({ scripts: { job: () => Effect.sleep("1 second") } }, (world) =>
        Effect.gen(function*() {
          const { instants, until } = yield* timeline(world)
          const refused = counter("late_writes_refused_total")
          const one = yield* world.start()
          let settled = 0
          one.link.fault = (call) => call === "settle" && settled++ % 2 === 0 ? lostReply : undefined
          yield* one.scheduler.repeat(job, { trigger })
          yield* until(60_500)
          const every = trigger._tag === "Fixed" ? 5_000 : 6_000
          assert.deepStrictEqual(instants(), world.calls.map((_, index) => index * every))
          assert.isAtLeast(world.calls.length, 10)
          assert.strictEqual(counter("late_writes_refused_total"), refused)
          sound(world)
        })))
  }

  it("a lost reply to a retry that took effect: the retry runs, once", () =>
    inWorld(
      { scripts: { job: ({ attempt }) => attempt < 3 ? Effect.fail(failure()) : "third" } },
      (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const one = yield* world.start()
          let settled = 0
          one.link.fault = (call) => call === "settle" && settled++ % 2 === 0 ? lostReply : undefined
          const { id } = yield* one.scheduler.schedule(job)
          yield* until(20_000)
          assert.deepStrictEqual(outcomes(yield* world.task(id)), ["failed", "failed", "succeeded"])
          sound(world)
        })
    ))

  it("as many as there are slots: no further run begins while the store takes no outcome", () =>
    inWorld({ settings: { concurrency: 3 } }, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        one.link.fault = (call) => call === "settle" ? lostRequest : undefined
        const tasks = yield* one.scheduler.scheduleAll(job, Array.from({ length: 9 }, () => ({})))
        yield* until(40_000)
        assert.strictEqual(world.calls.length, 3)
        one.link.fault = () => undefined
        yield* until(60_000)
        for (const { id } of tasks) assert.deepStrictEqual(outcomes(yield* world.task(id)), ["succeeded"])
        assert.strictEqual(world.calls.length, 9)
        sound(world)
      })))

  it("one that the store takes only after its lease has ended is accepted, as long as nobody has taken over", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        one.link.fault = (call) => call === "settle" ? { reaches: 6_500 } : undefined
        const ended = yield* Effect.fork(
          Stream.runHead(Stream.filter(one.scheduler.events, ({ kind }) => kind === "succeeded"))
        )
        const { id } = yield* one.scheduler.schedule(job)
        yield* until(1_000)
        one.link.isAway = true
        yield* until(7_000)
        assert.deepStrictEqual(outcomes(yield* world.task(id)), ["succeeded"])
        one.link.isAway = false
        yield* until(30_000)
        assert.deepStrictEqual(outcomes(yield* world.task(id)), ["succeeded"])
        assert.strictEqual((yield* Fiber.join(ended))._tag, "Some")
        sound(world)
      })))
})

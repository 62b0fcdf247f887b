import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Trigger } from "../../../src/index.ts"
import { aTarget, aTask } from "../../support/builders.ts"
import { lostReply, lostRequest, slow } from "../linkedStore.ts"
import type { Fault, Link } from "../linkedStore.ts"
import { inWorld } from "../world.ts"
import type { World } from "../world.ts"
import { job, outcomes, sound, timeline } from "./support.ts"

/** When start marks are asked for; the first so many of them have a fault. */
const watchMarks = (world: World, link: Link, fault?: Fault, times: number = Infinity) => {
  const asked: Array<number> = []
  link.fault = (call) => {
    if (call !== "start") return undefined
    asked.push(world.time())
    return asked.length <= times ? fault : undefined
  }
  return asked
}

describe("the start mark is committed before the bytes leave", () => {
  for (const answers of [0, 15, 500]) {
    it(`at most 20 ms before it is due; the request waits for that (the mark takes ${answers} ms)`, () =>
      inWorld({}, (world) =>
        Effect.gen(function*() {
          const { begin, instants, until } = yield* timeline(world)
          const one = yield* world.start()
          const asked = watchMarks(world, one.link, slow(answers))
          const { id } = yield* one.scheduler.schedule(job, { trigger: Trigger.after("3 seconds") })
          yield* until(5_000)
          assert.deepStrictEqual(asked, [begin + 2_980])
          assert.deepStrictEqual(instants(), [Math.max(3_000, 2_980 + answers)])
          assert.deepInclude(world.calls[0]?.stored, { status: "Running" })
          const task = yield* world.task(id)
          assert.strictEqual(task.attempts[0]?.startedAt, begin + 3_000)
          sound(world)
        })))
  }

  it("a mark that is answered after more than a second is not acted on, and costs no attempt", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { begin, until } = yield* timeline(world)
        const one = yield* world.start()
        watchMarks(world, one.link, slow(1_001), 1)
        const { id } = yield* one.scheduler.schedule(job, {
          trigger: Trigger.after("3 seconds"),
          retry: { maxAttempts: 1 }
        })
        yield* until(10_000)
        assert.deepStrictEqual(outcomes(yield* world.task(id)), ["notSent", "succeeded"])
        assert.deepStrictEqual(world.calls.map(({ attempt }) => attempt), [2])
        watchMarks(world, one.link, slow(1_000), 1)
        const second = yield* one.scheduler.schedule(job, { trigger: Trigger.at(begin + 13_000) })
        yield* until(20_000)
        assert.deepStrictEqual(outcomes(yield* world.task(second.id)), ["succeeded"], "a second itself is in time")
        sound(world)
      })))

  it("nor is a claim that started what it took", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { begin, until } = yield* timeline(world)
        const one = yield* world.start()
        const task = aTask({ function: aTarget("job"), createdAt: begin, dueAt: begin })
        yield* world.store.insert([task], undefined)
        one.link.fault = (call) => call === "claimDue" ? slow(1_500) : undefined
        yield* until(2_400)
        one.link.fault = () => undefined
        yield* until(20_000)
        assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["notSent", "succeeded"])
        sound(world)
      })))

  it("a claim that started something is not acted on without a lease: nothing was sent, and that is recorded", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { begin, until } = yield* timeline(world)
        const one = yield* world.start()
        const task = aTask({
          function: aTarget("job"),
          createdAt: begin,
          dueAt: begin + 4_000,
          retry: { ...aTask().retry, onUnknown: "fail" }
        })
        one.link.fault = (call) =>
          call === "claimDue" && world.time() >= begin + 4_000
            ? slow(700)
            : call === "renewLease"
            ? lostRequest
            : undefined
        yield* until(3_999)
        yield* world.store.insert([task], undefined)
        yield* until(5_500)
        one.link.fault = () => undefined
        yield* until(40_000)
        assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["notSent", "succeeded"])
        sound(world)
      })))

  for (const lost of [lostReply, lostRequest]) {
    for (const trigger of [Trigger.fixed("5 seconds"), Trigger.spaced("5 seconds")]) {
      it(`a mark whose ${lost.lost} is lost is asked for again; a schedule (${trigger._tag}) goes on at its instants`, () =>
        inWorld({}, (world) =>
          Effect.gen(function*() {
            const { instants, until } = yield* timeline(world)
            const one = yield* world.start()
            const asked = watchMarks(world, one.link)
            one.link.fault = (call) => {
              if (call !== "start") return undefined
              asked.push(world.time())
              return asked.length % 2 === 1 ? lost : undefined
            }
            yield* one.scheduler.repeat(job, { trigger })
            yield* until(60_000)
            const grid = instants().map((at, index) => at - 5_000 * index)
            assert.isAtLeast(grid.length, 11, instants().join())
            grid.forEach((late) => assert.isAtMost(late, trigger._tag === "Fixed" ? 50 : 50 * grid.length, grid.join()))
            for (const task of yield* world.tasks) assert.isAtMost(task.attempts.length, 1)
            sound(world)
          })))
    }
  }

  it("an occurrence whose skip is told too late is not asked for for ever: the schedule goes on", () =>
    inWorld(
      { scripts: { job: ({ at }) => Effect.sleep(at % 60_000 === 0 ? 7_000 : 0) } },
      (world) =>
        Effect.gen(function*() {
          const { instants, until } = yield* timeline(world)
          const one = yield* world.start()
          one.link.fault = (call) => call === "start" && world.time() % 20_000 === 4_980 ? lostReply : undefined
          yield* one.scheduler.repeat(job, { trigger: Trigger.fixed("5 seconds") })
          yield* until(59_000)
          assert.deepStrictEqual(
            (yield* world.tasks).filter(({ status }) => status === "Skipped").map(({ nominalAt }) =>
              nominalAt % 60_000
            ),
            [5_000]
          )
          assert.deepStrictEqual(instants().map((at) => 5_000 * Math.floor(at / 5_000)), [
            0,
            10_000,
            15_000,
            20_000,
            25_000,
            30_000,
            35_000,
            40_000,
            45_000,
            50_000,
            55_000
          ])
          sound(world)
        })
    ))

  for (const hints of [false, true]) {
    it(`a cancel between the mark and the due time keeps it from leaving (by ${hints ? "another instance" : "itself"})`, () =>
      inWorld({ hints }, (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const one = yield* world.start()
          const two = yield* world.start()
          const { id } = yield* one.scheduler.schedule(job, { trigger: Trigger.after("3 seconds") })
          yield* until(2_990)
          assert.strictEqual((yield* world.task(id)).status, "Running")
          yield* (hints ? two : one).scheduler.cancel(id)
          yield* until(10_000)
          assert.deepStrictEqual(world.calls, [])
          assert.strictEqual((yield* world.task(id)).status, "Cancelled")
        })))
  }
})

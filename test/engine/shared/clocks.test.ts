import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Trigger } from "../../../src/index.ts"
import { aTarget, aTask } from "../../support/builders.ts"
import { inWorld } from "../world.ts"
import { job, other, sound, timeline } from "./support.ts"

const minutes = 60_000

describe("what is due is due by the store's clock", () => {
  for (const off of [10 * minutes, -10 * minutes, 300, -300]) {
    it(`a machine whose clock is ${off} ms off starts neither early nor late`, () =>
      inWorld({}, (world) =>
        Effect.gen(function*() {
          const { begin, instants, until } = yield* timeline(world)
          const one = yield* world.start({}, ({ setClock }) => setClock(off))
          yield* one.scheduler.schedule(job)
          yield* one.scheduler.schedule(job, { trigger: Trigger.after("30 seconds") })
          yield* one.scheduler.schedule(job, { trigger: Trigger.at(begin + 45_000) })
          yield* one.scheduler.schedule(job, { trigger: Trigger.after("2 minutes") })
          yield* world.store.insert(
            [aTask({ function: aTarget("job"), createdAt: begin, dueAt: begin + 50_000 })],
            undefined
          )
          yield* one.scheduler.repeat(other, { trigger: Trigger.fixed("25 seconds"), initialDelay: "10 seconds" })
          yield* until(150_000)
          const [jobs, others] = ["job", "other"].map((name) =>
            instants(world.calls.filter(({ functionName }) => functionName === name))
          )
          assert.deepStrictEqual(jobs, [0, 30_000, 45_000, 50_000, 120_000])
          assert.deepStrictEqual(others, [10_000, 35_000, 60_000, 85_000, 110_000, 135_000])
          sound(world)
        })))
  }

  for (const step of [60 * minutes, -60 * minutes, 2_000, -2_000]) {
    it(`a wall clock that is set by ${step} ms ends no lease, and makes nothing early or late`, () =>
      inWorld({ scripts: { job: () => Effect.sleep("8 seconds") } }, (world) =>
        Effect.gen(function*() {
          const { instants, until } = yield* timeline(world)
          const one = yield* world.start()
          const two = yield* world.start()
          yield* one.scheduler.repeat(job, { trigger: Trigger.fixed("15 seconds") })
          yield* one.scheduler.repeat(other, { trigger: Trigger.spaced("7 seconds") })
          for (const delay of [4_000, 9_000, 55_000, 110_000]) {
            yield* two.scheduler.schedule(job, { trigger: Trigger.after(delay) })
          }
          for (let turn = 1; turn < 12; turn++) {
            yield* until(10_300 * turn)
            const instance = turn % 2 === 0 ? one : two
            instance.setClock(turn % 3 === 0 ? -step : step)
          }
          yield* until(121_000)
          const [jobs, others] = ["job", "other"].map((name) =>
            instants(world.calls.filter(({ functionName }) => functionName === name))
          )
          // Set forward by more than a lease, it may as well have slept: a heartbeat is asked before the next start.
          const late = step > 6_000 ? 50 : 1
          const grid = [
            0,
            4_000,
            9_000,
            15_000,
            30_000,
            45_000,
            55_000,
            60_000,
            75_000,
            90_000,
            105_000,
            110_000,
            120_000
          ]
          assert.strictEqual(jobs?.length, grid.length)
          for (const [index, at] of grid.entries()) {
            assert.isAtLeast(jobs?.[index] ?? 0, at, jobs?.join())
            assert.isAtMost(jobs?.[index] ?? Infinity, at + late, jobs?.join())
          }
          assert.strictEqual(others?.length, 18)
          for (const [index, at] of (others ?? []).slice(1).entries()) {
            assert.isAtLeast(at - (others?.[index] ?? 0), 7_000, others?.join())
            assert.isAtMost(at - (others?.[index] ?? 0), 7_000 + late, others?.join())
          }
          for (const instance of [one, two]) assert.strictEqual(instance.link.instanceIds.size, 1)
          sound(world)
        })))
  }

  it("a timer that fires early starts nothing early", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const one = yield* world.start()
        one.timersEarlyBy = 1
        yield* one.scheduler.repeat(job, { trigger: Trigger.fixed("10 seconds") })
        yield* one.scheduler.repeat(job, { trigger: Trigger.spaced("10 seconds"), initialDelay: "5 seconds" })
        yield* one.scheduler.schedule(job, { trigger: Trigger.after("7 seconds") })
        yield* until(44_000)
        // It sleeps again: no more than the millisecond late that its last sleep takes.
        const late = instants().map((at) => at % 1_000)
        assert.strictEqual(late.length, 10)
        assert.isAtMost(Math.max(...late), 9, late.join())
        sound(world)
      })))

  for (const [way, fault] of [["there", { reaches: 300 }], ["back", { answers: 300 }]] as const) {
    for (const off of [200, -200]) {
      it(`heartbeats that take long on the way ${way} make nothing early (off by ${off} ms)`, () =>
        inWorld({}, (world) =>
          Effect.gen(function*() {
            const { begin, instants, until } = yield* timeline(world)
            const one = yield* world.start({}, ({ link, setClock }) => {
              setClock(off)
              link.fault = (call) => call === "openLease" || call === "renewLease" ? fault : undefined
            })
            yield* one.scheduler.schedule(job, { trigger: Trigger.at(begin + 5_000) })
            yield* one.scheduler.schedule(job, { trigger: Trigger.at(begin + 20_000) })
            yield* until(30_000)
            for (const [index, at] of instants().entries()) {
              assert.isAtLeast(at, [5_000, 20_000][index] ?? Infinity)
              assert.isAtMost(at, ([5_000, 20_000][index] ?? 0) + 300)
            }
            assert.strictEqual(world.calls.length, 2)
            sound(world)
          })))
    }
  }
})

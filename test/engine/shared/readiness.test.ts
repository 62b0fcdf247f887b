import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Trigger } from "../../../src/index.ts"
import { counter, inWorld } from "../world.ts"
import { job, other, outcomes, sound, timeline } from "./support.ts"

describe("while the store is away", () => {
  it("an instance is unready and says why, however long it takes; then it goes on by itself", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const errors = counter("store_errors_total")
        const one = yield* world.start()
        yield* one.scheduler.ready
        const task = yield* one.scheduler.schedule(job, { trigger: Trigger.after("5 seconds") })
        yield* one.scheduler.repeat(other, { trigger: Trigger.fixed("10 seconds") })
        yield* until(1_000)
        one.link.isAway = true
        for (const at of [2_000, 10_000, 60_000, 600_000]) {
          yield* until(at)
          const notReady = yield* Effect.flip(one.scheduler.ready)
          assert.strictEqual(notReady._tag, "SchedulerNotReady")
          assert.match(notReady.message, /down/)
        }
        const before = world.calls.length
        assert.isAbove(counter("store_errors_total"), errors + 100)
        one.link.isAway = false
        yield* until(601_600)
        yield* one.scheduler.ready
        yield* until(660_000)
        assert.deepStrictEqual(outcomes(yield* world.task(task.id)), ["succeeded"])
        assert.isAtLeast(world.calls.length, before + 5)
        const told = world.logs.filter((line) => line.includes("did not take a heartbeat"))
        assert.strictEqual(told.length, 1, "the log says so once, not with every heartbeat")
        sound(world)
      })))

  it("one that starts then is there and unready, and takes up its work when it is back", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start({}, ({ link }) => {
          link.isAway = true
        })
        assert.match((yield* Effect.flip(one.scheduler.ready)).message, /There is no lease/)
        assert.strictEqual((yield* Effect.flip(one.scheduler.schedule(job)))._tag, "TaskRepositoryError")
        yield* until(60_000)
        one.link.isAway = false
        yield* until(61_600)
        yield* one.scheduler.ready
        yield* one.scheduler.schedule(job)
        yield* until(62_000)
        assert.strictEqual(world.calls.length, 1)
        sound(world)
      })))

  it("an instance that was told its lease is lost is ready again with the next one", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        yield* until(1_000)
        one.freeze()
        yield* until(30_000)
        one.thaw()
        yield* until(30_010)
        yield* one.scheduler.ready
        assert.strictEqual(one.link.instanceIds.size, 2)
      })))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Task } from "../../../src/index.ts"
import { InvocationError, OnFailed } from "../../../src/index.ts"
import { lostReply } from "../linkedStore.ts"
import { inWorld } from "../world.ts"
import { job, lease, outcomes, sound, timeline } from "./support.ts"

/** Fails for good as long as it is a first try. */
const scripts = {
  job: ({ stored }: { readonly stored: { readonly redriveOf: unknown } | undefined }) =>
    stored?.redriveOf === undefined
      ? Effect.fail(new InvocationError({ reason: "AccessDenied", message: "no" }))
      : "fine"
}

describe("dead letters of several instances", () => {
  it("50 redrives at once make one (I16)", () =>
    inWorld({ scripts }, (world) =>
      Effect.gen(function*() {
        const [one, two] = [yield* world.start(), yield* world.start()]
        const letter = yield* one.scheduler.schedule(job)
        yield* Effect.sleep("1 second")
        const redriven = yield* Effect.forEach(
          Array.from({ length: 50 }),
          (_, index) => (index % 2 === 0 ? one : two).scheduler.deadLetters.redrive(letter.id),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(redriven.filter(({ isNew }) => isNew).length, 1)
        const ids = new Set(redriven.map(({ task }) => task.id))
        assert.strictEqual(ids.size, 1)
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(world.calls.map(({ taskId }) => taskId), [letter.id, ...ids])
        assert.deepStrictEqual((yield* world.tasks).map(({ status }) => status), ["Succeeded", "Failed"])
        sound(world)
      })))

  it("two that redrive all at the same time redrive each once", () =>
    inWorld({ scripts }, (world) =>
      Effect.gen(function*() {
        const [one, two] = [yield* world.start(), yield* world.start()]
        yield* Effect.replicateEffect(one.scheduler.schedule(job), 60)
        yield* Effect.sleep("5 seconds")
        const counts = yield* Effect.forEach(
          [one, two],
          ({ scheduler }) =>
            scheduler.deadLetters.redriveAll({}, { batch: 7 }).pipe(
              Stream.tap(() => Effect.sleep("1 millis")),
              Stream.runCount
            ),
          { concurrency: 2 }
        )
        assert.strictEqual((counts[0] ?? 0) + (counts[1] ?? 0), 60)
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(world.calls.length, 120)
        assert.strictEqual(yield* two.scheduler.deadLetters.count({ redriven: true }), 60)
        sound(world)
      })))

  it("a lost reply: what was made is found by the next call, and runs once", () =>
    inWorld({ scripts }, (world) =>
      Effect.gen(function*() {
        const one = yield* world.start()
        const letter = yield* one.scheduler.schedule(job)
        yield* Effect.sleep("1 second")
        let faults = 0
        one.link.fault = (call) => call === "redrive" && faults++ === 0 ? lostReply : undefined
        const { redrive } = one.scheduler.deadLetters
        assert.strictEqual((yield* Effect.flip(redrive(letter.id)))._tag, "TaskRepositoryError")
        const { isNew, task } = yield* redrive(letter.id)
        assert.isFalse(isNew)
        // It was claimed by its insert, and nobody knew: the reconciler finds it.
        yield* Effect.sleep("30 seconds")
        assert.strictEqual((yield* world.task(task.id)).status, "Succeeded")
        assert.strictEqual(world.calls.length, 2)
        sound(world)
      })))

  it("onFailed is called where the failure is recorded: of what a dead instance ran, by whoever takes it over", () =>
    inWorld({ scripts: { job: () => Effect.sleep("1 hour") } }, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const told: Array<readonly [string, Task]> = []
        const start = (name: string) =>
          Effect.provide(
            world.start(),
            OnFailed.layer((task) => Effect.sync(() => told.push([name, task])))
          )
        const one = yield* start("one")
        const { id } = yield* one.scheduler.schedule(job, { retry: { onUnknown: "fail" } })
        yield* start("two")
        yield* until(1_000)
        one.kill()
        yield* until(1_000 + lease + 2_000)
        const task = yield* world.task(id)
        assert.deepStrictEqual(outcomes(task), ["unknown"])
        assert.deepStrictEqual(told, [["two", task]])
        sound(world)
      })))
})

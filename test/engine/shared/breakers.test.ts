/** One breaker for all instances: who knows of it starts nothing, however it comes by the work, and only one probes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { EngineSettings, InvocationErrorReason } from "../../../src/index.ts"
import { EngineConfig, Trigger } from "../../../src/index.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { aTarget, aTask } from "../../support/builders.ts"
import type { World } from "../world.ts"
import { inWorld } from "../world.ts"
import { job, sound, timeline } from "./support.ts"

const minute = 60_000

const settings: Partial<EngineSettings> = {
  concurrency: 10,
  breaker: { ...EngineConfig.defaults.breaker, openFor: minute, longestOpen: minute }
}
const retry = { maxAttempts: 100, backoff: "fixed", baseDelay: "1 second" } as const

/** Tasks that nobody has claimed: a claim may start them by itself. */
const insertDue = (world: World, count: number, functionName: string) =>
  Effect.flatMap(world.now, (now) =>
    world.store.insert(
      Array.from({ length: count }, () => aTask({ function: aTarget(functionName), createdAt: now, dueAt: now })),
      undefined
    ))

describe("an open breaker", () => {
  for (const [reason, other] of [["ServiceError", "job"], ["Unreachable", "other"]] as const) {
    it(`keeps a claim from starting by itself what it finds (${reason})`, () => {
      let answer: InvocationErrorReason | undefined = reason
      const script = () => answer === undefined ? "fine" : ScriptedLambdaClient.fail(answer)
      return inWorld({ scripts: { job: script, other: script }, settings }, (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const { scheduler } = yield* world.start()
          yield* scheduler.scheduleAll(job, Array.from({ length: 20 }, () => ({ retry })))
          yield* until(5_000)
          const which = reason === "Unreachable" ? "" : "job"
          assert.strictEqual((yield* scheduler.breakers.state(which)).state, "open")
          const calls = world.calls.length
          // The other function has nothing to do with it, unless nothing gets through at all.
          yield* insertDue(world, 30, other)
          yield* until(55_000)
          assert.strictEqual(world.calls.length, calls)
          answer = undefined
          yield* until(3 * minute)
          assert.strictEqual((yield* scheduler.breakers.state(which)).state, "closed")
          const tasks = yield* world.tasks
          assert.deepStrictEqual(new Set(tasks.map(({ status }) => status)), new Set(["Succeeded"]))
          assert.strictEqual(tasks.length, 50)
          sound(world)
        }))
    })
  }

  it("is probed by one of three instances at a time", () => {
    let isWell = false
    const script = () => isWell ? "fine" : ScriptedLambdaClient.fail("ServiceError")
    return inWorld({ scripts: { job: script }, settings }, (world) =>
      Effect.gen(function*() {
        const { instants, until } = yield* timeline(world)
        const [one] = yield* Effect.all([world.start(), world.start(), world.start()])
        yield* one.scheduler.scheduleAll(
          job,
          Array.from({ length: 200 }, () => ({ retry, trigger: Trigger.after("1 second") }))
        )
        yield* until(5 * minute)
        const [first = 0] = instants()
        const probes = instants().filter((at) => at > first + 30_000)
        // Once a minute, from when it has opened.
        assert.isAtLeast(probes.length, 4)
        assert.isAtMost(probes.length, 5)
        isWell = true
        yield* until(8 * minute)
        const tasks = yield* world.tasks
        assert.deepStrictEqual(new Set(tasks.map(({ status }) => status)), new Set(["Succeeded"]))
        sound(world)
      }))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LambdaScheduler } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { engine, job, settleDown } from "./support.ts"

describe("a retry without delay", () => {
  it.effect("can be interrupted by a cancel as any run", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job, { retry: { baseDelay: 0 } })
      yield* settleDown
      yield* scheduler.cancel(task.id)
      yield* settleDown
      const client = yield* ScriptedLambdaClient
      assert.deepStrictEqual((yield* client.invocations).map(({ outcome }) => outcome), [
        "FunctionError",
        "interrupted"
      ])
    }).pipe(Effect.provide(engine({
      job: ({ number }) => number === 1 ? ScriptedLambdaClient.fail("FunctionError") : Effect.sleep("1 hour")
    }))))
})

describe("a retry policy", () => {
  it.effect("that could not be read when it is needed is refused before anything is stored", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (const notRetryable of [5, "FunctionError", [5], {}]) {
        const refused = yield* Effect.flip(scheduler.schedule(job, { retry: { notRetryable: notRetryable as never } }))
        assert.strictEqual(refused._tag === "InvalidInput" && refused.reason, "RetryInvalid")
      }
      assert.deepStrictEqual((yield* scheduler.list()).items, [])
    }).pipe(Effect.provide(engine())))
})

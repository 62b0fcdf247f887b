import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, TestClock } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { DeployedFunction } from "../../src/index.ts"
import { DeploymentError, LambdaClient, LambdaScheduler } from "../../src/index.ts"
import { counts, job, settleDown } from "./support.ts"

describe("a deployment", () => {
  const deployedJob: DeployedFunction = {
    target: { name: "job", arn: undefined, qualifier: undefined, timeout: 1_000 },
    codeSha256: "",
    change: "created"
  }
  const deployingAs = (deploy: LambdaClient["Type"]["deploy"]) =>
    LambdaScheduler.layer.pipe(
      Layer.provide(Layer.merge(
        MemoryTaskRepository.layer,
        Layer.succeed(LambdaClient, {
          description: "answers at once",
          region: undefined,
          deploy,
          invoke: () =>
            Effect.succeed({
              body: { text: "1", encoding: "utf8" },
              requestId: undefined,
              executedVersion: undefined,
              logTail: undefined
            }),
          remove: () => Effect.void
        })
      ))
    )

  it.effect("is shared, and goes on for the others when the one who asked first gives up", () => {
    let calls = 0
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const first = yield* Effect.fork(scheduler.schedule(job))
      yield* settleDown
      const second = yield* Effect.fork(scheduler.schedule(job))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interruptFork(first)
      yield* settleDown
      assert.strictEqual(first.unsafePoll()?._tag, "Failure", "gives up at once")
      assert.isNull(second.unsafePoll())
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(second)))
      yield* scheduler.schedule(job)
      assert.strictEqual(calls, 1)
      yield* settleDown
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 2 })
    }).pipe(Effect.provide(deployingAs(() => {
      calls++
      return Effect.as(Effect.sleep("10 seconds"), deployedJob)
    })))
  })

  it.effect("that hangs can be given up by each of those who wait for it", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const waiting = yield* Effect.fork(
        Effect.all([1, 2, 3].map(() => Effect.timeoutOption(scheduler.schedule(job), "1 second")), {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("1 second")
      assert.isNotNull(waiting.unsafePoll())
    }).pipe(Effect.provide(deployingAs(() => Effect.never))))

  it.effect("that fails or dies is told to all who wait for it, and tried again by the next", () => {
    let calls = 0
    const error = new DeploymentError({ reason: "NotOwned", functionName: "job", message: "not ours" })
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const both = Effect.all([1, 2].map(() => Effect.exit(scheduler.schedule(job))), { concurrency: "unbounded" })
      const waiting = yield* Effect.fork(both)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(waiting), [Exit.fail(error), Exit.fail(error)])
      const dying = yield* Effect.fork(both)
      yield* TestClock.adjust("1 second")
      for (const exit of yield* Fiber.join(dying)) assert.isTrue(Exit.isFailure(exit) && exit.cause._tag === "Die")
      const third = yield* Effect.fork(scheduler.schedule(job))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(third)).function.name, "job")
      assert.strictEqual(calls, 3)
    }).pipe(Effect.provide(deployingAs(() => {
      calls++
      const outcomes = [Effect.fail(error), Effect.die("boom"), Effect.succeed(deployedJob)] as const
      return Effect.zipRight(Effect.sleep("1 second"), outcomes[calls - 1] ?? Effect.die("one call too many"))
    })))
  })
})

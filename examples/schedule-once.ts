/**
 * Runs a function once, two seconds from now, and shows what it answered.
 *
 *     npx tsx examples/schedule-once.ts
 */
import { Console, Effect, Layer } from "effect"
import { LambdaFunction, LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { LocalLambdaClient } from "effect-lambda-scheduler/local"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"

const invoice = LambdaFunction.inline(
  "invoice",
  `export const handler = async ({ lines }) => ({ total: lines.reduce((sum, line) => sum + line.price, 0) })`
)

const program = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  const task = yield* scheduler.schedule(invoice, {
    payload: { lines: [{ price: 19 }, { price: 23 }] },
    trigger: Trigger.after("2 seconds"),
    retry: { maxAttempts: 5, baseDelay: "500 millis" },
    tags: { customer: "ada" }
  })
  yield* Console.log("scheduled:", task.status)
  yield* Console.log("result:", yield* scheduler.awaitResult(task.id))
  const done = yield* scheduler.get(task.id)
  yield* Console.log("finally:", done.status, "after", done.attempts.length, "attempt")
})

const Live = LambdaScheduler.layer.pipe(
  Layer.provide(Layer.merge(MemoryTaskRepository.layer, LocalLambdaClient.layer))
)

void Effect.runPromise(program.pipe(Effect.provide(Live)))

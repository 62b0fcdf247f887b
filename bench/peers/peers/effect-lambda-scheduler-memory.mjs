/** This library on its memory store, with its defaults. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { MemoryTaskRepository } from "../../../dist/adapters/memory/index.js"
import { LambdaScheduler, Trigger } from "../../../dist/index.js"
import { lambda, noop } from "./effect-lambda-scheduler.mjs"

export const open = async () => {
  let runtime
  let scheduler
  return {
    setup: async () => undefined,
    bulkSize: 5000,
    insertBulk: (jobs) =>
      Effect.runPromise(
        scheduler.scheduleAll(noop, jobs.map(({ data, due }) => ({ payload: data, trigger: Trigger.at(due) })))
      ),
    work: async (handler) => {
      runtime = ManagedRuntime.make(
        LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, lambda(handler))))
      )
      scheduler = await runtime.runPromise(LambdaScheduler)
    },
    failed: () => Effect.runPromise(scheduler.deadLetters.count()),
    close: () => runtime?.dispose()
  }
}

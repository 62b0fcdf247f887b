/** The public service: schedule, repeat, look, cancel, await. */
import { Context, Layer } from "effect"
import type { InvalidInput, TaskRepositoryError } from "../domain/Errors.ts"
import type { LambdaClient } from "../ports/LambdaClient.ts"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import { makeScheduler } from "./makeScheduler.ts"
import type { SchedulerApi } from "./SchedulerApi.ts"

export class LambdaScheduler extends Context.Tag("effect-lambda-scheduler/engine/LambdaScheduler")<
  LambdaScheduler,
  SchedulerApi
>() {
  /**
   * A running scheduler. It keeps the process alive until its scope closes; then it takes no more work, waits for what
   * runs (`EngineConfig.shutdownGrace`), interrupts the rest and hands its claims back. Fails with `InvalidInput` if a
   * setting of EngineConfig makes no sense.
   *
   * @example
   * LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, LocalLambdaClient.layer)))
   */
  static readonly layer: Layer.Layer<
    LambdaScheduler,
    TaskRepositoryError | InvalidInput,
    TaskRepository | LambdaClient
  > = Layer
    .scoped(
      LambdaScheduler,
      makeScheduler
    )
}

/** An engine on the memory store with scripted functions, for tests that own time. */
import { Effect, Layer, TestClock } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { LambdaScheduler as Service, TaskStatus } from "../../src/index.ts"
import { EngineConfig, LambdaFunction, LambdaScheduler } from "../../src/index.ts"
import type { EngineSettings, TaskRepository } from "../../src/index.ts"
import type { Script } from "../../src/testing/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"

/** What the code says does not matter here: the script answers. */
export const job = LambdaFunction.inline("job", "export const handler = async () => null", { timeout: "15 minutes" })
export const other = LambdaFunction.existing("other")

export const engine = (
  scripts: Readonly<Record<string, Script>> = {},
  config: Partial<EngineSettings> = {},
  store: Layer.Layer<TaskRepository> = MemoryTaskRepository.layer
) =>
  LambdaScheduler.layer.pipe(
    Layer.provideMerge(Layer.merge(store, ScriptedLambdaClient.layer(scripts))),
    // Nobody moves the clock once a test has ended: a shutdown must not wait for it.
    Layer.provide(EngineConfig.layer({ shutdownGrace: 0, ...config }))
  )

/** When each invocation of a function began. */
export const instants = (name = "job") =>
  Effect.flatMap(ScriptedLambdaClient, (client) => client.invocationsOf(name)).pipe(
    Effect.map((invocations) => invocations.map((invocation) => invocation.at))
  )

/** Lets all fibers run that can, without moving time. */
export const settleDown = TestClock.adjust(0)

/** How many Tasks there are of each status. */
export const counts = (scheduler: Service["Type"]) =>
  Effect.map(scheduler.list(), (page) => {
    const found: Partial<Record<TaskStatus, number>> = {}
    for (const task of page.items) found[task.status] = (found[task.status] ?? 0) + 1
    return found
  })

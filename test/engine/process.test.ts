import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

interface Ended {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program that has the library's names at hand, in a process of its own. */
const run = (program: string, timeout = 20_000) =>
  new Promise<Ended>((resolve) => {
    const source = `
      import { Effect, Layer, ManagedRuntime } from "effect"
      import { EngineConfig, LambdaFunction, LambdaScheduler, Trigger } from "./src/index.ts"
      import { MemoryTaskRepository } from "./src/adapters/memory/index.ts"
      import { ScriptedLambdaClient } from "./src/testing/index.ts"
      const job = LambdaFunction.existing("job")
      const Live = LambdaScheduler.layer.pipe(
        Layer.provide(Layer.merge(MemoryTaskRepository.layer, ScriptedLambdaClient.layer({
          job: () => console.log("ran"),
          slow: () => Effect.sleep("1 hour")
        }))),
        Layer.provide(EngineConfig.layer({ shutdownGrace: 100 }))
      )
      ${program}`
    execFile(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "--eval", source],
      { cwd: root, timeout, killSignal: "SIGKILL" },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr })
    )
  })

describe("the process of a scheduler", () => {
  it("lives while the scope is open, though nothing else keeps it, and ends by itself once it is closed", async () => {
    const ended = await run(`
      const runtime = ManagedRuntime.make(Live)
      await runtime.runPromise(Effect.flatMap(LambdaScheduler, (scheduler) =>
        scheduler.schedule(job, { trigger: Trigger.after("300 millis") })))
      // Does not keep the process: the scheduler must.
      setTimeout(() => { console.log("closing"); void runtime.dispose() }, 1_500).unref()`)
    assert.deepStrictEqual(ended, { code: 0, stdout: "ran\nclosing\n", stderr: "" })
  })

  it("lives though nothing is due at all", async () => {
    const ended = await run(`
      const runtime = ManagedRuntime.make(Live)
      await runtime.runPromise(LambdaScheduler)
      setTimeout(() => { console.log("still here"); void runtime.dispose() }, 1_000).unref()`)
    assert.deepStrictEqual(ended, { code: 0, stdout: "still here\n", stderr: "" })
  })

  it("is held by nothing that is left when the scope closes: schedules, far and near Tasks, waits, a run that hangs", async () => {
    const ended = await run(`
      await Effect.runPromise(Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        yield* scheduler.repeat(job, { trigger: Trigger.fixed("1 hour"), initialDelay: "1 hour" })
        yield* scheduler.repeat(job, { trigger: Trigger.spaced("1 hour"), initialDelay: "1 hour" })
        for (const delay of ["1 second", "50 seconds", "5 minutes", "100 days"]) {
          const task = yield* scheduler.schedule(job, { trigger: Trigger.after(delay) })
          yield* Effect.forkDaemon(Effect.ignore(scheduler.awaitResult(task.id)))
        }
        yield* scheduler.schedule(LambdaFunction.existing("slow"))
        yield* Effect.sleep("100 millis")
      }).pipe(Effect.provide(Live)))
      console.log("closed")`)
    assert.deepStrictEqual(ended, { code: 0, stdout: "closed\n", stderr: "" })
  })
})

/** Runs one benchmark once and hands its figures to the process that started this one. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Logger, LogLevel } from "effect"
import { benches } from "./benches.ts"

const name = process.argv[2] ?? ""

Effect.gen(function*() {
  const load = benches[name]
  if (load === undefined) return yield* Effect.dieMessage(`No benchmark is called ${JSON.stringify(name)}`)
  const { default: bench } = yield* Effect.promise(load)
  const measurements = yield* bench.run
  yield* Effect.async<void>((resume) => {
    process.send?.(measurements, () => resume(Effect.void))
  })
  process.disconnect()
}).pipe(Logger.withMinimumLogLevel(LogLevel.Warning), NodeRuntime.runMain)

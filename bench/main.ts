/**
 * Runs benchmarks, each run in a process of its own, and prints their figures.
 *
 *     npm run bench -- [--only NAME]... [--runs N] [--json]
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { fork } from "node:child_process"
import { availableParallelism, cpus, totalmem } from "node:os"
import { env } from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { benches } from "./benches.ts"
import type { Measurement } from "./support/Bench.ts"
import { quantile } from "./support/Bench.ts"

/** A metric over all runs of its benchmark. */
interface Figure extends Omit<Measurement, "value"> {
  readonly name: string
  readonly values: ReadonlyArray<number>
}

const runOnce = (name: string) =>
  Effect.async<ReadonlyArray<Measurement>, string>((resume) => {
    const child = fork(fileURLToPath(new URL("child.ts", import.meta.url)), [name], {
      execArgv: ["--import", "tsx", "--expose-gc", "--max-old-space-size=8192", "--max-semi-space-size=64"],
      // Without the source's paths the package's name is the built package: what its users run.
      env: { ...env, TSX_TSCONFIG_PATH: fileURLToPath(new URL("tsconfig.json", import.meta.url)) },
      // Figures come by message: what a benchmark prints must not end up between them.
      stdio: ["ignore", process.stderr, "inherit", "ipc"]
    })
    let measurements: ReadonlyArray<Measurement> | undefined
    child.on("message", (message) => {
      measurements = message as ReadonlyArray<Measurement>
    })
    child.on("close", (code, signal) =>
      resume(
        measurements !== undefined && code === 0
          ? Effect.succeed(measurements)
          : Effect.fail(`${name} failed (${signal ?? `exit code ${code}`})`)
      ))
    return Effect.sync(() => child.kill())
  })

const run = (name: string, runs: number) =>
  Effect.gen(function*() {
    const figures = new Map<string, Figure>()
    for (let count = 0; count < runs; count++) {
      for (const { metric, unit, value } of yield* runOnce(name)) {
        figures.set(metric, { name, metric, unit, values: [...figures.get(metric)?.values ?? [], value] })
      }
    }
    return [...figures.values()]
  })

const rounded = (value: number): number => Number.isInteger(value) ? value : Number(value.toPrecision(4))

const jsonLines = ({ metric, name, unit, values }: Figure): string =>
  JSON.stringify({
    name,
    metric,
    value: rounded(quantile(values, 0.5)),
    unit,
    ...(values.length > 1 ? { min: rounded(quantile(values, 0)), max: rounded(quantile(values, 1)) } : {})
  })

const row = ({ metric, name, unit, values }: Figure): string => {
  const shown = (share: number) =>
    rounded(quantile(values, share)).toLocaleString("en-US", { maximumFractionDigits: 3 })
  const spread = values.length > 1 ? `  (${shown(0)} to ${shown(1)} in ${values.length} runs)` : ""
  return `${name.padEnd(18)} ${metric.padEnd(28)} ${shown(0.5).padStart(12)} ${unit}${spread}`
}

const usage = `Usage: npm run bench -- [--only NAME]... [--runs N] [--json]\nBenchmarks: ${
  Object.keys(benches).join(", ")
}`

Effect.gen(function*() {
  const { values: options } = yield* Effect.try({
    try: () =>
      parseArgs({
        options: {
          only: { type: "string", multiple: true },
          runs: { type: "string", default: "1" },
          json: { type: "boolean", default: false }
        }
      }),
    catch: (error) => `${String(error)}\n${usage}`
  })
  const names = options.only ?? Object.keys(benches)
  const runs = Number(options.runs)
  if (!Number.isInteger(runs) || runs < 1 || names.some((name) => !Object.hasOwn(benches, name))) {
    return yield* Effect.fail(usage)
  }
  if (!options.json) {
    const model = cpus()[0]?.model ?? "unknown CPU"
    const memory = Math.round(totalmem() / 2 ** 30)
    yield* Console.log(`${availableParallelism()} x ${model}, ${memory} GB, Node ${process.version}\n`)
  }
  for (const name of names) {
    for (const figure of yield* run(name, runs)) yield* Console.log(options.json ? jsonLines(figure) : row(figure))
  }
}).pipe(
  Effect.catchAll((message) => Effect.zipRight(Console.error(message), Effect.fail(message))),
  NodeRuntime.runMain({ disableErrorReporting: true })
)

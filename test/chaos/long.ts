/**
 * The long run: workers are killed again and again, with the lease of production.
 *
 *     npm run test:chaos                          100 kills, some minutes
 *     npm run test:chaos -- --minutes 120         for two hours
 *     npm run test:chaos -- --kills 500 --seed 7
 *
 * It ends with code 1 as soon as a promise is broken, or if in the end a phase has not been hit by a tenth of the kills.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Data, Effect, Logger, LogLevel, Random } from "effect"
import { parseArgs } from "node:util"
import { EngineConfig } from "../../src/index.ts"
import { now } from "./chanceAndTime.ts"
import { killAgainAndAgain, phases } from "./killing.ts"
import { describeReport } from "./report.ts"
import type { Stage } from "./Rig.ts"
import { databaseStage, makeRig } from "./Rig.ts"

class RunFailed extends Data.TaggedError("RunFailed")<{ readonly message: string }> {}

/** Kills in one round: each has a store of its own, is verified by itself, and fits into memory. */
const killsInRound = 50

const lease = EngineConfig.defaults.leaseDuration

const round = (stage: Stage, seed: number, number: number, kills: number) =>
  Effect.gen(function*() {
    const rig = yield* makeRig(stage, { seed: seed + number, lease, schema: `round_${number}` })
    const report = yield* killAgainAndAgain(rig, { kills, workers: 3, pause: [400, 1_600] })
    yield* Console.log(`Round ${number + 1}\n${describeReport(report)}`)
    if (report.violations.length > 0) {
      const told = report.violations.slice(0, 50).map(({ rule, what }) => `${rule}: ${what}`)
      return yield* new RunFailed({ message: `${report.violations.length} promises were broken\n${told.join("\n")}` })
    }
    return report
  }).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const { values } = parseArgs({
    options: { minutes: { type: "string" }, kills: { type: "string" }, seed: { type: "string" } }
  })
  const seed = Number(values.seed ?? (yield* Random.nextIntBetween(1, 1_000_000)))
  const wanted = Number(values.kills ?? 100)
  const until = now() + Number(values.minutes ?? 0) * 60_000
  yield* Console.log(`Seed ${seed}; lease ${lease} ms`)
  const stage = yield* databaseStage
  const began = now()
  const hits = new Map(phases.map((phase) => [phase, 0]))
  let kills = 0
  let full = 0
  for (let number = 0; full < wanted || now() < until; number++) {
    const left = Math.max(wanted - full, now() < until ? killsInRound : 0)
    const report = yield* round(stage, seed, number, Math.min(killsInRound, left))
    kills += report.kills.length
    full += report.full
    for (const phase of phases) hits.set(phase, (hits.get(phase) ?? 0) + report.hits[phase])
  }
  const counts = phases.map((phase) => `${phase} ${hits.get(phase)}`).join(", ")
  yield* Console.log(
    `${kills} kills in ${Math.round((now() - began) / 1_000)} s, ${full} in the midst of work. Hit: ${counts}`
  )
  const missed = phases.filter((phase) => (hits.get(phase) ?? 0) < Math.min(10, full / 10))
  if (missed.length > 0) {
    return yield* new RunFailed({ message: `Too few kills hit these phases: ${missed.join(", ")}` })
  }
}).pipe(
  Effect.scoped,
  Effect.tapError(({ message }) => Console.error(message)),
  Logger.withMinimumLogLevel(LogLevel.Error)
)

NodeRuntime.runMain(program, { disableErrorReporting: true })

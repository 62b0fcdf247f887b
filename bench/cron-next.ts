/** How long one `next` of a cron takes, by the engine's own way to it, and by the libraries that others would take. */
// Peers speak Date.
// @effect-diagnostics globalDate:off
import { CronExpressionParser } from "cron-parser"
import { Cron } from "croner"
import { Effect, Either } from "effect"
import { cronPattern, parseCron } from "../src/domain/CronExpression.ts"
import { nextAfter } from "../src/domain/Recurrence.ts"
import { parseTimeZone } from "../src/domain/TimeZone.ts"
import { nextOf } from "../src/domain/WallPattern.ts"
import type { Bench, Measurement } from "./support/Bench.ts"
import { insist, quantile } from "./support/Bench.ts"

const expressions = [
  "* * * * *",
  "*/15 * * * *",
  "0 9 * * *",
  "30 2 * * *",
  "0 9 * * MON-FRI",
  "15 8-18/2 * * 1-5",
  "0 0 1 * *",
  "0 12 L * *",
  "0 9 * * 5L",
  "0 6 1 1,4,7,10 *",
  "*/10 30 3 * * *"
]
const zones = [
  "Europe/Stockholm",
  "America/New_York",
  "America/Sao_Paulo",
  "Asia/Kolkata",
  "Australia/Lord_Howe",
  "Africa/Casablanca"
]
const warming = 2_000
const calls = 20_000

/** Numbers of [0, 1) that depend on the seed only (mulberry32): the same questions for all. */
const chance = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

type Next = (after: number) => number | undefined

/** A library's cron, made once; asked often. */
type Library = (expression: string, timeZone: string) => Next

const ours: Library = (expression, timeZone) => {
  const rule = {
    _tag: "Cron",
    v: 2,
    syntax: "unix",
    expression,
    timeZone,
    gap: "run-after",
    overlap: "default"
  } as const
  return (after) => nextAfter(rule, after)
}

const croner: Library = (expression, timezone) => {
  const cron = new Cron(expression, { timezone })
  return (after) => cron.nextRun(new Date(after))?.getTime()
}

const cronParser: Library = (expression, tz) => {
  const cron = CronExpressionParser.parse(expression, { tz })
  return (after) => {
    cron.reset(new Date(after))
    try {
      return cron.next().getTime()
    } catch {
      // Before some changes of Lord Howe's clocks it gives up.
      return undefined
    }
  }
}

const libraries: Readonly<Record<string, Library>> = { ours, croner, "cron-parser": cronParser }

const firstInstant = Date.UTC(2000, 0)
const span = Date.UTC(2038, 0) - firstInstant

const clock = process.hrtime

/** Microseconds of each call by itself, the clock's own included, and the answers. */
const ask = (library: Library, timeZones: ReadonlyArray<string>) => {
  const random = chance(20_261_124)
  const crons = expressions.flatMap((expression) => timeZones.map((zone) => library(expression, zone)))
  const micros: Array<number> = []
  const answers: Array<number | undefined> = []
  for (let call = -warming; call < calls; call++) {
    const next = crons[Math.floor(random() * crons.length)] as Next
    const after = Math.floor(firstInstant + random() * span)
    const began = clock.bigint()
    const answer = next(after)
    const took = Number(clock.bigint() - began) / 1_000
    if (call < 0) continue
    micros.push(took)
    answers.push(answer)
  }
  return { micros, answers }
}

const percentiles = (name: string, micros: ReadonlyArray<number>): ReadonlyArray<Measurement> =>
  [0.5, 0.99].map((share) => ({ metric: `${name}_p${share * 100}`, value: quantile(micros, share), unit: "us" }))

const repeated = (times: number, run: () => void): ReadonlyArray<number> =>
  Array.from({ length: times }, () => {
    const began = clock.bigint()
    run()
    return Number(clock.bigint() - began) / 1_000
  })

const created = (expression: string, timeZone: string, after: number) => {
  const zone = Either.getOrThrow(parseTimeZone(timeZone))
  const pattern = cronPattern(Either.getOrThrow(parseCron(expression)), "default")
  return nextOf({ pattern, zone, gap: "run-after" }, after / 1_000)
}

export default {
  about:
    `${calls} calls of next at random instants of 2000 to 2037, in UTC and in ${zones.length} zones, three libraries`,
  run: Effect.gen(function*() {
    const figures: Array<Measurement> = []
    for (const [kind, timeZones] of [["utc", ["UTC"]], ["zoned", zones]] as const) {
      const asked = Object.entries(libraries).map(([name, library]) => ({ name, ...ask(library, timeZones) }))
      const [{ answers }] = asked as [typeof asked[number]]
      for (const peer of asked) {
        // They differ where clocks are changed, and hardly anywhere else.
        const differing = peer.answers.filter((answer, index) => answer !== answers[index]).length
        yield* insist(differing <= calls / 500, `${kind}: ${differing} answers of ${peer.name} are others`)
        figures.push(...percentiles(`${peer.name}_${kind}`, peer.micros))
      }
    }
    const random = chance(7)
    const next = () => {
      const expression = expressions[Math.floor(random() * expressions.length)] as string
      created(expression, "Europe/Stockholm", firstInstant + Math.floor(random() * span / 1_000) * 1_000)
    }
    repeated(warming, next)
    figures.push(...percentiles("create", repeated(calls / 10, next)))
    // Once for each zone and quarter of a year its changes have to be found.
    const cold = Intl.supportedValuesOf("timeZone").filter((zone) => !zones.includes(zone)).flatMap((zone) => {
      const next = ours("0 9 * * *", zone)
      next(firstInstant)
      return repeated(5, () => next(firstInstant + random() * span))
    })
    figures.push(...percentiles("cold", cold))
    const never = () => {
      if (created("0 0 30 2 *", "Europe/Stockholm", firstInstant) !== undefined) throw new Error("a 30th of February")
    }
    repeated(warming / 10, never)
    figures.push(...percentiles("never", repeated(calls / 20, never)))
    return figures
  })
} satisfies Bench

/**
 * Judges the library's cron by rows of a file of vectors, such as `test/fixtures/cron.json`, whose `meta` explains them.
 */
// Dates of JavaScript read and show the instants of the file.
// @effect-diagnostics globalDate:off
import { Either } from "effect"
import { cronPattern, parseCron } from "../../src/domain/CronExpression.ts"
import type { InvalidInput } from "../../src/domain/Errors.ts"
import type { EpochSeconds } from "../../src/domain/TimeZone.ts"
import { parseTimeZone } from "../../src/domain/TimeZone.ts"
import type { Gap, Overlap, Zoned } from "../../src/domain/WallPattern.ts"
import { nextOf } from "../../src/domain/WallPattern.ts"

interface Row {
  readonly id?: string
  readonly expr: string
  readonly tz?: string
}

export interface Vector extends Row {
  readonly after: string
  readonly expected?: ReadonlyArray<string>
  /** There is no occurrence after those expected. */
  readonly never?: boolean
  readonly tier?: string
  readonly recommended?: boolean
  readonly holdsUnder?: {
    readonly domDow?: ReadonlyArray<string>
    readonly gap?: ReadonlyArray<string>
    readonly overlap?: ReadonlyArray<string>
  }
}

export interface Invalid extends Row {
  readonly unanimous?: boolean
}

export interface Match extends Row {
  readonly at: string
  readonly matches: boolean
}

export interface Probe extends Row {
  readonly after: string
}

export interface VectorFile {
  readonly vectors?: ReadonlyArray<Vector>
  readonly invalid?: ReadonlyArray<Invalid>
  readonly matches?: ReadonlyArray<Match>
  readonly monotonicityProbes?: ReadonlyArray<Probe>
  readonly peerBugs?: ReadonlyArray<Probe>
}

export type Verdict =
  | { readonly _tag: "Right" }
  | { readonly _tag: "Wrong"; readonly expected: string; readonly got: string }
  /** Not an expression that is taken, or not a rule that is offered. */
  | { readonly _tag: "Refused"; readonly why: string }

const right: Verdict = { _tag: "Right" }
const wrong = (expected: string, got: string): Verdict => ({ _tag: "Wrong", expected, got })
const refused = (why: string): Verdict => ({ _tag: "Refused", why })

export interface Settings {
  readonly gap: Gap
  readonly overlap: Overlap
}

const defaults: Settings = { gap: "run-after", overlap: "default" }

const gaps: Readonly<Record<string, Gap>> = { "end-fixed": "run-after", skip: "skip", shift: "shift" }
const overlaps: Readonly<Record<string, Overlap>> = { "interval-both": "default", first: "once", both: "both" }

const offered = <A>(rules: ReadonlyArray<string> | undefined, ours: Readonly<Record<string, A>>, otherwise: A) =>
  rules === undefined ? [otherwise] : rules.flatMap((rule) => ours[rule] ?? [])

/** The settings under which a vector must hold; none when its rule is not offered. */
export const settingsOf = ({ holdsUnder, recommended, tier }: Vector): ReadonlyArray<Settings> => {
  if (recommended === true) return [defaults]
  if (holdsUnder === undefined) return recommended === false && tier === "policy" ? [] : [defaults]
  if (holdsUnder.domDow?.includes("or(star*)") === false) return []
  return offered(holdsUnder.gap, gaps, defaults.gap).flatMap((gap) =>
    offered(holdsUnder.overlap, overlaps, defaults.overlap).map((overlap) => ({ gap, overlap }))
  )
}

const zonedOf = ({ expr, tz }: Row, { gap, overlap }: Settings): Either.Either<Zoned, InvalidInput> =>
  Either.gen(function*() {
    const fields = yield* parseCron(expr)
    const zone = yield* parseTimeZone(tz ?? "UTC")
    return { pattern: cronPattern(fields, overlap), zone, gap }
  })

const secondOf = (instant: string): EpochSeconds => Math.floor(Date.parse(instant) / 1_000)

const instantShown = (instant: EpochSeconds | undefined) =>
  instant === undefined ? "never" : new Date(instant * 1_000).toISOString()

/** The first occurrences; fewer when there are no more. */
const chain = (zoned: Zoned, after: EpochSeconds, length: number): ReadonlyArray<EpochSeconds> => {
  const found: Array<EpochSeconds> = []
  for (let at = nextOf(zoned, after); at !== undefined && found.length < length; at = nextOf(zoned, at)) found.push(at)
  return found
}

const shown = (instants: ReadonlyArray<EpochSeconds>, never: boolean) =>
  [...instants.map(instantShown), ...(never ? ["never"] : [])].join(", ")

/** What a row says of an instant that cannot be read is not true of any cron. */
const judgeFrom = (row: Row, instant: string, settings: Settings, judge: (zoned: Zoned, at: EpochSeconds) => Verdict) =>
  Number.isNaN(secondOf(instant))
    ? wrong("an instant", String(instant))
    : Either.match(zonedOf(row, settings), {
      onLeft: ({ message }) => refused(message),
      onRight: (zoned) => judge(zoned, secondOf(instant))
    })

export const judgeVectorUnder = (vector: Vector, settings: Settings): Verdict =>
  judgeFrom(vector, vector.after, settings, (zoned, after) => {
    const never = vector.never === true
    const instants = vector.expected?.map(secondOf) ?? []
    const answer = chain(zoned, after, instants.length + (never ? 1 : 0))
    const expected = shown(instants, never)
    const got = shown(answer, answer.length < instants.length + (never ? 1 : 0))
    return got === expected ? right : wrong(`${expected} (${settings.gap}, ${settings.overlap})`, got)
  })

export const judgeVector = (vector: Vector): Verdict => {
  const settings = settingsOf(vector)
  if (settings.length === 0) return refused(`no rule of ours: ${JSON.stringify(vector.holdsUnder)}`)
  const verdicts = settings.map((each) => judgeVectorUnder(vector, each))
  return verdicts.find(({ _tag }) => _tag !== "Right") ?? right
}

/** One that some libraries take may be taken. */
export const judgeInvalid = (row: Invalid): Verdict =>
  Either.match(zonedOf(row, defaults), {
    onLeft: () => right,
    onRight: (zoned) =>
      row.unanimous === true && nextOf(zoned, 0) !== undefined ? wrong("a typed error", "accepted") : right
  })

export const judgeMatch = (row: Match): Verdict =>
  judgeFrom(row, row.at, defaults, (zoned, at) => {
    const next = nextOf(zoned, at - 1)
    const expected = `${row.matches ? "" : "not "}${instantShown(at)}`
    return (next === at) === row.matches ? right : wrong(expected, instantShown(next))
  })

/** Occurrences that a probe follows. */
const followed = 100

export const judgeProbe = (row: Probe): Verdict =>
  judgeFrom(row, row.after, defaults, (zoned, after) => {
    const instants = [after, ...chain(zoned, after, followed)]
    const fault = instants.findIndex((at, index) => index > 0 && at <= (instants[index - 1] as number))
    return fault < 0
      ? right
      : wrong(`later than ${instantShown(instants[fault - 1])}`, instantShown(instants[fault]))
  })

/** Every row of a file with what became of it. */
export const judgeFile = (file: VectorFile): ReadonlyArray<readonly [row: Row, verdict: Verdict]> => [
  ...(file.vectors ?? []).map((row) => [row, judgeVector(row)] as const),
  ...(file.invalid ?? []).map((row) => [row, judgeInvalid(row)] as const),
  ...(file.matches ?? []).map((row) => [row, judgeMatch(row)] as const),
  ...[...file.monotonicityProbes ?? [], ...file.peerBugs ?? []].map((row) => [row, judgeProbe(row)] as const)
]

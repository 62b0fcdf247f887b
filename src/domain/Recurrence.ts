/** The rule of a TaskSchedule as it is stored, and the arithmetic of its occurrences. Pure. */
import { Either, Schema } from "effect"
import { calendarPattern } from "./CalendarRule.ts"
import { cronPattern, parseCron, parseEventBridgeCron } from "./CronExpression.ts"
import type { InvalidInput } from "./Errors.ts"
import type { EpochMillis, Millis } from "./Time.ts"
import { farthest } from "./Time.ts"
import { parseTimeZone } from "./TimeZone.ts"
import type { Zoned } from "./WallPattern.ts"
import { countOf, nextOf } from "./WallPattern.ts"

// What is out of these bounds has been edited by hand: a rule that never goes on, or that is nowhere in time.
const instant = Schema.Int.pipe(Schema.between(-farthest, farthest))
const duration = Schema.Int.pipe(Schema.nonNegative())
const interval = Schema.Int.pipe(Schema.positive())

/** What every rule may have besides; written by version 2 only, so that version 1 does not run what it cannot see. */
const limits = {
  /** No occurrence is later than this, epoch milliseconds. */
  until: Schema.optionalWith(instant, { exact: true }),
  /** Milliseconds by which an occurrence may be due after its nominal instant. */
  jitter: Schema.optionalWith(duration, { exact: true })
}

const v1 = Schema.Literal(1, 2)
const v2 = Schema.Literal(2)
const gap = Schema.Literal("run-after", "skip", "shift")

/** `v` lets an older version tell that it cannot read what it finds. */
export const Recurrence = Schema.Union(
  Schema.TaggedStruct("Spaced", { v: v1, interval, ...limits }),
  Schema.TaggedStruct("Fixed", {
    v: v1,
    interval,
    /** Epoch milliseconds of occurrence 0. */
    anchor: instant,
    ...limits
  }),
  Schema.TaggedStruct("Cron", {
    v: v2,
    syntax: Schema.Literal("unix", "eventbridge"),
    expression: Schema.String,
    timeZone: Schema.String,
    gap,
    overlap: Schema.Literal("default", "once", "both"),
    ...limits
  }),
  Schema.TaggedStruct("Calendar", {
    v: v2,
    every: interval,
    unit: Schema.Literal("day", "week", "month", "year"),
    /** What clocks show at the first occurrence, in seconds as if it were UTC. */
    from: Schema.Int.pipe(Schema.between(-farthest / 1_000, farthest / 1_000)),
    missingDay: Schema.Literal("clamp", "skip"),
    timeZone: Schema.String,
    gap,
    ...limits
  })
)
export type Recurrence = typeof Recurrence.Type
export type ZonedRule = Extract<Recurrence, { readonly timeZone: string }>
/** A rule whose occurrences do not depend on when runs end. */
export type AnchoredRule = Exclude<Recurrence, { readonly _tag: "Spaced" }>

/** Compiled patterns that are kept. */
const remembered = 1_000
const patterns = new Map<string, Zoned["pattern"]>()

const compile = (rule: ZonedRule): Either.Either<Zoned["pattern"], InvalidInput> => {
  if (rule._tag === "Calendar") return Either.right(calendarPattern(rule))
  const fields = rule.syntax === "unix" ? parseCron(rule.expression) : parseEventBridgeCron(rule.expression)
  return Either.map(fields, (fields) => cronPattern(fields, rule.overlap))
}

const patternOf = (rule: ZonedRule): Either.Either<Zoned["pattern"], InvalidInput> => {
  const key = rule._tag === "Cron"
    ? `${rule.syntax} ${rule.overlap} ${rule.expression}`
    : `${rule.every} ${rule.unit} ${rule.from} ${rule.missingDay}`
  const before = patterns.get(key)
  if (before !== undefined) return Either.right(before)
  return Either.map(compile(rule), (pattern) => {
    if (patterns.size >= remembered) patterns.clear()
    patterns.set(key, pattern)
    return pattern
  })
}

/** The pattern of a rule and its zone; `InvalidInput` for one that has not been checked. */
const compileZoned = (rule: ZonedRule): Either.Either<Zoned, InvalidInput> =>
  Either.flatMap(
    parseTimeZone(rule.timeZone),
    (zone) => Either.map(patternOf(rule), (pattern) => ({ pattern, zone, gap: rule.gap }))
  )

/** The same for a rule that has been checked before it was stored. */
export const zonedOf = (rule: ZonedRule): Zoned => Either.getOrThrow(compileZoned(rule))

/** Whether a rule says something that this version can run. */
export const isRunnable = (rule: Recurrence): boolean => !("timeZone" in rule) || Either.isRight(compileZoned(rule))

const second = 1_000

/** The first occurrence after an instant, whatever the rule's end. */
const following = (rule: AnchoredRule, after: EpochMillis): EpochMillis | undefined => {
  if (rule._tag === "Fixed") {
    // Before its anchor there is none.
    return rule.anchor + Math.max(0, Math.floor((after - rule.anchor) / rule.interval) + 1) * rule.interval
  }
  const next = nextOf(zonedOf(rule), Math.floor(after / second))
  return next === undefined ? undefined : next * second
}

/**
 * The first occurrence after an instant.
 *
 * @returns epoch milliseconds; `undefined` when there is none any more
 *
 * @example
 * nextAfter({ _tag: "Fixed", v: 1, interval: 10, anchor: 0 }, 25) // 30
 */
export const nextAfter = (rule: AnchoredRule, after: EpochMillis): EpochMillis | undefined => {
  const next = following(rule, after)
  return next === undefined || next > (rule.until ?? farthest) ? undefined : next
}

/**
 * How many occurrences there are after one instant and up to another.
 *
 * @example
 * countBetween({ _tag: "Fixed", v: 1, interval: 10, anchor: 0 }, 20, 50) // 3
 */
export const countBetween = (rule: AnchoredRule, after: EpochMillis, upTo: EpochMillis): number => {
  const end = Math.min(upTo, rule.until ?? Infinity)
  if (end <= after) return 0
  if (rule._tag === "Fixed") {
    const upToIncluded = (at: EpochMillis) => Math.max(0, Math.floor((at - rule.anchor) / rule.interval) + 1)
    return upToIncluded(end) - upToIncluded(after)
  }
  return countOf(zonedOf(rule), Math.floor(after / second), Math.floor(end / second))
}

/**
 * The latest occurrence up to an instant, or the one so many before it.
 *
 * @param known an occurrence that is not later than it
 * @param nth 1 is the latest, 2 the one before, ...; there must be as many from `known` on
 *
 * @example
 * latestUpTo({ _tag: "Fixed", v: 1, interval: 10, anchor: 0 }, 0, 45, 3) // 20
 */
export const latestUpTo = (rule: AnchoredRule, known: EpochMillis, upTo: EpochMillis, nth: number = 1): EpochMillis => {
  const end = Math.min(upTo, rule.until ?? Infinity)
  if (rule._tag === "Fixed") {
    return rule.anchor + (Math.floor((end - rule.anchor) / rule.interval) - nth + 1) * rule.interval
  }
  const zoned = zonedOf(rule)
  const last = Math.floor(end / second)
  // Only one: whether there is a next is cheaper to know than how many there are.
  const isBefore = nth === 1
    ? (at: number) => (nextOf(zoned, at) ?? Infinity) <= last
    : (at: number) => countOf(zoned, at, last) >= nth
  // Neither ever goes back, so the last instant after which there are as many can be bracketed and bisected.
  let [low, high] = [Math.floor(known / second) - 1, last]
  for (let back = nth; last - back > low; back *= 2) {
    if (isBefore(last - back)) {
      low = last - back
      break
    }
    high = last - back
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (isBefore(middle)) low = middle
    else high = middle
  }
  return (nextOf(zoned, low) as number) * second
}

/** An even value of [0, 1) for a text: FNV-1a, then the finalizer of MurmurHash3, which spreads what differs at the end. */
const spread = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/**
 * When an occurrence is due: its nominal instant and some of the rule's jitter, the same whoever asks and however often,
 * never as late as the next nominal instant and never after the rule's end.
 *
 * @param id of the schedule
 */
export const dueAtOf = (rule: Recurrence, id: string, nominalAt: EpochMillis): EpochMillis => {
  if (rule.jitter === undefined) return nominalAt
  const next = rule._tag === "Spaced" ? nominalAt + rule.interval : following(rule, nominalAt) ?? Infinity
  const last = Math.min(next - 1, rule.until ?? farthest, farthest)
  const room: Millis = Math.max(0, Math.min(rule.jitter, last - nominalAt))
  return nominalAt + Math.floor(spread(`${id}:${nominalAt}`) * (room + 1))
}

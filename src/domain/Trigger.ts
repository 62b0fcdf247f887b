/**
 * When to run. `now`, `at` and `after` make one Task; `spaced`, `fixed`, `cron` and `calendar` make a TaskSchedule.
 *
 * The constructors only note what the caller said; `schedule` and `repeat` check it before anything is stored, so that
 * a bad interval is a typed error and never an exception.
 */
import { Either } from "effect"
import type { MissingDay } from "./CalendarRule.ts"
import { parseCalendarInterval } from "./CalendarRule.ts"
import { parseCron, parseEventBridgeCron } from "./CronExpression.ts"
import { InvalidInput } from "./Errors.ts"
import type { AnchoredRule, Recurrence } from "./Recurrence.ts"
import { nextAfter } from "./Recurrence.ts"
import type { DurationInput, EpochMillis, InstantInput, Millis } from "./Time.ts"
import { iso, parseDuration, parseInstant, shown } from "./Time.ts"
import type { TimeZone, WallSeconds } from "./TimeZone.ts"
import { parseTimeZone } from "./TimeZone.ts"
import type { Gap, Overlap } from "./WallPattern.ts"
import { instantOf } from "./WallPattern.ts"

/** One instant. */
export type OnceTrigger =
  | { readonly _tag: "Now" }
  | { readonly _tag: "At"; readonly instant: InstantInput; readonly timeZone?: string | undefined }
  | { readonly _tag: "After"; readonly delay: DurationInput }

/** What a zone's clocks have to do with a trigger. */
export interface ZoneOptions {
  /** IANA name. Default: UTC, never the machine's own. */
  readonly timeZone?: string | undefined
  /** What becomes of a time that is left out when clocks are set forward. Default: `run-after`. */
  readonly gap?: Gap | undefined
}

export interface CronOptions extends ZoneOptions {
  /**
   * What becomes of a time that comes twice when clocks are set back. `default`: fixed times run in the first pass only,
   * intervals (`*`, ranges and steps in second, minute or hour) in both.
   */
  readonly overlap?: Overlap | undefined
}

export interface CalendarOptions extends ZoneOptions {
  /** `"day"`, `"2 weeks"`, `"month"`, `"3 months"`, `"year"` and the like. */
  readonly every: string
  /** The first occurrence, as clocks in the zone show it: `"2027-01-31T09:00"`. The others are counted from it. */
  readonly from: string
  /** What becomes of the 31st in a month without one: its last day instead (`clamp`, the default), or nothing (`skip`). */
  readonly missingDay?: MissingDay | undefined
}

/** Again and again. */
export type RecurringTrigger =
  | { readonly _tag: "Spaced"; readonly interval: DurationInput }
  | { readonly _tag: "Fixed"; readonly interval: DurationInput }
  | ({ readonly _tag: "Cron"; readonly expression: string; readonly syntax: "unix" | "eventbridge" } & CronOptions)
  | ({ readonly _tag: "Calendar" } & CalendarOptions)

export type Trigger = OnceTrigger | RecurringTrigger

/** As soon as possible. */
export const now: OnceTrigger = { _tag: "Now" }

/**
 * At one instant. An instant in the past is due at once.
 *
 * @param instant a `Date`, a `DateTime`, epoch milliseconds, or ISO 8601 text with an offset; with a time zone, text
 * without an offset: the first of two instants that it may mean, and the first after a gap that it falls into
 *
 * @example
 * Trigger.at("2027-01-01T09:00:00+01:00")
 * Trigger.at("2027-01-01T09:00:00", { timeZone: "Europe/Stockholm" })
 */
export const at = (instant: InstantInput, options?: { readonly timeZone?: string | undefined }): OnceTrigger =>
  options?.timeZone === undefined ? { _tag: "At", instant } : { _tag: "At", instant, timeZone: options.timeZone }

/**
 * Once, after a delay from now.
 *
 * @param delay `"2 seconds"`, `"PT2S"`, a `Duration`, or milliseconds
 *
 * @example
 * Trigger.after("2 seconds")
 */
export const after = (delay: DurationInput): OnceTrigger => ({ _tag: "After", delay })

/**
 * Again and again, each run starting `interval` after the end of the run before (Effect's `Schedule.spaced`): runs of
 * one schedule never overlap.
 *
 * @param interval at least one second (`EngineConfig.minimumInterval`)
 *
 * @example
 * Trigger.spaced("10 seconds")
 */
export const spaced = (interval: DurationInput): RecurringTrigger => ({ _tag: "Spaced", interval })

/**
 * Again and again at a fixed rate: occurrence k is due at `anchor + k * interval` for ever, whatever the runs take. The
 * anchor is the instant of the first occurrence. An occurrence that is due while the one before still runs is skipped
 * and recorded as such.
 *
 * @param interval at least one second (`EngineConfig.minimumInterval`)
 *
 * @example
 * Trigger.fixed("1 hour")
 */
export const fixed = (interval: DurationInput): RecurringTrigger => ({ _tag: "Fixed", interval })

/**
 * By a cron expression: five fields (minute, hour, day of month, month, day of week), or six with the second first.
 *
 * @param expression at most 256 characters; `L`, `LW`, `15W`, `5L`, `5#2`, names, `?` and `@daily` are understood
 *
 * @example
 * Trigger.cron("0 9 * * MON-FRI", { timeZone: "Europe/Stockholm" })
 */
export const cron = (expression: string, options: CronOptions = {}): RecurringTrigger => ({
  _tag: "Cron",
  expression,
  syntax: "unix",
  ...options
})

/**
 * By the calendar: every so many days, weeks, months or years from a first date on.
 *
 * @example
 * Trigger.calendar({ every: "month", from: "2027-01-31T09:00", timeZone: "Europe/Stockholm" }) // 31 January, 28 February, ...
 */
export const calendar = (options: CalendarOptions): RecurringTrigger => ({ _tag: "Calendar", ...options })

/**
 * The instant a one-shot is due.
 *
 * @param now epoch milliseconds
 * @returns epoch milliseconds, or `InvalidInput` (`IntervalInvalid`, `DateInvalid`, `DateNoOffset`, `DateRange`,
 * `ScheduleAmbiguous`)
 *
 * @example
 * dueAt(Trigger.after("2 seconds"), 1_000) // Either.right(3_000)
 */
export const dueAt = (trigger: OnceTrigger, now: EpochMillis): Either.Either<EpochMillis, InvalidInput> => {
  switch (trigger._tag) {
    case "Now":
      return Either.right(now)
    case "At":
      return trigger.timeZone === undefined
        ? parseInstant(trigger.instant, "trigger.at")
        : parseLocal(trigger.instant, trigger.timeZone)
    case "After":
      return Either.map(parseDuration(trigger.delay, "trigger.after"), (delay) => now + delay)
    default:
      return Either.left(misplaced(trigger, "schedule", "now, at or after"))
  }
}

const invalid = (reason: InvalidInput["reason"], field: string, message: string) =>
  Either.left(new InvalidInput({ reason, field, message: `${field}: ${message}` }))

/** Date and time without an offset, as clocks show it; with milliseconds, as if it were UTC. */
const parseWall = (input: unknown, field: string): Either.Either<EpochMillis, InvalidInput> =>
  typeof input === "string" && !/(Z|[+-]\d\d:\d\d)$/.test(input)
    ? Either.mapLeft(parseInstant(`${input}Z`, field), () => wallInvalid(input, field))
    : Either.left(wallInvalid(input, field))

const wallInvalid = (input: unknown, field: string) =>
  new InvalidInput({
    reason: "DateInvalid",
    field,
    message: `${field}: expected date and time without an offset, such as "2027-01-31T09:00", got ${shown(input)}`
  })

const parseLocal = (input: unknown, timeZone: unknown): Either.Either<EpochMillis, InvalidInput> =>
  Either.flatMap(parseTimeZone(timeZone), (zone) =>
    Either.flatMap(parseWall(input, "trigger.at"), (wall) => {
      const second = Math.floor(wall / 1_000)
      return parseInstant(instantOf(zone, second) * 1_000 + wall - second * 1_000, "trigger.at")
    }))

/**
 * The stored rule of a recurring trigger.
 *
 * @param start epoch milliseconds; the anchor of a fixed rate
 * @param minimumInterval milliseconds
 * @returns the rule, or `InvalidInput` (`IntervalInvalid`, `IntervalTooSmall`, `ScheduleAmbiguous`, `TimezoneUnknown`,
 * `DateInvalid`, `OptionInvalid`, `CronFields`, `CronRange`, `CronInvalid`, `CronUnsupported`, `CronTooLong`)
 *
 * @example
 * recurrence(Trigger.spaced("10 seconds"), 0, 1_000) // Either.right({ _tag: "Spaced", v: 1, interval: 10_000 })
 */
export const recurrence = (
  trigger: RecurringTrigger,
  start: EpochMillis,
  minimumInterval: Millis
): Either.Either<Recurrence, InvalidInput> => {
  switch (trigger._tag) {
    case "Spaced":
      return Either.map(parseInterval(trigger, minimumInterval), (interval) => ({ _tag: "Spaced", v: 1, interval }))
    case "Fixed":
      return Either.map(
        parseInterval(trigger, minimumInterval),
        (interval) => ({ _tag: "Fixed", v: 1, interval, anchor: start })
      )
    case "Cron":
      return cronRule(trigger)
    case "Calendar":
      return calendarRule(trigger)
    default:
      return Either.left(misplaced(trigger, "repeat", "spaced, fixed, cron or calendar"))
  }
}

const oneOf = <const Values extends ReadonlyArray<string>>(
  values: Values,
  input: unknown,
  field: string
): Either.Either<Values[number], InvalidInput> =>
  input === undefined
    ? Either.right(values[0] as Values[number])
    : values.includes(input as string)
    ? Either.right(input as Values[number])
    : invalid("OptionInvalid", field, `expected ${values.map((value) => `"${value}"`).join(", ")}, got ${shown(input)}`)

// The first of each is the default.
const gaps = ["run-after", "skip", "shift"] as const
const overlaps = ["default", "once", "both"] as const
const missingDays = ["clamp", "skip"] as const

const zoneOf = ({ timeZone = "UTC" }: ZoneOptions): Either.Either<TimeZone, InvalidInput> => parseTimeZone(timeZone)

const cronRule = (
  trigger: Extract<RecurringTrigger, { readonly _tag: "Cron" }>
): Either.Either<Recurrence, InvalidInput> => {
  const { expression, syntax } = trigger
  return Either.map(
    Either.all({
      fields: syntax === "eventbridge" ? parseEventBridgeCron(expression) : parseCron(expression),
      zone: zoneOf(trigger),
      gap: oneOf(gaps, trigger.gap, "trigger.gap"),
      overlap: oneOf(overlaps, trigger.overlap, "trigger.overlap")
    }),
    ({ gap, overlap, zone }) => ({ _tag: "Cron", v: 2, syntax, expression, timeZone: zone.id, gap, overlap })
  )
}

const calendarRule = (
  trigger: Extract<RecurringTrigger, { readonly _tag: "Calendar" }>
): Either.Either<Recurrence, InvalidInput> =>
  Either.map(
    Either.all({
      interval: parseCalendarInterval(trigger.every, "trigger.every"),
      from: Either.map(parseWall(trigger.from, "trigger.from"), (wall): WallSeconds => Math.ceil(wall / 1_000)),
      zone: zoneOf(trigger),
      gap: oneOf(gaps, trigger.gap, "trigger.gap"),
      missingDay: oneOf(missingDays, trigger.missingDay, "trigger.missingDay")
    }),
    ({ from, gap, interval, missingDay, zone }) => ({
      _tag: "Calendar",
      v: 2,
      ...interval,
      from,
      missingDay,
      timeZone: zone.id,
      gap
    })
  )

/** When a trigger begins and ends, and how much later than its instants it may be due. */
export interface TimingOptions {
  /** How long from now to the first occurrence; default: none. Not together with `startAt`. */
  readonly initialDelay?: DurationInput | undefined
  /** No occurrence is earlier; a fixed rate is anchored here. Default: now. */
  readonly startAt?: InstantInput | undefined
  /** No occurrence is later. Default: none ends it. */
  readonly endAt?: InstantInput | undefined
  /**
   * Occurrences are due up to this long after their instants, each by a share of its own that is always the same: spreads
   * what would start all at once. Never as long as to the next instant.
   */
  readonly jitter?: DurationInput | undefined
}

/** `TimingOptions` that have been checked. */
export interface Timing {
  readonly delay: Millis
  readonly startAt: EpochMillis | undefined
  readonly endAt: EpochMillis | undefined
  readonly jitter: Millis | undefined
}

const optional = <A, B>(
  input: A | undefined,
  parse: (input: A) => Either.Either<B, InvalidInput>
): Either.Either<B | undefined, InvalidInput> => input === undefined ? Either.right(undefined) : parse(input)

/** Checks what a caller says about beginning and end. */
export const parseTiming = (options: TimingOptions): Either.Either<Timing, InvalidInput> =>
  options.initialDelay !== undefined && options.startAt !== undefined
    ? invalid("ScheduleAmbiguous", "startAt", "expected either startAt or initialDelay, got both")
    : Either.all({
      delay: Either.map(
        optional(options.initialDelay, (delay) => parseDuration(delay, "initialDelay")),
        (delay) => delay ?? 0
      ),
      startAt: optional(options.startAt, (instant) => parseInstant(instant, "startAt")),
      endAt: optional(options.endAt, (instant) => parseInstant(instant, "endAt")),
      jitter: optional(options.jitter, (jitter) => parseDuration(jitter, "jitter"))
    })

/** What is stored of a recurring trigger, and the nominal instant of its first occurrence. */
export interface PlannedRecurrence {
  readonly recurrence: Recurrence
  readonly first: EpochMillis
}

/**
 * Plans a recurring trigger. Cron and calendar first occur after now, or from `startAt` on; the others now or at `startAt`.
 * A fixed rate that began in the past goes on with its next occurrence.
 *
 * @param now epoch milliseconds
 * @param minimumInterval milliseconds
 * @returns the plan, or `InvalidInput` as from `recurrence`, or with reason `CronNever` (an expression that never fires) or
 * `WindowEmpty` (no occurrence between `startAt` and `endAt`)
 *
 * @example
 * planRecurrence(Trigger.cron("0 9 * * *"), timing, Date.now(), 1_000)
 */
export const planRecurrence = (
  trigger: RecurringTrigger,
  timing: Timing,
  now: EpochMillis,
  minimumInterval: Millis
): Either.Either<PlannedRecurrence, InvalidInput> => {
  const start = timing.startAt ?? now + timing.delay
  return Either.flatMap(recurrence(trigger, start, minimumInterval), (rule) => {
    const limited = withLimits(rule, timing)
    const first = rule._tag === "Spaced" ? Math.max(start, now) : firstOf(rule, start, now, timing)
    if (first === undefined) {
      return invalid(
        "CronNever",
        "cron",
        `expected an expression that fires, got ${shown((trigger as { expression?: unknown }).expression)}`
      )
    }
    return first > (timing.endAt ?? Infinity)
      ? invalid(
        "WindowEmpty",
        "endAt",
        `expected an end at or after the first occurrence, which is at ${iso(first)}, got ${
          iso(timing.endAt as number)
        }`
      )
      : Either.right({ recurrence: limited, first })
  })
}

const firstOf = (rule: AnchoredRule, start: EpochMillis, now: EpochMillis, timing: Timing): EpochMillis | undefined => {
  const begins = timing.startAt !== undefined || timing.delay > 0
  // A rate begins at its anchor; what clocks say, after now, unless the caller names the beginning.
  const after = start >= now && (begins || rule._tag === "Fixed") ? start - 1 : now
  return nextAfter(rule, after)
}

/** Version 1 cannot see limits, and must not run what has some. */
const withLimits = (rule: Recurrence, { endAt, jitter }: Timing): Recurrence =>
  endAt === undefined && jitter === undefined ? rule : {
    ...rule,
    v: 2,
    ...(endAt === undefined ? {} : { until: endAt }),
    ...(jitter === undefined ? {} : { jitter })
  }

const parseInterval = (
  trigger: Extract<RecurringTrigger, { readonly interval: DurationInput }>,
  minimumInterval: Millis
): Either.Either<Millis, InvalidInput> => {
  const field = `trigger.${trigger._tag.toLowerCase()}`
  return Either.filterOrLeft(
    parseDuration(trigger.interval, field),
    (interval) => interval >= minimumInterval,
    () =>
      new InvalidInput({
        reason: "IntervalTooSmall",
        field,
        message: `${field}: expected an interval of at least ${minimumInterval} ms, got ${shown(trigger.interval)}`
      })
  )
}

const misplaced = (trigger: unknown, call: string, expected: string) =>
  new InvalidInput({
    reason: "ScheduleAmbiguous",
    field: "trigger",
    message: `trigger: ${call} takes Trigger.${expected}, got ${shown((trigger as Trigger | undefined)?._tag)}`
  })

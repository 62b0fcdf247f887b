/**
 * When to run. `now`, `at` and `after` make one Task; `spaced` and `fixed` make a TaskSchedule.
 *
 * The constructors only note what the caller said; `schedule` and `repeat` check it before anything is stored, so that
 * a bad interval is a typed error and never an exception.
 */
import { Either, Schema } from "effect"
import { InvalidInput } from "./Errors.ts"
import type { DurationInput, EpochMillis, InstantInput, Millis } from "./Time.ts"
import { parseDuration, parseInstant, shown } from "./Time.ts"

/** One instant. */
export type OnceTrigger =
  | { readonly _tag: "Now" }
  | { readonly _tag: "At"; readonly instant: InstantInput }
  | { readonly _tag: "After"; readonly delay: DurationInput }

/** Again and again. */
export type RecurringTrigger =
  | { readonly _tag: "Spaced"; readonly interval: DurationInput }
  | { readonly _tag: "Fixed"; readonly interval: DurationInput }

export type Trigger = OnceTrigger | RecurringTrigger

/** As soon as possible. */
export const now: OnceTrigger = { _tag: "Now" }

/**
 * At one instant. An instant in the past is due at once.
 *
 * @param instant a `Date`, a `DateTime`, epoch milliseconds, or ISO 8601 text with an offset
 *
 * @example
 * Trigger.at("2027-01-01T09:00:00+01:00")
 */
export const at = (instant: InstantInput): OnceTrigger => ({ _tag: "At", instant })

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

/** The rule of a TaskSchedule as it is stored. `v` lets a later version tell what it reads. */
export const Recurrence = Schema.Union(
  Schema.TaggedStruct("Spaced", { v: Schema.Literal(1), interval: Schema.Number }),
  Schema.TaggedStruct("Fixed", {
    v: Schema.Literal(1),
    interval: Schema.Number,
    /** Epoch milliseconds of occurrence 0. */
    anchor: Schema.Number
  })
)
export type Recurrence = typeof Recurrence.Type

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
      return parseInstant(trigger.instant, "trigger.at")
    case "After":
      return Either.map(parseDuration(trigger.delay, "trigger.after"), (delay) => now + delay)
    default:
      return Either.left(misplaced(trigger, "schedule", "now, at or after"))
  }
}

/**
 * The stored rule of a recurring trigger whose first occurrence is at `first`.
 *
 * @param minimumInterval milliseconds
 * @returns the rule, or `InvalidInput` (`IntervalInvalid`, `IntervalTooSmall`, `ScheduleAmbiguous`)
 *
 * @example
 * recurrence(Trigger.spaced("10 seconds"), 0, 1_000) // Either.right({ _tag: "Spaced", v: 1, interval: 10_000 })
 */
export const recurrence = (
  trigger: RecurringTrigger,
  first: EpochMillis,
  minimumInterval: Millis
): Either.Either<Recurrence, InvalidInput> => {
  if (trigger._tag !== "Spaced" && trigger._tag !== "Fixed") {
    return Either.left(misplaced(trigger, "repeat", "spaced or fixed"))
  }
  return Either.flatMap(parseInterval(trigger, minimumInterval), (interval) =>
    Either.right(
      trigger._tag === "Spaced"
        ? { _tag: "Spaced" as const, v: 1 as const, interval }
        : { _tag: "Fixed" as const, v: 1 as const, interval, anchor: first }
    ))
}

const parseInterval = (
  trigger: RecurringTrigger,
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

/**
 * The occurrence that follows one of a fixed rate, and how many were missed in between: when several have passed
 * by `now`, only the latest of them is made up for.
 *
 * @param nominalAt the occurrence's nominal instant
 *
 * @example
 * nextFixed({ _tag: "Fixed", v: 1, interval: 10, anchor: 0 }, 20, 25) // { nominalAt: 30, missed: 0 }
 * nextFixed({ _tag: "Fixed", v: 1, interval: 10, anchor: 0 }, 20, 65) // { nominalAt: 60, missed: 3 }
 */
export const nextFixed = (
  rule: Extract<Recurrence, { readonly _tag: "Fixed" }>,
  nominalAt: EpochMillis,
  now: EpochMillis
): { readonly nominalAt: EpochMillis; readonly missed: number } => {
  const following = Math.round((nominalAt - rule.anchor) / rule.interval) + 1
  const latest = Math.max(following, Math.floor((now - rule.anchor) / rule.interval))
  return { nominalAt: rule.anchor + latest * rule.interval, missed: latest - following }
}

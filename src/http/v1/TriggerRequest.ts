/** Triggers as JSON: what a request may say, what comes of it, and how a stored rule is said in the same words. */
import { Either, Schema } from "effect"
import type { InvalidInput } from "../../domain/Errors.ts"
import { parse } from "../../domain/EventBridge.ts"
import type { Recurrence } from "../../domain/Recurrence.ts"
import type { DurationInput } from "../../domain/Time.ts"
import { durationText } from "../../domain/Time.ts"
import type { OnceTrigger, RecurringTrigger, Trigger } from "../../domain/Trigger.ts"
import { after, at, calendar, cron, fixed, spaced } from "../../domain/Trigger.ts"
import { shownWall } from "../../domain/WallPattern.ts"
import { described, Duration } from "../Contract.ts"
import type { ProblemOf } from "../Problem.ts"
import { problem } from "../Problem.ts"

const TimeZone = described(
  Schema.String.annotations({ examples: ["Europe/Stockholm"] }),
  "IANA name. Default: UTC, never the server's own"
)
const Gap = described(
  Schema.Literal("run-after", "skip", "shift"),
  "What becomes of a time that is left out when clocks are set forward. Default: run-after"
)
const Overlap = described(
  Schema.Literal("default", "once", "both"),
  "What becomes of a time that comes twice when clocks are set back. Default: fixed times run in the first pass only, " +
    "intervals in both"
)
const Calendar = Schema.Struct({
  every: Schema.String.annotations({ description: "\"day\", \"2 weeks\", \"month\", \"3 months\", \"year\"" }),
  from: Schema.String.annotations({
    description: "The first occurrence as clocks in the zone show it; the others are counted from it",
    examples: ["2027-01-31T09:00"]
  }),
  missingDay: described(
    Schema.Literal("clamp", "skip"),
    "What becomes of the 31st in a month without one: its last day (clamp, the default), or nothing"
  )
})

const At = Schema.Struct({
  at: Schema.String.annotations({
    description:
      "ISO 8601 with an offset; with timeZone without one, and then the first of two instants that it may mean",
    examples: ["2027-01-01T09:00:00+01:00"]
  }),
  timeZone: TimeZone
}).annotations({ title: "at" })
const After = Schema.Struct({
  after: Duration.annotations({ description: "From now" })
}).annotations({ title: "after" })
const Spaced = Schema.Struct({
  spaced: Duration.annotations({ description: "From the end of each run to the start of the next" })
}).annotations({ title: "spaced" })
const Fixed = Schema.Struct({
  fixed: Duration.annotations({ description: "From instant to instant, whatever the runs take" })
}).annotations({ title: "fixed" })
const Cron = Schema.Struct({
  cron: Schema.String.annotations({
    description: "Minute, hour, day of month, month, day of week; with six fields the second comes first",
    examples: ["0 9 * * MON-FRI"]
  }),
  timeZone: TimeZone,
  gap: Gap,
  overlap: Overlap
}).annotations({ title: "cron" })
const ByCalendar = Schema.Struct({ calendar: Calendar, timeZone: TimeZone, gap: Gap }).annotations({
  title: "calendar"
})
const Expression = Schema.Struct({
  expression: Schema.String.annotations({
    description: "As Amazon EventBridge Scheduler writes it: at(...), rate(...) or cron(...)",
    examples: ["cron(0 10 ? * MON-FRI *)"]
  }),
  timeZone: TimeZone
}).annotations({ title: "expression" })

/** Once. */
export const OnceTriggerRequest = Schema.Union(At, After, Expression).annotations({
  identifier: "OnceTrigger",
  description: "One instant",
  examples: [{ after: "5 seconds" }, { at: "2027-01-01T09:00:00", timeZone: "Europe/Stockholm" }]
})
export type OnceTriggerRequest = typeof OnceTriggerRequest.Type

/** Again and again. */
export const RecurringTriggerRequest = Schema.Union(Spaced, Fixed, Cron, ByCalendar, Expression).annotations({
  identifier: "RecurringTrigger",
  description: "Again and again: exactly one of spaced, fixed, cron, calendar and expression",
  examples: [
    { spaced: "10 seconds" },
    { cron: "0 9 * * MON-FRI", timeZone: "Europe/Stockholm" },
    { calendar: { every: "month", from: "2027-01-31T09:00" } }
  ]
})
export type RecurringTriggerRequest = typeof RecurringTriggerRequest.Type

/** Any trigger. */
export const TriggerRequest = Schema.Union(At, After, Spaced, Fixed, Cron, ByCalendar, Expression).annotations({
  identifier: "Trigger",
  description: "Exactly one of at, after, spaced, fixed, cron, calendar and expression"
})
export type TriggerRequest = typeof TriggerRequest.Type

/** What is read of a request, so that one that says too much or too little is answered in its own words. */
export const GivenTrigger = Schema.Struct({
  at: Schema.optionalWith(Schema.String, { exact: true }),
  after: Schema.optionalWith(Duration, { exact: true }),
  spaced: Schema.optionalWith(Duration, { exact: true }),
  fixed: Schema.optionalWith(Duration, { exact: true }),
  cron: Schema.optionalWith(Schema.String, { exact: true }),
  calendar: Schema.optionalWith(Calendar, { exact: true }),
  expression: Schema.optionalWith(Schema.String, { exact: true }),
  timeZone: TimeZone,
  gap: Gap,
  overlap: Overlap
})
export type GivenTrigger = typeof GivenTrigger.Type

type Kind = Exclude<keyof GivenTrigger, "timeZone" | "gap" | "overlap">

const kinds: Readonly<Record<Kind, ReadonlyArray<keyof GivenTrigger>>> = {
  at: ["timeZone"],
  after: [],
  spaced: [],
  fixed: [],
  cron: ["timeZone", "gap", "overlap"],
  calendar: ["timeZone", "gap"],
  expression: ["timeZone"]
}
const allKinds = Object.keys(kinds) as ReadonlyArray<Kind>

const build = (kind: Kind, given: Required<GivenTrigger>): Either.Either<Trigger, InvalidInput> => {
  const { gap, overlap, timeZone } = given
  switch (kind) {
    case "at":
      return Either.right(at(given.at, { timeZone }))
    case "after":
      return Either.right(after(given.after as DurationInput))
    case "spaced":
      return Either.right(spaced(given.spaced as DurationInput))
    case "fixed":
      return Either.right(fixed(given.fixed as DurationInput))
    case "cron":
      return Either.right(cron(given.cron, { timeZone, gap, overlap }))
    case "calendar":
      return Either.right(calendar({ ...given.calendar, timeZone, gap }))
    case "expression":
      return parse(given.expression, { timeZone })
  }
}

const ambiguous = (expected: string) => Either.left(problem(400, "SCHEDULE_AMBIGUOUS", `trigger: expected ${expected}`))

const isOnce = (trigger: Trigger): trigger is OnceTrigger =>
  trigger._tag === "Now" || trigger._tag === "At" || trigger._tag === "After"

type Refusal = InvalidInput | ProblemOf<400>

/**
 * What a request says about time. Whether dates, intervals and expressions hold is checked where they are used.
 *
 * @returns the trigger, or why there is none: `SCHEDULE_AMBIGUOUS`, `FIELD_UNKNOWN`, or what is wrong with an expression
 */
export const readTrigger = (given: GivenTrigger | undefined): Either.Either<Trigger, Refusal> => {
  const [kind, ...others] = allKinds.filter((kind) => given?.[kind] !== undefined)
  if (given === undefined || kind === undefined || others.length > 0) {
    const said = kind === undefined ? "none" : [kind, ...others].join(" and ")
    return ambiguous(`exactly one of ${allKinds.join(", ")}, got ${said}`)
  }
  const stray = Object.keys(given).find((field) => field !== kind && !kinds[kind].includes(field as keyof GivenTrigger))
  return stray === undefined
    ? build(kind, given as Required<GivenTrigger>)
    : Either.left(problem(400, "FIELD_UNKNOWN", `Unknown field "trigger.${stray}" beside "trigger.${kind}".`))
}

/** One instant; none said: now. */
export const readOnce = (given: GivenTrigger | undefined): Either.Either<OnceTrigger | undefined, Refusal> =>
  given === undefined ? Either.right(undefined) : Either.flatMap(readTrigger(given), (trigger) =>
    isOnce(trigger)
      ? Either.right(trigger)
      : ambiguous("at, after or an expression at(...); what recurs is made by POST /v1/schedules"))

/** A rule. */
export const readRecurring = (given: GivenTrigger | undefined): Either.Either<RecurringTrigger, Refusal> =>
  Either.flatMap(readTrigger(given), (trigger) =>
    isOnce(trigger)
      ? ambiguous(
        "spaced, fixed, cron, calendar or an expression rate(...) or cron(...); one instant is for POST /v1/tasks"
      )
      : Either.right(trigger))

/** A stored rule as a request would say it; its end and its jitter are said beside it. */
export const triggerAnswer = (rule: Recurrence): RecurringTriggerRequest => {
  switch (rule._tag) {
    case "Spaced":
      return { spaced: durationText(rule.interval) }
    case "Fixed":
      return { fixed: durationText(rule.interval) }
    case "Cron":
      return rule.syntax === "eventbridge"
        ? { expression: `cron(${rule.expression})`, timeZone: rule.timeZone }
        : { cron: rule.expression, timeZone: rule.timeZone, gap: rule.gap, overlap: rule.overlap }
    case "Calendar":
      return {
        calendar: {
          every: rule.every === 1 ? rule.unit : `${rule.every} ${rule.unit}s`,
          from: shownWall(rule.from),
          missingDay: rule.missingDay
        },
        timeZone: rule.timeZone,
        gap: rule.gap
      }
  }
}

/** Explanations and health as the HTTP face shows them. */
import { Schema } from "effect"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Explanation, ExplanationRule, ExplanationState } from "../../policies/explain.ts"
import type { HealthCode, ScheduleHealth } from "../../policies/health.ts"
import { Instant, plannedIso } from "../Instant.ts"

const states = [
  "succeeded",
  "failed",
  "cancelled",
  "skipped",
  "running",
  "waiting",
  "planned",
  "none"
] as const satisfies ReadonlyArray<ExplanationState>

const rules = [
  "ran",
  "attemptsSpent",
  "notRetried",
  "expired",
  "cancelled",
  "overlap",
  "paused",
  "catchUp",
  "window",
  "catchUpMax",
  "functionPaused",
  "allPaused",
  "breaker",
  "cap",
  "throttled",
  "retry",
  "thisInstance",
  "otherInstance",
  "ownerLost",
  "deferred",
  "due",
  "notDue",
  "notNamed",
  "beforeCreation",
  "afterEnd",
  "maxRuns",
  "scheduleCompleted",
  "scheduleCancelled",
  "forgotten",
  "unreadableRule"
] as const satisfies ReadonlyArray<ExplanationRule>

const healthCodes = [
  "neverFiresAgain",
  "firesFarAhead",
  "paused",
  "overdue",
  "failuresInARow",
  "overrunsInterval",
  "skipsOverlaps",
  "late",
  "runtimeBlocked",
  "unreadableRule"
] as const satisfies ReadonlyArray<HealthCode>

const described = <A, I>(schema: Schema.Schema<A, I>, description: string) => schema.annotations({ description })

const Sentence = described(Schema.String, "For people, and not stable: one sentence or a few")
const Facts = described(
  Schema.Record({ key: Schema.String, value: Schema.Union(Schema.String, Schema.Number) }),
  "What the sentence speaks of: instants in epoch milliseconds, durations in milliseconds"
)

export const ExplanationAnswer = Schema.Struct({
  state: described(
    Schema.Literal(...states),
    "waiting: due, or between two attempts; planned: not due yet; none: there is, or will be, nothing of that instant"
  ),
  rule: described(Schema.Literal(...rules), "What decides; stable"),
  sentence: Sentence,
  taskId: described(Schema.NullOr(Schema.String), "The Task that is told of"),
  nextAt: described(
    Schema.NullOr(Instant),
    "When it starts, or is tried or looked at, next; null where that cannot be told, and where it never will"
  ),
  facts: Facts
}).annotations({ identifier: "Explanation" })
export type ExplanationAnswer = typeof ExplanationAnswer.Type

export const HealthAnswer = Schema.Struct({
  healthy: described(Schema.Boolean, "Whether no finding is an error"),
  findings: Schema.Array(Schema.Struct({
    code: described(Schema.Literal(...healthCodes), "Stable"),
    severity: Schema.Literal("warning", "error"),
    sentence: Sentence,
    facts: Facts
  })),
  nextAt: described(
    Schema.NullOr(Instant),
    "When its next occurrence starts; null: never again, or that cannot be told"
  ),
  latenessP99Ms: described(
    Schema.NullOr(Schema.Number),
    "Of 100 runs, 99 started by this or less late, in milliseconds; null where there were too few to tell"
  ),
  runs: described(Schema.Int, "How many of the occurrences that were looked at have been started"),
  failures: described(Schema.Int, "How many of them have failed for good")
}).annotations({ identifier: "ScheduleHealth" })
export type HealthAnswer = typeof HealthAnswer.Type

const next = (at: EpochMillis | undefined): string | null => at === undefined ? null : plannedIso(at)

export const explanationAnswer = ({ nextAt, taskId, ...explanation }: Explanation): ExplanationAnswer => ({
  ...explanation,
  taskId: taskId ?? null,
  nextAt: next(nextAt)
})

export const healthAnswer = ({ latenessP99, nextAt, ...health }: ScheduleHealth): HealthAnswer => ({
  ...health,
  nextAt: next(nextAt),
  latenessP99Ms: latenessP99 ?? null
})

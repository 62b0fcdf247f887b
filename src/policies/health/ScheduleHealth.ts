/** What is told of a schedule's health, and what has to be known for it. */
import type { Task } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import type { ExplanationFacts } from "../explain/Explanation.ts"
import { factsOf } from "../explain/words.ts"

/**
 * | code | severity | told when |
 * | --- | --- | --- |
 * | `neverFiresAgain` | warning | the schedule is over, or its next occurrence is its last |
 * | `firesFarAhead` | warning | its next occurrence is more than a year away |
 * | `paused` | warning; error where failures have paused it | it is paused |
 * | `overdue` | error | its next occurrence is due for more than a minute and has not begun |
 * | `failuresInARow` | error | its latest occurrences have failed, one after the other |
 * | `overrunsInterval` | warning | its runs take longer than it is to the next occurrence |
 * | `skipsOverlaps` | warning | several occurrences were skipped because another one was under way |
 * | `late` | warning | one in a hundred starts more than a second late |
 * | `runtimeBlocked` | warning; error once AWS refuses it | its function's runtime is near, or past, its end |
 * | `unreadableRule` | error | its rule says nothing to this version |
 */
export type HealthCode =
  | "neverFiresAgain"
  | "firesFarAhead"
  | "paused"
  | "overdue"
  | "failuresInARow"
  | "overrunsInterval"
  | "skipsOverlaps"
  | "late"
  | "runtimeBlocked"
  | "unreadableRule"

export interface HealthFinding {
  readonly code: HealthCode
  readonly severity: "warning" | "error"
  /** For people: plain English. */
  readonly sentence: string
  /** The numbers and names that the sentence speaks of: instants in epoch milliseconds, durations in milliseconds. */
  readonly facts: ExplanationFacts
}

export interface ScheduleHealth {
  /** Whether no finding is an error. */
  readonly healthy: boolean
  /** Errors first. */
  readonly findings: ReadonlyArray<HealthFinding>
  /** When its next occurrence starts; absent: never again, or that cannot be told. */
  readonly nextAt: EpochMillis | undefined
  /** Of 100 runs, 99 started by this or less late; absent where there were too few to tell. */
  readonly latenessP99: Millis | undefined
  /** How many of the occurrences that were looked at have been started ... */
  readonly runs: number
  /** ... and how many have failed for good. */
  readonly failures: number
}

/** What a schedule's health is judged by. */
export interface HealthSituation {
  readonly now: EpochMillis
  /** Its occurrences that have ended or run, newest first; those beyond the first 100 are not looked at. */
  readonly recent: ReadonlyArray<Task>
  /** The runtime of its function, such as `nodejs24.x`, where it is known. */
  readonly runtime: string | undefined
}

/** Looks for one thing. */
export type Look = (schedule: TaskSchedule, about: HealthSituation) => HealthFinding | undefined

export const finding = (
  code: HealthCode,
  severity: HealthFinding["severity"],
  sentence: string,
  facts: Readonly<Record<string, string | number | undefined>>
): HealthFinding => ({ code, severity, sentence, facts: factsOf(facts) })

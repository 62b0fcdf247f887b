/** What is told of a Task or of an instant of a schedule, and what has to be known for it. */
import type { InstanceId, TaskId } from "../../domain/Ids.ts"
import type { Pause } from "../../domain/Pause.ts"
import type { Task } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"

/**
 * `waiting`: it is due, or has begun and waits for another attempt; `planned`: it is not due yet; `none`: there is, or will
 * be, nothing of that instant. The others are those of the Task itself.
 */
export type ExplanationState =
  | "succeeded"
  | "failed"
  | "cancelled"
  | "skipped"
  | "running"
  | "waiting"
  | "planned"
  | "none"

/**
 * The rule that decides. Codes are stable: programs may go by them, where sentences may change.
 *
 * | rule | in the states | decides because |
 * | --- | --- | --- |
 * | `ran` | succeeded | it has run |
 * | `attemptsSpent` | failed | all attempts that count are spent |
 * | `notRetried` | failed | what went wrong is not worth another attempt |
 * | `expired` | failed, waiting | its age or its deadline ran out |
 * | `cancelled` | cancelled | somebody or something has cancelled it |
 * | `overlap` | skipped, waiting | another occurrence is, or was, under way |
 * | `paused` | skipped, waiting, planned | its schedule is, or was, paused |
 * | `catchUp` | skipped, waiting | its instant passed, and its schedule's catch-up rule decides |
 * | `window` | skipped, waiting | it is later than its schedule lets an occurrence start |
 * | `catchUpMax` | skipped, waiting | more were missed than are made up for (stored as `cap`) |
 * | `functionPaused`, `allPaused` | waiting, planned | its function is paused, or all of them are |
 * | `breaker` | waiting, planned | calls of its function, or to Lambda, fail |
 * | `cap` | waiting | as many run as may |
 * | `throttled` | waiting | Lambda has been seen to take no more |
 * | `retry` | waiting | its next attempt is not due yet |
 * | `thisInstance` | running, waiting | the instance that is asked has it |
 * | `otherInstance` | running, waiting | another instance has it |
 * | `ownerLost` | running, waiting | the instance that has it has lost its lease |
 * | `deferred` | waiting | it was put off for something that is over |
 * | `due` | waiting | no instance has claimed it yet |
 * | `notDue` | planned | its time has not come |
 * | `notNamed` | none | the schedule's rule does not name the instant |
 * | `beforeCreation` | none | the schedule did not exist yet |
 * | `afterEnd` | none | the schedule's rule has ended by then |
 * | `maxRuns` | none | the runs it may start are used up by then |
 * | `scheduleCompleted`, `scheduleCancelled` | none | the schedule is over |
 * | `forgotten` | none | there is no record any more |
 * | `unreadableRule` | none | the schedule's rule says nothing to this version |
 */
export type ExplanationRule =
  | "ran"
  | "attemptsSpent"
  | "notRetried"
  | "expired"
  | "cancelled"
  | "overlap"
  | "paused"
  | "catchUp"
  | "window"
  | "catchUpMax"
  | "functionPaused"
  | "allPaused"
  | "breaker"
  | "cap"
  | "throttled"
  | "retry"
  | "thisInstance"
  | "otherInstance"
  | "ownerLost"
  | "deferred"
  | "due"
  | "notDue"
  | "notNamed"
  | "beforeCreation"
  | "afterEnd"
  | "maxRuns"
  | "scheduleCompleted"
  | "scheduleCancelled"
  | "forgotten"
  | "unreadableRule"

/** The numbers and names that a sentence speaks of: instants in epoch milliseconds, durations in milliseconds. */
export type ExplanationFacts = Readonly<Record<string, string | number>>

/** Why something ran, or did not: without payloads, results, logs, or what a function has said of its failure. */
export interface Explanation {
  readonly state: ExplanationState
  readonly rule: ExplanationRule
  /** For people: plain English, one sentence or a few. */
  readonly sentence: string
  /** The Task that is told of; absent where there is none. */
  readonly taskId: TaskId | undefined
  /** When it starts, or is tried or looked at, next; absent where that cannot be told, and where it never will. */
  readonly nextAt: EpochMillis | undefined
  readonly facts: ExplanationFacts
}

/** A cap, and how many run under it. */
export interface CapSituation {
  /** Of a function; empty for that of all functions. */
  readonly name: string
  /** How many may run at once. */
  readonly concurrency: number
  readonly running: number
}

/** A breaker, as `scheduler.breakers.state` tells of it. */
export interface BreakerSituation {
  /** Empty: the way to Lambda itself. Default: the Task's function. */
  readonly name?: string | undefined
  readonly state: "closed" | "open" | "half-open"
  readonly openedAt?: EpochMillis | undefined
  /** From when on an open one may be probed. */
  readonly until?: EpochMillis | undefined
  /** What the call said that opened it. Only the code that it begins with is told: the rest may be the function's words. */
  readonly reason?: string | undefined
}

/** What an instance has learned of Lambda's limits, as `scheduler.limits.learned` tells of it. */
export interface LearnedSituation {
  /** Empty: the limit of the account. Default: the Task's function. */
  readonly name?: string | undefined
  /** How many calls at once. */
  readonly concurrency: number | undefined
  /** How many calls a second. */
  readonly rate: number | undefined
}

/** What is known of the world around a Task. */
export interface TaskSituation {
  readonly now: EpochMillis
  /** The instance that is asked; absent if it has no lease. */
  readonly instanceId: InstanceId | undefined
  readonly schedule: TaskSchedule | undefined
  /** The pauses of its function and of all functions. One that is over counts for nothing. */
  readonly pauses: { readonly function: Pause | undefined; readonly all: Pause | undefined }
  /** Those of other functions count for nothing. */
  readonly caps: ReadonlyArray<CapSituation>
  /** That of its function or of the way to Lambda, whichever is not closed. */
  readonly breaker: BreakerSituation | undefined
  /** What the instance that is asked has learned of its function or of the account. */
  readonly learned: LearnedSituation | undefined
  /** How many other occurrences that it shares its turn with have begun and not ended. */
  readonly othersUnderWay: number
  /** Whether its owner's lease lives; absent: that is not known, or it has no owner. */
  readonly ownerIsAlive: boolean | undefined
}

/** What is known around an instant of a schedule. */
export interface InstantSituation {
  readonly now: EpochMillis
  /** The schedule's occurrence by rule with the greatest nominal instant up to the one asked for, of which there is a record. */
  readonly latest: Task | undefined
  /** What is told of that one. */
  readonly taskExplanation: (task: Task) => Explanation
}

/** Times, attempts and reasons in plain English. Pure. */
import { Schema } from "effect"
import { InvocationErrorReason } from "../../domain/Invocation.ts"
import type { Pause } from "../../domain/Pause.ts"
import { dueAtOf, isRunnable } from "../../domain/Recurrence.ts"
import type { Task, TaskFailure } from "../../domain/Task.ts"
import { expiresAt, isByRule, spentAttempts } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import { farthest, iso, shown } from "../../domain/Time.ts"
import type { ExplanationFacts } from "./Explanation.ts"

/** A number of things: "1 run", "2 runs". */
export const counted = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? "" : "s"}`

const units: ReadonlyArray<readonly [Millis, string]> = [
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"]
]

/**
 * A duration as people say it: two units at the most, cut and not rounded, so that 59.99 seconds are no minute.
 *
 * @example
 * spanText(3_725_000) // "1 hour 2 minutes"
 */
export const spanText = (millis: Millis): string => {
  const whole = Math.floor(Math.max(0, millis))
  if (whole < 1_000) return counted(whole, "millisecond")
  if (whole < 60_000) return counted(Math.floor(whole / 100) / 10, "second")
  const largest = units.findIndex(([size]) => whole >= size)
  let rest = whole
  return units.slice(largest, largest + 2).flatMap(([size, unit]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count === 0 ? [] : [counted(count, unit)]
  }).join(" ")
}

/** An instant, as near as a date can come to it: jitter may lead beyond the last. */
export const instantText = (instant: EpochMillis): string => iso(Math.max(-farthest, Math.min(farthest, instant)))

/**
 * What is said of what is paused.
 *
 * @param isMany whether several things are
 *
 * @example
 * pauseText({ since: 0, by: "ada", note: "month end" }) // "has been paused since 1970-01-01T00:00:00.000Z by ada: month end"
 */
export const pauseText = ({ by, note, since, until }: Pause, isMany = false): string =>
  (until === undefined
    ? `${isMany ? "have" : "has"} been paused since ${instantText(since)}`
    : `${isMany ? "are" : "is"} paused from ${instantText(since)} until ${instantText(until)}`) +
  (by === undefined ? "" : ` by ${by}`) + (note === undefined ? "" : `: ${note}`)

/** "on time", or by how much not. */
export const lateText = (lateness: Millis): string => lateness < 1 ? "on time" : `${spanText(lateness)} late`

/** Facts, without those that are not known. */
export const factsOf = (facts: Readonly<Record<string, string | number | undefined>>): ExplanationFacts =>
  Object.fromEntries(
    Object.entries(facts).filter((fact): fact is [string, string | number] => fact[1] !== undefined)
  )

/** The occurrence of a schedule at an instant, as the beginning of a sentence. */
export const occurrenceText = (name: string, nominalAt: EpochMillis): string =>
  `The occurrence of ${shown(name)} at ${instantText(nominalAt)}`

/** A Task as the beginning of a sentence. */
export const subjectOf = (task: Task): string => {
  if (task.scheduleId === undefined) return `Task ${shown(task.name)}`
  const subject = occurrenceText(task.name, task.nominalAt)
  if (isByRule(task)) return subject
  return `${subject}, which was made by ${task.origin?.startsWith("backfill:") === true ? "a backfill" : "hand"},`
}

/** The same within a sentence. */
export const inMidSentence = (subject: string): string => subject.charAt(0).toLowerCase() + subject.slice(1)

/** An attempt by its number, and how many count where that is another number. */
export const attemptText = (task: Task): string => {
  const [made, spent, most] = [task.attempts.length, spentAttempts(task), task.retry.maxAttempts]
  return made === spent ? `attempt ${made} of ${most}` : `attempt ${made} (${spent} of ${most} count)`
}

export const attemptFacts = (task: Task) => ({
  attempt: task.attempts.length,
  attemptsSpent: spentAttempts(task),
  maxAttempts: task.retry.maxAttempts
})

const reasons: Readonly<Record<TaskFailure["reason"], string>> = {
  FunctionError: "the function threw an error or exited",
  FunctionTimeout: "the function ran into its own timeout",
  Throttled: "Lambda throttled the call",
  NotReady: "the function was not ready",
  ServiceError: "the Lambda service failed",
  Unreachable: "no connection to Lambda could be made",
  TooLate: "it was too late to send the call",
  MissingCredentials: "no credentials could be had",
  MissingRegion: "no region is configured",
  NoAnswer: "no answer came, so that it may or may not have run",
  CredentialsRejected: "the credentials were refused",
  AccessDenied: "access to the function was denied",
  NotFound: "there is no such function",
  PayloadTooLarge: "the payload was too large",
  Rejected: "Lambda refused the request",
  RetryRequested: "the function asked for another attempt",
  GaveUp: "the function answered that another attempt makes no sense",
  Interrupted: "the scheduler was shut down while it ran",
  OwnerLost: "the instance that ran it was lost",
  Cancelled: "it was cancelled while it ran",
  Expired: "no time was left"
}

/**
 * Why something failed. Never the message that came with it: that may be the function's own words, or quote the payload.
 *
 * @example
 * reasonText("ServiceError") // "the Lambda service failed (ServiceError)"
 */
export const reasonText = (reason: TaskFailure["reason"]): string => `${reasons[reason]} (${reason})`

const isReason = Schema.is(InvocationErrorReason)

/** The code that a breaker's reason begins with, if it is one. */
export const codeOf = (reason: string | undefined): InvocationErrorReason | undefined => {
  const code = reason?.split(":", 1)[0]
  return isReason(code) ? code : undefined
}

/** When its first attempt was due. A retry moves `dueAt`: from then on it is reckoned again. */
export const firstDueAt = (task: Task, schedule: TaskSchedule | undefined): EpochMillis => {
  const begun = task.attempts.length
  if (begun === 0 || (begun === 1 && task.status !== "Scheduled")) return task.dueAt
  if (task.scheduleId === undefined) return task.nominalAt
  if (!isByRule(task)) return Math.max(task.nominalAt, task.createdAt)
  return schedule !== undefined && isRunnable(schedule.recurrence)
    ? dueAtOf(schedule.recurrence, schedule.id, task.nominalAt)
    : task.nominalAt
}

/** By how much its first attempt started later than it was due; `undefined` before that. */
export const latenessOf = (task: Task, schedule: TaskSchedule | undefined): Millis | undefined => {
  const [first] = task.attempts
  return first && Math.max(0, first.startedAt - firstDueAt(task, schedule))
}

/** Its deadline, where it has one that a date can hold. */
export const deadlineOf = (task: Task): EpochMillis | undefined => {
  const at = expiresAt(task)
  return at <= farthest ? at : undefined
}

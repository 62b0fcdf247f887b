/** Tasks, schedules and their parts with everything set, so that a test names only what it is about. */
import { defaultCatchUp } from "../../src/domain/CatchUp.ts"
import { InstanceId, TaskId, TaskScheduleId, uuid7 } from "../../src/domain/Ids.ts"
import type { AttemptOutcome } from "../../src/domain/Invocation.ts"
import { defaultOverlap } from "../../src/domain/Overlap.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import type { AttemptEnd, FunctionTarget, ScheduledTask } from "../../src/domain/Task.ts"
import type { SettledTo } from "../../src/domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import { instantAfter } from "../../src/domain/TaskSchedule.ts"
import { missedOf, planFrom } from "../../src/policies/catchUp.ts"
import type { PruneRequest, SettleRequest } from "../../src/ports/TaskRepository.ts"

/** Where the tests' time begins: 2027-01-15T08:00:00Z. */
export const t0 = 1_800_000_000_000

// Ids sort by the instant and, within it, by the order of making: as the engine's do.
let made = 0
const nextId = (millis: number): string => {
  made++
  return uuid7(millis, 0, made, 0)
}

export const aTaskId = (millis: number = t0): TaskId => TaskId.make(nextId(millis))
export const aScheduleId = (millis: number = t0): TaskScheduleId => TaskScheduleId.make(nextId(millis))
export const anInstanceId = (): InstanceId => InstanceId.make(nextId(t0))

export const aTarget = (name: string = "hello"): FunctionTarget => ({
  name,
  arn: undefined,
  qualifier: undefined,
  timeout: 3_000
})

/** A one-shot of "hello", due at `dueAt` (default: `t0`), claimed by nobody. */
export const aTask = (fields: Partial<Omit<ScheduledTask, "status">> = {}): ScheduledTask => {
  const createdAt = fields.createdAt ?? t0
  const dueAt = fields.dueAt ?? createdAt
  return {
    id: aTaskId(createdAt),
    name: "hello",
    function: aTarget(),
    payload: "{}",
    tags: {},
    retry: defaultRetryPolicy,
    priority: 0,
    scheduleId: undefined,
    origin: undefined,
    overlap: undefined,
    redriveOf: undefined,
    nominalAt: dueAt,
    claimableAt: dueAt,
    owner: undefined,
    token: 0,
    attempts: [],
    ...fields,
    createdAt,
    dueAt,
    status: "Scheduled"
  }
}

/** A fixed rate of "hello", every 10 seconds from `t0` on; its first occurrence is made by `occurrenceOf`. */
export const aSchedule = (fields: Partial<TaskSchedule> = {}): TaskSchedule => {
  const createdAt = fields.createdAt ?? t0
  return {
    id: aScheduleId(createdAt),
    name: "ticks",
    function: aTarget(),
    payload: "{}",
    tags: {},
    retry: defaultRetryPolicy,
    priority: 0,
    recurrence: { _tag: "Fixed", v: 1, interval: 10_000, anchor: createdAt },
    maxRuns: undefined,
    status: "Active",
    revision: 1,
    cursor: createdAt,
    runs: 0,
    missed: 0,
    overlap: defaultOverlap,
    catchUp: defaultCatchUp,
    pauseAfterFailures: undefined,
    failures: 0,
    pause: undefined,
    ...fields,
    createdAt
  }
}

export const aSpacedSchedule = (fields: Partial<TaskSchedule> = {}): TaskSchedule =>
  aSchedule({ recurrence: { _tag: "Spaced", v: 1, interval: 10_000 }, ...fields })

/** An occurrence as the engine plans it. */
export const occurrenceOf = (schedule: TaskSchedule, nominalAt: number = schedule.cursor): ScheduledTask =>
  aTask({
    name: schedule.name,
    function: schedule.function,
    payload: schedule.payload,
    tags: schedule.tags,
    retry: schedule.retry,
    scheduleId: schedule.id,
    origin: "schedule",
    createdAt: Math.max(schedule.createdAt, nominalAt),
    nominalAt,
    dueAt: nominalAt
  })

/** A successor of a rule that goes on. */
export type Followed = Successor & { readonly task: ScheduledTask }

/** What follows an occurrence that begins, or ends, at `now`. */
export const successorOf = (schedule: TaskSchedule, nominalAt: number, now: number = nominalAt): Followed => {
  const { recurrence } = schedule
  const { next, passed } = recurrence._tag === "Spaced"
    ? { next: instantAfter(recurrence, Math.max(now, nominalAt)), passed: [] }
    : planFrom(schedule, instantAfter(recurrence, nominalAt), now)
  return {
    task: occurrenceOf(schedule, next),
    missed: missedOf(passed),
    revision: schedule.revision,
    claimUntil: Infinity
  }
}

/** The end of an attempt, with nothing more to say. */
export const anEnd = (outcome: AttemptOutcome, at: number = t0, fields: Partial<AttemptEnd> = {}): AttemptEnd => ({
  at,
  outcome,
  error: outcome === "succeeded"
    ? undefined
    : { reason: outcome === "unknown" ? "OwnerLost" : "FunctionError", message: "boom", errorType: "Error" },
  requestId: undefined,
  executedVersion: undefined,
  logTail: undefined,
  ...fields
})

export const toSucceeded = (text: string = "null"): SettledTo => ({
  _tag: "Succeeded",
  result: { text, encoding: "utf8" }
})

export const toFailed = (reason: "FunctionError" | "Expired" | "OwnerLost" = "FunctionError"): SettledTo => ({
  _tag: "Failed",
  failure: { reason, message: "boom" }
})

export const toRetry = (dueAt: number, keep: boolean = false): SettledTo => ({ _tag: "Retry", dueAt, keep })

interface Held {
  readonly id: TaskId
  readonly token: number
}

/** Settlements of a Task that the caller holds. */
export const succeeded = (task: Held, at: number = t0, successor?: Successor): SettleRequest => ({
  id: task.id,
  token: task.token,
  end: anEnd("succeeded", at),
  to: toSucceeded(),
  successor
})

export const failed = (task: Held, at: number = t0, successor?: Successor): SettleRequest => ({
  id: task.id,
  token: task.token,
  end: anEnd("failed", at),
  to: toFailed(),
  successor
})

export const retrying = (task: Held, dueAt: number, options: { at?: number; keep?: boolean } = {}): SettleRequest => ({
  id: task.id,
  token: task.token,
  end: anEnd("failed", options.at ?? t0),
  to: toRetry(dueAt, options.keep ?? false),
  successor: undefined
})

/** A pruning that removes all that has ended. */
export const allEnded = (now: number, limit: number = 1_000): PruneRequest => ({
  now,
  maxAge: 0,
  maxCount: 0,
  failedMaxAge: 0,
  failedMaxCount: 0,
  limit
})

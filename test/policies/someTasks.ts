/** Tasks, schedules and situations by chance, for what holds for all of them. */
import * as fc from "fast-check"
import { CatchUpPolicy } from "../../src/domain/CatchUp.ts"
import type { CatchUp } from "../../src/domain/CatchUp.ts"
import { InstanceId, TaskId, TaskScheduleId } from "../../src/domain/Ids.ts"
import { AttemptOutcome, InvocationErrorReason } from "../../src/domain/Invocation.ts"
import { OverlapPolicy } from "../../src/domain/Overlap.ts"
import type { Overlap } from "../../src/domain/Overlap.ts"
import type { Pause } from "../../src/domain/Pause.ts"
import type { Recurrence } from "../../src/domain/Recurrence.ts"
import type { RetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import type { Attempt, AttemptFailure, CancelCause, SkipReason, Task, TaskFields } from "../../src/domain/Task.ts"
import type { TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import type { BreakerSituation, CapSituation, LearnedSituation, TaskSituation } from "../../src/policies/explain.ts"
import { aTarget, t0 } from "../support/builders.ts"

/** What a caller has sent, or a function has answered or logged: it must not be told to anybody. */
export const canary = "canary-5f0c"

const { boolean, constant, constantFrom, integer, nat, option, record, tuple } = fc

const maybe = <A>(arbitrary: fc.Arbitrary<A>): fc.Arbitrary<A | undefined> => option(arbitrary, { nil: undefined })

const uuid = fc.uuid({ version: 7 })
const taskId = uuid.map((id) => TaskId.make(id))
const scheduleId = uuid.map((id) => TaskScheduleId.make(id))
const instances = ["018bcfe5-6800-7000-8000-00000000000a", "018bcfe5-6800-7000-8000-00000000000b"]
  .map((id) => InstanceId.make(id))

/** Mostly within minutes of `t0`, where things meet. What a clock may show: occurrences missed since then are counted. */
export const someNow: fc.Arbitrary<number> = fc.oneof(
  { weight: 4, arbitrary: integer({ min: -100, max: 100 }).map((seconds) => t0 + seconds * 1_000) },
  { weight: 1, arbitrary: integer({ min: t0 - 10 ** 10, max: t0 + 10 ** 10 }) }
)

/** The same; sometimes at the ends of time. */
export const instant: fc.Arbitrary<number> = fc.oneof(
  { weight: 25, arbitrary: someNow },
  { weight: 1, arbitrary: constantFrom(0, -(10 ** 12), 8.64e15) }
)

const name = fc.oneof(constantFrom("hello", "payroll", "a \"quoted\" name\nin two lines"), fc.string({ minLength: 1 }))

const pause: fc.Arbitrary<Pause> = record(
  {
    since: instant,
    until: instant,
    by: constantFrom("ada", "effect-lambda-scheduler"),
    note: fc.string({ minLength: 1 })
  },
  { requiredKeys: ["since"] }
)

const overlap: fc.Arbitrary<Overlap> = record({
  policy: constantFrom(...OverlapPolicy.literals),
  running: integer({ min: 1, max: 3 })
}, { requiredKeys: ["policy"] })

const catchUp: fc.Arbitrary<CatchUp> = record({
  policy: constantFrom(...CatchUpPolicy.literals),
  window: integer({ min: 1, max: 10 ** 6 })
}, { requiredKeys: ["policy"] })

const limits = { until: instant, jitter: nat(60_000) }
const interval = integer({ min: 1, max: 10 ** 6 })

const cronRule = (expression: string, timeZone: string, gap: "run-after" | "skip" | "shift"): Recurrence => ({
  _tag: "Cron",
  v: 2,
  syntax: "unix",
  expression,
  timeZone,
  gap,
  overlap: "default"
})

const recurrence: fc.Arbitrary<Recurrence> = fc.oneof(
  record({ _tag: constant("Spaced" as const), v: constant(2 as const), interval, ...limits }, {
    requiredKeys: ["_tag", "v", "interval"]
  }),
  record({ _tag: constant("Fixed" as const), v: constant(2 as const), interval, anchor: instant, ...limits }, {
    requiredKeys: ["_tag", "v", "interval", "anchor"]
  }),
  tuple(
    constantFrom("* * * * *", "30 2 * * *", "0 8 15 * *", "0 0 29 2 *"),
    constantFrom("UTC", "Europe/Stockholm", "America/New_York"),
    constantFrom("run-after" as const, "skip" as const, "shift" as const)
  ).map((rule) => cronRule(...rule))
)

const retry: fc.Arbitrary<RetryPolicy> = record({
  maxAttempts: integer({ min: 1, max: 5 }),
  onUnknown: constantFrom("retry" as const, "fail" as const),
  deadline: maybe(integer({ min: 1, max: 10 ** 7 }))
}).map(({ deadline, ...policy }) => ({
  ...defaultRetryPolicy,
  ...policy,
  ...(deadline === undefined ? {} : { deadline })
}))

const reason: fc.Arbitrary<AttemptFailure["reason"]> = constantFrom(
  ...InvocationErrorReason.literals,
  "Interrupted" as const,
  "OwnerLost" as const,
  "Cancelled" as const
)

const error: fc.Arbitrary<AttemptFailure> = record({
  reason,
  message: constant(`The function said ${canary}`),
  errorType: maybe(constant("TypeError"))
})

const attempts: fc.Arbitrary<ReadonlyArray<Attempt>> = fc.array(
  record({
    startedAt: instant,
    ended: maybe(record({
      at: instant,
      outcome: constantFrom(...AttemptOutcome.literals),
      error: maybe(error),
      requestId: constant(undefined),
      executedVersion: constant(undefined),
      logTail: constant(canary)
    }))
  }),
  { maxLength: 4 }
).map((made) => made.map((attempt, index) => ({ number: index + 1, ...attempt })))

const fields: fc.Arbitrary<TaskFields> = record({
  id: taskId,
  name,
  function: name.map(aTarget),
  payload: constant(JSON.stringify(canary)),
  tags: constant({}),
  retry,
  priority: integer({ min: -100, max: 100 }),
  scheduleId: maybe(scheduleId),
  origin: maybe(constantFrom("schedule", `manual:${instances[0]}`, `backfill:${instances[0]}`)),
  overlap: maybe(overlap),
  redriveOf: maybe(taskId),
  createdAt: instant,
  nominalAt: instant,
  dueAt: instant,
  claimableAt: instant,
  owner: maybe(constantFrom(...instances)),
  token: nat(10),
  attempts
})

const causes: ReadonlyArray<CancelCause> = ["task", "schedule", "function", "name", "backfill", "overlap"]
const skipReasons: ReadonlyArray<SkipReason> = ["overlap", "paused", "catchUp", "window", "cap"]

/** A Task in any state, also in some that no store would hold. */
export const someTask: fc.Arbitrary<Task> = fc.oneof(
  { weight: 4, arbitrary: fields.map((task): Task => ({ ...task, status: "Scheduled" })) },
  { weight: 2, arbitrary: fields.map((task): Task => ({ ...task, status: "Running" })) },
  tuple(fields, instant).map(([task, finishedAt]): Task => ({
    ...task,
    status: "Succeeded",
    finishedAt,
    result: { text: JSON.stringify(canary), encoding: "utf8" }
  })),
  tuple(
    fields,
    record({
      finishedAt: instant,
      failure: record({
        reason: fc.oneof(reason, constant("Expired" as const)),
        message: constant(`The function said ${canary}`)
      }),
      redrivenAs: maybe(taskId)
    })
  ).map(([task, failed]): Task => ({ ...task, status: "Failed", ...failed })),
  tuple(
    fields,
    record({
      finishedAt: instant,
      cancelledBy: constantFrom(...causes)
    })
  ).map(([task, cancelled]): Task => ({ ...task, status: "Cancelled", ...cancelled })),
  tuple(
    fields,
    record({
      finishedAt: instant,
      skipped: constantFrom(...skipReasons),
      range: maybe(record({ count: integer({ min: 2, max: 1_000 }), last: instant })),
      note: maybe(constant("paused since then by ada"))
    })
  ).map(([task, skipped]): Task => ({ ...task, status: "Skipped", ...skipped }))
)

/** A schedule in any state. */
export const someSchedule: fc.Arbitrary<TaskSchedule> = record({
  id: scheduleId,
  name,
  function: name.map(aTarget),
  payload: constant(JSON.stringify(canary)),
  tags: constant({}),
  retry,
  priority: constant(0),
  recurrence,
  overlap,
  catchUp,
  pauseAfterFailures: maybe(integer({ min: 1, max: 10 })),
  maxRuns: maybe(integer({ min: 1, max: 10 })),
  createdAt: instant,
  status: constantFrom("Active", "Active", "Completed", "Cancelled"),
  revision: nat(3),
  cursor: instant,
  runs: nat(10),
  missed: nat(10),
  failures: nat(10),
  pause: maybe(pause)
})

const cap: fc.Arbitrary<CapSituation> = record({
  name: constantFrom("", "hello", "other"),
  concurrency: nat(3),
  running: nat(3)
})

const breaker: fc.Arbitrary<BreakerSituation> = record({
  name: constantFrom("", "hello", undefined),
  state: constantFrom("closed", "open", "half-open"),
  openedAt: maybe(instant),
  until: maybe(instant),
  reason: constantFrom(undefined, `ServiceError: HTTP 500 ${canary}`, `GaveUp: ${canary}`, canary)
})

const learned: fc.Arbitrary<LearnedSituation> = record({
  name: constantFrom("", "hello", undefined),
  concurrency: maybe(integer({ min: 1, max: 100 })),
  rate: maybe(integer({ min: 1, max: 100 }))
})

/** A Task and what is known around it: mostly of its own schedule, and often at that schedule's cursor. */
export const someTaskAbout: fc.Arbitrary<readonly [Task, TaskSituation]> = tuple(
  someTask,
  record({
    now: someNow,
    instanceId: maybe(constantFrom(...instances)),
    schedule: maybe(someSchedule),
    pauses: record({ function: maybe(pause), all: maybe(pause) }),
    caps: fc.array(cap, { maxLength: 3 }),
    breaker: maybe(breaker),
    learned: maybe(learned),
    othersUnderWay: nat(3),
    ownerIsAlive: constantFrom(undefined, true, false)
  }),
  boolean(),
  boolean()
).map(([task, about, isOwn, isAtCursor]) => {
  const { schedule } = about
  if (schedule === undefined || !isOwn) return [task, about]
  const nominalAt = isAtCursor ? schedule.cursor : task.nominalAt
  return [{ ...task, scheduleId: schedule.id, origin: "schedule", name: schedule.name, nominalAt }, about]
})

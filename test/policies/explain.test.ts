import { describe, expect, it } from "@effect/vitest"
import type { CatchUp } from "../../src/domain/CatchUp.ts"
import { InstanceId, TaskId } from "../../src/domain/Ids.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import type {
  Attempt,
  AttemptFailure,
  CancelCause,
  CancelledTask,
  FailedTask,
  RunningTask,
  ScheduledTask,
  SkippedTask,
  SkipReason,
  SucceededTask
} from "../../src/domain/Task.ts"
import type { TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import type { TaskSituation } from "../../src/policies/explain.ts"
import { explainTask } from "../../src/policies/explain.ts"
import { anEnd, aSchedule, aTask, t0 } from "../support/builders.ts"

const id = TaskId.make("018bcfe5-6800-7000-8000-000000000001")
const other = TaskId.make("018bcfe5-6800-7000-8000-000000000002")
const me = InstanceId.make("018bcfe5-6800-7000-8000-00000000000a")
const them = InstanceId.make("018bcfe5-6800-7000-8000-00000000000b")

const second = 1_000
const minute = 60 * second

/** Nothing is known that could hold anything back. */
const calm: TaskSituation = {
  now: t0,
  instanceId: me,
  schedule: undefined,
  pauses: { function: undefined, all: undefined },
  caps: [],
  breaker: undefined,
  learned: undefined,
  othersUnderWay: 0,
  ownerIsAlive: undefined
}

const latest: CatchUp = { policy: "latest" }

/** Every ten seconds from `t0` on, where the next occurrence is. */
const ticks = (fields: Partial<TaskSchedule> = {}): TaskSchedule =>
  aSchedule({
    overlap: { policy: "skip" },
    catchUp: latest,
    pauseAfterFailures: undefined,
    failures: 0,
    pause: undefined,
    ...fields
  })

const hello = (fields: Partial<ScheduledTask> = {}): ScheduledTask => aTask({ id, overlap: undefined, ...fields })

const tick = (schedule: TaskSchedule, fields: Partial<ScheduledTask> = {}): ScheduledTask =>
  hello({ name: schedule.name, scheduleId: schedule.id, origin: "schedule", ...fields })

const runsFrom = (startedAt: number, number = 1): Attempt => ({ number, startedAt, ended: undefined })

const endedBy = (
  reason: AttemptFailure["reason"] | undefined,
  startedAt: number,
  at: number,
  number = 1
): Attempt => ({
  number,
  startedAt,
  ended: anEnd(reason === undefined ? "succeeded" : "failed", at, {
    error: reason && { reason, message: "boom", errorType: undefined }
  })
})

const succeeded = (fields: Partial<SucceededTask>): SucceededTask => ({
  ...hello(),
  status: "Succeeded",
  finishedAt: t0 + 1_450,
  result: { text: "null", encoding: "utf8" },
  ...fields
})

const failed = (fields: Partial<FailedTask>): FailedTask => ({
  ...hello(),
  status: "Failed",
  finishedAt: t0 + 9 * second,
  failure: { reason: "FunctionError", message: "boom" },
  redrivenAs: undefined,
  ...fields
})

const cancelled = (fields: Partial<CancelledTask>): CancelledTask => ({
  ...hello(),
  status: "Cancelled",
  finishedAt: t0 + second,
  cancelledBy: "task",
  ...fields
})

const skipped = (reason: SkipReason, fields: Partial<SkippedTask> = {}): SkippedTask => ({
  ...tick(ticks()),
  status: "Skipped",
  finishedAt: t0 + second,
  skipped: reason,
  range: undefined,
  note: undefined,
  ...fields
})

/** What decides, and how that is said. */
const told = (...[task, about]: Parameters<typeof explainTask>) => {
  const { nextAt, rule, sentence, state } = explainTask(task, about)
  return nextAt === undefined ? [state, rule, sentence] : [state, rule, sentence, nextAt]
}

describe("explainTask: what has succeeded", () => {
  it("tells when it ran, how late and for how long", () => {
    const task = succeeded({ attempts: [endedBy(undefined, t0 + 250, t0 + 1_450)] })
    expect(told(task, calm)).toEqual([
      "succeeded",
      "ran",
      `Task "hello" ran and succeeded in attempt 1 of 3. It first started at 2027-01-15T08:00:00.250Z, 250 milliseconds late, and ended 1.2 seconds later.`
    ])
    expect(explainTask(task, calm).facts).toEqual({
      attempt: 1,
      attemptsSpent: 1,
      maxAttempts: 3,
      startedAt: t0 + 250,
      finishedAt: t0 + 1_450,
      latenessMs: 250,
      durationMs: 1_200
    })
  })

  it("counts what it waited for another attempt, and lateness from when the first was due", () => {
    const task = succeeded({
      dueAt: t0 + 5 * second,
      finishedAt: t0 + 6 * second,
      attempts: [endedBy("Throttled", t0, t0 + second), endedBy(undefined, t0 + 5 * second, t0 + 6 * second, 2)]
    })
    expect(told(task, calm)[2]).toBe(
      `Task "hello" ran and succeeded in attempt 2 of 3. It first started at 2027-01-15T08:00:00.000Z, on time, and ended 6 seconds later.`
    )
  })

  it("is never early: a clock may have stepped back", () => {
    const task = succeeded({ attempts: [endedBy(undefined, t0 - 5, t0 + 1_450)] })
    expect(explainTask(task, calm).facts["latenessMs"]).toBe(0)
  })

  it("tells of attempts that do not count", () => {
    const throttled = { ...endedBy("Throttled", t0, t0), ended: anEnd("throttled", t0) }
    const task = succeeded({ attempts: [throttled, endedBy(undefined, t0, t0 + 1_450, 2)] })
    expect(told(task, calm)[2]).toBe(
      `Task "hello" ran and succeeded in attempt 2 (1 of 3 count). It first started at 2027-01-15T08:00:00.000Z, on time, and ended 1.4 seconds later.`
    )
  })

  it("reckons an occurrence's first due instant from its schedule's jitter, once a retry has moved it", () => {
    const schedule = ticks({ recurrence: { _tag: "Fixed", v: 2, interval: 10_000, anchor: t0, jitter: 5_000 } })
    const first = tick(schedule)
    const attempts = [endedBy("Throttled", t0 + 5_000, t0 + 5_500), endedBy(undefined, t0 + 8_000, t0 + 9_000, 2)]
    const { facts } = explainTask(succeeded({ ...first, status: "Succeeded", dueAt: t0 + 8_000, attempts }), {
      ...calm,
      schedule
    })
    expect(facts["latenessMs"]).toBeGreaterThanOrEqual(0)
    expect(facts["latenessMs"]).toBeLessThan(5_000)
    const without = explainTask(succeeded({ ...first, status: "Succeeded", dueAt: t0 + 8_000, attempts }), calm)
    expect(without.facts["latenessMs"]).toBe(5_000)
  })

  it("counts what was asked for by hand from when that was", () => {
    const task = succeeded({
      scheduleId: ticks().id,
      origin: `backfill:${other}`,
      nominalAt: t0 - 30 * minute,
      dueAt: t0 + 8 * second,
      attempts: [endedBy("Throttled", t0 + 2 * second, t0), endedBy(undefined, t0 + 8 * second, t0, 2)]
    })
    expect(told(task, calm)[2]).toBe(
      `The occurrence of "hello" at 2027-01-15T07:30:00.000Z, which was made by a backfill, ran and succeeded in attempt 2 of 3. It first started at 2027-01-15T08:00:02.000Z, 2 seconds late, and ended 0 milliseconds later.`
    )
  })
})

describe("explainTask: what has failed", () => {
  const attempts = [1, 2, 3].map((number) =>
    endedBy("FunctionError", t0 + (number - 1) * 3 * second, t0 + number * 3 * second, number)
  )

  it("tells that the attempts are spent", () => {
    expect(told(failed({ attempts }), calm)).toEqual([
      "failed",
      "attemptsSpent",
      `Task "hello" failed at 2027-01-15T08:00:09.000Z in its last attempt, attempt 3 of 3, because the function threw an error or exited (FunctionError). It first started at 2027-01-15T08:00:00.000Z, on time, and ended 9 seconds later. It is a dead letter, and nobody has redriven it.`
    ])
  })

  it("names the Task that repeats it", () => {
    const { facts, sentence } = explainTask(failed({ attempts, redrivenAs: other }), calm)
    expect(sentence).toContain(`It is a dead letter, and task ${other} repeats it.`)
    expect(facts).toMatchObject({ reason: "FunctionError", lastReason: "FunctionError", redrivenAs: other })
  })

  it("tells that something is not worth another attempt", () => {
    const task = failed({
      attempts: [endedBy("AccessDenied", t0, t0 + 9 * second)],
      failure: { reason: "AccessDenied", message: "no" }
    })
    expect(told(task, calm)).toEqual([
      "failed",
      "notRetried",
      `Task "hello" failed at 2027-01-15T08:00:09.000Z after attempt 1 of 3 and is not tried again, because access to the function was denied (AccessDenied). It first started at 2027-01-15T08:00:00.000Z, on time, and ended 9 seconds later. It is a dead letter, and nobody has redriven it.`
    ])
  })

  it("tells that it came to its deadline before it had started", () => {
    const task = failed({
      failure: { reason: "Expired", message: "late" },
      retry: { ...defaultRetryPolicy, deadline: 5 * second }
    })
    expect(told(task, calm)).toEqual([
      "failed",
      "expired",
      `Task "hello" failed at 2027-01-15T08:00:09.000Z without having started: its deadline had passed (Expired). It is a dead letter, and nobody has redriven it.`
    ])
    expect(explainTask(task, calm).facts["deadlineMs"]).toBe(5 * second)
  })

  it("tells that no time was left for another attempt, and what the last one came to", () => {
    const task = failed({
      attempts: [endedBy("ServiceError", t0, t0 + 9 * second)],
      failure: { reason: "Expired", message: "late" }
    })
    expect(told(task, calm)).toEqual([
      "failed",
      "expired",
      `Task "hello" failed at 2027-01-15T08:00:09.000Z after attempt 1 of 3: no time was left for another one (Expired). The last one came to nothing: the Lambda service failed (ServiceError). It first started at 2027-01-15T08:00:00.000Z, on time, and ended 9 seconds later. It is a dead letter, and nobody has redriven it.`
    ])
  })
})

describe("explainTask: what was cancelled", () => {
  it.each<[CancelCause, string]>([
    ["task", "on its own"],
    ["schedule", "with its schedule"],
    ["function", "with all work of its function"],
    ["name", "with all work of its name"],
    ["backfill", "with its backfill"],
    ["overlap", "for a later occurrence, which runs in its place"]
  ])("names the cause: %s", (cancelledBy, how) => {
    expect(told(cancelled({ cancelledBy }), calm)).toEqual([
      "cancelled",
      "cancelled",
      `Task "hello" was cancelled at 2027-01-15T08:00:01.000Z ${how}, before it had started.`
    ])
  })

  it("tells what it was doing", () => {
    expect(told(cancelled({ attempts: [endedBy("Cancelled", t0, t0 + second)] }), calm)[2]).toBe(
      `Task "hello" was cancelled at 2027-01-15T08:00:01.000Z on its own, while attempt 1 of 3 ran; the function itself may have run on.`
    )
    expect(told(cancelled({ attempts: [endedBy("FunctionError", t0, t0)] }), calm)[2]).toBe(
      `Task "hello" was cancelled at 2027-01-15T08:00:01.000Z on its own, while it waited for another attempt after attempt 1 of 3.`
    )
  })
})

describe("explainTask: what was skipped", () => {
  it.each<[SkipReason, string, string]>([
    ["overlap", "overlap", "another occurrence of its schedule was under way, and it could not wait for its turn"],
    ["paused", "paused", "its schedule was paused"],
    [
      "catchUp",
      "catchUp",
      "its instant had passed before it could start, and a later one ran in its place or it was too late to be made up for"
    ],
    ["window", "window", "it would have started later than its schedule allows"],
    ["cap", "catchUpMax", "more occurrences had been missed than its schedule makes up for"]
  ])("names the rule: %s", (reason, rule, why) => {
    expect(told(skipped(reason), calm)).toEqual([
      "skipped",
      rule,
      `The occurrence of "ticks" at 2027-01-15T08:00:00.000Z was skipped, because ${why}.`
    ])
  })

  it("tells of how many, and what was noted", () => {
    const task = skipped("paused", {
      range: { count: 6, last: t0 + 50 * second },
      note: "paused since 2027-01-15T07:59:55.000Z by ada: month end"
    })
    expect(told(task, calm)[2]).toBe(
      `The occurrence of "ticks" at 2027-01-15T08:00:00.000Z was skipped, because its schedule was paused. Its record, task ${id}, stands for 6 occurrences, from 2027-01-15T08:00:00.000Z to 2027-01-15T08:00:50.000Z. Note: paused since 2027-01-15T07:59:55.000Z by ada: month end`
    )
    expect(explainTask(task, calm).facts).toEqual({
      reason: "paused",
      finishedAt: t0 + second,
      note: "paused since 2027-01-15T07:59:55.000Z by ada: month end",
      rangeCount: 6,
      rangeFirst: t0,
      rangeLast: t0 + 50 * second
    })
  })
})

describe("explainTask: what runs", () => {
  const running = (fields: Partial<RunningTask> = {}): RunningTask => ({
    ...hello(),
    status: "Running",
    owner: me,
    attempts: [runsFrom(t0)],
    ...fields
  })
  const later = { ...calm, now: t0 + 5 * second }

  it("tells since when, and where", () => {
    expect(told(running(), later)).toEqual([
      "running",
      "thisInstance",
      `Task "hello" is running: attempt 1 of 3 has run since 2027-01-15T08:00:00.000Z, for 5 seconds, by this instance.`
    ])
    expect(told(running({ owner: them }), { ...later, ownerIsAlive: true })).toEqual([
      "running",
      "otherInstance",
      `Task "hello" is running: attempt 1 of 3 has run since 2027-01-15T08:00:00.000Z, for 5 seconds, by instance ${them}.`
    ])
    expect(told(running(), { ...later, instanceId: undefined })[1]).toBe("otherInstance")
  })

  it("tells that its owner is lost, and what follows", () => {
    const lost = { ...later, ownerIsAlive: false }
    expect(told(running({ owner: them }), lost)).toEqual([
      "running",
      "ownerLost",
      `Task "hello" is running: attempt 1 of 3 has run since 2027-01-15T08:00:00.000Z, for 5 seconds, by instance ${them}, which has lost its lease: another instance takes the task over, ends the attempt as unknown and tries again.`
    ])
    const once = running({ owner: them, retry: { ...defaultRetryPolicy, onUnknown: "fail" } })
    expect(told(once, lost)[2]).toMatch(/ends the attempt as unknown and lets the task fail\.$/)
    const spent = running({ owner: them, retry: { ...defaultRetryPolicy, maxAttempts: 1 } })
    expect(told(spent, lost)[2]).toMatch(/and lets the task fail\.$/)
  })

  it("names its deadline", () => {
    const task = running({ retry: { ...defaultRetryPolicy, deadline: minute } })
    expect(told(task, later)[2]).toMatch(/ It is given up at its deadline, 2027-01-15T08:01:00\.000Z\.$/)
    expect(told(task, { ...calm, now: t0 + minute })[2]).toMatch(
      / Its deadline passed at 2027-01-15T08:01:00\.000Z, and it is being given up\.$/
    )
    expect(explainTask(task, later).facts).toMatchObject({ deadlineAt: t0 + minute, runningMs: 5 * second, owner: me })
  })
})

describe("explainTask: what is not due yet", () => {
  const task = hello({ dueAt: t0 + 5 * minute })

  it("tells when it will be", () => {
    expect(told(task, calm)).toEqual([
      "planned",
      "notDue",
      `Task "hello" is not due yet: it starts at 2027-01-15T08:05:00.000Z, in 5 minutes.`,
      t0 + 5 * minute
    ])
  })

  it("tells of a pause that holds then, and not of one that is over by then", () => {
    const paused = (until: number) => ({ ...calm, pauses: { function: { since: t0, until }, all: undefined } })
    expect(told(task, paused(t0 + 10 * minute))).toEqual([
      "planned",
      "functionPaused",
      `Task "hello" is due at 2027-01-15T08:05:00.000Z, but will not start then: its function "hello" is paused from 2027-01-15T08:00:00.000Z until 2027-01-15T08:10:00.000Z. It starts when the pause ends.`,
      t0 + 10 * minute
    ])
    expect(told(task, paused(t0 + 5 * minute))[1]).toBe("notDue")
  })

  it("says nothing of what holds back only now", () => {
    const full = {
      ...calm,
      caps: [{ name: "hello", concurrency: 1, running: 1 }],
      learned: { concurrency: 1, rate: undefined },
      breaker: { state: "open", until: t0 + minute } as const,
      othersUnderWay: 1,
      schedule: ticks()
    }
    expect(told(tick(full.schedule, { dueAt: t0 + 5 * minute }), full)[1]).toBe("notDue")
    expect(told(tick(full.schedule, { dueAt: t0 + second }), full)[1]).toBe("breaker")
    expect(told(tick(full.schedule, { dueAt: t0 + minute }), full)[1]).toBe("notDue")
  })

  it("tells that its deadline comes first", () => {
    const late = hello({ nominalAt: t0, dueAt: t0 + 5 * minute, retry: { ...defaultRetryPolicy, deadline: minute } })
    expect(told(late, calm)).toEqual([
      "planned",
      "notDue",
      `Task "hello" is not due yet: it starts at 2027-01-15T08:05:00.000Z, in 5 minutes. Its deadline, 2027-01-15T08:01:00.000Z, comes first: it will fail without having started.`
    ])
  })
})

describe("explainTask: what waits, in the order in which things hold it back", () => {
  const now = t0 + 5 * second
  const due = { ...calm, now }
  const schedule = ticks({ pause: { since: t0 - second, by: "ada", note: "month end" } })

  it("its deadline", () => {
    const task = hello({ retry: { ...defaultRetryPolicy, deadline: 5 * second } })
    expect(told(task, { ...due, schedule })).toEqual([
      "waiting",
      "expired",
      `Task "hello" does not start any more: its deadline passed at 2027-01-15T08:00:05.000Z. It fails as soon as an instance looks at it.`
    ])
    expect(told({ ...task, dueAt: now + second }, due).slice(0, 2)).toEqual(["waiting", "expired"])
    expect(told(tick(schedule, { retry: task.retry }), { ...due, schedule })[2]).toMatch(
      / It fails, or is recorded as skipped, as soon as an instance looks at it\.$/
    )
  })

  it("its schedule's pause, after which it is skipped", () => {
    expect(told(tick(schedule), { ...due, schedule })).toEqual([
      "waiting",
      "paused",
      `The occurrence of "ticks" at 2027-01-15T08:00:00.000Z has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: its schedule has been paused since 2027-01-15T07:59:59.000Z by ada: month end. If nothing changes, it is recorded as skipped when the pause ends.`
    ])
    const until = ticks({ pause: { since: t0 - second, until: t0 + 15 * second } })
    const explanation = explainTask(tick(until), { ...due, schedule: until })
    expect(explanation.sentence).toMatch(
      / If nothing changes, it is recorded as skipped when the pause ends, and the schedule goes on with that at 2027-01-15T08:00:20\.000Z\.$/
    )
    expect(explanation.nextAt).toBeUndefined()
    expect(explanation.facts).toMatchObject({
      pauseSince: t0 - second,
      pauseUntil: t0 + 15 * second,
      goesOnAt: t0 + 20 * second
    })
  })

  it("its schedule's pause, where nobody can read the rule", () => {
    const rule = {
      _tag: "Cron",
      v: 2,
      syntax: "unix",
      expression: "",
      timeZone: "UTC",
      gap: "skip",
      overlap: "default"
    } as const
    const paused = ticks({ recurrence: rule, pause: { since: t0 - second, until: t0 + minute } })
    expect(told(tick(paused), { ...due, schedule: paused })[2]).toMatch(
      / is recorded as skipped when the pause ends\.$/
    )
  })

  it("its schedule's pause, after which the rule for missed occurrences decides", () => {
    const paused = ticks({ pause: { since: t0 + second, until: t0 + minute } })
    expect(told(tick(paused), { ...due, schedule: paused })).toEqual([
      "waiting",
      "paused",
      `The occurrence of "ticks" at 2027-01-15T08:00:00.000Z has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: its schedule is paused from 2027-01-15T08:00:01.000Z until 2027-01-15T08:01:00.000Z. When the pause ends, the schedule's rule for missed occurrences (latest) decides whether it still starts.`,
      t0 + minute
    ])
  })

  it("its schedule's pause, of what waits for its turn or is spaced: it starts after that", () => {
    const gone = ticks({ cursor: t0 + 10 * second, pause: { since: t0 - second, until: t0 + minute } })
    expect(told(tick(gone), { ...due, schedule: gone })[2]).toMatch(/ It starts when the pause ends\.$/)
    const spaced = ticks({
      recurrence: { _tag: "Spaced", v: 1, interval: 10 },
      pause: { since: t0 - second, until: t0 + minute }
    })
    expect(told(tick(spaced), { ...due, schedule: spaced })[3]).toBe(t0 + minute)
  })

  it("not its schedule's pause, for what was asked for by hand and for a later attempt", () => {
    const byHand = tick(schedule, { origin: `manual:${other}` })
    expect(told(byHand, { ...due, schedule })).toEqual([
      "waiting",
      "due",
      `The occurrence of "ticks" at 2027-01-15T08:00:00.000Z, which was made by hand, has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and no instance has claimed it yet. Instances claim what is due as soon as they have room: if this lasts, none is running, or none has room.`
    ])
    const again = tick(schedule, { attempts: [endedBy("ServiceError", t0, t0)] })
    expect(told(again, { ...due, schedule })[1]).toBe("due")
  })

  it("the pauses of its function and of all functions: the longest decides", () => {
    const pauses = { function: { since: t0, until: t0 + minute }, all: { since: t0, until: t0 + 2 * minute } }
    expect(told(hello(), { ...due, pauses })).toEqual([
      "waiting",
      "functionPaused",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: its function "hello" is paused from 2027-01-15T08:00:00.000Z until 2027-01-15T08:01:00.000Z. It starts when the pause ends. All functions are paused as well.`,
      t0 + 2 * minute
    ])
    expect(told(hello(), { ...due, pauses: { function: undefined, all: { since: t0 } } })).toEqual([
      "waiting",
      "allPaused",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: all functions have been paused since 2027-01-15T08:00:00.000Z. It starts when the pause ends.`
    ])
    expect(told(tick(schedule), { ...due, schedule, pauses })[2]).toMatch(
      / Its function is paused as well\. All functions are paused as well\.$/
    )
  })

  it("the breaker of its function", () => {
    const breaker = { state: "open", openedAt: t0, until: t0 + 8 * second, reason: "ServiceError: HTTP 500" } as const
    expect(told(hello(), { ...due, breaker })).toEqual([
      "waiting",
      "breaker",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: the circuit breaker of "hello" is open, because the Lambda service failed (ServiceError); nothing is called before 2027-01-15T08:00:08.000Z.`,
      t0 + 8 * second
    ])
    expect(told(hello(), { ...due, breaker: { ...breaker, until: now } })[2]).toMatch(
      /; it may be probed from now on\.$/
    )
    expect(told(hello(), { ...due, breaker: { state: "closed" } })[1]).toBe("due")
  })

  it("the breaker of the way to Lambda, of which only the code is told", () => {
    const breaker = { name: "", state: "half-open", until: t0 + minute, reason: "what a function has said" } as const
    expect(told(hello(), { ...due, breaker })).toEqual([
      "waiting",
      "breaker",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: the circuit breaker of the way to Lambda is half-open; a few calls probe whether it works again, and others wait for them.`
    ])
  })

  it("a cap that is full", () => {
    const caps = [
      { name: "other", concurrency: 1, running: 9 },
      { name: "", concurrency: 10, running: 10 },
      { name: "hello", concurrency: 5, running: 5 }
    ]
    expect(told(hello(), { ...due, caps })).toEqual([
      "waiting",
      "cap",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: 5 of "hello" run, and the cap is 5 at once. It starts when one of them ends.`
    ])
    expect(explainTask(hello(), { ...due, caps }).facts).toMatchObject({ cap: "hello", limit: 5, runningNow: 5 })
    expect(told(hello(), { ...due, caps: caps.slice(0, 2) })[2]).toMatch(
      /: 10 of all functions together run, and the cap is 10 at once\. It starts when one of them ends\.$/
    )
    expect(told(hello(), { ...due, caps: caps.slice(0, 1) })[1]).toBe("due")
    expect(told(hello(), { ...due, caps: [{ name: "hello", concurrency: 0, running: 0 }] })[2]).toMatch(
      /: the cap on "hello" was set by a version that this one cannot read, and nothing starts under it here\.$/
    )
  })

  it("what Lambda was seen to take, unless another instance has it", () => {
    const learned = { concurrency: 12, rate: undefined }
    expect(told(hello(), { ...due, learned })).toEqual([
      "waiting",
      "throttled",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: Lambda has throttled calls of "hello", so that this instance makes at most 12 at once. It waits for its turn.`
    ])
    expect(told(hello(), { ...due, learned: { name: "", concurrency: undefined, rate: 50 } })[2]).toMatch(
      /: Lambda has throttled calls of the account, so that this instance makes at most 50 a second\. It waits for its turn\.$/
    )
    expect(told(hello({ owner: them }), { ...due, learned })[1]).toBe("otherInstance")
  })

  it("another occurrence", () => {
    const waits = ticks({ overlap: { policy: "bufferOne" } })
    const task = tick(waits, { claimableAt: t0 + 10 * second })
    expect(told(task, { ...due, schedule: waits, othersUnderWay: 1 })).toEqual([
      "waiting",
      "overlap",
      `The occurrence of "ticks" at 2027-01-15T08:00:00.000Z has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: 1 other occurrence of its schedule has begun and not ended. By its overlap policy (bufferOne) it waits for its turn.`,
      t0 + 10 * second
    ])
    expect(told(tick(waits), { ...due, schedule: waits, othersUnderWay: 1 })[3]).toBeUndefined()
    const skips = ticks()
    expect(told(tick(skips), { ...due, schedule: skips, othersUnderWay: 2 })).toEqual([
      "waiting",
      "overlap",
      `The occurrence of "ticks" at 2027-01-15T08:00:00.000Z has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: 2 other occurrences of its schedule have begun and not ended. By its overlap policy (skip) it is recorded as skipped as soon as an instance looks at it.`
    ])
  })

  it("no other occurrence, where they may run beside each other", () => {
    const beside = ticks({ overlap: { policy: "allowAll" } })
    const replaces = ticks({ overlap: { policy: "cancelOther" } })
    for (const schedule of [beside, replaces]) {
      expect(told(tick(schedule), { ...due, schedule, othersUnderWay: 2 })[1]).toBe("due")
    }
    const skips = ticks()
    const ofBackfill = tick(skips, { origin: `backfill:${other}`, overlap: { policy: "bufferAll", running: 3 } })
    expect(told(ofBackfill, { ...due, schedule: skips, othersUnderWay: 2 })[1]).toBe("due")
    expect(told(ofBackfill, { ...due, schedule: skips, othersUnderWay: 3 })[1]).toBe("overlap")
    const again = tick(skips, { attempts: [endedBy("ServiceError", t0, t0)] })
    expect(told(again, { ...due, schedule: skips, othersUnderWay: 2 })[1]).toBe("due")
  })

  it("the wait for another attempt", () => {
    const task = hello({ dueAt: now + 10 * second, attempts: [endedBy("FunctionTimeout", t0, t0 + 3 * second)] })
    expect(told(task, due)).toEqual([
      "waiting",
      "retry",
      `Task "hello" waits for another attempt: attempt 1 of 3 came to nothing, because the function ran into its own timeout (FunctionTimeout). The next one is due at 2027-01-15T08:00:15.000Z, in 10 seconds.`,
      now + 10 * second
    ])
    expect(explainTask(task, due).facts).toMatchObject({ attempt: 1, maxAttempts: 3, lastReason: "FunctionTimeout" })
  })

  it("a pause that lasts longer than the wait for another attempt", () => {
    const task = hello({ dueAt: now + 10 * second, attempts: [endedBy("FunctionTimeout", t0, t0 + 3 * second)] })
    const pauses = { function: undefined, all: { since: t0 } }
    expect(told(task, { ...due, pauses })).toEqual([
      "waiting",
      "allPaused",
      `The next attempt of task "hello" is due at 2027-01-15T08:00:15.000Z, but will not start then: all functions have been paused since 2027-01-15T08:00:00.000Z. It starts when the pause ends.`
    ])
  })

  it("the instance that has it", () => {
    expect(told(hello({ owner: them }), due)).toEqual([
      "waiting",
      "otherInstance",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and is claimed by instance ${them}, which starts it as soon as it has room.`
    ])
    expect(told(hello({ owner: me }), due)).toEqual([
      "waiting",
      "thisInstance",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and is claimed by this instance, which starts it as soon as it has room.`
    ])
    expect(told(hello({ owner: them }), { ...due, ownerIsAlive: false })).toEqual([
      "waiting",
      "ownerLost",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and is claimed by instance ${them}, which has lost its lease: the claim is freed when the next instance looks for lost leases.`
    ])
  })

  it("that it was put off", () => {
    expect(told(hello({ claimableAt: now + second }), due)).toEqual([
      "waiting",
      "deferred",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and was put off until 2027-01-15T08:00:06.000Z. What held it back then no longer does: it is picked up then, or before.`,
      now + second
    ])
  })

  it("nothing but that nobody has claimed it", () => {
    expect(told(hello(), calm)).toEqual([
      "waiting",
      "due",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, and no instance has claimed it yet. Instances claim what is due as soon as they have room: if this lasts, none is running, or none has room.`
    ])
  })

  it("and names a deadline that is still to come", () => {
    const task = hello({ owner: me, retry: { ...defaultRetryPolicy, deadline: minute } })
    expect(told(task, due)[2]).toMatch(/ Its deadline is 2027-01-15T08:01:00\.000Z\.$/)
    const pauses = { function: undefined, all: { since: t0, until: t0 + 2 * minute } }
    expect(told(task, { ...due, pauses })).toEqual([
      "waiting",
      "allPaused",
      `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: all functions are paused from 2027-01-15T08:00:00.000Z until 2027-01-15T08:02:00.000Z. It starts when the pause ends. Its deadline, 2027-01-15T08:01:00.000Z, comes first: it will fail without having started.`
    ])
  })

  it("and does not start at its deadline", () => {
    const task = hello({ retry: { ...defaultRetryPolicy, deadline: minute } })
    const until = (until: number) => ({ ...due, pauses: { function: undefined, all: { since: t0, until } } })
    expect(told(task, until(t0 + minute))[2]).toMatch(/ comes first: it will fail without having started\.$/)
    expect(told(task, until(t0 + minute - 1))[3]).toBe(t0 + minute - 1)
    const again = { ...task, dueAt: t0 + 2 * minute, attempts: [endedBy("ServiceError", t0, t0)] }
    expect(told(again, due)[2]).toMatch(/ comes first: it will fail without another attempt\.$/)
  })

  it("one before the other", () => {
    const all: TaskSituation = {
      ...due,
      schedule,
      pauses: { function: { since: t0 }, all: { since: t0 } },
      breaker: { state: "half-open" },
      caps: [{ name: "hello", concurrency: 1, running: 1 }],
      learned: { concurrency: 1, rate: undefined },
      othersUnderWay: 1
    }
    const task = tick(schedule, { owner: me })
    const situations: ReadonlyArray<Partial<TaskSituation>> = [
      {},
      { schedule: ticks() },
      { pauses: { function: undefined, all: { since: t0 } } },
      { pauses: calm.pauses },
      { breaker: undefined },
      { caps: [] },
      { learned: undefined },
      { othersUnderWay: 0 },
      { instanceId: undefined }
    ]
    let about = all
    const rules = situations.map((without) => {
      about = { ...about, ...without }
      return explainTask(task, about).rule
    })
    expect(rules).toEqual([
      "paused",
      "functionPaused",
      "allPaused",
      "breaker",
      "cap",
      "throttled",
      "overlap",
      "thisInstance",
      "otherInstance"
    ])
  })
})

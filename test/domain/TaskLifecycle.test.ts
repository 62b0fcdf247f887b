import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Attempt, Task, TaskStatus } from "../../src/domain/Task.ts"
import { isFinished, spentAttempts, taskStatuses } from "../../src/domain/Task.ts"
import type { SettledTo } from "../../src/domain/TaskLifecycle.ts"
import * as TaskLifecycle from "../../src/domain/TaskLifecycle.ts"
import { anEnd, anInstanceId, aTask, t0, toFailed, toRetry, toSucceeded } from "../support/builders.ts"

const me = anInstanceId()
const other = anInstanceId()

const overlaps: TaskLifecycle.Skip = { skipped: "overlap", range: undefined, note: undefined }

const made = <A>(task: A | undefined): A => task ?? expect.fail("the transition was refused")

const free = aTask({ token: 4 })
const claimed = made(TaskLifecycle.claim(free, me))
const running = made(TaskLifecycle.start(claimed, me, claimed.token, t0))
const settledTo = (to: SettledTo) =>
  made(
    TaskLifecycle.settle(running, me, {
      id: running.id,
      token: running.token,
      end: anEnd(to._tag === "Succeeded" ? "succeeded" : "failed", t0 + 5),
      to
    })
  )

/** A Task in every state there is; `Scheduled` also as its owner and as a retry's owner holds it. */
const states = {
  "Scheduled, free": free,
  "Scheduled, claimed": claimed,
  "Scheduled, given back for a retry": settledTo(toRetry(t0 + 10)),
  "Scheduled, kept for a retry": settledTo(toRetry(t0 + 10, true)),
  Running: running,
  Succeeded: settledTo(toSucceeded()),
  Failed: settledTo(toFailed()),
  Cancelled: made(TaskLifecycle.cancel(running, "task", t0 + 5)),
  "Failed, expired": made(TaskLifecycle.expire(claimed, me, claimed.token, t0 + 5)),
  Skipped: made(TaskLifecycle.skip(claimed, me, claimed.token, overlaps, t0 + 5))
}
type StateName = keyof typeof states

/** Everything that can be asked of a Task by an owner who knows its token. */
const events = {
  claim: (task: Task) => TaskLifecycle.claim(task, me),
  release: (task: Task) => TaskLifecycle.release(task, task.token, t0 + 20),
  start: (task: Task) => TaskLifecycle.start(task, me, task.token, t0 + 20),
  skip: (task: Task) => TaskLifecycle.skip(task, me, task.token, overlaps, t0 + 20),
  expire: (task: Task) => TaskLifecycle.expire(task, me, task.token, t0 + 20),
  succeed: (task: Task) => settle(task, toSucceeded()),
  fail: (task: Task) => settle(task, toFailed()),
  retry: (task: Task) => settle(task, toRetry(t0 + 30)),
  cancel: (task: Task) => TaskLifecycle.cancel(task, "task", t0 + 20),
  takeOver: (task: Task) => TaskLifecycle.takeOver(task, other)
}
type EventName = keyof typeof events
const eventNames = Object.keys(events) as ReadonlyArray<EventName>

const settle = (task: Task, to: SettledTo) =>
  TaskLifecycle.settle(task, me, { id: task.id, token: task.token, end: anEnd("failed", t0 + 20), to })

const cancellable = { cancel: "Cancelled" } as const
const held = {
  ...cancellable,
  release: "Scheduled",
  start: "Running",
  skip: "Skipped",
  expire: "Failed",
  takeOver: "Scheduled"
} as const

/** The whole table: what is not in it is refused. */
const table: Record<StateName, Partial<Record<EventName, TaskStatus>>> = {
  "Scheduled, free": { ...cancellable, claim: "Scheduled" },
  "Scheduled, claimed": held,
  "Scheduled, given back for a retry": { ...cancellable, claim: "Scheduled" },
  "Scheduled, kept for a retry": held,
  Running: {
    ...cancellable,
    succeed: "Succeeded",
    fail: "Failed",
    retry: "Scheduled",
    takeOver: "Running"
  },
  Succeeded: {},
  Failed: {},
  "Failed, expired": {},
  Cancelled: {},
  Skipped: {}
}

describe("TaskLifecycle", () => {
  for (const [name, task] of Object.entries(states) as ReadonlyArray<[StateName, Task]>) {
    for (const event of eventNames) {
      const expected = table[name][event]
      it(`${name}: ${event} ${expected === undefined ? "is refused" : `leads to ${expected}`}`, () => {
        expect(events[event](task)?.status).toBe(expected)
      })
    }
  }

  it("the table of transitions knows all states, and nothing leads out of a finished one", () => {
    expect(Object.keys(TaskLifecycle.transitions)).toEqual([...taskStatuses])
    for (const status of taskStatuses) {
      const finished = !["Scheduled", "Running"].includes(status)
      expect(TaskLifecycle.transitions[status].length === 0).toBe(finished)
    }
  })

  it("no change is made for another owner or under another token", () => {
    for (const token of [claimed.token - 1, claimed.token + 1]) {
      expect(TaskLifecycle.release(claimed, token, t0)).toBeUndefined()
      expect(TaskLifecycle.start(claimed, me, token, t0)).toBeUndefined()
      expect(TaskLifecycle.skip(claimed, me, token, overlaps, t0)).toBeUndefined()
      expect(TaskLifecycle.expire(claimed, me, token, t0)).toBeUndefined()
      const settlement = { id: running.id, token, end: anEnd("succeeded"), to: toSucceeded() }
      expect(TaskLifecycle.settle(running, me, settlement)).toBeUndefined()
    }
    expect(TaskLifecycle.start(claimed, other, claimed.token, t0)).toBeUndefined()
    expect(TaskLifecycle.skip(claimed, other, claimed.token, overlaps, t0)).toBeUndefined()
    expect(TaskLifecycle.expire(claimed, other, claimed.token, t0)).toBeUndefined()
    const settlement = { id: running.id, token: running.token, end: anEnd("succeeded"), to: toSucceeded() }
    expect(TaskLifecycle.settle(running, other, settlement)).toBeUndefined()
  })

  it("a release never makes a Task claimable before it is due", () => {
    const due = made(TaskLifecycle.claim(aTask({ dueAt: t0 + 50 }), me))
    expect(TaskLifecycle.release(due, due.token, t0)?.claimableAt).toBe(t0 + 50)
    expect(TaskLifecycle.release(due, due.token, t0 + 60)?.claimableAt).toBe(t0 + 60)
  })

  it("a retry is due later and keeps its nominal instant and its history", () => {
    expect(states["Scheduled, given back for a retry"]).toMatchObject({
      owner: undefined,
      nominalAt: t0,
      dueAt: t0 + 10,
      claimableAt: t0 + 10,
      attempts: [{ number: 1, startedAt: t0, ended: { at: t0 + 5, outcome: "failed" } }]
    })
    expect(states["Scheduled, kept for a retry"].owner).toBe(me)
  })

  it("cancelling ends the running attempt as unknown, and leaves earlier ones alone", () => {
    const again = made(TaskLifecycle.start(states["Scheduled, kept for a retry"], me, running.token + 1, t0 + 10))
    const cancelled = made(TaskLifecycle.cancel(again, "task", t0 + 12))
    expect(cancelled.attempts).toMatchObject([
      { number: 1, ended: { at: t0 + 5, outcome: "failed" } },
      { number: 2, ended: { at: t0 + 12, outcome: "unknown", error: { reason: "Cancelled" } } }
    ])
    expect(spentAttempts(cancelled)).toBe(2)
    const between = made(TaskLifecycle.cancel(states["Scheduled, kept for a retry"], "task", t0 + 12))
    expect(between.attempts).toEqual(states["Scheduled, kept for a retry"].attempts)
  })

  it("cancelling says for what it was", () => {
    for (const cause of ["task", "schedule", "function", "name", "backfill", "overlap"] as const) {
      expect(made(TaskLifecycle.cancel(running, cause, t0)).cancelledBy).toBe(cause)
      expect(made(TaskLifecycle.cancel(free, cause, t0)).cancelledBy).toBe(cause)
    }
  })

  it("skipping says why, for how many, and who has said so", () => {
    const why: TaskLifecycle.Skip = {
      skipped: "paused",
      range: { count: 3, last: t0 + 20 },
      note: "paused since ... by ada"
    }
    expect(made(TaskLifecycle.skip(claimed, me, claimed.token, why, t0 + 30))).toEqual({
      ...claimed,
      ...why,
      status: "Skipped",
      finishedAt: t0 + 30,
      owner: undefined,
      token: claimed.token + 1
    })
  })

  it("throttled, notReady and notSent attempts are numbered but not spent", () => {
    let task: Task = claimed
    for (const outcome of ["throttled", "notReady", "notSent", "failed", "unknown"] as const) {
      const begun: Task = made(TaskLifecycle.start(task, me, task.token, t0))
      const to = toRetry(t0, true)
      task = made(TaskLifecycle.settle(begun, me, { id: begun.id, token: begun.token, end: anEnd(outcome), to }))
    }
    expect(task.attempts.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5])
    expect(spentAttempts(task)).toBe(2)
  })

  const step = fc.record({
    event: fc.constantFrom(...eventNames),
    by: fc.constantFrom(me, other),
    /** How far the writer's token is from the Task's: mostly right, sometimes stale or forged. */
    tokenOff: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, {
      weight: 1,
      arbitrary: fc.integer({ min: -2, max: 2 })
    }),
    /** The clock mostly goes on, and sometimes steps back. */
    elapsed: fc.oneof({ weight: 4, arbitrary: fc.nat(1_000) }, {
      weight: 1,
      arbitrary: fc.integer({ min: -5_000, max: 0 })
    }),
    keep: fc.boolean()
  })
  type Step = typeof step extends fc.Arbitrary<infer A> ? A : never

  const apply = (task: Task, { by, event, keep, tokenOff }: Step, now: number): Task | undefined => {
    const token = task.token + tokenOff
    const settlement = (to: SettledTo) => ({ id: task.id, token, end: anEnd("failed", now), to })
    switch (event) {
      case "claim":
        return TaskLifecycle.claim(task, by)
      case "release":
        return TaskLifecycle.release(task, token, now)
      case "start":
        return TaskLifecycle.start(task, by, token, now)
      case "skip":
        return TaskLifecycle.skip(task, by, token, overlaps, now)
      case "expire":
        return TaskLifecycle.expire(task, by, token, now)
      case "succeed":
        return TaskLifecycle.settle(task, by, settlement(toSucceeded()))
      case "fail":
        return TaskLifecycle.settle(task, by, settlement(toFailed()))
      case "retry":
        return TaskLifecycle.settle(task, by, settlement(toRetry(now + 10, keep)))
      case "cancel":
        return TaskLifecycle.cancel(task, "task", now)
      case "takeOver":
        return TaskLifecycle.takeOver(task, by)
    }
  }

  const fenced: ReadonlySet<EventName> = new Set(["release", "start", "skip", "expire", "succeed", "fail", "retry"])
  const changesOwner: ReadonlySet<EventName> = new Set([
    "claim",
    "release",
    "cancel",
    "takeOver",
    "skip",
    "expire",
    "retry"
  ])

  const instantsOf = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<number> =>
    attempts.flatMap(({ ended, startedAt }) => ended === undefined ? [startedAt] : [startedAt, ended.at])

  const check = (before: Task, after: Task, { by, event, tokenOff }: Step) => {
    expect(TaskLifecycle.transitions[before.status]).toContain(
      before.status === "Running" && after.status === "Running" ? "Scheduled" : after.status
    )
    if (fenced.has(event)) {
      expect(tokenOff).toBe(0)
      expect(before.owner).toBeDefined()
      if (event !== "release") expect(before.owner).toBe(by)
    }
    if (changesOwner.has(event) || before.owner !== after.owner && !isFinished(after)) {
      expect(after.token).toBeGreaterThan(before.token)
    } else expect(after.token).toBe(before.token)
    if (isFinished(after)) {
      expect(after.owner).toBeUndefined()
      expect(after.finishedAt).toBeGreaterThanOrEqual(Math.max(...instantsOf(after.attempts), -Infinity))
    }
    // What is recorded of an attempt that has ended never changes, and a running one is the last.
    const kept = before.attempts.filter(({ ended }) => ended !== undefined)
    expect(after.attempts.slice(0, kept.length)).toEqual(kept)
    expect(after.attempts.length - before.attempts.length).toBe(event === "start" ? 1 : 0)
    expect(after.attempts.map(({ number }) => number)).toEqual(after.attempts.map((_, index) => index + 1))
    expect(after.attempts.slice(0, -1).every(({ ended }) => ended !== undefined)).toBe(true)
    expect(after.attempts.at(-1)?.ended === undefined && after.attempts.length > 0).toBe(after.status === "Running")
    const instants = instantsOf(after.attempts)
    expect(instants).toEqual([...instants].sort((left, right) => left - right))
    expect([after.id, after.payload, after.createdAt, after.nominalAt])
      .toEqual([before.id, before.payload, before.createdAt, before.nominalAt])
    expect(after.claimableAt).toBeGreaterThanOrEqual(after.dueAt)
  }

  it("a retry that is skipped or expires after the clock has stepped back has not finished before its attempt ended", () => {
    const waiting = states["Scheduled, kept for a retry"]
    const ended = waiting.attempts[0]?.ended?.at
    expect(ended).toBe(t0 + 5)
    const skipped = made(TaskLifecycle.skip(waiting, me, waiting.token, overlaps, t0 + 4))
    expect(skipped.finishedAt).toBe(ended)
    expect(made(TaskLifecycle.expire(waiting, me, waiting.token, t0 + 4)).finishedAt).toBe(ended)
  })

  it("whatever is asked in whatever order, only legal steps are made and history only grows", () => {
    const reached = new Set<string>()
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        let task: Task = aTask()
        let now = t0
        for (const each of steps) {
          now += each.elapsed
          const next = apply(task, each, now)
          if (next === undefined) continue
          reached.add(`${task.status} -> ${next.status}`)
          check(task, next, each)
          task = next
        }
      }),
      { numRuns: 2_000, seed: 20_270_501 }
    )
    // A run that did not reach all of these would show too little.
    expect([...reached].sort()).toEqual([
      "Running -> Cancelled",
      "Running -> Failed",
      "Running -> Running",
      "Running -> Scheduled",
      "Running -> Succeeded",
      "Scheduled -> Cancelled",
      "Scheduled -> Failed",
      "Scheduled -> Running",
      "Scheduled -> Scheduled",
      "Scheduled -> Skipped"
    ])
  })
})

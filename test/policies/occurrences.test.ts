/** What a start mark does to an occurrence and its schedule. What holds in any order is in `laneProperties.test.ts`. */
import { describe, expect, it } from "@effect/vitest"
import type { OverlapPolicy } from "../../src/domain/Overlap.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import type { ScheduledTask, SkippedTask } from "../../src/domain/Task.ts"
import * as TaskLifecycle from "../../src/domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import { farthest } from "../../src/domain/Time.ts"
import {
  asStored,
  begin,
  begunKinds,
  follow,
  followReplaced,
  overlapOf,
  verdictOn
} from "../../src/policies/occurrences.ts"
import type { Others } from "../../src/policies/overlap.ts"
import { noOthers } from "../../src/policies/overlap.ts"
import {
  anInstanceId,
  aSchedule,
  aSpacedSchedule,
  aTask,
  occurrenceOf,
  retrying,
  successorOf,
  t0
} from "../support/builders.ts"

const me = anInstanceId()
const other = anInstanceId()
const interval = 10_000

const made = <A>(task: A | undefined): A => task ?? expect.fail("it was refused")

const claimed = (task: ScheduledTask): ScheduledTask => made(TaskLifecycle.claim(task, me))

/** An occurrence that its schedule goes on from, claimed. */
const occurrence = (schedule: TaskSchedule, fields: Partial<ScheduledTask> = {}): ScheduledTask =>
  claimed({ ...occurrenceOf(schedule), ...fields, status: "Scheduled" })

interface Given {
  readonly task?: ScheduledTask
  readonly others?: Partial<Others>
  readonly successor?: Successor | undefined
  readonly now?: number
}

const mark = (schedule: TaskSchedule, given: Given = {}) => {
  const { now = t0, others = {}, task = occurrence(schedule) } = given
  const successor = "successor" in given ? given.successor : successorOf(schedule, schedule.cursor)
  return begin(
    task,
    { schedule, others: { ...noOthers, ...others } },
    me,
    { token: task.token, successor },
    now
  )
}

/** The occurrence in its second attempt, as its owner holds it. */
const tryingAgain = (schedule: TaskSchedule): ScheduledTask => {
  const task = occurrence(schedule)
  const running = made(TaskLifecycle.start(task, me, task.token, t0))
  const retry = made(TaskLifecycle.settle(running, me, retrying(running, t0 + 5, { keep: true })))
  return retry.status === "Scheduled" ? retry : expect.fail("it is tried again")
}

const notFollowed = (schedule: TaskSchedule) => ({ schedule, next: undefined, passed: [] })

describe("a one-shot", () => {
  const task = claimed(aTask())
  const successor = undefined

  it("starts, and nothing follows it", () => {
    const begun = made(begin(task, undefined, me, { token: task.token, successor }, t0))
    expect(begun).toEqual({
      task: TaskLifecycle.start(task, me, task.token, t0),
      followed: undefined,
      replaces: false
    })
  })

  it("is not started by another owner, under another token, or twice", () => {
    expect(begin(task, undefined, other, { token: task.token, successor }, t0)).toBeUndefined()
    for (const by of [-1, 1]) {
      expect(begin(task, undefined, me, { token: task.token + by, successor }, t0)).toBeUndefined()
    }
    const running = made(TaskLifecycle.start(task, me, task.token, t0))
    expect(begin(running, undefined, me, { token: task.token, successor }, t0)).toBeUndefined()
  })

  it("fails from its deadline on", () => {
    const hurried = claimed(aTask({ retry: { ...defaultRetryPolicy, deadline: 500 } }))
    const at = (now: number) => made(begin(hurried, undefined, me, { token: hurried.token, successor }, now))
    expect(at(t0 + 499).task.status).toBe("Running")
    expect(at(t0 + 500)).toMatchObject({
      task: { status: "Failed", failure: { reason: "Expired" }, owner: undefined },
      followed: undefined,
      replaces: false
    })
  })
})

describe("an occurrence that starts", () => {
  it("is a run, and is followed by what was planned", () => {
    const schedule = aSchedule({ runs: 4 })
    const successor = successorOf(schedule, t0)
    const begun = made(mark(schedule, { successor }))
    expect(begun.task).toMatchObject({ status: "Running", owner: me, attempts: [{ number: 1, startedAt: t0 }] })
    expect(begun.followed).toEqual({
      schedule: { ...schedule, runs: 5, cursor: t0 + interval },
      next: { task: successor.task, claimUntil: Infinity },
      passed: []
    })
    expect(begun.replaces).toBe(false)
  })

  it("is followed by its end, if the rule is spaced", () => {
    const schedule = aSpacedSchedule()
    expect(made(mark(schedule)).followed).toEqual(notFollowed({ ...schedule, runs: 1 }))
  })

  it("is the last one, where no more may be started or the rule names no further one", () => {
    const schedule = aSchedule({ maxRuns: 5, runs: 4 })
    expect(made(mark(schedule)).followed).toEqual(notFollowed({ ...schedule, runs: 5, status: "Completed" }))
    const successor = { ...successorOf(aSchedule(), t0), task: undefined }
    expect(made(mark(aSchedule(), { successor })).followed).toMatchObject({ schedule: { status: "Completed" } })
  })

  it("is followed once: one that its schedule has gone on from is no further run", () => {
    const schedule = aSchedule({ cursor: t0 + interval, runs: 1 })
    const waited = claimed(occurrenceOf(schedule, t0))
    const begun = made(mark(schedule, { task: waited, successor: successorOf(schedule, t0), now: t0 + 5 }))
    expect([begun.task.status, begun.followed]).toEqual(["Running", notFollowed(schedule)])
  })

  it("again is no further run and is not followed, whatever has happened to its schedule since", () => {
    for (
      const schedule of [
        aSchedule(),
        aSchedule({ revision: 2 }),
        aSchedule({ pause: { since: t0 } }),
        aSchedule({ status: "Cancelled" })
      ]
    ) {
      const begun = made(mark(schedule, { task: tryingAgain(schedule), others: { underWay: 3 } }))
      expect([begun.task.status, begun.followed, begun.replaces]).toEqual(["Running", undefined, false])
    }
  })
})

describe("an occurrence that overlaps with another", () => {
  const under = (policy: OverlapPolicy, fields: Partial<TaskSchedule> = {}) =>
    aSchedule({ overlap: { policy }, ...fields })

  it("is skipped and followed, and is no run", () => {
    for (const schedule of [under("skip"), aSpacedSchedule()]) {
      const successor = successorOf(schedule, t0)
      const begun = made(mark(schedule, { others: { underWay: 1 }, successor }))
      expect(begun.task).toMatchObject({
        status: "Skipped",
        skipped: "overlap",
        range: undefined,
        note: undefined,
        finishedAt: t0,
        owner: undefined
      })
      expect(begun.followed).toEqual({
        schedule: { ...schedule, cursor: t0 + interval },
        next: { task: successor.task, claimUntil: Infinity },
        passed: []
      })
    }
  })

  it("waits, is followed, and counts as a run there and then", () => {
    for (const policy of ["bufferOne", "bufferAll"] as const) {
      const schedule = under(policy, { maxRuns: 2 })
      const task = occurrence(schedule)
      const begun = made(mark(schedule, { task, others: { underWay: 1 }, now: t0 + 5 }))
      expect(begun.task).toEqual({ ...task, owner: undefined, token: task.token + 1, claimableAt: t0 + 105 })
      expect(begun.followed?.schedule).toEqual({ ...schedule, runs: 1, cursor: t0 + interval })
      expect(begun.followed?.next?.task.nominalAt).toBe(t0 + interval)
      // What follows it finds no runs left once it has begun, or waits itself.
      const after = made(begun.followed).schedule
      const last = claimed(occurrenceOf(after))
      expect(made(mark(after, { task: last, now: t0 + interval })).followed?.schedule).toMatchObject({
        runs: 2,
        status: "Completed"
      })
    }
  })

  it("waits for what was asked for by hand, if the rule is spaced, and is not followed before its end", () => {
    const schedule = aSpacedSchedule({ overlap: { policy: "bufferOne" } })
    const begun = made(mark(schedule, { others: { underWay: 1 } }))
    expect([begun.task.status, begun.followed]).toEqual(["Scheduled", undefined])
    const task = claimed(begun.task as ScheduledTask)
    expect(made(mark(schedule, { task, now: t0 + 200 })).followed).toEqual(notFollowed({ ...schedule, runs: 1 }))
  })

  it("finds no place to wait, and is skipped", () => {
    const begun = made(mark(under("bufferOne"), { others: { underWay: 1, before: 1 } }))
    expect(begun.task).toMatchObject({ status: "Skipped", skipped: "overlap" })
    expect(begun.followed?.schedule).toMatchObject({ runs: 0, cursor: t0 + interval })
  })

  it("takes the place of the others", () => {
    const begun = made(mark(under("cancelOther"), { others: { underWay: 2 } }))
    expect(begun).toMatchObject({ task: { status: "Running" }, followed: { schedule: { runs: 1 } }, replaces: true })
    expect(made(mark(under("cancelOther"))).replaces).toBe(false)
  })

  it("starts beside the others", () => {
    const begun = made(mark(under("allowAll"), { others: { underWay: 9, before: 3 } }))
    expect(begun).toMatchObject({ task: { status: "Running" }, followed: { schedule: { runs: 1 } }, replaces: false })
  })

  it("goes by its own policy, if it has one", () => {
    const schedule = under("skip")
    expect(overlapOf({ overlap: undefined }, schedule)).toEqual({ policy: "skip" })
    expect(overlapOf({ overlap: { policy: "allowAll" } }, schedule)).toEqual({ policy: "allowAll" })
    const task = occurrence(schedule, { origin: "manual:1", overlap: { policy: "allowAll" } })
    expect(made(mark(schedule, { task, others: { underWay: 1 } })).task.status).toBe("Running")
  })
})

describe("an occurrence asked for by hand", () => {
  it("is no run by the rule and is not followed, even at the instant of one that is", () => {
    for (const origin of ["manual:1", "backfill:1"]) {
      const schedule = aSchedule()
      const begun = made(mark(schedule, { task: occurrence(schedule, { origin }), successor: undefined }))
      expect([begun.task.status, begun.followed]).toEqual(["Running", notFollowed(schedule)])
      // Nor by mistake.
      const followed = made(mark(schedule, { task: occurrence(schedule, { origin }) })).followed
      expect(followed).toEqual(notFollowed(schedule))
    }
  })

  it("waits for its turn as others do", () => {
    const schedule = aSchedule({ overlap: { policy: "bufferAll" } })
    const task = occurrence(schedule, { origin: "manual:1" })
    const begun = made(mark(schedule, { task, others: { underWay: 1 }, successor: undefined }))
    expect([begun.task.status, begun.followed]).toEqual(["Scheduled", notFollowed(schedule)])
  })

  it("runs also while its schedule is paused or has been edited", () => {
    for (const schedule of [aSchedule({ pause: { since: t0 } }), aSchedule({ revision: 7 })]) {
      const task = occurrence(schedule, { origin: "manual:1" })
      expect(made(mark(schedule, { task, successor: undefined })).task.status).toBe("Running")
    }
  })
})

describe("a paused schedule", () => {
  it("starts nothing by its rule: it waits for the end of the pause, and is neither a run nor followed", () => {
    for (const policy of ["skip", "bufferAll", "cancelOther", "allowAll"] as const) {
      for (const until of [undefined, t0 + 60_000]) {
        const pause = { since: t0, ...(until === undefined ? {} : { until }) }
        const schedule = aSchedule({ overlap: { policy }, pause })
        const task = occurrence(schedule)
        const begun = made(mark(schedule, { task, others: { underWay: 1 } }))
        expect(begun).toEqual({
          task: { ...task, owner: undefined, token: task.token + 1, claimableAt: until ?? farthest },
          followed: undefined,
          replaces: false
        })
      }
    }
  })

  it("goes on when the pause is over", () => {
    const schedule = aSchedule({ pause: { since: t0, until: t0 + 60_000 } })
    expect(made(mark(schedule, { now: t0 + 59_999 })).task.status).toBe("Scheduled")
    expect(made(mark(schedule, { now: t0 + 60_000 })).task.status).toBe("Running")
  })
})

describe("an occurrence planned under an older revision", () => {
  it("never runs", () => {
    const planned = aSchedule()
    for (const revision of [planned.revision - 1, planned.revision + 1]) {
      const schedule = { ...planned, revision, retry: { ...defaultRetryPolicy, deadline: 500 } }
      const successor = successorOf(planned, t0)
      expect(mark(schedule, { successor })).toBeUndefined()
      // Nor is it ended by it: nothing would follow.
      expect(mark(schedule, { successor, now: t0 + 500 })).toBeUndefined()
    }
  })
})

describe("an occurrence that is passed over", () => {
  const skip: TaskLifecycle.Skip = {
    skipped: "catchUp",
    range: { count: 4, last: t0 + 3 * interval },
    note: "somebody said so"
  }
  const record: SkippedTask = {
    ...occurrenceOf(aSchedule(), t0 + 4 * interval),
    status: "Skipped",
    skipped: "paused",
    range: undefined,
    note: undefined,
    finishedAt: t0
  }
  const now = t0 + 5 * interval + 1
  const planned = (schedule: TaskSchedule): Successor => ({
    ...successorOf(schedule, t0 + 4 * interval),
    skip,
    passed: [record],
    missed: 4
  })

  it("is told as that with all that goes by with it, is no run, and is followed", () => {
    const schedule = aSchedule({ missed: 1 })
    const successor = planned(schedule)
    const begun = made(mark(schedule, { successor, others: { underWay: 1 }, now }))
    expect(begun.task).toMatchObject({ status: "Skipped", finishedAt: now, ...skip })
    expect(begun.followed).toEqual({
      schedule: { ...schedule, missed: 5, cursor: t0 + 5 * interval },
      next: { task: successor.task, claimUntil: Infinity },
      passed: [record]
    })
  })

  it("also past its deadline: what goes by with it has no other record", () => {
    const schedule = aSchedule({ retry: { ...defaultRetryPolicy, deadline: 500 } })
    const begun = made(mark(schedule, { successor: planned(schedule), now }))
    expect(begun.task).toMatchObject({ status: "Skipped", ...skip })
    expect(begun.followed?.schedule.missed).toBe(4)
  })

  it("waits while its schedule is paused, for that may be a reason not to make up for it", () => {
    const schedule = aSchedule({ pause: { since: t0 } })
    expect(made(mark(schedule, { successor: planned(schedule), now })).task.status).toBe("Scheduled")
  })

  it("runs all the same if it has waited for its turn: it has been followed already", () => {
    const schedule = aSchedule({ overlap: { policy: "bufferAll" }, cursor: t0 + interval, runs: 1 })
    const task = claimed(occurrenceOf(schedule, t0))
    const begun = made(mark(schedule, { task, successor: planned(schedule), now }))
    expect([begun.task.status, begun.followed]).toEqual(["Running", notFollowed(schedule)])
  })
})

describe("an occurrence past its deadline", () => {
  const hurried = { ...defaultRetryPolicy, deadline: 500 }

  it("is a failure that may pause its schedule: what follows waits for the end of that", () => {
    const schedule = aSchedule({ retry: hurried, pauseAfterFailures: 2, failures: 1 })
    const { followed } = made(mark(schedule, { now: t0 + 500 }))
    expect(followed).toMatchObject({
      schedule: { failures: 2, pause: { since: t0 + 500, by: "effect-lambda-scheduler" } },
      next: { task: { nominalAt: t0 + interval } }
    })
    expect(followed?.next?.task.claimableAt).toBeGreaterThan(t0 + interval)
  })

  it("fails, is no run, and is followed whatever the rule", () => {
    for (const schedule of [aSchedule({ retry: hurried }), aSpacedSchedule({ retry: hurried })]) {
      const begun = made(mark(schedule, { now: t0 + 500 }))
      expect(begun.task).toMatchObject({ status: "Failed", failure: { reason: "Expired" } })
      expect(begun.followed).toMatchObject({
        schedule: { ...schedule, cursor: t0 + interval },
        next: { task: { nominalAt: t0 + interval } }
      })
    }
  })

  it("fails also in a later attempt, and a spaced one is followed then", () => {
    const schedule = aSpacedSchedule({ retry: hurried, runs: 1 })
    const begun = made(mark(schedule, { task: tryingAgain(schedule), now: t0 + 500 }))
    expect(begun.task.status).toBe("Failed")
    expect(begun.followed).toMatchObject({ schedule: { runs: 1, cursor: t0 + interval } })
  })
})

describe("follow", () => {
  it("does nothing where nothing was planned, or another one has been followed since", () => {
    const schedule = aSchedule()
    expect(follow(schedule, occurrenceOf(schedule), undefined, t0)).toEqual(notFollowed(schedule))
    const successor = successorOf(schedule, t0)
    const { schedule: after } = follow(schedule, occurrenceOf(schedule), successor, t0)
    expect(follow(after, occurrenceOf(schedule), successor, t0)).toEqual(notFollowed(after))
  })
})

describe("followReplaced", () => {
  const spaced = aSpacedSchedule({ runs: 1 })

  it("a spaced schedule goes on from the run whose place was taken, for nothing else would go on from it", () => {
    const byHand = occurrenceOf(spaced, t0 - 5)
    const successor = successorOf(spaced, t0 + 7)
    expect(followReplaced(spaced, [{ ...byHand, origin: "manual:1" }, occurrenceOf(spaced)], successor, t0 + 7))
      .toEqual({
        schedule: { ...spaced, cursor: t0 + 7 + interval },
        next: { task: successor.task, claimUntil: Infinity },
        passed: []
      })
  })

  it("does not where another one took its place before, or where only what was asked for by hand had to", () => {
    const successor = successorOf(spaced, t0)
    expect(followReplaced(spaced, [], successor, t0)).toBeUndefined()
    expect(followReplaced(spaced, [occurrenceOf(spaced, t0 - interval)], successor, t0)).toBeUndefined()
    const byHand = { ...occurrenceOf(spaced), origin: "manual:1" }
    expect(followReplaced(spaced, [byHand], successor, t0)).toBeUndefined()
  })

  it("an anchored one has been followed when it began", () => {
    const schedule = aSchedule()
    expect(followReplaced(schedule, [occurrenceOf(schedule)], successorOf(schedule, t0), t0)).toBeUndefined()
  })
})

describe("verdictOn", () => {
  const task = claimed(aTask())
  const running = made(TaskLifecycle.start(task, me, task.token, t0))
  const why = { skipped: "overlap", range: undefined, note: undefined } as const

  it("says what has become of a mark", () => {
    const skipped = made(TaskLifecycle.skip(task, me, task.token, why, t0))
    const expired = made(TaskLifecycle.expire(task, me, task.token, t0))
    expect(verdictOn(running, "next", [])).toEqual({ _tag: "Started", task: running, next: "next" })
    expect(verdictOn(task, "next", [])).toEqual({ _tag: "Waits", task, next: "next" })
    expect(verdictOn(skipped, "next", [])).toEqual({ _tag: "Skipped", task: skipped, next: "next" })
    expect(verdictOn(expired, "next", [])).toEqual({ _tag: "Expired", task: expired, next: "next" })
    expect(
      [running, task, skipped, expired].map(({ status }) => begunKinds[status])
    ).toEqual(["started", undefined, "skipped", "failed"])
  })

  it("and what was cancelled for it", () => {
    const cancelled = [made(TaskLifecycle.cancel(aTask(), "overlap", t0))]
    expect(verdictOn(running, undefined, cancelled)).toEqual({
      _tag: "Started",
      task: running,
      next: undefined,
      cancelled
    })
  })
})

describe("asStored", () => {
  it("is claimed by its writer, if it becomes claimable soon enough", () => {
    const task = aTask({ dueAt: t0 + 100 })
    expect(asStored({ task, claimUntil: t0 + 100 }, me)).toEqual(TaskLifecycle.claim(task, me))
    expect(asStored({ task, claimUntil: t0 + 99 }, me)).toBe(task)
    expect(asStored({ task, claimUntil: Infinity }, undefined)).toBe(task)
    // Its schedule is paused.
    expect(asStored({ task: { ...task, claimableAt: farthest }, claimUntil: t0 + 100 }, me).owner).toBeUndefined()
  })
})

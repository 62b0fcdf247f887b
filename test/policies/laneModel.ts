/**
 * A store of one schedule, as small as can be: it does with start marks and ends what every store does, by the same pure
 * functions, and remembers who has waited and who was started.
 */
import type { InstanceId } from "../../src/domain/Ids.ts"
import type { Pause } from "../../src/domain/Pause.ts"
import type { LiveTask, ScheduledTask, SkippedTask, Task } from "../../src/domain/Task.ts"
import { isByRule, isExpired, isFinished, isLive, laneOf } from "../../src/domain/Task.ts"
import * as TaskLifecycle from "../../src/domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../../src/domain/TaskSchedule.ts"
import { instantAfter, pausedUntil } from "../../src/domain/TaskSchedule.ts"
import type { EpochMillis } from "../../src/domain/Time.ts"
import type { Passed } from "../../src/policies/catchUp.ts"
import { missedOf, planFrom } from "../../src/policies/catchUp.ts"
import { pauseSchedule, resumeSchedule } from "../../src/policies/changes.ts"
import type { Begun, Followed } from "../../src/policies/occurrences.ts"
import { begin, follow, followReplaced, overlapOf } from "../../src/policies/occurrences.ts"
import type { Others } from "../../src/policies/overlap.ts"
import type { ScheduleChange, ScheduleFound } from "../../src/ports/TaskRepository.ts"
import { anEnd, occurrenceOf, toFailed, toRetry, toSucceeded } from "../support/builders.ts"

/** What an instance has claimed, and the schedule as it was then: what it plans by, if it does not look again. */
export interface Held {
  readonly id: Task["id"]
  readonly token: number
  readonly schedule: TaskSchedule
  readonly claimedAt: EpochMillis
}

/** What has become of a start mark. */
export interface Marked {
  readonly successor: Successor | undefined
  readonly before: ScheduledTask
  readonly others: Others
  readonly schedule: TaskSchedule
  readonly begun: Begun | undefined
}

const hasBegun = ({ attempts }: Task): boolean => attempts.length > 0

const isEarlier = (one: Task, other: Task): boolean =>
  one.nominalAt < other.nominalAt || (one.nominalAt === other.nominalAt && one.id < other.id)

export class LaneModel {
  readonly tasks = new Map<Task["id"], Task>()
  /** Those that were told to wait for others, and that have neither begun nor ended since. */
  readonly waiting = new Set<Task["id"]>()
  /** Every occurrence that was stored by the rule, and records of those that never were. */
  readonly stored: Array<ScheduledTask> = []
  readonly passed: Array<SkippedTask> = []
  /** All that there have been, the latest as it is now. */
  readonly pauses: Array<Pause> = []
  schedule: TaskSchedule
  private readonly me: InstanceId

  constructor(schedule: TaskSchedule, me: InstanceId) {
    this.schedule = schedule
    this.me = me
    this.store(occurrenceOf(schedule))
  }

  get live(): ReadonlyArray<LiveTask> {
    return [...this.tasks.values()].filter(isLive)
  }

  /** Begun and not ended, their waits for a retry included. */
  get underWay(): ReadonlyArray<LiveTask> {
    return this.live.filter(hasBegun)
  }

  /** What somebody may pick up. */
  claimable(now: EpochMillis): ReadonlyArray<ScheduledTask> {
    const isFree = (task: Task): task is ScheduledTask =>
      task.status === "Scheduled" && task.owner === undefined && task.claimableAt <= now
    return this.live.filter(isFree)
  }

  private store(task: ScheduledTask): void {
    this.tasks.set(task.id, task)
    if (isByRule(task)) this.stored.push(task)
  }

  insert(task: ScheduledTask): void {
    this.store(task)
  }

  claim(task: ScheduledTask, claimedAt: EpochMillis): Held {
    const claimed = TaskLifecycle.claim(task, this.me) as ScheduledTask
    this.tasks.set(task.id, claimed)
    return { id: task.id, token: claimed.token, schedule: this.schedule, claimedAt }
  }

  /** Gives a claimed Task back, whose mark was refused. */
  release(id: Task["id"], now: EpochMillis): void {
    const task = this.tasks.get(id)
    const released = task && TaskLifecycle.release(task, task.token, now)
    if (released !== undefined) this.tasks.set(id, released)
  }

  /**
   * What the holder of a Task plans at the instant of its mark: one that is too late is over by it, and one that was asked
   * for by hand may end a run that has to be followed.
   */
  private planned(task: ScheduledTask, held: TaskSchedule, now: EpochMillis): Successor | undefined {
    const isTooLate = isExpired(task, now)
    if (!isByRule(task) && (isTooLate || held.recurrence._tag !== "Spaced")) return undefined
    if (isTooLate) return successorOf(this.schedule, task, "over", now)
    return hasBegun(task) ? undefined : successorOf(held, task, "start", now)
  }

  mark({ id, schedule: held, token }: Held, now: EpochMillis): Marked | undefined {
    const before = this.tasks.get(id)
    if (before?.status !== "Scheduled") return undefined
    const { schedule } = this
    const others = this.othersOf(before, now)
    const successor = this.planned(before, held, now)
    const begun = begin(before, { schedule, others }, this.me, { token, successor }, now)
    if (begun === undefined) return { successor, before, others, schedule, begun }
    const { followed, replaces, task } = begun
    const replaced = replaces ? this.underWay.filter((other) => other.id !== id && laneOf(other) === laneOf(task)) : []
    this.tasks.set(id, task)
    const isWaiting = task.status === "Scheduled" && (!isByRule(task) || pausedUntil(schedule, now) === undefined)
    if (isWaiting) this.waiting.add(id)
    else if (task.status !== "Scheduled") this.waiting.delete(id)
    this.follow(followed)
    for (const other of replaced) this.tasks.set(other.id, TaskLifecycle.cancel(other, "overlap", now) ?? other)
    this.follow(followReplaced(this.schedule, replaced, successor, now))
    if (isFinished(task)) this.freeNext(now)
    return { successor, before, others, schedule, begun }
  }

  private othersOf(task: Task, now: EpochMillis): Others {
    const isOther = (other: Task) => other.id !== task.id && laneOf(other) === laneOf(task)
    const isPaused = (other: Task) => isByRule(other) && pausedUntil(this.schedule, now) !== undefined
    const isBefore = (other: Task) => !hasBegun(other) && isEarlier(other, task) && !isPaused(other)
    const others = this.live.filter(isOther)
    const buffers = overlapOf(task, this.schedule).policy.startsWith("buffer")
    return {
      underWay: others.filter(hasBegun).length,
      before: buffers ? others.filter(isBefore).length : 0
    }
  }

  private follow(followed: Followed | undefined): void {
    if (followed === undefined) return
    this.schedule = followed.schedule
    this.passed.push(...followed.passed)
    if (followed.next !== undefined) this.store(followed.next.task)
  }

  /** The first that waits is looked at now. */
  private freeNext(now: EpochMillis): void {
    const [first] = [...this.waiting].map((id) => this.tasks.get(id) as Task).sort((one, other) =>
      isEarlier(one, other) ? -1 : 1
    )
    if (first?.status === "Scheduled" && first.owner === undefined) {
      this.tasks.set(first.id, { ...first, claimableAt: Math.max(now, first.dueAt) })
    }
  }

  end(task: Task, how: "succeed" | "fail" | "retry", now: EpochMillis): void {
    const to = how === "succeed" ? toSucceeded() : how === "fail" ? toFailed() : toRetry(now + 15)
    const end = anEnd(how === "succeed" ? "succeeded" : "failed", now)
    const settled = TaskLifecycle.settle(task, this.me, { id: task.id, token: task.token, end, to })
    if (settled === undefined) return
    this.over(settled, now, this.schedule.recurrence._tag === "Spaced")
  }

  cancel(task: Task, now: EpochMillis): void {
    const cancelled = TaskLifecycle.cancel(task, "task", now)
    if (cancelled !== undefined) this.over(cancelled, now, true)
  }

  private over(task: Task, now: EpochMillis, isFollowed: boolean): void {
    this.tasks.set(task.id, task)
    if (!isFinished(task)) return
    this.waiting.delete(task.id)
    const successor = isFollowed && isByRule(task) ? successorOf(this.schedule, task, "over", now) : undefined
    this.follow(follow(this.schedule, task, successor, now))
    this.freeNext(now)
  }

  pause(until: EpochMillis | undefined, now: EpochMillis): void {
    this.change((found) => pauseSchedule(found, { since: now, ...(until === undefined ? {} : { until }) }))
  }

  resume(now: EpochMillis): void {
    this.change((found) => resumeSchedule(found, now))
  }

  private change(change: (found: ScheduleFound) => ScheduleChange<unknown>): void {
    const isWaiting = (task: Task): task is ScheduledTask =>
      task.status === "Scheduled" && !hasBegun(task) && isByRule(task)
    const waiting = this.live.filter(isWaiting).sort((one, other) => one.nominalAt - other.nominalAt)
    const { schedule, tasks = [] } = change({ schedule: this.schedule, waiting })
    for (const task of tasks) this.tasks.set(task.id, task)
    if (schedule?.pause === undefined) return
    this.schedule = schedule
    // One that is gone on with is still the same.
    if (this.pauses.at(-1)?.since === schedule.pause.since) this.pauses.pop()
    this.pauses.push(schedule.pause)
  }

  /** Another rule, the same as it was: what was planned under the old one is void. */
  edit(): void {
    this.schedule = { ...this.schedule, revision: this.schedule.revision + 1 }
  }
}

const successorOf = (
  schedule: TaskSchedule,
  { nominalAt }: Task,
  moment: "start" | "over",
  now: EpochMillis
): Successor => {
  const { recurrence, revision } = schedule
  const fromItself = planFrom(schedule, nominalAt, now)
  const isPassedOver = moment === "start" && fromItself.next !== nominalAt
  const after = recurrence._tag === "Spaced"
    ? { passed: [], next: instantAfter(recurrence, Math.max(now, nominalAt)) }
    : planFrom(schedule, instantAfter(recurrence, nominalAt), now)
  const { next, passed } = isPassedOver ? fromItself : after
  const [own] = isPassedOver ? passed : []
  return {
    task: next === undefined ? undefined : occurrenceOf(schedule, next),
    skip: own && skipOf(own),
    passed: passed.filter((each) => each !== own).map((each) => recordOf(schedule, each, now)),
    missed: missedOf(passed),
    revision,
    claimUntil: Infinity
  }
}

const skipOf = ({ count, last, note, reason }: Passed): TaskLifecycle.Skip => ({
  skipped: reason,
  range: count === 1 ? undefined : { count, last },
  note
})

const recordOf = (schedule: TaskSchedule, passed: Passed, now: EpochMillis): SkippedTask => ({
  ...occurrenceOf(schedule, passed.first),
  status: "Skipped",
  finishedAt: now,
  ...skipOf(passed)
})

/**
 * Which occurrence of a schedule is the next to be stored, and which are passed over, because their instants have gone
 * by: pure. Bounded work, however many those are.
 */
import { mostMadeUp, windowOf } from "../domain/CatchUp.ts"
import { describePause, inForce } from "../domain/Pause.ts"
import type { AnchoredRule } from "../domain/Recurrence.ts"
import { countBetween, dueAtOf, latestUpTo, nextAfter } from "../domain/Recurrence.ts"
import type { SkipReason } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { instantAfter } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"

/** Occurrences, one after the other, that do not run for one reason. */
export interface Passed {
  readonly reason: Exclude<SkipReason, "overlap">
  /** Nominal instants of the first and the last of them. */
  readonly first: EpochMillis
  readonly last: EpochMillis
  readonly count: number
  readonly note: string | undefined
}

export interface Planned {
  /** In order of time. */
  readonly passed: ReadonlyArray<Passed>
  /** Nominal instant of the next occurrence; `undefined` when the rule names no further one. */
  readonly next: EpochMillis | undefined
}

/** What a plan goes by. */
export type PlannedBy = Pick<TaskSchedule, "id" | "recurrence" | "catchUp" | "pause">

const range = (
  rule: AnchoredRule,
  reason: Passed["reason"],
  first: EpochMillis,
  before: EpochMillis,
  note?: string
): ReadonlyArray<Passed> =>
  first >= before ? [] : [{
    reason,
    first,
    last: latestUpTo(rule, first, before - 1),
    count: countBetween(rule, first - 1, before - 1),
    note
  }]

/** The first from an occurrence on that is due at an instant or after it. */
const firstDueFrom = (
  rule: AnchoredRule,
  id: TaskSchedule["id"],
  from: EpochMillis,
  oldest: EpochMillis
): EpochMillis | undefined => {
  if (from >= oldest) return from
  if (rule.jitter !== undefined) {
    // All are due before the next one's nominal instant: of those named before, only the last may be.
    const before = latestUpTo(rule, from, oldest - 1)
    if (dueAtOf(rule, id, before) >= oldest) return before
  }
  return nextAfter(rule, oldest - 1)
}

/** Of the occurrences from one on and up to an instant, the latest `most` are made up for, if they are not too late. */
const caughtUp = (
  rule: AnchoredRule,
  { catchUp, id }: PlannedBy,
  from: EpochMillis | undefined,
  upTo: EpochMillis,
  now: EpochMillis,
  most: number
): Planned => {
  if (from === undefined || from > upTo) return { passed: [], next: from }
  const after = upTo + 1
  const isTooMany = countBetween(rule, from - 1, upTo) > most
  const fewEnough = !isTooMany ? from : most === 0 ? after : latestUpTo(rule, from, upTo, most)
  const inTime = Math.min(after, firstDueFrom(rule, id, from, now - windowOf(catchUp)) ?? after)
  const kept = Math.max(fewEnough, inTime)
  const next = kept < after ? kept : nextAfter(rule, upTo)
  if (catchUp.policy === "skip") return { passed: range(rule, "catchUp", from, kept), next }
  return {
    passed: [
      // What is too late is so by the window, also where fewer would have been made up for anyway.
      ...range(rule, "window", from, inTime),
      ...range(rule, catchUp.policy === "all" ? "cap" : "catchUp", inTime, kept)
    ],
    next
  }
}

/**
 * From an occurrence on: what is to run next, and what does not run any more.
 *
 * @param from nominal instant of an occurrence; `undefined`: the rule names no further one
 * @param now epoch milliseconds
 *
 * @example
 * // Every 10 ms, the latest of what was missed:
 * planFrom(schedule, 20, 65) // { passed: [{ reason: "catchUp", first: 20, last: 50, count: 4 }], next: 60 }
 */
export const planFrom = (schedule: PlannedBy, from: EpochMillis | undefined, now: EpochMillis): Planned => {
  const { pause, recurrence } = schedule
  // Of a `spaced` schedule one is missed at the most, and made up for: the next is reckoned from its end.
  if (from === undefined || recurrence._tag === "Spaced") return { passed: [], next: from }
  const most = mostMadeUp(schedule.catchUp)
  const until = inForce(pause, now) === undefined ? pause?.until : undefined
  if (pause === undefined || until === undefined) return caughtUp(recurrence, schedule, from, now, now, most)
  const first = nextAfter(recurrence, Math.max(from, pause.since) - 1)
  // Nothing fell into it.
  if (first === undefined || first >= until) return caughtUp(recurrence, schedule, from, now, now, most)
  // What was missed before the pause comes first, and has the room that what was missed after it leaves.
  const room = Math.max(0, most - countBetween(recurrence, until - 1, now))
  const before = caughtUp(recurrence, schedule, from, pause.since - 1, now, room)
  if (before.next !== first) return before
  const after = caughtUp(recurrence, schedule, nextAfter(recurrence, until - 1), now, now, most)
  const paused = range(recurrence, "paused", first, until, describePause(pause))
  return { passed: [...before.passed, ...paused, ...after.passed], next: after.next }
}

/**
 * After an occurrence that is over, whether or not it has run: what is to run next, and what does not run any more.
 *
 * @param now epoch milliseconds; of a `spaced` schedule, when its run has ended
 */
export const planAfter = (schedule: PlannedBy, nominalAt: EpochMillis, now: EpochMillis): Planned => {
  const { pause, recurrence } = schedule
  // One that is over before it was due has no end to go by, and its successor comes an interval after it.
  if (recurrence._tag === "Spaced") return { passed: [], next: instantAfter(recurrence, Math.max(now, nominalAt)) }
  const following = instantAfter(recurrence, nominalAt)
  // What falls into a pause is told of once that is over.
  return inForce(pause, now) === undefined ? planFrom(schedule, following, now) : { passed: [], next: following }
}

/** How many of what is passed over were missed: nobody could start them, and nobody had said that they must not. */
export const missedOf = (passed: ReadonlyArray<Passed>): number =>
  passed.reduce((sum, { count, reason }) => reason === "paused" ? sum : sum + count, 0)

/** When a trigger will fire, before it does. */
import { Clock, Effect, Either } from "effect"
import type { DstEffect } from "../domain/DstEffects.ts"
import { effectOn, leftOutBetween } from "../domain/DstEffects.ts"
import { InvalidInput } from "../domain/Errors.ts"
import type { Recurrence } from "../domain/Recurrence.ts"
import { zonedOf } from "../domain/Recurrence.ts"
import { instantAfter } from "../domain/TaskSchedule.ts"
import type { EpochMillis, InstantInput } from "../domain/Time.ts"
import { farthest, parseInstant, shown } from "../domain/Time.ts"
import type { RecurringTrigger, TimingOptions, Trigger } from "../domain/Trigger.ts"
import { dueAt, parseTiming, planRecurrence } from "../domain/Trigger.ts"
import { shownWall, wallAt } from "../domain/WallPattern.ts"

/** An instant at which a trigger fires. */
export interface Occurrence {
  readonly _tag: "Occurrence"
  readonly at: EpochMillis
  /** What clocks in the trigger's zone show then: `"2027-03-28T03:00:00"`. */
  readonly local: string
  /** What a change of clocks has to do with it. */
  readonly dst: DstEffect | undefined
}

/** A time that the trigger names and at which it does not fire, because of a change of clocks. */
export interface LeftOutOccurrence {
  readonly _tag: "LeftOut"
  /** The instant of the change, or of the second pass. */
  readonly at: EpochMillis
  readonly local: string
  /** `gap`: clocks do not show this time; `second-pass`: they show it a second time, and once is enough. */
  readonly dst: "gap" | "second-pass"
}

/** As of `repeat`; `after` instead of now. */
export interface PreviewOptions extends Omit<TimingOptions, "jitter"> {
  readonly after?: InstantInput | undefined
}

/** Occurrences that one call answers at the most. */
const most = 1_000

const second = 1_000

const localOf = (rule: Recurrence, at: EpochMillis): string =>
  shownWall("timeZone" in rule ? wallAt(zonedOf(rule).zone, Math.floor(at / second)) : Math.floor(at / second))

/** @returns an occurrence of a rule, as people see it */
export const occurrenceOf = (rule: Recurrence, at: EpochMillis): Occurrence => ({
  _tag: "Occurrence",
  at,
  local: localOf(rule, at),
  dst: "timeZone" in rule ? effectOn(zonedOf(rule), Math.floor(at / second)) : undefined
})

/** Occurrences of a rule from one on, as if each run took no time. */
export function* occurrencesFrom(rule: Recurrence, first: EpochMillis): Generator<EpochMillis> {
  for (let at: EpochMillis | undefined = first; at !== undefined; at = instantAfter(rule, at)) yield at
}

const isRecurring = (trigger: Trigger): trigger is RecurringTrigger =>
  trigger._tag !== "Now" && trigger._tag !== "At" && trigger._tag !== "After"

interface Planned {
  /** Absent: it fires once. */
  readonly rule: Recurrence | undefined
  readonly first: EpochMillis
  /** What lies before is not its own. */
  readonly start: EpochMillis
}

const planOf = (trigger: Trigger, options: PreviewOptions, now: EpochMillis): Either.Either<Planned, InvalidInput> =>
  Either.gen(function*() {
    const after = options.after === undefined ? now : yield* parseInstant(options.after, "after")
    if (!isRecurring(trigger)) {
      const first = yield* dueAt(trigger, after)
      return { rule: undefined, first, start: first }
    }
    const timing = yield* parseTiming(options)
    const { first, recurrence } = yield* planRecurrence(trigger, timing, after, 1)
    return { rule: recurrence, first, start: timing.startAt ?? after + timing.delay }
  })

const utcOccurrence = (at: EpochMillis): Occurrence => ({
  _tag: "Occurrence",
  at,
  local: shownWall(Math.floor(at / second)),
  dst: undefined
})

const parseCount = (count: unknown): Either.Either<number, InvalidInput> =>
  Number.isInteger(count) && (count as number) >= 1 && (count as number) <= most
    ? Either.right(count as number)
    : Either.left(
      new InvalidInput({
        reason: "QueryInvalid",
        field: "count",
        message: `count: expected a whole number from 1 to ${most}, got ${shown(count)}`
      })
    )

/**
 * The next instants at which a trigger fires, as if it were scheduled now and each run took no time.
 *
 * @param count 1 to 1,000
 * @returns fewer than `count` where the trigger fires no more; fails as `repeat` would
 *
 * @example
 * yield* Trigger.next(Trigger.cron("30 2 * * *", { timeZone: "Europe/Stockholm" }), 3)
 */
export const next = (
  trigger: Trigger,
  count = 1,
  options: PreviewOptions = {}
): Effect.Effect<ReadonlyArray<Occurrence>, InvalidInput> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) =>
      Either.flatMap(parseCount(count), (count) =>
        Either.map(planOf(trigger, options, now), ({ first, rule }) => {
          if (rule === undefined) return [utcOccurrence(first)]
          const found: Array<Occurrence> = []
          for (const at of occurrencesFrom(rule, first)) {
            found.push(occurrenceOf(rule, at))
            if (found.length >= count) break
          }
          return found
        }))
  )

/** Milliseconds: 100 years, over which the clocks of a zone are looked at. */
const longestRange = 100 * 366 * 86_400_000

const parseRange = (
  from: InstantInput,
  to: InstantInput
): Either.Either<readonly [EpochMillis, EpochMillis], InvalidInput> =>
  Either.filterOrLeft(
    Either.all([parseInstant(from, "from"), parseInstant(to, "to")]),
    ([from, to]) => to - from <= longestRange,
    () =>
      new InvalidInput({ reason: "QueryInvalid", field: "to", message: "to: expected at most 100 years after from" })
  )

/**
 * All instants from one (included) to another (not included) at which a trigger fires, and the times that it names and that
 * a change of clocks takes away, in order; at most 1,000.
 *
 * @returns fails as `repeat` would
 *
 * @example
 * yield* Trigger.between(Trigger.cron("30 2 * * *", { timeZone: "Europe/Stockholm", gap: "skip" }),
 *   "2027-03-27T00:00:00Z", "2027-03-30T00:00:00Z")
 */
export const between = (
  trigger: Trigger,
  from: InstantInput,
  to: InstantInput,
  options: Omit<PreviewOptions, "after"> = {}
): Effect.Effect<ReadonlyArray<Occurrence | LeftOutOccurrence>, InvalidInput> =>
  Either.flatMap(
    parseRange(from, to),
    ([from, to]) =>
      Either.map(planOf(trigger, { ...options, after: from - 1 }, from), ({ first, rule, start }) => {
        if (rule === undefined) return first >= from && first < to ? [utcOccurrence(first)] : []
        const found: Array<Occurrence | LeftOutOccurrence> = []
        for (const at of occurrencesFrom(rule, first)) {
          if (at >= to || found.length >= most) break
          if (at >= from) found.push(occurrenceOf(rule, at))
        }
        if ("timeZone" in rule) {
          const leftOut = leftOutBetween(
            zonedOf(rule),
            Math.floor((Math.max(from, start) - 1) / second),
            Math.ceil(Math.min(to, (rule.until ?? farthest) + 1) / second) - 1,
            most
          )
          for (const { at, wall, why } of leftOut) {
            found.push({ _tag: "LeftOut", at: at * second, local: shownWall(wall), dst: why })
          }
        }
        return found.sort((one, other) => one.at - other.at || (one.local < other.local ? -1 : 1)).slice(0, most)
      })
  )

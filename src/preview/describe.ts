/** A trigger in a sentence, for people. */
import { toString as cronSentence } from "cronstrue"
import { Either } from "effect"
import type { InvalidInput } from "../domain/Errors.ts"
import type { Recurrence } from "../domain/Recurrence.ts"
import type { Millis } from "../domain/Time.ts"
import { durationText, inLargestUnit, iso, parseDuration } from "../domain/Time.ts"
import type { Trigger } from "../domain/Trigger.ts"
import { dueAt, planRecurrence } from "../domain/Trigger.ts"
import { shownWall } from "../domain/WallPattern.ts"

const counted = (count: number, unit: string): string => count === 1 ? unit : `${count} ${unit}s`

const durationSentence = (millis: Millis): string => {
  const { count, unit } = inLargestUnit(millis)
  return counted(count, unit === "milli" ? "millisecond" : unit)
}

const missing = { clamp: "its last day where that is missing", skip: "not where that day is missing" } as const

const ruleSentence = (rule: Recurrence): string => {
  switch (rule._tag) {
    case "Spaced":
      return `Every ${durationSentence(rule.interval)}, from the end of each run`
    case "Fixed":
      return `Every ${durationSentence(rule.interval)}`
    case "Cron": {
      const sentence = cronSentence(rule.expression.trim(), {
        use24HourTimeFormat: true,
        verbose: true,
        dayOfWeekStartIndexZero: rule.syntax === "unix"
      })
      return `${sentence} (${rule.timeZone})`
    }
    case "Calendar": {
      const from = shownWall(rule.from)
      const isMonthly = rule.unit === "month" || rule.unit === "year"
      const day = isMonthly && Number(from.slice(8, 10)) > 28 ? `, ${missing[rule.missingDay]}` : ""
      return `Every ${counted(rule.every, rule.unit)} from ${from.replace("T", " ")} on${day} (${rule.timeZone})`
    }
  }
}

const noTiming = { delay: 0, startAt: undefined, endAt: undefined, jitter: undefined }

/** A stored rule in a sentence. */
export const describeRule = (rule: Recurrence): string =>
  ruleSentence(rule) + (rule.until === undefined ? "" : `, until ${iso(rule.until)}`) +
  (rule.jitter === undefined ? "" : `, up to ${durationText(rule.jitter)} later`)

/**
 * A trigger in a sentence.
 *
 * @returns the sentence, or `InvalidInput` as `schedule` or `repeat` would fail with it
 *
 * @example
 * Trigger.describe(Trigger.cron("30 2 * * MON-FRI")) // "At 02:30, Monday through Friday (UTC)"
 */
export const describe = (trigger: Trigger): Either.Either<string, InvalidInput> => {
  switch (trigger._tag) {
    case "Now":
      return Either.right("As soon as possible")
    case "After":
      return Either.map(parseDuration(trigger.delay, "trigger.after"), (delay) => `Once, in ${durationSentence(delay)}`)
    case "At":
      return Either.map(dueAt(trigger, 0), (at) => `Once, at ${iso(at)}`)
    default:
      return Either.map(planRecurrence(trigger, noTiming, 0, 1), ({ recurrence }) => describeRule(recurrence))
  }
}

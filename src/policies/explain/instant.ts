/** What is told of an instant of a schedule. Pure. */
import { leftOutBetween } from "../../domain/DstEffects.ts"
import type { Pause } from "../../domain/Pause.ts"
import { inForce } from "../../domain/Pause.ts"
import type { AnchoredRule } from "../../domain/Recurrence.ts"
import { countBetween, dueAtOf, isRunnable, latestUpTo, nextAfter, zonedOf } from "../../domain/Recurrence.ts"
import type { SkippedTask, Task } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import { longestDuration, shown } from "../../domain/Time.ts"
import { shownWall } from "../../domain/WallPattern.ts"
import type { Passed } from "../catchUp.ts"
import { planFrom } from "../catchUp.ts"
import { explainSkippedOne, skipRules } from "./ended.ts"
import type { Explanation, ExplanationRule, InstantSituation } from "./Explanation.ts"
import { counted, factsOf, instantText, occurrenceText, pauseText, spanText } from "./words.ts"

/** A schedule of an anchored rule. */
type Anchored = TaskSchedule & { readonly recurrence: AnchoredRule }

const isAnchored = (schedule: TaskSchedule): schedule is Anchored => schedule.recurrence._tag !== "Spaced"

type Facts = Readonly<Record<string, string | number | undefined>>

const told = (
  state: Explanation["state"],
  rule: ExplanationRule,
  sentence: string,
  facts: Facts,
  nextAt?: EpochMillis
): Explanation => ({ state, rule, sentence, taskId: undefined, nextAt, facts: factsOf(facts) })

const none = (rule: ExplanationRule, sentence: string, facts: Facts): Explanation => told("none", rule, sentence, facts)

const names = (rule: AnchoredRule, instant: EpochMillis): boolean => nextAfter(rule, instant - 1) === instant

/** The latest occurrence up to an instant since the schedule was made. */
const before = ({ createdAt, recurrence }: Anchored, instant: EpochMillis): EpochMillis | undefined => {
  const first = nextAfter(recurrence, createdAt - 1)
  return first === undefined || first > instant ? undefined : latestUpTo(recurrence, first, instant)
}

/** How far from the instant a change of clocks is looked for: it is asked for by what clocks show, on the right day. */
const nearby: Millis = 86_400_000

const second = 1_000

/** A time near an instant that the rule names and a change of clocks takes away: what was probably meant. */
const leftOutNear = (rule: AnchoredRule, instant: EpochMillis, from: EpochMillis, to: EpochMillis): string => {
  if (!("timeZone" in rule)) return ""
  const [leftOut] = leftOutBetween(
    zonedOf(rule),
    Math.floor(Math.max(from, instant - nearby) / second),
    Math.floor(Math.min(to, instant + nearby) / second),
    1
  )
  if (leftOut === undefined) return ""
  const why = leftOut.why === "gap" ? "do not show" : "show a second time, which does not count,"
  return ` Clocks in ${rule.timeZone} ${why} ${shownWall(leftOut.wall)}, which the rule names.`
}

const notNamed = (schedule: Anchored, instant: EpochMillis): Explanation => {
  const { cursor, id, name, recurrence, status } = schedule
  const [earlier, following] = [before(schedule, instant), nextAfter(recurrence, instant)]
  // What would follow the end of a schedule does not.
  const later = following !== undefined && (status === "Active" || following <= cursor) ? following : undefined
  // By its jitter it may have started when it is asked for.
  const earlierDueAt = earlier === undefined ? undefined : dueAtOf(recurrence, id, earlier)
  const around = [
    earlier === undefined
      ? "It names none before that since the schedule was made"
      : `The one before is at ${instantText(earlier)}${
        earlierDueAt === undefined || earlierDueAt === earlier ? "" : ` and due at ${instantText(earlierDueAt)}`
      }`,
    later === undefined ? "there is none after it" : `the one after is at ${instantText(later)}`
  ].join(", and ")
  const leftOut = leftOutNear(recurrence, instant, earlier ?? instant - nearby, following ?? instant + nearby)
  return none("notNamed", `The rule of ${shown(name)} does not name ${instantText(instant)}. ${around}.${leftOut}`, {
    before: earlier,
    beforeDueAt: earlierDueAt,
    after: later
  })
}

/** Whether a record of skipped occurrences stands for that of an instant too. */
const covers = (latest: Task | undefined, instant: EpochMillis): latest is SkippedTask =>
  latest?.status === "Skipped" && latest.range !== undefined && latest.nominalAt <= instant &&
  instant <= latest.range.last

const forgotten = ({ name }: TaskSchedule, instant: EpochMillis, latest: Task | undefined): Explanation =>
  none(
    "forgotten",
    `There is no record of the occurrence of ${shown(name)} at ${
      instantText(instant)
    }: it has been removed since by retention, ` +
      `or the schedule had another rule, or had not begun, at that time.` +
      (latest === undefined ? "" : ` The latest record before that is of ${instantText(latest.nominalAt)}.`),
    { before: latest?.nominalAt }
  )

/** Why nothing more comes of a schedule that is over. */
const over = (schedule: TaskSchedule, instant: EpochMillis): Explanation => {
  const { cursor, maxRuns, name, runs, status } = schedule
  const [rule, why] = status === "Cancelled"
    ? ["scheduleCancelled", "it has been cancelled"] as const
    : maxRuns !== undefined && runs >= maxRuns
    ? ["maxRuns", `it has started all of its ${counted(maxRuns, "run")}`] as const
    : ["scheduleCompleted", "its rule has named no further occurrence"] as const
  return none(
    rule,
    `Schedule ${shown(name)} has no occurrence at ${instantText(instant)}: ${why}. Its last was that of ${
      instantText(cursor)
    }.`,
    { cursor, runs, maxRuns }
  )
}

const willSkip: Readonly<Record<Passed["reason"], string>> = {
  paused: "its schedule was paused then",
  catchUp: "a later one runs in its place, or it is too late to be made up for",
  window: "it is later than its schedule allows",
  cap: "more occurrences have been missed than its schedule makes up for"
}

/** Its instant has passed, and the schedule has not come to it: nobody could start the one before, or that one waits. */
const overdue = (schedule: Anchored, instant: EpochMillis, now: EpochMillis): Explanation => {
  const { catchUp, cursor, name } = schedule
  const reason = planFrom(schedule, cursor, now).passed
    .find(({ first, last }) => first <= instant && instant <= last)?.reason
  const so = reason === undefined
    ? "As things stand, it is made up for."
    : `As things stand, it will be recorded as skipped, because ${willSkip[reason]}.`
  return told(
    "waiting",
    reason === undefined ? "catchUp" : skipRules[reason],
    `${occurrenceText(name, instant)} has not been reached: its schedule is still at ${instantText(cursor)}. ${so}`,
    { cursor, catchUp: catchUp.policy, reason, latenessMs: now - instant }
  )
}

/** The schedule is paused at the instant, if nobody ends that before. */
const duringPause = (schedule: Anchored, pause: Pause, instant: EpochMillis, now: EpochMillis): Explanation => {
  const { catchUp, name } = schedule
  const { by, note, since, until } = pause
  // What was missed before the pause began does not fall into it.
  const then = instant >= since
    ? "it is recorded as skipped when the pause ends"
    : `the schedule's rule for missed occurrences (${catchUp.policy}) decides when the pause ends whether it still starts`
  return told(
    instant <= now ? "waiting" : "planned",
    "paused",
    `${occurrenceText(name, instant)} does not start: its schedule ${pauseText(pause)}. ` +
      `If nothing changes, ${then}.`,
    { pauseSince: since, pauseUntil: until, pauseBy: by, pauseNote: note }
  )
}

const reached = (schedule: Anchored, instant: EpochMillis, now: EpochMillis): Explanation => {
  const { id, name, recurrence } = schedule
  const pause = inForce(schedule.pause, Math.max(now, instant))
  if (pause !== undefined) return duringPause(schedule, pause, instant, now)
  if (instant <= now) return overdue(schedule, instant, now)
  const dueAt = dueAtOf(recurrence, id, instant)
  const sentence = `${occurrenceText(name, instant)} is planned: it starts at ${instantText(dueAt)}, in ${
    spanText(dueAt - now)
  }.`
  return told("planned", "notDue", sentence, { dueAt }, dueAt)
}

/** Whether the runs that are left go to occurrences before that of an instant, if none of them is skipped. */
const isBeyondRuns = ({ cursor, maxRuns, recurrence, runs }: Anchored, instant: EpochMillis): boolean => {
  if (maxRuns === undefined) return false
  // Counting takes longer the more years there are. That at the cursor is the next to be started, and not counted yet.
  const upTo = Math.min(instant, cursor + longestDuration)
  return countBetween(recurrence, cursor, upTo) + 1 > maxRuns - runs
}

/** An instant that the rule names, at which the schedule is, or to which it has not come. */
const ahead = (schedule: Anchored, instant: EpochMillis, now: EpochMillis): Explanation => {
  const { cursor, maxRuns = Infinity, name, runs, status } = schedule
  if (status !== "Active") return over(schedule, instant)
  return isBeyondRuns(schedule, instant)
    ? none(
      "maxRuns",
      `Schedule ${shown(name)} has no occurrence at ${instantText(instant)}: ${runs} of its ${
        counted(maxRuns, "run")
      } have been ` +
        "started, and those before that take the others, unless some are skipped.",
      { cursor, runs, maxRuns }
    )
    : reached(schedule, instant, now)
}

/** A rule whose instants follow from the ends of runs names none ahead of them. */
const ofSpaced = (
  schedule: TaskSchedule,
  interval: Millis,
  instant: EpochMillis,
  latest: Task | undefined
): Explanation => {
  const { cursor, name, status } = schedule
  if (instant > cursor && status !== "Active") return over(schedule, instant)
  const where = instant < cursor
    ? latest === undefined
      ? `There is no record of one before, and the latest is that of ${instantText(cursor)}`
      : `The one before is that of ${instantText(latest.nominalAt)}, and the latest is that of ${instantText(cursor)}`
    : `The latest is that of ${instantText(cursor)}`
  return none(
    "notNamed",
    `${shown(name)} has no occurrence at ${instantText(instant)} that is known of: each follows ${
      spanText(interval)
    } after the ` +
      `end of the run before. ${where}.`,
    { intervalMs: interval, before: latest?.nominalAt, cursor }
  )
}

/**
 * Why a schedule did, or did not, run at an instant.
 *
 * @returns what is told of the occurrence's own Task, where that is there; otherwise what the schedule's rule and the
 * records around it tell
 *
 * @example
 * explainInstant(schedule, Date.UTC(2027, 0, 15, 8), { now, latest, taskExplanation: (task) => explainTask(task, about) })
 */
export const explainInstant = (
  schedule: TaskSchedule,
  instant: EpochMillis,
  about: InstantSituation
): Explanation => {
  const { latest, now } = about
  const { createdAt, cursor, name, recurrence, status } = schedule
  if (latest?.nominalAt === instant) return about.taskExplanation(latest)
  if (instant < createdAt) {
    return none(
      "beforeCreation",
      `Schedule ${shown(name)} did not exist yet at ${instantText(instant)}: it was made at ${instantText(createdAt)}.`,
      { createdAt }
    )
  }
  if (recurrence.until !== undefined && instant > recurrence.until) {
    return none(
      "afterEnd",
      `Schedule ${shown(name)} has no occurrence at ${instantText(instant)}: it ends at ${
        instantText(recurrence.until)
      }.`,
      { until: recurrence.until }
    )
  }
  if (!isAnchored(schedule)) return ofSpaced(schedule, (recurrence as { interval: Millis }).interval, instant, latest)
  // Edited by hand: nothing can be said of its instants.
  if (!isRunnable(recurrence)) {
    return none("unreadableRule", `The rule of ${shown(name)} is one that this version cannot read.`, {})
  }
  if (!names(schedule.recurrence, instant)) return notNamed(schedule, instant)
  if (covers(latest, instant)) return explainSkippedOne(latest, occurrenceText(name, instant))
  return instant > cursor || (instant === cursor && status === "Active")
    ? ahead(schedule, instant, now)
    : forgotten(schedule, instant, latest)
}

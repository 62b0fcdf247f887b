/** What a schedule's rule and state tell of what is to come. Pure. */
import type { Pause } from "../../domain/Pause.ts"
import { inForce } from "../../domain/Pause.ts"
import { dueAtOf, nextAfter } from "../../domain/Recurrence.ts"
import { isByRule } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import { hasRunsLeft, instantAfter } from "../../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import { iso, shown } from "../../domain/Time.ts"
import { planFrom } from "../catchUp.ts"
import { counted, pauseText, spanText } from "../explain/words.ts"
import { automatic } from "../failures.ts"
import type { Look } from "./ScheduleHealth.ts"
import { finding } from "./ScheduleHealth.ts"

/** A leap year's cron is the rarest that people mean; one that is further away than a year is worth a second look. */
const farAhead: Millis = 365 * 86_400_000

/** Longer than a takeover from a dead instance, or a breaker's longest opening, takes. */
const overdueAfter: Millis = 60_000

const scheduleText = ({ name }: TaskSchedule): string => `Schedule ${shown(name)}`

const nothingMore = (schedule: TaskSchedule): string | undefined => {
  if (schedule.status === "Cancelled") return "it has been cancelled"
  if (!hasRunsLeft(schedule)) return `it has started all of its ${counted(schedule.runs, "run")}`
  return schedule.status === "Completed" ? "its rule names no further occurrence" : undefined
}

export const neverFiresAgain: Look = (schedule) => {
  const { cursor, maxRuns, recurrence, runs, status } = schedule
  const why = nothingMore(schedule)
  if (why !== undefined) {
    return finding("neverFiresAgain", "warning", `${scheduleText(schedule)} never fires again: ${why}.`, {
      status,
      runs,
      maxRuns
    })
  }
  return instantAfter(recurrence, cursor) !== undefined ? undefined : finding(
    "neverFiresAgain",
    "warning",
    `${scheduleText(schedule)} never fires again after ${iso(cursor)}: its rule names no further occurrence.`,
    { status, lastAt: cursor }
  )
}

export const firesFarAhead: Look = (schedule, { now }) => {
  const { cursor, status } = schedule
  return status !== "Active" || cursor - now <= farAhead ? undefined : finding(
    "firesFarAhead",
    "warning",
    `${scheduleText(schedule)} fires next only in ${spanText(cursor - now)}, at ${iso(cursor)}.`,
    { nextAt: cursor }
  )
}

const pauseOf = ({ pause, status }: TaskSchedule, now: EpochMillis) =>
  status === "Active" ? inForce(pause, now) : undefined

export const paused: Look = (schedule, { now }) => {
  const pause = pauseOf(schedule, now)
  return pause && finding(
    "paused",
    pause.by === automatic ? "error" : "warning",
    `${scheduleText(schedule)} ${pauseText(pause)}.`,
    { pauseSince: pause.since, pauseUntil: pause.until, pauseBy: pause.by, pauseNote: pause.note }
  )
}

export const overdue: Look = (schedule, { now, recent }) => {
  const { cursor, id, recurrence, status } = schedule
  if (status !== "Active" || pauseOf(schedule, now) !== undefined) return undefined
  const overdueMs = now - dueAtOf(recurrence, id, cursor)
  // That of a `spaced` schedule stays at the cursor while it runs.
  const hasBegun = recurrence._tag === "Spaced" &&
    recent.some((task) => isByRule(task) && task.nominalAt === cursor)
  return hasBegun || overdueMs <= overdueAfter ? undefined : finding(
    "overdue",
    "error",
    `The next occurrence of ${shown(schedule.name)} has been due for ${spanText(overdueMs)}, since ${
      iso(now - overdueMs)
    }, and has not begun.`,
    { overdueMs, nominalAt: cursor }
  )
}

/** When a schedule that is paused goes on: with what follows the pause, or with what it had missed before that. */
const startAfterPause = (
  { cursor, id, recurrence }: TaskSchedule,
  { since, until }: Pause
): EpochMillis | undefined => {
  if (until === undefined) return undefined
  if (recurrence._tag === "Spaced" || cursor < since) return Math.max(until, dueAtOf(recurrence, id, cursor))
  const next = nextAfter(recurrence, until - 1)
  return next === undefined ? undefined : dueAtOf(recurrence, id, next)
}

/** When the next occurrence starts; `undefined`: never, or that cannot be told. */
export const nextStart = (schedule: TaskSchedule, now: EpochMillis): EpochMillis | undefined => {
  const { cursor, id, recurrence, status } = schedule
  if (status !== "Active" || !hasRunsLeft(schedule)) return undefined
  const pause = inForce(schedule.pause, Math.max(now, cursor))
  if (pause !== undefined) return startAfterPause(schedule, pause)
  // While a `spaced` one runs, what follows depends on its end.
  if (recurrence._tag === "Spaced" && cursor <= now) return undefined
  const { next } = planFrom(schedule, cursor, now)
  return next === undefined ? undefined : Math.max(now, dueAtOf(recurrence, id, next))
}

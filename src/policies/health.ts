/** Whether a schedule does what somebody wanted of it, judged by its rule and its recent occurrences. Pure. */
import { lambdaRuntimes, runtimeWarning } from "../domain/LambdaRuntime.ts"
import { isRunnable } from "../domain/Recurrence.ts"
import { isByRule } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { shown } from "../domain/Time.ts"
import { firesFarAhead, neverFiresAgain, nextStart, overdue, paused } from "./health/ahead.ts"
import { failing, late, latenessP99, overruns, skips } from "./health/runs.ts"
import type { HealthSituation, Look, ScheduleHealth } from "./health/ScheduleHealth.ts"
import { finding } from "./health/ScheduleHealth.ts"

export type { HealthCode, HealthFinding, HealthSituation, ScheduleHealth } from "./health/ScheduleHealth.ts"

/** Enough for percentiles, and little enough that what was repaired last week is soon forgotten. */
const mostLookedAt = 100

const runtimeBlocked: Look = (_, { now, runtime }) => {
  const warning = runtime === undefined ? undefined : runtimeWarning(runtime, now)
  if (runtime === undefined || warning === undefined) return undefined
  const { createBlocked } = lambdaRuntimes.find(({ name }) => name === runtime) ?? {}
  // From then on a function that has to be made again cannot be.
  const isBlocked = createBlocked !== undefined && now >= Date.parse(createBlocked)
  return finding("runtimeBlocked", isBlocked ? "error" : "warning", warning, { runtime })
}

/** Edited by hand, or written by a later version. */
const unreadable = ({ name }: TaskSchedule) =>
  finding("unreadableRule", "error", `The rule of ${shown(name)} is one that this version cannot read.`, {})

const looks: ReadonlyArray<Look> = [
  neverFiresAgain,
  firesFarAhead,
  paused,
  overdue,
  failing,
  overruns,
  skips,
  late,
  runtimeBlocked
]

/**
 * How a schedule fares. What was asked for by hand, or made by a backfill, says nothing of it.
 *
 * @example
 * scheduleHealth(schedule, { now, recent, runtime: "nodejs24.x" }).findings.map(({ sentence }) => sentence)
 */
export const scheduleHealth = (schedule: TaskSchedule, about: HealthSituation): ScheduleHealth => {
  const recent = about.recent.slice(0, mostLookedAt).filter(isByRule)
  const isReadable = isRunnable(schedule.recurrence)
  const findings = isReadable
    ? looks.flatMap((look) => look(schedule, { ...about, recent }) ?? [])
    : [unreadable(schedule)]
  return {
    healthy: findings.every(({ severity }) => severity !== "error"),
    findings: findings.toSorted((one, other) => Number(other.severity === "error") - Number(one.severity === "error")),
    nextAt: isReadable ? nextStart(schedule, about.now) : undefined,
    latenessP99: latenessP99(schedule, recent),
    runs: recent.filter((task) => task.attempts.length > 0).length,
    failures: recent.filter((task) => task.status === "Failed").length
  }
}

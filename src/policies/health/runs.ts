/** What a schedule's recent occurrences tell. Pure. */
import type { OverlapPolicy } from "../../domain/Overlap.ts"
import { nextAfter } from "../../domain/Recurrence.ts"
import type { Task } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import { shown } from "../../domain/Time.ts"
import { counted, latenessOf, spanText } from "../explain/words.ts"
import type { Look } from "./ScheduleHealth.ts"
import { finding } from "./ScheduleHealth.ts"

/** One failure is chance, two are bad luck; of a schedule that pauses itself people are told halfway there. */
const failuresToTell = 3

/** A median of fewer is the chance of one run. */
const fewestForMedian = 3

/** With fewer runs the 99th percentile is only the worst of a handful. */
const fewestForPercentile = 10

/** What people who read "09:00" notice; the engine itself is late by milliseconds. */
const tolerableLateness: Millis = 1_000

/** One that is skipped now and then is what the policy is for. */
const skipsToTell = 3

const last = (task: Task): EpochMillis =>
  task.status === "Skipped" ? task.range?.last ?? task.nominalAt : task.nominalAt

/** How many of the latest that ended by themselves have failed; no further back than records follow each other. */
const failuresInRow = ({ recurrence }: TaskSchedule, recent: ReadonlyArray<Task>): number => {
  let failures = 0
  let newer: Task | undefined
  for (const task of recent) {
    // Retention keeps failures longer than successes: what lies in a gap may have succeeded.
    const following = recurrence._tag === "Spaced" ? undefined : nextAfter(recurrence, last(task))
    if (newer !== undefined && following !== undefined && following < newer.nominalAt) return failures
    if (task.status === "Succeeded") return failures
    if (task.status === "Failed") failures++
    newer = task
  }
  return failures
}

export const failing: Look = (schedule, { recent }) => {
  const { pauseAfterFailures } = schedule
  // The schedule's own count is exact; it is kept where it decides.
  const failures = pauseAfterFailures === undefined ? failuresInRow(schedule, recent) : schedule.failures
  const isWorthTelling = failures >= failuresToTell ||
    (pauseAfterFailures !== undefined && failures * 2 >= pauseAfterFailures)
  if (!isWorthTelling) return undefined
  const latest = recent.find((task) => task.status === "Failed")
  const reason = latest?.status === "Failed" ? latest.failure.reason : undefined
  return finding(
    "failuresInARow",
    "error",
    `The latest ${counted(failures, "occurrence")} of ${shown(schedule.name)} failed` +
      (reason === undefined ? "" : `, the last with ${reason}`) +
      (pauseAfterFailures === undefined ? "." : `; it pauses itself after ${pauseAfterFailures}.`),
    { failures, pauseAfterFailures, reason }
  )
}

/** @param values not empty, in order */
const percentile = (values: ReadonlyArray<number>, part: number): number =>
  values[Math.max(0, Math.ceil(values.length * part) - 1)] as number

const inOrder = (values: ReadonlyArray<number>): ReadonlyArray<number> => values.toSorted((one, other) => one - other)

const whatOverrunsDo: Readonly<Record<OverlapPolicy, string>> = {
  skip: "occurrences that are due meanwhile are skipped",
  bufferOne: "one occurrence waits meanwhile, and the others are skipped",
  bufferAll: "occurrences that are due meanwhile wait, later and later",
  cancelOther: "the next occurrence cancels what still runs",
  allowAll: "runs overlap"
}

export const overruns: Look = (schedule, { recent }) => {
  const { overlap, recurrence } = schedule
  if (recurrence._tag === "Spaced") return undefined
  const measured = recent.flatMap((task) => {
    const begun = task.attempts[0]
    const following = nextAfter(recurrence, task.nominalAt)
    return task.status !== "Succeeded" || begun === undefined || following === undefined
      ? []
      : [{ duration: task.finishedAt - begun.startedAt, distance: following - task.nominalAt }]
  })
  if (measured.length < fewestForMedian) return undefined
  const medianOf = (values: ReadonlyArray<number>) => percentile(inOrder(values), 0.5)
  const durationMs = medianOf(measured.map(({ duration }) => duration))
  const distanceMs = medianOf(measured.map(({ distance }) => distance))
  return durationMs <= distanceMs ? undefined : finding(
    "overrunsInterval",
    "warning",
    `Half of the last ${counted(measured.length, "successful run")} of ${shown(schedule.name)} took ${
      spanText(durationMs)
    } or more, and the next occurrence comes after ${spanText(distanceMs)}: ${whatOverrunsDo[overlap.policy]}.`,
    { durationMs, distanceMs, runs: measured.length, overlap: overlap.policy }
  )
}

export const skips: Look = (schedule, { recent }) => {
  const skipped = recent.filter((task) => task.status === "Skipped" && task.skipped === "overlap").length
  return skipped < skipsToTell ? undefined : finding(
    "skipsOverlaps",
    "warning",
    `${skipped} of the last ${counted(recent.length, "occurrence")} of ${
      shown(schedule.name)
    } were skipped, because another one was under way.`,
    { skipped, of: recent.length, overlap: schedule.overlap.policy }
  )
}

/** `undefined`: there were too few runs to tell. */
export const latenessP99 = (schedule: TaskSchedule, recent: ReadonlyArray<Task>): Millis | undefined => {
  const latenesses = recent.flatMap((task) => latenessOf(task, schedule) ?? [])
  return latenesses.length < fewestForPercentile ? undefined : percentile(inOrder(latenesses), 0.99)
}

export const late: Look = (schedule, { recent }) => {
  const latenessMs = latenessP99(schedule, recent)
  return latenessMs === undefined || latenessMs <= tolerableLateness ? undefined : finding(
    "late",
    "warning",
    `Recent runs of ${shown(schedule.name)} start late: the 99th percentile of their lateness is ${
      spanText(latenessMs)
    }.`,
    { latenessMs }
  )
}

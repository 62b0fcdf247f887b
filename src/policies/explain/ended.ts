/** What is told of Tasks that have ended. Pure. */
import type {
  CancelCause,
  CancelledTask,
  FailedTask,
  FinishedTask,
  SkippedTask,
  SkipReason,
  SucceededTask
} from "../../domain/Task.ts"
import { spentAttempts } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { Explanation, ExplanationRule } from "./Explanation.ts"
import {
  attemptFacts,
  attemptText,
  counted,
  factsOf,
  instantText,
  latenessOf,
  lateText,
  reasonText,
  spanText,
  subjectOf
} from "./words.ts"

/** What runs from its first start to its end, its waits for other attempts included. */
const runFacts = (task: SucceededTask | FailedTask, schedule: TaskSchedule | undefined) => {
  const startedAt = task.attempts[0]?.startedAt
  return {
    ...attemptFacts(task),
    startedAt,
    finishedAt: task.finishedAt,
    latenessMs: latenessOf(task, schedule),
    durationMs: startedAt === undefined ? undefined : Math.max(0, task.finishedAt - startedAt)
  }
}

const whenItRan = ({ durationMs = 0, latenessMs = 0, startedAt }: ReturnType<typeof runFacts>): string =>
  startedAt === undefined
    ? ""
    : ` It first started at ${instantText(startedAt)}, ${lateText(latenessMs)}, and ended ${
      spanText(durationMs)
    } later.`

const explainSucceeded = (task: SucceededTask, schedule: TaskSchedule | undefined): Explanation => {
  const facts = runFacts(task, schedule)
  return {
    state: "succeeded",
    rule: "ran",
    sentence: `${subjectOf(task)} ran and succeeded in ${attemptText(task)}.${whenItRan(facts)}`,
    taskId: task.id,
    nextAt: undefined,
    facts: factsOf(facts)
  }
}

const failureRule = (task: FailedTask): ExplanationRule => {
  if (task.failure.reason === "Expired") return "expired"
  return spentAttempts(task) >= task.retry.maxAttempts ? "attemptsSpent" : "notRetried"
}

const whyFailed = (task: FailedTask, rule: ExplanationRule): string => {
  const last = task.attempts.at(-1)?.ended?.error
  const why = reasonText(task.failure.reason)
  if (rule === "attemptsSpent") return `in its last attempt, ${attemptText(task)}, because ${why}.`
  if (rule === "notRetried") return `after ${attemptText(task)} and is not tried again, because ${why}.`
  return task.attempts.length === 0
    ? "without having started: its deadline had passed (Expired)."
    : `after ${attemptText(task)}: no time was left for another one (Expired).` +
      (last === undefined ? "" : ` The last one came to nothing: ${reasonText(last.reason)}.`)
}

const explainFailed = (task: FailedTask, schedule: TaskSchedule | undefined): Explanation => {
  const facts = runFacts(task, schedule)
  const rule = failureRule(task)
  const deadLetter = task.redrivenAs === undefined
    ? "It is a dead letter, and nobody has redriven it."
    : `It is a dead letter, and task ${task.redrivenAs} repeats it.`
  return {
    state: "failed",
    rule,
    sentence: `${subjectOf(task)} failed at ${instantText(task.finishedAt)} ${whyFailed(task, rule)}${
      whenItRan(facts)
    } ${deadLetter}`,
    taskId: task.id,
    nextAt: undefined,
    facts: factsOf({
      ...facts,
      reason: task.failure.reason,
      lastReason: task.attempts.at(-1)?.ended?.error?.reason,
      deadlineMs: rule === "expired" ? task.retry.deadline : undefined,
      redrivenAs: task.redrivenAs
    })
  }
}

const causes: Readonly<Record<CancelCause, string>> = {
  task: "on its own",
  schedule: "with its schedule",
  function: "with all work of its function",
  name: "with all work of its name",
  backfill: "with its backfill",
  overlap: "for a later occurrence, which runs in its place"
}

const whileWhat = (task: CancelledTask): string => {
  const last = task.attempts.at(-1)
  if (last === undefined) return "before it had started"
  return last.ended === undefined || last.ended.error?.reason === "Cancelled"
    ? `while ${attemptText(task)} ran; the function itself may have run on`
    : `while it waited for another attempt after ${attemptText(task)}`
}

const explainCancelled = (task: CancelledTask, schedule: TaskSchedule | undefined): Explanation => ({
  state: "cancelled",
  rule: "cancelled",
  sentence: `${subjectOf(task)} was cancelled at ${instantText(task.finishedAt)} ${causes[task.cancelledBy]}, ${
    whileWhat(task)
  }.`,
  taskId: task.id,
  nextAt: undefined,
  facts: factsOf({
    ...attemptFacts(task),
    cancelledBy: task.cancelledBy,
    finishedAt: task.finishedAt,
    latenessMs: latenessOf(task, schedule)
  })
})

/** The rule of each reason to skip. */
export const skipRules: Readonly<Record<SkipReason, ExplanationRule>> = {
  overlap: "overlap",
  paused: "paused",
  catchUp: "catchUp",
  window: "window",
  cap: "catchUpMax"
}

const whySkipped: Readonly<Record<SkipReason, string>> = {
  overlap: "another occurrence of its schedule was under way, and it could not wait for its turn",
  paused: "its schedule was paused",
  catchUp:
    "its instant had passed before it could start, and a later one ran in its place or it was too late to be made up for",
  window: "it would have started later than its schedule allows",
  cap: "more occurrences had been missed than its schedule makes up for"
}

/** What a record of skipped occurrences tells of one of them, named by the subject. */
export const explainSkippedOne = (task: SkippedTask, subject: string): Explanation => {
  const { finishedAt, id, nominalAt, note, range, skipped } = task
  const others = range === undefined
    ? ""
    : ` Its record, task ${id}, stands for ${counted(range.count, "occurrence")}, from ${instantText(nominalAt)} to ${
      instantText(range.last)
    }.`
  return {
    state: "skipped",
    rule: skipRules[skipped],
    sentence: `${subject} was skipped, because ${whySkipped[skipped]}.${others}${
      note === undefined ? "" : ` Note: ${note}`
    }`,
    taskId: id,
    nextAt: undefined,
    facts: factsOf({
      reason: skipped,
      finishedAt,
      note,
      rangeCount: range?.count,
      rangeFirst: range && nominalAt,
      rangeLast: range?.last
    })
  }
}

/** Why a Task that has ended did so. */
export const explainEnded = (task: FinishedTask, schedule: TaskSchedule | undefined): Explanation => {
  switch (task.status) {
    case "Succeeded":
      return explainSucceeded(task, schedule)
    case "Failed":
      return explainFailed(task, schedule)
    case "Cancelled":
      return explainCancelled(task, schedule)
    case "Skipped":
      return explainSkippedOne(task, subjectOf(task))
  }
}

/** What is told of Tasks that have not ended. Pure. */
import type { RunningTask, ScheduledTask, Task } from "../../domain/Task.ts"
import { spentAttempts } from "../../domain/Task.ts"
import { isAtCursor } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Explanation, ExplanationRule, TaskSituation } from "./Explanation.ts"
import type { Hold, LookForHold } from "./holds.ts"
import { byBreaker, byCap, byOverlap, byPause, byThrottle } from "./holds.ts"
import {
  attemptFacts,
  attemptText,
  deadlineOf,
  factsOf,
  firstDueAt,
  inMidSentence,
  instantText,
  latenessOf,
  reasonText,
  spanText,
  subjectOf
} from "./words.ts"

interface Owner {
  readonly rule: "thisInstance" | "otherInstance" | "ownerLost"
  readonly name: string
}

const ownerOf = ({ owner }: Task, { instanceId, ownerIsAlive }: TaskSituation): Owner | undefined => {
  if (owner === undefined) return undefined
  const isThis = owner === instanceId
  const name = isThis ? "this instance" : `instance ${owner}`
  return { rule: ownerIsAlive === false ? "ownerLost" : isThis ? "thisInstance" : "otherInstance", name }
}

const whoRuns = (task: RunningTask, owner: Owner | undefined): string => {
  if (owner === undefined) return ""
  if (owner.rule !== "ownerLost") return `, by ${owner.name}`
  const isLast = task.retry.onUnknown === "fail" || spentAttempts(task) >= task.retry.maxAttempts
  return `, by ${owner.name}, which has lost its lease: another instance takes the task over, ends the attempt as unknown ${
    isLast ? "and lets the task fail" : "and tries again"
  }`
}

const runDeadline = (deadlineAt: EpochMillis | undefined, now: EpochMillis): string =>
  deadlineAt === undefined
    ? ""
    : now < deadlineAt
    ? ` It is given up at its deadline, ${instantText(deadlineAt)}.`
    : ` Its deadline passed at ${instantText(deadlineAt)}, and it is being given up.`

export const explainRunning = (task: RunningTask, about: TaskSituation): Explanation => {
  const owner = ownerOf(task, about)
  const deadlineAt = deadlineOf(task)
  const startedAt = task.attempts.at(-1)?.startedAt
  const runningMs = startedAt === undefined ? undefined : Math.max(0, about.now - startedAt)
  const since = startedAt === undefined
    ? ""
    : `: ${attemptText(task)} has run since ${instantText(startedAt)}, for ${spanText(about.now - startedAt)}`
  return {
    state: "running",
    rule: owner?.rule ?? "otherInstance",
    sentence: `${subjectOf(task)} is running${since}${whoRuns(task, owner)}.${runDeadline(deadlineAt, about.now)}`,
    taskId: task.id,
    nextAt: undefined,
    facts: factsOf({
      ...attemptFacts(task),
      startedAt,
      runningMs,
      latenessMs: latenessOf(task, about.schedule),
      owner: task.owner,
      deadlineAt
    })
  }
}

const isBegun = (task: ScheduledTask): boolean => task.attempts.length > 0

/** What is to start next of it. */
const startOf = (task: ScheduledTask): string => {
  const subject = subjectOf(task)
  return isBegun(task) ? `The next attempt of ${inMidSentence(subject)}` : subject
}

/** Since when, or for when, it is due. */
const opening = (task: ScheduledTask, now: EpochMillis): string => {
  if (now < task.dueAt) return `${startOf(task)} is due at ${instantText(task.dueAt)}`
  const since = now === task.dueAt ? "" : `, for ${spanText(now - task.dueAt)}`
  return `${startOf(task)} has been due since ${instantText(task.dueAt)}${since}`
}

/** What a Task waits for, as it is told. */
interface Told extends Pick<Explanation, "nextAt" | "sentence"> {
  readonly rule: ExplanationRule
  readonly facts?: Hold["facts"]
}

type Look = (task: ScheduledTask, about: TaskSituation) => Told | undefined

const held = (look: LookForHold): Look => (task, about) => {
  const hold = look(task, about)
  if (hold === undefined) return undefined
  const doesNot = about.now < task.dueAt ? ", but will not start then" : ", and does not start"
  const sentence = `${opening(task, about.now)}${doesNot}: ${hold.because}.`
  return { ...hold, sentence: hold.after === "" ? sentence : `${sentence} ${hold.after}` }
}

const lastFailure = (task: ScheduledTask) => task.attempts.at(-1)?.ended?.error?.reason

/** What its schedule passes over is told as that, also past its deadline. */
const mayBePassedOver = (task: ScheduledTask, { schedule }: TaskSituation): boolean =>
  schedule !== undefined && !isBegun(task) && isAtCursor(schedule, task)

const expired: Look = (task, about) => {
  const deadlineAt = deadlineOf(task)
  return deadlineAt === undefined || about.now < deadlineAt ? undefined : {
    rule: "expired",
    sentence: `${startOf(task)} does not start any more: its deadline passed at ${instantText(deadlineAt)}. It ${
      mayBePassedOver(task, about) ? "fails, or is recorded as skipped," : "fails"
    } as soon as an instance looks at it.`,
    nextAt: undefined
  }
}

const notYet: Look = (task, { now }) => {
  if (now >= task.dueAt) return undefined
  const at = `${instantText(task.dueAt)}, in ${spanText(task.dueAt - now)}`
  const reason = lastFailure(task)
  return isBegun(task)
    ? {
      rule: "retry",
      sentence: `${subjectOf(task)} waits for another attempt: ${attemptText(task)} came to nothing` +
        `${reason === undefined ? "" : `, because ${reasonText(reason)}`}. The next one is due at ${at}.`,
      nextAt: task.dueAt
    }
    : { rule: "notDue", sentence: `${subjectOf(task)} is not due yet: it starts at ${at}.`, nextAt: task.dueAt }
}

const claimed: Look = (task, about) => {
  const owner = ownerOf(task, about)
  if (owner === undefined) return undefined
  const why = owner.rule === "ownerLost"
    ? "which has lost its lease: the claim is freed when the next instance looks for lost leases"
    : "which starts it as soon as it has room"
  return {
    rule: owner.rule,
    sentence: `${opening(task, about.now)}, and is claimed by ${owner.name}, ${why}.`,
    nextAt: undefined
  }
}

const deferred: Look = (task, { now }) =>
  task.claimableAt <= now ? undefined : {
    rule: "deferred",
    sentence: `${opening(task, now)}, and was put off until ${instantText(task.claimableAt)}. ` +
      "What held it back then no longer does: it is picked up then, or before.",
    nextAt: task.claimableAt
  }

const due = (task: ScheduledTask, { now }: TaskSituation): Told => ({
  rule: "due",
  sentence: `${opening(task, now)}, and no instance has claimed it yet. ` +
    "Instances claim what is due as soon as they have room: if this lasts, none is running, or none has room.",
  nextAt: undefined
})

/** In the order in which they hold a Task back. */
const looks: ReadonlyArray<Look> = [
  expired,
  ...[byPause, byBreaker, byCap, byThrottle, byOverlap].map(held),
  notYet,
  claimed,
  deferred
]

const firstOf = (task: ScheduledTask, about: TaskSituation): Told => {
  for (const look of looks) {
    const told = look(task, about)
    if (told !== undefined) return told
  }
  return due(task, about)
}

/** What is to start at or after its deadline does not start. */
const withDeadline = (task: ScheduledTask, told: Told): Told => {
  const deadlineAt = deadlineOf(task)
  if (deadlineAt === undefined || told.rule === "expired") return told
  return told.nextAt === undefined || told.nextAt < deadlineAt
    ? { ...told, sentence: `${told.sentence} Its deadline is ${instantText(deadlineAt)}.` }
    : {
      ...told,
      sentence: `${told.sentence} Its deadline, ${instantText(deadlineAt)}, comes first: it will fail without ${
        isBegun(task) ? "another attempt" : "having started"
      }.`,
      nextAt: undefined
    }
}

export const explainScheduled = (task: ScheduledTask, about: TaskSituation): Explanation => {
  const { now, schedule } = about
  const { facts, nextAt, rule, sentence } = withDeadline(task, firstOf(task, about))
  return {
    state: isBegun(task) || now >= task.dueAt || rule === "expired" ? "waiting" : "planned",
    rule,
    sentence,
    taskId: task.id,
    nextAt,
    facts: factsOf({
      ...attemptFacts(task),
      dueAt: task.dueAt,
      firstDueAt: firstDueAt(task, schedule),
      latenessMs: isBegun(task) ? latenessOf(task, schedule) : Math.max(0, now - task.dueAt),
      lastReason: lastFailure(task),
      owner: task.owner,
      deadlineAt: deadlineOf(task),
      ...facts
    })
  }
}

/** What may hold back a Task that could start otherwise. Pure. */
import type { Pause } from "../../domain/Pause.ts"
import { inForce } from "../../domain/Pause.ts"
import { isRunnable, nextAfter } from "../../domain/Recurrence.ts"
import type { ScheduledTask } from "../../domain/Task.ts"
import { isByRule } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import { isAtCursor } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { shown } from "../../domain/Time.ts"
import { ofAll } from "../caps.ts"
import { overlapOf } from "../occurrences.ts"
import { onOverlap } from "../overlap.ts"
import type { BreakerSituation, ExplanationRule, TaskSituation } from "./Explanation.ts"
import { codeOf, counted, instantText, pauseText, reasonText } from "./words.ts"

/** What holds a Task back. */
export interface Hold {
  readonly rule: ExplanationRule
  /** Completes "it does not start: ...". */
  readonly because: string
  /** What follows from it, in sentences of its own. */
  readonly after: string
  /** When it is tried next; absent: that cannot be told, or it never is. */
  readonly nextAt: EpochMillis | undefined
  readonly facts: Readonly<Record<string, string | number | undefined>>
}

/** @returns `undefined`: it holds nothing back */
export type LookForHold = (task: ScheduledTask, about: TaskSituation) => Hold | undefined

/** What holds only now says nothing of an instant that is still to come. */
const isDue = (task: ScheduledTask, { now }: TaskSituation): boolean => now >= task.dueAt

interface Pausing {
  readonly rule: ExplanationRule
  readonly whose: string
  readonly pause: Pause
}

/** The pauses that hold when it is to start. A later attempt, or what was asked for by hand, heeds none of its schedule. */
const pausings = (task: ScheduledTask, { now, pauses, schedule }: TaskSituation): ReadonlyArray<Pausing> => {
  const startsAt = Math.max(now, task.dueAt)
  const ofSchedule = isByRule(task) && task.attempts.length === 0 ? schedule?.pause : undefined
  const known = [
    ["paused", "its schedule", ofSchedule],
    ["functionPaused", `its function ${shown(task.function.name)}`, pauses.function],
    ["allPaused", "all functions", pauses.all]
  ] as const
  return known.flatMap(([rule, whose, known]) => {
    const pause = inForce(known, startsAt)
    return pause === undefined ? [] : [{ rule, whose, pause }]
  })
}

/** Whether what a pause of its schedule holds back is to be skipped when that is over. */
const isSkippedAfter = (task: ScheduledTask, schedule: TaskSchedule, pause: Pause): boolean =>
  schedule.recurrence._tag !== "Spaced" && isAtCursor(schedule, task) && task.nominalAt >= pause.since

const goesOnWith = ({ recurrence }: TaskSchedule, { until }: Pause): EpochMillis | undefined =>
  until === undefined || recurrence._tag === "Spaced" || !isRunnable(recurrence)
    ? undefined
    : nextAfter(recurrence, until - 1)

const afterPause = (task: ScheduledTask, { schedule }: TaskSituation, { pause, rule }: Pausing) => {
  if (rule === "paused" && schedule !== undefined && isSkippedAfter(task, schedule, pause)) {
    const goesOnAt = goesOnWith(schedule, pause)
    const goesOn = goesOnAt === undefined ? "" : `, and the schedule goes on with that at ${instantText(goesOnAt)}`
    return {
      skips: true,
      after: `If nothing changes, it is recorded as skipped when the pause ends${goesOn}.`,
      facts: { goesOnAt }
    }
  }
  const catchUp = schedule !== undefined && isAtCursor(schedule, task) && schedule.recurrence._tag !== "Spaced"
    ? schedule.catchUp.policy
    : undefined
  const after = catchUp === undefined
    ? "It starts when the pause ends."
    : `When the pause ends, the schedule's rule for missed occurrences (${catchUp}) decides whether it still starts.`
  return { skips: false, after, facts: { catchUp } }
}

export const byPause: LookForHold = (task, about) => {
  const [first, ...others] = pausings(task, about)
  if (first === undefined) return undefined
  const { after, facts, skips } = afterPause(task, about, first)
  const also = others.map(({ rule }) =>
    rule === "functionPaused" ? " Its function is paused as well." : " All functions are paused as well."
  ).join("")
  const { by, note, since, until } = first.pause
  const endsAt = Math.max(...[first, ...others].map(({ pause }) => pause.until ?? Infinity))
  return {
    rule: first.rule,
    because: `${first.whose} ${pauseText(first.pause, first.rule === "allPaused")}`,
    after: after + also,
    nextAt: skips || endsAt === Infinity ? undefined : endsAt,
    facts: { pauseSince: since, pauseUntil: until, pauseBy: by, pauseNote: note, ...facts }
  }
}

const breakerText = (functionName: string, { name, reason, state, until }: BreakerSituation, now: EpochMillis) => {
  const code = codeOf(reason)
  const why = code === undefined ? "" : `, because ${reasonText(code)}`
  const whose = name === ofAll ? "the way to Lambda" : shown(name ?? functionName)
  const what = state === "half-open"
    ? "; a few calls probe whether it works again, and others wait for them"
    : until !== undefined && until > now
    ? `; nothing is called before ${instantText(until)}`
    : "; it may be probed from now on"
  return { because: `the circuit breaker of ${whose} is ${state}${why}${what}`, code }
}

export const byBreaker: LookForHold = (task, about) => {
  const { breaker, now } = about
  if (breaker === undefined || breaker.state === "closed") return undefined
  const opensAt = breaker.state === "open" && breaker.until !== undefined && breaker.until > now
    ? breaker.until
    : undefined
  if (!isDue(task, about) && !(opensAt !== undefined && opensAt > task.dueAt)) return undefined
  const { because, code } = breakerText(task.function.name, breaker, now)
  return {
    rule: "breaker",
    because,
    after: "",
    nextAt: opensAt,
    facts: {
      breaker: breaker.state,
      breakerOf: breaker.name ?? task.function.name,
      breakerReason: code,
      breakerOpenedAt: breaker.openedAt,
      breakerUntil: breaker.until
    }
  }
}

export const byCap: LookForHold = (task, about) => {
  if (!isDue(task, about)) return undefined
  const full = [task.function.name, ofAll]
    .flatMap((name) => about.caps.filter((cap) => cap.name === name))
    .find(({ concurrency, running }) => running >= concurrency)
  if (full === undefined) return undefined
  const { concurrency, name, running } = full
  const whose = name === ofAll ? "all functions together" : shown(name)
  return {
    rule: "cap",
    because: concurrency < 1
      ? `the cap on ${whose} was set by a version that this one cannot read, and nothing starts under it here`
      : `${running} of ${whose} run, and the cap is ${concurrency} at once`,
    after: concurrency < 1 ? "" : "It starts when one of them ends.",
    nextAt: undefined,
    facts: { cap: name, limit: concurrency, runningNow: running }
  }
}

export const byThrottle: LookForHold = (task, about) => {
  const { instanceId, learned } = about
  const isElsewhere = task.owner !== undefined && task.owner !== instanceId
  const [limit, kind] = learned?.concurrency !== undefined
    ? [learned.concurrency, "concurrency"]
    : [learned?.rate, "rate"]
  // What one instance has learned does not hold back what another one has.
  if (limit === undefined || isElsewhere || !isDue(task, about)) return undefined
  const of = learned?.name ?? task.function.name
  const whose = of === ofAll ? "the account" : shown(of)
  return {
    rule: "throttled",
    because: `Lambda has throttled calls of ${whose}, so that this instance makes at most ${limit} ${
      kind === "rate" ? "a second" : "at once"
    }`,
    after: "It waits for its turn.",
    nextAt: undefined,
    facts: { throttledOf: of, limit, limitKind: kind }
  }
}

export const byOverlap: LookForHold = (task, about) => {
  const { now, othersUnderWay, schedule } = about
  if (task.attempts.length > 0 || othersUnderWay < 1 || !isDue(task, about)) return undefined
  const overlap = schedule === undefined ? task.overlap : overlapOf(task, schedule)
  const verdict = overlap && onOverlap(overlap, { underWay: othersUnderWay, before: 0 })
  if (overlap === undefined || (verdict !== "wait" && verdict !== "skip")) return undefined
  return {
    rule: "overlap",
    because: `${counted(othersUnderWay, "other occurrence")} of its schedule ${
      othersUnderWay === 1 ? "has" : "have"
    } begun and not ended`,
    after: verdict === "wait"
      ? `By its overlap policy (${overlap.policy}) it waits for its turn.`
      : `By its overlap policy (${overlap.policy}) it is recorded as skipped as soon as an instance looks at it.`,
    nextAt: verdict === "wait" && task.claimableAt > now ? task.claimableAt : undefined,
    facts: { overlap: overlap.policy, runningNow: othersUnderWay }
  }
}

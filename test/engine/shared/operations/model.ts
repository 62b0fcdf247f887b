/**
 * The reference: what is known of schedules from what was asked for, as plain records, and arithmetic on the instants that a
 * rule names. It knows nothing of stores, claims, start marks or plans.
 */
import type {
  BackfillId,
  CatchUpOption,
  EpochMillis,
  Millis,
  Overlap,
  OverlapOption,
  SkipReason,
  Task,
  TaskId,
  TaskSchedule,
  TaskScheduleId
} from "../../../../src/index.ts"
import { minute } from "./commands.ts"
import type { RuleSpec } from "./commands.ts"

/** Instants as far apart as each other, from one on; or runs that follow each other's ends. */
export type Rule =
  | { readonly _tag: "Grid"; readonly period: Millis; readonly offset: EpochMillis; readonly least: EpochMillis }
  | { readonly _tag: "Spaced"; readonly interval: Millis }
export type Grid = Extract<Rule, { readonly _tag: "Grid" }>

export const ruleOf = (spec: RuleSpec, now: EpochMillis): { readonly rule: Rule; readonly first: EpochMillis } => {
  if (spec._tag === "Spaced") return { rule: { _tag: "Spaced", interval: spec.interval }, first: now + spec.delay }
  if (spec._tag === "Cron") {
    const rule: Grid = { _tag: "Grid", period: spec.period, offset: spec.offset, least: -Infinity }
    return { rule, first: firstAfter(rule, now) }
  }
  const anchor = now + spec.begins
  const rule: Grid = { _tag: "Grid", period: spec.interval, offset: anchor, least: anchor }
  return { rule, first: spec.begins >= 0 ? anchor : firstAfter(rule, now) }
}

/** The number of an instant; whole if the rule names it. */
export const numberOf = ({ offset, period }: Grid, at: EpochMillis): number => (at - offset) / period
const numberUpTo = (grid: Grid, at: EpochMillis): number => Math.floor(numberOf(grid, at))
const instantOf = ({ offset, period }: Grid, number: number): EpochMillis => offset + number * period
export const isNamed = (grid: Grid, at: EpochMillis): boolean =>
  Number.isInteger(numberOf(grid, at)) && at >= grid.least
export const countIn = (grid: Grid, after: EpochMillis, upTo: EpochMillis): number =>
  Math.max(0, numberUpTo(grid, upTo) - numberUpTo(grid, after))
const firstAfter = (grid: Grid, at: EpochMillis): EpochMillis =>
  Math.max(grid.least, instantOf(grid, numberUpTo(grid, at) + 1))
export const instantsIn = (grid: Grid, from: EpochMillis, to: EpochMillis): ReadonlyArray<EpochMillis> => {
  const first = firstAfter(grid, from - 1)
  return Array.from(
    { length: first >= to ? 0 : countIn(grid, first - 1, to - 1) },
    (_, index) => first + index * grid.period
  )
}

/** From one instant on and up to another, which is not part of it; `Infinity`: nobody has ended it. */
export interface Span {
  readonly since: EpochMillis
  until: EpochMillis
}

const holds = (spans: ReadonlyArray<Span>, at: EpochMillis): Span | undefined =>
  spans.find(({ since, until }) => since <= at && at < until)
/** At the instant at which it begins something may have begun just before. */
const holdsSince = (spans: ReadonlyArray<Span>, at: EpochMillis): boolean =>
  spans.some(({ since, until }) => since < at && at < until)

/** What a rule names between two changes of it. */
export interface Era {
  readonly since: EpochMillis
  readonly rule: Rule
  readonly first: EpochMillis
  /** What follows it, up to its end, another rule has taken the place of: nothing tells of it. */
  upTo: EpochMillis
}

export interface ScheduleModel {
  /** 0, 1, ... in the order of making. */
  readonly number: number
  readonly id: TaskScheduleId
  readonly eras: Array<Era>
  fn: string
  overlap: OverlapOption
  catchUp: CatchUpOption
  maxRuns: number | undefined
  pauseAfter: number | undefined
  revision: number
  /** Of the payload. */
  version: number
  readonly pauses: Array<Span>
  /** Here two pauses followed each other before anything could tell of the first. */
  readonly blurred: Array<Span>
  failures: number
  /** The overlap policies that its lane has come across. */
  readonly policies: Set<string>
  /** Whether what its rule names may have waited for its turn, now or before an edit. */
  hasBuffered: boolean
  /** What waits for its turn goes by another policy by then. */
  looksAgainBy: EpochMillis
  ended: { readonly at: EpochMillis; readonly removed: boolean } | undefined
}

export interface ManualRun {
  readonly id: TaskId
  readonly number: number
  readonly schedule: ScheduleModel
  readonly payload: unknown
}

export interface BackfillModel {
  readonly id: BackfillId
  readonly number: number
  readonly schedule: ScheduleModel
  readonly instants: ReadonlyArray<EpochMillis>
  readonly concurrency: number
  readonly payload: unknown
  cancelledAt: EpochMillis | undefined
}

export class Model {
  readonly schedules: Array<ScheduleModel> = []
  readonly manual = new Map<TaskId, ManualRun>()
  readonly backfills: Array<BackfillModel> = []
  /** Tasks whose cancel has been answered. */
  readonly cancelled = new Map<TaskId, EpochMillis>()
  /** Pauses of functions; under the empty name of all. */
  readonly functionPauses = new Map<string, Array<Span>>()
  /** Until then an instance may not know yet that its lease is gone, or that another's is. */
  unsettledUntil: EpochMillis = -Infinity

  private spansOf(fn: string): ReadonlyArray<Span> {
    return [...this.functionPauses.get(fn) ?? [], ...this.functionPauses.get("") ?? []]
  }
  isFunctionPaused(fn: string, at: EpochMillis): boolean {
    return holds(this.spansOf(fn), at) !== undefined
  }
  mustNotCall(fn: string, at: EpochMillis): boolean {
    return holdsSince(this.spansOf(fn), at)
  }
  of(id: TaskScheduleId | undefined): ScheduleModel | undefined {
    return this.schedules.find((schedule) => schedule.id === id)
  }
}

export const eraOf = ({ eras }: ScheduleModel): Era => eras.at(-1) as Era
export const pauseAt = ({ pauses }: ScheduleModel, at: EpochMillis): Span | undefined => holds(pauses, at)
export const mustNotBegin = ({ pauses }: ScheduleModel, at: EpochMillis): boolean => holdsSince(pauses, at)

/** Begins a pause, or changes the one that holds. */
export const startPause = (spans: Array<Span>, at: EpochMillis, until: EpochMillis): void => {
  const before = holds(spans, at)
  if (before === undefined) spans.push({ since: at, until })
  else before.until = until
}
export const endPause = (spans: ReadonlyArray<Span>, at: EpochMillis): boolean => {
  const before = holds(spans, at)
  if (before !== undefined) before.until = at
  return before !== undefined
}

/** Of two pauses that follow each other before anything tells of the first, only the second is remembered. */
export const notePause = (
  schedule: ScheduleModel,
  since: EpochMillis,
  until: EpochMillis,
  stored: TaskSchedule | undefined
): void => {
  const before = schedule.pauses.at(-1)
  const isToldOf = before === undefined || stored === undefined || eraOf(schedule).rule._tag === "Spaced" ||
    stored.cursor >= before.until
  if (!isToldOf) schedule.blurred.push({ since: Math.min(stored.cursor, before.since), until: since })
  schedule.pauses.push({ since, until })
}

/**
 * What is to become of an instant that nobody could start before: it runs, or why it does not.
 *
 * @returns `undefined` where this cannot be told
 */
export const fateOf = (
  schedule: ScheduleModel,
  grid: Grid,
  at: EpochMillis,
  now: EpochMillis
): "runs" | SkipReason | undefined => {
  const { blurred, catchUp, pauses } = schedule
  if (blurred.some(({ since, until }) => since <= now && at < until)) return undefined
  const given = typeof catchUp === "string" ? { policy: catchUp } : catchUp
  const over = pauses.filter(({ until }) => until <= now)
  if (holds(over, at) !== undefined) return "paused"
  const window = given.window as Millis | undefined ?? (given.policy === "skip" ? minute : Infinity)
  if (now - at > window) return given.policy === "skip" ? "catchUp" : "window"
  const inPauses = over.reduce((sum, { since, until }) => sum + countIn(grid, Math.max(at, since - 1), until - 1), 0)
  const later = countIn(grid, at, now) - inPauses
  return later < (given.policy === "all" ? given.max ?? 100 : 1) ? "runs" : given.policy === "all" ? "cap" : "catchUp"
}

export const policyOf = (overlap: OverlapOption | Overlap): Overlap["policy"] =>
  typeof overlap === "string" ? overlap : overlap.policy

/** Other numbers of places make it another one. */
export const nameOfPolicy = (overlap: OverlapOption): string => `${policyOf(overlap)} ${placesOf(overlap)}`

/** How many may wait. */
export const placesOf = (overlap: OverlapOption | Overlap): number => {
  const policy = policyOf(overlap)
  if (policy === "bufferOne") return 1
  return policy === "bufferAll" ? (typeof overlap === "string" ? undefined : overlap.max) ?? 100 : 0
}

export const isByRule = ({ origin }: Pick<Task, "origin">): boolean => origin === "schedule"
/** What a Task shares its turn with. */
export const laneOf = ({ origin, scheduleId }: Pick<Task, "origin" | "scheduleId">): string =>
  `${scheduleId} ${origin?.startsWith("backfill:") === true ? origin : ""}`
export const beginOf = ({ attempts }: Task): EpochMillis => attempts[0]?.startedAt ?? Infinity
export const endOf = (task: Task): EpochMillis => "finishedAt" in task ? task.finishedAt : Infinity
export const isLive = ({ status }: Task): boolean => status === "Scheduled" || status === "Running"

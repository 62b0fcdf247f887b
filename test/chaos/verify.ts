/**
 * What must hold of every history, whatever was killed, frozen, cut or delayed meanwhile. Pure: a run is checked when it
 * is over and quiet.
 */
import { countBetween, nextAfter } from "../../src/domain/Recurrence.ts"
import { isSpent } from "../../src/domain/Task.ts"
import type { EndpointLine, History, TaskRow } from "./History.ts"

export interface Violation {
  /** Which promise was broken. */
  readonly rule: Rule
  readonly what: string
}

export type Rule =
  /** An acknowledged Task or TaskSchedule is in the store for ever. */
  | "lost"
  /** Nothing runs or is stored that nobody asked for, and nothing twice. */
  | "phantom"
  /** An attempt number is sent once. */
  | "sent twice"
  /** What arrives at a function has its start mark in the store. */
  | "unmarked"
  /** A function runs again only after an attempt that is recorded as failed or unknown. */
  | "ran again"
  /** An attempt begins when the one before it has ended, unless it is unknown how that one went. */
  | "overlap"
  /** The recorded outcome is what the endpoint answered. */
  | "wrong outcome"
  /** Nothing starts before it is due. */
  | "early"
  /** In the end everything that was due is over, and the dead own nothing. */
  | "stuck"
  /** Attempts are numbered 1, 2, ... */
  | "numbering"
  /** No more attempts are spent than allowed. */
  | "overspent"
  /** The occurrences of a schedule are those that its rule names, and none is missing. */
  | "occurrences"
  /** What an ended instance held is free again, and goes on, in time. */
  | "takeover"

/** An invocation as the endpoint saw it. */
interface Invocation {
  readonly attempt: number
  readonly arrivedAt: number
  /** `Infinity`: never answered. */
  readonly endedAt: number
  readonly verdict: EndpointLine["verdict"]
}

interface Seen {
  readonly history: History
  readonly rows: ReadonlyMap<string, TaskRow>
  readonly due: ReadonlyMap<string, number | null>
  /** By Task, in order of arrival. */
  readonly invocations: ReadonlyMap<string, ReadonlyArray<Invocation>>
}

/** The endpoint and the engine are on one machine, whose clock is read in whole milliseconds. */
const clockTolerance = 1

const readInvocations = (endpoint: ReadonlyArray<EndpointLine>): ReadonlyMap<string, ReadonlyArray<Invocation>> => {
  const answers = new Map<string, EndpointLine>()
  const perTask = new Map<string, Array<Invocation>>()
  for (const line of endpoint) if (line.kind === "answer") answers.set(`${line.taskId} ${line.attempt}`, line)
  for (const { attempt, kind, t, taskId } of endpoint) {
    if (kind !== "arrival") continue
    const answer = answers.get(`${taskId} ${attempt}`)
    const invocations = perTask.get(taskId) ?? []
    invocations.push({ attempt, arrivedAt: t, endedAt: answer?.t ?? Infinity, verdict: answer?.verdict })
    perTask.set(taskId, invocations)
  }
  return perTask
}

/** One after another, as long as there are no two with one number. */
const inOrder = (invocations: ReadonlyArray<Invocation>) =>
  invocations.toSorted((left, right) => left.attempt - right.attempt)

const describe = (row: TaskRow): string => `Task ${row.id} (${row.name}, ${row.status})`

const outcomeOf = (row: TaskRow, attempt: number) => row.attempts.find(({ number }) => number === attempt)?.outcome

type Check = (seen: Seen) => Iterable<Violation>

const lost: Check = function*({ history, rows }) {
  const schedules = new Set(history.schedules.map(({ id }) => id))
  for (const { ask, id } of history.acknowledged) {
    if (!rows.has(id) && !schedules.has(id)) {
      yield { rule: "lost", what: `${id} was acknowledged for ${ask} and is not in the store` }
    }
  }
}

const phantom: Check = function*({ due, history, invocations, rows }) {
  const schedules = new Set(history.schedules.map(({ id }) => id))
  const taken = new Map<string, string>()
  const takes = (key: string, id: string): Violation | undefined => {
    const other = taken.get(key)
    taken.set(key, id)
    return other === undefined ? undefined : { rule: "phantom", what: `${id} and ${other} are both stored for ${key}` }
  }
  for (const { id, name } of history.schedules) {
    if (!due.has(name)) yield { rule: "phantom", what: `TaskSchedule ${id} (${name}) was not asked for` }
    const twice = takes(name, id)
    if (twice !== undefined) yield twice
  }
  for (const row of rows.values()) {
    if (row.scheduleId === null) {
      if (!due.has(row.name)) yield { rule: "phantom", what: `${describe(row)} was not asked for` }
    } else if (!schedules.has(row.scheduleId)) {
      yield {
        rule: "phantom",
        what: `${describe(row)} is an occurrence of ${row.scheduleId}, which is not in the store`
      }
    }
    const twice = takes(row.scheduleId === null ? row.name : `${row.scheduleId} at ${row.nominalAt}`, row.id)
    if (twice !== undefined) yield twice
  }
  for (const id of invocations.keys()) {
    if (!rows.has(id)) yield { rule: "phantom", what: `${id} was invoked and is not in the store` }
  }
}

const sentTwice: Check = function*({ invocations }) {
  for (const [id, sent] of invocations) {
    const counts = new Map<number, number>()
    for (const { attempt } of sent) counts.set(attempt, (counts.get(attempt) ?? 0) + 1)
    for (const [attempt, count] of counts) {
      if (count > 1) yield { rule: "sent twice", what: `Attempt ${attempt} of ${id} arrived ${count} times` }
    }
  }
}

const unmarked: Check = function*({ invocations, rows }) {
  for (const [id, sent] of invocations) {
    const row = rows.get(id)
    if (row === undefined) continue
    for (const { attempt } of sent) {
      if (outcomeOf(row, attempt) === undefined) {
        yield { rule: "unmarked", what: `Attempt ${attempt} of ${describe(row)} arrived and is not recorded` }
      }
    }
  }
}

const ranAgain: Check = function*({ invocations, rows }) {
  for (const row of rows.values()) {
    const sent = invocations.get(row.id)?.length ?? 0
    const excused = row.attempts.filter(({ outcome }) =>
      outcome === "unknown" || outcome === "failed" || outcome === "throttled" || outcome === "notReady"
    ).length
    if (sent > 1 + excused) {
      yield { rule: "ran again", what: `${describe(row)} ran ${sent} times with ${excused} failed or unknown attempts` }
    }
    const succeeded = row.attempts.findIndex(({ outcome }) =>
      outcome === "succeeded"
    )
    if (succeeded >= 0 && succeeded < row.attempts.length - 1) {
      yield { rule: "ran again", what: `${describe(row)} has attempts after the one that succeeded` }
    }
  }
}

const overlap: Check = function*({ invocations, rows }) {
  const perSchedule = new Map<string, Array<Invocation & { readonly row: TaskRow }>>()
  for (const [id, sent] of invocations) {
    const row = rows.get(id)
    if (row === undefined) continue
    const ordered = inOrder(sent)
    for (const [index, { attempt, endedAt }] of ordered.entries()) {
      const next = ordered[index + 1]
      if (next !== undefined && next.arrivedAt < endedAt && outcomeOf(row, attempt) !== "unknown") {
        yield { rule: "overlap", what: `Attempt ${next.attempt} of ${describe(row)} arrived while ${attempt} ran` }
      }
    }
    if (row.scheduleId === null) continue
    const occurrences = perSchedule.get(row.scheduleId) ?? []
    occurrences.push(...sent.map((invocation) => ({ ...invocation, row })))
    perSchedule.set(row.scheduleId, occurrences)
  }
  for (const [id, sent] of perSchedule) {
    let running: (Invocation & { readonly row: TaskRow }) | undefined
    for (const next of sent.toSorted((left, right) => left.arrivedAt - right.arrivedAt)) {
      if (
        running !== undefined && running.row.id !== next.row.id && next.arrivedAt < running.endedAt &&
        outcomeOf(running.row, running.attempt) !== "unknown"
      ) {
        yield {
          rule: "overlap",
          what: `Occurrence ${next.row.id} of ${id} arrived while occurrence ${running.row.id} ran`
        }
      }
      if (running === undefined || next.endedAt >= running.endedAt) running = next
    }
  }
}

const wrongOutcome: Check = function*({ invocations, rows }) {
  const expected = { succeeded: "success", failed: "error", throttled: "throttle" } as const
  for (const row of rows.values()) {
    const sent = invocations.get(row.id) ?? []
    for (const { number, outcome } of row.attempts) {
      const seen = sent.find(({ attempt }) => attempt === number)
      const told = `Attempt ${number} of ${describe(row)} is recorded as ${outcome}`
      if (outcome === "succeeded" || outcome === "failed" || outcome === "throttled") {
        if (seen?.verdict !== expected[outcome]) {
          const answer = seen === undefined ? "never arrived" : `was answered with ${seen.verdict ?? "nothing"}`
          yield { rule: "wrong outcome", what: `${told}, but ${answer}` }
        }
      } else if (outcome === "notSent" && seen !== undefined) {
        yield { rule: "wrong outcome", what: `${told}, but arrived` }
      }
    }
    if ((row.status === "Succeeded") !== row.attempts.some(({ outcome }) => outcome === "succeeded")) {
      yield {
        rule: "wrong outcome",
        what: `${describe(row)} has the outcomes ${row.attempts.map(({ outcome }) => outcome).join(", ")}`
      }
    }
  }
}

const early: Check = function*({ due, invocations, rows }) {
  for (const [id, sent] of invocations) {
    const row = rows.get(id)
    if (row === undefined) continue
    const asked = row.scheduleId === null ? due.get(row.name) : undefined
    const from = Math.max(row.nominalAt, asked ?? -Infinity)
    const first = Math.min(...sent.map(({ arrivedAt }) => arrivedAt))
    if (first < from - clockTolerance) {
      yield { rule: "early", what: `${describe(row)} arrived ${from - first} ms before it was due` }
    }
  }
}

const stuck: Check = function*({ history: { living, now }, rows }) {
  for (const row of rows.values()) {
    if (row.owner !== null && !living.has(row.owner)) {
      yield { rule: "stuck", what: `${describe(row)} is owned by ${row.owner}, which is gone` }
    } else if (row.status === "Running") yield { rule: "stuck", what: `${describe(row)} has not ended` }
    else if (row.status === "Scheduled" && row.dueAt <= now) {
      yield { rule: "stuck", what: `${describe(row)} has been due for ${now - row.dueAt} ms` }
    }
  }
}

const numbering: Check = function*({ rows }) {
  for (const row of rows.values()) {
    const numbers = row.attempts.map(({ number }) => number)
    if (numbers.some((number, index) => number !== index + 1)) {
      yield { rule: "numbering", what: `${describe(row)} has the attempts ${numbers.join(", ")}` }
    }
  }
}

const overspent: Check = function*({ history: { maxAttempts }, rows }) {
  for (const row of rows.values()) {
    const spent = row.attempts.filter(({ outcome }) => outcome === null || isSpent(outcome)).length
    if (spent > maxAttempts) yield { rule: "overspent", what: `${describe(row)} has spent ${spent} of ${maxAttempts}` }
  }
}

/** Reasons of occurrences whose instants had gone by. */
const isMissed = new Set(["catchUp", "window", "cap"])

const occurrences: Check = function*({ history, rows }) {
  for (const { cursor, id, missed, name, recurrence } of history.schedules) {
    const own = [...rows.values()].filter((row) => row.scheduleId === id)
    const instants = own.map(({ nominalAt }) => nominalAt).toSorted((left, right) => left - right)
    const count = (of: ReadonlyArray<TaskRow>) => of.reduce((sum, { skip }) => sum + (skip?.count ?? 1), 0)
    const broken = (what: string): Violation => ({ rule: "occurrences", what: `TaskSchedule ${id} (${name}) ${what}` })
    if (instants.at(-1) !== cursor) yield broken(`stands at ${cursor}, its latest occurrence is at ${instants.at(-1)}`)
    if (recurrence._tag !== "Spaced") {
      const off = instants.find((instant) => nextAfter(recurrence, instant - 1) !== instant)
      if (off !== undefined) yield broken(`has an occurrence at ${off}, which is none of its instants`)
      const due = countBetween(recurrence, (instants[0] ?? cursor) - 1, cursor)
      if (count(own) !== due) yield broken(`tells of ${count(own)} occurrences; ${due} were due`)
      const told = count(own.filter(({ skip }) => skip !== null && isMissed.has(skip.reason)))
      if (missed !== told) yield broken(`has missed ${missed} and tells of ${told}`)
    } else {
      const { interval } = recurrence
      const close = instants.find((instant, index) => instant - (instants[index - 1] ?? -Infinity) < interval)
      if (close !== undefined) yield broken(`has an occurrence at ${close}, less than ${interval} ms after another`)
    }
  }
}

const checks: ReadonlyArray<Check> = [
  lost,
  phantom,
  sentTwice,
  unmarked,
  ranAgain,
  overlap,
  wrongOutcome,
  early,
  stuck,
  numbering,
  overspent,
  occurrences
]

/**
 * All that is wrong with the history of a run that has come to rest.
 *
 * @example
 * expect(verify(yield* rig.history)).toEqual([])
 */
export const verify = (history: History): ReadonlyArray<Violation> => {
  const seen: Seen = {
    history,
    rows: new Map(history.tasks.map((row) => [row.id, row])),
    due: new Map(history.asked.map(({ ask, due }) => [ask, due])),
    invocations: readInvocations(history.endpoint)
  }
  return checks.flatMap((check) => [...check(seen)])
}

/** What an instance held when it ended without a word, and what became of that. Instants are epoch milliseconds. */
export interface Ending {
  /** What it asked for is named after it. */
  readonly worker: string
  readonly instances: ReadonlyArray<string>
  readonly endedAt: number
  /** The last look at the store that still saw something of theirs; `undefined`: none after the end did. */
  readonly lastHeldAt: number | undefined
  /** The first look that saw nothing of theirs any more; `undefined`: none did. */
  readonly freedAt: number | undefined
  /** One-shots; what had been started may have to wait for its next attempt, for as long as its policy says. */
  readonly held: ReadonlyArray<{ readonly id: string; readonly dueAt: number; readonly started: boolean }>
}

export interface Takeovers {
  readonly endings: ReadonlyArray<Ending>
  /** When each instance has renewed its lease, in order, epoch milliseconds. */
  readonly heartbeats: ReadonlyMap<string, ReadonlyArray<number>>
}

/** Beyond the lease: from its end to the moment when another instance has the work. */
const takeoverMargin = 1_000

/** Who has not renewed its lease for this part of it has been held up, and leaves the dead alone for a lease. */
const wellWithin = 0.7

/** Whether an instance was there all that time, and got what it needs of a processor and of the database. */
const wasWell = (beats: ReadonlyArray<number>, from: number, to: number, lease: number): boolean => {
  const first = beats.findLastIndex((beat) => beat <= from)
  if (first < 0) return false
  const longest = lease * wellWithin
  for (let index = first; index < beats.length; index++) {
    const beat = beats[index] ?? Infinity
    const next = beats[index + 1] ?? Infinity
    if (beat >= to) return true
    if (next - beat > longest) return to - beat <= longest
  }
  return false
}

/** When Tasks arrived that no ended instance has held or asked for, and how late: what the machine could do then. */
const ordinaryArrivals = (
  { endpoint, tasks }: History,
  held: ReadonlyMap<string, unknown>,
  endings: ReadonlyArray<Ending>
) => {
  const ended = new Set(endings.map(({ worker }) => worker))
  const rows = new Map(
    tasks.flatMap((row) => ended.has(row.name.split("-")[0] ?? "") ? [] : [[row.id, row] as const])
  )
  return endpoint.flatMap(({ attempt, kind, t, taskId }) => {
    const row = rows.get(taskId)
    return kind === "arrival" && attempt === 1 && row !== undefined && !held.has(taskId)
      ? [{ at: t, late: t - row.nominalAt }]
      : []
  })
}

/**
 * The work of an ended instance is somebody else's within its lease and a second: nothing is held in its name any
 * more, and what was due meanwhile arrives at its function. Something that several ended instances have held counts
 * from the last of them. Somebody else must have been there, and well; on a machine that was too busy for anything, as
 * much later as everything else was at that time.
 *
 * @param lease milliseconds
 */
export const verifyTakeovers = (
  { endings, heartbeats }: Takeovers,
  history: History,
  lease: number
): ReadonlyArray<Violation> => {
  const arrivals = new Map<string, Array<number>>()
  for (const { kind, t, taskId } of history.endpoint) {
    if (kind === "arrival") arrivals.set(taskId, [...arrivals.get(taskId) ?? [], t])
  }
  const lastHolder = new Map<string, Ending>()
  for (const ending of endings) for (const { id } of ending.held) lastHolder.set(id, ending)
  const ordinary = ordinaryArrivals(history, lastHolder, endings)

  return endings.flatMap((ending) => {
    const { endedAt, freedAt, held, lastHeldAt } = ending
    const who = ending.instances.join(", ")
    const others = [...heartbeats].filter(([id]) => !ending.instances.includes(id))
    const violations: Array<Violation> = []
    const broken = (what: string) => violations.push({ rule: "takeover", what })
    /** Later than a second after this instant, although somebody was well until then. */
    const isLate = (seenAt: number, from: number) => {
      const bound = from + takeoverMargin
      const slack = ordinary.reduce(
        (most, { at, late }) => at > endedAt && at < seenAt ? Math.max(most, late) : most,
        0
      )
      return seenAt > bound + slack && others.some(([, beats]) => wasWell(beats, endedAt, bound, lease))
    }
    if (freedAt === undefined) broken(`Something was held by ${who} in the end`)
    else if (lastHeldAt !== undefined && isLate(lastHeldAt, endedAt + lease)) {
      broken(`Something was held by ${who} ${lastHeldAt - endedAt} ms after its end`)
    }
    for (const { dueAt, id, started } of held) {
      if (started || lastHolder.get(id) !== ending) continue
      const waiting = `${id}, held by ${who} and due ${dueAt - endedAt} ms after its end`
      const arrivedAt = arrivals.get(id)?.find((t) => t >= endedAt)
      if (arrivedAt === undefined) broken(`${waiting}, never arrived`)
      else if (isLate(arrivedAt, Math.max(dueAt, endedAt + lease))) {
        broken(`${waiting}, arrived ${arrivedAt - endedAt} ms after its end`)
      }
    }
    return violations
  })
}

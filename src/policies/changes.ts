/**
 * What becomes of a schedule, and of what waits of it, when somebody changes it: pure, decided in the transaction that
 * has locked it. Each change may be asked for again.
 */
import type { TaskId } from "../domain/Ids.ts"
import type { Pause } from "../domain/Pause.ts"
import { inForce } from "../domain/Pause.ts"
import type { ScheduledTask } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { isAtCursor, occurrence, pausedUntil } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { ScheduleChange, ScheduleFound } from "../ports/TaskRepository.ts"

/** What stood in the way, if anything did; then nothing is changed. */
export type Refusal =
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "Ended"; readonly status: "Completed" | "Cancelled" }
  | { readonly _tag: "OtherRevision"; readonly actual: number }
  | { readonly _tag: "NoRunsLeft"; readonly runs: number }

export type Changed = Refusal | { readonly _tag: "Changed"; readonly schedule: TaskSchedule }

type Change = ScheduleChange<Changed>

/** Changes a schedule that goes on. */
export const whileActive = (
  found: ScheduleFound | undefined,
  change: (found: ScheduleFound) => Change
): Change => {
  if (found === undefined) return { answer: { _tag: "NotFound" } }
  const { status } = found.schedule
  return status === "Active" ? change(found) : { answer: { _tag: "Ended", status } }
}

const changed = (
  schedule: TaskSchedule,
  more: Pick<Change, "tasks" | "inserts" | "key" | "backfill"> = {}
): Change => ({ answer: { _tag: "Changed", schedule }, schedule, ...more })

/** Not to be started before some time after it is due: it waits for its turn, or for the end of a pause. */
const isParked = ({ claimableAt, dueAt }: ScheduledTask) => claimableAt > dueAt

/** Parked occurrences, to be looked at again then: whoever holds one already, for then, does not know of it. */
const lookAgain = (waiting: ReadonlyArray<ScheduledTask>, at: EpochMillis): ReadonlyArray<ScheduledTask> =>
  waiting.filter(isParked).map((task) => ({
    ...task,
    owner: undefined,
    claimableAt: Math.max(at, task.dueAt),
    token: task.token + 1
  }))

/**
 * Pauses: what its rule names does not start. Occurrences keep their instants; those that fall into the pause are passed
 * over when it is over. Who pauses what is paused changes note, name and end.
 */
export const pauseSchedule = (found: ScheduleFound | undefined, pause: Pause): Change =>
  whileActive(found, ({ schedule, waiting }) => {
    const before = schedule.pause
    // One that is over, and of which nobody has made the records yet, is gone on with; of `spaced` there are none to be made.
    const isUntold = before !== undefined && schedule.recurrence._tag !== "Spaced" &&
      schedule.cursor < (before.until ?? Infinity)
    const goesOn = before !== undefined && (inForce(before, pause.since) !== undefined || isUntold)
    const paused = { ...schedule, pause: goesOn ? { ...pause, since: before.since } : pause }
    return changed(paused, { tasks: lookAgain(waiting, pausedUntil(paused, pause.since) as EpochMillis) })
  })

/** Goes on at an instant: what fell into the pause is passed over by the next start, and failures count anew. */
export const resumeSchedule = (found: ScheduleFound | undefined, now: EpochMillis): Change =>
  whileActive(found, ({ schedule, waiting }) => {
    const pause = inForce(schedule.pause, now)
    return pause === undefined
      ? { answer: { _tag: "Changed", schedule } }
      : changed({ ...schedule, failures: 0, pause: { ...pause, until: now } }, { tasks: lookAgain(waiting, now) })
  })

/** What an edit leaves as it is. */
export type Edited = Omit<
  TaskSchedule,
  "id" | "createdAt" | "status" | "revision" | "cursor" | "runs" | "missed" | "failures" | "pause"
>

export interface Edit {
  /** What is to be different. */
  readonly fields: Partial<Edited>
  /** Nominal instant of the first occurrence under another rule; absent: the rule stays, and its cadence with it. */
  readonly first: EpochMillis | undefined
  /** The revision that it was made for; absent: whichever there is. */
  readonly revision: number | undefined
  /** Of an occurrence that has to be made. */
  readonly newId: TaskId
}

/**
 * Edits: occurrences that have not begun are rewritten, so that what was planned under the old revision never runs. Those
 * that have begun come to their end as they are.
 *
 * @param now epoch milliseconds
 */
export const editSchedule = (found: ScheduleFound | undefined, edit: Edit, now: EpochMillis): Change =>
  whileActive(found, ({ schedule, waiting }) => {
    if (edit.revision !== undefined && edit.revision !== schedule.revision) {
      return { answer: { _tag: "OtherRevision", actual: schedule.revision } }
    }
    const next = waiting.find((task) => isAtCursor(schedule, task))
    // While a run of a `spaced` schedule is under way nothing is stored after it: its end stores that, by the new rule.
    const endStoresNext = next === undefined && (edit.fields.recurrence ?? schedule.recurrence)._tag === "Spaced"
    const first = endStoresNext ? undefined : edit.first
    const edited: TaskSchedule = {
      ...schedule,
      ...edit.fields,
      revision: schedule.revision + 1,
      cursor: first ?? schedule.cursor
    }
    if (edited.maxRuns !== undefined && edited.runs >= edited.maxRuns) {
      return { answer: { _tag: "NoRunsLeft", runs: edited.runs } }
    }
    const rewritten = (task: ScheduledTask): ScheduledTask => {
      const token = task.token + 1
      if (task !== next) {
        const { claimableAt, dueAt } = task
        return { ...occurrence(edited, task.id, task.nominalAt, task.createdAt), claimableAt, dueAt, token }
      }
      const planned = occurrence(edited, task.id, edited.cursor, task.createdAt)
      return { ...planned, claimableAt: Math.max(planned.claimableAt, pausedUntil(edited, now) ?? -Infinity), token }
    }
    const inserts = next === undefined && first !== undefined ? [occurrence(edited, edit.newId, first, now)] : []
    return changed(edited, { tasks: waiting.map(rewritten), inserts })
  })

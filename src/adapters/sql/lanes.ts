/** What occurrences of a schedule share their turn with: those of one lane, in the order in which they are to run. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import { isBuffering } from "../../domain/Overlap.ts"
import type { Task } from "../../domain/Task.ts"
import { isFinished, laneOf } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import { pausedUntil } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { overlapOf } from "../../policies/occurrences.ts"
import type { Others } from "../../policies/overlap.ts"
import { plain, texts } from "./arrays.ts"
import type { Run } from "./Db.ts"
import type { Store } from "./Store.ts"

/** More than may wait at the most: whoever is not among the first of so many finds no place. */
const mostWaiting = 1_002

interface Waiting {
  readonly id: TaskId
  readonly nominalAt: EpochMillis
  readonly isByRule: boolean
}

/** A schedule's lanes, kept up with what a transaction does to its Tasks. */
export interface LanesOf {
  /** Occurrences of a lane that have begun and not ended. */
  readonly underWay: (lane: string) => ReadonlyArray<TaskId>
  /** @param isPaused whether those by the rule go on only later, and are waited for by nobody */
  readonly othersOf: (task: Task, isPaused: boolean) => Others
  readonly note: (task: Task) => void
}

const makeLanes = (
  underWay: Map<TaskId, string>,
  waiting: ReadonlyArray<Waiting>
): LanesOf => {
  const waits = new Map(waiting.map((one) => [one.id, one]))
  const underWayIn = (lane: string) => [...underWay].flatMap(([id, its]) => its === lane ? [id] : [])
  return {
    underWay: underWayIn,
    othersOf: (task, isPaused) => {
      let before = 0
      for (const one of waits.values()) {
        if (one.id === task.id) break
        const isBefore = one.nominalAt < task.nominalAt || (one.nominalAt === task.nominalAt && one.id < task.id)
        if (isBefore && !(isPaused && one.isByRule)) before++
      }
      return { underWay: underWayIn(laneOf(task)).filter((id) => id !== task.id).length, before }
    },
    note: (task) => {
      if (isFinished(task) || task.attempts.length > 0) waits.delete(task.id)
      if (isFinished(task)) underWay.delete(task.id)
      else if (task.attempts.length > 0) underWay.set(task.id, laneOf(task))
    }
  }
}

export const emptyLanes = (): LanesOf => makeLanes(new Map(), [])

export const underWayOf = (
  store: Store,
  run: Run,
  schedules: ReadonlyArray<TaskScheduleId>
): Effect.Effect<ReadonlyArray<TaskId>, SqlError> =>
  Effect.map(
    run(
      `SELECT o.id FROM ${store.tables.tasks} o
        WHERE o.schedule_id = ANY($1::uuid[]) AND o.finished_at IS NULL AND o.attempt > 0`,
      [plain(schedules)]
    ),
    (rows) => rows.map(([id]) => id as TaskId)
  )

/** The schedules of which somebody may have to wait behind others. */
const bufferingOf = (schedules: ReadonlyArray<TaskSchedule>, tasks: ReadonlyArray<Task>) =>
  schedules.filter((schedule) =>
    tasks.some((task) =>
      task.scheduleId === schedule.id && laneOf(task) === "schedule" && isBuffering(overlapOf(task, schedule))
    )
  )

/** The lanes of schedules that are locked. */
export const lanesOf = (
  store: Store,
  run: Run,
  schedules: ReadonlyArray<TaskSchedule>,
  tasks: ReadonlyArray<Task>
): Effect.Effect<ReadonlyMap<TaskScheduleId, LanesOf>, SqlError> =>
  Effect.gen(function*() {
    if (schedules.length === 0) return new Map<TaskScheduleId, LanesOf>()
    const { tasks: table } = store.tables
    const underWay = yield* run(
      `SELECT o.schedule_id, o.id, o.origin FROM ${table} o
        WHERE o.schedule_id = ANY($1::uuid[]) AND o.finished_at IS NULL AND o.attempt > 0`,
      [plain(schedules.map(({ id }) => id))]
    )
    const buffering = bufferingOf(schedules, tasks)
    const waiting = buffering.length === 0 ? [] : yield* run(
      `SELECT w.* FROM unnest($1::uuid[]) AS s(id) CROSS JOIN LATERAL (
        SELECT o.schedule_id, o.id, o.nominal_at, o.origin FROM ${table} o
        WHERE o.schedule_id = s.id AND o.finished_at IS NULL AND o.attempt = 0 AND o.origin NOT LIKE 'backfill:%'
        ORDER BY o.nominal_at, o.id LIMIT ${mostWaiting}) w`,
      [plain(buffering.map(({ id }) => id))]
    )
    return new Map(schedules.map(({ id }): [TaskScheduleId, LanesOf] => [
      id,
      makeLanes(
        new Map(underWay.flatMap(([scheduleId, task, origin]) =>
          scheduleId === id ? [[task as TaskId, laneOf({ origin: origin as string })]] : []
        )),
        waiting.flatMap(([scheduleId, task, nominalAt, origin]) =>
          scheduleId === id
            ? [{ id: task as TaskId, nominalAt: Number(nominalAt), isByRule: origin === "schedule" }]
            : []
        )
      )
    ]))
  })

/** What has ended, and the schedules it belonged to. */
interface Ended {
  readonly ended: ReadonlyArray<{ readonly task: Task; readonly at: EpochMillis }>
  readonly scheduleOf: (task: Task) => { readonly schedule: TaskSchedule } | undefined
}

/**
 * For each that has ended, the first that waits in its lane is looked at now, and not only later: whoever holds it already, for
 * then, does not know of it.
 *
 * @returns whether there was any
 */
export const freeNext = (store: Store, run: Run, work: Ended): Effect.Effect<boolean, SqlError> => {
  const turns = new Map<
    string,
    { id: TaskScheduleId; lane: string; isPaused: boolean; at: EpochMillis; count: number }
  >()
  for (const { at, task } of work.ended) {
    const schedule = work.scheduleOf(task)?.schedule
    if (schedule === undefined) continue
    const lane = laneOf(task)
    const key = `${schedule.id} ${lane}`
    const count = (turns.get(key)?.count ?? 0) + 1
    turns.set(key, { id: schedule.id, lane, isPaused: pausedUntil(schedule, at) !== undefined, at, count })
  }
  const all = [...turns.values()]
  const { tasks } = store.tables
  return all.length === 0 ? Effect.succeed(false) : Effect.map(
    run(
      `WITH turns AS (
      SELECT * FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::bigint[], $5::int[])
        AS u(schedule_id, lane, paused, at, count)
    ), next AS MATERIALIZED (
      SELECT w.id, turns.at FROM turns CROSS JOIN LATERAL (
        SELECT o.id FROM ${tasks} o
        WHERE o.schedule_id = turns.schedule_id AND o.finished_at IS NULL AND o.attempt = 0
          AND CASE WHEN turns.lane = 'schedule' THEN o.origin NOT LIKE 'backfill:%' ELSE o.origin = turns.lane END
          AND NOT (turns.paused AND o.origin = 'schedule') AND o.claimable_at > turns.at AND o.due_at <= turns.at
        ORDER BY o.nominal_at, o.id LIMIT turns.count FOR UPDATE SKIP LOCKED) w
    ) UPDATE ${tasks} t SET claimable_at = next.at, owner = NULL, token = t.token + 1 FROM next WHERE t.id = next.id RETURNING 1`,
      [
        plain(all.map(({ id }) => id)),
        texts(all.map(({ lane }) => lane)),
        plain(all.map(({ isPaused }) => isPaused)),
        plain(all.map(({ at }) => at)),
        plain(all.map(({ count }) => count))
      ]
    ),
    (rows) => rows.length > 0
  )
}

/** Cancels schedules and Tasks by what they have in common: all of them or, if the statement fails, none. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { originOf } from "../../domain/Backfill.ts"
import type { BackfillId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { CancelledTask } from "../../domain/Task.ts"
import { isStorable } from "../../domain/Text.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Cancelled, CancelTarget } from "../../ports/TaskRepository.ts"
import { plain } from "./arrays.ts"
import type { Run } from "./Db.ts"
import { keyOutlives } from "./pruneTasks.ts"
import { ofFunction } from "./reading.ts"
import { scheduleColumns } from "./rows.ts"
import type { Store } from "./Store.ts"
import { readSchedules } from "./Store.ts"
import type { Work } from "./Work.ts"
import { load, tell, write } from "./Work.ts"
import { cancelAll } from "./workOn.ts"

/** Tasks locked and written by one statement. */
const batch = 1_000

const leastId = "00000000-0000-0000-0000-000000000000"

const matching = (target: Exclude<CancelTarget, { readonly _tag: "Task" }>) => {
  switch (target._tag) {
    case "Schedule":
      return {
        task: "t.schedule_id = $1::uuid",
        schedule: "s.id = $1::uuid",
        value: target.id,
        cause: "schedule"
      } as const
    case "Function":
      return {
        task: ofFunction("$1"),
        schedule: "s.function_name = $1",
        value: target.name,
        cause: "function"
      } as const
    case "Named":
      return { task: "t.name = $1", schedule: "s.name = $1", value: target.name, cause: "name" } as const
    case "Backfill":
      return { task: "t.origin = $1", schedule: undefined, value: originOf(target.id), cause: "backfill" } as const
  }
}

/** Ends schedules: from here on none of them gets another occurrence. */
const endSchedules = (store: Store, run: Run, which: string, value: string) =>
  Effect.gen(function*() {
    const { schedules } = store.tables
    const locked = yield* run(`SELECT s.id FROM ${schedules} s WHERE ${which} ORDER BY s.id FOR UPDATE`, [value])
    return locked.length === 0 ? [] : yield* run(
      `UPDATE ${schedules} s SET status = 'Cancelled', revision = s.revision + 1
        WHERE s.id = ANY($1::uuid[]) AND s.status = 'Active' RETURNING ${scheduleColumns}`,
      [plain(locked.map(([id]) => id as string))]
    )
  })

/** A backfill's Tasks are those of its schedule with its origin: by that they are found. */
const endBackfill = (store: Store, run: Run, id: BackfillId, now: EpochMillis) =>
  Effect.map(
    run(
      `UPDATE ${store.tables.backfills} SET cancelled_at = COALESCE(cancelled_at, $2) WHERE id = $1 RETURNING schedule_id`,
      [id, now]
    ),
    ([row]) => row?.[0] as TaskScheduleId | undefined
  )

const removeSchedule = (store: Store, run: Run, id: TaskScheduleId, now: EpochMillis) =>
  Effect.gen(function*() {
    const { backfills, keys, schedules } = store.tables
    yield* run(`DELETE FROM ${backfills} WHERE schedule_id = $1`, [id])
    yield* run(`UPDATE ${keys} SET ends_at = $2::bigint + ${keyOutlives} WHERE made_id = $1`, [id, now])
    yield* run(`DELETE FROM ${schedules} WHERE id = $1`, [id])
  })

export const cancelWork = (
  store: Store,
  target: Exclude<CancelTarget, { readonly _tag: "Task" }>,
  now: EpochMillis
): Effect.Effect<Cancelled, SqlError> => {
  const { cause, schedule, task, value } = matching(target)
  if (!isStorable(value)) return Effect.succeed({ tasks: [], schedules: [], next: undefined })
  const { tasks: table } = store.tables
  return Effect.map(
    store.db.transact((run) =>
      Effect.gen(function*() {
        const ended = schedule === undefined ? [] : yield* endSchedules(store, run, schedule, value)
        const of = target._tag === "Backfill" ? yield* endBackfill(store, run, target.id, now) : undefined
        const which = target._tag !== "Backfill" ? task : `t.schedule_id = '${of ?? leastId}'::uuid AND ${task}`
        const works: Array<Work> = []
        const tasks: Array<CancelledTask> = []
        for (let after = leastId;;) {
          const rows = yield* run(
            `SELECT t.id FROM ${table} t WHERE ${which} AND t.finished_at IS NULL AND t.id > $2::uuid
              ORDER BY t.id LIMIT ${batch}`,
            [value, after]
          )
          const ids = rows.map(([id]) => id as TaskId)
          const last = ids[ids.length - 1]
          if (last === undefined) break
          const work = yield* load(store, run, { tasks: ids, owners: [] })
          tasks.push(...cancelAll(work, work.tasks(), cause, now))
          yield* write(store, run, work)
          works.push(work)
          after = last
        }
        const schedules = yield* readSchedules(store, ended)
        if (target._tag === "Schedule" && target.remove === true) yield* removeSchedule(store, run, target.id, now)
        return { works, tasks, schedules }
      })
    ),
    ({ schedules, tasks, works }) => {
      for (const work of works) tell(store, work)
      return { tasks, schedules, next: undefined }
    }
  )
}

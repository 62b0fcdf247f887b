/** Cancels schedules and Tasks by what they have in common: all of them or, if the statement fails, none. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { TaskId } from "../../domain/Ids.ts"
import type { CancelledTask } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import { isStorable } from "../../domain/Text.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Cancelled, CancelTarget } from "../../ports/TaskRepository.ts"
import { plain } from "./arrays.ts"
import { ofFunction } from "./reading.ts"
import { scheduleColumns } from "./rows.ts"
import type { Store } from "./Store.ts"
import { readSchedules } from "./Store.ts"
import type { Work } from "./Work.ts"
import { load, tell, write } from "./Work.ts"

/** Tasks locked and written by one statement. */
const batch = 1_000

const leastId = "00000000-0000-0000-0000-000000000000"

const matching = (target: Exclude<CancelTarget, { readonly _tag: "Task" }>) => {
  switch (target._tag) {
    case "Schedule":
      return { task: "t.schedule_id = $1::uuid", schedule: "s.id = $1::uuid", value: target.id }
    case "Function":
      return { task: ofFunction("$1"), schedule: "s.function_name = $1", value: target.name }
    case "Named":
      return { task: "t.name = $1", schedule: "s.name = $1", value: target.name }
  }
}

const cancelAll = (work: Work, now: EpochMillis): ReadonlyArray<CancelledTask> =>
  work.tasks().flatMap((task) => {
    const cancelled = TaskLifecycle.cancel(task, now)
    if (cancelled === undefined) return []
    work.put(cancelled, "cancelled")
    return [cancelled]
  })

export const cancelWork = (
  store: Store,
  target: Exclude<CancelTarget, { readonly _tag: "Task" }>,
  now: EpochMillis
): Effect.Effect<Cancelled, SqlError> => {
  const { schedule, task, value } = matching(target)
  if (!isStorable(value)) return Effect.succeed({ tasks: [], schedules: [], next: undefined })
  const { schedules: scheduleTable, tasks: table } = store.tables
  return Effect.map(
    store.db.transact((run) =>
      Effect.gen(function*() {
        // Schedules first: from here on none of them gets another occurrence.
        const locked = yield* run(`SELECT s.id FROM ${scheduleTable} s WHERE ${schedule} ORDER BY s.id FOR UPDATE`, [
          value
        ])
        const ended = locked.length === 0 ? [] : yield* run(
          `UPDATE ${scheduleTable} s SET status = 'Cancelled', revision = s.revision + 1
            WHERE s.id = ANY($1::uuid[]) AND s.status = 'Active' RETURNING ${scheduleColumns}`,
          [plain(locked.map(([id]) => id as string))]
        )
        const works: Array<Work> = []
        const tasks: Array<CancelledTask> = []
        for (let after = leastId;;) {
          const rows = yield* run(
            `SELECT t.id FROM ${table} t WHERE ${task} AND t.finished_at IS NULL AND t.id > $2::uuid
              ORDER BY t.id LIMIT ${batch}`,
            [value, after]
          )
          const ids = rows.map(([id]) => id as TaskId)
          const last = ids[ids.length - 1]
          if (last === undefined) break
          const work = yield* load(store, run, { tasks: ids, owners: [] })
          tasks.push(...cancelAll(work, now))
          yield* write(store, run, work)
          works.push(work)
          after = last
        }
        return { works, tasks, schedules: yield* readSchedules(store, ended) }
      })
    ),
    ({ schedules, tasks, works }) => {
      for (const work of works) tell(store, work)
      return { tasks, schedules, next: undefined }
    }
  )
}

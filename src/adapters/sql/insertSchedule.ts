/** Stores a schedule with its first occurrence, in one transaction. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import type { InstanceId, TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { IdempotencyKey, InsertScheduleVerdict } from "../../ports/TaskRepository.ts"
import { encodeRecurrence, encodeRetry, encodeTags, encodeTarget } from "./codecs.ts"
import type { Run } from "./Db.ts"
import { insertTasks, judgeKeys } from "./insertTasks.ts"
import { rowVersion, scheduleColumns } from "./rows.ts"
import type { Store } from "./Store.ts"
import { readSchedules } from "./Store.ts"

const present = (
  store: Store,
  run: Run,
  id: TaskScheduleId
): Effect.Effect<InsertScheduleVerdict, SqlError> =>
  run(`SELECT ${scheduleColumns} FROM ${store.tables.schedules} s WHERE s.id = $1`, [id]).pipe(
    Effect.flatMap((rows) => readSchedules(store, rows)),
    Effect.map(([schedule]) => schedule === undefined ? { _tag: "Gone", id } : { _tag: "Present", schedule })
  )

/** @param run in which transaction */
export const insertSchedule = (
  store: Store,
  run: Run,
  schedule: TaskSchedule,
  first: ScheduledTask,
  claimer: InstanceId | undefined,
  key: IdempotencyKey | undefined
): Effect.Effect<InsertScheduleVerdict, SqlError | TaskRepositoryError> =>
  Effect.gen(function*() {
    const [judged] = yield* judgeKeys(store, run, [{ id: schedule.id, key }])
    if (judged?._tag === "Conflict") return { _tag: "Conflict", id: judged.id }
    if (judged?._tag === "Made") return yield* present(store, run, judged.id as TaskScheduleId)
    const inserted = yield* run(
      `INSERT INTO ${store.tables.schedules} (id, v, name, function_name, function, payload, tags, retry, recurrence,
        max_runs, created_at, status, revision, cursor, runs, missed)
      VALUES ($1, ${rowVersion}, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
      ON CONFLICT DO NOTHING RETURNING id`,
      [
        schedule.id,
        schedule.name,
        schedule.function.name,
        encodeTarget(schedule.function),
        schedule.payload,
        encodeTags(schedule.tags),
        encodeRetry(schedule.retry),
        encodeRecurrence(schedule.recurrence),
        schedule.maxRuns ?? null,
        schedule.createdAt,
        schedule.status,
        schedule.revision,
        schedule.cursor,
        schedule.runs,
        schedule.missed
      ]
    )
    if (inserted.length === 0) return yield* present(store, run, schedule.id)
    const [verdict] = yield* insertTasks(store, run, [{ task: first, claimer, key: undefined }])
    if (verdict?._tag === "Inserted") return { _tag: "Inserted", schedule, first: verdict.task }
    return yield* new TaskRepositoryError({
      reason: "Rejected",
      message: `The first occurrence of schedule ${schedule.id} has the id of another Task (${first.id})`
    })
  })

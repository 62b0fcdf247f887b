/** Backfills as rows; how far they are is counted from their Tasks. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Option } from "effect"
import type { Backfill } from "../../domain/Backfill.ts"
import { originOf } from "../../domain/Backfill.ts"
import type { BackfillId, TaskScheduleId } from "../../domain/Ids.ts"
import type { TaskStatus } from "../../domain/Task.ts"
import type { BackfillCounts } from "../../ports/TaskRepository.ts"
import { mostBackfills } from "../../ports/TaskRepository.ts"
import type { Row, Run } from "./Db.ts"
import type { Store } from "./Store.ts"

const rowVersion = 1

const columns = "id, schedule_id, from_at, to_at, concurrency, total, created_at, cancelled_at"

const decode = ([id, scheduleId, from, to, concurrency, total, createdAt, cancelledAt]: Row): Backfill => ({
  id: id as BackfillId,
  scheduleId: scheduleId as TaskScheduleId,
  from: Number(from),
  to: Number(to),
  concurrency: (concurrency ?? undefined) as number | undefined,
  total: total as number,
  createdAt: Number(createdAt),
  cancelledAt: cancelledAt === null ? undefined : Number(cancelledAt)
})

/** @returns whether there was none of its id */
export const insertBackfill = (store: Store, run: Run, backfill: Backfill): Effect.Effect<boolean, SqlError> =>
  Effect.map(
    run(
      `INSERT INTO ${store.tables.backfills} (v, ${columns}) VALUES (${rowVersion}, $1, $2, $3, $4, $5, $6, $7, NULL)
      ON CONFLICT DO NOTHING RETURNING 1`,
      [
        backfill.id,
        backfill.scheduleId,
        backfill.from,
        backfill.to,
        backfill.concurrency ?? null,
        backfill.total,
        backfill.createdAt
      ]
    ),
    (rows) => rows.length > 0
  )

const find = (store: Store, where: string, params: ReadonlyArray<unknown>) =>
  Effect.map(
    store.db.run(
      `SELECT ${columns} FROM ${store.tables.backfills} WHERE v = ${rowVersion} AND ${where}
        ORDER BY id DESC LIMIT ${mostBackfills}`,
      params
    ),
    (rows) => rows.map(decode)
  )

export const getBackfill = (store: Store, id: BackfillId): Effect.Effect<Option.Option<Backfill>, SqlError> =>
  Effect.map(find(store, "id = $1", [id]), ([backfill]) => Option.fromNullable(backfill))

export const listBackfills = (
  store: Store,
  id: TaskScheduleId
): Effect.Effect<ReadonlyArray<Backfill>, SqlError> => find(store, "schedule_id = $1", [id])

export const countBackfill = (store: Store, { id, scheduleId }: Backfill): Effect.Effect<BackfillCounts, SqlError> =>
  Effect.map(
    store.db.run(
      `SELECT t.status, count(*)::int FROM ${store.tables.tasks} t WHERE t.schedule_id = $1 AND t.origin = $2
        GROUP BY t.status`,
      [scheduleId, originOf(id)]
    ),
    (rows) => {
      const counts = { Scheduled: 0, Running: 0, Succeeded: 0, Failed: 0, Cancelled: 0, Skipped: 0 }
      for (const [status, count] of rows) counts[status as TaskStatus] = count as number
      return counts
    }
  )

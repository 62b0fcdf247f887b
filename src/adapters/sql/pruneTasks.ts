/** Keeps history within its bounds: finished Tasks go with their attempts, keys and old changes some time later. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { Millis } from "../../domain/Time.ts"
import type { PruneRequest, PurgeRequest } from "../../ports/TaskRepository.ts"
import { isFailed, taskConditions } from "./reading.ts"
import type { Store } from "./Store.ts"

/** An idempotency key outlives what it has made by a day. */
export const keyOutlives: Millis = 86_400_000

/** Other instances read changes within seconds; one that has not for so long asks for the Tasks themselves. */
const changesKept = "10 minutes"

const greatestId = "ffffffff-ffff-ffff-ffff-ffffffffffff"

/**
 * One statement that removes Tasks with all that belongs to them, and answers how many.
 *
 * @param gone a query that locks their rows and answers their ids
 * @param now an expression
 */
const remove = (
  { db, tables: { attempts, keys, tasks } }: Store,
  gone: string,
  now: string,
  params: ReadonlyArray<unknown>
): Effect.Effect<number, SqlError> =>
  Effect.map(
    db.run(
      `WITH old AS (${gone}), gone AS (DELETE FROM ${tasks} t USING old WHERE t.id = old.id RETURNING t.id),
      history AS (DELETE FROM ${attempts} a USING old WHERE a.task_id = old.id),
      ending AS (UPDATE ${keys} k SET ends_at = ${now}::bigint + ${keyOutlives} FROM old WHERE k.made_id = old.id)
      SELECT count(*)::int FROM gone`,
      params
    ),
    ([row]) => (row?.[0] ?? 0) as number
  )

/**
 * The oldest that are too old, or too many. What is kept for different times is in indexes of its own; one bound for
 * both, so that no more is read than is removed.
 */
const removeOldest = (
  store: Store,
  which: string,
  { limit, maxAge, maxCount, now }: Pick<PruneRequest, "limit" | "maxAge" | "maxCount" | "now">
) =>
  limit === 0 ? Effect.succeed(0) : remove(
    store,
    `SELECT t.id FROM ${store.tables.tasks} t WHERE ${which} AND (t.finished_at, t.id) <= (
        SELECT finished_at, id FROM (
          -- The newest of those that are too many.
          (SELECT t.finished_at, t.id FROM ${store.tables.tasks} t WHERE ${which}
            ORDER BY t.finished_at DESC, t.id DESC OFFSET $3 LIMIT 1)
          UNION ALL SELECT $1::bigint - $2::bigint - 1, '${greatestId}'::uuid
        ) bound ORDER BY finished_at DESC, id DESC LIMIT 1)
      ORDER BY t.finished_at, t.id LIMIT $4 FOR UPDATE OF t SKIP LOCKED`,
    "$1",
    [now, maxAge, maxCount, limit]
  )

/** @returns how many Tasks were removed, oldest first */
export const pruneTasks = (store: Store, request: PruneRequest): Effect.Effect<number, SqlError> =>
  Effect.gen(function*() {
    const { failedMaxAge, failedMaxCount, limit, now } = request
    const { changes, keys } = store.tables
    const ended = yield* removeOldest(store, "t.finished_at IS NOT NULL AND t.status <> 'Failed'", request)
    const failed = yield* removeOldest(store, isFailed, {
      now,
      maxAge: failedMaxAge,
      maxCount: failedMaxCount,
      limit: limit - ended
    })
    yield* store.db.run(`DELETE FROM ${keys} WHERE ends_at <= $1`, [now])
    yield* store.db.run(
      `DELETE FROM ${changes} c USING (SELECT xid, id, at FROM ${changes} ORDER BY xid, id LIMIT 10000) oldest
        WHERE c.xid = oldest.xid AND c.id = oldest.id AND oldest.at < clock_timestamp() - interval '${changesKept}'`
    )
    return ended + failed
  })

/** @returns how many dead letters were removed */
export const purgeTasks = (store: Store, { filter, limit, now }: PurgeRequest): Effect.Effect<number, SqlError> => {
  const conditions = taskConditions({ ...filter, status: ["Failed"] })
  const first = conditions.params.length + 1
  return remove(
    store,
    // One that is being redriven is waited for, and looked at again.
    `SELECT t.id FROM ${store.tables.tasks} t WHERE ${conditions.toString()} ORDER BY t.id LIMIT $${
      first + 1
    } FOR UPDATE`,
    `$${first}`,
    [...conditions.params, now, limit]
  )
}

/** Keeps history within its bounds: finished Tasks go with their attempts, keys and old changes some time later. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { Millis } from "../../domain/Time.ts"
import type { PruneRequest } from "../../ports/TaskRepository.ts"
import type { Store } from "./Store.ts"

/** An idempotency key outlives what it has made by a day. */
const keyOutlives: Millis = 86_400_000

/** Other instances read changes within seconds; one that has not for so long asks for the Tasks themselves. */
const changesKept = "10 minutes"

/** @returns how many Tasks were removed, oldest first */
export const pruneTasks = (
  store: Store,
  { limit, maxAge, maxCount, now }: PruneRequest
): Effect.Effect<number, SqlError> =>
  Effect.gen(function*() {
    const { attempts, changes, keys, tasks } = store.tables
    const removed = yield* store.db.run(
      `WITH youngest AS (
        -- The newest of those that are too many.
        SELECT finished_at, id FROM ${tasks} WHERE finished_at IS NOT NULL
        ORDER BY finished_at DESC, id DESC OFFSET $3 LIMIT 1
      ), old AS (
        SELECT t.id FROM ${tasks} t WHERE t.finished_at IS NOT NULL AND (t.finished_at < $1::bigint - $2::bigint
          OR (t.finished_at, t.id) <= (SELECT finished_at, id FROM youngest))
        ORDER BY t.finished_at, t.id LIMIT $4 FOR UPDATE SKIP LOCKED
      ), gone AS (DELETE FROM ${tasks} t USING old WHERE t.id = old.id RETURNING t.id),
      history AS (DELETE FROM ${attempts} a USING old WHERE a.task_id = old.id),
      ending AS (UPDATE ${keys} k SET ends_at = $1::bigint + ${keyOutlives} FROM old WHERE k.made_id = old.id)
      SELECT count(*)::int FROM gone`,
      [now, maxAge, maxCount, limit]
    )
    yield* store.db.run(`DELETE FROM ${keys} WHERE ends_at <= $1`, [now])
    yield* store.db.run(
      `DELETE FROM ${changes} c USING (SELECT xid, id, at FROM ${changes} ORDER BY xid, id LIMIT 10000) oldest
        WHERE c.xid = oldest.xid AND c.id = oldest.id AND oldest.at < clock_timestamp() - interval '${changesKept}'`
    )
    return removed[0]?.[0] as number
  })

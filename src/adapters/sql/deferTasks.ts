/** Has Tasks of a function wait longer than they are due, and brings them back. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { farthest } from "../../domain/Time.ts"
import type { DeferRequest, RecallRequest } from "../../ports/TaskRepository.ts"
import type { Store } from "./Store.ts"
import { isUnclaimed } from "./Store.ts"

/** Each priority has a lane of its own: all that the index has of a function is found by stepping through them. */
const ofFunction = (store: Store, condition: string): string =>
  `priorities AS (
      (SELECT max(priority) AS priority FROM ${store.tables.tasks} t WHERE ${isUnclaimed})
      UNION ALL
      SELECT (
        SELECT t.priority FROM ${store.tables.tasks} t
        WHERE ${isUnclaimed} AND t.priority < p.priority ORDER BY t.priority DESC LIMIT 1
      ) FROM priorities p WHERE p.priority IS NOT NULL
    ), found AS MATERIALIZED (
      SELECT share.* FROM priorities p CROSS JOIN LATERAL (
        SELECT t.ctid, t.priority, t.claimable_at, t.due_at, t.id FROM ${store.tables.tasks} t
        WHERE t.priority = p.priority AND t.function_name = $1 AND ${isUnclaimed} AND ${condition}
        ORDER BY t.claimable_at, t.due_at, t.id LIMIT $3 FOR UPDATE SKIP LOCKED
      ) share WHERE p.priority IS NOT NULL LIMIT $3
    )`

export const deferTasks = (store: Store, { from, functionName, limit, now, step }: DeferRequest): Effect.Effect<
  number,
  SqlError
> =>
  Effect.map(
    store.db.run(
      `WITH RECURSIVE ${ofFunction(store, "t.claimable_at <= $2")}, waiting AS (
        SELECT ctid, row_number() OVER (ORDER BY priority DESC, claimable_at, due_at, id) - 1 AS place FROM found
      ) UPDATE ${store.tables.tasks} t SET claimable_at = $4::bigint + (w.place * $5::float8)::bigint
        FROM waiting w WHERE t.ctid = w.ctid RETURNING 1`,
      [functionName, now, limit, from, step]
    ),
    (rows) => rows.length
  )

/** What waits for something else, such as the end of its schedule's pause, is not brought back. */
const isDeferred = (store: Store): string =>
  `t.claimable_at > $2 AND t.due_at <= $2 AND t.claimable_at < ${farthest} AND (t.schedule_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM ${store.tables.schedules} s WHERE s.id = t.schedule_id AND s.pause IS NOT NULL))`

export const recallTasks = (store: Store, { functionName, limit, now }: RecallRequest): Effect.Effect<
  number,
  SqlError
> =>
  Effect.map(
    store.db.run(
      `WITH RECURSIVE ${ofFunction(store, isDeferred(store))}
      UPDATE ${store.tables.tasks} t SET claimable_at = $2
        FROM found f WHERE t.ctid = f.ctid RETURNING 1`,
      [functionName, now, limit]
    ),
    (rows) => rows.length
  )

/** Takes what is due, in order of time; one-shots that are due get their start mark with the claim. */
import { Effect } from "effect"
import type { TaskRepositoryError } from "../../domain/Errors.ts"
import type { RunningTask, ScheduledTask, Task } from "../../domain/Task.ts"
import type { Claimed, ClaimRequest } from "../../ports/TaskRepository.ts"
import { longestHeldPayload } from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import { pausedNames } from "./controls.ts"
import type { Row } from "./Db.ts"
import { asStoreError } from "./Db.ts"
import type { Store } from "./Store.ts"
import { isAlive, isUnclaimed, isUnclaimedByTime, noteChanges, readTasks } from "./Store.ts"

/** Where a row goes that is due and cannot be read: after the end of time, so that it holds nothing up. */
const never = 9_007_199_254_740_991

const leastId = "00000000-0000-0000-0000-000000000000"

const dueColumns = "t.ctid, t.id, t.claimable_at, t.due_at, " +
  "t.schedule_id IS NULL AND t.attempt = 0 AND t.claimable_at <= $2 AND t.function_name <> ALL($7::text[]) " +
  "AND NOT EXISTS (SELECT 1 FROM paused p WHERE p.name = '' OR p.name = t.function_name) AS startable"

/** Nothing is claimed without a living lease, whichever way it is found. */
const lives = (store: Store): string =>
  `EXISTS (SELECT 1 FROM ${store.tables.instances} i WHERE i.id = $1 AND ${isAlive})`

const inOrder = "ORDER BY t.claimable_at, t.due_at, t.id"

/** By time: what is due first comes first, and an empty look reads one leaf. */
const byTime = (store: Store): string =>
  `due AS MATERIALIZED (
      SELECT ${dueColumns} FROM ${store.tables.tasks} t
      WHERE ${isUnclaimedByTime} AND t.claimable_at <= $3 AND ${lives(store)}
      ${inOrder} LIMIT $4 FOR UPDATE SKIP LOCKED
    )`

/** Lanes that one look steps through at the most. */
const mostLanes = 1_000

/**
 * By lane, that is, by priority and function: some of each that is not excluded. It steps from lane to lane, so that what
 * an excluded one holds costs nothing, however much that is; the highest priorities first.
 */
const byLane = (store: Store): string => {
  const { tasks } = store.tables
  const next = (after: string) =>
    `SELECT t.priority, t.function_name FROM ${tasks} t WHERE ${isUnclaimed} AND ${after}
        ORDER BY t.priority, t.function_name LIMIT 1`
  return `lanes AS (
      (${next("true")})
      UNION ALL
      SELECT n.* FROM lanes l CROSS JOIN LATERAL (
        ${next("(t.priority, t.function_name) > (l.priority, l.function_name)")}
      ) n
    ), chosen AS (
      SELECT *, count(*) OVER () AS lanes FROM (
        SELECT * FROM (SELECT * FROM lanes LIMIT ${mostLanes}) seen WHERE function_name <> ALL($8::text[])
      ) others WHERE ${lives(store)}
      ORDER BY priority DESC, function_name LIMIT $4
    ), due AS MATERIALIZED (
      SELECT share.* FROM chosen c CROSS JOIN LATERAL (
        SELECT ${dueColumns} FROM ${tasks} t
        WHERE t.priority = c.priority AND t.function_name = c.function_name AND ${isUnclaimed} AND t.claimable_at <= $3
        ${inOrder} LIMIT GREATEST(1, $4::bigint / c.lanes) FOR UPDATE SKIP LOCKED
      ) share
    )`
}

/**
 * One statement. What others have locked is passed over, so that no two claimers wait for each other; the materialized
 * part keeps the limit exact, and a locked row is found again by its place, whatever the planner thinks of a young
 * table. Long payloads stay where they are until the start mark.
 */
const statement = (store: Store, excludes: boolean): string => {
  const { tasks } = store.tables
  return `WITH ${excludes ? "RECURSIVE " : ""}paused AS MATERIALIZED (${pausedNames(store)}),
    ${excludes ? byLane(store) : byTime(store)}, numbered AS (
      SELECT ctid, startable AND count(*) FILTER (WHERE startable)
        OVER (ORDER BY claimable_at, due_at, id ROWS UNBOUNDED PRECEDING) <= $5 AS starts FROM due
    ), last AS (
      SELECT id, claimable_at, due_at FROM due ORDER BY claimable_at DESC, due_at DESC, id DESC LIMIT 1
    ), t AS (
      UPDATE ${tasks} t SET owner = $1, token = t.token + 1,
        status = CASE WHEN n.starts THEN 'Running' ELSE t.status END,
        attempt = t.attempt + n.starts::int,
        started_at = CASE WHEN n.starts THEN $2::bigint END
      FROM numbered n WHERE t.ctid = n.ctid RETURNING t.*
    ), started AS (SELECT id FROM t WHERE status = 'Running'),
    noted AS (${noteChanges(store, "'started'", "started", 6)})
    SELECT next.at, ${
    store.columns.replace(
      "t.payload",
      `CASE WHEN t.status = 'Running' OR octet_length(t.payload) <= ${longestHeldPayload} THEN t.payload END`
    )
  }
    FROM (SELECT ${excludes ? "NULL::bigint" : earliestLeft(store)} AS at) next
      LEFT JOIN t ON true ORDER BY t.claimable_at, t.due_at, t.id`
}

const earliestLeft = (store: Store): string =>
  `(SELECT t.claimable_at FROM ${store.tables.tasks} t
      WHERE ${isUnclaimedByTime} AND (t.claimable_at, t.due_at, t.id) >
        (COALESCE((SELECT claimable_at FROM last), ${-never}), COALESCE((SELECT due_at FROM last), ${-never}),
          COALESCE((SELECT id FROM last), '${leastId}'))
      ${inOrder} LIMIT 1)`

/** Rows that cannot be read are given back as they were, and never become due again by themselves. */
const quarantine = (store: Store, rows: ReadonlyArray<Row>, readable: ReadonlyArray<Task>) => {
  const known = new Set<unknown>(readable.map((task) => task.id))
  const ids = rows.flatMap(([id]) => known.has(id) ? [] : [id as string])
  return ids.length === 0 ? Effect.void : store.db.run(
    `UPDATE ${store.tables.tasks} SET owner = NULL, token = token + 1, claimable_at = ${never}, status = 'Scheduled',
      attempt = attempt - (status = 'Running')::int, started_at = NULL WHERE id = ANY($1::uuid[])`,
    [plain(ids)]
  )
}

export const claimTasks = (store: Store, request: ClaimRequest): Effect.Effect<Claimed, TaskRepositoryError> => {
  const { ahead, excludeFunctions, lease, limit, now, start = 0, unstartable = [] } = request
  const excludes = excludeFunctions.length > 0
  const params = [lease.instanceId, now, now + ahead, limit, start, store.boot, texts(unstartable)]
  return Effect.gen(function*() {
    const answer = yield* store.db.run(
      statement(store, excludes),
      excludes ? [...params, texts(excludeFunctions)] : params
    )
    const nextAt = answer[0]?.[0]
    const rows = answer.flatMap((row) => row[1] === null ? [] : [row.slice(1)])
    const tasks = yield* readTasks(store, rows)
    if (tasks.length < rows.length) yield* quarantine(store, rows, tasks)
    for (const task of tasks) if (task.status === "Running") store.log.append("started", task)
    return {
      // A payload that was left out came as NULL.
      tasks: tasks.map((task) =>
        (task.payload as string | null) === null ? { ...task as ScheduledTask, payload: undefined } : task as
          | ScheduledTask
          | RunningTask
      ),
      nextAt: typeof nextAt === "string" ? Number(nextAt) : undefined
    }
  }).pipe(asStoreError)
}

/**
 * Leases by the database's clock, and what becomes of the Tasks of those whose lease has ended. A lease is asked for on
 * a connection apart: a heartbeat that waited for work to end would lose it just when there is much work.
 */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import type { InstanceId, TaskId } from "../../domain/Ids.ts"
import type { RunningTask } from "../../domain/Task.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import type { Heartbeat, Held, Lease, Reaped, Reaping } from "../../ports/TaskRepository.ts"
import { plain } from "./arrays.ts"
import type { Row } from "./Db.ts"
import type { Store } from "./Store.ts"
import { isAlive, isHeld, readTasks } from "./Store.ts"

const millis = (instant: string) => `(extract(epoch FROM ${instant}) * 1000)::float8`

/** A hundred years: what a lease without end lasts. */
const longest: Millis = 3_155_760_000_000

const answer = (store: Store, changed: string) =>
  `WITH mine AS (${changed})
  SELECT ${millis("mine.expires_at")}, ${millis("clock_timestamp()")}, others.living, ${millis("others.next")},
    (SELECT COALESCE(sum(revision), 0)::float8 FROM ${store.tables.controls})
  FROM mine, (
    SELECT count(*) FILTER (WHERE ${isAlive})::int AS living, min(i.expires_at) AS next
    FROM ${store.tables.instances} i WHERE i.id <> $1
  ) others`

const heartbeat = (instanceId: InstanceId, row: Row): Heartbeat => ({
  instanceId,
  expiresAt: row[0] as number,
  storeNow: row[1] as number,
  others: row[2] as number,
  nextExpiry: row[3] === null ? undefined : row[3] as number,
  controlsRevision: row[4] as number
})

export const openLease = (
  store: Store,
  instanceId: InstanceId,
  duration: Millis
): Effect.Effect<Heartbeat, SqlError> =>
  Effect.map(
    store.db.runApart(
      answer(
        store,
        `INSERT INTO ${store.tables.instances} (id, expires_at)
        VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond') RETURNING expires_at`
      ),
      [instanceId, Math.min(duration, longest)]
    ),
    ([row]) => heartbeat(instanceId, row as Row)
  )

/** A lease that has ended is never revived. */
export const renewLease = (
  store: Store,
  { instanceId }: Lease,
  duration: Millis
): Effect.Effect<Heartbeat, SqlError | TaskRepositoryError> =>
  Effect.flatMap(
    store.db.runApart(
      answer(
        store,
        `UPDATE ${store.tables.instances} i SET expires_at = clock_timestamp() + $2 * interval '1 millisecond'
        WHERE i.id = $1 AND ${isAlive} RETURNING i.expires_at`
      ),
      [instanceId, Math.min(duration, longest)]
    ),
    ([row]): Effect.Effect<Heartbeat, TaskRepositoryError> =>
      row === undefined
        ? Effect.fail(
          new TaskRepositoryError({
            reason: "LeaseLost",
            message: `The lease of instance ${instanceId} has ended; open one with a new instance id.`
          })
        )
        : Effect.succeed(heartbeat(instanceId, row))
  )

export const isInstanceAlive = (store: Store, instanceId: InstanceId): Effect.Effect<boolean, SqlError> =>
  Effect.map(
    store.db.run(`SELECT 1 FROM ${store.tables.instances} i WHERE i.id = $1 AND ${isAlive}`, [instanceId]),
    (rows) => rows.length > 0
  )

export const closeLease = (store: Store, { instanceId }: Lease): Effect.Effect<void, SqlError> =>
  Effect.asVoid(store.db.run(`DELETE FROM ${store.tables.instances} WHERE id = $1`, [instanceId]))

/** What was taken over, as rows of the store's columns: running ones are orphans, all others are free again. */
const reaped = (store: Store, rows: ReadonlyArray<Row>): Effect.Effect<Reaped> => {
  const running = rows.filter(([, , status]) => status === "Running")
  return Effect.map(readTasks(store, running), (orphans) => ({
    released: rows.length - running.length,
    orphans: orphans as ReadonlyArray<RunningTask>
  }))
}

const takeOver = (store: Store, from: string, where: string): string =>
  `WITH t AS (
    UPDATE ${store.tables.tasks} t SET owner = CASE WHEN t.status = 'Running' THEN $1::uuid END, token = t.token + 1
    FROM ${from} WHERE ${where} RETURNING t.*
  ) SELECT ${store.columns} FROM t ORDER BY t.id`

/**
 * Frees what the dead hold. Leases that have ended are removed first: from then on no heartbeat that was under way can
 * bring one back, and an owner without a row is dead for good.
 */
export const reap = (store: Store, { instanceId }: Lease, limit: number): Effect.Effect<Reaping, SqlError> =>
  store.db.transact((run) =>
    Effect.gen(function*() {
      const { instances, tasks } = store.tables
      const ended = yield* run(`DELETE FROM ${instances} i WHERE NOT (${isAlive}) RETURNING i.id`)
      const taken = yield* run(
        takeOver(
          store,
          // Materialized: the limit is exact. In no order: sorted by id, all there is might be walked through.
          `(WITH found AS MATERIALIZED (
            SELECT t.id FROM ${tasks} t WHERE t.owner IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM ${instances} i WHERE i.id = t.owner)
            LIMIT $2 FOR UPDATE SKIP LOCKED
          ) SELECT id FROM found) dead`,
          "t.id = dead.id"
        ),
        [instanceId, limit]
      )
      return { ...yield* reaped(store, taken), ended: ended.length }
    })
  )

export const forgotten = (
  store: Store,
  { instanceId }: Lease,
  known: ReadonlySet<TaskId>
): Effect.Effect<ReadonlyArray<Held>, SqlError> =>
  Effect.map(
    store.db.run(
      `SELECT t.id, t.token FROM ${store.tables.tasks} t WHERE t.owner = $1
        AND NOT EXISTS (SELECT 1 FROM unnest($2::uuid[]) AS k(id) WHERE k.id = t.id)`,
      [instanceId, plain([...known])]
    ),
    (rows) => rows.map(([id, token]) => ({ id: id as TaskId, token: token as number }))
  )

const heldArrays = (held: ReadonlyArray<Held>): ReadonlyArray<string> => {
  const sorted = held.slice().sort((left, right) => left.id < right.id ? -1 : 1)
  return [plain(sorted.map(({ id }) => id)), plain(sorted.map(({ token }) => token))]
}

const isOurs = "t.id = u.id AND t.token = u.token AND (t.owner = $1) IS TRUE"

export const reconcile = (
  store: Store,
  { instanceId }: Lease,
  held: ReadonlyArray<Held>
): Effect.Effect<Reaped, SqlError> =>
  Effect.flatMap(
    store.db.run(
      takeOver(store, "unnest($2::uuid[], $3::int[]) AS u(id, token)", isOurs),
      [instanceId, ...heldArrays(held)]
    ),
    (rows) => reaped(store, rows)
  )

export const release = (
  store: Store,
  { instanceId }: Lease,
  held: ReadonlyArray<Held>,
  claimableAt: EpochMillis
): Effect.Effect<void, SqlError> =>
  held.length === 0 ? Effect.void : Effect.asVoid(store.db.run(
    `UPDATE ${store.tables.tasks} t SET owner = NULL, token = t.token + 1, claimable_at = GREATEST($4::bigint, t.due_at)
      FROM unnest($2::uuid[], $3::int[]) AS u(id, token)
      WHERE t.id = u.id AND t.token = u.token AND ${isHeld("$1", "Scheduled")}`,
    [instanceId, ...heldArrays(held), claimableAt]
  ))

/** Looks at the store from outside, past every proxy. */
import { Effect, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import pg from "pg"
import { ScheduleRow, TaskRow } from "./History.ts"

/** What an instance has in its name. */
export interface Holding {
  readonly id: string
  readonly owner: string
  readonly scheduleId: string | null
  readonly dueAt: number
  readonly status: "Scheduled" | "Running"
  /** Of the attempt that runs, or of the latest. */
  readonly attempt: number
}

export interface Observer {
  readonly tasks: Effect.Effect<ReadonlyArray<TaskRow>>
  readonly schedules: Effect.Effect<ReadonlyArray<ScheduleRow>>
  /** Ids of the instances whose lease has not ended. */
  readonly living: Effect.Effect<ReadonlySet<string>>
  readonly holdings: (instances: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Holding>>
  /** Every instance that has a lease or owns something: until when the one lasts, and whether it does the other. */
  readonly instances: Effect.Effect<ReadonlyArray<typeof InstanceRow.Type>>
  /** How many Tasks of these instances are locked by a transaction that is under way. */
  readonly locked: (instances: ReadonlyArray<string>) => Effect.Effect<number>
  /** How many Tasks are not over. */
  readonly unfinished: Effect.Effect<number>
  /** Ends connections of others to this database, each with this chance; answers how many. */
  readonly terminate: (share: number) => Effect.Effect<number>
}

const Integer = Schema.NumberFromString

// As the driver gives it: 64-bit integers as text.
const TaskColumns = Schema.Struct({
  ...TaskRow.fields,
  nominalAt: Integer,
  dueAt: Integer
})

const ScheduleColumns = Schema.Struct({ ...ScheduleRow.fields, cursor: Integer, missed: Integer })

const HoldingColumns = Schema.Struct({
  id: Schema.String,
  owner: Schema.String,
  scheduleId: Schema.NullOr(Schema.String),
  dueAt: Integer,
  status: Schema.Literal("Scheduled", "Running"),
  attempt: Schema.Number
})

const InstanceRow = Schema.Struct({
  id: Schema.String,
  /** Epoch milliseconds; `null` if the lease is gone. */
  expiresAt: Schema.NullOr(Schema.Number),
  owns: Schema.Boolean
})

/** A schema that nobody has made yet holds nothing. */
const undefinedTable = "42P01"

/** @param url of the server itself */
export const observe = (url: string, schema: string): Effect.Effect<Observer, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const pool = new pg.Pool({ connectionString: url, max: 2, application_name: "observer" })
        // The server may be killed under an idle connection; the next question opens another.
        pool.on("error", () => {})
        return pool
      }),
      (pool) => Effect.promise(() => pool.end())
    ),
    (pool): Observer => {
      /** Asked again as long as the server is away. */
      const ask = <A, I>(row: Schema.Schema<A, I>, text: string, params: ReadonlyArray<unknown> = []) =>
        Effect.tryPromise(() => pool.query(text, [...params])).pipe(
          Effect.map(({ rows }) => rows as ReadonlyArray<unknown>),
          Effect.catchIf(
            ({ cause }) => (cause as { readonly code?: unknown }).code === undefinedTable,
            () => Effect.succeed([])
          ),
          Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.intersect(Schedule.recurs(500)))),
          Effect.flatMap(Schema.decodeUnknown(Schema.Array(row))),
          Effect.orDie
        )
      const Count = Schema.Struct({ count: Integer })
      const Id = Schema.Struct({ id: Schema.String })
      const ids = (rows: ReadonlyArray<typeof Id.Type>): ReadonlySet<string> => new Set(rows.map(({ id }) => id))
      return {
        tasks: ask(
          TaskColumns,
          `SELECT t.id, t.name, t.status, t.owner, t.schedule_id AS "scheduleId", t.nominal_at AS "nominalAt",
            t.due_at AS "dueAt",
            COALESCE((SELECT json_agg(json_build_object('number', a.number, 'outcome', a.outcome) ORDER BY a.number)
              FROM "${schema}".task_attempts a WHERE a.task_id = t.id), '[]'::json)::jsonb
            || CASE WHEN t.status = 'Running' THEN jsonb_build_array(jsonb_build_object('number', t.attempt, 'outcome', NULL))
              ELSE '[]'::jsonb END AS attempts,
            CASE WHEN t.skipped LIKE '{%' THEN
              json_build_object('reason', t.skipped::json->>'reason', 'count', COALESCE((t.skipped::json->>'count')::int, 1))
              WHEN t.skipped IS NOT NULL THEN json_build_object('reason', t.skipped, 'count', 1) END AS skip
          FROM "${schema}".tasks t ORDER BY t.id`
        ),
        schedules: ask(
          ScheduleColumns,
          `SELECT id, name, recurrence::json, cursor, missed FROM "${schema}".task_schedules`
        ),
        living: Effect.map(
          ask(Id, `SELECT id FROM "${schema}".instances WHERE expires_at > clock_timestamp()`),
          ids
        ),
        holdings: (instances) =>
          ask(
            HoldingColumns,
            `SELECT id, owner, schedule_id AS "scheduleId", due_at AS "dueAt", status, attempt
            FROM "${schema}".tasks WHERE owner = ANY($1::uuid[]) AND finished_at IS NULL ORDER BY id`,
            [instances]
          ),
        instances: ask(
          InstanceRow,
          `SELECT COALESCE(i.id, o.id) AS id, (extract(epoch FROM i.expires_at) * 1000)::float8 AS "expiresAt",
            o.id IS NOT NULL AS owns
          FROM "${schema}".instances i
          FULL JOIN (SELECT DISTINCT owner AS id FROM "${schema}".tasks WHERE owner IS NOT NULL) o ON o.id = i.id`
        ),
        locked: (instances) =>
          Effect.map(
            ask(
              Count,
              `WITH free AS (SELECT id FROM "${schema}".tasks WHERE owner = ANY($1::uuid[]) FOR UPDATE SKIP LOCKED)
              SELECT count(*) - (SELECT count(*) FROM free) AS count FROM "${schema}".tasks WHERE owner = ANY($1::uuid[])`,
              [instances]
            ),
            ([row]) => row?.count ?? 0
          ),
        unfinished: Effect.map(
          ask(Count, `SELECT count(*) FROM "${schema}".tasks WHERE finished_at IS NULL`),
          ([row]) => row?.count ?? 0
        ),
        terminate: (share) =>
          Effect.map(
            ask(
              Count,
              `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name <> 'observer' AND backend_type = 'client backend'
                AND random() < $1`,
              [share]
            ),
            ([row]) => row?.count ?? 0
          )
      }
    }
  )

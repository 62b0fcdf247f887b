/**
 * The store's history, one entry a version, applied in order and never changed once released. A change comes in three
 * steps, so that the version before goes on working beside it: expand (add), migrate (fill), contract (remove, in a
 * later release). `readableFrom` is the oldest program version that may use a store of this version.
 */
import { table } from "./SchemaName.ts"

export interface Migration {
  readonly version: number
  readonly readableFrom: number
  readonly statements: (schema: string) => ReadonlyArray<string>
}

// Instants are epoch milliseconds in bigint: exact, and compared without a time zone. Leases alone are timestamps,
// because the database's clock judges them.
const first = (schema: string): ReadonlyArray<string> => [
  `CREATE TABLE ${table(schema, "instances")} (
    id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
  )`,
  `CREATE TABLE ${table(schema, "task_schedules")} (
    id uuid PRIMARY KEY,
    v smallint NOT NULL,
    name text NOT NULL,
    function_name text NOT NULL,
    function text NOT NULL,
    payload text NOT NULL,
    tags jsonb,
    retry text NOT NULL,
    recurrence text NOT NULL,
    max_runs bigint,
    created_at bigint NOT NULL,
    status text NOT NULL,
    revision integer NOT NULL,
    cursor bigint NOT NULL,
    runs bigint NOT NULL,
    missed bigint NOT NULL
  ) WITH (fillfactor = 70)`,
  `CREATE INDEX task_schedules_name ON ${table(schema, "task_schedules")} (name, id)`,
  `CREATE INDEX task_schedules_function ON ${table(schema, "task_schedules")} (function_name, id)`,
  `CREATE TABLE ${table(schema, "tasks")} (
    id uuid PRIMARY KEY,
    v smallint NOT NULL,
    status text NOT NULL,
    name text NOT NULL,
    function_name text NOT NULL,
    function text NOT NULL,
    payload text NOT NULL,
    tags jsonb,
    retry text NOT NULL,
    schedule_id uuid,
    origin text,
    created_at bigint NOT NULL,
    nominal_at bigint NOT NULL,
    due_at bigint NOT NULL,
    claimable_at bigint NOT NULL,
    owner uuid,
    token integer NOT NULL,
    attempt integer NOT NULL,
    started_at bigint,
    finished_at bigint,
    result text,
    result_encoding text,
    failure text,
    skipped text
  ) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_analyze_threshold = 1000,
    autovacuum_vacuum_cost_delay = 1
  )`,
  // Led by the time: an empty poll reads one leaf, however much waits for later.
  `CREATE INDEX tasks_claimable ON ${table(schema, "tasks")} (claimable_at, id)
    WHERE owner IS NULL AND finished_at IS NULL`,
  `CREATE INDEX tasks_owned ON ${table(schema, "tasks")} (owner) WHERE owner IS NOT NULL`,
  `CREATE INDEX tasks_finished ON ${table(schema, "tasks")} (finished_at, id) WHERE finished_at IS NOT NULL`,
  `CREATE UNIQUE INDEX tasks_occurrence ON ${table(schema, "tasks")} (schedule_id, origin, nominal_at)
    WHERE schedule_id IS NOT NULL`,
  `CREATE INDEX tasks_live_of_schedule ON ${table(schema, "tasks")} (schedule_id)
    WHERE schedule_id IS NOT NULL AND finished_at IS NULL`,
  `CREATE INDEX tasks_name ON ${table(schema, "tasks")} (name, id)`,
  // Most Tasks are called as their function is: those are found by their name, and cost no second index.
  `CREATE INDEX tasks_function ON ${table(schema, "tasks")} (function_name, id) WHERE name <> function_name`,
  `CREATE TABLE ${table(schema, "task_attempts")} (
    task_id uuid NOT NULL,
    number integer NOT NULL,
    token integer NOT NULL,
    owner uuid NOT NULL,
    started_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    outcome text NOT NULL,
    error text,
    request_id text,
    executed_version text,
    log_tail text,
    PRIMARY KEY (task_id, number)
  ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1)`,
  `CREATE TABLE ${table(schema, "idempotency_keys")} (
    key text PRIMARY KEY,
    digest text NOT NULL,
    made_id uuid NOT NULL,
    ends_at bigint
  )`,
  `CREATE INDEX idempotency_keys_made ON ${table(schema, "idempotency_keys")} (made_id)`,
  `CREATE INDEX idempotency_keys_ending ON ${table(schema, "idempotency_keys")} (ends_at) WHERE ends_at IS NOT NULL`,
  // One row a statement, for other instances to learn what changed; kept for minutes.
  `CREATE TABLE ${table(schema, "task_changes")} (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    instance uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kinds text[] NOT NULL,
    ids uuid[] NOT NULL,
    PRIMARY KEY (xid, id)
  )`,
  `CREATE TABLE ${table(schema, "lambda_functions")} (
    name text PRIMARY KEY,
    v smallint NOT NULL,
    settings text NOT NULL,
    zip bytea NOT NULL,
    code_sha256 text NOT NULL,
    revision bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
  )`
]

/** Priorities, lanes, dead letters that are repeated, and what instances agree on about functions. */
const second = (schema: string): ReadonlyArray<string> => [
  `ALTER TABLE ${table(schema, "tasks")}
    ADD COLUMN priority smallint NOT NULL DEFAULT 0,
    ADD COLUMN redrive_of uuid,
    ADD COLUMN redriven_as uuid`,
  `ALTER TABLE ${table(schema, "task_schedules")} ADD COLUMN priority smallint NOT NULL DEFAULT 0`,
  // Steps from lane to lane, however much one of them holds.
  `CREATE INDEX tasks_lanes ON ${table(schema, "tasks")} (priority, function_name, claimable_at, due_at, id)
    WHERE owner IS NULL AND finished_at IS NULL`,
  // What has waited for one instant together goes on in the order in which it was due.
  `CREATE INDEX tasks_next ON ${table(schema, "tasks")} (claimable_at, due_at, id)
    WHERE owner IS NULL AND finished_at IS NULL AND token >= 0`,
  `DROP INDEX ${table(schema, "tasks_claimable")}`,
  // Dead letters are kept longer than the rest: whoever prunes one kind is not to walk over the other.
  `CREATE INDEX tasks_ended ON ${table(schema, "tasks")} (finished_at, id)
    WHERE finished_at IS NOT NULL AND status <> 'Failed'`,
  `CREATE INDEX tasks_failed ON ${table(schema, "tasks")} (finished_at, id) WHERE status = 'Failed'`,
  `CREATE INDEX tasks_dead_letters ON ${table(schema, "tasks")} (id) WHERE status = 'Failed'`,
  `DROP INDEX ${table(schema, "tasks_finished")}`,
  // What is known of a function, or of all (name ''): its breaker, its cap.
  `CREATE TABLE ${table(schema, "controls")} (
    kind text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    revision bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
  )`,
  // Who runs under a cap. One counts as long as the Task runs under this owner's living lease.
  `CREATE TABLE ${table(schema, "permits")} (
    name text NOT NULL,
    task_id uuid NOT NULL,
    owner uuid NOT NULL,
    PRIMARY KEY (name, task_id)
  )`
]

/** Policies of schedules, pauses, and occurrences that are made by hand. */
const third = (schema: string): ReadonlyArray<string> => [
  `ALTER TABLE ${table(schema, "tasks")} ADD COLUMN overlap text`,
  `ALTER TABLE ${table(schema, "task_schedules")}
    ADD COLUMN overlap text,
    ADD COLUMN catch_up text,
    ADD COLUMN pause_after integer,
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN pause text`,
  // What is live of a schedule, by what made it and in its order.
  `CREATE INDEX tasks_live_occurrences ON ${table(schema, "tasks")} (schedule_id, origin, nominal_at)
    WHERE schedule_id IS NOT NULL AND finished_at IS NULL`,
  `DROP INDEX ${table(schema, "tasks_live_of_schedule")}`,
  `CREATE TABLE ${table(schema, "backfills")} (
    id uuid PRIMARY KEY,
    v smallint NOT NULL,
    schedule_id uuid NOT NULL,
    from_at bigint NOT NULL,
    to_at bigint NOT NULL,
    concurrency integer,
    total integer NOT NULL,
    created_at bigint NOT NULL,
    cancelled_at bigint
  )`,
  `CREATE INDEX backfills_of_schedule ON ${table(schema, "backfills")} (schedule_id, id)`
]

export const migrations: ReadonlyArray<Migration> = [
  { version: 1, readableFrom: 1, statements: first },
  { version: 2, readableFrom: 1, statements: second },
  { version: 3, readableFrom: 1, statements: third }
]

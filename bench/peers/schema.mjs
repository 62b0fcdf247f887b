/** Our store's tables, in one place: what the floor writes to. */

export const columns = {
  id: "uuid PRIMARY KEY",
  v: "smallint NOT NULL",
  status: "text NOT NULL",
  name: "text NOT NULL",
  function_name: "text NOT NULL",
  function: "text NOT NULL",
  payload: "text NOT NULL",
  tags: "jsonb",
  retry: "text NOT NULL",
  schedule_id: "uuid",
  origin: "text",
  created_at: "bigint NOT NULL",
  nominal_at: "bigint NOT NULL",
  due_at: "bigint NOT NULL",
  claimable_at: "bigint NOT NULL",
  owner: "uuid",
  token: "integer NOT NULL",
  attempt: "integer NOT NULL",
  started_at: "bigint",
  finished_at: "bigint",
  result: "text",
  result_encoding: "text",
  failure: "text",
  skipped: "text"
}

export const indexes = {
  tasks_due: "INDEX tasks_due ON tasks (claimable_at, id) WHERE owner IS NULL AND finished_at IS NULL",
  tasks_name: "INDEX tasks_name ON tasks (name, id)",
  tasks_function: "INDEX tasks_function ON tasks (function_name, id) WHERE name <> function_name",
  tasks_occurrence:
    "UNIQUE INDEX tasks_occurrence ON tasks (schedule_id, origin, nominal_at) WHERE schedule_id IS NOT NULL",
  tasks_owner: "INDEX tasks_owner ON tasks (owner) WHERE owner IS NOT NULL",
  tasks_finished: "INDEX tasks_finished ON tasks (finished_at, id) WHERE finished_at IS NOT NULL"
}

const attempts = `CREATE TABLE task_attempts (
  task_id uuid NOT NULL,
  number integer NOT NULL,
  token integer NOT NULL,
  owner uuid NOT NULL,
  started_at bigint NOT NULL,
  ended_at bigint,
  outcome text,
  error text,
  request_id text,
  executed_version text,
  log_tail text,
  PRIMARY KEY (task_id, number)
)`

/** The statements that make the tables; `change` is for measuring other shapes. */
export const ddl = (change = {}) => [
  `CREATE TABLE tasks (${
    Object.entries({ ...columns, ...change.columns }).map(([name, type]) => `"${name}" ${type}`).join(", ")
  }) WITH (fillfactor = ${change.fillfactor ?? 80})`,
  ...Object.values({ ...indexes, ...change.indexes }).filter((index) => index !== undefined).map((index) => `CREATE ${index}`),
  attempts
]

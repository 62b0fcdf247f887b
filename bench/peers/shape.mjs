/**
 * What each index, column type and fill factor of our tables costs the floor.
 *
 *     node bench/peers/shape.mjs [--rows N] [--runs N] [--pending N] [--only WORD]... [--json]
 *
 * The variants take turns, so that a busy moment of the machine does not fall on one of them alone.
 */
import { parseArgs } from "node:util"
import pg from "pg"
import { coalesced, connect, createTables, drain, statements, uuidv7 } from "./floor.mjs"
import { fromCallers, inChunks, quantile, stopwatch } from "./measure.mjs"
import { freshDatabase, startPostgres } from "./postgres.mjs"
import { columns, indexes } from "./schema.mjs"

const { values: options } = parseArgs({
  options: {
    rows: { type: "string", default: "20000" },
    runs: { type: "string", default: "3" },
    pending: { type: "string", default: "0" },
    only: { type: "string", multiple: true },
    json: { type: "boolean", default: false }
  }
})
const rows = Number(options.rows)
const pending = Number(options.pending)

const without = (...names) => ({ indexes: Object.fromEntries(names.map((name) => [name, undefined])) })

/** Nothing that a claim changes is in an index or its predicate: with room on the page the claim touches no index (HOT). */
const hot = {
  indexes: {
    tasks_owner: undefined,
    tasks_due: "INDEX tasks_due ON tasks (claimable_at, id) WHERE finished_at IS NULL"
  }
}

const replaced = (statement, from, to) => ({ ...statement, text: statement.text.replace(from, to) })

/** The row that was locked is found again by its place instead of its id. */
const byCtid = (sql) => ({
  ...sql,
  claim: replaced(replaced(sql.claim, "SELECT id FROM", "SELECT ctid FROM"), "t.id = due.id", "t.ctid = due.ctid")
})

const noAttempt = (sql) => ({
  ...sql,
  settle: replaced(sql.settle, /INSERT INTO task_attempts[^]*$/, "SELECT id, $6::uuid FROM settled")
})

const recurring = { row: () => ({ scheduleId: schedule, origin: "origin" }) }
const schedule = uuidv7()

const manyNames = { row: () => ({ name: `name-${Math.floor(Math.random() * 1000)}` }) }

const json = (functionBytes, retryBytes) => ({
  row: () => ({ function: `{"a":"${"x".repeat(functionBytes - 8)}"}`, retry: `{"a":"${"x".repeat(retryBytes - 8)}"}` })
})

const instants = ["created_at", "nominal_at", "due_at", "claimable_at", "started_at", "finished_at"]
const timestamps = {
  columns: Object.fromEntries(instants.map((name) => [name, columns[name].replace("bigint", "timestamptz")])),
  attempts: "ALTER started_at TYPE timestamptz USING null, ALTER ended_at TYPE timestamptz USING null",
  instant: (parameter) => `to_timestamp(${parameter}::bigint / 1000.0)`,
  inserted: Object.fromEntries(
    [["created_at", "created"], ["nominal_at", "due"], ["due_at", "due"], ["claimable_at", "due"]].map(([column, field]) => [
      column,
      ["timestamptz", (row) => new Date(row[field]).toISOString()]
    ])
  )
}

const variants = {
  "as planned": {},
  "without tasks_due": { ...without("tasks_due"), insertOnly: true },
  ...Object.fromEntries(Object.keys(indexes).slice(1).map((name) => [`without ${name}`, without(name)])),
  "without name, function": without("tasks_name", "tasks_function"),
  "only tasks_due": without(...Object.keys(indexes).slice(1)),
  "recurring (schedule_id set)": recurring,
  "recurring, without tasks_occurrence": { ...recurring, ...without("tasks_occurrence") },
  "1,000 names": manyNames,
  "1,000 names, without name, function": { ...manyNames, ...without("tasks_name", "tasks_function") },
  "fillfactor 100": { fillfactor: 100 },
  "fillfactor 50": { fillfactor: 50 },
  "HOT claim, fillfactor 100": { ...hot, fillfactor: 100 },
  "HOT claim, fillfactor 80": { ...hot },
  "HOT claim, fillfactor 50": { ...hot, fillfactor: 50 },
  "HOT claim, fillfactor 60": { ...hot, fillfactor: 60 },
  "HOT claim, fillfactor 50, claim by ctid": { ...hot, fillfactor: 50, sql: byCtid },
  "HOT claim, fillfactor 50, without name, function": {
    indexes: { ...hot.indexes, tasks_name: undefined, tasks_function: undefined },
    fillfactor: 50
  },
  "HOT claim, fillfactor 50, no attempt row": { ...hot, fillfactor: 50, sql: noAttempt },
  "no attempt row": { sql: noAttempt },
  "claim by ctid": { sql: byCtid },
  "name, function in due order (name, due_at, id)": {
    indexes: {
      tasks_name: "INDEX tasks_name ON tasks (name, due_at, id)",
      tasks_function: "INDEX tasks_function ON tasks (function_name, due_at, id)"
    }
  },
  "id text": {
    columns: { id: "text PRIMARY KEY" },
    inserted: { id: ["text", (row) => row.id] },
    id: "text",
    attempts: "ALTER task_id TYPE text"
  },
  "status smallint": {
    columns: { status: "smallint NOT NULL" },
    status: { Scheduled: "0::smallint", Running: "1::smallint", Succeeded: "2::smallint" }
  },
  "timestamptz instants": timestamps,
  "payload jsonb": { columns: { payload: "jsonb NOT NULL" }, inserted: { payload: ["jsonb", (row) => row.payload] } },
  "all json jsonb": {
    columns: { payload: "jsonb NOT NULL", function: "jsonb NOT NULL", retry: "jsonb NOT NULL" },
    inserted: {
      payload: ["jsonb", (row) => row.payload],
      function: ["jsonb", (row) => row.function ?? '{"a":"' + "x".repeat(132) + '"}'],
      retry: ["jsonb", (row) => row.retry ?? '{"a":"' + "x".repeat(52) + '"}']
    }
  },
  "function + retry 20 bytes": json(12, 8),
  "function + retry 200 bytes": json(140, 60),
  "function + retry 1000 bytes": json(800, 200)
}

const payload = JSON.stringify({ text: "x".repeat(189) })

const makeRow = (variant, due) => ({
  id: uuidv7(),
  payload,
  created: Date.now(),
  due,
  ...variant.row?.()
})

const walPosition = async (client) =>
  Number((await client.query("SELECT pg_current_wal_insert_lsn() - '0/0' AS bytes")).rows[0].bytes)

/** Rows a second, the database's CPU and write-ahead log for each row. */
const measured = async (server, client, count, work) => {
  const wal = await walPosition(client)
  const stop = stopwatch(server.pid)
  await work()
  const { database, seconds } = stop()
  return { rate: count / seconds, cpu: (database * 1e6) / count, wal: ((await walPosition(client)) - wal) / count }
}

const bulk = async (clients, statement, count, row) => {
  const client = clients[0]
  await inChunks(count, 1000, (from, to) => {
    const values = statement.values(Array.from({ length: to - from }, (_, n) => row(from + n)))
    return client.query({ name: statement.name, text: statement.text, values })
  })
}

const runOnce = async (server, variant) => {
  const connection = await freshDatabase(server.connection, "shape")
  const clients = await Promise.all([connect(connection), connect(connection)])
  const admin = new pg.Client(connection)
  await admin.connect()
  const sql = (variant.sql ?? ((all) => all))(statements(variant))
  const reset = async () => {
    await admin.query("DROP TABLE IF EXISTS tasks, task_attempts")
    await createTables(admin, variant)
    if (variant.attempts !== undefined) await admin.query(`ALTER TABLE task_attempts ${variant.attempts}`)
    // Its moment of work would fall on one variant or another.
    await admin.query("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    await bulk(clients, sql.insert, pending, (n) => makeRow(variant, Date.now() + 86_400_000 + n))
    await admin.query("CHECKPOINT")
  }
  try {
    const due = Date.now() + 3_600_000
    const result = {}
    const insert = (callers, count) => {
      const one = coalesced(clients, sql)
      return fromCallers(count, callers, (n) => one(makeRow(variant, due + n)))
    }
    await reset()
    await insert(64, 500)
    result.insert64 = await measured(server, admin, rows / 4, () => insert(64, rows / 4))
    result.insert1000 = await measured(server, admin, rows, () => insert(1000, rows))
    await reset()
    result.bulk = await measured(server, admin, rows, () => bulk(clients, sql.insert, rows, (n) => makeRow(variant, due + n)))
    if (!variant.insertOnly) {
      await reset()
      const past = Date.now() - 1000 - rows
      await bulk(clients, sql.insert, rows, (n) => makeRow(variant, past + n))
      await admin.query("VACUUM ANALYZE tasks")
      await admin.query("CHECKPOINT")
      let settled = 0
      result.drain = await measured(server, admin, rows, async () => {
        const each = await Promise.all(clients.map((client) => drain(client, sql, () => undefined)))
        settled = each[0] + each[1]
      })
      if (settled !== rows) throw new Error(`${settled} settled of ${rows}`)
      for (const client of clients) await client.query("SELECT pg_stat_force_next_flush()")
      const [{ hot, bytes }] = (await admin.query(`SELECT pg_total_relation_size('tasks') AS bytes,
        (SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tasks') AS hot`)).rows
      result.after = { hot: Number(hot) / rows, bytes: Number(bytes) / (rows + pending) }
    }
    return result
  } finally {
    await Promise.all([...clients, admin].map((client) => client.end()))
  }
}

const chosen = Object.entries(variants).filter(([name]) =>
  options.only === undefined || options.only.some((word) => name.includes(word))
)
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))
const server = await startPostgres()
const results = new Map(chosen.map(([name]) => [name, []]))
try {
  for (let run = 0; run < Number(options.runs); run++) {
    for (const [name, variant] of chosen) {
      results.get(name).push(await runOnce(server, variant))
      process.stderr.write(".")
    }
  }
} finally {
  await server.stop()
}
process.stderr.write("\n")

const middle = (runs, test, field) => {
  const values = runs.map((run) => run[test]?.[field]).filter((value) => value !== undefined)
  return values.length === 0 ? undefined : quantile(values, 0.5)
}
const tests = { insert64: ["rate", "cpu"], insert1000: ["rate", "cpu"], bulk: ["rate", "cpu", "wal"], drain: ["rate", "cpu", "wal"], after: ["hot", "bytes"] }
const heads = Object.entries(tests).flatMap(([test, fields]) => fields.map((field) => `${test} ${field}`))
if (!options.json) console.log(`| variant | ${heads.join(" | ")} |\n|${"---|".repeat(heads.length + 1)}`)
for (const [name, runs] of results) {
  const cells = Object.entries(tests).flatMap(([test, fields]) => fields.map((field) => [`${test} ${field}`, middle(runs, test, field)]))
  if (options.json) console.log(JSON.stringify({ variant: name, ...Object.fromEntries(cells) }))
  else console.log(`| ${name} | ${cells.map(([head, value]) => value?.toFixed(head.endsWith("hot") ? 2 : 0) ?? "").join(" | ")} |`)
}

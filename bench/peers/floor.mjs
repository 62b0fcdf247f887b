/**
 * The floor: what PostgreSQL can do with rows of our shape when nothing but `pg` stands before it. Two connections; one
 * statement in flight on each. Whoever schedules one at a time while both are busy goes into the next statement.
 */
import { randomBytes, randomUUID } from "node:crypto"
import pg from "pg"
import { now, sleep } from "./measure.mjs"
import { ddl } from "./schema.mjs"

const connections = 2
const claimSize = 500
/** As long as this nothing is asked for, unless something is due earlier. */
const idlePoll = 500

/** A UUIDv7: ids that are made one after the other lie beside each other in an index. */
export const uuidv7 = () => {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(Date.now(), 0, 6)
  bytes[6] = 0x70 | (bytes[6] & 0x0f)
  bytes[8] = 0x80 | (bytes[8] & 0x3f)
  const hex = bytes.toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const functionJson = JSON.stringify({ v: 1, timeout: 900_000 })
const retryJson = JSON.stringify({ v: 1 })

/** What a caller gives for a new Task; the other columns of a new row are constants. */
const inserted = {
  id: ["uuid", (row) => row.id],
  name: ["text", (row) => row.name ?? "noop"],
  function_name: ["text", () => "noop"],
  function: ["text", (row) => row.function ?? functionJson],
  payload: ["text", (row) => row.payload],
  tags: ["jsonb", () => null],
  retry: ["text", (row) => row.retry ?? retryJson],
  schedule_id: ["uuid", (row) => row.scheduleId ?? null],
  origin: ["text", (row) => row.origin ?? null],
  created_at: ["bigint", (row) => row.created],
  nominal_at: ["bigint", (row) => row.due],
  due_at: ["bigint", (row) => row.due],
  claimable_at: ["bigint", (row) => row.due]
}

/** The statements; `change` is for measuring other shapes. */
export const statements = (change = {}) => {
  const parameters = { ...inserted, ...change.inserted }
  const names = Object.keys(parameters)
  const status = (name) => change.status?.[name] ?? `'${name}'`
  const instant = change.instant ?? ((parameter) => `${parameter}::bigint`)
  const id = change.id ?? "uuid"
  return {
    insert: {
      name: "insert",
      text: `INSERT INTO tasks (${names.map((name) => `"${name}"`).join(", ")}, v, status, token, attempt)
        SELECT u.*, 1, ${status("Scheduled")}, 0, 0
        FROM unnest(${names.map((name, n) => `$${n + 1}::${parameters[name][0]}[]`).join(", ")}) u
        ON CONFLICT DO NOTHING RETURNING id`,
      values: (rows) => Object.values(parameters).map(([, valueOf]) => rows.map(valueOf))
    },
    // Two claims at once skip each other's rows instead of waiting for them.
    claim: {
      name: "claim",
      text: `WITH due AS (
          SELECT id FROM tasks WHERE owner IS NULL AND finished_at IS NULL AND claimable_at <= ${instant("$2")}
          ORDER BY claimable_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
        UPDATE tasks t SET status = ${status("Running")}, owner = $1, token = t.token + 1, attempt = t.attempt + 1,
          started_at = ${instant("$2")}
        FROM due WHERE t.id = due.id
        RETURNING t.id, t.name, t.function, t.payload, t.retry, t.due_at, t.token, t.attempt`
    },
    // Only what is still held under the token that it was claimed with: each claim counts it up. And the attempt's history
    // with it. The owner is not compared: the planner, which has never seen an owner in its statistics, would expect to
    // find one row by it and read all that this owner holds for each Task that it settles.
    settle: {
      name: "settle",
      text: `WITH u AS (SELECT * FROM unnest($1::${id}[], $2::integer[], $3::text[], $4::text[]) u(id, token, result, request_id)),
        settled AS (
          UPDATE tasks t SET status = ${status("Succeeded")}, owner = NULL, finished_at = ${instant("$5")}, result = u.result,
            result_encoding = 'utf8'
          FROM u WHERE t.id = u.id AND t.token = u.token
          RETURNING t.id, t.attempt, t.token, t.started_at, u.request_id)
        INSERT INTO task_attempts (task_id, number, token, owner, started_at, ended_at, outcome, request_id)
        SELECT id, attempt, token, $6, started_at, ${instant("$5")}, 'succeeded', request_id FROM settled RETURNING task_id`
    }
  }
}

/** Creates the tables in a fresh database. */
export const createTables = async (client, change) => {
  for (const statement of ddl(change)) await client.query(statement)
}

export const connect = async (connection) => {
  // The same plan whatever the size of the tables: by index. Left to itself the planner reads all of a small table.
  const plan = ["plan_cache_mode=force_generic_plan", "enable_seqscan=off", "enable_hashjoin=off", "enable_mergejoin=off"]
  const client = new pg.Client({ ...connection, options: plan.map((setting) => `-c ${setting}`).join(" ") })
  await client.connect()
  return client
}

/** Inserts rows one at a time for many callers: what comes while all clients are busy goes into one statement. */
export const coalesced = (clients, { insert }, maximum = 1000) => {
  const idle = [...clients]
  let queue = []
  const flush = async () => {
    if (queue.length === 0) return
    const client = idle.pop()
    if (client === undefined) return
    const batch = queue.splice(0, maximum)
    try {
      await client.query({ name: insert.name, text: insert.text, values: insert.values(batch.map(({ row }) => row)) })
      for (const { resolve } of batch) resolve()
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    idle.push(client)
    void flush()
  }
  return (row) =>
    new Promise((resolve, reject) => {
      // The callers whose answers came together ask together as well: after this turn they are all in the queue.
      if (queue.push({ row, resolve, reject }) === 1) setImmediate(flush)
    })
}

/** Claims what is due, hands each row to `handler`, settles all. Ends when nothing is due, unless told how to go on. */
export const drain = async (client, { claim, settle }, handler, { owner = randomUUID(), size = claimSize, whenIdle } = {}) => {
  let settled = 0
  for (;;) {
    const { rows } = await client.query({ name: claim.name, text: claim.text, values: [owner, Date.now(), size] })
    if (rows.length === 0) {
      if (whenIdle === undefined || !(await whenIdle())) return settled
      continue
    }
    for (const row of rows) handler(row)
    const values = [
      rows.map(({ id }) => id),
      rows.map(({ token }) => token),
      rows.map(() => "null"),
      rows.map(() => randomUUID()),
      Date.now(),
      owner
    ]
    const answer = await client.query({ name: settle.name, text: settle.text, values })
    if (answer.rowCount !== rows.length) throw new Error(`${answer.rowCount} settled of ${rows.length}`)
    settled += rows.length
  }
}

const rowOf = ({ data, due }) => ({ id: uuidv7(), payload: JSON.stringify(data), created: Date.now(), due: Math.floor(due) })

/** When the next row is due that nobody works on. */
const nextDue = {
  name: "next-due",
  text: "SELECT claimable_at FROM tasks WHERE owner IS NULL AND finished_at IS NULL ORDER BY claimable_at, id LIMIT 1"
}

/** The floor among the peers: what each of them offers, see `peers.mjs`. */
export const open = async (connection) => {
  const clients = await Promise.all(Array.from({ length: connections }, () => connect(connection)))
  const sql = statements()
  const one = coalesced(clients, sql)
  let closing = false
  let loops = []
  return {
    setup: () => createTables(clients[0]),
    insertOne: (job) => one(rowOf(job)),
    bulkSize: 1000,
    insertBulk: (jobs) => {
      const { insert } = sql
      return clients[0].query({ name: insert.name, text: insert.text, values: insert.values(jobs.map(rowOf)) })
    },
    settled: () => clients[0].query("VACUUM ANALYZE tasks"),
    work: async (handler) => {
      loops = clients.map((client) =>
        drain(client, sql, (row) => handler(JSON.parse(row.payload)), {
          whenIdle: async () => {
            const { rows: [next] } = await client.query(nextDue)
            const wait = next === undefined ? idlePoll : Math.min(idlePoll, Number(next.claimable_at) - now())
            if (!closing) await sleep(Math.max(0, Math.ceil(wait)))
            return !closing
          }
        })
      )
    },
    unfinished: async () => {
      const { rows: [{ count }] } = await clients[0].query({
        text: "SELECT count(*) FROM tasks WHERE finished_at IS NULL AND claimable_at <= $1",
        values: [Date.now()]
      })
      return Number(count)
    },
    close: async () => {
      closing = true
      await Promise.all(loops)
      await Promise.all(clients.map((client) => client.end()))
    }
  }
}

/** pg-boss: a job is one row, kept when it is completed (for seven days unless told otherwise). */
import pg from "pg"
import { PgBoss } from "pg-boss"

/** Half a second is the shortest interval that pg-boss polls at. */
const polling = { pollingIntervalSeconds: 0.5, burstWhenBatchFull: true }
const settings = {
  drain: { ...polling, batchSize: 1000, localConcurrency: 2 },
  lateness: { ...polling, batchSize: 500 },
  throttled: { ...polling, batchSize: 10, localConcurrency: 10, perJobResults: true },
  outage: { ...polling, batchSize: 10, localConcurrency: 10, perJobResults: true }
}

/** From half to all of 1 s, 2 s, 4 s ... 60 s; 10 attempts. */
const retries = { retryLimit: 9, retryDelay: 1, retryBackoff: true, retryDelayMax: 60 }

/** Each job of a batch ends as it ends, not all as the first that fails. */
const settle = (handler) => async (jobs) => {
  const results = await Promise.allSettled(jobs.map(({ data }) => handler(data)))
  return results.map(({ status }, n) => ({ id: jobs[n].id, status: status === "fulfilled" ? "completed" : "failed" }))
}

export const open = async (connection) => {
  const pool = new pg.Pool({ ...connection, max: 2 })
  const boss = new PgBoss({ ...connection, max: 20, supervise: false, schedule: false })
  boss.on("error", (error) => console.error(`pg-boss: ${error.message}`))
  boss.on("warning", () => undefined)
  await boss.start()
  return {
    setup: () => boss.createQueue("bench"),
    insertOne: ({ data, due }) => boss.send("bench", data, { startAfter: new Date(due) }),
    bulkSize: 1000,
    insertBulk: (jobs, { retried } = {}) => {
      const added = retried ? retries : {}
      return boss.insert("bench", jobs.map(({ data, due }) => ({ data, startAfter: new Date(due), ...added })))
    },
    settled: () => pool.query("VACUUM ANALYZE"),
    work: (handler, test) =>
      boss.work(
        "bench",
        settings[test],
        settings[test].perJobResults ? settle(handler) : async (jobs) => {
          for (const { data } of jobs) handler(data)
        }
      ),
    unfinished: async () => {
      const { rows } = await pool.query(
        "SELECT count(*) FROM pgboss.job WHERE name = 'bench' AND state < 'completed' AND start_after < now()"
      )
      return Number(rows[0].count)
    },
    failed: async () => {
      const { rows } = await pool.query("SELECT count(*) FROM pgboss.job WHERE name = 'bench' AND state = 'failed'")
      return Number(rows[0].count)
    },
    close: () => boss.stop({ graceful: false, close: true })
  }
}

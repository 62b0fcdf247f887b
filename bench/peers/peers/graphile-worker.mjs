/** graphile-worker: a row is deleted when its job is done; jobs are added by a SQL function. */
import { Logger, makeWorkerUtils, run } from "graphile-worker"
import pg from "pg"

const logger = new Logger(() => () => undefined)

/** The local queue claims jobs in batches; a delay of 0 lets those that end together be written together. */
const batches = { completeJobBatchDelay: 0, failJobBatchDelay: 0 }
const settings = {
  drain: { concurrentJobs: 24, localQueue: { size: 500, refetchDelay: { durationMs: 10 } }, ...batches },
  lateness: { concurrentJobs: 24, pollInterval: 50, localQueue: { size: 500 }, ...batches }
}

const report = (error) => console.error(`graphile-worker: ${error.message}`)

/** graphile-worker wants both of its caller's error handlers. */
const poolOf = (connection, max) =>
  new pg.Pool({ ...connection, max }).on("error", report).on("connect", (client) => client.on("error", report))

export const open = async (connection) => {
  const pool = poolOf(connection, 20)
  const utils = await makeWorkerUtils({ pgPool: pool, logger })
  let runner
  return {
    setup: () => utils.migrate(),
    insertOne: ({ data, due }) => utils.addJob("noop", data, { runAt: new Date(due) }),
    bulkSize: 1000,
    insertBulk: (jobs) =>
      utils.addJobs(jobs.map(({ data, due }) => ({ identifier: "noop", payload: data, runAt: new Date(due) }))),
    settled: () => pool.query("VACUUM ANALYZE graphile_worker._private_jobs"),
    work: async (handler, test) => {
      runner = await run({
        pgPool: poolOf(connection, 26),
        logger,
        noHandleSignals: true,
        taskList: {
          noop: async (data) => {
            handler(data)
          }
        },
        preset: { worker: { maxPoolSize: 26, ...settings[test] } }
      })
    },
    unfinished: async () => {
      const { rows } = await pool.query("SELECT count(*) FROM graphile_worker._private_jobs WHERE run_at < now()")
      return Number(rows[0].count)
    },
    close: () => runner?.stop()
  }
}

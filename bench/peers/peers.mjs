/**
 * Who is compared. `open` connects and gives, as far as the tests that the peer is in need it:
 *
 *   setup()                    makes tables or the queue, once for each database
 *   insertOne({ due, data })   answers when the job is committed; `due` in milliseconds since the epoch
 *   insertBulk([{ due, data }...], { retried }), bulkSize
 *   settled()                  what an administrator does after many inserts: statistics for the planner
 *   work(handler, test)        starts to work off what is due with the settings that are best for `test`
 *   failed()                   how many jobs have failed for good
 *   unfinished()               how many jobs are due and not yet recorded as done
 *   close()
 */
export const peers = {
  "effect-lambda-scheduler": {
    database: "postgres",
    package: "effect",
    load: () => import("./peers/effect-lambda-scheduler.mjs")
  },
  floor: { database: "postgres", package: "pg", load: () => import("./floor.mjs") },
  "graphile-worker": {
    database: "postgres",
    package: "graphile-worker",
    load: () => import("./peers/graphile-worker.mjs")
  },
  "pg-boss": { database: "postgres", package: "pg-boss", load: () => import("./peers/pg-boss.mjs") },
  "effect-lambda-scheduler/memory": {
    package: "effect",
    load: () => import("./peers/effect-lambda-scheduler-memory.mjs")
  },
  "retry loop": { load: () => import("./peers/retry-loop.mjs") },
  bullmq: { database: "redis", package: "bullmq", load: () => import("./peers/bullmq.mjs") }
}

/** Those whose throughput is compared. */
export const stores = ["effect-lambda-scheduler", "floor", "graphile-worker", "pg-boss", "bullmq"]
/** Those that are compared by what they do when a target refuses. */
export const callers = ["effect-lambda-scheduler/memory", "effect-lambda-scheduler", "retry loop", "bullmq", "pg-boss"]

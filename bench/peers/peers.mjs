/**
 * Who is compared. `open` connects and gives:
 *
 *   setup()                    makes tables or the queue, once for each database
 *   insertOne({ due, data })   answers when the job is committed; `due` in milliseconds since the epoch
 *   insertBulk([{ due, data }...]), bulkSize
 *   settled()                  what an administrator does after many inserts: statistics for the planner
 *   work(handler, test)        starts to work off what is due with the settings that are best for `test`
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
  bullmq: { database: "redis", package: "bullmq", load: () => import("./peers/bullmq.mjs") }
}

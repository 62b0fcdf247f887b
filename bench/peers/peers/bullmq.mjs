/** BullMQ: jobs lie in Redis; done jobs are removed at once in `drain`, as in graphile-worker. */
import { Queue, Worker } from "bullmq"

const settings = {
  drain: { concurrency: 100, removeOnComplete: { count: 0 } },
  lateness: { concurrency: 50 },
  throttled: { concurrency: 100 },
  outage: { concurrency: 100 }
}

/** As in BullMQ's documentation of retries, with enough attempts for some minutes; it knows no longest delay. */
const retries = { attempts: 10, backoff: { type: "exponential", delay: 1000, jitter: 0.5 } }

const optionsOf = (due) => {
  const delay = Math.max(0, Math.round(due - Date.now()))
  return delay === 0 ? {} : { delay }
}

export const open = async (redis) => {
  const connection = { ...redis, maxRetriesPerRequest: null }
  const queue = new Queue("bench", { connection })
  let worker
  return {
    setup: () => queue.waitUntilReady(),
    insertOne: ({ data, due }) => queue.add("noop", data, optionsOf(due)),
    bulkSize: 1000,
    insertBulk: (jobs, { retried } = {}) => {
      const added = retried ? retries : {}
      return queue.addBulk(jobs.map(({ data, due }) => ({ name: "noop", data, opts: { ...optionsOf(due), ...added } })))
    },
    settled: async () => undefined,
    work: async (handler, test) => {
      worker = new Worker("bench", async (job) => handler(job.data), { connection, ...settings[test] })
      worker.on("error", (error) => console.error(`bullmq: ${error.message}`))
      await worker.waitUntilReady()
    },
    unfinished: async () => {
      const counts = await queue.getJobCounts("wait", "active", "prioritized")
      return counts.wait + counts.active + counts.prioritized
    },
    failed: () => queue.getFailedCount(),
    close: async () => {
      await worker?.close(true)
      await queue.close()
    }
  }
}

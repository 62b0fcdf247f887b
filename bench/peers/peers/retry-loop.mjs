/** What is written by hand where there is no scheduler: workers, each of which tries a job until it succeeds or gives up. */
import { now, sleep } from "../measure.mjs"

const workers = 100
const attempts = 3
const base = 1000
const cap = 60_000

/** Full jitter. */
const delay = (failure) => Math.random() * Math.min(cap, base * 2 ** (failure - 1))

export const open = async () => {
  const queue = []
  let handle
  let lost = 0
  const run = async ({ data }) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await handle(data)
      } catch {
        if (attempt === attempts) return lost++
        await sleep(delay(attempt))
      }
    }
  }
  const worker = async (due) => {
    await sleep(due - now())
    while (queue.length > 0) await run(queue.shift())
  }
  return {
    setup: async () => undefined,
    bulkSize: Infinity,
    insertBulk: async (jobs) => {
      queue.push(...jobs)
      for (let n = 0; n < workers; n++) void worker(jobs[0].due)
    },
    work: async (handler) => {
      handle = handler
    },
    failed: async () => lost,
    close: async () => undefined
  }
}

/** What is measured of each peer; every function runs in a process of its own and gives its figures. */
import { fromCallers, inChunks, now, quantile, sleep, stopwatch } from "./measure.mjs"

const hour = 3_600_000
const payloadBytes = 200

/** 200 bytes of JSON, told apart by their number. */
const jobOf = (n, due) => {
  const bare = JSON.stringify({ n, due, text: "" }).length
  return { due, data: { n, due, text: "x".repeat(payloadBytes - bare) } }
}

const insertAll = (peer, count, dueOf) =>
  inChunks(count, peer.bulkSize, (from, to) =>
    peer.insertBulk(Array.from({ length: to - from }, (_, n) => jobOf(from + n, dueOf(from + n)))))

const rate = (prefix, jobs, { database, node, seconds }) => [
  { metric: `${prefix}_per_second`, value: jobs / seconds, unit: "1/s" },
  { metric: `${prefix}_node_cpu`, value: (node * 1e6) / jobs, unit: "us/job" },
  { metric: `${prefix}_database_cpu`, value: (database * 1e6) / jobs, unit: "us/job" }
]

/** One job a call, each caller waits for the commit of its job. */
const insert = async (peer, { callers, jobs, server }) => {
  const due = now() + hour
  const one = (n) => peer.insertOne(jobOf(n, due))
  await fromCallers(Math.min(jobs, 1000), callers, one)
  const stop = stopwatch(server)
  await fromCallers(jobs, callers, one)
  return rate(`callers_${callers}`, jobs, stop())
}

const bulk = async (peer, { jobs, server }) => {
  const due = now() + hour
  await insertAll(peer, Math.min(jobs, peer.bulkSize), () => due)
  const stop = stopwatch(server)
  await insertAll(peer, jobs, () => due)
  return rate("jobs", jobs, stop())
}

/** Jobs that are due already, from the start of the worker until the last is recorded as done. */
const drain = async (peer, { jobs, server }) => {
  const due = now() - 1000
  await insertAll(peer, jobs, () => due)
  await peer.settled()
  let done = 0
  const all = withResolvers()
  const stop = stopwatch(server)
  await peer.work(() => {
    if (++done === jobs) all.resolve()
  }, "drain")
  await all.promise
  while (await peer.unfinished() > 0) await sleep(10)
  const elapsed = stop()
  if (done !== jobs) throw new Error(`${done} jobs were run, of ${jobs}`)
  return rate("jobs", jobs, elapsed)
}

const perSecond = 100

/** Jobs that are due 10 ms apart: from the instant that each is due to the start of its handler. */
const lateness = async (peer, { seconds, server }) => {
  const jobs = perSecond * seconds
  const late = []
  const all = withResolvers()
  await peer.work(({ due }) => {
    if (late.push(now() - due) === jobs) all.resolve()
  }, "lateness")
  await sleep(1000)
  const first = Math.ceil(now()) + 2000
  await insertAll(peer, jobs, (n) => first + (n * 1000) / perSecond)
  if (now() > first) throw new Error("the first jobs were due before the last was inserted")
  await sleep(first - now())
  const stop = stopwatch(server)
  await Promise.race([all.promise, sleep((seconds + 30) * 1000)])
  const elapsed = stop()
  if (late.length !== jobs) throw new Error(`${late.length} jobs were run, of ${jobs}`)
  return [
    { metric: "p50", value: quantile(late, 0.5), unit: "ms" },
    { metric: "p99", value: quantile(late, 0.99), unit: "ms" },
    { metric: "max", value: quantile(late, 1), unit: "ms" },
    { metric: "earliest", value: quantile(late, 0), unit: "ms" },
    { metric: "database_cpu", value: (100 * elapsed.database) / elapsed.seconds, unit: "% of a core" }
  ]
}

/** Jobs that are not due for a day, one second apart. */
const fill = async (peer, { pending, server }) => {
  const first = now() + 24 * hour
  const stop = stopwatch(server)
  await insertAll(peer, pending, (n) => first + n * 1000)
  const elapsed = stop()
  await peer.settled()
  return rate("fill", pending, elapsed)
}

/** What it costs the database to be asked for due jobs when there are none. */
const idle = async (peer, { server }) => {
  // Or the database would do it by itself in the meantime.
  await peer.settled()
  await peer.work(() => undefined, "lateness")
  await sleep(2000)
  const stop = stopwatch(server)
  await sleep(10_000)
  const { database, seconds } = stop()
  return [{ metric: "idle_database_cpu", value: (100 * database) / seconds, unit: "% of a core" }]
}

const withResolvers = () => {
  let resolve
  const promise = new Promise((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

export const steps = { insert, bulk, drain, lateness, fill, idle }

/** What is measured of each peer; every function runs in a process of its own and gives its figures. */
import { bestSecond, called, makeTarget, outageFigures, throttledFigures, throttling, wellRuns } from "./target.mjs"
import { fromCallers, inChunks, now, quantile, sleep, stopwatch } from "./measure.mjs"

const hour = 3_600_000
const payloadBytes = 200

/** 200 bytes of JSON, told apart by their number. */
const jobOf = (n, due) => {
  const bare = JSON.stringify({ n, due, text: "" }).length
  return { due, data: { n, due, text: "x".repeat(payloadBytes - bare) } }
}

const insertAll = (peer, count, dueOf, options) =>
  inChunks(count, peer.bulkSize, (from, to) =>
    peer.insertBulk(Array.from({ length: to - from }, (_, n) => jobOf(from + n, dueOf(from + n))), options))

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

/** A handler that calls a target: it runs so many milliseconds, or fails at once. */
const calling = (target, runs) => async () => {
  const refused = target.begin()
  if (refused !== undefined) throw Object.assign(new Error(refused === "down" ? "HTTP 503" : "HTTP 429"), { refused })
  await sleep(runs)
  target.end()
}

/** Jobs that are due at once, until all have ended; how many of them have failed. */
const callAt = async (peer, target, from) => {
  const before = await peer.failed()
  await insertAll(peer, called, () => from, { retried: true })
  if (now() > from) throw new Error("the jobs were due before the last was inserted")
  await sleep(from - now())
  for (;;) {
    const failed = (await peer.failed()) - before
    if (target.ended() + failed >= called) return failed
    await sleep(250)
  }
}

const lostOf = (value) => ({ metric: "lost", value, unit: "jobs" })
const lead = 5000

const throttled = async (peer) => {
  const target = makeTarget({ ...throttling, now })
  await peer.work(calling(target, throttling.runs), "throttled")
  await sleep(1000)
  const from = Math.ceil(now()) + lead
  const failed = await callAt(peer, target, from)
  return [lostOf(failed), ...throttledFigures(target, from)]
}

/** First without an outage: how fast it goes then is what it has to come back to. */
const outage = async (peer, options) => {
  const calm = makeTarget({ now })
  let handler = calling(calm, wellRuns)
  await peer.work((data) => handler(data), "outage")
  await sleep(1000)
  const failedCalm = await callAt(peer, calm, Math.ceil(now()) + lead)
  if (failedCalm > 0) throw new Error(`${failedCalm} jobs have failed without an outage`)
  const full = bestSecond(calm.calls.map(({ at }) => at))
  await sleep(1000)
  const from = Math.ceil(now()) + lead
  const until = from + options.outage * 1000
  const target = makeTarget({ downUntil: until, now })
  handler = calling(target, wellRuns)
  const failed = await callAt(peer, target, from)
  return [
    { metric: "full_rate", value: full, unit: "1/s" },
    lostOf(failed),
    ...outageFigures(target, from, until, full)
  ]
}

const withResolvers = () => {
  let resolve
  const promise = new Promise((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

export const steps = { insert, bulk, drain, lateness, fill, idle, throttled, outage }

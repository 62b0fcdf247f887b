/** Time, CPU and quantiles. */
import { readdirSync, readFileSync } from "node:fs"

/** Milliseconds since the epoch, with fractions. */
export const now = () => performance.timeOrigin + performance.now()

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** The value below which a share of the values lies: nearest rank. */
export const quantile = (values, share) =>
  [...values].sort((one, other) => one - other)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? NaN

/** Runs `each` for 0 to `count` - 1 from `callers` callers, each of which waits for its answer. */
export const fromCallers = async (count, callers, each) => {
  let next = 0
  const caller = async () => {
    while (next < count) await each(next++)
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

/** Calls `each` with [from, to) ranges of at most `size`, one after the other. */
export const inChunks = async (count, size, each) => {
  for (let from = 0; from < count; from += size) await each(from, Math.min(count, from + size))
}

const ticksPerSecond = 100

const stat = (pid) => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The second field, the program's name, is in parentheses and may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    return { parent: Number(fields[1]), ofEndedChildren: (Number(fields[13]) + Number(fields[14])) / ticksPerSecond }
  } catch {
    return undefined
  }
}

/** Seconds that a process has run; of its main thread, which is all that a process of PostgreSQL has. */
const ranFor = (pid) => {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e9
  } catch {
    return 0
  }
}

/** CPU seconds of a database server: of its process, those that it started and those of them that have ended. */
export const serverCpu = (server) => {
  const own = stat(server)
  if (own === undefined) return NaN // No /proc here.
  let seconds = ranFor(server) + own.ofEndedChildren
  for (const pid of readdirSync("/proc")) {
    if (/^\d+$/.test(pid) && stat(pid)?.parent === server) seconds += ranFor(pid)
  }
  return seconds
}

/** Starts a stop-watch of wall time, this process's CPU and the database server's. */
export const stopwatch = (server) => {
  const database = serverCpu(server)
  const own = process.cpuUsage()
  const start = performance.now()
  return () => {
    const seconds = (performance.now() - start) / 1000
    const { system, user } = process.cpuUsage(own)
    return { seconds, node: (user + system) / 1e6, database: serverCpu(server) - database }
  }
}

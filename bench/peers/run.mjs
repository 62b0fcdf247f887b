/**
 * Runs the same tests against other schedulers and against the raw floor, each step in a process of its own.
 *
 *     node bench/peers/run.mjs [--only PEER|TEST]... [--runs N] [--json] [--jobs N] [--pending N] [--seconds N]
 *                              [--outage N] [--redis-fsync everysec|always]
 */
import { fork } from "node:child_process"
import { availableParallelism, cpus, loadavg, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { quantile } from "./measure.mjs"
import { callers, peers, stores } from "./peers.mjs"
import { freshDatabase, once, settings, startPostgres } from "./postgres.mjs"
import { redisVersion, startRedis } from "./redis.mjs"

/** The steps of each test; those of one test share a database, and what comes `before` happens once for all runs. */
const tests = {
  insert: { of: stores, steps: ["insert"], each: [{ callers: 64 }, { callers: 1000 }] },
  bulk: { of: stores, steps: ["bulk"] },
  drain: { of: stores, steps: ["drain"] },
  lateness: { of: stores, steps: ["lateness"] },
  pending: { of: stores, before: "fill", steps: ["idle", "drain", "lateness"] },
  throttled: { of: callers, steps: ["throttled"] },
  outage: { of: callers, steps: ["outage"] }
}

const usage = `Usage: node bench/peers/run.mjs [--only PEER|TEST]... [--runs N] [--json] [--jobs N] [--pending N] [--seconds N]
                                [--outage N] [--redis-fsync everysec|always]
Peers: ${Object.keys(peers).join(", ")}
Tests: ${Object.keys(tests).join(", ")}`

const parse = () => {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: [] },
      runs: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      jobs: { type: "string", default: "20000" },
      pending: { type: "string", default: "1000000" },
      seconds: { type: "string", default: "20" },
      outage: { type: "string", default: "75" },
      "redis-fsync": { type: "string", default: "everysec" }
    }
  })
  const number = (name) => {
    const value = Number(values[name])
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} wants a whole number above 0`)
    return value
  }
  const unknown = values.only.find((name) => !Object.hasOwn(peers, name) && !Object.hasOwn(tests, name))
  if (unknown !== undefined) throw new Error(`Neither a peer nor a test is called ${unknown}`)
  const chosen = (all) => {
    const named = Object.keys(all).filter((name) => values.only.includes(name))
    return named.length === 0 ? Object.keys(all) : named
  }
  return {
    peers: chosen(peers),
    tests: chosen(tests),
    runs: number("runs"),
    json: values.json,
    sizes: { jobs: number("jobs"), pending: number("pending"), seconds: number("seconds"), outage: number("outage") },
    redisFsync: values["redis-fsync"]
  }
}

/** So that a step that never ends does not hold up the rest. */
const stepTimeout = 15 * 60_000

const children = new Set()

const runStep = (options) =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("child.mjs", import.meta.url)), [JSON.stringify(options)], {
      // What a peer prints must not end up between the figures.
      stdio: ["ignore", process.stderr, "inherit", "ipc"]
    })
    children.add(child)
    const timer = setTimeout(() => child.kill("SIGKILL"), stepTimeout)
    let figures
    child.on("message", (message) => {
      figures = message
    })
    child.on("close", (code, signal) => {
      children.delete(child)
      clearTimeout(timer)
      if (code === 0 && figures !== undefined) resolve(figures)
      else reject(new Error(`${options.peer}: ${options.step} failed (${signal ?? `exit code ${code}`})`))
    })
  })

/** All runs of one test of one peer: metric name to its unit and values. */
const runTest = async (peer, test, { emptied, runs, server, sizes }) => {
  const figures = new Map()
  const { before, each = [{}], steps } = tests[test]
  const take = async (step, options) => {
    // In `pending` several steps have figures of the same name.
    const prefix = before === undefined || step === before || step === "idle" ? "" : `${step}_`
    for (const { metric, unit, value } of await runStep({ peer, step, server: server?.pid, ...sizes, ...options })) {
      // CPU is not known where there is no /proc.
      if (value === null || !Number.isFinite(value)) continue
      const name = `${prefix}${metric}`
      figures.set(name, { unit, values: [...figures.get(name)?.values ?? [], value] })
    }
  }
  let connection
  if (before !== undefined) {
    connection = await emptied(peer)
    await take(before, { connection, setup: true })
  }
  for (let run = 0; run < runs; run++) {
    for (const options of each) {
      for (const step of steps) {
        if (before === undefined) await take(step, { ...options, connection: await emptied(peer), setup: true })
        else await take(step, { ...options, connection, setup: false })
      }
    }
  }
  return figures
}

const rounded = (value) => Number.isInteger(value) ? value : Number(value.toPrecision(4))

const print = ({ json }, name, peer, metric, { unit, values }) => {
  const at = (share) => rounded(quantile(values, share))
  if (json) {
    console.log(JSON.stringify({ name, peer, metric, value: at(0.5), unit, min: at(0), max: at(1) }))
    return
  }
  const shown = (share) => at(share).toLocaleString("en-US", { maximumFractionDigits: 3 })
  const spread = values.length > 1 ? `  (${shown(0)} to ${shown(1)} in ${values.length} runs)` : ""
  console.log(`${name.padEnd(9)} ${peer.padEnd(30)} ${metric.padEnd(26)} ${shown(0.5).padStart(10)} ${unit}${spread}`)
}

/** Those of the chosen peers that can run here; says why the others are left out. */
const available = (names, redis) =>
  names.filter((name) => {
    const why = (() => {
      if (peers[name].database === "redis" && redis === undefined) {
        return "no redis-server here (Debian: apt-get install redis-server)"
      }
      try {
        if (peers[name].package !== undefined) import.meta.resolve(peers[name].package)
        return undefined
      } catch {
        return "not installed: run `npm ci` in bench/peers"
      }
    })()
    if (why !== undefined) console.error(`${name} is left out: ${why}`)
    return why === undefined
  })

let options
try {
  options = parse()
} catch (error) {
  console.error(`${error.message}\n${usage}`)
  process.exit(1)
}

const redisHere = redisVersion()
const chosen = available(options.peers, redisHere)
const needs = (database) => chosen.some((name) => peers[name].database === database)
const servers = {}
const stopAll = async () => {
  for (const child of children) child.kill("SIGKILL")
  await Promise.all(Object.values(servers).map((server) => server.stop()))
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopAll().finally(() => process.exit(1)))

let failed = false
try {
  if (needs("postgres")) servers.postgres = await startPostgres()
  if (needs("redis")) servers.redis = await startRedis(options.redisFsync)
  if (!options.json) {
    const [{ model } = { model: "unknown CPU" }] = cpus()
    const memory = Math.round(totalmem() / 2 ** 30)
    console.log(`${availableParallelism()} x ${model}, ${memory} GB, Node ${process.version}, load ${loadavg()[0].toFixed(2)}`)
    if (servers.postgres !== undefined) {
      const [{ version }] = await once(servers.postgres.connection, "SELECT current_setting('server_version') AS version")
      const shown = Object.entries(settings).map(([name, value]) => `${name}=${value}`).join(" ")
      console.log(`PostgreSQL ${version}: ${shown}`)
    }
    if (servers.redis !== undefined) console.log(`Redis ${redisHere}: appendonly=yes appendfsync=${options.redisFsync}`)
    console.log()
  }
  /** A database with nothing in it. */
  const emptied = async (peer) => {
    if (peers[peer].database === "postgres") {
      const connection = await freshDatabase(servers.postgres.connection, "bench_peer")
      // What was written before is not written back while the next one is measured.
      await once(connection, "CHECKPOINT")
      return connection
    }
    if (peers[peer].database === undefined) return undefined
    const { Redis } = await import("ioredis")
    const redis = new Redis(servers.redis.connection)
    await redis.flushall()
    await redis.quit()
    return servers.redis.connection
  }
  for (const test of options.tests) {
    for (const peer of chosen.filter((name) => tests[test].of.includes(name))) {
      try {
        const server = servers[peers[peer].database]
        const figures = await runTest(peer, test, { emptied, runs: options.runs, server, sizes: options.sizes })
        for (const [metric, figure] of figures) print(options, test, peer, metric, figure)
      } catch (error) {
        // The others are still worth measuring.
        failed = true
        console.error(error.message)
      }
    }
  }
} finally {
  await stopAll()
}
process.exit(failed ? 1 : 0)

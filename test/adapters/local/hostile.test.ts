/**
 * Handlers that mean harm, or act as if. Where Node cannot stop one, the test says what happens; the README names it.
 */
import { describe, expect, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import * as LambdaFunction from "../../../src/domain/LambdaFunction.ts"
import { LambdaClient } from "../../../src/ports/LambdaClient.ts"
import { rawZip } from "../../packaging/rawZip.ts"
import { client, dropsUser, evaluate, eventually, failure, isRunning, run } from "./support.ts"

const isLinux = process.platform === "linux"
const hasProc = existsSync("/proc/self/status")

/** Runs statements that may use `fs`, `tries` and `event`; answers what `tries` noted: a value, or an error's code. */
const attempts = (statements: string) =>
  Effect.map(
    evaluate(`
      import * as fs from "node:fs"
      export const handler = async () => {
        const noted = {}
        const tries = async (name, attempt) => {
          try { noted[name] = (await attempt()) ?? "done" } catch (error) { noted[name] = error.code ?? error.message }
        }
        ${statements}
        return noted
      }`),
    (noted) => noted as Record<string, unknown>
  )

const denied = /^(ERR_ACCESS_DENIED|EACCES|ENOENT|EPERM)$/

describe("a hostile handler", () => {
  it.live("does not read ~/.aws/credentials, nor any file but its own", () =>
    Effect.gen(function*() {
      const secrets = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const folder = await mkdtemp(join(tmpdir(), "home-"))
          await mkdir(join(folder, ".aws"))
          // As open as can be: what keeps the handler out is the permission model, not the mode.
          await writeFile(join(folder, ".aws/credentials"), "[default]\naws_secret_access_key = hunter2", {
            mode: 0o666
          })
          return folder
        }),
        (folder) => Effect.promise(() => rm(folder, { recursive: true }))
      )
      const noted = yield* attempts(`
        for (const path of ${
        JSON.stringify([
          join(secrets, ".aws/credentials"),
          join(homedir(), ".aws/credentials"),
          "/etc/passwd",
          "/proc/self/environ",
          import.meta.filename
        ])
      }) await tries(path, () => fs.readFileSync(path, "utf8"))
        await tries("~", () => fs.readFileSync((await import("node:os")).homedir() + "/.aws/credentials", "utf8"))
        await tries("list", () => fs.readdirSync("/"))
        await tries("write", () => fs.writeFileSync(${JSON.stringify(join(secrets, "new"))}, "x"))
        await tries("bootstrap", () => fs.appendFileSync(process.argv[1], "x"))
        await tries("own code", () => fs.writeFileSync(process.env.LAMBDA_TASK_ROOT + "/index.mjs", "x"))
        await tries("link", () => fs.symlinkSync("/etc/passwd", process.env.HOME + "/link"))`.replace(
        "() => fs.readFileSync((await",
        "async () => fs.readFileSync((await"
      ))
      for (const [what, result] of Object.entries(noted)) expect(`${what}: ${String(result)}`).toMatch(/: (\w+)$/)
      expect(Object.values(noted).map(String).filter((result) => !denied.test(result))).toEqual([])
      expect(JSON.stringify(noted)).not.toContain("hunter2")
    }).pipe(Effect.scoped, Effect.provide(client())))

  it.live("does not see the environment of its parent", () =>
    Effect.gen(function*() {
      vi.stubEnv("AWS_SECRET_ACCESS_KEY", "hunter2").stubEnv("MY_DATABASE_PASSWORD", "hunter3")
      const noted = yield* attempts(`
        await tries("own", () => Object.keys(process.env).sort())
        await tries("parent", () => fs.readFileSync("/proc/" + process.ppid + "/environ", "utf8"))
        await tries("descriptor", () => fs.readlinkSync("/proc/" + process.ppid + "/cwd"))
        await tries("ps", async () => (await import("node:child_process")).execSync("ps eww"))
      `)
      vi.unstubAllEnvs()
      expect(JSON.stringify(noted)).not.toContain("hunter")
      expect(noted).toMatchObject({
        own: [
          "AWS_DEFAULT_REGION",
          "AWS_EC2_METADATA_DISABLED",
          "AWS_EXECUTION_ENV",
          "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
          "AWS_LAMBDA_FUNCTION_NAME",
          "AWS_LAMBDA_FUNCTION_VERSION",
          "AWS_LAMBDA_INITIALIZATION_TYPE",
          "AWS_LAMBDA_LOG_GROUP_NAME",
          "AWS_LAMBDA_LOG_STREAM_NAME",
          "AWS_REGION",
          "EFFECT_LAMBDA_ENVIRONMENT",
          "HOME",
          "LAMBDA_TASK_ROOT",
          "LANG",
          "PATH",
          "TMPDIR",
          "TZ",
          "_HANDLER"
        ],
        parent: "ERR_ACCESS_DENIED",
        descriptor: "ERR_ACCESS_DENIED",
        ps: "ERR_ACCESS_DENIED"
      })
    }).pipe(Effect.provide(client())))

  it.live("does not signal its parent by the functions Node gives it", () =>
    Effect.gen(function*() {
      let signals = 0
      const count = () => {
        signals += 1
      }
      // Harmless, should they arrive: this process would otherwise end.
      process.on("SIGUSR2", count)
      process.on("SIGUSR1", count)
      const noted = yield* attempts(`
        await tries("signal", () => process.kill(process.ppid, "SIGUSR2"))
        await tries("probe", () => process.kill(process.ppid, 0))
        await tries("group", () => process.kill(0, "SIGUSR2"))
        await tries("raw", () => process._kill(process.ppid, 12))
        await tries("debugger", () => process._debugProcess(process.ppid))
        await tries("binding", () => process.binding("process_wrap"))
        await tries("self", () => process.kill(process.pid, 0))
      `)
      yield* Effect.sleep(100)
      process.off("SIGUSR2", count)
      process.off("SIGUSR1", count)
      expect(signals).toBe(0)
      const { binding, ...rest } = noted
      expect(String(binding)).toMatch(/^(ERR_ACCESS_DENIED|ERR_INVALID_MODULE|No such module.*)$/)
      expect(rest).toEqual({
        signal: "EPERM",
        probe: "EPERM",
        group: "EPERM",
        raw: "EPERM",
        debugger: "EPERM",
        self: true
      })
    }).pipe(Effect.provide(client())))

  it.live("is another user when we are root, and cannot become root again", () =>
    Effect.gen(function*() {
      const noted = yield* attempts(`
        await tries("uid", () => process.getuid()); await tries("gid", () => process.getgid())
        await tries("groups", () => process.getgroups().join())
        await tries("setuid", () => process.setuid(0))`)
      expect(noted).toMatchObject(
        dropsUser
          ? { uid: 65534, gid: 65534, setuid: "EPERM" }
          : { uid: process.getuid?.(), gid: process.getgid?.() }
      )
      // None of root's other groups.
      if (dropsUser) expect(String(noted["groups"])).toMatch(/^(65534)?$/)
    }).pipe(Effect.provide(client())))

  it.live("starts no process, worker, add-on, inspector or daemon", () =>
    Effect.gen(function*() {
      const noted = yield* attempts(`
        const { spawn, fork } = await import("node:child_process")
        const { Worker } = await import("node:worker_threads")
        await tries("daemon", () => { spawn("/bin/sleep", ["1000"], { detached: true, stdio: "ignore" }).unref() })
        await tries("fork", () => fork(process.argv[1]))
        await tries("worker", () => new Worker("0", { eval: true }))
        await tries("addon", () => process.dlopen({ exports: {} }, "/x.node"))
        await tries("inspector", async () => (await import("node:inspector")).open(0))`)
      expect(noted).toMatchObject({
        daemon: "ERR_ACCESS_DENIED",
        fork: "ERR_ACCESS_DENIED",
        worker: "ERR_ACCESS_DENIED"
      })
      expect(noted["addon"]).toMatch(/^ERR_(DLOPEN_DISABLED|ACCESS_DENIED|DLOPEN_FAILED)$/)
      expect(noted["inspector"]).toMatch(/^ERR_(ACCESS_DENIED|INSPECTOR_NOT_AVAILABLE)$/)
    }).pipe(Effect.provide(client())))

  // Where the permission model is off, daemons are possible: they end with the environment that left them behind.
  for (const escape of ["a daemon in its group", "a daemon in a session of its own"]) {
    it.live.skipIf(!isLinux)(`${escape} is gone within three seconds of its environment`, () =>
      Effect.gen(function*() {
        const lambda = yield* LambdaClient
        const detached = escape.includes("session")
        const source = `
          import { spawn } from "node:child_process"
          export const handler = async () => {
            const daemon = spawn("/bin/sleep", ["1000"], { detached: ${detached}, stdio: "ignore"${
          detached ? "" : ", env: {}"
        } })
            daemon.unref()
            return daemon.pid
          }`
        const { body } = yield* run(LambdaFunction.inline("subject", source))
        const daemon = Number(body.text)
        expect(isRunning(daemon)).toBe(true)
        yield* lambda.remove("subject")
        // As root of a container we are its parent's heir: a zombie has ended, too.
        yield* eventually("the daemon is gone", () => !isRunning(daemon) || isZombie(daemon), 3)
      }).pipe(Effect.provide(client({ permissions: false }))))
  }

  it.live("cannot fake a result, on stdout or on the channel itself", () =>
    Effect.gen(function*() {
      const fake = `{"type":"result","token":"0","printed":0}`
      const fakes = `
        const head = Buffer.from('${fake}'), body = Buffer.from('"fake"'), sizes = Buffer.alloc(8)
        sizes.writeUInt32BE(head.length, 0); sizes.writeUInt32BE(body.length, 4)
        const frame = Buffer.concat([sizes, head, body])
        process.stdout.write(frame); process.stderr.write(frame)
        console.log('"fake"'); console.log('${fake}')
        if (event === "channel") fs.writeSync(3, frame)`
      const source = (rest: string) =>
        `import * as fs from "node:fs"
        export const handler = async (event) => { ${fakes}; ${rest} }`
      const honest = LambdaFunction.inline("subject", source("return 'true'"))
      expect((yield* run(honest, `"print"`)).body.text).toBe(`"true"`)
      expect((yield* run(honest, `"channel"`)).body.text).toBe(`"true"`)
      const exits = LambdaFunction.inline("exits", source("process.exit(0)"))
      expect(yield* Effect.flip(run(exits, `"channel"`))).toMatchObject({ errorType: "Runtime.ExitError" })
    }).pipe(Effect.provide(client())))

  it.live("cannot answer for the next call", () =>
    Effect.gen(function*() {
      // It keeps the promise of its first call open, and answers both when the second one comes.
      const source = `let release
        export const handler = (event) => {
          if (event === 1) { setTimeout(() => {}, 2000); return new Promise((done) => { release = done }) }
          release?.("stolen"); return new Promise((done) => setTimeout(done, 50, "mine"))
        }`
      const lambda = yield* LambdaClient
      yield* lambda.deploy(LambdaFunction.inline("subject", source, { runtime: "nodejs24.x", timeout: "1 second" }))
      const timedOut = yield* Effect.flip(run(LambdaFunction.inline("subject", source, { timeout: "1 second" }), "1"))
      expect(timedOut.reason).toBe("FunctionTimeout")
      const next = yield* run(LambdaFunction.inline("subject", source, { timeout: "1 second" }), "2")
      expect(next.body.text).toBe(`"mine"`)
    }).pipe(Effect.provide(client())))

  it.live("that floods the channel is ended, and our memory stays flat", () =>
    Effect.gen(function*() {
      const before = process.memoryUsage().rss
      for (const flood of ["Buffer.alloc(1 << 20, 255)", "Buffer.alloc(1 << 20, 0)"]) {
        const error = yield* failure(`
          import * as fs from "node:fs"
          const chunk = ${flood}
          export const handler = async () => { for (;;) try { fs.writeSync(3, chunk) } catch (e) { if (e.code !== "EAGAIN") throw e } }`)
        expect(error.reason).toMatch(/^Function(Error|Timeout)$/)
      }
      // It prints gigabytes; what was read and thrown away may wait for the collector a while.
      expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024)
    }).pipe(Effect.provide(client())))

  it.live("that prints without end is ended, and our memory stays flat", () =>
    Effect.gen(function*() {
      const before = process.memoryUsage().rss
      const error = yield* failure(
        `import * as fs from "node:fs"
        const line = Buffer.alloc(1 << 16, "y")
        export const handler = async () => { for (;;) try { fs.writeSync(1, line) } catch (e) { if (e.code !== "EAGAIN") throw e } }`,
        { timeout: "2 seconds" }
      )
      expect(error).toMatchObject({ reason: "FunctionTimeout", errorType: "Sandbox.Timedout" })
      expect(Buffer.byteLength(error.logTail ?? "")).toBeLessThanOrEqual(4096)
      // It prints gigabytes; what was read and thrown away may wait for the collector a while.
      expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024)
    }).pipe(Effect.provide(client())))

  it.live("that logs without end is ended", () =>
    Effect.gen(function*() {
      // Node keeps what a pipe does not take in the handler's own heap: that ends it, or the timeout does.
      const error = yield* failure("export const handler = async () => { for (;;) console.log('y'.repeat(1e5)) }")
      expect(error.reason).toMatch(/^Function(Error|Timeout)$/)
    }).pipe(Effect.provide(client())))

  it.live.skipIf(!hasProc)("that takes a Buffer of 1 GB is ended", () =>
    Effect.gen(function*() {
      const error = yield* failure("export const handler = async () => Buffer.alloc(1 << 30, 1).length")
      expect(error).toMatchObject({ reason: "FunctionError", errorType: "Runtime.OutOfMemory" })
      const { errorMessage } = JSON.parse(error.payload ?? "") as { errorMessage: string }
      expect(errorMessage).toMatch(/^RequestId: \S+ Error: Runtime exited with error: signal: killed$/)
    }).pipe(Effect.provide(client())))

  it.live.skipIf(!hasProc)("that takes memory in small Buffers is ended", () =>
    Effect.gen(function*() {
      const error = yield* failure(
        `const kept = []
        export const handler = async () => {
          for (;;) { kept.push(Buffer.alloc(1 << 20, 1)); await new Promise((done) => setTimeout(done, 1)) }
        }`,
        { timeout: "20 seconds" }
      )
      expect(error.errorType).toBe("Runtime.OutOfMemory")
    }).pipe(Effect.provide(client())))

  it.live("that fills the heap is ended", () =>
    Effect.gen(function*() {
      const error = yield* failure(
        "const kept = []; export const handler = async () => { for (;;) kept.push({ a: [1, 2, 3] }) }",
        { timeout: "20 seconds" }
      )
      expect(error.errorType).toMatch(/^Runtime\.(ExitError|OutOfMemory)$/)
    }).pipe(Effect.provide(client())))

  it.live("comes as a zip that leaves its folder, or holds a link: it is not even deployed", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const slip = rawZip([{ name: "index.js", data: "" }, { name: "../../evil.js", data: "evil" }])
      const link = rawZip([{ name: "index.js", data: "" }, { name: "passwd", data: "/etc/passwd", mode: 0o120777 }])
      expect(yield* Effect.flip(lambda.deploy(LambdaFunction.zip("slip", slip)))).toMatchObject({
        reason: "ZipInvalid"
      })
      expect(yield* Effect.flip(lambda.deploy(LambdaFunction.zip("link", link)))).toMatchObject({
        reason: "ZipSymlink"
      })
    }).pipe(Effect.provide(client())))

  it.live("finds its code without write permission, whatever modes the zip had", () =>
    Effect.gen(function*() {
      const zip = rawZip([
        {
          name: "index.mjs",
          mode: 0o100777,
          data: `import { statSync } from "node:fs"
          export const handler = async () => ["/index.mjs", "/lib/x.sh", "/lib", ""].map((path) =>
            (statSync(process.env.LAMBDA_TASK_ROOT + path).mode & 0o7777).toString(8))`
        },
        { name: "lib/x.sh", mode: 0o100755, data: "" }
      ])
      const { body } = yield* run(LambdaFunction.zip("modes", zip))
      expect(JSON.parse(body.text)).toEqual(["444", "444", "555", "555"])
    }).pipe(Effect.provide(client())))
})

const isZombie = (pid: number): boolean => {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"))
  } catch {
    return true
  }
}

describe("our own process", () => {
  it.live.skipIf(!isLinux)("keeps no descriptors of processes that ended", () =>
    Effect.gen(function*() {
      const descriptors = () => readdirSync("/proc/self/fd").length
      yield* failure("export const handler = async () => process.exit(1)")
      yield* Effect.sleep(100)
      const before = descriptors()
      for (let n = 0; n < 10; n++) yield* failure("export const handler = async () => process.exit(1)")
      yield* eventually("descriptors are given back", () => descriptors() <= before + 1)
    }).pipe(Effect.provide(client())))
})

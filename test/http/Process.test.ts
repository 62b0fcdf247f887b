/** The server as a process: what it says at start, what it refuses, how it ends. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inline } from "../../src/domain/LambdaFunction.ts"
import type { TaskAnswer } from "../../src/http/index.ts"
import { packageFunction } from "../../src/packaging/Package.ts"
import { askPort } from "./support.ts"

interface Ended {
  readonly code: number | null
  readonly signal: string | null
}

interface ServerProcess {
  /** Everything it has said so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  readonly port: number
  readonly ended: Effect.Effect<Ended>
  readonly kill: (signal: NodeJS.Signals) => void
}

/** Starts a server with this environment and nothing else; waits until it listens or has ended. */
const start = (environment: Record<string, string> = {}): Effect.Effect<ServerProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<ServerProcess & { readonly end: () => void }>((resume) => {
      const child = spawn(process.execPath, ["--import", "tsx", "src/http/main.ts"], {
        env: { PATH: "/usr/local/bin:/usr/bin:/bin", PORT: "0", STORE: "memory", ...environment },
        stdio: ["ignore", "pipe", "pipe"]
      })
      const output = { stdout: "", stderr: "" }
      let exit: Ended | undefined
      const observers: Array<(ended: Ended) => void> = []
      const up = () => {
        resume(Effect.succeed({
          stdout: () => output.stdout,
          stderr: () => output.stderr,
          port: Number(/listens on http:\/\/\S+:(\d+) /.exec(output.stdout)?.[1]),
          ended: Effect.async((resume) => {
            if (exit === undefined) observers.push((ended) => resume(Effect.succeed(ended)))
            else resume(Effect.succeed(exit))
          }),
          kill: (signal) => child.kill(signal),
          end: () => child.kill("SIGKILL")
        }))
      }
      child.stderr.on("data", (chunk: Buffer) => output.stderr += chunk.toString())
      child.stdout.on("data", (chunk: Buffer) => {
        output.stdout += chunk.toString()
        if (output.stdout.includes("/result/hello")) up()
      })
      child.on("close", (code, signal) => {
        exit = { code, signal }
        for (const observe of observers) observe(exit)
        up()
      })
    }),
    ({ end }) => Effect.sync(end)
  )

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "server-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

const slowZip = Effect.map(
  packageFunction(
    inline("slow", "export const handler = () => new Promise((resolve) => setTimeout(resolve, 2000, \"done\"))")
  ),
  ({ zip }) => Buffer.from(zip).toString("base64")
)

/** Schedules a function of 2 seconds and waits until it runs. */
const runSlow = (port: number) =>
  Effect.gen(function*() {
    const json = { name: "slow", timeout: "10 seconds", zippedCodeBase64: yield* slowZip }
    expect((yield* askPort(port, "POST", "/createAndSchedule", { json })).status).toBe(202)
    const running: Effect.Effect<void> = Effect.flatMap(askPort(port, "GET", "/status/slow"), ({ task }) =>
      task.status === "Running" ? Effect.void : Effect.delay(running, "20 millis"))
    yield* running
  })

const noAwsLine = /^Functions run on this machine .*, because no AWS credentials or role are set/m

describe("the server process", () => {
  it.scopedLive("says where it listens and where functions run, runs the demo, and ends on SIGTERM with 0", () =>
    Effect.gen(function*() {
      const server = yield* start()
      expect(server.stdout()).toMatch(/^effect-lambda-scheduler listens on http:\/\/127\.0\.0\.1:\d+ /)
      expect(server.stdout()).toMatch(noAwsLine)
      expect(server.stdout()).not.toMatch(/API_KEY|authorization/)
      // The line to paste is one that works.
      const curl = /-d '(.+)'$/m.exec(server.stdout())?.[1] ?? ""
      const { task } = yield* askPort(server.port, "POST", "/schedule", {
        headers: { "content-type": "application/json" },
        body: curl
      })
      expect(task.name).toBe("hello")
      const done: Effect.Effect<unknown> = Effect.flatMap(
        askPort(server.port, "GET", "/result/hello"),
        ({ task }) => task.finishedAt === null ? Effect.delay(done, "20 millis") : Effect.succeed(task.result)
      )
      expect(yield* done).toEqual({ message: "Hello from hello", received: { who: "Ada" } })

      // A connection that is kept open does not keep the server.
      const idle = connect(server.port, "127.0.0.1")
      idle.on("error", () => {})
      yield* Effect.addFinalizer(() => Effect.sync(() => idle.destroy()))
      server.kill("SIGTERM")
      expect(yield* Effect.timeout(server.ended, "5 seconds")).toEqual({ code: 0, signal: null })
    }))

  it.scopedLive(
    "keeps Tasks and functions in its own PostgreSQL: they are there after kill -9 and a new start",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const environment = { STORE: "embedded", DATA_DIR: `${directory}/postgres` }
        const first = yield* start(environment)
        expect(first.stdout()).toContain(
          `Tasks are kept in a PostgreSQL of this server's own, in ${directory}/postgres.`
        )
        const json = { name: "kept", jsonPayload: { n: 1 }, initialDelay: "6 seconds" }
        const accepted = yield* askPort(first.port, "POST", "/schedule", { json })
        expect([accepted.status, accepted.body]).toMatchObject([202, { name: "kept" }])
        const { task } = accepted
        first.kill("SIGKILL")
        yield* first.ended
        const second = yield* start(environment)
        const done: Effect.Effect<TaskAnswer> = Effect.flatMap(
          askPort(second.port, "GET", "/result/kept"),
          ({ task }) => task.finishedAt === null ? Effect.delay(done, "50 millis") : Effect.succeed(task)
        )
        const ended = yield* done
        expect(ended).toMatchObject({ id: task.id, status: "Succeeded", result: { received: { n: 1 } } })
        second.kill("SIGTERM")
        expect(yield* Effect.timeout(second.ended, "10 seconds")).toEqual({ code: 0, signal: null })
      }),
    60_000
  )

  it.scopedLive(
    "without its database says why, is not ready, and gives up in time with 69",
    () =>
      Effect.gen(function*() {
        const server = yield* start({
          STORE: "postgres",
          DATABASE_URL: "postgres://ada:hunter2@127.0.0.1:1/jobs",
          STORE_GIVE_UP: "3 seconds"
        })
        const ready = yield* askPort(server.port, "GET", "/readyz")
        expect([ready.status, ready.problem.code]).toEqual([503, "NOT_READY"])
        expect(ready.problem.detail).toMatch(/Nothing listens[^]*DATABASE_URL/)
        const json = { name: "a", jsonPayload: {} }
        expect((yield* askPort(server.port, "POST", "/schedule", { json })).status).toBeGreaterThanOrEqual(502)
        expect((yield* askPort(server.port, "GET", "/healthz")).status).toBe(200)
        expect(yield* Effect.timeout(server.ended, "20 seconds")).toEqual({ code: 69, signal: null })
        expect(server.stderr()).toMatch(/STORE_GIVE_UP/)
        expect(server.stdout() + server.stderr()).not.toContain("hunter2")
      }),
    60_000
  )

  it.scopedLive("waits for what runs, and takes no more work meanwhile", () =>
    Effect.gen(function*() {
      const server = yield* start()
      yield* runSlow(server.port)
      server.kill("SIGINT")
      // As npm does: the same signal once more, at once.
      server.kill("SIGINT")
      const [elapsed, ended] = yield* Effect.timed(Effect.timeout(server.ended, "10 seconds"))
      expect(ended).toEqual({ code: 0, signal: null })
      expect(Duration.toMillis(elapsed)).toBeGreaterThan(1_000)
      expect(server.stderr()).not.toMatch(/ERROR|FATAL/)
    }))

  it.scopedLive("waits no longer than its grace", () =>
    Effect.gen(function*() {
      const server = yield* start({ SHUTDOWN_GRACE: "100 millis" })
      yield* runSlow(server.port)
      server.kill("SIGTERM")
      expect(yield* Effect.timeout(server.ended, "1500 millis")).toEqual({ code: 0, signal: null })
    }))

  it.scopedLive("ends at once on a second signal", () =>
    Effect.gen(function*() {
      const server = yield* start()
      yield* runSlow(server.port)
      server.kill("SIGTERM")
      yield* Effect.sleep("1100 millis")
      server.kill("SIGTERM")
      expect(yield* Effect.timeout(server.ended, "500 millis")).toEqual({ code: 143, signal: null })
    }))

  it.scopedLive("any sign of AWS selects AWS, said in one line, and LAMBDA forces one", () =>
    Effect.gen(function*() {
      const aws = yield* start({ AWS_LAMBDA_ROLE_ARN: "arn:aws:iam::123456789012:role/x", AWS_REGION: "eu-north-1" })
      expect(aws.stdout()).toMatch(/^Functions run on AWS Lambda in eu-north-1, because AWS_LAMBDA_ROLE_ARN is set\.$/m)
      const forced = yield* start({ AWS_PROFILE: "work", LAMBDA: "local" })
      expect(forced.stdout()).toMatch(/^Functions run on this machine .*, because LAMBDA=local\.$/m)
    }))

  it.scopedLive("beyond loopback prints a key that works, and warns when there is to be none", () =>
    Effect.gen(function*() {
      const keyed = yield* start({ HOST: "0.0.0.0" })
      const key = /-H 'authorization: (Bearer \S{32,})'/.exec(keyed.stdout())?.[1] ?? ""
      expect((yield* askPort(keyed.port, "GET", "/list")).refusal).toEqual([401, "UNAUTHORIZED"])
      expect((yield* askPort(keyed.port, "GET", "/list", { headers: { authorization: key } })).status).toBe(200)
      expect((yield* askPort(keyed.port, "GET", "/healthz")).status).toBe(200)
      const open = yield* start({ HOST: "0.0.0.0", INSECURE_NO_AUTH: "1" })
      expect(open.stdout()).toMatch(/^WARNING: INSECURE_NO_AUTH=1/m)
      expect((yield* askPort(open.port, "GET", "/list")).status).toBe(200)
    }))

  it.scopedLive("does not start unsafe or misconfigured: one line, no stack, code 1", () =>
    Effect.gen(function*() {
      const taken = yield* Effect.acquireRelease(
        Effect.async<AddressInfo & { readonly close: () => void }>((resume) => {
          const server = createServer().listen(0, "127.0.0.1", () =>
            resume(Effect.succeed({
              ...server.address() as AddressInfo,
              close: () => server.close()
            })))
        }),
        ({ close }) => Effect.sync(close)
      )
      for (
        const [environment, line] of [
          [
            { HOST: "0.0.0.0", API_KEY: "too-short" },
            /^API_KEY: expected at least 32 characters of ASCII without spaces, got 9\. .*$/
          ],
          [{ PORT: "80a" }, /^PORT: expected a whole number from 0 to 65535, got "80a"$/],
          [{ LAMBDA: "gcp" }, /^LAMBDA: expected aws or local, got "gcp"$/],
          [
            { PORT: String(taken.port) },
            /^Port \d+ on 127\.0\.0\.1 is in use\. Stop what uses it, or set PORT to another\.$/
          ],
          [
            { HOST: "192.0.2.1", INSECURE_NO_AUTH: "1" },
            /^Cannot listen on 192\.0\.2\.1, port 0 \(EADDRNOTAVAIL\)\. HOST must be .*$/
          ]
        ] as const
      ) {
        const server = yield* start(environment)
        expect(yield* server.ended).toEqual({ code: 1, signal: null })
        // Where Node lies out of other users' reach, the local runtime says so before the server finds its own fault.
        const said = server.stderr().trim().split("\n").filter((text) => !text.includes("Functions run as root"))
        expect(said.join("\n")).toMatch(line)
        expect(server.stdout()).toBe("")
      }
    }))
}, 60_000)

import { describe, expect, it, vi } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Redacted, Scope } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LocalLambdaClient } from "../../../src/adapters/local/index.ts"
import * as LambdaFunction from "../../../src/domain/LambdaFunction.ts"
import { lambdaRuntimes } from "../../../src/domain/LambdaRuntime.ts"
import { LambdaClient } from "../../../src/ports/LambdaClient.ts"
import { rawZip } from "../../packaging/rawZip.ts"
import { client, dropsUser, evaluate, eventually, isRunning, request, run, runtimeOfThisNode } from "./support.ts"

const echo = LambdaFunction.inline("echo", "export const handler = async (event) => event")
const pidOf = "export const handler = async () => process.pid"

describe("deploy", () => {
  it.live("creates, leaves alone, updates", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const one = LambdaFunction.inline("f", "export const handler = async () => 1")
      const two = LambdaFunction.inline("f", "export const handler = async () => 2")
      const first = yield* lambda.deploy(one)
      expect(first).toMatchObject({ change: "created", target: { name: "f", timeout: 3_000 } })
      expect((yield* lambda.deploy(one)).change).toBe("unchanged")
      expect((yield* lambda.invoke(request("f"))).body.text).toBe("1")
      const second = yield* lambda.deploy(two)
      expect(second.change).toBe("updated")
      expect(second.codeSha256).not.toBe(first.codeSha256)
      expect((yield* lambda.invoke(request("f"))).body.text).toBe("2")
    }).pipe(Effect.provide(client())))

  it.live("a changed setting is an update, also a secret one; another order is none", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const source = "export const handler = async () => process.env.TOKEN"
      const secret = (value: string, rest: Record<string, string>) =>
        LambdaFunction.inline("f", source, { environment: { TOKEN: Redacted.make(value), ...rest } })
      yield* lambda.deploy(secret("one", { AA: "1", BB: "2" }))
      expect((yield* lambda.deploy(secret("one", { BB: "2", AA: "1" }))).change).toBe("unchanged")
      expect((yield* lambda.deploy(secret("two", { AA: "1", BB: "2" }))).change).toBe("updated")
      expect((yield* lambda.invoke(request("f"))).body.text).toBe(`"two"`)
    }).pipe(Effect.provide(client())))

  it.live("names that differ in case, and prototype names, are functions of their own", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      for (const name of ["Demo", "demo", "constructor", "__proto__"]) {
        yield* lambda.deploy(LambdaFunction.inline(name, `export const handler = async () => ${JSON.stringify(name)}`))
      }
      for (const name of ["Demo", "demo", "constructor", "__proto__"]) {
        expect((yield* lambda.invoke(request(name))).body.text).toBe(JSON.stringify(name))
      }
    }).pipe(Effect.provide(client())))

  it.live("an update while a call runs: the call finishes on the old code, the next takes the new", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const version = (n: number, wait: number) =>
        LambdaFunction.files("f", {
          "index.mjs": `export const handler = async () => {
            await new Promise((done) => setTimeout(done, ${wait}))
            return (await import("./n.mjs")).n
          }`,
          "n.mjs": `export const n = ${n}`
        })
      yield* lambda.deploy(version(1, 500))
      const running = yield* Effect.fork(lambda.invoke(request("f")))
      yield* Effect.sleep(250)
      yield* lambda.deploy(version(2, 0))
      expect((yield* lambda.invoke(request("f"))).body.text).toBe("2")
      // The old code's folder is there until its last call has ended.
      expect((yield* Fiber.join(running)).body.text).toBe("1")
    }).pipe(Effect.provide(client())))

  it.live("removes; what is not there is removed already", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(echo)
      yield* lambda.invoke(request("echo"))
      yield* lambda.remove("echo")
      yield* lambda.remove("echo")
      const error = yield* Effect.flip(lambda.invoke(request("echo")))
      expect(error).toMatchObject({ reason: "NotFound" })
      expect((yield* lambda.deploy(echo)).change).toBe("created")
    }).pipe(Effect.provide(client())))

  it.live("refuses bad input before anything is unpacked", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const zip = rawZip([{ name: "../index.js", data: "" }])
      const error = yield* Effect.flip(lambda.deploy(LambdaFunction.zip("f", zip)))
      expect(error).toMatchObject({ _tag: "InvalidInput", reason: "ZipInvalid" })
      expect((yield* Effect.flip(lambda.invoke(request("f")))).reason).toBe("NotFound")
    }).pipe(Effect.provide(client())))

  it.live("says once that the declared runtime is not this Node", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => lines.push(String(message))))
      const other = runtimeOfThisNode === "nodejs22.x" ? "nodejs24.x" : "nodejs22.x"
      const fn = (runtime: string, n: number) =>
        LambdaFunction.inline(`on-${runtime.slice(0, -2)}`, `export const handler = async () => ${n}`, { runtime })
      yield* Effect.gen(function*() {
        const lambda = yield* LambdaClient
        if (lambdaRuntimes.some(({ name }) => name === runtimeOfThisNode)) {
          yield* lambda.deploy(fn(runtimeOfThisNode, 1))
        }
        yield* lambda.deploy(fn(other, 1))
        yield* lambda.deploy(fn(other, 2))
      }).pipe(Effect.provide(Layer.merge(LocalLambdaClient.layer, logger)))
      expect(lines.filter((line) => line.includes("declares"))).toEqual([
        `Function on-${other.slice(0, -2)} declares ${other}; on this machine it runs on Node ${process.versions.node}.`
      ])
    }))
})

describe("invoke", () => {
  it.live("hands over the payload and brings the result", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(echo)
      const result = yield* lambda.invoke(request("echo", `{"name":"Ada","text":"ü\\u0000 \\ud800 € 😀"}`))
      expect(JSON.parse(result.body.text)).toEqual({ name: "Ada", text: "ü\0 \ud800 € 😀" })
      expect(result).toMatchObject({ executedVersion: "$LATEST", body: { encoding: "utf8" } })
      expect(result.requestId).toMatch(/^[0-9a-f-]{36}$/)
    }).pipe(Effect.provide(client())))

  it.live("moves 6 MB there and back", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(
        LambdaFunction.inline("echo", "export const handler = async (event) => event", { memory: 512 })
      )
      const payload = JSON.stringify("x".repeat(6 * 1024 * 1024 - 2))
      const { body } = yield* lambda.invoke(request("echo", payload))
      expect(body.text === payload).toBe(true)
      const error = yield* Effect.flip(lambda.invoke(request("echo", JSON.stringify("x".repeat(6 * 1024 * 1024)))))
      expect(error.reason).toBe("PayloadTooLarge")
    }).pipe(Effect.provide(client())))

  it.live("gives the handler its context", () =>
    Effect.gen(function*() {
      const fn = LambdaFunction.inline(
        "context",
        `export const handler = async (event, context) => ({
          ...context, left: context.getRemainingTimeInMillis(), environment: process.env, cwd: process.cwd() })`,
        { memory: 256, timeout: "7 seconds", environment: { GREETING: "$(id) %PATH%" } }
      )
      const result = yield* run(fn, "{}", { clientContext: { taskId: "t1", attempt: 2 } })
      const seen = JSON.parse(result.body.text) as Record<string, Record<string, unknown>>
      expect(seen).toMatchObject({
        awsRequestId: result.requestId,
        functionName: "context",
        functionVersion: "$LATEST",
        memoryLimitInMB: "256",
        invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:context",
        logGroupName: "/aws/lambda/context",
        callbackWaitsForEmptyEventLoop: true,
        clientContext: { custom: { taskId: "t1", attempt: 2 } },
        environment: {
          GREETING: "$(id) %PATH%",
          _HANDLER: "index.handler",
          AWS_LAMBDA_FUNCTION_NAME: "context",
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "256",
          AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
          AWS_REGION: "us-east-1",
          AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
          TZ: ":UTC"
        }
      })
      expect(seen["logStreamName"]).toMatch(/^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/)
      expect(seen["left"]).toBeGreaterThan(6_000)
      expect(seen["left"]).toBeLessThanOrEqual(7_000)
      expect(seen["cwd"]).toBe(seen["environment"]?.["LAMBDA_TASK_ROOT"])
    }).pipe(Effect.provide(client())))

  it.live("has a log tail of at most 4 KB, as AWS writes it", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(LambdaFunction.inline(
        "logs",
        `console.log("loading")
        export const handler = async (event) => {
          console.log("one", { two: 3 }); console.error("bad\\nnews"); process.stdout.write("raw\\n" + "y".repeat(event.more) + "the last word\\n")
        }`
      ))
      const { logTail, requestId } = yield* lambda.invoke(request("logs", `{"more":0}`))
      const lines = (logTail ?? "").split("\n")
      expect(lines[0]).toMatch(/\tundefined\tINFO\tloading$/)
      expect(lines[1]).toBe(`START RequestId: ${requestId} Version: $LATEST`)
      expect(lines).toContainEqual(
        expect.stringMatching(new RegExp(`^[-0-9T:.]+Z\t${requestId}\tINFO\tone { two: 3 }$`))
      )
      expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^[-0-9T:.]+Z\t${requestId}\tERROR\tbad\rnews$`)))
      expect(lines).toContain("raw")
      expect(lines.at(-3)).toBe(`END RequestId: ${requestId}`)
      expect(lines.at(-2)).toMatch(
        /^REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t.*Init Duration: [\d.]+ ms\t$/
      )
      const again = yield* lambda.invoke(request("logs", `{"more":0}`))
      expect(again.logTail?.startsWith(`START RequestId: ${again.requestId} `)).toBe(true)
      const long = yield* lambda.invoke(request("logs", `{"more":1000000}`))
      expect(Buffer.byteLength(long.logTail ?? "")).toBe(4096)
      // All that was printed is there, though the answer overtakes it.
      expect(long.logTail).toMatch(/yyyythe last word\nEND /)
      expect(long.logTail).not.toContain("START")
      expect(long.logTail).toMatch(/\tMemory Size: 128 MB\t[^\n]*\t\n$/)
    }).pipe(Effect.provide(client())))

  it.live("uses a warm process again, and one process per concurrent call", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(LambdaFunction.inline(
        "pid",
        "export const handler = async (ms) => { await new Promise((done) => setTimeout(done, ms)); return process.pid }"
      ))
      const pid = (ms: number) => Effect.map(lambda.invoke(request("pid", `${ms}`)), ({ body }) => Number(body.text))
      const first = yield* pid(0)
      expect(yield* pid(0)).toBe(first)
      const together = yield* Effect.all([pid(300), pid(300), pid(300)], { concurrency: "unbounded" })
      expect(new Set(together).size).toBe(3)
      expect(together).toContain(first)
    }).pipe(Effect.provide(client())))

  it.live("keeps to its concurrency: more calls wait for a process", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const slow =
        "export const handler = async () => { await new Promise((done) => setTimeout(done, 100)); return process.pid }"
      yield* lambda.deploy(LambdaFunction.inline("a", slow))
      yield* lambda.deploy(LambdaFunction.inline("b", slow))
      const names = ["a", "a", "b", "b", "a", "a"]
      const pids = yield* Effect.forEach(names, (name) => lambda.invoke(request(name)), { concurrency: "unbounded" })
      expect(pids).toHaveLength(6)
      const alive = () => new Set(pids.map(({ body }) => Number(body.text)).filter(isRunning)).size
      yield* eventually("at most two processes are left", () => alive() <= 2)
    }).pipe(Effect.provide(client({ concurrency: 2 }))))

  it.live("a call that finds no process in time was not sent", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(
        LambdaFunction.inline("slow", "export const handler = () => new Promise((d) => setTimeout(d, 2000))")
      )
      yield* Effect.fork(lambda.invoke(request("slow")))
      yield* Effect.sleep(200)
      const error = yield* Effect.flip(lambda.invoke(request("slow", "{}", { timeout: 300 })))
      expect(error).toMatchObject({ reason: "Throttled", outcome: "throttled" })
    }).pipe(Effect.provide(client({ concurrency: 1 }))))

  it.live("a call whose caller stops waiting may have run", () =>
    Effect.gen(function*() {
      const slow = LambdaFunction.inline("slow", "export const handler = () => new Promise((d) => setTimeout(d, 2000))")
      const error = yield* Effect.flip(run(slow, "{}", { timeout: 700 }))
      expect(error).toMatchObject({ reason: "NoAnswer", outcome: "unknown" })
    }).pipe(Effect.provide(client())))

  it.live("ends idle processes", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const pid = Number((yield* run(LambdaFunction.inline("pid", pidOf))).body.text)
      expect(isRunning(pid)).toBe(true)
      yield* eventually("the process has ended", () => !isRunning(pid))
      expect(Number((yield* lambda.invoke(request("pid"))).body.text)).not.toBe(pid)
    }).pipe(Effect.provide(client({ idleTimeout: 200 }))))

  it.live("sends nothing after notAfter", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(echo)
      for (const type of ["RequestResponse", "Event"] as const) {
        const error = yield* Effect.flip(lambda.invoke(request("echo", "{}", { type, notAfter: 0 })))
        expect(error).toMatchObject({ reason: "TooLate", outcome: "notSent" })
      }
      expect((yield* lambda.invoke(request("echo", "1"))).body.text).toBe("1")
    }).pipe(Effect.provide(client())))

  it.live("Event answers at once and runs; DryRun does not run", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(LambdaFunction.inline(
        "count",
        `let calls = 0
        export const handler = async () => { calls += 1; return calls }`
      ))
      const empty = { body: { text: "", encoding: "utf8" }, logTail: undefined }
      expect(yield* lambda.invoke(request("count", "{}", { type: "DryRun" }))).toMatchObject(empty)
      expect(yield* lambda.invoke(request("count", "{}", { type: "Event" }))).toMatchObject(empty)
      yield* Effect.sleep(400)
      expect((yield* lambda.invoke(request("count"))).body.text).toBe("2")
      const tooLarge = request("count", JSON.stringify("x".repeat(1024 * 1024)), { type: "Event" })
      expect((yield* Effect.flip(lambda.invoke(tooLarge))).reason).toBe("PayloadTooLarge")
    }).pipe(Effect.provide(client({ concurrency: 1 }))))

  it.live("knows no other function, version or alias", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(echo)
      const target = { name: "echo", arn: undefined, timeout: 3_000 }
      expect(yield* Effect.flip(lambda.invoke(request("nobody")))).toMatchObject({
        reason: "NotFound",
        message: "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"
      })
      const error = yield* Effect.flip(
        lambda.invoke(request("echo", "1", { target: { ...target, qualifier: "live" } }))
      )
      expect(error.message).toBe("Function not found: arn:aws:lambda:us-east-1:000000000000:function:echo:live")
      const latest = yield* lambda.invoke(request("echo", "1", { target: { ...target, qualifier: "$LATEST" } }))
      expect(latest.body.text).toBe("1")
    }).pipe(Effect.provide(client())))

  it.live("interruption ends the process", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      yield* lambda.deploy(LambdaFunction.inline(
        "spin",
        "export const handler = async (spin) => { while (spin); return process.pid }",
        { timeout: "60 seconds" }
      ))
      const pid = Number((yield* lambda.invoke(request("spin", "false"))).body.text)
      const running = yield* Effect.fork(lambda.invoke(request("spin", "true")))
      yield* Effect.sleep(200)
      expect(isRunning(pid)).toBe(true)
      const exit = yield* Fiber.interrupt(running)
      expect(Exit.isInterrupted(exit)).toBe(true)
      yield* eventually("the process has ended", () => !isRunning(pid))
      expect(Number((yield* lambda.invoke(request("spin", "false"))).body.text)).not.toBe(pid)
    }).pipe(Effect.provide(client())))

  it.live("interruption while the handler loads ends the process, too", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const source = `console.log(process.pid); for (;;);
        export const handler = async () => 1`
      yield* lambda.deploy(LambdaFunction.inline("load", source))
      const children = () => childrenOf(process.pid)
      const running = yield* Effect.fork(lambda.invoke(request("load")))
      if (process.platform === "linux") yield* eventually("a process loads", () => children().length > 0)
      const [pid = 0] = children()
      yield* Fiber.interrupt(running)
      yield* eventually("the process has ended", () => !isRunning(pid))
    }).pipe(Effect.provide(client())))
})

/** Processes whose parent this is (Linux). */
const childrenOf = (parent: number): ReadonlyArray<number> => {
  if (process.platform !== "linux") return []
  return readdirSync(`/proc/${parent}/task`).flatMap((thread) => {
    const list = `/proc/${parent}/task/${thread}/children`
    return existsSync(list) ? readFileSync(list, "utf8").split(" ").filter(Boolean).map(Number) : []
  })
}

describe("handlers", () => {
  const kinds: ReadonlyArray<readonly [what: string, files: Record<string, string>, result: unknown]> = [
    ["an ECMAScript module", { "index.mjs": "export const handler = async () => 1" }, 1],
    ["a CommonJS module", { "index.cjs": "exports.handler = async () => 1" }, 1],
    ["a .js file", {
      "index.js": "exports.handler = async () => require('./lib/one')",
      "lib/one.js": "module.exports = 1"
    }, 1],
    ["a .js file of a module package", {
      "index.js": "import { one } from './one.js'; export const handler = async () => one",
      "one.js": "export const one = 1",
      "package.json": `{"type":"module"}`
    }, 1],
    ["a dependency", {
      "index.mjs": "import { one } from 'one'; export const handler = async () => one",
      "node_modules/one/package.json": `{"name":"one","type":"module","exports":"./main.js"}`,
      "node_modules/one/main.js": "export const one = 1"
    }, 1],
    ["its own data file", {
      "index.mjs": `import { readFileSync } from "node:fs"
        export const handler = async () => JSON.parse(readFileSync(new URL("./data.json", import.meta.url)))`,
      "data.json": "1"
    }, 1],
    ["its temporary folder", {
      "index.mjs": `import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
        import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
        export const handler = async () => {
          const file = mkdtempSync(tmpdir() + "/x-") + "/one"
          writeFileSync(file, "1")
          return Number(readFileSync(file))
        }`
    }, 1],
    ["a top-level await", { "index.mjs": "const one = await 1; export const handler = async () => one" }, 1],
    ["no result", { "index.mjs": "export const handler = async () => {}" }, null],
    ["a function as its result", { "index.mjs": "export const handler = async () => () => 1" }, null],
    ["a promise that never settles", { "index.mjs": "export const handler = () => new Promise(() => {})" }, null],
    ["a plain function", { "index.mjs": "export const handler = () => 1" }, 1],
    ["a patched JSON.stringify", { "index.mjs": "JSON.stringify = () => '2'; export const handler = async () => 1" }, 1]
  ]
  it.live("run as on Lambda", () =>
    Effect.gen(function*() {
      for (const [what, files, expected] of kinds) {
        const { body } = yield* run(LambdaFunction.files("kind", files))
        expect([what, JSON.parse(body.text)]).toEqual([what, expected])
      }
    }).pipe(Effect.provide(client())))

  it.live("may use callbacks up to Node 22, not on 24", () =>
    Effect.gen(function*() {
      const source = (body: string) => `export const handler = (event, context, callback) => { ${body} }`
      const node22 = { runtime: "nodejs22.x" }
      expect(yield* evaluate(source("callback(null, 1)"), node22)).toBe(1)
      expect(yield* evaluate(source("setTimeout(() => callback(null, 1), 10)"), node22)).toBe(1)
      const failed = yield* Effect.flip(evaluate(source("callback(new RangeError('no'))"), node22))
      expect(failed).toMatchObject({ errorType: "RangeError" })
      // The answer waits for the event loop, unless the handler says otherwise.
      const waits = "let n = 0; setTimeout(() => { n = 1 }, 300); callback(null, { toJSON: () => n })"
      expect(yield* evaluate(source(waits), node22)).toBe(1)
      expect(yield* evaluate(source(`context.callbackWaitsForEmptyEventLoop = false; ${waits}`), node22)).toBe(0)
      const refused = yield* Effect.flip(evaluate(source("callback(null, 1)"), { runtime: "nodejs24.x" }))
      expect(refused).toMatchObject({ reason: "FunctionError", errorType: "Runtime.CallbackHandlerDeprecated" })
    }).pipe(Effect.provide(client())))
})

describe("the layer", () => {
  it.live.skipIf(!dropsUser)(
    "as root, says so in one line where it cannot become another user",
    () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const logger = Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => lines.push(String(message))))
        const folder = yield* Effect.promise(() => mkdtemp(join(tmpdir(), "private-")))
        vi.stubEnv("TMPDIR", folder)
        const uid = yield* evaluate("export const handler = async () => process.getuid()").pipe(
          Effect.provide(LocalLambdaClient.layer.pipe(Layer.provideMerge(logger))),
          Effect.ensuring(Effect.promise(() => rm(folder, { recursive: true }))),
          Effect.ensuring(Effect.sync(() => vi.unstubAllEnvs()))
        )
        expect(uid).toBe(0)
        expect(lines.filter((line) => line.startsWith("Functions run as root"))).toEqual([
          `Functions run as root: uid 65534 cannot reach ${folder}. Set TMPDIR to a folder that every user can enter ` +
          "(such as /tmp), or start this program as a normal user."
        ])
      })
  )

  it.live("describes itself and knows no region", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      expect(lambda.description).toBe(`this machine (child processes, Node ${process.versions.node})`)
      expect(lambda.region).toBeUndefined()
    }).pipe(Effect.provide(client())))

  it.live("when it closes, no process and no file is left", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(client(), scope)
      const where = LambdaFunction.inline(
        "where",
        "export const handler = async (spin) => { while (spin); return [process.pid, process.env.LAMBDA_TASK_ROOT, process.env.HOME] }",
        { timeout: "60 seconds" }
      )
      const { body } = yield* Effect.provide(run(where, "false"), context)
      const [pid, ...folders] = JSON.parse(body.text) as [number, string, string]
      expect(isRunning(pid)).toBe(true)
      expect(folders.map((folder) => existsSync(folder))).toEqual([true, true])
      expect(folders[0]).not.toContain("where")
      yield* Effect.fork(Effect.provide(run(where, "true"), context))
      yield* Effect.sleep(300)
      yield* Scope.close(scope, Exit.void)
      expect(isRunning(pid)).toBe(false)
      expect(folders.map((folder) => existsSync(folder))).toEqual([false, false])
      const root = folders[0]?.split("/code/")[0] ?? ""
      expect(root.startsWith(tmpdir())).toBe(true)
      expect(existsSync(root)).toBe(false)
    }))
})

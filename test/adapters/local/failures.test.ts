import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as LambdaFunction from "../../../src/domain/LambdaFunction.ts"
import type { CodeOptions } from "../../../src/domain/LambdaFunction.ts"
import { LambdaClient } from "../../../src/ports/LambdaClient.ts"
import { client, eventually, failure, isRunning, request, run } from "./support.ts"

interface Failure {
  readonly what: string
  readonly source: string
  readonly options?: CodeOptions
  readonly reason?: "FunctionError" | "FunctionTimeout"
  readonly errorType: string
  /** `errorMessage` of the payload. */
  readonly message: RegExp
}

const handler = (body: string) => `export const handler = async (event, context) => { ${body} }`

const failures: ReadonlyArray<Failure> = [
  {
    what: "a handler that throws",
    source: handler("throw new TypeError('not a number')"),
    errorType: "TypeError",
    message: /^not a number$/
  },
  {
    what: "a handler that throws an error of its own kind",
    source: handler("const e = new Error('x'); e.name = 'PaymentDeclined'; throw e"),
    errorType: "PaymentDeclined",
    message: /^x$/
  },
  { what: "a handler that throws no error", source: handler("throw 'text'"), errorType: "string", message: /^text$/ },
  {
    what: "an error that cannot be read",
    source: handler("throw new (class extends Error { get message() { throw 1 } })()"),
    errorType: "handled",
    message: /problem while retrieving/
  },
  {
    what: "a plain function that throws",
    source: "export const handler = () => { throw new RangeError('sync') }",
    errorType: "RangeError",
    message: /^sync$/
  },
  {
    what: "a result that is cyclic",
    source: handler("const a = {}; a.a = a; return a"),
    errorType: "Error",
    message: /^Unable to stringify response body$/
  },
  {
    what: "a result that is a BigInt",
    source: handler("return 1n"),
    errorType: "Error",
    message: /^Unable to stringify response body$/
  },
  {
    what: "a result beyond 6 MB",
    source: handler("return 'x'.repeat(6291556)"),
    options: { memory: 512 },
    errorType: "Function.ResponseSizeTooLarge",
    message: /^Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\.$/
  },
  {
    what: "an uncaught error",
    source: handler(
      "setTimeout(() => { throw new RangeError('late') }); await new Promise((r) => setTimeout(r, 1000))"
    ),
    errorType: "RangeError",
    message: /^late$/
  },
  {
    what: "an unhandled rejection",
    source: handler("Promise.reject(new RangeError('lost')); await new Promise((r) => setTimeout(r, 1000))"),
    errorType: "Runtime.UnhandledPromiseRejection",
    message: /^RangeError: lost$/
  },
  {
    what: "exit 0",
    source: handler("process.exit(0)"),
    errorType: "Runtime.ExitError",
    message: /^RequestId: [0-9a-f-]{36} Error: Runtime exited without providing a reason$/
  },
  {
    what: "exit 3",
    source: handler("process.exit(3)"),
    errorType: "Runtime.ExitError",
    message: /Error: Runtime exited with error: exit status 3$/
  },
  {
    what: "a signal to itself",
    source: handler("process.kill(process.pid, 'SIGKILL'); await new Promise((r) => setTimeout(r, 1000))"),
    errorType: "Runtime.ExitError",
    message: /Error: Runtime exited with error: signal: killed$/
  },
  {
    what: "abort",
    source: handler("process.abort()"),
    errorType: "Runtime.ExitError",
    message: /Error: Runtime exited with error: signal: aborted$/
  },
  {
    what: "a wait beyond the timeout",
    source: handler("await new Promise((r) => setTimeout(r, 10000))"),
    options: { timeout: "1 second" },
    reason: "FunctionTimeout",
    errorType: "Sandbox.Timedout",
    message: /^RequestId: [0-9a-f-]{36} Error: Task timed out after 1\.00 seconds$/
  },
  {
    what: "a busy loop",
    source: handler("for (;;);"),
    options: { timeout: "1 second" },
    reason: "FunctionTimeout",
    errorType: "Sandbox.Timedout",
    message: /Task timed out after 1\.00 seconds$/
  },
  {
    what: "a busy loop that ignores SIGTERM",
    source: `process.on("SIGTERM", () => {}); ${handler("for (;;);")}`,
    options: { timeout: "1 second" },
    reason: "FunctionTimeout",
    errorType: "Sandbox.Timedout",
    message: /Task timed out after 1\.00 seconds$/
  },
  {
    what: "a busy loop of micro-tasks",
    source: handler("for (;;) await 1"),
    options: { timeout: "1 second" },
    reason: "FunctionTimeout",
    errorType: "Sandbox.Timedout",
    message: /Task timed out after 1\.00 seconds$/
  },
  {
    what: "a handler that is not exported",
    source: "export const other = 1",
    errorType: "Runtime.HandlerNotFound",
    message: /^index\.handler is undefined or not exported$/
  },
  {
    what: "a handler that is no function",
    source: "export const handler = 1",
    errorType: "Runtime.HandlerNotFound",
    message: /^index\.handler is not a function$/
  },
  {
    what: "a package that is not there",
    source: `import "nowhere"; ${handler("")}`,
    errorType: "Runtime.ImportModuleError",
    message: /Cannot find package 'nowhere'/
  },
  {
    what: "a file that is not there",
    source: `import "./nowhere.mjs"; ${handler("")}`,
    errorType: "Runtime.ImportModuleError",
    message: /Cannot find module/
  },
  {
    what: "a syntax error",
    source: "export const handler = async () => {",
    errorType: "Runtime.UserCodeSyntaxError",
    message: /^SyntaxError: /
  },
  {
    what: "a module that throws",
    source: `throw new RangeError("while loading"); ${handler("")}`,
    errorType: "RangeError",
    message: /^while loading$/
  },
  {
    what: "a module that exits",
    source: `process.exit(4); ${handler("")}`,
    errorType: "Runtime.ExitError",
    message: /exit status 4$/
  },
  {
    what: "a module that rejects behind its back",
    source: `Promise.reject(new RangeError("behind")); await new Promise((r) => setTimeout(r, 1000)); ${handler("")}`,
    errorType: "Runtime.ExitError",
    message: /exit status 128$/
  }
]

describe("a function that fails", () => {
  for (const { errorType, message, options, reason, source, what } of failures) {
    it.live(what, () =>
      Effect.gen(function*() {
        const error = yield* failure(source, options)
        expect(error).toMatchObject({ _tag: "InvocationError", reason: reason ?? "FunctionError", errorType })
        const payload = JSON.parse(error.payload ?? "") as { errorType: string; errorMessage: string }
        expect(payload.errorType).toBe(errorType)
        expect(payload.errorMessage).toMatch(message)
        expect(error.logTail).toMatch(/END RequestId: .*\nREPORT RequestId: /)
        expect(error.outcome).toBe("failed")
      }).pipe(Effect.provide(client())))
  }

  it.live("loading takes ten seconds at the most", () =>
    Effect.gen(function*() {
      const error = yield* failure(`for (;;); ${handler("")}`)
      expect(error).toMatchObject({ reason: "FunctionTimeout", errorType: "Sandbox.Timedout" })
      expect(error.message).toContain("Task timed out after 0.50 seconds")
    }).pipe(Effect.provide(client({ initTimeout: 500 }))))

  it.live("its error says where, and is logged", () =>
    Effect.gen(function*() {
      const error = yield* failure(handler("throw new TypeError('boom')"))
      const { trace } = JSON.parse(error.payload ?? "") as { trace: ReadonlyArray<string> }
      expect(trace[0]).toBe("TypeError: boom")
      expect(trace[1]).toMatch(/at handler .*index\.mjs:1:\d+/)
      expect(error.logTail).toMatch(
        /\tERROR\tInvoke Error \t\{"errorType":"TypeError","errorMessage":"boom","stack":\[/
      )
    }).pipe(Effect.provide(client())))

  it.live("an error of megabytes is cut", () =>
    Effect.gen(function*() {
      const error = yield* failure(handler("throw new Error('x'.repeat(5e6))"))
      expect(error.payload?.length).toBeLessThan(500_000)
      expect(error.errorType).toBe("Error")
    }).pipe(Effect.provide(client())))
})

describe("the process after a failure", () => {
  const source = handler(`
    if (event === "throw") throw new Error("x")
    if (event === "later") setTimeout(() => { throw new Error("later") }, 50)
    if (event === "exit later") setTimeout(() => process.exit(1), 50)
    if (event === "spin later") setTimeout(() => { for (;;); }, 50)
    return process.pid`)

  const pid = (payload: string) =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      return Number((yield* lambda.invoke(request("subject", JSON.stringify(payload)))).body.text)
    })

  it.live("goes on after a handler threw", () =>
    Effect.gen(function*() {
      const first = Number((yield* run(LambdaFunction.inline("subject", source))).body.text)
      yield* Effect.flip(pid("throw"))
      expect(yield* pid("again")).toBe(first)
    }).pipe(Effect.provide(client())))

  it.live("is gone after a timeout; the next call has another", () =>
    Effect.gen(function*() {
      const spin = handler("while (event === 'spin'); return process.pid")
      const fn = LambdaFunction.inline("subject", spin, { timeout: "1 second" })
      const first = Number((yield* run(fn)).body.text)
      yield* Effect.flip(pid("spin"))
      yield* eventually("the process has ended", () => !isRunning(first))
      expect(yield* pid("again")).not.toBe(first)
    }).pipe(Effect.provide(client())))

  for (const leftover of ["later", "exit later"]) {
    it.live(`gets no call after ${leftover === "later" ? "an uncaught error" : "an exit"} between two calls`, () =>
      Effect.gen(function*() {
        const first = Number((yield* run(LambdaFunction.inline("subject", source), JSON.stringify(leftover))).body.text)
        yield* eventually("the process has ended", () => !isRunning(first))
        expect(yield* pid("again")).not.toBe(first)
      }).pipe(Effect.provide(client())))

    it.live(`a call that meets it right then is not lost (${leftover})`, () =>
      Effect.gen(function*() {
        yield* run(LambdaFunction.inline("subject", source), JSON.stringify(leftover))
        // A call every other millisecond, over the instant at which the process ends.
        for (let n = 0; n < 60; n++) {
          yield* pid("again").pipe(
            // The call that was running when the error came is that error's victim, as on AWS.
            Effect.catchIf(({ reason }) => reason === "FunctionError", () => Effect.succeed(0))
          )
          yield* Effect.sleep(2)
        }
        expect(yield* pid("again")).toBeGreaterThan(0)
      }).pipe(Effect.provide(client())))
  }

  it.live("busy with a leftover: the next call has another process, and does run", () =>
    Effect.gen(function*() {
      // Found out long before the function's timeout.
      const fn = LambdaFunction.inline("subject", source, { timeout: "60 seconds" })
      const first = Number((yield* run(fn, JSON.stringify("spin later"))).body.text)
      yield* Effect.sleep(200)
      expect(yield* pid("again")).not.toBe(first)
      yield* eventually("the busy process has ended", () => !isRunning(first))
    }).pipe(Effect.provide(client())))
})

import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Redacted } from "effect"
import type { LogFormat } from "../../src/http/ServerConfig.ts"
import { logLayer, logStyle } from "../../src/http/ServerLog.ts"

/** What a program's log writes to stderr. */
const logged = (style: Parameters<typeof logLayer>[0], program: Effect.Effect<void>): Effect.Effect<string> =>
  Effect.gen(function*() {
    const lines: Array<unknown> = []
    const console = yield* Effect.consoleWith(Effect.succeed)
    const recording = new Proxy(console.unsafe, {
      get: (target, method) =>
        method === "error" ? (line: unknown) => lines.push(line) : Reflect.get(target, method) as unknown
    })
    yield* program.pipe(Effect.provide(logLayer(style)), Effect.withConsole({ ...console, unsafe: recording }))
    return lines.map((line) => `${String(line)}\n`).join("")
  })

const formats: ReadonlyArray<LogFormat> = ["json", "pretty"]

describe("the log's format", () => {
  it("is pretty for people and JSON for programs, unless one is asked for", () => {
    for (
      const [asked, noColor, isTerminal, format, colors] of [
        [undefined, false, true, "pretty", true],
        [undefined, true, true, "json", false],
        [undefined, false, false, "json", false],
        ["json", false, true, "json", true],
        ["pretty", false, false, "pretty", false],
        ["pretty", true, true, "pretty", false]
      ] as const
    ) {
      expect(logStyle({ asked, noColor, isTerminal })).toEqual({ format, colors })
    }
  })

  const event = Effect.logWarning("The store did not answer", { attempt: 2 }).pipe(
    Effect.annotateLogs({ taskId: "t1", tags: ["a"] })
  )

  it.live("JSON: one event, one line", () =>
    Effect.gen(function*() {
      const line = yield* logged({ format: "json", colors: true }, event)
      expect(line.indexOf("\n")).toBe(line.length - 1)
      expect(JSON.parse(line)).toMatchObject({
        message: ["The store did not answer", { attempt: 2 }],
        logLevel: "WARN",
        annotations: { taskId: "t1", tags: ["a"] }
      })
    }))

  it.live("pretty: a line to read, and colors only where they show", () =>
    Effect.gen(function*() {
      const plain = yield* logged({ format: "pretty", colors: false }, event)
      expect(plain).toMatch(
        /^\d\d:\d\d:\d\d\.\d{3} WARN {2}The store did not answer {"attempt":2} (taskId=t1 tags=\["a"\]|tags=\["a"\] taskId=t1)\n$/
      )
      const colored = yield* logged({ format: "pretty", colors: true }, event)
      // oxlint-disable-next-line no-control-regex
      expect(colored.replace(/\u001b\[\d+m/g, "").slice(12)).toBe(plain.slice(12))
      expect(colored).toContain("\u001b[33mWARN \u001b[0m")
    }))

  it.live("pretty: a cause is below, and nothing that is logged starts a line of its own", () =>
    Effect.gen(function*() {
      const forged = "fine\n12:00:00.000 ERROR forged\r\u001b[2J\u0000"
      const text = yield* logged(
        { format: "pretty", colors: false },
        Effect.logError(forged, Cause.fail(new TypeError("no\nsuch"))).pipe(Effect.annotateLogs({ name: forged }))
      )
      const [first, ...rest] = text.trimEnd().split("\n")
      expect(first).toMatch(/^[\d:.]{12} ERROR fine$/)
      expect(rest.filter((line) => !line.startsWith("    "))).toEqual([])
      expect(rest).toContainEqual(expect.stringMatching(/^ {4}.*TypeError: no$/))
      // oxlint-disable-next-line no-control-regex
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
      expect(text).toContain("\\u001b[2J\\u0000")
    }))
})

describe("secrets", () => {
  const canary = "c4n4ry"
  const carriers = [
    `postgres://user:${canary}@db/x`,
    `Authorization: Bearer ${canary}.x`,
    `aws_secret_access_key=${canary}`,
    `AKIAIOSFODNN7${canary.toUpperCase()}`
  ]
  for (const format of formats) {
    it.live(`do not show in ${format}, wherever they are`, () =>
      Effect.gen(function*() {
        for (const carrier of carriers) {
          for (
            const program of [
              Effect.logInfo(carrier),
              Effect.logInfo("message", { url: carrier }),
              Effect.logInfo("message", new TypeError(carrier)),
              Effect.logInfo("message", Cause.fail(new TypeError(carrier))),
              Effect.logInfo("message", Cause.die(carrier)),
              Effect.logInfo("message").pipe(Effect.annotateLogs({ url: carrier, nested: { url: [carrier] } }))
            ]
          ) {
            const text = yield* logged({ format, colors: format === "pretty" }, program)
            expect(text.length).toBeGreaterThan(20)
            expect(text.toLowerCase()).not.toContain(canary)
          }
        }
        const secret = Redacted.make(canary)
        const text = yield* logged(
          { format, colors: false },
          Effect.logInfo("message", secret, { secret }).pipe(Effect.annotateLogs({ secret }))
        )
        expect(text).toContain("<redacted>")
        expect(text).not.toContain(canary)
      }))
  }
})

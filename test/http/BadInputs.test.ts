/** The collected bad inputs that concern the routes: each is refused with its code, and nothing is stored. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import JSZip from "jszip"
import { inputsOf } from "../support/badInputs.ts"
import type { ServeOptions } from "./support.ts"
import { serve } from "./support.ts"

/** `NameEmpty` is answered as `NAME_EMPTY`. */
const codeOf = (reason: string): string => reason.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()

/** Sends bodies to one server; each refusal has its code, and only what was accepted is stored. */
const check = (
  path: string,
  cases: ReadonlyArray<{ readonly json: unknown; readonly code: string | null; readonly status?: number }>,
  options: ServeOptions = {}
) =>
  Effect.gen(function*() {
    const { get, post } = yield* serve(options)
    for (const { code, json, status = 400 } of cases) {
      const answer = yield* post(path, json)
      const shown = JSON.stringify(json).slice(0, 100)
      if (code === null) {
        expect([shown, answer.status]).toEqual([shown, 202])
      } else {
        expect([shown, ...answer.refusal]).toEqual([shown, status, code])
        // What came is not repeated at length.
        expect(answer.text.length).toBeLessThan(600)
        expect(answer.text).not.toMatch(/node_modules|\bat .+:\d+:\d+/)
      }
    }
    expect((yield* get("/list")).tasks.length).toBe(cases.filter(({ code }) => code === null).length)
  })

const rows = (group: string, toJson: (input: unknown) => unknown) => {
  const cases = inputsOf(group).map(({ input, reason }) => ({
    json: toJson(input),
    code: reason === null ? null : codeOf(reason)
  }))
  // A fixture that lost its rows must not pass.
  expect(cases.length).toBeGreaterThan(2)
  return cases
}

const once = { initialDelay: "1 hour" }

describe("bad inputs", () => {
  it.scopedLive("names", () => check("/schedule", rows("name", (name) => ({ name, ...once }))))

  it.scopedLive("a name of 1 MB is not repeated", () =>
    check("/schedule", [{ json: { name: "a".repeat(1_000_000) }, code: "NAME_TOO_LONG" }]))

  it.scopedLive("names of existing functions", () =>
    check(
      "/schedule",
      // With a colon it is no name but a reference, whose pattern has a code of its own.
      rows("name", (fn) => ({ name: "any", function: fn, ...once })),
      { region: "eu-north-1" }
    ))

  it.scopedLive("ARNs", () =>
    check("/schedule", rows("arn", (fn) => ({ name: "any", function: fn, ...once })), { region: "eu-north-1" }))

  it.scopedLive("payloads as text", () =>
    check("/schedule", rows("json", (jsonPayload) => ({ name: "any", jsonPayload, ...once }))))

  it.scopedLive("payloads that are too large or too deep", () => {
    const limit = 6 * 1024 * 1024
    const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
    return check("/schedule", [
      { json: { name: "a", jsonPayload: `"${"x".repeat(limit - 2)}"`, ...once }, code: null },
      { json: { name: "a", jsonPayload: `"${"x".repeat(limit - 1)}"` }, code: "PAYLOAD_TOO_LARGE", status: 413 },
      { json: { name: "a", jsonPayload: `"${"é".repeat(limit / 2)}"` }, code: "PAYLOAD_TOO_LARGE", status: 413 },
      { json: { name: "a", jsonPayload: { x: "x".repeat(limit) } }, code: "PAYLOAD_TOO_LARGE", status: 413 },
      { json: { name: "a", jsonPayload: nested(100), ...once }, code: null },
      { json: { name: "a", jsonPayload: nested(101) }, code: "PAYLOAD_TOO_DEEP" },
      { json: { name: "a", jsonPayload: nested(20_000) }, code: "PAYLOAD_TOO_DEEP" },
      { json: { name: "a", jsonPayload: `{"a":1,"a":2}`, ...once }, code: null },
      {
        json: { name: "a", jsonPayload: `{${Array.from({ length: 100_000 }, () => `"kkkkk":1`).join()}}`, ...once },
        code: null
      }
    ])
  })

  it.scopedLive("a payload nested 20,000 deep as a value", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve()
      const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`
      const { refusal } = yield* ask("POST", "/schedule", {
        headers: { "content-type": "application/json" },
        body: `{"name":"a","jsonPayload":${deep}}`
      })
      expect(refusal).toEqual([400, "PAYLOAD_TOO_DEEP"])
    }))

  for (const field of ["repeatEvery", "fixedRate"]) {
    it.scopedLive(`intervals: ${field}`, () =>
      check("/schedule", [
        ...rows("interval", (interval) => ({ name: "a", [field]: interval })),
        { json: { name: "a", [field]: -5 }, code: "INTERVAL_INVALID" },
        { json: { name: "a", [field]: "-5 seconds" }, code: "INTERVAL_INVALID" },
        { json: { name: "a", [field]: "999 millis" }, code: "INTERVAL_TOO_SMALL" },
        { json: { name: "a", [field]: ["5 seconds"] }, code: "INTERVAL_INVALID" },
        { json: { name: "a", [field]: {} }, code: "INTERVAL_INVALID" },
        { json: { name: "a", [field]: "1 second", ...once }, code: null },
        { json: { name: "a", [field]: "PT1S", ...once }, code: null }
      ]))
  }

  it.scopedLive("a repetition in a field's own words", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const tooSmall = yield* post("/schedule", { name: "a", repeatEvery: 500 })
      expect(tooSmall.problem.detail).toBe("repeatEvery: expected an interval of at least 1000 ms, got 500")
      const notJson = yield* post("/schedule", { name: "a", jsonPayload: "{" })
      expect(notJson.problem.detail).toMatch(/^jsonPayload: expected JSON/)
    }))

  it.scopedLive("delays", () =>
    check("/schedule", [
      { json: { name: "a", initialDelay: -1 }, code: "INTERVAL_INVALID" },
      { json: { name: "a", initialDelay: "soon" }, code: "INTERVAL_INVALID" },
      { json: { name: "a", initialDelay: null }, code: "INTERVAL_INVALID" },
      { json: { name: "a", initialDelay: "30 days" }, code: null }
    ]))

  it.scopedLive("rules that contradict each other", () =>
    check("/schedule", [
      { json: { name: "a", repeatEvery: "5 seconds", fixedRate: "5 seconds" }, code: "SCHEDULE_AMBIGUOUS" },
      { json: { name: "a", totalRuns: 3 }, code: "MAX_RUNS_INVALID" }
    ]))

  it.scopedLive("numbers of runs", () =>
    check("/schedule", [
      ...[0, -1, 1.5, 2 ** 53, "3", null, [1]].map((totalRuns) => ({
        json: { name: "a", repeatEvery: "5 seconds", totalRuns },
        code: "MAX_RUNS_INVALID"
      })),
      ...[1, 2].map((totalRuns) => ({
        json: { name: "a", repeatEvery: "5 seconds", totalRuns, ...once },
        code: null
      }))
    ]))

  it.scopedLive("fields that are not in the contract", () =>
    check("/schedule", [
      { json: { name: "a", admin: true }, code: "FIELD_UNKNOWN" },
      { json: { name: "a", id: "x", status: "COMPLETED", attempts: 0 }, code: "FIELD_UNKNOWN" },
      { json: { name: "a", role: "arn:aws:iam::1:role/x" }, code: "FIELD_UNKNOWN" },
      { json: { name: "a", environment: { NODE_OPTIONS: "--require /x.cjs" } }, code: "FIELD_UNKNOWN" },
      { json: { name: "a", codeUrl: "http://169.254.169.254/" }, code: "FIELD_UNKNOWN" },
      { json: { name: "a", [`x${"y".repeat(100_000)}`]: 1 }, code: "FIELD_UNKNOWN" },
      { json: { name: "a", zippedCodeBase64: "" }, code: "FIELD_UNKNOWN" }
    ]))

  it.scopedLive("__proto__ as a field is unknown too", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve()
      const { refusal } = yield* ask("POST", "/schedule", {
        headers: { "content-type": "application/json" },
        body: `{"name":"a","__proto__":{"function":"payroll"}}`
      })
      expect(refusal).toEqual([400, "FIELD_UNKNOWN"])
    }))

  it.scopedLive("zips and how to run them", () =>
    Effect.gen(function*() {
      const zipped = (file: string, options?: JSZip.JSZipFileOptions) =>
        Effect.promise(() =>
          new JSZip().file(file, "export const handler = async () => 1", options)
            .generateAsync({ type: "base64", platform: "UNIX" })
        )
      const good = yield* zipped("index.mjs")
      const symlink = yield* zipped("index.mjs", { unixPermissions: 0o120777 })
      const noHandler = yield* zipped("other.mjs")
      const large = Buffer.alloc(50 * 1024 * 1024 + 1).toString("base64")
      const json = (zippedCodeBase64: unknown, more: object = {}) => ({ name: "a", zippedCodeBase64, ...once, ...more })
      yield* check("/createAndSchedule", [
        { json: { name: "a" }, code: "BODY_INVALID" },
        { json: json(null), code: "ZIP_INVALID" },
        { json: json(""), code: "ZIP_INVALID" },
        { json: json("not base64!"), code: "ZIP_INVALID" },
        { json: json(Buffer.from("no zip").toString("base64")), code: "ZIP_INVALID" },
        { json: json(good.slice(0, -8)), code: "ZIP_INVALID" },
        { json: json(symlink), code: "ZIP_SYMLINK" },
        { json: json(large), code: "ZIP_TOO_LARGE", status: 413 },
        { json: json(noHandler), code: "HANDLER_INVALID" },
        ...inputsOf("handler").map(({ input }) => ({ json: json(good, { handler: input }), code: "HANDLER_INVALID" })),
        ...inputsOf("timeout").map(({ input }) => ({ json: json(good, { timeout: input }), code: "TIMEOUT_INVALID" })),
        { json: json(good, { handler: 5 }), code: "HANDLER_INVALID" },
        { json: json(good, { runtime: "python3.12" }), code: "RUNTIME_UNSUPPORTED" },
        { json: json(good, { function: "payroll" }), code: "FIELD_UNKNOWN" },
        { json: json(good, { fixedRate: "5 seconds", repeatEvery: "5 seconds" }), code: "SCHEDULE_AMBIGUOUS" },
        { json: json(good), code: null }
      ])
    }))
})

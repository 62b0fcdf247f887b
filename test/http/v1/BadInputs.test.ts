/** The collected bad inputs on time and ids, by their ids, over the wire: what is refused is not stored. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ScheduleAnswer, SchedulePage, TaskPage } from "../../../src/http/index.ts"
import { inputsOf } from "../../support/badInputs.ts"
import type { ServeOptions } from "../support.ts"
import { serve } from "../support.ts"
import { scheduleOf } from "./support.ts"

/** `NameEmpty` is answered as `NAME_EMPTY`. */
const codeOf = (reason: string): string => reason.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()

interface Case {
  readonly json: object
  /** `null`: 201. */
  readonly code: string | null
}

const check = (path: string, cases: ReadonlyArray<Case>, options: ServeOptions = {}) =>
  Effect.gen(function*() {
    expect(cases.length).toBeGreaterThan(0)
    const { get, post } = yield* serve(options)
    for (const { code, json } of cases) {
      const answer = yield* post(path, json)
      const shown = JSON.stringify(json).slice(0, 200)
      if (code === null) {
        expect([shown, answer.status]).toEqual([shown, 201])
      } else {
        expect([shown, ...answer.refusal]).toEqual([shown, 400, code])
        // What came is not repeated at length.
        expect(answer.text.length).toBeLessThan(600)
        expect(answer.text).not.toMatch(/node_modules|\.[jt]s:\d+/)
      }
    }
    const accepted = cases.filter(({ code }) => code === null).length
    const stored = (yield* get(path)).body as { readonly items: ReadonlyArray<unknown> }
    expect(stored.items.length).toBe(accepted)
  })

const unused = "0190a0b0-0000-7000-8000-0000000000ff"

const task = (trigger: object, code: string | null): Case => ({ json: { function: "payroll", trigger }, code })
/** It begins long from now: what is accepted must not run meanwhile. */
const schedule = (trigger: object, code: string | null, more: object = { startAt: "2126-01-01T00:00:00Z" }): Case => ({
  json: { function: "report", trigger, ...more },
  code
})
const cron = (code: string | null, ...expressions: ReadonlyArray<string>) =>
  expressions.map((cron) => schedule({ cron }, code))

/** The rows of a group, one test each. */
const rows = (
  group: string,
  test: (id: string, cases: ReadonlyArray<{ input: unknown; code: string | null }>) => void
) => {
  const byId = new Map<string, Array<{ input: unknown; code: string | null }>>()
  for (const { id, input, reason } of inputsOf(group)) {
    byId.set(id, [...byId.get(id) ?? [], { input, code: reason === null ? null : codeOf(reason) }])
  }
  for (const [id, cases] of byId) test(id, cases)
}

describe("dates", () => {
  rows("date", (id, cases) => {
    it.scopedLive(`${id}: at`, () => check("/v1/tasks", cases.map(({ code, input }) => task({ at: input }, code))))
  })

  rows("date", (id, cases) => {
    it.scopedLive(`${id}: startAt and endAt`, () =>
      check(
        "/v1/schedules",
        cases.flatMap(({ code, input }) => [
          // A past begin goes on from now, a past end leaves nothing.
          schedule({ calendar: { every: "year", from: "2126-01-01T00:00" } }, code, { startAt: input }),
          schedule({ fixed: "1 day" }, code ?? "WINDOW_EMPTY", { endAt: input })
        ])
      ))
  })

  it.scopedLive("B043: without an offset in a time zone is an instant", () =>
    check("/v1/tasks", [
      task({ at: "2126-01-01T00:00:00", timeZone: "Europe/Stockholm" }, null),
      task({ at: "2126-01-01", timeZone: "Europe/Stockholm" }, "DATE_INVALID"),
      task({ at: "2126-01-01T00:00:00Z", timeZone: "Europe/Stockholm" }, "DATE_INVALID")
    ]))

  it.scopedLive("B046: the past is due at once, and keeps its instant", () =>
    Effect.gen(function*() {
      const { post, result } = yield* serve()
      const { task } = yield* post("/v1/tasks", { function: "payroll", trigger: { at: "2000-01-01T00:00:00Z" } })
      expect(task.nominalAt).toBe("2000-01-01T00:00:00.000Z")
      expect(yield* result("payroll")).toMatchObject({ id: task.id, nominalAt: task.nominalAt })
    }))

  it.scopedLive("B050: 30 days ahead neither fires at once nor is it forgotten", () =>
    Effect.gen(function*() {
      const { get, post, records } = yield* serve()
      const { status, task } = yield* post("/v1/tasks", { function: "payroll", trigger: { after: "30 days" } })
      expect(status).toBe(201)
      expect(Date.parse(task.scheduledAt) - Date.parse(task.createdAt)).toBe(30 * 86_400_000)
      yield* Effect.sleep("50 millis")
      expect((yield* get(`/v1/tasks/${task.id}`)).task.status).toBe("Scheduled")
      expect(yield* records.invocations).toEqual([])
    }))

  it.scopedLive("B052: a local time that comes twice is the first of two instants, and the answer says which", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const { status, task } = yield* post("/v1/tasks", {
        function: "payroll",
        trigger: { at: "2026-10-25T02:30:00", timeZone: "Europe/Stockholm" }
      })
      expect([status, task.nominalAt, task.scheduledAt])
        .toEqual([201, "2026-10-25T00:30:00.000Z", "2026-10-25T00:30:00.000Z"])
    }))

  it.scopedLive("B054: what is finer than milliseconds is cut", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const { status, task } = yield* post("/v1/tasks", {
        function: "payroll",
        trigger: { at: "2026-01-01T00:00:00.123456789Z" }
      })
      expect([status, task.nominalAt]).toEqual([201, "2026-01-01T00:00:00.123Z"])
    }))
})

describe("intervals", () => {
  rows("interval", (id, cases) => {
    it.scopedLive(`${id}: spaced and fixed`, () =>
      check(
        "/v1/schedules",
        cases.flatMap(({ code, input }) => [schedule({ spaced: input }, code), schedule({ fixed: input }, code)])
      ))
  })

  rows("interval", (id, cases) => {
    const invalid = cases.filter(({ code }) => code === "INTERVAL_INVALID")
    if (invalid.length === 0) return
    it.scopedLive(`${id}: delays`, () =>
      Effect.all([
        check("/v1/tasks", [
          ...invalid.map(({ code, input }) => task({ after: input }, code)),
          ...invalid.map(({ code, input }) => ({ json: { function: "payroll", retry: { maxDelay: input } }, code }))
        ]),
        check(
          "/v1/schedules",
          invalid.flatMap(({ code, input }) => [
            schedule({ fixed: "1 hour" }, code, { initialDelay: input }),
            schedule({ fixed: "1 hour" }, code, { jitter: input })
          ])
        )
      ]))
  })

  it.scopedLive("B062: several rules, or none", () =>
    Effect.all([
      check("/v1/schedules", [
        schedule({ spaced: "5 seconds", cron: "* * * * *", at: "2027-01-01T00:00:00Z" }, "SCHEDULE_AMBIGUOUS"),
        schedule({}, "SCHEDULE_AMBIGUOUS"),
        { json: { function: "report" }, code: "SCHEDULE_AMBIGUOUS" },
        schedule({ spaced: "5 seconds" }, "SCHEDULE_AMBIGUOUS", {
          initialDelay: "1 hour",
          startAt: "2126-01-01T00:00:00Z"
        })
      ]),
      check("/v1/tasks", [
        task({ after: "5 seconds", at: "2027-01-01T00:00:00Z" }, "SCHEDULE_AMBIGUOUS"),
        task({}, "SCHEDULE_AMBIGUOUS")
      ])
    ]))

  it.scopedLive("B063: numbers of runs", () =>
    check("/v1/schedules", [
      ...[0, -1, 1.5, 2 ** 53, "3", null].map((maxRuns) => ({
        json: { function: "report", trigger: { fixed: "1 hour" }, maxRuns },
        code: "MAX_RUNS_INVALID"
      })),
      schedule({ fixed: "1 hour" }, null, { maxRuns: 1, initialDelay: "1 hour" })
    ]))
})

describe("cron", () => {
  const refused: ReadonlyArray<readonly [id: string, code: string, ...expressions: ReadonlyArray<string>]> = [
    ["B069", "CRON_FIELDS", "* * * * * * *", "0 0 12 * * ? 2030"],
    ["B070", "CRON_RANGE", "60 * * * *", "* 24 * * *", "* * 32 * *", "* * * 13 *", "* * * * 8"],
    ["B073", "CRON_NEVER", "0 0 30 2 *", "0 0 31 4,6,9,11 *"],
    ["B075", "CRON_RANGE", "5-1 * * * *"],
    ["B079", "CRON_UNSUPPORTED", "H * * * *"],
    ["B080", "CRON_UNSUPPORTED", "@reboot", "@every 5m"],
    ["B081", "CRON_TOO_LONG", `${"1,".repeat(50_000)}1 * * * *`]
  ]
  for (const [id, code, ...expressions] of refused) {
    it.scopedLive(`${id}: ${code}`, () => check("/v1/schedules", cron(code, ...expressions)))
  }

  it.scopedLive("B074: leap days, and Mondays of February", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const next = (cron: string) =>
        Effect.map(
          post("/v1/schedules", { function: "report", trigger: { cron }, startAt: "2126-01-01T00:00:00Z" }),
          (answer) => [answer.status, Schema.decodeUnknownSync(ScheduleAnswer)(answer.body).next]
        )
      expect(yield* next("0 0 29 2 *")).toEqual([201, "2128-02-29T00:00:00.000Z"])
      expect(yield* next("0 0 31 2 1")).toEqual([201, "2126-02-04T00:00:00.000Z"])
    }))

  it.scopedLive("B079: days by rule are understood", () =>
    check("/v1/schedules", cron(null, "0 0 L * *", "0 0 15W * *", "0 0 * * 5#2")))

  it.scopedLive("is text", () =>
    check("/v1/schedules", [5, null, ["* * * * *"], {}].map((cron) => schedule({ cron }, "CRON_INVALID"))))
})

describe("time zones", () => {
  const zones = (code: string | null, ...names: ReadonlyArray<unknown>) => [
    check("/v1/schedules", names.map((timeZone) => schedule({ cron: "0 9 * * *", timeZone }, code))),
    check(
      "/v1/schedules",
      names.map((timeZone) => schedule({ calendar: { every: "day", from: "2126-01-01T09:00" }, timeZone }, code))
    ),
    check("/v1/tasks", names.map((timeZone) => task({ at: "2126-01-01T09:00:00", timeZone }, code))),
    check("/v1/tasks", names.map((timeZone) => task({ expression: "at(2126-01-01T09:00:00)", timeZone }, code)))
  ]

  it.scopedLive("B083: names that are none", () =>
    Effect.all(zones(
      "TIMEZONE_UNKNOWN",
      "Mars/Olympus",
      "",
      "GMT+2",
      "../../etc/localtime",
      "America/New_York; DROP",
      null,
      5
    )))

  it.scopedLive("B085: offsets that are none", () => Effect.all(zones("TIMEZONE_UNKNOWN", "+25:00", "+02:60")))

  it.scopedLive("B086: EST and CET are legacy, and valid", () => Effect.all(zones(null, "EST", "CET")))
})

describe("ids and keys", () => {
  const later = { function: "payroll", trigger: { after: "1 hour" } }
  const unknown = "0190a0b0-0000-7000-8000-000000000001"
  const itemsOf = Schema.decodeUnknownSync(Schema.Struct({ ...TaskPage.fields }))

  it.scopedLive("B087: fifty with one key at once are one Task, made once", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* serve()
      const answers = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => ask("POST", "/v1/tasks", { json: later, headers: { "idempotency-key": "k" } }),
        { concurrency: "unbounded" }
      )
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(49)
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      expect(itemsOf((yield* get("/v1/tasks")).body).items).toHaveLength(1)
    }))

  it.scopedLive("B088: the same key with another body", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* serve()
      const send = (json: object, path = "/v1/tasks") =>
        ask("POST", path, { json, headers: { "idempotency-key": "k" } })
      const first = yield* send(later)
      expect((yield* send({ ...later, payload: 1 })).refusal).toEqual([409, "IDEMPOTENCY_CONFLICT"])
      expect((yield* send({ ...later, id: unknown, payload: 1 })).refusal).toEqual([409, "IDEMPOTENCY_CONFLICT"])
      expect((yield* send({ function: "payroll", trigger: { fixed: "1 hour" } }, "/v1/schedules")).refusal)
        .toEqual([409, "IDEMPOTENCY_CONFLICT"])
      // The key answers what it has made, under whichever id.
      const again = yield* send({ ...later, id: unknown })
      expect([again.status, again.body]).toEqual([200, first.body])
      expect(itemsOf((yield* get("/v1/tasks")).body).items).toHaveLength(1)
    }))

  it.scopedLive("B089: the same id for another body", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      expect((yield* post("/v1/tasks", { ...later, id: unknown })).status).toBe(201)
      expect((yield* post("/v1/tasks", { ...later, id: unknown, name: "other" })).refusal)
        .toEqual([409, "TASK_EXISTS"])
    }))

  it.scopedLive("B090: keys that are none", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* serve()
      for (const path of ["/v1/tasks", "/v1/schedules"]) {
        for (const key of ["", "k".repeat(257)]) {
          const json = path === "/v1/tasks" ? later : { function: "report", trigger: { fixed: "1 hour" } }
          const { refusal } = yield* ask("POST", path, { json, headers: { "idempotency-key": key } })
          expect([path, key.length, ...refusal]).toEqual([path, key.length, 400, "IDEMPOTENCY_KEY_INVALID"])
        }
      }
      expect(itemsOf((yield* get("/v1/tasks")).body).items).toEqual([])
    }))

  it.scopedLive("B091: ids that are none", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      for (const id of ["not-a-uuid", "%00", "..%2f..%2fhealth", "__proto__", "%F0%9F%98%80"]) {
        expect([id, ...(yield* get(`/v1/tasks/${id}`)).refusal]).toEqual([id, 400, "ID_INVALID"])
        expect([id, ...(yield* post(`/v1/tasks/${id}/cancel`)).refusal]).toEqual([id, 400, "ID_INVALID"])
      }
      for (const id of ["x", "", 5, null]) {
        expect([id, ...(yield* post("/v1/tasks", { ...later, id })).refusal]).toEqual([id, 400, "ID_INVALID"])
      }
      expect((yield* get("/v1/tasks/")).refusal).toEqual([404, "ROUTE_NOT_FOUND"])
      expect((yield* get(`/v1/tasks/${"a".repeat(200)}`)).problem.status).toBe(404)
    }))

  it.scopedLive("B092: ids of nothing, cancelling twice, cancelling what has ended", () =>
    Effect.gen(function*() {
      const { get, post, result } = yield* serve()
      expect((yield* get(`/v1/tasks/${unknown}`)).refusal).toEqual([404, "TASK_NOT_FOUND"])
      expect((yield* post(`/v1/tasks/${unknown}/cancel`)).refusal).toEqual([404, "TASK_NOT_FOUND"])
      const { task } = yield* post("/v1/tasks", later)
      const first = yield* post(`/v1/tasks/${task.id}/cancel`)
      const second = yield* post(`/v1/tasks/${task.id}/cancel`)
      expect([first.status, second.status, second.body]).toEqual([200, 200, first.body])
      yield* post("/v1/tasks", { function: "done" })
      const done = yield* result("done")
      expect((yield* post(`/v1/tasks/${done.id}/cancel`)).refusal).toEqual([409, "TASK_TERMINAL"])
    }))

  it.scopedLive("B093: queries that are none", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      for (const path of ["/v1/tasks", "/v1/schedules"]) {
        for (
          const query of [
            "status=SCHEDULED'%20OR%201=1--",
            "limit=-1",
            "limit=1e9",
            "cursor=garbage",
            "limit=1&limit=2",
            "limit=",
            "%00=1"
          ]
        ) {
          expect([path, query, ...(yield* get(`${path}?${query}`)).refusal])
            .toEqual([path, query, 400, "QUERY_INVALID"])
        }
      }
      expect(Schema.is(SchedulePage)((yield* get("/v1/schedules?limit=1000")).body)).toBe(true)
    }))

  it.scopedLive("B094, B095: fields that are not in the contract", () =>
    Effect.all([
      check(
        "/v1/tasks",
        [
          { admin: true },
          { id: unknown, status: "COMPLETED", attempts: 0 },
          { jsonPayload: "{}" },
          { maxRuns: 1 },
          { startAt: "2126-01-01T00:00:00Z" },
          { retry: { attempts: 3 } },
          { trigger: { after: "1 hour", admin: true } },
          { trigger: { after: "1 hour", timeZone: "UTC" } },
          { [`x${"y".repeat(100_000)}`]: 1 }
        ].map((more) => ({ json: { ...later, ...more }, code: "FIELD_UNKNOWN" }))
      ),
      check("/v1/schedules", [
        schedule({ fixed: "1 hour" }, "FIELD_UNKNOWN", { revision: 7 }),
        schedule({ fixed: "1 hour", gap: "skip" }, "FIELD_UNKNOWN"),
        schedule({ calendar: { every: "day", from: "2126-01-01T09:00", gap: "skip" } }, "FIELD_UNKNOWN"),
        schedule({ calendar: { every: "day", from: "2126-01-01T09:00" }, overlap: "both" }, "FIELD_UNKNOWN")
      ])
    ]))

  it.scopedLive("a retry policy that cannot be kept is refused by the field at fault", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      for (
        const [field, value, code] of [
          ["maxAttempts", 0, "RETRY_INVALID"],
          ["maxAttempts", "3", "RETRY_INVALID"],
          ["onUnknown", "maybe", "RETRY_INVALID"],
          ["backoff", "linear", "RETRY_INVALID"],
          ["backoff", 5, "RETRY_INVALID"],
          ["backoff", [], "RETRY_INVALID"],
          ["backoff", Array.from({ length: 100 }, () => 1), "RETRY_INVALID"],
          ["backoff", [1, "soon"], "INTERVAL_INVALID"],
          ["backoff", [1, -5], "INTERVAL_INVALID"],
          ["backoff", [1, null], "RETRY_INVALID"],
          ["jitter", "some", "RETRY_INVALID"],
          ["jitter", true, "RETRY_INVALID"],
          ["notRetryable", ["Whatever"], "RETRY_INVALID"],
          ["notRetryableErrors", "E", "RETRY_INVALID"],
          ["notRetryableErrors", [5], "RETRY_INVALID"],
          ["notRetryableErrors", [""], "RETRY_INVALID"],
          ["maxWait", "soon", "INTERVAL_INVALID"],
          ["maxWait", -1, "INTERVAL_INVALID"],
          ["maxWait", true, "INTERVAL_INVALID"],
          ["deadline", 0, "RETRY_INVALID"],
          ["deadline", "1 month", "INTERVAL_INVALID"],
          ["deadline", {}, "INTERVAL_INVALID"],
          ["attemptTimeout", "0 seconds", "RETRY_INVALID"],
          ["attemptTimeout", [], "INTERVAL_INVALID"],
          ["schedule", "exponential", "FIELD_UNKNOWN"]
        ] as const
      ) {
        for (
          const [path, request] of [["/v1/tasks", later], [
            "/v1/schedules",
            schedule({ fixed: "1 day" }, "").json
          ]] as const
        ) {
          const answer = yield* post(path, { ...request, retry: { [field]: value } })
          expect([field, value, ...answer.refusal]).toEqual([field, value, 400, code])
          expect(answer.problem.detail).toContain(`retry.${field}`)
        }
      }
      expect((yield* get("/v1/tasks")).body).toMatchObject({ items: [] })
      expect((yield* get("/v1/schedules")).body).toMatchObject({ items: [] })
    }))

  it.scopedLive("what to run is judged as everywhere", () =>
    Effect.gen(function*() {
      const { post } = yield* serve({ region: "eu-north-1" })
      for (
        const [json, status, code] of [
          [{}, 400, "BODY_INVALID"],
          [{ function: "" }, 400, "NAME_EMPTY"],
          [{ function: 5 }, 400, "NAME_TYPE"],
          [{ function: "../x" }, 400, "NAME_PATTERN"],
          [{ function: "a".repeat(1_000_000) }, 400, "NAME_TOO_LONG"],
          [{ function: "arn:aws:s3:::bucket" }, 400, "ARN_SERVICE"],
          [{ function: "arn:aws:lambda:us-east-1:123456789012:function:demo" }, 400, "ARN_REGION_MISMATCH"],
          [{ function: "payroll", name: "a/b" }, 400, "NAME_PATTERN"],
          [{ function: "payroll", qualifier: "a b" }, 400, "NAME_PATTERN"],
          [{ function: "payroll", payloadJson: "{" }, 400, "PAYLOAD_NOT_JSON"],
          [{ function: "payroll", payload: {}, payloadJson: "{}" }, 400, "PAYLOAD_INVALID"],
          [{ function: "payroll", payloadJson: {} }, 400, "PAYLOAD_NOT_JSON"],
          [{ function: "payroll", payload: "x".repeat(6 * 1024 * 1024) }, 413, "PAYLOAD_TOO_LARGE"],
          [{ function: "payroll", tags: { a: 1 } }, 400, "TAGS_INVALID"],
          [{ function: "payroll", tags: { "": "a" } }, 400, "TAGS_INVALID"],
          [{ function: "payroll", retry: { maxAttempts: 0 } }, 400, "RETRY_INVALID"],
          [{ function: "payroll", retry: { onUnknown: "maybe" } }, 400, "RETRY_INVALID"],
          [{ function: "payroll", retry: 5 }, 400, "RETRY_INVALID"],
          [{ function: "payroll", trigger: 5 }, 400, "BODY_INVALID"]
        ] as const
      ) {
        const shown = JSON.stringify(json).slice(0, 100)
        expect([shown, ...(yield* post("/v1/tasks", json)).refusal]).toEqual([shown, status, code])
        // The scheduler's words are this API's.
        expect((yield* post("/v1/tasks", { function: "a", payloadJson: "{" })).problem.detail)
          .toMatch(/^payloadJson: expected JSON/)
      }
    }))
})

/** Fields, values that they must not have, and the codes. */
const policies: ReadonlyArray<readonly [field: string, value: unknown, code: string]> = [
  ...["never", "SKIP", "", 5, null, true, [], ["skip"], { policy: "never" }, { policy: null }, {
    policy: { policy: "skip" }
  }]
    .map((overlap) => ["overlap", overlap, "OPTION_INVALID"] as const),
  ["overlap", {}, "BODY_INVALID"],
  ["overlap", { max: 5 }, "BODY_INVALID"],
  ["overlap", { policy: "skip", admin: true }, "FIELD_UNKNOWN"],
  ["overlap", { policy: "bufferAll", running: 5 }, "FIELD_UNKNOWN"],
  ["overlap", { policy: "skip", max: 5 }, "OPTION_INVALID"],
  ...[0, 1_001, 1.5, -1, "5", null].map((max) => ["overlap", { policy: "bufferAll", max }, "OPTION_INVALID"] as const),
  ...["never", "LATEST", "", 5, null, [], { policy: "never" }, { policy: 5 }]
    .map((catchUp) => ["catchUp", catchUp, "OPTION_INVALID"] as const),
  ["catchUp", {}, "BODY_INVALID"],
  ["catchUp", { policy: "all", limit: 5 }, "FIELD_UNKNOWN"],
  ["catchUp", { policy: "latest", max: 5 }, "OPTION_INVALID"],
  ...[0, 10_001, 1.5, "5", null].map((max) => ["catchUp", { policy: "all", max }, "OPTION_INVALID"] as const),
  ...["soon", -1, true, null, "", {}].map((window) =>
    ["catchUp", { policy: "all", window }, "INTERVAL_INVALID"] as const
  ),
  ["catchUp", { policy: "all", window: 0 }, "OPTION_INVALID"],
  ...[0, 1_001, 1.5, "5", true, [], -1].map((failures) => ["pauseAfterFailures", failures, "OPTION_INVALID"] as const),
  ...[101, -101, 1.5, "5", null, true, []].map((priority) => ["priority", priority, "PRIORITY_INVALID"] as const)
]

describe("policies of schedules", () => {
  const create = schedule({ fixed: "1 hour" }, null, { initialDelay: "1 hour" }).json

  it.scopedLive("are refused by the field at fault, where a schedule is made and where it is changed", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const before = yield* post("/v1/schedules", create)
      const { id } = scheduleOf(before)
      for (const [field, value, code] of [...policies, ["pauseAfterFailures", null, "OPTION_INVALID"] as const]) {
        const answer = yield* post("/v1/schedules", { ...create, [field]: value })
        expect([field, value, ...answer.refusal]).toEqual([field, value, 400, code])
        expect(answer.problem.detail).toContain(field)
      }
      for (
        const [field, value, code] of [
          ...policies,
          ["maxRuns", 0, "MAX_RUNS_INVALID"],
          ["maxRuns", "5", "MAX_RUNS_INVALID"],
          ["function", null, "NAME_TYPE"],
          ["function", "", "NAME_EMPTY"],
          ["function", "../x", "NAME_PATTERN"],
          ["name", "a/b", "NAME_PATTERN"],
          ["name", null, "NAME_TYPE"],
          ["payloadJson", "{", "PAYLOAD_NOT_JSON"],
          ["payloadJson", null, "PAYLOAD_NOT_JSON"],
          ["tags", { a: 1 }, "TAGS_INVALID"],
          ["retry", { maxAttempts: 0 }, "RETRY_INVALID"],
          ["retry", null, "RETRY_INVALID"],
          ["trigger", {}, "SCHEDULE_AMBIGUOUS"],
          ["trigger", null, "BODY_INVALID"],
          ["trigger", { after: "5 seconds" }, "SCHEDULE_AMBIGUOUS"],
          ["trigger", { cron: "nope" }, "CRON_FIELDS"],
          ["startAt", "2126-01-01T00:00:00Z", "SCHEDULE_AMBIGUOUS"],
          ["endAt", "2126-01-01T00:00:00Z", "SCHEDULE_AMBIGUOUS"],
          ["endAt", null, "DATE_INVALID"],
          ["initialDelay", "1 hour", "SCHEDULE_AMBIGUOUS"],
          ["jitter", "1 hour", "SCHEDULE_AMBIGUOUS"],
          ["jitter", null, "INTERVAL_INVALID"],
          ["id", unused, "FIELD_UNKNOWN"],
          ["revision", 1, "FIELD_UNKNOWN"],
          ["status", "Cancelled", "FIELD_UNKNOWN"]
        ] as const
      ) {
        const answer = yield* ask("PATCH", `/v1/schedules/${id}`, {
          json: { [field]: value },
          headers: { "if-match": "*" }
        })
        expect([field, value, ...answer.refusal]).toEqual([field, value, 400, code])
        if (field !== "trigger") expect(answer.problem.detail).toContain(field)
      }
      const both = { json: { payload: 1, payloadJson: "1" }, headers: { "if-match": "*" } }
      expect((yield* ask("PATCH", `/v1/schedules/${id}`, both)).refusal).toEqual([400, "PAYLOAD_INVALID"])
      expect((yield* get("/v1/schedules")).body).toEqual({ items: [before.body], cursor: null })
    }))

  it.scopedLive("are taken in every way that the contract has, and shown with their bounds", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const shown = (json: object) =>
        Effect.map(post("/v1/schedules", { ...create, ...json }), (answer) => {
          const { catchUp, overlap, pauseAfterFailures, priority } = scheduleOf(answer)
          return [overlap, catchUp, pauseAfterFailures, priority]
        })
      expect(yield* shown({})).toEqual([{ policy: "skip" }, { policy: "latest" }, null, 0])
      expect(yield* shown({ overlap: "bufferAll", catchUp: "all", pauseAfterFailures: 1_000, priority: -100 }))
        .toEqual([{ policy: "bufferAll", max: 100 }, { policy: "all", max: 100 }, 1_000, -100])
      expect(
        yield* shown({
          overlap: { policy: "bufferAll", max: 1 },
          catchUp: { policy: "all", max: 10_000, window: 90_000 },
          pauseAfterFailures: 1,
          priority: 100
        })
      ).toEqual([
        { policy: "bufferAll", max: 1 },
        { policy: "all", max: 10_000, window: "90 seconds" },
        1,
        100
      ])
      for (const policy of ["bufferOne", "cancelOther", "allowAll"]) {
        expect((yield* shown({ overlap: { policy } }))[0]).toEqual({ policy })
      }
      expect((yield* shown({ catchUp: "skip" }))[1]).toEqual({ policy: "skip", window: "1 minute" })
      expect((yield* shown({ catchUp: { policy: "latest", window: "PT1H" } }))[1])
        .toEqual({ policy: "latest", window: "1 hour" })
    }))

  it.scopedLive("a Task has a priority, and no other policy", () =>
    check("/v1/tasks", [
      ...policies.filter(([field]) => field === "priority").map(([, priority, code]) => ({
        json: { function: "payroll", priority },
        code
      })),
      ...["overlap", "catchUp", "pauseAfterFailures"].map((field) => ({
        json: { function: "payroll", [field]: "skip" },
        code: "FIELD_UNKNOWN"
      })),
      { json: { function: "payroll", trigger: { after: "1 hour" }, priority: 100 }, code: null }
    ]))

  it.scopedLive("runs by hand, pauses and backfills: by the field at fault", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", create))
      const its = `/v1/schedules/${id}`
      const past = { from: "2025-01-01T00:00:00Z", to: "2025-01-02T00:00:00Z" }
      const pause: ReadonlyArray<readonly [json: unknown, code: string]> = [
        ...["", "x".repeat(129), 5, null, [], "a\0b", "\ud800"].map((by) => [{ by }, "OPTION_INVALID"] as const),
        ...["", "x".repeat(1_001), 5, null, {}, "\0"].map((note) => [{ note }, "OPTION_INVALID"] as const),
        ...["yesterday", "", 5.5, null, {}, "2027-13-01T00:00:00Z"].map((until) =>
          [{ until }, "DATE_INVALID"] as const
        ),
        [{ until: "2126-01-01T00:00:00" }, "DATE_NO_OFFSET"],
        [{ until: "2025-01-01T00:00:00Z" }, "DATE_RANGE"],
        [{ since: "2025-01-01T00:00:00Z" }, "FIELD_UNKNOWN"],
        [[], "BODY_INVALID"]
      ]
      const run: ReadonlyArray<readonly [json: unknown, code: string]> = [
        ...policies.filter(([field]) => field === "overlap").map(([, overlap, code]) => [{ overlap }, code] as const),
        ...["x", "", 5, null].map((id) => [{ id }, "ID_INVALID"] as const),
        [{ payload: 1, payloadJson: "1" }, "PAYLOAD_INVALID"],
        [{ payloadJson: "{" }, "PAYLOAD_NOT_JSON"],
        [{ payloadJson: 5 }, "PAYLOAD_NOT_JSON"],
        [{ name: "x" }, "FIELD_UNKNOWN"],
        [{ catchUp: "all" }, "FIELD_UNKNOWN"],
        [[], "BODY_INVALID"]
      ]
      const backfill: ReadonlyArray<readonly [json: unknown, code: string]> = [
        [{}, "BODY_INVALID"],
        [{ from: past.from }, "BODY_INVALID"],
        ...["yesterday", "", 5.5, null].map((from) => [{ ...past, from }, "DATE_INVALID"] as const),
        ...["yesterday", "", true, null].map((to) => [{ ...past, to }, "DATE_INVALID"] as const),
        [{ ...past, from: "2025-01-01T00:00:00" }, "DATE_NO_OFFSET"],
        [{ from: past.to, to: past.from }, "WINDOW_EMPTY"],
        [{ from: past.from, to: past.from }, "WINDOW_EMPTY"],
        [{ from: "2026-01-01T00:00:00Z", to: "2125-01-01T00:00:00Z" }, "WINDOW_EMPTY"],
        // To look through it would take minutes.
        [{ ...past, from: "1900-01-01T00:00:00Z" }, "DATE_RANGE"],
        [{ ...past, from: "-271821-04-20T00:00:00Z" }, "DATE_RANGE"],
        ...[0, 1_001, 1.5, "2", null].map((concurrency) => [{ ...past, concurrency }, "OPTION_INVALID"] as const),
        ...["skip", "bufferOne", "", 5, null, { policy: "allowAll" }]
          .map((overlap) => [{ ...past, overlap }, "OPTION_INVALID"] as const),
        ...["x", "", 5, null].map((id) => [{ ...past, id }, "ID_INVALID"] as const),
        [{ ...past, max: 5 }, "FIELD_UNKNOWN"],
        [[], "BODY_INVALID"]
      ]
      for (
        const [method, path, cases] of [
          ["POST", `${its}/pause`, pause],
          ["PUT", "/v1/pauses/report", pause],
          ["PUT", "/v1/pause", pause],
          ["POST", `${its}/run`, run],
          ["POST", `${its}/backfills`, backfill]
        ] as const
      ) {
        for (const [json, code] of cases) {
          const answer = yield* ask(method, path, { json })
          const shown = JSON.stringify(json).slice(0, 200)
          expect([path, shown, ...answer.refusal]).toEqual([path, shown, 400, code])
          expect(answer.text.length).toBeLessThan(600)
        }
      }
      expect((yield* get("/v1/pauses")).body).toEqual({ items: [] })
      expect((yield* get(its)).body).toMatchObject({ pause: null })
      expect((yield* get("/v1/tasks")).body).toMatchObject({ items: [{ origin: "schedule", status: "Scheduled" }] })
      expect((yield* get(`${its}/backfills`)).body).toEqual({ items: [] })
    }))

  it.scopedLive("origins that are none", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      for (
        const origin of [
          "",
          "Schedule",
          "manual",
          "manual:",
          "manual:x",
          `manual:${unused}x`,
          `other:${unused}`,
          unused,
          "schedule&origin=schedule"
        ]
      ) {
        const answer = yield* get(`/v1/tasks?origin=${origin}`)
        expect([origin, ...answer.refusal]).toEqual([origin, 400, "QUERY_INVALID"])
        expect(answer.problem.detail).toBe("origin: expected schedule, manual:<UUID> or backfill:<UUID>")
      }
      expect((yield* get(`/v1/tasks?origin=backfill:${unused}`)).body).toEqual({ items: [], cursor: null })
    }))
})

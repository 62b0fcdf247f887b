import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TaskPage } from "../../../src/http/index.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import type { Answer } from "../support.ts"
import { serve } from "../support.ts"

const pageOf = (answer: Answer): TaskPage =>
  Schema.decodeUnknownSync(TaskPage, { onExcessProperty: "error" })(answer.body)
const unknownId = "0190a0b0-0000-7000-8000-000000000001"
const later = { function: "payroll", trigger: { after: "1 hour" } }

describe("POST /v1/tasks", () => {
  it.scopedLive("runs a function that exists now, and deploys nothing", () =>
    Effect.gen(function*() {
      const { get, post, records } = yield* serve({
        scripts: { payroll: ({ payload }) => ({ got: payload as unknown }) }
      })
      const { headers, status, task } = yield* post("/v1/tasks", { function: "payroll:live", payload: { who: "Ada" } })
      expect(status).toBe(201)
      expect(headers["location"]).toBe(`/v1/tasks/${task.id}`)
      expect(headers["content-type"]).toBe("application/json")
      expect(task).toMatchObject({
        name: "payroll",
        function: "payroll:live",
        scheduleId: null,
        jsonPayload: `{"who":"Ada"}`
      })
      const finished = yield* get(`/v1/tasks/${task.id}`).pipe(
        Effect.map((answer) => answer.task),
        Effect.delay("5 millis"),
        Effect.repeat({ until: (task) => task.finishedAt !== null }),
        Effect.timeout("5 seconds")
      )
      expect(finished).toMatchObject({ id: task.id, status: "Succeeded", result: { got: { who: "Ada" } } })
      expect(yield* records.deployments).toEqual([])
    }))

  it.scopedLive("takes a qualifier, a name, tags, retries, and JSON text byte for byte", () =>
    Effect.gen(function*() {
      const { post, records } = yield* serve()
      const { status, task } = yield* post("/v1/tasks", {
        function: "payroll",
        qualifier: "7",
        name: "march",
        payloadJson: ` {"a":1, "a":2.50} `,
        tags: { month: "3" },
        retry: { maxAttempts: 1, baseDelay: "2 seconds", onUnknown: "fail", notRetryable: ["FunctionError"] },
        trigger: { after: "PT1H" }
      })
      expect(status).toBe(201)
      expect(task).toMatchObject({ name: "march", function: "payroll:7", jsonPayload: ` {"a":1, "a":2.50} ` })
      expect(Date.parse(task.nominalAt) - Date.parse(task.createdAt)).toBe(3_600_000)
      const delivered = (more: object) =>
        Effect.map(post("/v1/tasks", { ...later, ...more }), (answer) => answer.task.jsonPayload)
      expect(yield* delivered({})).toBe("{}")
      expect(yield* delivered({ payload: null })).toBe("null")
      expect(yield* delivered({ payload: "text" })).toBe(`"text"`)
      expect(yield* records.invocations).toEqual([])
    }))

  it.scopedLive("keeps to the retry policy that it was asked to, and shows each attempt", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({
        scripts: {
          payroll: ({ number }) =>
            number < 3
              ? ScriptedLambdaClient.fail("FunctionError", {
                errorType: `E${number}`,
                logTail: `log ${number}`,
                executedVersion: `${number}`
              })
              : { $scheduler: { giveUp: "closed" } }
        }
      })
      const { task } = yield* post("/v1/tasks", { function: "payroll", retry: { backoff: [20, "PT0.03S", 1_000] } })
      const finished = yield* get(`/v1/tasks/${task.id}`).pipe(
        Effect.map((answer) => answer.task),
        Effect.delay("5 millis"),
        Effect.repeat({ until: (task) => task.finishedAt !== null }),
        Effect.timeout("5 seconds")
      )
      expect(finished).toMatchObject({ status: "Failed", failure: { reason: "GaveUp", message: "closed" } })
      expect(finished.attempts).toMatchObject([
        { error: { errorType: "E1" }, logTail: "log 1", executedVersion: "1" },
        { error: { errorType: "E2" }, logTail: "log 2", executedVersion: "2" },
        { error: { reason: "GaveUp" }, logTail: null, executedVersion: "$LATEST" }
      ])
      const [first, second, third] = finished.attempts.map(({ durationMs, endedAt, startedAt }) => {
        expect(durationMs).toBe(Date.parse(endedAt ?? "") - Date.parse(startedAt))
        return { began: Date.parse(startedAt), ended: Date.parse(endedAt ?? "") }
      })
      if (first === undefined || second === undefined || third === undefined) return expect.fail("three attempts")
      expect(second.began - first.ended).toBeGreaterThanOrEqual(20)
      expect(third.began - second.ended).toBeGreaterThanOrEqual(30)
      const waiting = yield* post("/v1/tasks", later)
      expect(waiting.task.attempts).toEqual([])
    }))

  it.scopedLive("reads instants with an offset, local times in a zone, and EventBridge's at(...)", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      for (
        const [trigger, instant] of [
          [{ at: "2126-01-01T09:00:00+01:00" }, "2126-01-01T08:00:00.000Z"],
          [{ at: "2126-07-01T09:00:00", timeZone: "Europe/Stockholm" }, "2126-07-01T07:00:00.000Z"],
          [{ at: "2126-07-01T09:00", timeZone: "UTC" }, "2126-07-01T09:00:00.000Z"],
          [{ expression: "at(2126-07-01T09:00:00)", timeZone: "America/New_York" }, "2126-07-01T13:00:00.000Z"]
        ] as const
      ) {
        const { status, task } = yield* post("/v1/tasks", { function: "payroll", trigger })
        expect([trigger, status, task.nominalAt, task.scheduledAt]).toEqual([trigger, 201, instant, instant])
      }
    }))

  it.scopedLive("what recurs, and more or less than one trigger, is refused", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      for (
        const trigger of [
          {},
          { after: "1 second", at: "2027-01-01T00:00:00Z" },
          { timeZone: "UTC" },
          { spaced: "10 seconds" },
          { fixed: "1 hour" },
          { cron: "* * * * *" },
          { calendar: { every: "day", from: "2027-01-01T09:00" } },
          { expression: "rate(5 minutes)" },
          { expression: "cron(0 10 ? * MON-FRI *)" }
        ]
      ) {
        const { refusal } = yield* post("/v1/tasks", { function: "payroll", trigger })
        expect([trigger, ...refusal]).toEqual([trigger, 400, "SCHEDULE_AMBIGUOUS"])
      }
      expect(pageOf(yield* get("/v1/tasks")).items).toEqual([])
    }))

  it.scopedLive("an id of the caller's: 201, the same again 200, another body 409", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const id = "0190a0b0-0000-7000-8000-00000000000A"
      const body = { ...later, payload: { n: 1 }, id }
      const first = yield* post("/v1/tasks", body)
      expect([first.status, first.task.id]).toEqual([201, id.toLowerCase()])
      const second = yield* post("/v1/tasks", body)
      expect([second.status, second.body]).toEqual([200, first.body])
      for (const other of [{ payload: { n: 2 } }, { trigger: { after: "2 hours" } }, { function: "other" }]) {
        expect((yield* post("/v1/tasks", { ...body, ...other })).refusal).toEqual([409, "TASK_EXISTS"])
      }
      // Made under an id of the scheduler's.
      const { task } = yield* post("/v1/tasks", later)
      expect((yield* post("/v1/tasks", { ...later, id: task.id, payload: 5 })).refusal).toEqual([409, "TASK_EXISTS"])
      expect((yield* post("/v1/schedules", { function: "payroll", trigger: { spaced: "1 hour" }, id })).refusal)
        .toEqual([409, "SCHEDULE_EXISTS"])
      expect(pageOf(yield* get("/v1/tasks")).items).toHaveLength(2)
    }))
})

describe("GET /v1/tasks", () => {
  it.scopedLive("goes page by page, newest first, with a cursor that is null at the end", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      expect(pageOf(yield* get("/v1/tasks"))).toEqual({ items: [], cursor: null })
      const names = Array.from({ length: 7 }, (_, index) => `t${index}`)
      for (const name of names) yield* post("/v1/tasks", { ...later, name })
      const seen: Array<string> = []
      let query = "limit=3"
      for (let pages = 0; query !== ""; pages++) {
        const { cursor, items } = pageOf(yield* get(`/v1/tasks?${query}`))
        seen.push(...items.map(({ name }) => name))
        query = cursor === null ? "" : `limit=3&cursor=${encodeURIComponent(cursor)}`
        expect(pages).toBeLessThan(3)
      }
      expect(seen).toEqual(names.toReversed())
    }))

  it.scopedLive("a page of large Tasks ends early, and the next goes on", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const payloadJson = JSON.stringify("x".repeat(1_000_000))
      for (let index = 0; index < 30; index++) yield* post("/v1/tasks", { ...later, payloadJson })
      const first = pageOf(yield* get("/v1/tasks"))
      const second = pageOf(yield* get(`/v1/tasks?cursor=${first.cursor}`))
      expect(first.items.length).toBeLessThan(30)
      expect(second.cursor).toBeNull()
      expect(new Set([...first.items, ...second.items].map(({ id }) => id)).size).toBe(30)
    }))

  it.scopedLive("filters by all that is said", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const at = (instant: string) => ({ trigger: { at: instant } })
      yield* post("/v1/tasks", { function: "a", name: "one", ...at("2126-01-01T00:00:00Z") })
      yield* post("/v1/tasks", { function: "a", name: "two", ...at("2126-01-02T00:00:00Z") })
      const { task } = yield* post("/v1/tasks", { function: "b", name: "three", ...at("2126-01-03T00:00:00Z") })
      yield* post(`/v1/tasks/${task.id}/cancel`)
      const schedule = (yield* post("/v1/schedules", {
        function: "c",
        name: "four",
        trigger: { spaced: "1 hour" },
        initialDelay: "1 hour"
      })).body as { readonly id: string }
      const names = (query: string) =>
        Effect.map(get(`/v1/tasks?${query}`), (answer) => pageOf(answer).items.map(({ name }) => name))
      expect(yield* names("function=a")).toEqual(["two", "one"])
      expect(yield* names("function=a&name=one")).toEqual(["one"])
      expect(yield* names("name=nobody")).toEqual([])
      expect(yield* names("status=Cancelled")).toEqual(["three"])
      expect(yield* names(`scheduleId=${schedule.id.toUpperCase()}`)).toEqual(["four"])
      expect(yield* names(`scheduleId=${unknownId}`)).toEqual([])
      expect(yield* names("dueFrom=2126-01-02T00:00:00Z")).toEqual(["three", "two"])
      expect(yield* names("dueFrom=2126-01-02T01:00:00%2B01:00&dueBefore=2126-01-03T00:00:00Z")).toEqual(["two"])
    }))

  it.scopedLive("refuses what is not in the contract, and what is said twice", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      for (
        const query of [
          "limit=0",
          "limit=1001",
          "limit=1e9",
          "limit=1.5",
          "limit=1&limit=2",
          "cursor=garbage",
          "cursor=a&cursor=b",
          "function=",
          "function=a&function=b",
          "name=",
          "name=a&name=b",
          "status=SCHEDULED",
          "status=Scheduled&status=Running",
          "scheduleId=x",
          "dueFrom=yesterday",
          "dueFrom=2027-01-01",
          "dueBefore=2027-01-01T00:00:00",
          "dueBefore=",
          "unknown=1",
          "id=x"
        ]
      ) {
        const { refusal } = yield* get(`/v1/tasks?${query}`)
        expect([query, ...refusal]).toEqual([query, 400, "QUERY_INVALID"])
      }
      const detail = (query: string) => Effect.map(get(`/v1/tasks?${query}`), ({ problem }) => problem.detail)
      expect(yield* detail("unknown=1")).toBe("There is a query parameter that this route does not have.")
      expect(yield* detail("name=a&name=b")).toBe("name: expected one name")
      expect(yield* detail("dueFrom=x")).toMatch(/^dueFrom: expected an instant/)
      expect((yield* get(`/v1/tasks/${unknownId}?x=1`)).refusal).toEqual([400, "QUERY_INVALID"])
    }))
})

describe("GET /v1/tasks/{id} and POST /v1/tasks/{id}/cancel", () => {
  it.scopedLive("cancels once and for all; what has ended is a 409", () =>
    Effect.gen(function*() {
      const { get, post, records, result } = yield* serve()
      const { task } = yield* post("/v1/tasks", { ...later, name: "x" })
      const cancelled = yield* post(`/v1/tasks/${task.id.toUpperCase()}/cancel`)
      expect([cancelled.status, cancelled.task.id, cancelled.task.status]).toEqual([200, task.id, "Cancelled"])
      const again = yield* post(`/v1/tasks/${task.id}/cancel`, {})
      expect([again.status, again.body]).toEqual([200, cancelled.body])
      expect((yield* get(`/v1/tasks/${task.id}`)).body).toEqual(cancelled.body)
      expect(yield* records.invocations).toEqual([])
      yield* post("/v1/tasks", { function: "payroll", name: "done" })
      const done = yield* result("done")
      expect((yield* post(`/v1/tasks/${done.id}/cancel`)).refusal).toEqual([409, "TASK_TERMINAL"])
      expect((yield* get(`/v1/tasks/${done.id}`)).task.status).toBe("Succeeded")
      expect((yield* post(`/v1/tasks/${done.id}/cancel`, { force: true })).problem.status).toBe(400)
    }))
})

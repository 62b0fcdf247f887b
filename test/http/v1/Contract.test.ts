/** The contract as clients have it: the typed one, and those made from the OpenAPI document. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { EditScheduleRequest } from "../../../src/http/index.ts"
import { LambdaSchedulerApi } from "../../../src/http/index.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import type { Specification } from "../openApi.ts"
import { bodyMismatches, expectAsDocumented } from "../openApi.ts"
import type { ServeOptions } from "../support.ts"
import { serve } from "../support.ts"

const unknownId = "0190a0b0-0000-7000-8000-000000000001"

/** Fails for good, unless it is told not to. */
const scripts: NonNullable<ServeOptions["scripts"]> = {
  broken: ({ payload }) =>
    (payload as { ok?: boolean }).ok === true ? "fine" : ScriptedLambdaClient.fail("AccessDenied")
}

describe("the typed client", () => {
  it.scopedLive("drives every route of /v1", () =>
    Effect.gen(function*() {
      const { server } = yield* serve({ scripts })
      const client = yield* HttpApiClient.make(LambdaSchedulerApi, { baseUrl: server.url })
      const none = { urlParams: {}, headers: {} }

      const task = yield* client.v1Tasks.create({
        ...none,
        payload: {
          function: "payroll",
          payload: { n: 1 },
          trigger: { at: "2126-01-01T09:00:00", timeZone: "Asia/Tokyo" }
        }
      })
      expect(task).toMatchObject({ status: "Scheduled", nominalAt: "2126-01-01T00:00:00.000Z", jsonPayload: `{"n":1}` })
      const path = { id: task.id }
      expect(yield* client.v1Tasks.get({ path, urlParams: {} })).toEqual(task)
      expect(
        yield* client.v1Tasks.list({ urlParams: { limit: 1, status: "Scheduled", dueFrom: "2125-01-01T00:00:00Z" } })
      )
        .toEqual({ items: [task], cursor: null })
      expect(yield* client.v1Tasks.cancel({ path, urlParams: {} })).toMatchObject({ id: task.id, status: "Cancelled" })
      expect(yield* Effect.flip(client.v1Tasks.get({ path: { id: unknownId }, urlParams: {} })))
        .toMatchObject({ status: 404, code: "TASK_NOT_FOUND" })

      const request = {
        function: "report",
        name: "ultimo",
        trigger: { calendar: { every: "month", from: "2126-01-31T09:00" }, timeZone: "Europe/Stockholm" }
      } as const
      const repeatable = { ...none, headers: { "idempotency-key": "k" }, withResponse: true, payload: request } as const
      const [schedule, created] = yield* client.v1Schedules.create(repeatable)
      expect([created.status, schedule.next]).toEqual([201, "2126-01-31T08:00:00.000Z"])
      const [again, present] = yield* client.v1Schedules.create(repeatable)
      expect([present.status, again]).toEqual([200, schedule])
      // What is answered can be sent back.
      const copy = yield* client.v1Schedules.create({ ...none, payload: { ...request, trigger: schedule.trigger } })
      expect(copy.trigger).toEqual(schedule.trigger)
      expect(yield* Effect.flip(client.v1Schedules.create({ ...repeatable, payload: { ...request, maxRuns: 2 } })))
        .toMatchObject({ status: 409, code: "IDEMPOTENCY_CONFLICT" })
      const its = { path: { id: schedule.id }, urlParams: {} }
      expect(yield* client.v1Schedules.get(its)).toEqual(schedule)
      const page = yield* client.v1Schedules.list({ urlParams: { limit: 1, name: "ultimo" } })
      expect(page.items).toEqual([copy])
      expect((yield* client.v1Schedules.list({ urlParams: { cursor: page.cursor ?? "" } })).items).toEqual([schedule])
      expect(yield* client.v1Schedules.cancel(its)).toMatchObject({ status: "Cancelled", next: null })

      const plain = { ...its, withResponse: true } as const
      const [read, got] = yield* client.v1Schedules.get({ ...plain, path: { id: copy.id } })
      const edit = (payload: EditScheduleRequest, tag = got.headers["etag"] ?? "") =>
        client.v1Schedules.edit({
          path: { id: copy.id },
          urlParams: {},
          headers: { "if-match": tag },
          payload,
          withResponse: true
        })
      const [changed, put] = yield* edit({
        overlap: "bufferOne",
        catchUp: { policy: "skip", window: "1 hour" },
        priority: -5
      })
      expect(changed).toEqual({
        ...read,
        revision: 2,
        overlap: { policy: "bufferOne" },
        catchUp: { policy: "skip", window: "1 hour" },
        priority: -5
      })
      expect([got.headers["etag"], put.headers["etag"]]).toEqual([`"1"`, `"2"`])
      expect(yield* Effect.flip(edit({ name: "x" }))).toMatchObject({ status: 412, code: "REVISION_CONFLICT" })
      const headers = {}
      const theirs = { path: { id: copy.id }, urlParams: {} }
      expect(
        yield* Effect.flip(client.v1Schedules.edit({ ...theirs, headers, payload: { overlap: changed.overlap } }))
      ).toMatchObject({ status: 428, code: "IF_MATCH_REQUIRED" })
      expect((yield* client.v1Schedules.pause({ ...theirs, payload: { by: "ada" } })).pause).toMatchObject({
        by: "ada"
      })
      const run = yield* client.v1Schedules.run({ ...theirs, headers, payload: { payload: 1, overlap: "allowAll" } })
      expect(run).toMatchObject({ origin: `manual:${run.id}`, jsonPayload: "1", overlap: { policy: "allowAll" } })
      expect((yield* client.v1Tasks.list({ urlParams: { origin: `manual:${run.id}` } })).items.map(({ id }) => id))
        .toEqual([run.id])
      expect((yield* client.v1Schedules.resume(theirs)).pause).toBeNull()
      const recurring = yield* client.v1Schedules.create({
        ...none,
        payload: { function: "report", trigger: { cron: "0 0 1 * *" } }
      })
      const started = yield* client.v1Backfills.start({
        path: { id: recurring.id },
        urlParams: {},
        payload: { ...months, concurrency: 2 }
      })
      expect(started).toMatchObject({ scheduleId: recurring.id, total: 3, concurrency: 2 })
      const itsBackfill = { path: { id: started.id }, urlParams: {} }
      expect((yield* client.v1Backfills.get(itsBackfill)).id).toBe(started.id)
      expect((yield* client.v1Backfills.list({ path: { id: recurring.id }, urlParams: {} })).items.map(({ id }) => id))
        .toEqual([started.id])
      expect((yield* client.v1Backfills.cancel(itsBackfill)).status).toBe("Cancelled")
      expect(yield* Effect.flip(client.v1Backfills.get({ path: { id: unknownId }, urlParams: {} })))
        .toMatchObject({ status: 404, code: "BACKFILL_NOT_FOUND" })
      expect(yield* Effect.flip(client.v1Explain.task({ path: { id: unknownId }, urlParams: {} })))
        .toMatchObject({ status: 404, code: "TASK_NOT_FOUND" })
      expect(yield* client.v1Explain.schedule({ ...theirs, urlParams: { at: changed.next ?? "" } }))
        .toMatchObject({ state: "planned", rule: "notDue", nextAt: changed.next })
      expect(yield* client.v1Explain.health(theirs)).toMatchObject({ runs: 0, failures: 0 })
      expect(yield* client.v1Schedules.remove(theirs)).toBeUndefined()
      expect(yield* Effect.flip(client.v1Schedules.get(theirs))).toMatchObject({ status: 404 })

      const paused = yield* client.v1Pauses.pause({
        path: { function: "report" },
        urlParams: {},
        payload: { note: "x" }
      })
      const all = yield* client.v1Pauses.pauseAll({ urlParams: {}, payload: {} })
      expect(yield* client.v1Pauses.list({ urlParams: {} })).toEqual({ items: [all, paused] })
      yield* client.v1Pauses.resumeAll({ urlParams: {} })
      yield* client.v1Pauses.resume({ path: { function: "report" }, urlParams: {} })
      expect(yield* client.v1Pauses.list({ urlParams: {} })).toEqual({ items: [] })

      const preview = yield* client.v1Triggers.preview({ ...none, payload: { trigger: schedule.trigger, count: 2 } })
      expect(preview.occurrences.map(({ local }) => local)).toEqual(["2126-01-31T09:00:00", "2126-02-28T09:00:00"])
      const between = yield* client.v1Triggers.preview({
        ...none,
        payload: { trigger: { cron: "0 9 * * *" }, from: "2126-01-01T00:00:00Z", to: "2126-01-03T00:00:00Z" }
      })
      expect(between.occurrences).toHaveLength(2)

      const fail = client.v1Tasks.create({ ...none, payload: { function: "broken" } })
      const { id } = yield* fail
      yield* Effect.replicateEffect(fail, 2)
      const count = (urlParams: Parameters<typeof client.v1DeadLetters.count>[0]["urlParams"]) =>
        Effect.map(client.v1DeadLetters.count({ urlParams }), ({ count }) => count)
      yield* Effect.repeat(Effect.delay(count({}), "5 millis"), { until: (count) => count === 3 })
      expect(yield* count({ reason: "AccessDenied", redriven: "false" })).toBe(3)
      const redrive = { path: { id }, urlParams: {}, payload: { payload: { ok: true } }, withResponse: true } as const
      const [redriven, redrivenNow] = yield* client.v1DeadLetters.redrive(redrive)
      expect([redrivenNow.status, redriven.redriveOf]).toEqual([201, id])
      const [, redrivenBefore] = yield* client.v1DeadLetters.redrive(redrive)
      expect(redrivenBefore.status).toBe(200)
      expect(yield* Effect.flip(client.v1DeadLetters.redrive({ ...redrive, payload: { payload: 1 } })))
        .toMatchObject({ status: 409, code: "REDRIVE_CONFLICT" })
      const { items } = yield* client.v1DeadLetters.list({ urlParams: { limit: 10, redriven: "true" } })
      expect(items.map((task) => [task.id, task.redrivenAs])).toEqual([[id, redriven.id]])
      expect(
        yield* client.v1DeadLetters.redriveAll({
          urlParams: {},
          payload: { filter: { function: "broken" }, limit: 1, payload: { ok: true } }
        })
      ).toEqual({ redriven: 1, left: 1 })
      expect(yield* client.v1DeadLetters.purge({ urlParams: { redriven: "true" } })).toEqual({ purged: 2 })
      expect(yield* client.v1DeadLetters.purge({ urlParams: { all: "true" } })).toEqual({ purged: 1 })
    }).pipe(Effect.provide(NodeHttpClient.layer)))
})

const deadId = unknownId.replace(/1$/, "7")
const work = { name: "a", initialDelay: "1 hour" }
const task = { function: "payroll", trigger: { after: "1 hour" } }
const retry = {
  maxAttempts: 4,
  baseDelay: "1 second",
  maxDelay: 60_000,
  maxAge: "1 day",
  onUnknown: "fail",
  notRetryable: ["Throttled", "RetryRequested"],
  notRetryableErrors: ["ValidationError"],
  backoff: ["1 second", 5_000, "PT1M"],
  jitter: "full",
  maxWait: "5 minutes",
  deadline: "1 hour",
  attemptTimeout: "30 seconds"
}
const schedule = { function: "report", trigger: { fixed: "1 hour" }, initialDelay: "1 hour" }
const policies = {
  overlap: { policy: "bufferAll", max: 10 },
  catchUp: { policy: "all", max: 24, window: "1 day" },
  pauseAfterFailures: 5,
  priority: 100
}
const of = (digit: string) => unknownId.replace(/1$/, digit)
const runs = `/v1/schedules/${of("3")}`
const months = { from: "2025-01-01T00:00:00Z", to: "2025-04-01T00:00:00Z" }
const backfill = { ...months, concurrency: 2, id: of("4") }
const any = { "if-match": "*" }

/** Requests of every route, those that are accepted and those that are not, in order. */
const requests: ReadonlyArray<
  readonly [
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    url: string,
    status: number,
    json?: unknown,
    headers?: Record<string, string>
  ]
> = [
  ["POST", "/schedule", "/schedule", 202, work],
  ["POST", "/schedule", "/schedule", 400, { name: "" }],
  ["POST", "/schedule", "/schedule", 409, { name: "foreign" }],
  ["POST", "/schedule", "/schedule", 415],
  ["POST", "/createAndSchedule", "/createAndSchedule", 400, { name: "a", zippedCodeBase64: "" }],
  ["GET", "/list", "/list?limit=10", 200],
  ["GET", "/list", "/list?limit=0", 400],
  ["GET", "/status/{name}", "/status/a", 200],
  ["GET", "/status/{name}", "/status/nobody", 404],
  ["GET", "/result/{name}", "/result/a", 200],
  ["POST", "/cancel/{name}", "/cancel/a", 200],
  ["POST", "/v1/tasks", "/v1/tasks", 201, task, { "idempotency-key": "t" }],
  ["POST", "/v1/tasks", "/v1/tasks", 200, task, { "idempotency-key": "t" }],
  ["POST", "/v1/tasks", "/v1/tasks", 409, { ...task, payload: 1 }, { "idempotency-key": "t" }],
  ["POST", "/v1/tasks", "/v1/tasks", 201, { ...task, id: unknownId }],
  ["POST", "/v1/tasks", "/v1/tasks", 201, { ...task, retry }],
  ["POST", "/v1/tasks", "/v1/tasks", 201, { ...task, retry: { ...retry, backoff: "fixed" } }],
  ["POST", "/v1/tasks", "/v1/tasks", 400, { ...task, admin: true }],
  ["POST", "/v1/tasks", "/v1/tasks", 413, { ...task, payload: "x".repeat(7_000_000) }],
  ["POST", "/v1/tasks", "/v1/tasks", 415],
  ["GET", "/v1/tasks", "/v1/tasks?limit=1&function=payroll", 200],
  ["GET", "/v1/tasks", "/v1/tasks?limit=x", 400],
  ["GET", "/v1/tasks/{id}", `/v1/tasks/${unknownId}`, 200],
  ["GET", "/v1/tasks/{id}", "/v1/tasks/x", 400],
  ["GET", "/v1/tasks/{id}", "/v1/tasks/0190a0b0-0000-7000-8000-000000000009", 404],
  ["POST", "/v1/tasks/{id}/cancel", `/v1/tasks/${unknownId}/cancel`, 200],
  ["POST", "/v1/tasks/{id}/cancel", "/v1/tasks/0190a0b0-0000-7000-8000-000000000009/cancel", 404],
  ["POST", "/v1/schedules", "/v1/schedules", 201, { ...schedule, id: unknownId.replace(/1$/, "2") }],
  ["POST", "/v1/schedules", "/v1/schedules", 200, { ...schedule, id: unknownId.replace(/1$/, "2") }],
  ["POST", "/v1/schedules", "/v1/schedules", 409, { ...schedule, id: unknownId.replace(/1$/, "2"), maxRuns: 1 }],
  ["POST", "/v1/schedules", "/v1/schedules", 201, { ...schedule, retry }],
  ["POST", "/v1/schedules", "/v1/schedules", 400, { ...schedule, trigger: {} }],
  ["GET", "/v1/schedules", "/v1/schedules?limit=1", 200],
  ["GET", "/v1/schedules", "/v1/schedules?limit=x", 400],
  ["GET", "/v1/schedules/{id}", `/v1/schedules/${unknownId.replace(/1$/, "2")}`, 200],
  ["GET", "/v1/schedules/{id}", `/v1/schedules/${unknownId}`, 404],
  ["POST", "/v1/schedules/{id}/cancel", `/v1/schedules/${unknownId.replace(/1$/, "2")}/cancel`, 200],
  ["POST", "/v1/schedules/{id}/cancel", `/v1/schedules/${unknownId}/cancel`, 404],
  ["POST", "/v1/schedules", "/v1/schedules", 201, {
    ...policies,
    function: "report",
    id: of("3"),
    trigger: { cron: "0 0 1 * *" }
  }],
  ["PATCH", "/v1/schedules/{id}", runs, 200, { overlap: "skip", maxRuns: null, pauseAfterFailures: null }, any],
  ["PATCH", "/v1/schedules/{id}", runs, 200, { ...policies, retry }, { "if-match": "\"2\"" }],
  ["PATCH", "/v1/schedules/{id}", runs, 412, { name: "a" }, { "if-match": "\"2\"" }],
  ["PATCH", "/v1/schedules/{id}", runs, 428, { name: "a" }],
  ["PATCH", "/v1/schedules/{id}", runs, 400, {}, any],
  ["PATCH", "/v1/schedules/{id}", runs, 413, { payload: "x".repeat(7_000_000) }, any],
  ["PATCH", "/v1/schedules/{id}", runs, 415, undefined, any],
  ["PATCH", "/v1/schedules/{id}", `/v1/schedules/${of("9")}`, 404, { name: "a" }, any],
  ["PATCH", "/v1/schedules/{id}", `/v1/schedules/${of("2")}`, 409, { name: "a" }, any],
  ["POST", "/v1/schedules/{id}/pause", `${runs}/pause`, 200, { by: "ada", note: "why", until: "2126-01-01T00:00:00Z" }],
  ["POST", "/v1/schedules/{id}/pause", `${runs}/pause`, 400, { by: "" }],
  ["POST", "/v1/schedules/{id}/pause", `/v1/schedules/${of("9")}/pause`, 404],
  ["POST", "/v1/schedules/{id}/pause", `/v1/schedules/${of("2")}/pause`, 409],
  ["GET", "/v1/schedules/{id}", runs, 200],
  ["POST", "/v1/schedules/{id}/resume", `${runs}/resume`, 200],
  ["POST", "/v1/schedules/{id}/resume", `${runs}/resume`, 400, { by: "ada" }],
  ["POST", "/v1/schedules/{id}/resume", `/v1/schedules/${of("9")}/resume`, 404],
  ["POST", "/v1/schedules/{id}/resume", `/v1/schedules/${of("2")}/resume`, 409],
  ["POST", "/v1/schedules/{id}/run", `${runs}/run`, 201],
  ["POST", "/v1/schedules/{id}/run", `${runs}/run`, 201, { overlap: { policy: "allowAll" }, payload: 1 }, {
    "idempotency-key": "r"
  }],
  ["POST", "/v1/schedules/{id}/run", `${runs}/run`, 200, { overlap: { policy: "allowAll" }, payload: 1 }, {
    "idempotency-key": "r"
  }],
  ["POST", "/v1/schedules/{id}/run", `${runs}/run`, 409, { payload: 2 }, { "idempotency-key": "r" }],
  ["POST", "/v1/schedules/{id}/run", `${runs}/run`, 400, { overlap: "all" }],
  ["POST", "/v1/schedules/{id}/run", `/v1/schedules/${of("9")}/run`, 404],
  ["POST", "/v1/schedules/{id}/backfills", `${runs}/backfills`, 201, backfill],
  ["POST", "/v1/schedules/{id}/backfills", `${runs}/backfills`, 200, backfill],
  ["POST", "/v1/schedules/{id}/backfills", `${runs}/backfills`, 409, { ...backfill, concurrency: 3 }],
  ["POST", "/v1/schedules/{id}/backfills", `${runs}/backfills`, 400, { from: "x", to: "y" }],
  ["POST", "/v1/schedules/{id}/backfills", `${runs}/backfills`, 415],
  ["POST", "/v1/schedules/{id}/backfills", `/v1/schedules/${of("9")}/backfills`, 404, months],
  ["GET", "/v1/schedules/{id}/backfills", `${runs}/backfills`, 200],
  ["GET", "/v1/schedules/{id}/backfills", `/v1/schedules/${of("9")}/backfills`, 404],
  ["GET", "/v1/backfills/{id}", `/v1/backfills/${of("4")}`, 200],
  ["GET", "/v1/backfills/{id}", `/v1/backfills/${of("9")}`, 404],
  ["POST", "/v1/backfills/{id}/cancel", `/v1/backfills/${of("4")}/cancel`, 200],
  ["POST", "/v1/backfills/{id}/cancel", `/v1/backfills/${of("9")}/cancel`, 404],
  ["GET", "/v1/tasks", `/v1/tasks?scheduleId=${of("3")}`, 200],
  ["GET", "/v1/tasks/{id}/explain", `/v1/tasks/${unknownId}/explain`, 200],
  ["GET", "/v1/tasks/{id}/explain", `/v1/tasks/${of("9")}/explain`, 404],
  ["GET", "/v1/schedules/{id}/explain", `${runs}/explain?at=2126-01-01T00:00:00Z`, 200],
  ["GET", "/v1/schedules/{id}/explain", `${runs}/explain`, 400],
  ["GET", "/v1/schedules/{id}/explain", `/v1/schedules/${of("9")}/explain?at=2126-01-01T00:00:00Z`, 404],
  ["GET", "/v1/schedules/{id}/health", `${runs}/health`, 200],
  ["GET", "/v1/schedules/{id}/health", `/v1/schedules/${of("9")}/health`, 404],
  ["DELETE", "/v1/schedules/{id}", runs, 204],
  ["DELETE", "/v1/schedules/{id}", runs, 204],
  ["DELETE", "/v1/schedules/{id}", "/v1/schedules/x", 400],
  ["PUT", "/v1/pauses/{function}", "/v1/pauses/payroll", 200, { by: "ada", until: "2126-01-01T00:00:00Z" }],
  ["PUT", "/v1/pauses/{function}", "/v1/pauses/a%2Fb", 400],
  ["PUT", "/v1/pause", "/v1/pause", 200, { note: "all" }],
  ["PUT", "/v1/pause", "/v1/pause", 400, { until: "yesterday" }],
  ["GET", "/v1/pauses", "/v1/pauses", 200],
  ["GET", "/v1/pauses", "/v1/pauses?limit=1", 400],
  ["DELETE", "/v1/pause", "/v1/pause", 204],
  ["DELETE", "/v1/pauses/{function}", "/v1/pauses/payroll", 204],
  ["DELETE", "/v1/pauses/{function}", "/v1/pauses/a%2Fb", 400],
  ["POST", "/v1/triggers/preview", "/v1/triggers/preview", 200, { trigger: { cron: "0 9 * * *" } }],
  ["POST", "/v1/triggers/preview", "/v1/triggers/preview", 400, {}],
  ["GET", "/v1/dead-letters", "/v1/dead-letters?limit=1&reason=AccessDenied&redriven=false", 200],
  ["GET", "/v1/dead-letters", "/v1/dead-letters?reason=x", 400],
  ["GET", "/v1/dead-letters/count", "/v1/dead-letters/count?function=broken", 200],
  ["GET", "/v1/dead-letters/count", "/v1/dead-letters/count?limit=1", 400],
  ["POST", "/v1/dead-letters/{id}/redrive", `/v1/dead-letters/${deadId}/redrive`, 201, { payload: { ok: true } }],
  ["POST", "/v1/dead-letters/{id}/redrive", `/v1/dead-letters/${deadId}/redrive`, 200],
  ["POST", "/v1/dead-letters/{id}/redrive", `/v1/dead-letters/${deadId}/redrive`, 409, { payloadJson: "1" }],
  ["POST", "/v1/dead-letters/{id}/redrive", `/v1/dead-letters/${unknownId.replace(/1$/, "9")}/redrive`, 404],
  ["POST", "/v1/dead-letters/{id}/redrive", "/v1/dead-letters/x/redrive", 400],
  ["POST", "/v1/dead-letters/redrive", "/v1/dead-letters/redrive", 200, { filter: { name: "nobody" }, limit: 1 }],
  ["POST", "/v1/dead-letters/redrive", "/v1/dead-letters/redrive", 400, {}],
  ["POST", "/v1/dead-letters/redrive", "/v1/dead-letters/redrive", 415],
  ["DELETE", "/v1/dead-letters", "/v1/dead-letters?function=broken", 200],
  ["DELETE", "/v1/dead-letters", "/v1/dead-letters", 400],
  ["GET", "/healthz", "/healthz", 200],
  ["GET", "/readyz", "/readyz", 200],
  ["GET", "/metrics", "/metrics", 200]
]

describe("the OpenAPI document", () => {
  it.scopedLive("says what every route answers, and what it takes", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve({ foreign: ["foreign"], scripts })
      yield* post("/v1/tasks", { function: "broken", id: deadId })
      yield* Effect.repeat(Effect.delay(get(`/v1/tasks/${deadId}`), "5 millis"), {
        until: ({ task }) => task.status === "Failed"
      })
      const spec = (yield* get("/openapi.json")).body as Specification
      for (const [method, path, url, status, json, headers = {}] of requests) {
        const answer = yield* ask(method, url, { ...(json === undefined ? {} : { json }), headers })
        expect([method, url, answer.status]).toEqual([method, url, status])
        expectAsDocumented(spec, method, path, answer)
        if (json !== undefined && status < 300) {
          expect([url, bodyMismatches(spec, path, json, method)]).toEqual([url, []])
        }
      }
      const documented = Object.entries(spec.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
      )
      expect(new Set(requests.map(([method, path]) => `${method} ${path}`))).toEqual(new Set(documented))
    }))

  it.scopedLive("has a sentence for every route, and examples that hold", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const spec = (yield* get("/openapi.json")).body as Specification
      for (const [path, methods] of Object.entries(spec.paths)) {
        for (const [method, { description = "", summary = "" }] of Object.entries(methods)) {
          expect([method, path, summary]).not.toEqual([method, path, ""])
          if (path.startsWith("/v1/")) expect([method, path, description]).not.toEqual([method, path, ""])
        }
      }
      yield* post("/v1/schedules", { function: "report", id: of("5"), trigger: { cron: "0 0 1 * *" } })
      const its = `/v1/schedules/${of("5")}`
      for (
        const [method, path, url, name, status] of [
          ["POST", "/v1/tasks", "/v1/tasks", "CreateTaskRequest", 201],
          ["POST", "/v1/schedules", "/v1/schedules", "CreateScheduleRequest", 201],
          ["PATCH", "/v1/schedules/{id}", its, "EditScheduleRequest", 200],
          ["POST", "/v1/schedules/{id}/pause", `${its}/pause`, "PauseRequest", 200],
          ["POST", "/v1/schedules/{id}/run", `${its}/run`, "RunScheduleRequest", 201],
          ["POST", "/v1/schedules/{id}/backfills", `${its}/backfills`, "BackfillRequest", 201],
          ["POST", "/v1/triggers/preview", "/v1/triggers/preview", "PreviewRequest", 200],
          ["POST", "/v1/dead-letters/redrive", "/v1/dead-letters/redrive", "RedriveAllRequest", 200]
        ] as const
      ) {
        const examples = spec.components.schemas[name]?.examples as ReadonlyArray<unknown> | undefined
        expect([name, examples?.length ?? 0]).not.toEqual([name, 0])
        for (const example of examples ?? []) {
          expect([example, bodyMismatches(spec, path, example, method)]).toEqual([example, []])
          const answer = yield* ask(method, url, { json: example, headers: any })
          expect([example, answer.status]).toEqual([example, status])
        }
      }
    }))
})

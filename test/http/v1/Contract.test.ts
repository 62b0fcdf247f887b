/** The contract as clients have it: the typed one, and those made from the OpenAPI document. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
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

/** Requests of every route, those that are accepted and those that are not, in order. */
const requests: ReadonlyArray<
  readonly [method: "GET" | "POST" | "DELETE", path: string, url: string, status: number, json?: unknown, key?: string]
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
  ["POST", "/v1/tasks", "/v1/tasks", 201, task, "t"],
  ["POST", "/v1/tasks", "/v1/tasks", 200, task, "t"],
  ["POST", "/v1/tasks", "/v1/tasks", 409, { ...task, payload: 1 }, "t"],
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
      for (const [method, path, url, status, json, key] of requests) {
        const answer = yield* ask(method, url, {
          ...(json === undefined ? {} : { json }),
          ...(key === undefined ? {} : { headers: { "idempotency-key": key } })
        })
        expect([method, url, answer.status]).toEqual([method, url, status])
        expectAsDocumented(spec, method, path, answer)
        if (json !== undefined && status < 300) expect([url, bodyMismatches(spec, path, json)]).toEqual([url, []])
      }
      const documented = Object.entries(spec.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
      )
      expect(new Set(requests.map(([method, path]) => `${method} ${path}`))).toEqual(new Set(documented))
    }))

  it.scopedLive("has a sentence for every route, and examples that hold", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const spec = (yield* get("/openapi.json")).body as Specification
      for (const [path, methods] of Object.entries(spec.paths)) {
        for (const [method, { description = "", summary = "" }] of Object.entries(methods)) {
          expect([method, path, summary]).not.toEqual([method, path, ""])
          if (path.startsWith("/v1/")) expect([method, path, description]).not.toEqual([method, path, ""])
        }
      }
      for (
        const [path, name] of [
          ["/v1/tasks", "CreateTaskRequest"],
          ["/v1/schedules", "CreateScheduleRequest"],
          ["/v1/triggers/preview", "PreviewRequest"],
          ["/v1/dead-letters/redrive", "RedriveAllRequest"]
        ] as const
      ) {
        const examples = spec.components.schemas[name]?.examples as ReadonlyArray<unknown> | undefined
        expect([name, examples?.length ?? 0]).not.toEqual([name, 0])
        for (const example of examples ?? []) {
          expect([example, bodyMismatches(spec, path, example)]).toEqual([example, []])
          expect([example, (yield* post(path, example)).status]).toEqual([
            example,
            /preview|redrive/.test(path) ? 200 : 201
          ])
        }
      }
    }))
})

import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { DeploymentErrorReason } from "../../src/domain/Deployment.ts"
import { DeploymentError } from "../../src/domain/Deployment.ts"
import { inline } from "../../src/domain/LambdaFunction.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { packageFunction } from "../../src/packaging/Package.ts"
import type { Answer } from "./support.ts"
import { serve } from "./support.ts"

const zipBase64 = Effect.map(
  packageFunction(inline("any", "export const handler = async () => 1")),
  ({ zip }) => Buffer.from(zip).toString("base64")
)

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

describe("POST /schedule", () => {
  it.scopedLive("deploys the demo function, answers 202 with the Task, and the result comes", () =>
    Effect.gen(function*() {
      const { get, post, records, result } = yield* serve({
        scripts: { hello: ({ payload }) => ({ got: payload as unknown }) }
      })
      const { headers, status, task } = yield* post("/schedule", { name: "hello", jsonPayload: `{"who":"Ada"}` })
      expect(status).toBe(202)
      expect(headers["content-type"]).toBe("application/json")
      expect(task).toMatchObject({
        name: "hello",
        function: "hello",
        scheduleId: null,
        jsonPayload: `{"who":"Ada"}`,
        result: null,
        failure: null
      })
      expect(task.scheduledAt).toMatch(instant)
      expect((yield* records.deployments).map(({ change, function: { name } }) => [name, change]))
        .toEqual([["hello", "created"]])

      const finished = yield* result("hello")
      expect(finished).toMatchObject({
        id: task.id,
        status: "Succeeded",
        result: { got: { who: "Ada" } },
        resultEncoding: "json",
        attempts: [{ number: 1, outcome: "succeeded", error: null }]
      })
      expect(finished.startedAt).toMatch(instant)
      expect(finished.executedAt).toMatch(instant)
      const [attempt] = finished.attempts
      expect(attempt?.endedAt).toBe(finished.executedAt)
      expect(attempt?.durationMs).toBe(Date.parse(finished.executedAt ?? "") - Date.parse(finished.startedAt ?? ""))
      expect(attempt).toMatchObject({ executedVersion: "$LATEST", logTail: null })
      expect((yield* get("/status/hello")).task).toEqual(finished)
    }))

  it.scopedLive("with an Idempotency-Key the same request is one Task, and another one a conflict", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* serve()
      const send = (json: unknown, key: string) =>
        ask("POST", "/schedule", { json, headers: { "idempotency-key": key } })
      const request = { name: "once", jsonPayload: { n: 1 }, initialDelay: "1 hour" }
      const first = yield* send(request, "k-1")
      expect(first.status).toBe(202)
      expect((yield* send(request, "k-1")).task.id).toBe(first.task.id)
      expect((yield* get("/list")).tasks).toHaveLength(1)
      const other = yield* send({ ...request, jsonPayload: { n: 2 } }, "k-1")
      expect([other.status, other.problem.code]).toEqual([409, "IDEMPOTENCY_CONFLICT"])
      expect((yield* send(request, "k-2")).task.id).not.toBe(first.task.id)
      const repeated = { name: "again", repeatEvery: "1 hour", initialDelay: "1 hour" }
      const schedule = (yield* send(repeated, "k-3")).task.scheduleId
      expect((yield* send(repeated, "k-3")).task.scheduleId).toBe(schedule)
      const invalid = yield* send(request, "k".repeat(257))
      expect([invalid.status, invalid.problem.code]).toEqual([400, "IDEMPOTENCY_KEY_INVALID"])
    }))

  it.scopedLive("delivers text byte for byte, serialises other values, and nothing as {}", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const delivered = (jsonPayload?: unknown) =>
        Effect.map(post("/schedule", { name: "p", jsonPayload }), ({ task }) => task.jsonPayload)
      expect(yield* delivered(` {"a":1, "a":2.50} `)).toBe(` {"a":1, "a":2.50} `)
      expect(yield* delivered(`"text"`)).toBe(`"text"`)
      expect(yield* delivered({ a: [1, "x", null] })).toBe(`{"a":[1,"x",null]}`)
      expect(yield* delivered([1])).toBe("[1]")
      expect(yield* delivered(5)).toBe("5")
      expect(yield* delivered(null)).toBe("null")
      expect(yield* delivered()).toBe("{}")
    }))

  it.scopedLive("initialDelay delays, as text or ISO 8601", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      for (const initialDelay of ["60 seconds", "PT1M", 60_000]) {
        const { status, task } = yield* post("/schedule", { name: "later", initialDelay })
        expect(status).toBe(202)
        expect(task.status).toBe("Scheduled")
        expect(Date.parse(task.scheduledAt) - Date.parse(task.createdAt)).toBe(60_000)
      }
    }))

  it.scopedLive("repeats: repeatEvery and fixedRate answer the first Task with its schedule, totalRuns ends it", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({ engine: { minimumInterval: 20 } })
      for (const repetition of ["repeatEvery", "fixedRate"]) {
        const { status, task } = yield* post("/schedule", { name: repetition, [repetition]: "20 millis", totalRuns: 2 })
        expect(status).toBe(202)
        expect(task.scheduleId).toMatch(/^[0-9a-f-]{36}$/)
        yield* Effect.sleep("150 millis")
        const all = (yield* get("/list")).tasks.filter(({ name }) => name === repetition)
        // A machine that is late by an interval has passed one over.
        const ran = all.map(({ status }) => status).filter((status) => status !== "Skipped")
        expect(ran).toEqual(["Succeeded", "Succeeded"])
        expect(all.at(-1)?.id).toBe(task.id)
        expect(new Set(all.map(({ scheduleId }) => scheduleId))).toEqual(new Set([task.scheduleId]))
      }
    }))

  it.scopedLive("answers the first Task of a repetition also when others have followed already", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({
        engine: { minimumInterval: 20 },
        scheduler: (scheduler) => ({
          ...scheduler,
          list: (filter, page) => Effect.delay(scheduler.list(filter, page), "150 millis")
        })
      })
      const { task } = yield* post("/schedule", { name: "again", repeatEvery: "20 millis", totalRuns: 3 })
      const { tasks } = yield* get("/list")
      expect(tasks.length).toBeGreaterThan(1)
      expect(task.id).toBe(tasks.at(-1)?.id)
    }))

  it.scopedLive("function names what exists: nothing is deployed, and name names the Task", () =>
    Effect.gen(function*() {
      const { post, records, result } = yield* serve({ region: "eu-north-1", scripts: { payroll: () => "paid" } })
      const arn = "arn:aws:lambda:eu-north-1:123456789012:function:payroll:live"
      for (const [name, fn] of [["a", "payroll"], ["b", "payroll:live"], ["c", arn]] as const) {
        const { status, task } = yield* post("/schedule", { name, function: fn })
        expect(status).toBe(202)
        expect(task).toMatchObject({ name, function: fn })
        expect(yield* result(name)).toMatchObject({ result: "paid" })
      }
      expect(yield* records.deployments).toEqual([])
    }))

  it.scopedLive("a failed deployment stores nothing and answers 502 with exactly its message", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({
        deploymentError: new DeploymentError({
          reason: "RoleMissing",
          functionName: "hello",
          message: "AWS_LAMBDA_ROLE_ARN not set"
        })
      })
      for (
        const [path, json] of [
          ["/schedule", { name: "hello" }],
          ["/schedule", { name: "hello", repeatEvery: "5 seconds" }],
          ["/createAndSchedule", { name: "hello", zippedCodeBase64: yield* zipBase64 }]
        ] as const
      ) {
        expect((yield* post(path, json)).problem).toEqual({
          type: "about:blank",
          title: "Bad Gateway",
          status: 502,
          detail: "AWS_LAMBDA_ROLE_ARN not set",
          code: "DEPLOYMENT_ROLE_MISSING"
        })
      }
      expect((yield* get("/list")).body).toEqual([])
      expect((yield* get("/status/hello")).status).toBe(404)
    }))

  it.scopedLive.each<[reason: DeploymentErrorReason, status: number, code: string]>([
    ["Conflict", 409, "DEPLOYMENT_CONFLICT"],
    ["CodeTooLarge", 413, "DEPLOYMENT_CODE_TOO_LARGE"],
    ["StorageExceeded", 503, "DEPLOYMENT_STORAGE_EXCEEDED"],
    ["Failed", 502, "DEPLOYMENT_FAILED"]
  ])("a deployment that fails by %s is a %i", ([reason, ...refusal]) =>
    Effect.gen(function*() {
      const { post } = yield* serve({
        deploymentError: new DeploymentError({ reason, functionName: "hello", message: "As Lambda says" })
      })
      expect((yield* post("/schedule", { name: "hello" })).refusal).toEqual(refusal)
    }))

  it.scopedLive("a name of somebody else's function is a 409, and that function is left alone", () =>
    Effect.gen(function*() {
      const { get, post, records } = yield* serve({ foreign: ["payroll"] })
      expect((yield* post("/schedule", { name: "payroll" })).refusal).toEqual([409, "DEPLOYMENT_NOT_OWNED"])
      expect(yield* records.deployments).toEqual([])
      expect(yield* records.invocations).toEqual([])
      expect((yield* get("/list")).body).toEqual([])
    }))

  it.scopedLive("a failing function is retried and then shown with its reason", () =>
    Effect.gen(function*() {
      const { post, result } = yield* serve({
        scripts: {
          broken: () => {
            throw new TypeError("no such customer")
          }
        },
        engine: { retry: { ...defaultRetryPolicy, maxAttempts: 2, baseDelay: 1 } }
      })
      yield* post("/schedule", { name: "broken" })
      expect(yield* result("broken")).toMatchObject({
        status: "Failed",
        result: null,
        failure: { reason: "FunctionError", message: "no such customer" },
        attempts: [
          { number: 1, outcome: "failed", error: { errorType: "TypeError" } },
          { number: 2, outcome: "failed" }
        ]
      })
    }))
})

describe("POST /createAndSchedule", () => {
  it.scopedLive("deploys the caller's zip and schedules it", () =>
    Effect.gen(function*() {
      const { post, records, result } = yield* serve({ scripts: { mine: () => 42 } })
      const { status, task } = yield* post("/createAndSchedule", {
        name: "mine",
        jsonPayload: "{}",
        zippedCodeBase64: yield* zipBase64,
        handler: "index.handler",
        runtime: "nodejs22.x",
        timeout: "10 seconds"
      })
      expect(status).toBe(202)
      expect(task.name).toBe("mine")
      expect(yield* result("mine")).toMatchObject({ status: "Succeeded", result: 42 })
      const [deployment] = yield* records.deployments
      expect(deployment?.function).toMatchObject({
        name: "mine",
        code: { _tag: "Zip" },
        options: { runtime: "nodejs22.x", timeout: "10 seconds" }
      })
    }))

  it.scopedLive("a body of 20 MB is fine here", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const { refusal } = yield* post("/createAndSchedule", { name: "big", zippedCodeBase64: "A".repeat(20_000_000) })
      expect(refusal).toEqual([400, "ZIP_INVALID"])
    }))
})

describe("GET /list", () => {
  it.scopedLive("answers a plain array, newest first, page by page through the Link header", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      expect((yield* get("/list")).body).toEqual([])
      const names = Array.from({ length: 7 }, (_, index) => `t${index}`)
      for (const name of names) yield* post("/schedule", { name })
      expect((yield* get("/list")).tasks.map(({ name }) => name)).toEqual(names.toReversed())
      expect((yield* get("/list")).headers["link"]).toBeUndefined()

      const seen: Array<string> = []
      let path: string | undefined = "/list?limit=3"
      let pages = 0
      while (path !== undefined) {
        const page: Answer = yield* get(path)
        seen.push(...page.tasks.map(({ name }) => name))
        path = /^<([^>]+)>; rel="next"$/.exec(String(page.headers["link"]))?.[1]
        pages++
      }
      expect(seen).toEqual(names.toReversed())
      expect(pages).toBe(3)
    }))

  it.scopedLive("a page of large Tasks ends early, and the next goes on", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const jsonPayload = JSON.stringify("x".repeat(1_000_000))
      for (let index = 0; index < 30; index++) {
        yield* post("/schedule", { name: `large${index}`, jsonPayload, initialDelay: "1 hour" })
      }
      const first = yield* get("/list")
      const next = /^<([^>]+)>/.exec(String(first.headers["link"]))?.[1] ?? ""
      const second = yield* get(next)
      expect(first.tasks.length).toBeLessThan(30)
      expect(second.headers["link"]).toBeUndefined()
      expect(new Set([...first.tasks, ...second.tasks].map(({ id }) => id)).size).toBe(30)
    }))

  it.scopedLive("refuses what is not a page", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      for (
        const query of [
          "limit=0",
          "limit=-1",
          "limit=1e9",
          "limit=1001",
          "limit=1.5",
          "limit=",
          "limit=abc",
          "limit=1&limit=2",
          "cursor=garbage",
          "cursor=a&cursor=b",
          "status=SCHEDULED'%20OR%201=1--",
          "unknown=1"
        ]
      ) {
        const { refusal } = yield* get(`/list?${query}`)
        expect([query, ...refusal]).toEqual([query, 400, "QUERY_INVALID"])
      }
      expect((yield* get("/list?limit=1000")).status).toBe(200)
    }))
})

describe("GET /status/{name} and /result/{name}", () => {
  it.scopedLive("status is the latest Task, result the latest finished one", () =>
    Effect.gen(function*() {
      const { get, post, result } = yield* serve({ scripts: { hello: () => "hi" } })
      yield* post("/schedule", { name: "hello", initialDelay: "1 hour" })
      expect((yield* get("/result/hello")).task).toMatchObject({ status: "Scheduled", result: null })
      const { task: first } = yield* post("/schedule", { name: "hello" })
      yield* result("hello")
      const { task: second } = yield* post("/schedule", { name: "hello", initialDelay: "1 hour" })
      expect((yield* get("/status/hello")).task).toMatchObject({ id: second.id, status: "Scheduled" })
      expect((yield* get("/result/hello")).task).toMatchObject({ id: first.id, status: "Succeeded", result: "hi" })
    }))

  it.scopedLive("404 for names without Tasks, whatever they are", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      for (const name of ["nobody", "%00", "..%2f..%2fhealthz", "__proto__", "%F0%9F%98%80", "a".repeat(90)]) {
        for (const route of ["status", "result"]) {
          const { refusal } = yield* get(`/${route}/${name}`)
          expect([name, ...refusal]).toEqual([name, 404, "TASK_NOT_FOUND"])
        }
        expect((yield* post(`/cancel/${name}`)).problem.code).toBe("TASK_NOT_FOUND")
      }
    }))

  it.scopedLive("refuses any query", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      for (const path of ["/status/a?x=1", "/result/a?limit=1", "/healthz?x", "/readyz?verbose=1"]) {
        expect([path, (yield* get(path)).problem.code]).toEqual([path, "QUERY_INVALID"])
      }
      expect((yield* post("/schedule?dry=1", { name: "a" })).problem.code).toBe("QUERY_INVALID")
      expect((yield* post("/cancel/a?force=1")).problem.code).toBe("QUERY_INVALID")
    }))
})

describe("POST /cancel/{name}", () => {
  it.scopedLive("cancels Tasks and schedules of a name and answers the Tasks; a second call finds nothing left", () =>
    Effect.gen(function*() {
      const { get, post, records } = yield* serve()
      const { task: once } = yield* post("/schedule", { name: "x", initialDelay: "1 hour" })
      const { task: again } = yield* post("/schedule", { name: "x", repeatEvery: "1 hour", initialDelay: "1 hour" })
      yield* post("/schedule", { name: "y", initialDelay: "1 hour" })
      const { status, tasks } = yield* post("/cancel/x")
      expect(status).toBe(200)
      expect(tasks.map(({ id }) => id).toSorted()).toEqual([once.id, again.id].toSorted())
      expect(tasks.every(({ status }) => status === "Cancelled")).toBe(true)
      expect((yield* get("/status/x")).task.status).toBe("Cancelled")
      expect((yield* get("/status/y")).task.status).toBe("Scheduled")
      const second = yield* post("/cancel/x", {})
      expect([second.status, second.body]).toEqual([200, []])
      expect(yield* records.invocations).toEqual([])
    }))

  it.scopedLive("what has finished stays as it is", () =>
    Effect.gen(function*() {
      const { get, post, result } = yield* serve()
      yield* post("/schedule", { name: "done" })
      yield* result("done")
      const { body, status } = yield* post("/cancel/done")
      expect([status, body]).toEqual([200, []])
      expect((yield* get("/status/done")).task.status).toBe("Succeeded")
    }))
})

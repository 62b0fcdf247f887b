import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { iso } from "../../../src/domain/Time.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { serve } from "../support.ts"
import { eventually, hourly, idOf, scheduleOf, schedulesOf, tasksOf, unknownId } from "./support.ts"

describe("POST /v1/schedules/{id}/pause and /resume", () => {
  it.scopedLive("shows who, why and until when, and may be said again", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const before = scheduleOf(yield* post("/v1/schedules", hourly))
      expect(before.pause).toBeNull()
      const path = `/v1/schedules/${before.id.toUpperCase()}`
      const paused = scheduleOf(
        yield* post(`${path}/pause`, { by: "ada", note: "month end", until: "2126-01-01T01:00:00+01:00" })
      )
      expect(paused).toEqual({
        ...before,
        pause: { since: paused.pause?.since, by: "ada", note: "month end", until: "2126-01-01T00:00:00.000Z" }
      })
      expect(scheduleOf(yield* get(path))).toEqual(paused)
      expect(schedulesOf(yield* get("/v1/schedules")).items).toEqual([paused])
      const again = scheduleOf(yield* post(`${path}/pause`, {}))
      expect(again.pause).toEqual({ since: paused.pause?.since, by: null, note: null, until: null })
      expect(scheduleOf(yield* post(`${path}/pause`))).toEqual(again)
      const resumed = yield* post(`${path}/resume`)
      expect([resumed.status, scheduleOf(resumed)]).toEqual([200, before])
      expect(scheduleOf(yield* post(`${path}/resume`, {}))).toEqual(before)
    }))

  it.scopedLive("nothing starts by the rule meanwhile; what was passed over says why", () =>
    Effect.gen(function*() {
      const { get, post, records } = yield* serve({ engine: { minimumInterval: 20 } })
      const { id } = scheduleOf(yield* post("/v1/schedules", { function: "tick", trigger: { fixed: "20 millis" } }))
      const look = Effect.map(get(`/v1/schedules/${id}`), scheduleOf)
      yield* eventually(look, ({ runs }) => runs >= 2)
      yield* post(`/v1/schedules/${id}/pause`, { by: "ada", note: "month end" })
      yield* Effect.sleep("50 millis")
      const count = (yield* records.invocations).length
      yield* Effect.sleep("200 millis")
      expect((yield* records.invocations).length).toBe(count)
      yield* post(`/v1/schedules/${id}/resume`)
      yield* eventually(records.invocations, (all) => all.length > count + 1)
      yield* post(`/v1/schedules/${id}/cancel`)
      const { items } = tasksOf(yield* get(`/v1/tasks?scheduleId=${id}&status=Skipped`))
      const skipped = items.filter((task) => task.skipped === "paused")
      expect(skipped.length).toBeGreaterThan(0)
      for (const { nominalAt, skippedCount, skippedNote, skippedUpTo } of skipped) {
        expect(skippedNote).toContain("ada")
        expect(skippedNote).toContain("month end")
        expect(Date.parse(skippedUpTo ?? "") - Date.parse(nominalAt)).toBe(((skippedCount ?? 0) - 1) * 20)
      }
      const cancelled = tasksOf(yield* get(`/v1/tasks?scheduleId=${id}&status=Cancelled`)).items
      expect(cancelled.map(({ cancelledBy }) => cancelledBy)).toEqual(cancelled.map(() => "schedule"))
      const ran = tasksOf(yield* get(`/v1/tasks?scheduleId=${id}&status=Succeeded`)).items
      for (const task of ran) {
        expect(task).toMatchObject({
          origin: "schedule",
          cancelledBy: null,
          skipped: null,
          skippedCount: null,
          skippedUpTo: null,
          skippedNote: null,
          overlap: null
        })
      }
    }))

  it.scopedLive("a pause that ends by itself is shown no more", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      const until = iso((yield* Clock.currentTimeMillis) + 150)
      expect(scheduleOf(yield* post(`/v1/schedules/${id}/pause`, { until })).pause?.until).toBe(until)
      yield* eventually(Effect.map(get(`/v1/schedules/${id}`), scheduleOf), ({ pause }) => pause === null)
      expect(yield* Clock.currentTimeMillis).toBeGreaterThanOrEqual(Date.parse(until))
      expect(schedulesOf(yield* get("/v1/schedules")).items).toMatchObject([{ id, pause: null }])
    }))

  it.scopedLive("after failures in a row it pauses itself, and says so", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({
        engine: { minimumInterval: 20 },
        scripts: { bad: () => ScriptedLambdaClient.fail("FunctionError") }
      })
      const { id } = scheduleOf(
        yield* post("/v1/schedules", {
          function: "bad",
          trigger: { spaced: "20 millis" },
          retry: { maxAttempts: 1 },
          pauseAfterFailures: 2
        })
      )
      const look = Effect.map(get(`/v1/schedules/${id}`), scheduleOf)
      const paused = yield* eventually(look, ({ pause }) => pause !== null)
      expect(paused).toMatchObject({
        status: "Active",
        failures: 2,
        pauseAfterFailures: 2,
        runs: 2,
        pause: { until: null }
      })
      expect(scheduleOf(yield* post(`/v1/schedules/${id}/resume`))).toMatchObject({ failures: 0, pause: null })
    }))

  it.scopedLive("404 for what is not there, 409 for what is over, 400 for what makes no sense", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      const form = { body: "by=a", headers: { "content-type": "application/x-www-form-urlencoded" } }
      for (const [action, unknown] of [["pause", "FIELD_UNKNOWN"], ["resume", "BODY_INVALID"]] as const) {
        const refusal = (id: string, json?: unknown) =>
          Effect.map(post(`/v1/schedules/${id}/${action}`, json), (answer) => answer.refusal)
        expect(yield* refusal(unknownId)).toEqual([404, "SCHEDULE_NOT_FOUND"])
        expect(yield* refusal("x")).toEqual([400, "ID_INVALID"])
        expect(yield* refusal(id, { admin: true })).toEqual([400, unknown])
        for (const json of [[], 5, null, "x"]) expect(yield* refusal(id, json)).toEqual([400, "BODY_INVALID"])
        expect((yield* ask("POST", `/v1/schedules/${id}/${action}`, form)).refusal).toEqual([
          415,
          "CONTENT_TYPE_INVALID"
        ])
      }
      expect(scheduleOf(yield* get(`/v1/schedules/${id}`)).pause).toBeNull()
      yield* post(`/v1/schedules/${id}/cancel`)
      for (const action of ["pause", "resume"]) {
        expect((yield* post(`/v1/schedules/${id}/${action}`)).refusal).toEqual([409, "SCHEDULE_ENDED"])
      }
    }))
})

describe("POST /v1/schedules/{id}/run", () => {
  it.scopedLive("runs now, also while it is paused, and leaves the cadence", () =>
    Effect.gen(function*() {
      const { get, post, records } = yield* serve()
      const before = scheduleOf(yield* post("/v1/schedules", { ...hourly, name: "r", payload: { n: 1 }, priority: 3 }))
      const path = `/v1/schedules/${before.id}`
      const ended = (id: string) =>
        eventually(Effect.map(get(`/v1/tasks/${id}`), ({ task }) => task), ({ finishedAt }) => finishedAt !== null)
      const plain = yield* post(`${path.toUpperCase().replace("/V1/SCHEDULES", "/v1/schedules")}/run`)
      expect([plain.status, plain.headers["location"]]).toEqual([201, `/v1/tasks/${plain.task.id}`])
      expect(yield* ended(plain.task.id)).toMatchObject({
        name: "r",
        status: "Succeeded",
        scheduleId: before.id,
        origin: `manual:${plain.task.id}`,
        overlap: null,
        priority: 3,
        jsonPayload: `{"n":1}`
      })
      expect(scheduleOf(yield* get(path))).toEqual(before)
      yield* post(`${path}/pause`)
      const own = yield* post(`${path}/run`, { payload: null, overlap: { policy: "bufferAll", max: 5 } })
      expect(own.task.overlap).toEqual({ policy: "bufferAll", max: 5 })
      expect(yield* ended(own.task.id)).toMatchObject({ status: "Succeeded", jsonPayload: "null" })
      const text = yield* post(`${path}/run`, { payloadJson: ` {"a":1, "a":2} `, overlap: "allowAll" })
      expect(yield* ended(text.task.id)).toMatchObject({ status: "Succeeded", jsonPayload: ` {"a":1, "a":2} ` })
      expect(yield* records.invocationsOf("report")).toHaveLength(3)
      const found = tasksOf(yield* get(`/v1/tasks?origin=manual:${own.task.id.toUpperCase()}`))
      expect(found.items.map(({ id }) => id)).toEqual([own.task.id])
      expect(tasksOf(yield* get(`/v1/tasks?scheduleId=${before.id}&origin=schedule`)).items)
        .toMatchObject([{ status: "Scheduled", origin: "schedule", nominalAt: before.next }])
    }))

  it.scopedLive("the schedule's overlap policy holds, unless the request has its own", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({ scripts: { report: () => Effect.never } })
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      const run = (json?: unknown) => Effect.map(post(`/v1/schedules/${id}/run`, json), ({ task }) => task.id)
      const is = (id: string, wanted: string) =>
        eventually(Effect.map(get(`/v1/tasks/${id}`), ({ task }) => task), ({ status }) => status === wanted)
      const first = yield* run()
      yield* is(first, "Running")
      expect(yield* is(yield* run(), "Skipped")).toMatchObject({
        skipped: "overlap",
        skippedCount: 1,
        skippedNote: null,
        attempts: []
      })
      yield* is(yield* run({ overlap: "allowAll" }), "Running")
      yield* is(yield* run({ overlap: "cancelOther" }), "Running")
      expect(yield* is(first, "Cancelled")).toMatchObject({ cancelledBy: "overlap" })
    }))

  it.scopedLive("a key or an id makes it repeatable", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      const other = scheduleOf(yield* post("/v1/schedules", hourly))
      const path = `/v1/schedules/${id}/run`
      const send = (json?: object, to = path) =>
        ask("POST", to, { ...(json === undefined ? {} : { json }), headers: { "idempotency-key": "k" } })
      const [first, ...others] = yield* Effect.replicateEffect(send(), 10)
      expect([first?.status, ...others.map(({ status }) => status)]).toEqual([201, ...others.map(() => 200)])
      expect(new Set(others.map(({ task }) => task.id))).toEqual(new Set([first?.task.id]))
      const atOnce = yield* Effect.all(
        Array.from({ length: 10 }, () => ask("POST", path, { headers: { "idempotency-key": "l" } })),
        { concurrency: "unbounded" }
      )
      expect(atOnce.map(({ status }) => status).sort()).toEqual([...Array.from({ length: 9 }, () => 200), 201])
      for (const json of [{ payload: 1 }, { overlap: "allowAll" }]) {
        expect((yield* send(json)).refusal).toEqual([409, "IDEMPOTENCY_CONFLICT"])
      }
      expect((yield* send(undefined, `/v1/schedules/${other.id}/run`)).refusal).toEqual([409, "IDEMPOTENCY_CONFLICT"])

      const named = { id: idOf("C"), payload: { n: 1 } }
      const made = yield* post(path, named)
      expect([made.status, made.task.id]).toEqual([201, idOf("c")])
      const again = yield* post(path, named)
      expect([again.status, again.task.id]).toEqual([200, idOf("c")])
      expect((yield* post(path, { ...named, payload: 2 })).refusal).toEqual([409, "TASK_EXISTS"])
      expect((yield* post(`/v1/schedules/${other.id}/run`, named)).refusal).toEqual([409, "TASK_EXISTS"])
      const { task } = yield* post("/v1/tasks", { function: "report" })
      expect((yield* post(path, { id: task.id })).refusal).toEqual([409, "TASK_EXISTS"])
      expect(tasksOf(yield* get(`/v1/tasks?scheduleId=${id}`)).items).toHaveLength(4)
      for (const key of ["", "k".repeat(257)]) {
        expect((yield* ask("POST", path, { headers: { "idempotency-key": key } })).refusal)
          .toEqual([400, "IDEMPOTENCY_KEY_INVALID"])
      }
    }))

  it.scopedLive("404 for what is not there, 409 for what is over, 400 and 413 for what makes no sense", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      const refusal = (id: string, json?: unknown) =>
        Effect.map(post(`/v1/schedules/${id}/run`, json), (answer) => answer.refusal)
      expect(yield* refusal(unknownId)).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect(yield* refusal("x")).toEqual([400, "ID_INVALID"])
      expect(yield* refusal(id, { payload: "x".repeat(7_000_000) })).toEqual([413, "PAYLOAD_TOO_LARGE"])
      expect(yield* refusal(id, { payload: "x".repeat(17_000_000) })).toEqual([413, "BODY_TOO_LARGE"])
      yield* post(`/v1/schedules/${id}/cancel`)
      expect(yield* refusal(id)).toEqual([409, "SCHEDULE_ENDED"])
      expect(tasksOf(yield* get("/v1/tasks?status=Succeeded")).items).toEqual([])
    }))
})

describe("DELETE /v1/schedules/{id}", () => {
  it.scopedLive("ends it and forgets it; again the same, also where there never was one", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      for (const which of [id.toUpperCase(), id, unknownId]) {
        const { headers, status, text } = yield* ask("DELETE", `/v1/schedules/${which}`)
        expect([status, text, headers["content-type"]]).toEqual([204, "", undefined])
      }
      expect((yield* get(`/v1/schedules/${id}`)).refusal).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect((yield* post(`/v1/schedules/${id}/cancel`)).refusal).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect(tasksOf(yield* get(`/v1/tasks?scheduleId=${id}`)).items)
        .toMatchObject([{ status: "Cancelled", cancelledBy: "schedule" }])
      for (const wrong of ["x", "%00", "..%2f.."]) {
        expect((yield* ask("DELETE", `/v1/schedules/${wrong}`)).refusal).toEqual([400, "ID_INVALID"])
      }
      expect((yield* ask("DELETE", `/v1/schedules/${id}?force=true`)).refusal).toEqual([400, "QUERY_INVALID"])
      const { headers, refusal } = yield* ask("DELETE", "/v1/schedules")
      expect([...refusal, headers["allow"]]).toEqual([405, "METHOD_NOT_ALLOWED", "POST, GET, HEAD"])
    }))
})

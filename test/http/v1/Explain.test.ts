import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { serve } from "../support.ts"
import { eventually, explanationOf, healthOf, hourly, scheduleOf, unknownId } from "./support.ts"

const later = { function: "payroll", trigger: { after: "1 hour" } }

describe("GET /v1/tasks/{id}/explain", () => {
  it.scopedLive("says what decides: planned, held back, or how it has ended", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve({
        scripts: { slow: () => Effect.never, bad: () => ScriptedLambdaClient.fail("AccessDenied") }
      })
      const explain = (id: string) => Effect.map(get(`/v1/tasks/${id}/explain`), explanationOf)
      const until = (id: string, state: string) => eventually(explain(id), (found) => found.state === state)

      const planned = (yield* post("/v1/tasks", later)).task
      const answer = yield* get(`/v1/tasks/${planned.id.toUpperCase()}/explain`)
      expect([answer.status, explanationOf(answer)]).toMatchObject([200, {
        state: "planned",
        rule: "notDue",
        taskId: planned.id,
        nextAt: planned.scheduledAt
      }])
      expect(explanationOf(answer).sentence).toContain("payroll")
      yield* post(`/v1/tasks/${planned.id}/cancel`)
      expect(yield* explain(planned.id)).toMatchObject({ state: "cancelled", rule: "cancelled", nextAt: null })

      yield* ask("PUT", "/v1/pauses/payroll", { json: { by: "ada", note: "bank is down" } })
      const held = (yield* post("/v1/tasks", { function: "payroll" })).task
      const paused = yield* until(held.id, "waiting")
      expect(paused).toMatchObject({ rule: "functionPaused", nextAt: null })
      expect(paused.sentence).toContain("ada: bank is down")
      yield* ask("DELETE", "/v1/pauses/payroll")
      expect(yield* until(held.id, "succeeded")).toMatchObject({ rule: "ran", taskId: held.id })

      const slow = (yield* post("/v1/tasks", { function: "slow" })).task
      expect(yield* until(slow.id, "running")).toMatchObject({ rule: "thisInstance" })
      const bad = (yield* post("/v1/tasks", { function: "bad" })).task
      expect(yield* until(bad.id, "failed")).toMatchObject({ rule: "notRetried" })
    }))

  it.scopedLive("404 for ids that are not there, 400 for what is none", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      expect((yield* get(`/v1/tasks/${unknownId}/explain`)).refusal).toEqual([404, "TASK_NOT_FOUND"])
      expect((yield* get("/v1/tasks/x/explain")).refusal).toEqual([400, "ID_INVALID"])
      expect((yield* get(`/v1/tasks/${unknownId}/explain?at=2126-01-01T00:00:00Z`)).refusal)
        .toEqual([400, "QUERY_INVALID"])
    }))
})

describe("GET /v1/schedules/{id}/explain", () => {
  it.scopedLive("says of any instant what has become, or is to become, of it", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const schedule = scheduleOf(
        yield* post("/v1/schedules", { function: "report", name: "daily", trigger: { cron: "0 9 * * *" } })
      )
      const explain = (at: string) =>
        Effect.map(
          get(`/v1/schedules/${schedule.id.toUpperCase()}/explain?at=${encodeURIComponent(at)}`),
          explanationOf
        )
      expect(yield* explain(schedule.next ?? "")).toMatchObject({
        state: "planned",
        rule: "notDue",
        nextAt: schedule.next
      })
      expect(yield* explain("2126-01-01T10:00:00+01:00")).toMatchObject({ state: "planned", taskId: null })
      expect(yield* explain("2126-01-01T09:30:00Z")).toMatchObject({ state: "none", rule: "notNamed", nextAt: null })
      expect(yield* explain("2020-01-01T09:00:00Z")).toMatchObject({ state: "none", rule: "beforeCreation" })
      yield* post(`/v1/schedules/${schedule.id}/pause`, { by: "ada", note: "month end" })
      const paused = yield* explain(schedule.next ?? "")
      expect(paused).toMatchObject({ state: "planned", rule: "paused" })
      expect(paused.sentence).toContain("ada: month end")
      yield* post(`/v1/schedules/${schedule.id}/cancel`)
      expect(yield* explain("2126-01-01T09:00:00Z")).toMatchObject({ state: "none", rule: "scheduleCancelled" })
    }))

  it.scopedLive("404 for ids that are not there, 400 for what is none, and for no instant", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      const at = "at=2126-01-01T00:00:00Z"
      expect((yield* get(`/v1/schedules/${unknownId}/explain?${at}`)).refusal).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect((yield* get(`/v1/schedules/x/explain?${at}`)).refusal).toEqual([400, "ID_INVALID"])
      for (
        const query of [
          "",
          "?at=",
          "?at=yesterday",
          "?at=2126-01-01",
          "?at=2126-01-01T00:00:00",
          "?at=1700000000000",
          `?${at}&${at}`,
          `?${at}&limit=1`,
          "?instant=2126-01-01T00:00:00Z"
        ]
      ) {
        expect([query, ...(yield* get(`/v1/schedules/${id}/explain${query}`)).refusal])
          .toEqual([query, 400, "QUERY_INVALID"])
      }
      const detail = (query: string) =>
        Effect.map(get(`/v1/schedules/${id}/explain${query}`), ({ problem }) => problem.detail)
      expect(yield* detail("")).toMatch(/^at: expected one instant/)
      expect(yield* detail("?at=x")).toMatch(/^at: expected an instant/)
    }))
})

describe("GET /v1/schedules/{id}/health", () => {
  it.scopedLive("tells what is wrong, errors first; nothing where all is well", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({
        engine: { minimumInterval: 20 },
        scripts: { bad: () => ScriptedLambdaClient.fail("FunctionError") }
      })
      const healthOfId = (id: string) => Effect.map(get(`/v1/schedules/${id}/health`), healthOf)
      const well = scheduleOf(yield* post("/v1/schedules", hourly))
      const answer = yield* get(`/v1/schedules/${well.id.toUpperCase()}/health`)
      expect([answer.status, healthOf(answer)]).toEqual([200, {
        healthy: true,
        findings: [],
        nextAt: well.next,
        latenessP99Ms: null,
        runs: 0,
        failures: 0
      }])
      yield* post(`/v1/schedules/${well.id}/pause`, { by: "ada" })
      expect(yield* healthOfId(well.id)).toMatchObject({
        healthy: true,
        findings: [{ code: "paused", severity: "warning", facts: { pauseBy: "ada" } }],
        nextAt: null
      })
      const { id } = scheduleOf(
        yield* post("/v1/schedules", {
          function: "bad",
          trigger: { spaced: "20 millis" },
          retry: { maxAttempts: 1 },
          pauseAfterFailures: 3
        })
      )
      const sick = yield* eventually(healthOfId(id), ({ findings }) => findings.some(({ code }) => code === "paused"))
      expect(sick).toMatchObject({ healthy: false, runs: 3, failures: 3 })
      expect(sick.findings.map(({ code, severity }) => [code, severity]).sort())
        .toEqual([["failuresInARow", "error"], ["paused", "error"]])
      yield* post(`/v1/schedules/${id}/cancel`)
      expect((yield* healthOfId(id)).findings.at(-1)).toMatchObject({ code: "neverFiresAgain", severity: "warning" })
    }))

  it.scopedLive("404 for ids that are not there, 400 for what is none", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      expect((yield* get(`/v1/schedules/${unknownId}/health`)).refusal).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect((yield* get("/v1/schedules/x/health")).refusal).toEqual([400, "ID_INVALID"])
      expect((yield* get(`/v1/schedules/${unknownId}/health?x=1`)).refusal).toEqual([400, "QUERY_INVALID"])
    }))
})

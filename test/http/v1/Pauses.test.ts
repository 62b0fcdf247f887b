import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { iso } from "../../../src/domain/Time.ts"
import type { Question } from "../support.ts"
import { serve } from "../support.ts"
import { eventually, pauseOf, pausesOf } from "./support.ts"

describe("/v1/pauses and /v1/pause", () => {
  it.scopedLive("show who, why and until when; again and again the same", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* serve()
      expect(pausesOf(yield* get("/v1/pauses"))).toEqual({ items: [] })
      const put = (path: string, json?: unknown) => ask("PUT", path, json === undefined ? {} : { json })
      const b = pauseOf(
        yield* put("/v1/pauses/b", { by: "ada", note: "bank is down", until: "2126-01-01T01:00:00+01:00" })
      )
      expect(b).toEqual({
        function: "b",
        since: b.since,
        by: "ada",
        note: "bank is down",
        until: "2126-01-01T00:00:00.000Z"
      })
      const a = pauseOf(yield* put("/v1/pauses/a"))
      expect(a).toEqual({ function: "a", since: a.since, by: null, note: null, until: null })
      const all = pauseOf(yield* put("/v1/pause", { by: "bob" }))
      expect(all).toEqual({ function: null, since: all.since, by: "bob", note: null, until: null })
      expect(pausesOf(yield* get("/v1/pauses")).items).toEqual([all, a, b])
      const changed = pauseOf(yield* put("/v1/pauses/b", { by: "eve" }))
      expect(changed).toEqual({ ...b, by: "eve", note: null, until: null })
      for (const path of ["/v1/pauses/b", "/v1/pauses/b", "/v1/pauses/never", "/v1/pause", "/v1/pause"]) {
        const { status, text } = yield* ask("DELETE", path)
        expect([path, status, text]).toEqual([path, 204, ""])
      }
      expect(pausesOf(yield* get("/v1/pauses")).items).toEqual([a])
    }))

  for (const path of ["/v1/pauses/payroll", "/v1/pause"]) {
    it.scopedLive(`${path}: what is due waits, and starts when it is over`, () =>
      Effect.gen(function*() {
        const { ask, get, post, records, result } = yield* serve()
        yield* ask("PUT", path)
        const { task } = yield* post("/v1/tasks", { function: "payroll" })
        const other = yield* post("/v1/tasks", { function: "other" })
        yield* Effect.sleep("100 millis")
        expect((yield* get(`/v1/tasks/${task.id}`)).task.status).toBe("Scheduled")
        expect((yield* get(`/v1/tasks/${other.task.id}`)).task.status)
          .toBe(path === "/v1/pause" ? "Scheduled" : "Succeeded")
        yield* ask("DELETE", path)
        expect((yield* result("payroll")).status).toBe("Succeeded")
        expect((yield* result("other")).status).toBe("Succeeded")
        expect(yield* records.invocations).toHaveLength(2)
      }))
  }

  it.scopedLive("one that ends by itself is shown no more", () =>
    Effect.gen(function*() {
      const { ask, get, post, result } = yield* serve()
      const until = iso((yield* Clock.currentTimeMillis) + 150)
      yield* ask("PUT", "/v1/pauses/payroll", { json: { until } })
      expect(pausesOf(yield* get("/v1/pauses")).items).toMatchObject([{ function: "payroll", until }])
      yield* post("/v1/tasks", { function: "payroll" })
      yield* eventually(Effect.map(get("/v1/pauses"), pausesOf), ({ items }) => items.length === 0)
      const { startedAt } = yield* result("payroll")
      expect(Date.parse(startedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(until))
    }))

  it.scopedLive("refuse what makes no sense, and pause nothing", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* serve()
      const form: Question = { body: "by=a", headers: { "content-type": "application/x-www-form-urlencoded" } }
      for (const path of ["/v1/pauses/payroll", "/v1/pause"]) {
        expect((yield* ask("PUT", path, form)).refusal).toEqual([415, "CONTENT_TYPE_INVALID"])
        expect((yield* ask("PUT", path, { json: { note: "x".repeat(17_000_000) } })).refusal)
          .toEqual([413, "BODY_TOO_LARGE"])
        const { headers, refusal } = yield* ask("POST", path)
        expect([...refusal, headers["allow"]]).toEqual([405, "METHOD_NOT_ALLOWED", "PUT, DELETE"])
        expect((yield* ask("DELETE", `${path}?x=1`)).refusal).toEqual([400, "QUERY_INVALID"])
      }
      for (
        const [name, code] of [
          ["a%2Fb", "NAME_PATTERN"],
          ["a:live", "NAME_PATTERN"],
          ["arn:aws:lambda:eu-north-1:123456789012:function:a", "NAME_PATTERN"],
          ["a".repeat(65), "NAME_TOO_LONG"],
          ["%F0%9F%98%80", "NAME_PATTERN"],
          ["%00", "NAME_PATTERN"]
        ]
      ) {
        for (const method of ["PUT", "DELETE"]) {
          expect([method, name, ...(yield* ask(method, `/v1/pauses/${name}`)).refusal]).toEqual([
            method,
            name,
            400,
            code
          ])
        }
      }
      expect((yield* ask("PUT", "/v1/pauses/")).refusal).toEqual([404, "ROUTE_NOT_FOUND"])
      expect((yield* get("/v1/pauses?limit=1")).refusal).toEqual([400, "QUERY_INVALID"])
      expect(pausesOf(yield* get("/v1/pauses")).items).toEqual([])
    }))
})

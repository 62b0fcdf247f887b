import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TaskPage } from "../../../src/http/index.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { down } from "../../engine/brokenStore.ts"
import type { Answer, Served, ServeOptions } from "../support.ts"
import { serve } from "../support.ts"

const pageOf = (answer: Answer): TaskPage =>
  Schema.decodeUnknownSync(TaskPage, { onExcessProperty: "error" })(answer.body)
const unknownId = "0190a0b0-0000-7000-8000-000000000001"
const path = "/v1/dead-letters"

/** Functions that fail for good, each in its own way, unless they are told not to. */
const scripts: NonNullable<ServeOptions["scripts"]> = {
  denied: ({ payload }) =>
    (payload as { ok?: boolean }).ok === true ? "fine" : ScriptedLambdaClient.fail("AccessDenied"),
  lost: () => ScriptedLambdaClient.fail("NotFound")
}

/** A Task that has failed for good. */
const dead = ({ get, post }: Served, body: object = {}) =>
  Effect.gen(function*() {
    const { task } = yield* post("/v1/tasks", { function: "denied", payload: { n: 1 }, ...body })
    return yield* get(`/v1/tasks/${task.id}`).pipe(
      Effect.map((answer) => answer.task),
      Effect.delay("5 millis"),
      Effect.repeat({ until: ({ status }) => status === "Failed" }),
      Effect.timeout("5 seconds")
    )
  })

const ended = ({ get }: Served, id: string) =>
  get(`/v1/tasks/${id}`).pipe(
    Effect.map((answer) => answer.task),
    Effect.delay("5 millis"),
    Effect.repeat({ until: ({ finishedAt }) => finishedAt !== null }),
    Effect.timeout("5 seconds")
  )

describe("GET /v1/dead-letters and /v1/dead-letters/count", () => {
  it.scopedLive("show what has failed, by all that is said", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts })
      const { get, post } = served
      const one = yield* dead(served, { name: "one" })
      const two = yield* dead(served, { name: "two", function: "lost" })
      yield* post("/v1/tasks", { function: "fine", name: "one" })
      yield* ended(served, (yield* post(`${path}/${one.id}/redrive`, { payload: { ok: true } })).task.id)
      const names = (query: string) =>
        Effect.gen(function*() {
          const { items } = pageOf(yield* get(`${path}?${query}`))
          expect((yield* get(`${path}/count?${query}`)).body).toEqual({ count: items.length })
          return items.map(({ name }) => name)
        })
      expect(yield* names("")).toEqual(["two", "one"])
      expect(yield* names("function=lost")).toEqual(["two"])
      expect(yield* names("name=one")).toEqual(["one"])
      expect(yield* names("reason=AccessDenied")).toEqual(["one"])
      expect(yield* names("reason=Expired")).toEqual([])
      expect(yield* names("redriven=true")).toEqual(["one"])
      expect(yield* names("redriven=false&reason=NotFound")).toEqual(["two"])
      expect(yield* names(`id=${two.id.toUpperCase()}`)).toEqual(["two"])
      expect(yield* names(`scheduleId=${unknownId}`)).toEqual([])
      expect(yield* names(`finishedFrom=${two.finishedAt}`)).toEqual(["two"])
      expect(yield* names(`finishedBefore=${one.finishedAt}`)).toEqual([])
      expect(yield* names(`dueFrom=${one.nominalAt}&dueBefore=2126-01-01T00:00:00Z`)).toEqual(["two", "one"])
      const first = pageOf(yield* get(`${path}?limit=1`))
      expect(first.items).toEqual([two])
      const second = pageOf(yield* get(`${path}?limit=1&cursor=${first.cursor}`))
      expect(
        second.items.map(({ attempts, failure, id, redriveOf }) => [id, failure?.reason, attempts.length, redriveOf])
      )
        .toEqual([[one.id, "AccessDenied", 1, null]])
      expect(second.cursor).toBeNull()
    }))

  it.scopedLive("refuse what is not in the contract", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      for (const route of [path, `${path}/count`]) {
        for (
          const query of [
            "status=Failed",
            "reason=",
            "reason=Boredom",
            "reason=Expired&reason=NotFound",
            "redriven=yes",
            "id=x",
            "finishedFrom=yesterday",
            "finishedBefore=2027-01-01T00:00:00",
            "function=",
            "all=true"
          ]
        ) {
          const { refusal } = yield* get(`${route}?${query}`)
          expect([query, ...refusal]).toEqual([query, 400, "QUERY_INVALID"])
        }
      }
      expect((yield* get(`${path}?cursor=x`)).refusal).toEqual([400, "QUERY_INVALID"])
      expect((yield* get(`${path}/count?limit=1`)).refusal).toEqual([400, "QUERY_INVALID"])
      expect((yield* get(`${path}?reason=x`)).problem.detail).toBe("reason: expected one reason, as /docs shows them")
    }))
})

describe("POST /v1/dead-letters/{id}/redrive", () => {
  it.scopedLive("repeats it once: 201, then 200 with the same Task; each names the other", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts })
      const { get, post, records } = served
      const letter = yield* dead(served, { name: "march" })
      const made = yield* post(`${path}/${letter.id.toUpperCase()}/redrive`, { payload: { ok: true } })
      expect(made.status).toBe(201)
      expect(made.headers["location"]).toBe(`/v1/tasks/${made.task.id}`)
      expect(made.task).toMatchObject({
        name: "march",
        status: "Scheduled",
        jsonPayload: `{"ok":true}`,
        redriveOf: letter.id,
        redrivenAs: null,
        attempts: []
      })
      const done = yield* ended(served, made.task.id)
      expect(done).toMatchObject({ status: "Succeeded", result: "fine" })
      expect((yield* get(`/v1/tasks/${letter.id}`)).task).toEqual({ ...letter, redrivenAs: done.id })
      for (const body of [undefined, {}, { payload: { ok: true } }, { payloadJson: `{"ok":true}` }]) {
        const again = yield* post(`${path}/${letter.id}/redrive`, body)
        expect([again.status, again.task]).toEqual([200, done])
      }
      expect((yield* post(`${path}/${letter.id}/redrive`, { payload: 5 })).refusal).toEqual([409, "REDRIVE_CONFLICT"])
      expect((yield* post(`${path}/${made.task.id}/redrive`)).refusal).toEqual([409, "TASK_NOT_FAILED"])
      expect((yield* post(`${path}/${unknownId}/redrive`)).refusal).toEqual([404, "TASK_NOT_FOUND"])
      expect(yield* records.invocations).toHaveLength(2)
    }))

  it.scopedLive("without a body the payload stays, byte for byte", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts })
      const letter = yield* dead(served, { payload: undefined, payloadJson: ` {"a":1, "a":2.50} ` })
      const { status, task } = yield* served.post(`${path}/${letter.id}/redrive`)
      expect([status, task.jsonPayload]).toEqual([201, ` {"a":1, "a":2.50} `])
    }))

  it.scopedLive("refuses bodies that are not in the contract, and stores nothing", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts })
      const letter = yield* dead(served)
      const refusal = (body: unknown) =>
        Effect.map(served.post(`${path}/${letter.id}/redrive`, body), (answer) => answer.refusal)
      expect(yield* refusal({ payload: 1, payloadJson: "1" })).toEqual([400, "PAYLOAD_INVALID"])
      expect(yield* refusal({ payloadJson: "{" })).toEqual([400, "PAYLOAD_NOT_JSON"])
      expect(yield* refusal({ payload: "x".repeat(7_000_000) })).toEqual([413, "PAYLOAD_TOO_LARGE"])
      expect(yield* refusal({ retry: {} })).toEqual([400, "FIELD_UNKNOWN"])
      expect(yield* refusal([])).toEqual([400, "BODY_INVALID"])
      const form = { body: "a=b", headers: { "content-type": "application/x-www-form-urlencoded" } }
      const formed = yield* served.ask("POST", `${path}/${letter.id}/redrive`, form)
      expect(formed.refusal).toEqual([415, "CONTENT_TYPE_INVALID"])
      expect((yield* served.post(`${path}/x/redrive`)).refusal).toEqual([400, "ID_INVALID"])
      expect((yield* served.get("/v1/tasks")).body).toMatchObject({ items: [{ id: letter.id, redrivenAs: null }] })
    }))
})

describe("POST /v1/dead-letters/redrive", () => {
  it.scopedLive("repeats those that match, up to a limit; the same again goes on", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts })
      const { get, post, records } = served
      for (let n = 0; n < 7; n++) yield* dead(served, { name: "a" })
      const b = yield* dead(served, { name: "b" })
      const redrive = (body: object) =>
        Effect.map(post(`${path}/redrive`, body), ({ body, status }) => [status, body] as const)
      const request = {
        filter: { name: "a", function: "denied", reason: "AccessDenied" },
        limit: 4,
        payload: { ok: true }
      }
      expect(yield* redrive(request)).toEqual([200, { redriven: 4, left: 3 }])
      expect(yield* redrive(request)).toEqual([200, { redriven: 3, left: 0 }])
      expect(yield* redrive(request)).toEqual([200, { redriven: 0, left: 0 }])
      expect(yield* redrive({ filter: { ids: [b.id.toUpperCase(), unknownId] }, payload: { ok: true } }))
        .toEqual([200, { redriven: 1, left: 0 }])
      expect(yield* redrive({ filter: {} })).toEqual([200, { redriven: 0, left: 0 }])
      expect((yield* get(`${path}/count?redriven=true`)).body).toEqual({ count: 8 })
      expect(yield* records.invocationsOf("denied")).toHaveLength(16)
    }))

  it.scopedLive("wants to know which, and refuses what is not in the contract", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts })
      const { get, post } = served
      yield* dead(served)
      for (
        const [body, code] of [
          [{}, "BODY_INVALID"],
          [{ filter: null }, "BODY_INVALID"],
          [{ filter: [] }, "BODY_INVALID"],
          [{ filter: { status: "Failed" } }, "FIELD_UNKNOWN"],
          [{ filter: { redriven: "true" } }, "FIELD_UNKNOWN"],
          [{ filter: { function: 5 } }, "NAME_TYPE"],
          [{ filter: { reason: "Boredom" } }, "OPTION_INVALID"],
          [{ filter: { ids: "x" } }, "ID_INVALID"],
          [{ filter: { ids: ["x"] } }, "ID_INVALID"],
          [{ filter: { ids: [5] } }, "ID_INVALID"],
          [{ filter: { ids: Array.from({ length: 1_001 }, () => unknownId) } }, "ID_INVALID"],
          [{ filter: { scheduleId: "x" } }, "ID_INVALID"],
          [{ filter: { finishedFrom: "yesterday" } }, "DATE_INVALID"],
          [{ filter: { dueBefore: "2027-01-01T00:00:00" } }, "DATE_NO_OFFSET"],
          [{ filter: {}, limit: 0 }, "OPTION_INVALID"],
          [{ filter: {}, limit: 10_001 }, "OPTION_INVALID"],
          [{ filter: {}, limit: "1" }, "OPTION_INVALID"],
          [{ filter: {}, payload: 1, payloadJson: "1" }, "PAYLOAD_INVALID"],
          [{ filter: {}, payloadJson: "?" }, "PAYLOAD_NOT_JSON"]
        ] as const
      ) {
        const { refusal } = yield* post(`${path}/redrive`, body)
        const shown = JSON.stringify(body).slice(0, 100)
        expect([shown, ...refusal]).toEqual([shown, 400, code])
      }
      expect((yield* post(`${path}/redrive`)).refusal).toEqual([415, "CONTENT_TYPE_INVALID"])
      expect((yield* get(`${path}/count?redriven=false`)).body).toEqual({ count: 1 })
    }))

  it.scopedLive("a store that fails half way: 503, and the same request goes on", () =>
    Effect.gen(function*() {
      let calls = 0
      const served = yield* serve({
        scripts,
        store: (store) => ({
          ...store,
          redrive: (tasks, claim) => ++calls === 2 ? down() : store.redrive(tasks, claim)
        })
      })
      for (let n = 0; n < 60; n++) yield* served.post("/v1/tasks", { function: "denied" })
      yield* served.get(`${path}/count`).pipe(
        Effect.delay("5 millis"),
        Effect.repeat({ until: ({ body }) => (body as { count: number }).count === 60 }),
        Effect.timeout("5 seconds")
      )
      const request = { filter: {}, payload: { ok: true } }
      const failed = yield* served.post(`${path}/redrive`, request)
      expect(failed.refusal).toEqual([503, "STORE_UNAVAILABLE"])
      expect(failed.problem.detail).toMatch(/goes on there/)
      expect((yield* served.post(`${path}/redrive`, request)).body).toEqual({ redriven: 10, left: 0 })
    }))
})

describe("DELETE /v1/dead-letters", () => {
  it.scopedLive("removes what matches, and nothing unless it is told which", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts })
      const { ask, get, post } = served
      const one = yield* dead(served, { name: "one" })
      const two = yield* dead(served, { name: "two" })
      yield* dead(served, { name: "three" })
      yield* post("/v1/tasks", { function: "fine", name: "one", trigger: { after: "1 hour" } })
      const purge = (query: string) => ask("DELETE", `${path}?${query}`)
      for (const query of ["", "all=false", "all=true&name=one", "limit=1", "name=", "status=Failed"]) {
        const { refusal } = yield* purge(query)
        expect([query, ...refusal]).toEqual([query, 400, "QUERY_INVALID"])
      }
      expect((yield* get(`${path}/count`)).body).toEqual({ count: 3 })
      expect((yield* purge("name=one")).body).toEqual({ purged: 1 })
      expect((yield* get(`/v1/tasks/${one.id}`)).refusal).toEqual([404, "TASK_NOT_FOUND"])
      expect((yield* purge(`id=${two.id}`)).body).toEqual({ purged: 1 })
      expect((yield* purge(`id=${two.id}`)).body).toEqual({ purged: 0 })
      expect((yield* purge("all=true")).body).toEqual({ purged: 1 })
      expect(pageOf(yield* get("/v1/tasks")).items.map(({ name, status }) => [name, status])).toEqual([
        ["one", "Scheduled"]
      ])
    }))

  it.scopedLive("not for pages of another origin", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve()
      for (const headers of [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }]) {
        expect((yield* ask("DELETE", `${path}?all=true`, { headers })).refusal).toEqual([403, "ORIGIN_NOT_ALLOWED"])
      }
    }))
})

import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Served } from "../support.ts"
import { serve } from "../support.ts"
import { eventually, hourly, idOf, scheduleOf, tasksOf, unknownId } from "./support.ts"

const patch = ({ ask }: Pick<Served, "ask">, id: string, json: unknown, ifMatch?: string | ReadonlyArray<string>) =>
  ask("PATCH", `/v1/schedules/${id}`, { json, headers: ifMatch === undefined ? {} : { "if-match": ifMatch } })

describe("the ETag", () => {
  it.scopedLive("comes with every answer that is one schedule: its revision, in quotes", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const id = idOf("a")
      const path = `/v1/schedules/${id}`
      const answers = [
        yield* post("/v1/schedules", { ...hourly, id }),
        yield* post("/v1/schedules", { ...hourly, id }),
        yield* get(path),
        yield* ask("HEAD", path),
        yield* patch({ ask }, id, { name: "b" }, "*"),
        yield* post(`${path}/pause`),
        yield* post(`${path}/resume`),
        yield* post(`${path}/cancel`)
      ]
      expect(answers.map(({ headers, status }) => [status, headers["etag"]])).toEqual([
        [201, `"1"`],
        [200, `"1"`],
        [200, `"1"`],
        [200, `"1"`],
        [200, `"2"`],
        [200, `"2"`],
        [200, `"2"`],
        [200, `"3"`]
      ])
      expect((yield* get("/v1/schedules")).headers["etag"]).toBeUndefined()
    }))
})

describe("PATCH /v1/schedules/{id}", () => {
  it.scopedLive("changes what is said, and leaves the rest", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { get, post } = served
      const before = scheduleOf(
        yield* post("/v1/schedules", { ...hourly, payload: { n: 1 }, tags: { a: "1" }, maxRuns: 9 })
      )
      const tasks = Effect.map(get(`/v1/tasks?scheduleId=${before.id}`), (answer) => tasksOf(answer).items)
      const [planned] = yield* tasks

      const renamed = scheduleOf(yield* patch(served, before.id, { name: "renamed" }, `"1"`))
      expect(renamed).toEqual({ ...before, name: "renamed", revision: 2 })
      expect(yield* tasks).toEqual([{ ...planned, name: "renamed" }])

      const all = scheduleOf(
        yield* patch(served, before.id, {
          function: "other",
          qualifier: "live",
          name: "nightly",
          payload: { n: 2 },
          tags: {},
          retry: { maxAttempts: 1 },
          priority: 7,
          trigger: { fixed: "1 day" },
          startAt: "2126-01-01T00:00:00Z",
          endAt: "2126-02-01T00:00:00Z",
          jitter: "5 minutes",
          overlap: { policy: "bufferAll" },
          catchUp: "skip",
          maxRuns: 5,
          pauseAfterFailures: 3
        }, `"2"`)
      )
      expect(all).toEqual({
        ...before,
        function: "other:live",
        name: "nightly",
        priority: 7,
        trigger: { fixed: "1 day" },
        description: all.description,
        startAt: "2126-01-01T00:00:00.000Z",
        endAt: "2126-02-01T00:00:00.000Z",
        next: "2126-01-01T00:00:00.000Z",
        jitter: "5 minutes",
        overlap: { policy: "bufferAll", max: 100 },
        catchUp: { policy: "skip", window: "1 minute" },
        maxRuns: 5,
        pauseAfterFailures: 3,
        revision: 3
      })
      expect(yield* tasks).toMatchObject([{
        id: planned?.id,
        status: "Scheduled",
        function: "other:live",
        name: "nightly",
        priority: 7,
        jsonPayload: `{"n":2}`,
        nominalAt: "2126-01-01T00:00:00.000Z"
      }])

      // What is answered can be sent back.
      const { catchUp, maxRuns, overlap, pauseAfterFailures, priority } = all
      const same = { catchUp, maxRuns, overlap, pauseAfterFailures, priority }
      expect(scheduleOf(yield* patch(served, before.id, same, `"3"`))).toEqual({ ...all, revision: 4 })
      expect(scheduleOf(yield* patch(served, before.id, { maxRuns: null, pauseAfterFailures: null }, `"4"`)))
        .toEqual({ ...all, maxRuns: null, pauseAfterFailures: null, revision: 5 })
      const delayed = scheduleOf(
        yield* patch(
          served,
          before.id,
          { trigger: { spaced: "1 hour" }, initialDelay: "2 hours", payloadJson: "[ 1]" },
          `"5"`
        )
      )
      expect(delayed).toMatchObject({
        trigger: { spaced: "1 hour" },
        startAt: null,
        endAt: null,
        jitter: null,
        revision: 6
      })
      expect(yield* tasks).toMatchObject([{ jsonPayload: "[ 1]" }])
      expect(scheduleOf(yield* get(`/v1/schedules/${before.id}`))).toEqual(delayed)
    }))

  it.scopedLive("what runs next runs as it says", () =>
    Effect.gen(function*() {
      const served = yield* serve({ engine: { minimumInterval: 20 } })
      const { post, records } = served
      const { id } = scheduleOf(yield* post("/v1/schedules", { ...hourly, payload: 1, maxRuns: 2 }))
      const edit = { trigger: { spaced: "20 millis" }, payload: 2, function: "other" }
      expect((yield* patch(served, id, edit, "*")).status).toBe(200)
      const over = yield* eventually(
        Effect.map(served.get(`/v1/schedules/${id}`), scheduleOf),
        ({ status }) => status === "Completed"
      )
      expect(over.runs).toBe(2)
      expect(yield* records.invocationsOf("report")).toEqual([])
      expect((yield* records.invocationsOf("other")).map(({ payload }) => payload as unknown)).toEqual([2, 2])
      expect((yield* patch(served, id, { maxRuns: 3 }, "*")).refusal).toEqual([409, "SCHEDULE_ENDED"])
    }))

  it.scopedLive("wants to know which revision was read", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { get, post } = served
      const before = scheduleOf(yield* post("/v1/schedules", hourly))
      const refusal = (ifMatch?: string | ReadonlyArray<string>) =>
        Effect.map(patch(served, before.id, { name: "x" }, ifMatch), (answer) => answer.refusal)
      expect(yield* refusal()).toEqual([428, "IF_MATCH_REQUIRED"])
      for (
        const invalid of [
          "",
          "1",
          "\"1",
          "'1'",
          "\"\"",
          "W/\"1\"",
          "w/\"1\"",
          "\"01\"",
          "\"0\"",
          "\"-1\"",
          "\"1.0\"",
          "\"1e0\"",
          "\"one\"",
          "\"9007199254740993\"",
          "\"1\",",
          ",\"1\"",
          "\"1\" \"2\"",
          "\"1\", W/\"2\"",
          "*, \"1\"",
          "**",
          "\"1\"; x",
          `"${"1".repeat(5_000)}"`
        ]
      ) {
        expect([invalid, ...(yield* refusal(invalid))]).toEqual([invalid, 400, "IF_MATCH_INVALID"])
      }
      for (const other of ["\"2\"", "\"2\", \"3\"", ["\"2\"", "\"3\""]]) {
        const refused = yield* patch(served, before.id, { name: "x" }, other)
        expect([other, ...refused.refusal, refused.headers["etag"]])
          .toEqual([other, 412, "REVISION_CONFLICT", "\"1\""])
      }
      expect(scheduleOf(yield* get(`/v1/schedules/${before.id}`))).toEqual(before)
      const revisions = []
      for (const ifMatch of ["\"1\"", "*", "\"3\", \"2\"", "\"1\" ,\"4\"", ["\"7\"", "\"5\""]]) {
        revisions.push(scheduleOf(yield* patch(served, before.id.toUpperCase(), { name: "x" }, ifMatch)).revision)
      }
      expect(revisions).toEqual([2, 3, 4, 5, 6])
    }))

  it.scopedLive("of many that have read the same, one is made; the others are told what there is", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { get, post } = served
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      for (let round = 0; round < 10; round++) {
        const { etag = "" } = (yield* get(`/v1/schedules/${id}`)).headers
        const names = round < 5 ? ["a", "b"] : Array.from({ length: 8 }, (_, index) => `n${index}`)
        const answers = yield* Effect.forEach(
          names,
          (name) => patch(served, id, { name: `${name}-${round}` }, etag),
          { concurrency: "unbounded" }
        )
        expect(answers.map(({ status }) => status).sort()).toEqual([200, ...names.slice(1).map(() => 412)])
        const made = answers.find(({ status }) => status === 200)
        expect(made?.headers["etag"]).toBe(`"${round + 2}"`)
        for (const answer of answers.filter(({ status }) => status === 412)) {
          expect([...answer.refusal, answer.headers["etag"]]).toEqual([412, "REVISION_CONFLICT", `"${round + 2}"`])
        }
        expect((yield* get(`/v1/schedules/${id}`)).body).toEqual(made?.body)
      }
    }))

  it.scopedLive("404 for what is not there, 409 for what is over, 400 for what makes no sense", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { get, post } = served
      const refusal = (id: string, json: unknown, ifMatch = "*") =>
        Effect.map(patch(served, id, json, ifMatch), (answer) => answer.refusal)
      expect(yield* refusal(unknownId, { name: "a" })).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect(yield* refusal(unknownId, { name: "a" }, "\"1\"")).toEqual([404, "SCHEDULE_NOT_FOUND"])
      for (const id of ["x", "%00", "..%2f.."]) {
        expect(yield* refusal(id, { name: "a" })).toEqual([400, "ID_INVALID"])
      }
      const before = scheduleOf(yield* post("/v1/schedules", { ...hourly, maxRuns: 2 }))
      expect(yield* refusal(before.id, {})).toEqual([400, "BODY_INVALID"])
      expect(yield* refusal(before.id, { qualifier: "live" })).toEqual([400, "BODY_INVALID"])
      expect(yield* refusal(before.id, { id: before.id })).toEqual([400, "FIELD_UNKNOWN"])
      expect(yield* refusal(before.id, { payload: "x".repeat(7_000_000) })).toEqual([413, "PAYLOAD_TOO_LARGE"])
      const none = yield* served.ask("PATCH", `/v1/schedules/${before.id}`, { headers: { "if-match": "*" } })
      expect(none.refusal).toEqual([415, "CONTENT_TYPE_INVALID"])
      expect(scheduleOf(yield* get(`/v1/schedules/${before.id}`))).toEqual(before)
      yield* post(`/v1/schedules/${before.id}/cancel`)
      expect(yield* refusal(before.id, { name: "a" })).toEqual([409, "SCHEDULE_ENDED"])
      expect(yield* refusal(before.id, { name: "a" }, "\"1\"")).toEqual([412, "REVISION_CONFLICT"])
    }))

  it.scopedLive("no fewer runs than have been started", () =>
    Effect.gen(function*() {
      const served = yield* serve({ engine: { minimumInterval: 20 } })
      const { get, post } = served
      const { id } = scheduleOf(yield* post("/v1/schedules", { function: "report", trigger: { spaced: "20 millis" } }))
      yield* eventually(Effect.map(get(`/v1/schedules/${id}`), scheduleOf), ({ runs }) => runs >= 2)
      expect((yield* patch(served, id, { maxRuns: 1 }, "*")).refusal).toEqual([400, "MAX_RUNS_INVALID"])
    }))

  it.scopedLive("a creation may be repeated after it, by its key or its id", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { ask } = served
      for (const [headers, id] of [[{ "idempotency-key": "k" }, undefined], [{}, idOf("b")]] as const) {
        const create = ask("POST", "/v1/schedules", { json: id === undefined ? hourly : { ...hourly, id }, headers })
        const made = scheduleOf(yield* create)
        const edited = yield* patch(served, made.id, { name: "other", payload: 5 }, "*")
        const again = yield* create
        expect([again.status, again.body]).toEqual([200, edited.body])
      }
    }))
})

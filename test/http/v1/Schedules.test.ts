import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { serve } from "../support.ts"
import { hourly, scheduleOf, schedulesOf as pageOf, tasksOf } from "./support.ts"

const stockholm = { timeZone: "Europe/Stockholm" }

/** What is sent, what is answered, and its sentence. */
const triggers = [
  [{ spaced: "10 seconds" }, { spaced: "10 seconds" }, "Every 10 seconds, from the end of each run"],
  [{ spaced: "PT1.5S" }, { spaced: "1500 millis" }, "Every 1500 milliseconds, from the end of each run"],
  [{ fixed: 3_600_000 }, { fixed: "1 hour" }, "Every hour"],
  [
    { cron: "0 9 * * MON-FRI", ...stockholm },
    { cron: "0 9 * * MON-FRI", ...stockholm, gap: "run-after", overlap: "default" },
    "At 09:00, Monday through Friday (Europe/Stockholm)"
  ],
  [
    { cron: "30 2 * * *", gap: "skip", overlap: "both" },
    { cron: "30 2 * * *", timeZone: "UTC", gap: "skip", overlap: "both" },
    "At 02:30, every day (UTC)"
  ],
  [
    { calendar: { every: "month", from: "2126-01-31T09:00" }, ...stockholm },
    { calendar: { every: "month", from: "2126-01-31T09:00:00", missingDay: "clamp" }, ...stockholm, gap: "run-after" },
    "Every month from 2126-01-31 09:00:00 on, its last day where that is missing (Europe/Stockholm)"
  ],
  [
    { calendar: { every: "2 weeks", from: "2126-01-31T09:00", missingDay: "skip" }, gap: "shift" },
    {
      calendar: { every: "2 weeks", from: "2126-01-31T09:00:00", missingDay: "skip" },
      timeZone: "UTC",
      gap: "shift"
    },
    "Every 2 weeks from 2126-01-31 09:00:00 on (UTC)"
  ],
  [{ expression: "rate(5 minutes)" }, { fixed: "5 minutes" }, "Every 5 minutes"],
  [
    { expression: "cron(0 10 ? * MON-FRI *)", ...stockholm },
    { expression: "cron(0 10 ? * MON-FRI *)", ...stockholm },
    "At 10:00, Monday through Friday (Europe/Stockholm)"
  ]
] as const

describe("POST /v1/schedules", () => {
  it.scopedLive("takes every kind of trigger, and answers it so that it can be sent back", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      for (const [sent, answered, sentence] of triggers) {
        const answer = yield* post("/v1/schedules", {
          function: "report",
          trigger: sent,
          startAt: "2126-01-01T00:00:00Z"
        })
        const schedule = scheduleOf(answer)
        expect([sent, answer.status, schedule.trigger]).toEqual([sent, 201, answered])
        expect(schedule.description).toBe(sentence)
        expect(answer.headers["location"]).toBe(`/v1/schedules/${schedule.id}`)
        expect(schedule).toMatchObject({ name: "report", function: "report", status: "Active", runs: 0, missed: 0 })
        const again = scheduleOf(
          yield* post("/v1/schedules", {
            function: "report",
            trigger: schedule.trigger,
            startAt: "2126-01-01T00:00:00Z"
          })
        )
        expect({ ...again, id: "", createdAt: "" }).toEqual({ ...schedule, id: "", createdAt: "" })
      }
    }))

  it.scopedLive("begins and ends when it is told to, and says what is next", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const answer = yield* post("/v1/schedules", {
        function: "report:live",
        name: "nightly",
        trigger: { fixed: "1 day" },
        startAt: "2126-01-01T02:00:00+01:00",
        endAt: "2126-02-01T00:00:00Z",
        jitter: "5 minutes",
        maxRuns: 7
      })
      const schedule = scheduleOf(answer)
      expect(schedule).toMatchObject({
        name: "nightly",
        function: "report:live",
        startAt: "2126-01-01T01:00:00.000Z",
        endAt: "2126-02-01T00:00:00.000Z",
        jitter: "5 minutes",
        maxRuns: 7,
        revision: 1,
        next: "2126-01-01T01:00:00.000Z"
      })
      expect(schedule.description).toContain("until 2126-02-01")
      const [task] =
        ((yield* get(`/v1/tasks?scheduleId=${schedule.id}`)).body as { readonly items: Array<object> }).items
      expect(task).toMatchObject({ name: "nightly", scheduleId: schedule.id, nominalAt: schedule.next })
      const delayed = scheduleOf(yield* post("/v1/schedules", hourly))
      expect(Date.parse(delayed.next ?? "") - Date.parse(delayed.createdAt)).toBe(3_600_000)
    }))

  it.scopedLive("what jitter takes beyond the last date is shown with that", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const last = "+275760-09-12T23:59:59.999Z"
      const answer = yield* post("/v1/schedules", {
        function: "report",
        trigger: { fixed: "1 day" },
        startAt: last,
        jitter: "1 day"
      })
      expect([answer.status, scheduleOf(answer).next]).toEqual([201, last])
      expect(tasksOf(yield* get("/v1/tasks")).items).toMatchObject([{ nominalAt: last }])
    }))

  it.scopedLive("runs, counts, and is over after maxRuns", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve({ engine: { minimumInterval: 20 } })
      const { id } = scheduleOf(
        yield* post("/v1/schedules", { function: "tick", trigger: { spaced: "20 millis" }, maxRuns: 2 })
      )
      const over = yield* get(`/v1/schedules/${id}`).pipe(
        Effect.map(scheduleOf),
        Effect.delay("10 millis"),
        Effect.repeat({ until: ({ status }) => status !== "Active" }),
        Effect.timeout("5 seconds")
      )
      expect(over).toMatchObject({ status: "Completed", runs: 2, maxRuns: 2, next: null })
      const cancelled = yield* post(`/v1/schedules/${id}/cancel`)
      expect([cancelled.status, scheduleOf(cancelled)]).toEqual([200, over])
    }))

  it.scopedLive("several triggers, none, or one for once: SCHEDULE_AMBIGUOUS", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      for (
        const trigger of [
          undefined,
          {},
          { timeZone: "UTC" },
          { spaced: "10 seconds", cron: "* * * * *" },
          { fixed: "10 seconds", spaced: "10 seconds", expression: "rate(1 minute)" },
          { after: "5 seconds" },
          { at: "2027-01-01T00:00:00Z" },
          { expression: "at(2027-01-01T00:00:00)" }
        ]
      ) {
        const { refusal } = yield* post("/v1/schedules", { function: "report", trigger })
        expect([trigger, ...refusal]).toEqual([trigger, 400, "SCHEDULE_AMBIGUOUS"])
      }
      const both = yield* post("/v1/schedules", { ...hourly, startAt: "2126-01-01T00:00:00Z" })
      expect(both.refusal).toEqual([400, "SCHEDULE_AMBIGUOUS"])
      expect(pageOf(yield* get("/v1/schedules"))).toEqual({ items: [], cursor: null })
    }))

  it.scopedLive("a key or an id makes it repeatable", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      const send = (json: object) => ask("POST", "/v1/schedules", { json, headers: { "idempotency-key": "k" } })
      const first = yield* send(hourly)
      const second = yield* send(hourly)
      expect([first.status, second.status]).toEqual([201, 200])
      expect(second.body).toEqual(first.body)
      expect((yield* send({ ...hourly, maxRuns: 2 })).refusal).toEqual([409, "IDEMPOTENCY_CONFLICT"])
      const id = "0190a0b0-0000-7000-8000-00000000000b"
      const named = yield* post("/v1/schedules", { ...hourly, id })
      const again = yield* post("/v1/schedules", { ...hourly, id })
      expect([named.status, again.status, scheduleOf(again).id]).toEqual([201, 200, id])
      expect((yield* post("/v1/schedules", { ...hourly, id, jitter: "1 second" })).refusal)
        .toEqual([409, "SCHEDULE_EXISTS"])
      expect(pageOf(yield* get("/v1/schedules")).items).toHaveLength(2)
    }))
})

describe("GET /v1/schedules", () => {
  it.scopedLive("filters, goes page by page, and refuses what is not in the contract", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      for (const name of ["a", "b", "c"]) yield* post("/v1/schedules", { ...hourly, name })
      yield* post("/v1/schedules", { ...hourly, function: "other", name: "a" })
      const first = pageOf(yield* get("/v1/schedules?limit=3"))
      expect(first.items.map(({ name }) => name)).toEqual(["a", "c", "b"])
      const second = pageOf(yield* get(`/v1/schedules?limit=3&cursor=${first.cursor}`))
      expect([second.items.map(({ name }) => name), second.cursor]).toEqual([["a"], null])
      yield* post(`/v1/schedules/${second.items[0]?.id}/cancel`)
      const functions = (query: string) =>
        Effect.map(get(`/v1/schedules?${query}`), (answer) => pageOf(answer).items.map((item) => item.function))
      expect(yield* functions("name=a")).toEqual(["other", "report"])
      expect(yield* functions("name=a&function=other")).toEqual(["other"])
      expect(yield* functions("status=Cancelled")).toEqual(["report"])
      expect(yield* functions("status=Completed")).toEqual([])
      for (
        const query of [
          "limit=0",
          "limit=1&limit=2",
          "cursor=x",
          "name=",
          "status=Scheduled",
          "scheduleId=x",
          "dueFrom=x"
        ]
      ) {
        expect([query, ...(yield* get(`/v1/schedules?${query}`)).refusal]).toEqual([query, 400, "QUERY_INVALID"])
      }
    }))
})

describe("GET /v1/schedules/{id} and POST /v1/schedules/{id}/cancel", () => {
  it.scopedLive("ends it and its Tasks, again and again the same", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      const cancelled = scheduleOf(yield* post(`/v1/schedules/${id.toUpperCase()}/cancel`))
      expect(cancelled).toMatchObject({ id, status: "Cancelled", next: null, revision: 2 })
      const again = yield* post(`/v1/schedules/${id}/cancel`, {})
      expect([again.status, scheduleOf(again)]).toEqual([200, cancelled])
      expect(scheduleOf(yield* get(`/v1/schedules/${id}`))).toEqual(cancelled)
      const tasks = (yield* get(`/v1/tasks?scheduleId=${id}`)).body as { readonly items: ReadonlyArray<object> }
      expect(tasks.items).toMatchObject([{ status: "Cancelled" }])
    }))

  it.scopedLive("404 for ids that are not there, 400 for what is none", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const id = "0190a0b0-0000-7000-8000-000000000001"
      expect((yield* get(`/v1/schedules/${id}`)).refusal).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect((yield* post(`/v1/schedules/${id}/cancel`)).refusal).toEqual([404, "SCHEDULE_NOT_FOUND"])
      for (const path of ["not-a-uuid", "%00", "..%2f..%2fhealthz"]) {
        expect((yield* get(`/v1/schedules/${path}`)).refusal).toEqual([400, "ID_INVALID"])
        expect((yield* post(`/v1/schedules/${path}/cancel`)).refusal).toEqual([400, "ID_INVALID"])
      }
      expect((yield* get("/v1/schedules/")).refusal).toEqual([404, "ROUTE_NOT_FOUND"])
    }))
})

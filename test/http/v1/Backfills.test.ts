import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Served } from "../support.ts"
import { serve } from "../support.ts"
import { backfillOf, backfillsOf, eventually, hourly, idOf, scheduleOf, tasksOf, unknownId } from "./support.ts"

/** Three instants of the past. */
const months = { from: "2025-01-01T00:00:00Z", to: "2025-04-01T02:00:00+02:00" }

const monthly = ({ post }: Pick<Served, "post">, more: object = {}) =>
  Effect.map(post("/v1/schedules", { function: "report", trigger: { cron: "0 0 1 * *" }, ...more }), scheduleOf)

const pathOf = ({ id }: { readonly id: string }) => `/v1/schedules/${id}/backfills`

describe("POST /v1/schedules/{id}/backfills", () => {
  it.scopedLive("runs what a past range names, so many at once, and tells how far it is", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const report = () =>
        Effect.gen(function*() {
          most = Math.max(most, ++running)
          yield* Effect.sleep("50 millis")
          running--
        })
      const served = yield* serve({ scripts: { report } })
      const { get, post, records } = served
      const schedule = yield* monthly(served, { name: "ultimo", payload: { n: 1 } })
      const answer = yield* post(pathOf({ id: schedule.id.toUpperCase() }), { ...months, concurrency: 2 })
      const started = backfillOf(answer)
      expect([answer.status, answer.headers["location"]]).toEqual([201, `/v1/backfills/${started.id}`])
      expect(started).toMatchObject({
        scheduleId: schedule.id,
        status: "Running",
        from: "2025-01-01T00:00:00.000Z",
        to: "2025-04-01T00:00:00.000Z",
        concurrency: 2,
        total: 3,
        cancelledAt: null
      })
      const over = yield* eventually(
        Effect.map(get(`/v1/backfills/${started.id.toUpperCase()}`), backfillOf),
        ({ status }) => status !== "Running"
      )
      const none = { Scheduled: 0, Running: 0, Failed: 0, Cancelled: 0, Skipped: 0 }
      expect(over).toEqual({ ...started, status: "Completed", counts: { ...none, Succeeded: 3 } })
      expect(most).toBe(2)
      expect(yield* records.invocationsOf("report")).toHaveLength(3)
      const { items } = tasksOf(yield* get(`/v1/tasks?origin=backfill:${started.id.toUpperCase()}&status=Succeeded`))
      expect(items.map(({ name, nominalAt, origin, overlap }) => [name, nominalAt, origin, overlap])).toEqual(
        ["2025-03-01", "2025-02-01", "2025-01-01"].map((day) => [
          "ultimo",
          `${day}T00:00:00.000Z`,
          `backfill:${started.id}`,
          { policy: "bufferAll", running: 2 }
        ])
      )
      expect(scheduleOf(yield* get(`/v1/schedules/${schedule.id}`))).toEqual(schedule)
    }))

  it.scopedLive("one at a time where nothing is said, all at once where they may", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts: { report: () => Effect.never } })
      const { get, post } = served
      const schedule = yield* monthly(served)
      const count = (id: string, running: number) =>
        eventually(Effect.map(get(`/v1/backfills/${id}`), backfillOf), ({ counts }) => counts.Running === running)
      const all = backfillOf(yield* post(pathOf(schedule), { ...months, overlap: "allowAll" }))
      expect(all.concurrency).toBeNull()
      expect((yield* count(all.id, 3)).status).toBe("Running")
      const one = backfillOf(yield* post(pathOf(schedule), { ...months, overlap: "bufferAll" }))
      expect(one.concurrency).toBe(1)
      expect((yield* count(one.id, 1)).counts).toMatchObject({ Scheduled: 2, Running: 1 })
      const empty = backfillOf(
        yield* post(pathOf(schedule), { from: "2025-01-02T00:00:00Z", to: "2025-01-03T00:00:00Z" })
      )
      expect(empty).toMatchObject({ total: 0, status: "Completed" })
      const list = yield* get(pathOf(schedule))
      expect([list.status, backfillsOf(list).items.map(({ id }) => id)]).toEqual([200, [empty.id, one.id, all.id]])
      expect(backfillsOf(yield* get(pathOf(yield* monthly(served)))).items).toEqual([])
    }))

  it.scopedLive("an id makes it repeatable, also when its schedule is over", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { get, post, records } = served
      const schedule = yield* monthly(served)
      const request = { ...months, concurrency: 2, id: idOf("D") }
      const first = yield* post(pathOf(schedule), request)
      expect([first.status, backfillOf(first).id]).toEqual([201, idOf("d")])
      const same = { ...request, from: "2025-01-01T01:00:00+01:00", overlap: "bufferAll" }
      for (const again of [request, same]) {
        const answer = yield* post(pathOf(schedule), again)
        expect([answer.status, backfillOf(answer).id, answer.headers["location"]]).toEqual([200, idOf("d"), undefined])
      }
      for (
        const other of [
          { from: "2025-02-01T00:00:00Z" },
          { to: "2025-05-01T00:00:00Z" },
          { concurrency: 3 },
          { overlap: "allowAll" }
        ]
      ) {
        expect((yield* post(pathOf(schedule), { ...request, ...other })).refusal).toEqual([409, "BACKFILL_EXISTS"])
      }
      expect((yield* post(pathOf(yield* monthly(served)), request)).refusal).toEqual([409, "BACKFILL_EXISTS"])
      yield* eventually(records.invocations, ({ length }) => length === 3)
      yield* post(`/v1/schedules/${schedule.id}/cancel`)
      expect((yield* post(pathOf(schedule), request)).status).toBe(200)
      expect((yield* post(pathOf(schedule), { ...request, id: idOf("e") })).refusal).toEqual([409, "SCHEDULE_ENDED"])
      expect(tasksOf(yield* get(`/v1/tasks?origin=backfill:${idOf("d")}`)).items).toHaveLength(3)
    }))

  it.scopedLive("many with one id at once are one backfill", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { get, post } = served
      const schedule = yield* monthly(served)
      const answers = yield* Effect.replicateEffect(post(pathOf(schedule), { ...months, id: idOf("f") }), 8, {
        concurrency: "unbounded"
      })
      expect(new Set(answers.map((answer) => backfillOf(answer).id))).toEqual(new Set([idOf("f")]))
      expect(answers.every(({ status }) => status === 200 || status === 201)).toBe(true)
      expect(tasksOf(yield* get(`/v1/tasks?origin=backfill:${idOf("f")}`)).items).toHaveLength(3)
    }))

  it.scopedLive("refuses what cannot be, and stores nothing", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const { get, post } = served
      const schedule = yield* monthly(served)
      const secondly = yield* monthly(served, { trigger: { cron: "* * * * * *" }, startAt: "2126-01-01T00:00:00Z" })
      const spaced = yield* monthly(served, { trigger: { spaced: "1 hour" }, initialDelay: "1 hour" })
      const refusal = (which: { readonly id: string }, json?: unknown) =>
        Effect.map(post(pathOf(which), json), (answer) => answer.refusal)
      expect(yield* refusal({ id: unknownId }, months)).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect(yield* refusal({ id: "x" }, months)).toEqual([400, "ID_INVALID"])
      expect(yield* refusal(spaced, months)).toEqual([400, "UNSUPPORTED"])
      expect(yield* refusal(secondly, months)).toEqual([400, "BACKFILL_TOO_LARGE"])
      expect(yield* refusal(schedule)).toEqual([415, "CONTENT_TYPE_INVALID"])
      expect(yield* refusal(schedule, { ...months, id: "x".repeat(17_000_000) })).toEqual([413, "BODY_TOO_LARGE"])
      for (const which of [schedule, secondly, spaced]) {
        expect(backfillsOf(yield* get(pathOf(which))).items).toEqual([])
      }
      expect((yield* get(pathOf({ id: unknownId }))).refusal).toEqual([404, "SCHEDULE_NOT_FOUND"])
      expect((yield* get(pathOf({ id: "x" }))).refusal).toEqual([400, "ID_INVALID"])
      expect((yield* get(`${pathOf(schedule)}?limit=1`)).refusal).toEqual([400, "QUERY_INVALID"])
    }))
})

describe("GET /v1/backfills/{id} and POST /v1/backfills/{id}/cancel", () => {
  it.scopedLive("cancels what is left, again and again the same", () =>
    Effect.gen(function*() {
      const served = yield* serve({ scripts: { report: () => Effect.never } })
      const { get, post } = served
      const schedule = yield* monthly(served)
      const { id } = backfillOf(yield* post(pathOf(schedule), months))
      const look = Effect.map(get(`/v1/backfills/${id}`), backfillOf)
      yield* eventually(look, ({ counts }) => counts.Running === 1)
      const cancelled = yield* post(`/v1/backfills/${id.toUpperCase()}/cancel`)
      expect([cancelled.status, backfillOf(cancelled).status, backfillOf(cancelled).counts.Cancelled])
        .toEqual([200, "Cancelled", 3])
      expect(backfillOf(yield* post(`/v1/backfills/${id}/cancel`, {}))).toEqual(backfillOf(cancelled))
      expect(yield* look).toEqual(backfillOf(cancelled))
      const tasks = tasksOf(yield* get(`/v1/tasks?origin=backfill:${id}`)).items
      expect(tasks.map(({ cancelledBy }) => cancelledBy)).toEqual(["backfill", "backfill", "backfill"])
      expect(scheduleOf(yield* get(`/v1/schedules/${schedule.id}`)).status).toBe("Active")
      yield* served.ask("DELETE", `/v1/schedules/${schedule.id}`)
      expect((yield* get(`/v1/backfills/${id}`)).refusal).toEqual([404, "BACKFILL_NOT_FOUND"])
    }))

  it.scopedLive("404 for ids that are not there, 400 for what is none", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serve()
      const { id } = scheduleOf(yield* post("/v1/schedules", hourly))
      for (const unknown of [unknownId, id]) {
        expect((yield* get(`/v1/backfills/${unknown}`)).refusal).toEqual([404, "BACKFILL_NOT_FOUND"])
        expect((yield* post(`/v1/backfills/${unknown}/cancel`)).refusal).toEqual([404, "BACKFILL_NOT_FOUND"])
      }
      for (const wrong of ["x", "%00", "..%2f.."]) {
        expect((yield* get(`/v1/backfills/${wrong}`)).refusal).toEqual([400, "ID_INVALID"])
        expect((yield* post(`/v1/backfills/${wrong}/cancel`)).refusal).toEqual([400, "ID_INVALID"])
      }
      expect((yield* post(`/v1/backfills/${unknownId}/cancel`, { force: true })).refusal).toEqual([400, "BODY_INVALID"])
      expect((yield* get("/v1/backfills")).refusal).toEqual([404, "ROUTE_NOT_FOUND"])
    }))
})

import { it } from "@effect/vitest"
import { Effect } from "effect"
import { serve } from "../support.ts"
import { scheduleOf } from "./support.ts"
it.scopedLive("x", () => Effect.gen(function*() {
  const { get, post } = yield* serve()
  const far = yield* post("/v1/schedules", { function: "a", trigger: { fixed: "1 day" }, startAt: "+275760-09-12T23:59:59Z", jitter: "1 day" })
  console.log("far", far.status, far.text.slice(0, 300))
  console.log("list", (yield* get("/v1/tasks")).text.slice(0, 300))
  for (const trigger of [{ cron: "* * * * * *" }, { cron: "0 0 29 2 *", timeZone: "Europe/Stockholm" }, { cron: "30 2 * * *", timeZone: "Europe/Stockholm" }, { fixed: "1 second" }, { calendar: { every: "day", from: "2026-01-31T09:00" }, timeZone: "America/New_York" }]) {
    const { id } = scheduleOf(yield* post("/v1/schedules", { function: "a", trigger, startAt: "2126-01-01T00:00:00Z" }))
    for (const from of ["-271821-04-20T00:00:00Z", "0001-01-01T00:00:00Z"]) {
      const t = performance.now()
      const answer = yield* post(`/v1/schedules/${id}/backfills`, { from, to: "2026-01-01T00:00:00Z" })
      console.log("backfill", JSON.stringify(trigger), from, answer.status, answer.text.slice(0, 160), Math.round(performance.now() - t), "ms")
    }
    for (const at of ["-271821-04-20T00:00:00Z", "%2B275760-09-13T00:00:00Z", "2600-02-29T00:00:00Z"]) {
      const t = performance.now()
      const answer = yield* get(`/v1/schedules/${id}/explain?at=${at}`)
      console.log("explain", JSON.stringify(trigger), at, answer.status, answer.text.slice(0, 120), Math.round(performance.now() - t), "ms")
    }
    const t = performance.now()
    const h = yield* get(`/v1/schedules/${id}/health`)
    console.log("health", h.status, Math.round(performance.now() - t))
  }
}), 200_000)

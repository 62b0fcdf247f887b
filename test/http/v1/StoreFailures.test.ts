/** A store that is away, and a scheduler that is shut down: 503 on every route of schedules, and nothing else is told. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { TaskRepositoryError } from "../../../src/index.ts"
import { SchedulerClosed } from "../../../src/index.ts"
import { down, quiet } from "../../engine/brokenStore.ts"
import { serve } from "../support.ts"
import { hourly, idOf, scheduleOf } from "./support.ts"

const past = { from: "2025-01-01T00:00:00Z", to: "2025-01-02T00:00:00Z" }
const any = { headers: { "if-match": "*" } }

/** What a scheduler that is shut down takes no more. */
const changes = (its: string) =>
  [
    ["PATCH", its, { ...any, json: { name: "a" } }],
    ["POST", `${its}/pause`, {}],
    ["POST", `${its}/resume`, {}],
    ["POST", `${its}/run`, {}],
    ["POST", `${its}/backfills`, { json: past }]
  ] as const

const others = (its: string) =>
  [
    ["GET", its, {}],
    ["DELETE", its, {}],
    ["POST", `${its}/cancel`, {}],
    ["GET", `${its}/backfills`, {}],
    ["GET", `${its}/explain?at=2126-01-01T00:00:00Z`, {}],
    ["GET", `${its}/health`, {}],
    ["GET", `/v1/backfills/${idOf("1")}`, {}],
    ["POST", `/v1/backfills/${idOf("1")}/cancel`, {}],
    ["GET", "/v1/pauses", {}],
    ["PUT", "/v1/pauses/a", {}],
    ["DELETE", "/v1/pauses/a", {}],
    ["PUT", "/v1/pause", {}],
    ["DELETE", "/v1/pause", {}]
  ] as const

describe("schedules, backfills and pauses", () => {
  it.scopedLive("while the store is away: STORE_UNAVAILABLE", () =>
    Effect.gen(function*() {
      let isDown = false
      const unless = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | TaskRepositoryError> =>
        Effect.suspend((): Effect.Effect<A, E | TaskRepositoryError> => isDown ? down() : self)
      const { ask, post } = yield* serve({
        store: (store) => ({
          ...store,
          getSchedule: (id) => unless(store.getSchedule(id)),
          changeSchedule: (id, claim, change) => unless(store.changeSchedule(id, claim, change)),
          cancel: (lease, target, now) => unless(store.cancel(lease, target, now)),
          getBackfill: (id) => unless(store.getBackfill(id)),
          controls: unless(store.controls),
          changeControl: (kind, name, change) => unless(store.changeControl(kind, name, change))
        })
      })
      const its = `/v1/schedules/${scheduleOf(yield* post("/v1/schedules", hourly)).id}`
      isDown = true
      for (const [method, path, question] of [...changes(its), ...others(its)]) {
        const answer = yield* ask(method, path, question)
        expect([method, path, ...answer.refusal]).toEqual([method, path, 503, "STORE_UNAVAILABLE"])
        expect(answer.text).not.toContain("down")
      }
    }).pipe(Effect.provide(quiet)))

  it.scopedLive("once the scheduler is shut down: SCHEDULER_CLOSED for what would change something", () =>
    Effect.gen(function*() {
      const closed = () => new SchedulerClosed()
      const { ask, post } = yield* serve({
        scheduler: (scheduler) => ({
          ...scheduler,
          editSchedule: closed,
          pauseSchedule: closed,
          resumeSchedule: closed,
          runNow: closed,
          backfills: { ...scheduler.backfills, start: closed }
        })
      })
      const its = `/v1/schedules/${scheduleOf(yield* post("/v1/schedules", hourly)).id}`
      for (const [method, path, question] of changes(its)) {
        const answer = yield* ask(method, path, question)
        expect([method, path, ...answer.refusal]).toEqual([method, path, 503, "SCHEDULER_CLOSED"])
      }
    }))
})

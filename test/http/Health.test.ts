import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Redacted } from "effect"
import { TaskRepositoryError } from "../../src/domain/Errors.ts"
import { serve } from "./support.ts"

describe("probes", () => {
  it.scopedLive("a server that works is healthy and ready", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      const healthy = yield* get("/healthz")
      expect([healthy.status, healthy.body]).toEqual([200, { status: "ok" }])
      const ready = yield* get("/readyz")
      expect([ready.status, ready.body]).toEqual([200, { status: "ready", details: { store: "memory" } }])
    }))

  it.scopedLive("a wedged loop is a 503 within 5 seconds, while the process stays healthy", () =>
    Effect.gen(function*() {
      let wedged = false
      const { get } = yield* serve({
        store: (store) => ({
          ...store,
          claimDue: (request) => wedged ? Effect.never : store.claimDue(request)
        })
      })
      expect((yield* get("/readyz")).status).toBe(200)
      wedged = true
      const [elapsed, answer] = yield* Effect.timed(get("/readyz"))
      expect(answer.refusal).toEqual([503, "NOT_READY"])
      expect(Duration.toMillis(elapsed)).toBeLessThan(5_000)
      expect((yield* get("/healthz")).status).toBe(200)
    }))

  it.scopedLive("an answer comes even when not even interruption gets through", () =>
    Effect.gen(function*() {
      const release = yield* Deferred.make<void>()
      const { get } = yield* serve({
        scheduler: (scheduler) => ({ ...scheduler, ready: Effect.uninterruptible(Deferred.await(release)) })
      })
      const [elapsed, answer] = yield* Effect.timed(get("/readyz"))
      expect(answer.refusal).toEqual([503, "NOT_READY"])
      expect(Duration.toMillis(elapsed)).toBeLessThan(5_000)
      yield* Deferred.succeed(release, undefined)
    }))

  it.scopedLive("a defect in one tick does not stop the next", () =>
    Effect.gen(function*() {
      let broken = 0
      const { get, post, result } = yield* serve({
        scripts: { later: () => "ran" },
        engine: { horizon: 0, pollInterval: 20 },
        store: (store) => ({
          ...store,
          claimDue: (request) => broken-- > 0 ? Effect.dieMessage("a defect in the loop") : store.claimDue(request)
        })
      })
      broken = 1
      yield* post("/schedule", { name: "later", initialDelay: "100 millis" })
      expect((yield* result("later")).result).toBe("ran")
      expect(broken).toBeLessThan(1)
      expect((yield* get("/readyz")).status).toBe(200)
    }))

  it.scopedLive("a store that fails is a 503, and its words stay in the log", () =>
    Effect.gen(function*() {
      const { get } = yield* serve({
        store: (store) => ({
          ...store,
          list: () => new TaskRepositoryError({ reason: "Unavailable", message: "postgres://user:pw@db" })
        })
      })
      const answer = yield* get("/list")
      expect(answer.refusal).toEqual([503, "STORE_UNAVAILABLE"])
      expect(answer.text).not.toContain("pw")
    }))

  it.scopedLive("reasons are told only to who has the key", () =>
    Effect.gen(function*() {
      const apiKey = "k".repeat(32)
      let wedged = false
      const { get } = yield* serve({
        server: { apiKey: Redacted.make(apiKey) },
        store: (store) => ({
          ...store,
          claimDue: (request) => wedged ? Effect.never : store.claimDue(request)
        })
      })
      wedged = true
      const open = yield* get("/readyz")
      expect(open.problem.detail).toBe("The scheduler is not ready.")
      const keyed = yield* get("/readyz", { headers: { authorization: `Bearer ${apiKey}` } })
      expect(keyed.problem.detail).not.toBe("The scheduler is not ready.")
    }))
})

import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type { ServerOptions } from "../../src/http/index.ts"
import { decideKey, isLoopback } from "../../src/http/ServerKey.ts"
import { serve } from "./support.ts"

const apiKey = "0123456789abcdef0123456789abcdef"
const key = Redacted.make(apiKey)
const decide = (options: ServerOptions) =>
  decideKey({ host: "127.0.0.1", apiKey: undefined, insecureNoAuth: false, ...options } as never)

describe("the key", () => {
  it("loopback is what only this machine can reach", () => {
    for (const host of ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "[::1]"]) {
      expect([host, isLoopback(host)]).toEqual([host, true])
    }
    for (
      const host of [
        "0.0.0.0",
        "::",
        "",
        "10.0.0.1",
        "scheduler.example",
        "localhost.evil.test",
        "127.0.0.1.nip.io",
        "::ffff:127.0.0.1"
      ]
    ) {
      expect([host, isLoopback(host)]).toEqual([host, false])
    }
  })

  it.effect("is not needed on loopback, made elsewhere, waived only in words, and used wherever one is given", () =>
    Effect.gen(function*() {
      expect((yield* decide({}))._tag).toBe("NotNeeded")
      expect((yield* decide({ insecureNoAuth: true }))._tag).toBe("NotNeeded")
      expect((yield* decide({ apiKey: key }))._tag).toBe("Configured")
      for (const host of ["0.0.0.0", "::", "scheduler.example"]) {
        const made = yield* decide({ host })
        expect(made._tag).toBe("Made")
        expect(made._tag === "Made" && Redacted.value(made.key).length).toBeGreaterThanOrEqual(32)
        expect((yield* decide({ host, insecureNoAuth: true }))._tag).toBe("Waived")
        expect((yield* decide({ host, insecureNoAuth: true, apiKey: key }))._tag).toBe("Configured")
      }
    }))

  it.effect("two keys made are two keys", () =>
    Effect.gen(function*() {
      const made = yield* Effect.all([decide({ host: "::" }), decide({ host: "::" })])
      expect(new Set(made.map((one) => one._tag === "Made" ? Redacted.value(one.key) : ""))).toHaveProperty("size", 2)
    }))

  it.effect("a weak one is refused, on loopback too, without being shown", () =>
    Effect.gen(function*() {
      for (const weak of ["short", "x".repeat(31), `${"x".repeat(31)} `, `${"é".repeat(32)}`]) {
        const error = yield* Effect.flip(decide({ apiKey: Redacted.make(weak) }))
        expect(error.reason).toBe("ConfigInvalid")
        expect(error.message).toMatch(/^API_KEY: expected at least 32 characters/)
        expect(error.message).not.toContain(weak)
      }
    }))
})

describe("a server with a key", () => {
  it.scopedLive("serves who has it, and everybody's probes", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve({ server: { apiKey: key } })
      const routes = [
        ["GET", "/list"],
        ["GET", "/status/a"],
        ["GET", "/result/a"],
        ["POST", "/schedule"],
        ["POST", "/createAndSchedule"],
        ["POST", "/cancel/a"],
        ["GET", "/metrics"],
        ["GET", "/openapi.json"],
        ["GET", "/docs"],
        ["GET", "/nope"],
        ["DELETE", "/list"],
        ["PATCH", "/v1/schedules/x"],
        ["PUT", "/v1/pause"]
      ] as const
      const wrong = [
        undefined,
        "",
        "Bearer",
        "Bearer ",
        `Basic ${Buffer.from(`:${apiKey}`).toString("base64")}`,
        apiKey,
        `Bearer ${apiKey.slice(0, -1)}`,
        `Bearer ${apiKey}x`,
        `Bearer ${apiKey.toUpperCase()}`,
        `Bearer ${apiKey} ${apiKey}`
      ]
      for (const [method, path] of routes) {
        for (const authorization of wrong) {
          const answer = yield* ask(method, path, authorization === undefined ? {} : { headers: { authorization } })
          expect([path, authorization, ...answer.refusal]).toEqual([path, authorization, 401, "UNAUTHORIZED"])
          expect(answer.headers["www-authenticate"]).toBe("Bearer")
        }
        const answer = yield* ask(method, path, { headers: { authorization: `Bearer ${apiKey}` } })
        expect([path, answer.status]).not.toEqual([path, 401])
      }
      expect((yield* ask("GET", `/list?api_key=${apiKey}`)).refusal).toEqual([401, "UNAUTHORIZED"])
      expect((yield* ask("GET", "/list", { headers: { authorization: `bearer  ${apiKey}` } })).status).toBe(200)
      expect((yield* ask("GET", "/healthz")).status).toBe(200)
      expect((yield* ask("GET", "/readyz")).status).toBe(200)
    }))

  it.scopedLive("beyond loopback makes its own", () =>
    Effect.gen(function*() {
      const { ask, server } = yield* serve({ server: { host: "0.0.0.0" } })
      expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      expect((yield* ask("GET", "/list")).refusal).toEqual([401, "UNAUTHORIZED"])
      const made = server.key._tag === "Made" ? Redacted.value(server.key.key) : ""
      expect((yield* ask("GET", "/list", { headers: { authorization: `Bearer ${made}` } })).status).toBe(200)
    }))

  it.scopedLive("beyond loopback without one, if told so", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve({ server: { host: "0.0.0.0", insecureNoAuth: true } })
      expect((yield* ask("GET", "/list")).status).toBe(200)
      expect((yield* ask("GET", "/list", { headers: { host: "evil.test" } })).refusal).toEqual([
        403,
        "HOST_NOT_ALLOWED"
      ])
    }))
})

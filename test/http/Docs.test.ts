import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { LambdaSchedulerApi } from "../../src/http/index.ts"
import type { Specification } from "./openApi.ts"
import { serve } from "./support.ts"

describe("GET /openapi.json", () => {
  it.scopedLive("shows every route, its parameters and its problems", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      const spec = (yield* get("/openapi.json")).body as Specification
      const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
        readonly name: string
        readonly version: string
      }
      expect([spec.info.title, spec.info.version]).toEqual([manifest.name, manifest.version])
      expect(
        Object.entries(spec.paths).flatMap(([path, methods]) =>
          Object.keys(methods).map((method) => `${method} ${path}`)
        )
      ).toEqual([
        "post /schedule",
        "post /createAndSchedule",
        "get /list",
        "get /result/{name}",
        "get /status/{name}",
        "post /cancel/{name}",
        "post /v1/tasks",
        "get /v1/tasks",
        "get /v1/tasks/{id}",
        "post /v1/tasks/{id}/cancel",
        "post /v1/schedules",
        "get /v1/schedules",
        "get /v1/schedules/{id}",
        "patch /v1/schedules/{id}",
        "delete /v1/schedules/{id}",
        "post /v1/schedules/{id}/cancel",
        "post /v1/schedules/{id}/pause",
        "post /v1/schedules/{id}/resume",
        "post /v1/schedules/{id}/run",
        "post /v1/schedules/{id}/backfills",
        "get /v1/schedules/{id}/backfills",
        "get /v1/backfills/{id}",
        "post /v1/backfills/{id}/cancel",
        "get /v1/pauses",
        "put /v1/pauses/{function}",
        "delete /v1/pauses/{function}",
        "put /v1/pause",
        "delete /v1/pause",
        "get /v1/tasks/{id}/explain",
        "get /v1/schedules/{id}/explain",
        "get /v1/schedules/{id}/health",
        "post /v1/triggers/preview",
        "get /v1/dead-letters",
        "delete /v1/dead-letters",
        "get /v1/dead-letters/count",
        "post /v1/dead-letters/{id}/redrive",
        "post /v1/dead-letters/redrive",
        "get /healthz",
        "get /readyz",
        "get /metrics"
      ])
      expect(spec.paths["/list"]?.["get"]?.parameters.map(({ name }) => name)).toEqual(["limit", "cursor"])
      expect(spec.paths["/status/{name}"]?.["get"]?.parameters.map(({ name }) => name)).toEqual(["name"])
      const statuses = Object.keys(spec.paths["/schedule"]?.["post"]?.responses ?? {})
      expect(statuses).toEqual(["202", "400", "401", "403", "409", "413", "415", "500", "502", "503"])
      for (const [path, methods] of Object.entries(spec.paths)) {
        for (const { responses } of Object.values(methods)) {
          for (const [status, { content = {} }] of Object.entries(responses)) {
            const answer = path === "/metrics" ? "text/plain; version=0.0.4; charset=utf-8" : "application/json"
            const type = Number(status) < 400 ? answer : "application/problem+json"
            expect([path, status, Object.keys(content)]).toEqual([path, status, status === "204" ? [] : [type]])
          }
        }
      }
      const schemas = Object.keys(spec.components.schemas)
      expect(schemas).toContain("Task")
      // Every reference leads somewhere.
      const references = JSON.stringify(spec).matchAll(/"#\/components\/schemas\/([^"]+)"/g)
      expect(Array.from(references, ([, name]) => name).filter((name) => !schemas.includes(name ?? ""))).toEqual([])
    }))

  it.scopedLive("and the contract works for a client made from it", () =>
    Effect.gen(function*() {
      const { server } = yield* serve()
      const client = yield* HttpApiClient.make(LambdaSchedulerApi, { baseUrl: server.url })
      const task = yield* client.tasks.schedule({ payload: { name: "hello", initialDelay: "1 hour" }, urlParams: {} })
      expect(yield* client.tasks.status({ path: { name: "hello" }, urlParams: {} })).toEqual(task)
      expect((yield* client.tasks.list({ urlParams: { limit: 1 } })).map(({ id }) => id)).toEqual([task.id])
      expect((yield* client.tasks.cancel({ path: { name: "hello" }, urlParams: {} })).map(({ id }) => id)).toEqual([
        task.id
      ])
      const problem = yield* Effect.flip(client.tasks.status({ path: { name: "nobody" }, urlParams: {} }))
      expect(problem).toMatchObject({ status: 404, code: "TASK_NOT_FOUND" })
    }).pipe(Effect.provide(NodeHttpClient.layer)))
})

describe("GET /docs", () => {
  it.scopedLive("is one page that runs offline, by a policy that lets nothing else run or load", () =>
    Effect.gen(function*() {
      const { get } = yield* serve()
      const { headers, status, text } = yield* get("/docs?deep=link")
      expect(status).toBe(200)
      expect(headers["content-type"]).toMatch(/^text\/html/)
      // The page's own markup, without the scripts and styles in it.
      const markup = text.replace(/<script[^>]*>[\s\S]*?<\/script>|<style>[\s\S]*?<\/style>/g, "")
      expect(markup).toContain("<div id=\"swagger-ui\">")
      expect(markup).not.toMatch(/https?:|\/\/|src=|href=/)
      expect(text.match(/@import|url\(\s*["']?https?:/g)).toBeNull()
      expect(text.match(/<script[^>]+src=/)).toBeNull()

      const policy = String(headers["content-security-policy"])
      const scripts = Array.from(text.matchAll(/<script>([\s\S]*?)<\/script>/g), ([, script = ""]) => script)
      expect(scripts.length).toBe(1)
      expect(scripts[0]).toContain("SwaggerUIBundle({")
      const hashes = scripts.map((script) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`)
      expect(policy).toContain(`script-src ${hashes.join(" ")};`)
      expect(policy).toMatch(/^default-src 'none'; .*connect-src 'self'; .*frame-ancestors 'none'$/)
      expect(policy).not.toMatch(/https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline/)
    }))
})

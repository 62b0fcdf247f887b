/** What holds for every route: shapes of requests, bodies, headers of answers. Over real sockets. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Agent, request as nodeRequest } from "node:http"
import { connect } from "node:net"
import { gzipSync } from "node:zlib"
import { makeAccess } from "../../src/http/Access.ts"
import { askPort, rawExchange, serve } from "./support.ts"

const json = { "content-type": "application/json" }
const crlf = (...lines: ReadonlyArray<string>): string => lines.join("\r\n")

describe("bodies", () => {
  it.scopedLive("must be a JSON object in UTF-8", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* serve()
      const refusal = (body: string | Uint8Array) =>
        Effect.map(ask("POST", "/schedule", { headers: json, body }), ({ refusal }) => refusal)
      for (const body of ["", "null", "[]", "\"str\"", "{}", "5", "{", "{\"name\":NaN}", "\ufeff{\"name\":\"a\"}"]) {
        expect([body, ...yield* refusal(body)]).toEqual([body, 400, "BODY_INVALID"])
      }
      expect(yield* refusal(Buffer.from([0xc3, 0x28]))).toEqual([400, "BODY_NOT_UTF8"])
      expect(yield* refusal(Buffer.concat([Buffer.from("{\"name\":\""), Buffer.from([0xff]), Buffer.from("\"}")])))
        .toEqual([400, "BODY_NOT_UTF8"])
      expect((yield* get("/list")).tasks).toEqual([])
    }))

  it.scopedLive("must say that they are JSON, and may not be compressed", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve()
      const body = JSON.stringify({ name: "a", initialDelay: "1 hour" })
      const send = (headers: Record<string, string>, sent: string | Uint8Array = body) =>
        ask("POST", "/schedule", { headers, body: sent })
      for (
        const type of [
          "application/x-www-form-urlencoded",
          "multipart/form-data; boundary=x",
          "text/plain",
          "application/json; charset=utf-16",
          "application/jsonp",
          "text/plain, application/json",
          ""
        ]
      ) {
        expect([type, ...(yield* send({ "content-type": type })).refusal]).toEqual([type, 415, "CONTENT_TYPE_INVALID"])
      }
      expect((yield* send({})).refusal).toEqual([415, "CONTENT_TYPE_INVALID"])
      for (
        const type of ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
      ) {
        expect([type, (yield* send({ "content-type": type })).status]).toEqual([type, 202])
      }
      expect((yield* send({ ...json, "content-encoding": "gzip" }, gzipSync(body))).refusal)
        .toEqual([415, "UNSUPPORTED_ENCODING"])
      expect((yield* send({ ...json, "content-encoding": "identity" })).status).toBe(202)
    }))

  it.scopedLive("that are too large are refused: announced, and counted while reading", () =>
    Effect.gen(function*() {
      const { ask, get, port } = yield* serve()
      const tooLarge = Buffer.alloc(16 * 1024 * 1024 + 1, 0x20)
      const announced = yield* ask("POST", "/schedule", { headers: json, body: tooLarge })
      expect(announced.refusal).toEqual([413, "BODY_TOO_LARGE"])
      expect((yield* ask("POST", "/cancel/a", { headers: json, body: tooLarge })).refusal)
        .toEqual([413, "BODY_TOO_LARGE"])
      // The sender never ends its body: it is cut off.
      const chunk = Buffer.alloc(1024 * 1024, 0x20)
      const chunked = yield* rawExchange(
        port,
        crlf(
          "POST /schedule HTTP/1.1",
          "Host: localhost",
          "Content-Type: application/json",
          "Transfer-Encoding: chunked",
          "",
          ""
        ),
        ...Array.from({ length: 17 }, () => [`${chunk.length.toString(16)}\r\n`, chunk, "\r\n"]).flat()
      ).pipe(Effect.timeout("5 seconds"))
      expect(chunked).toMatch(/^HTTP\/1\.1 413 /)
      expect(chunked).toMatch(/^connection: close\r$/im)
      expect(chunked).toContain("BODY_TOO_LARGE")
      const never = yield* rawExchange(
        port,
        crlf(
          "POST /schedule HTTP/1.1",
          "Host: localhost",
          "Content-Type: application/json",
          "Content-Length: 99999999",
          "",
          "{"
        )
      ).pipe(Effect.timeout("5 seconds"))
      expect(never).toMatch(/^HTTP\/1\.1 413 /)
      // Just within the limit is read as a whole.
      const within = Buffer.concat([
        Buffer.from("{\"name\":\"a\",\"initialDelay\":\"1 hour\"}"),
        Buffer.alloc(16_000_000, 0x20)
      ])
      expect((yield* ask("POST", "/schedule", { headers: json, body: within })).status).toBe(202)
      expect((yield* get("/list")).tasks.length).toBe(1)
    }))

  it.scopedLive("of cancel: none, or an empty object; a form cannot send it", () =>
    Effect.gen(function*() {
      const { ask, post } = yield* serve()
      const cancel = (question: Parameters<typeof ask>[2]) => ask("POST", "/cancel/c", question)
      yield* post("/schedule", { name: "c", initialDelay: "1 hour" })
      expect((yield* cancel({ headers: { "content-type": "application/x-www-form-urlencoded" } })).refusal)
        .toEqual([415, "CONTENT_TYPE_INVALID"])
      expect((yield* cancel({ headers: { "content-type": "text/plain" }, body: "x" })).refusal)
        .toEqual([415, "CONTENT_TYPE_INVALID"])
      expect((yield* cancel({ json: { force: true } })).problem.status).toBe(400)
      expect((yield* cancel({ body: "{}" })).refusal).toEqual([415, "CONTENT_TYPE_INVALID"])
      expect((yield* ask("GET", "/status/c")).task.status).toBe("Scheduled")
      expect((yield* cancel({})).tasks.length).toBe(1)
      expect((yield* cancel({ json: {} })).tasks.length).toBe(0)
    }))

  it.scopedLive("a client that goes away in the middle of one stores nothing, and harms nobody", () =>
    Effect.gen(function*() {
      const { get, port } = yield* serve()
      yield* Effect.async<void>((resume) => {
        const socket = connect(port, "127.0.0.1", () => {
          socket.write(
            crlf(
              "POST /schedule HTTP/1.1",
              "Host: localhost",
              "Content-Type: application/json",
              "Content-Length: 100",
              "",
              "{\"name\":\"a\","
            )
          )
          socket.end()
          socket.destroy()
          socket.once("close", () => resume(Effect.void))
        })
      })
      expect((yield* get("/list")).tasks).toEqual([])
      expect((yield* get("/healthz")).status).toBe(200)
    }))
})

describe("requests", () => {
  it.scopedLive("to nowhere are 404, with a wrong method 405; both are problems", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve()
      for (
        const path of [
          "/",
          "/nope",
          "/LIST",
          "/list/",
          "//list",
          "/status",
          "/status/",
          "/status/a/b",
          "/cancel/a/b",
          "/docs/x",
          "/openapixjson"
        ]
      ) {
        expect([path, ...(yield* ask("GET", path)).refusal]).toEqual([path, 404, "ROUTE_NOT_FOUND"])
      }
      expect((yield* ask("GET", "/status/%zz")).problem.status).toBe(404)
      for (
        const [method, path, allow] of [
          ["GET", "/schedule", "POST"],
          ["GET", "/cancel/a", "POST"],
          ["POST", "/list", "GET, HEAD"],
          ["DELETE", "/status/a", "GET, HEAD"],
          ["PUT", "/schedule", "POST"],
          ["PATCH", "/readyz", "GET, HEAD"],
          ["OPTIONS", "/schedule", "POST"],
          ["TRACE", "/list", "GET, HEAD"],
          ["POST", "/openapi.json", "GET, HEAD"]
        ] as const
      ) {
        const answer = yield* ask(method, path)
        expect([method, path, ...answer.refusal]).toEqual([method, path, 405, "METHOD_NOT_ALLOWED"])
        expect(answer.headers["allow"]).toBe(allow)
      }
      const head = yield* ask("HEAD", "/list")
      expect([head.status, head.text]).toEqual([200, ""])
    }))

  it.scopedLive("in absolute form, too long, or with too many headers are refused", () =>
    Effect.gen(function*() {
      const { ask, port } = yield* serve()
      const raw = yield* rawExchange(
        port,
        crlf("GET http://evil/ HTTP/1.1", "Host: localhost", "Connection: close", "", "")
      )
      expect(raw).toMatch(/^HTTP\/1\.1 400 /)
      expect(raw).toContain("URL_INVALID")
      expect((yield* ask("OPTIONS", "*")).refusal).toEqual([400, "URL_INVALID"])
      expect((yield* ask("GET", `/status/${"a".repeat(2_100)}`)).refusal).toEqual([414, "URL_TOO_LONG"])
      const many = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`x-${index}`, "1"]))
      expect((yield* ask("GET", "/list", { headers: many })).refusal).toEqual([431, "HEADERS_TOO_MANY"])
    }))

  it.scopedLive("that are no HTTP are answered by hand, as a problem too, and the server lives on", () =>
    Effect.gen(function*() {
      const { get, port } = yield* serve()
      for (
        const lines of [
          ["nonsense", "", ""],
          [
            "POST /schedule HTTP/1.1",
            "Host: localhost",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "",
            "0\r\n\r\n"
          ],
          ["POST /schedule HTTP/1.1", "Host: localhost", "Content-Length: 5", "Content-Length: 6", "", "12345"],
          ["POST /schedule HTTP/1.1", "Host: localhost", "Content-Length: -1", "", ""],
          [
            "POST /schedule HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
            "",
            "zz\r\n"
          ],
          ["GET /list HTTP/1.1", "Host: localhost", "X: a\u0000b", "", ""],
          ["GET /list HTTP/1.1", "Host: localhost", "X: a", " folded", "", ""]
        ]
      ) {
        const answer = yield* rawExchange(port, crlf(...lines)).pipe(Effect.timeout("5 seconds"))
        expect([lines, answer.split("\r\n")[0]]).toEqual([lines, "HTTP/1.1 400 Bad Request"])
        expect(answer).toContain("application/problem+json")
        expect(answer).toContain("x-content-type-options: nosniff")
      }
      const huge = yield* rawExchange(
        port,
        crlf("GET /list HTTP/1.1", "Host: localhost", `X: ${"a".repeat(20_000)}`, "", "")
      )
      expect(huge).toMatch(/^HTTP\/1\.1 431 /)
      expect((yield* get("/healthz")).status).toBe(200)
    }))

  it.scopedLive("10,000 in one pipelined connection are answered in order", () =>
    Effect.gen(function*() {
      const { port } = yield* serve()
      const count = 10_000
      const one = (index: number) =>
        crlf(
          `GET /status/n${index} HTTP/1.1`,
          "Host: localhost",
          ...(index === count - 1 ? ["Connection: close"] : []),
          "",
          ""
        )
      const text = yield* rawExchange(port, Array.from({ length: count }, (_, index) => one(index)).join(""))
      const names = Array.from(text.matchAll(/named \\"n(\d+)\\"/g), ([, index]) => Number(index))
      expect(names).toEqual(Array.from({ length: count }, (_, index) => index))
    }), 60_000)

  it.scopedLive("on more than 1,000 connections are not served; those that are there still are", () =>
    Effect.gen(function*() {
      const { port } = yield* serve()
      let dropped = 0
      const sockets = Array.from(
        { length: 1_005 },
        () => connect(port, "127.0.0.1").on("error", () => {}).on("close", () => dropped++)
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
      yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => dropped >= 5 }).pipe(Effect.timeout("5 seconds"))
      expect(dropped).toBe(5)
      const served = sockets.find((socket) => !socket.destroyed)
      const answer = yield* Effect.async<string>((resume) => {
        served?.once("data", (chunk) => resume(Effect.succeed(chunk.toString())))
        served?.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
      })
      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    }))

  it.scopedLive("an upgrade is answered as a plain request", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve()
      const answer = yield* ask("GET", "/list", { headers: { connection: "upgrade", upgrade: "websocket" } })
      expect(answer.status).toBe(200)
    }))
})

describe("answers", () => {
  it.scopedLive("carry the security headers, whatever they are", () =>
    Effect.gen(function*() {
      const { ask, get, post } = yield* serve()
      for (
        const { headers } of [
          yield* get("/list"),
          yield* get("/healthz"),
          yield* get("/nope"),
          yield* ask("DELETE", "/list"),
          yield* get("/openapi.json"),
          yield* get("/docs"),
          yield* post("/schedule", { name: "" }),
          yield* get("/list", { headers: { host: "evil.test" } })
        ]
      ) {
        expect(headers).toMatchObject({
          "x-content-type-options": "nosniff",
          "referrer-policy": "no-referrer",
          "cross-origin-opener-policy": "same-origin",
          "cross-origin-resource-policy": "same-origin",
          "cache-control": "no-store"
        })
        expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; .*frame-ancestors 'none'$/)
        expect(Object.keys(headers).filter((name) => /^(server|x-powered-by|access-control-.*)$/.test(name))).toEqual(
          []
        )
      }
    }))

  it.scopedLive("keep the connection for the next request", () =>
    Effect.gen(function*() {
      const { port } = yield* serve()
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
      const ports = new Set<number | undefined>()
      for (const path of ["/list", "/nope", "/healthz"]) {
        yield* Effect.async<void>((resume) => {
          const request = nodeRequest({ host: "127.0.0.1", port, path, agent }, (response) => {
            ports.add(request.socket?.localPort)
            response.resume().on("end", () => resume(Effect.yieldNow()))
          })
          request.end()
        })
      }
      expect(ports.size).toBe(1)
    }))
})

describe("Host and Origin", () => {
  it.scopedLive("names of others are refused on every route but the probes", () =>
    Effect.gen(function*() {
      const { ask, port } = yield* serve({ server: { allowedHosts: ["Scheduler.Example"] } })
      for (
        const host of [
          "evil.test",
          "evil.test:80",
          "localhost.evil.test",
          "127.0.0.1.evil.test",
          "localhost:80:80",
          "@localhost",
          "10.0.0.1"
        ]
      ) {
        for (
          const [method, path] of [["GET", "/list"], ["POST", "/schedule"], ["GET", "/docs"], ["GET", "/nope"]] as const
        ) {
          const answer = yield* ask(method, path, { headers: { host } })
          expect([host, path, ...answer.refusal]).toEqual([host, path, 403, "HOST_NOT_ALLOWED"])
        }
        expect((yield* ask("GET", "/healthz", { headers: { host } })).status).toBe(200)
        expect((yield* ask("GET", "/readyz", { headers: { host } })).status).toBe(200)
      }
      for (const host of ["localhost", `LOCALHOST:${port}`, "127.0.0.1", `[::1]:${port}`, "scheduler.example:443"]) {
        expect([host, (yield* ask("GET", "/list", { headers: { host } })).status]).toEqual([host, 200])
      }
      expect(yield* rawExchange(port, crlf("GET /list HTTP/1.0", "", ""))).toContain("HOST_NOT_ALLOWED")
      expect(yield* rawExchange(port, crlf("GET /list HTTP/1.1", "Host:", "Connection: close", "", "")))
        .toContain("HOST_NOT_ALLOWED")
    }))

  it.scopedLive("pages of other origins are refused, this server's own are not", () =>
    Effect.gen(function*() {
      const { ask, port } = yield* serve()
      for (
        const origin of [
          "https://evil.test",
          "null",
          "http://localhost:3000",
          "http://127.0.0.1",
          "file://",
          `http://evil.test@127.0.0.1:${port}`
        ]
      ) {
        for (
          const [method, path] of [["GET", "/list"], ["POST", "/cancel/a"], ["POST", "/schedule"], [
            "GET",
            "/healthz"
          ]] as const
        ) {
          const answer = yield* ask(method, path, { headers: { origin } })
          expect([origin, path, ...answer.refusal]).toEqual([origin, path, 403, "ORIGIN_NOT_ALLOWED"])
        }
      }
      const own = { headers: { origin: `http://127.0.0.1:${port}` } }
      expect((yield* ask("GET", "/list", own)).status).toBe(200)
      for (
        const [method, path] of [
          ["POST", "/cancel/a"],
          ["DELETE", "/v1/pause"],
          ["PUT", "/v1/pause"],
          ["PATCH", "/v1/schedules/a"]
        ] as const
      ) {
        const crossed = yield* ask(method, path, { headers: { "sec-fetch-site": "cross-site" } })
        expect([method, ...crossed.refusal]).toEqual([method, 403, "ORIGIN_NOT_ALLOWED"])
      }
      expect((yield* ask("POST", "/cancel/a", { headers: { "sec-fetch-site": "same-origin" } })).problem.status).toBe(
        404
      )
    }))

  it("the host that is listened on is allowed", () => {
    const request = (host: string) => ({ method: "GET", url: "/list", headers: { host }, rawHeaders: ["Host", host] })
    const access = makeAccess({ hosts: ["10.0.0.5", "[fe80::1]"], key: undefined })
    expect(access.refuse(request("10.0.0.5:8080"))).toBeUndefined()
    expect(access.refuse(request("[fe80::1]:8080"))).toBeUndefined()
    expect(access.refuse(request("[fe80::2]"))?.code).toBe("HOST_NOT_ALLOWED")
  })
})

describe("faults", () => {
  it.scopedLive("a defect is a 500 that tells nothing", () =>
    Effect.gen(function*() {
      const { port } = yield* serve({
        store: (store) => ({ ...store, list: () => Effect.dieMessage("secret /etc/x") })
      })
      const answer = yield* askPort(port, "GET", "/list")
      expect(answer.refusal).toEqual([500, "INTERNAL"])
      expect(answer.text).not.toMatch(/secret|\.ts|at /)
    }))
})

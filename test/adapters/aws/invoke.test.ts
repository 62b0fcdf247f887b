import { describe, expect, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Fiber, Runtime } from "effect"
import type { Duration } from "effect"
import * as Net from "node:net"
import type { AddressInfo } from "node:net"
import { maxAnswerBytes } from "../../../src/adapters/aws/answer.ts"
import type { InvokeRequest } from "../../../src/ports/LambdaClient.ts"
import { endpoint, failure } from "./support/endpoint.ts"
import type { Answer, Script } from "./support/endpoint.ts"
import { clientAt, request } from "./support/live.ts"

const ok = (body: string | Uint8Array = "{}", headers: Readonly<Record<string, string>> = {}): Answer => ({
  status: 200,
  headers: { "x-amzn-requestid": "request-1", "x-amz-executed-version": "$LATEST", ...headers },
  body
})

const inManyYears = DateTime.toDateUtc(DateTime.unsafeMake("2099-01-01T00:00:00Z"))

/** One invocation against a scripted answer. */
const invoked = Effect.fnUntraced(function*(script: Script, changes: Partial<InvokeRequest> = {}) {
  const server = yield* endpoint(script)
  const client = yield* clientAt(server.url)
  const outcome = yield* Effect.either(client.invoke(request(changes)))
  return { outcome, log: server.log }
})

/** A server that takes connections and does with them as told. */
const rawServer = (onConnection: (socket: Net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Net.Server; readonly sockets: Set<Net.Socket> }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const server = Net.createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        onConnection(socket)
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, sockets })))
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  ).pipe(Effect.map(({ server }) => (server.address() as AddressInfo).port))

describe("what is sent", () => {
  it.scopedLive("RequestResponse: the payload byte for byte, the log's tail asked for, the context sent along", () =>
    Effect.gen(function*() {
      const payload = `{ "a":1,"a":2, "text":"\\u0000 ü €" }`
      const { log, outcome } = yield* invoked(() => ok(), {
        payload,
        clientContext: { taskId: "t-1", attempt: 2 },
        target: { name: "hello", arn: undefined, qualifier: "live", timeout: 3_000 }
      })
      expect(outcome._tag).toBe("Right")
      const [asked] = log
      expect(asked?.method).toBe("POST")
      expect(asked?.path).toBe("/2015-03-31/functions/hello/invocations")
      expect(asked?.query.get("Qualifier")).toBe("live")
      expect(asked?.body.toString("utf8")).toBe(payload)
      expect(asked?.headers["x-amz-invocation-type"]).toBe("RequestResponse")
      expect(asked?.headers["x-amz-log-type"]).toBe("Tail")
      expect(JSON.parse(Buffer.from(String(asked?.headers["x-amz-client-context"]), "base64").toString())).toEqual({
        custom: { taskId: "t-1", attempt: 2 }
      })
      expect(asked?.headers.authorization).toContain("/eu-north-1/lambda/aws4_request")
    }))

  it.scopedLive("an ARN, as the caller gave it", () =>
    Effect.gen(function*() {
      const arn = "arn:aws:lambda:eu-north-1:123456789012:function:hello"
      const { log } = yield* invoked(() => ok(), {
        target: { name: "hello", arn, qualifier: undefined, timeout: 3_000 }
      })
      expect(log[0]?.path).toBe(`/2015-03-31/functions/${arn}/invocations`)
    }))

  it.scopedLive("Event and DryRun: neither log nor context, which only synchronous calls take", () =>
    Effect.gen(function*() {
      for (const [type, status] of [["Event", 202], ["DryRun", 204]] as const) {
        const { log, outcome } = yield* invoked(() => ({ status }), { type, clientContext: { taskId: "t-1" } })
        expect(log[0]?.headers["x-amz-invocation-type"]).toBe(type)
        expect(log[0]?.headers["x-amz-log-type"]).toBeUndefined()
        expect(log[0]?.headers["x-amz-client-context"]).toBeUndefined()
        expect(outcome).toMatchObject({ _tag: "Right", right: { body: { text: "", encoding: "utf8" } } })
      }
    }))

  it.scopedLive("120 calls at once are 120 requests on the wire at once", () =>
    Effect.gen(function*() {
      const waiting: Array<() => void> = []
      const server = yield* endpoint((_, response) => {
        waiting.push(() => response.end("{}"))
        return undefined
      })
      const client = yield* clientAt(server.url)
      const start = (calls: number) =>
        Effect.fork(Effect.replicateEffect(client.invoke(request()), calls, { concurrency: "unbounded" }))
      const arrived = (calls: number) =>
        Effect.sleep(5).pipe(Effect.repeat({ until: () => waiting.length === calls }), Effect.timeout("3 seconds"))
      // Nobody is answered before all are here; the second half finds as many connections open and in use.
      const first = yield* start(60)
      yield* arrived(60)
      const second = yield* start(60)
      yield* arrived(120)
      for (const answer of waiting) answer()
      yield* Effect.zip(Fiber.join(first), Fiber.join(second))
    }))
})

describe("what comes back", () => {
  it.scopedLive("a result, with request id, version and log", () =>
    Effect.gen(function*() {
      const { outcome } = yield* invoked(() =>
        ok(`{"hi":"Ada"}`, { "x-amz-log-result": Buffer.from("START ü\nEND").toString("base64") })
      )
      expect(outcome).toMatchObject({
        _tag: "Right",
        right: {
          body: { text: `{"hi":"Ada"}`, encoding: "utf8" },
          requestId: "request-1",
          executedVersion: "$LATEST",
          logTail: "START ü\nEND"
        }
      })
    }))

  it.scopedLive.each<[what: string, body: string | Uint8Array, text: string, encoding: string]>([
    ["HTML", "<html>Bad gateway</html>", "<html>Bad gateway</html>", "utf8"],
    ["nothing", "", "", "utf8"],
    ["bytes that are not UTF-8", new Uint8Array([0xff, 0xfe]), "//4=", "base64"]
  ])("a body of %s is kept as it is", ([, body, text, encoding]) =>
    Effect.gen(function*() {
      const { outcome } = yield* invoked(() => ok(body))
      expect(outcome).toMatchObject({ _tag: "Right", right: { body: { text, encoding } } })
    }))

  it.scopedLive("of 10 MB the beginning is kept, and marked", () =>
    Effect.gen(function*() {
      // Three bytes each: the cap cuts through one.
      const { outcome } = yield* invoked(() => ok("€".repeat(3_500_000)))
      expect(outcome._tag).toBe("Right")
      if (outcome._tag === "Left") return
      const { body } = outcome.right
      expect([body.encoding, body.truncated]).toEqual(["utf8", true])
      expect(body.text).toBe("€".repeat(Math.floor(maxAnswerBytes / 3)))
    }))

  it.scopedLive("of an endless body no more is read", () =>
    Effect.gen(function*() {
      const chunk = Buffer.alloc(256 * 1024, "x")
      const { outcome } = yield* invoked((_, response) => {
        const pour = () => {
          while (!response.destroyed && response.write(chunk));
        }
        response.on("drain", pour)
        pour()
        return undefined
      })
      expect(outcome).toMatchObject({ _tag: "Right", right: { body: { truncated: true } } })
    }))

  it.scopedLive("a function that threw is a failure with all that is known of it", () =>
    Effect.gen(function*() {
      const payload = `{"errorType":"TypeError","errorMessage":"no","trace":["TypeError: no"]}`
      const { outcome } = yield* invoked(() => ok(payload, { "x-amz-function-error": "Unhandled" }))
      expect(outcome).toMatchObject({
        _tag: "Left",
        left: {
          reason: "FunctionError",
          message: "no",
          errorType: "TypeError",
          payload,
          requestId: "request-1",
          executedVersion: "$LATEST"
        }
      })
    }))

  it.scopedLive.each<[payload: string, reason: string, message: string]>([
    [
      `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1 Error: Task timed out after 3.00 seconds"}`,
      "FunctionTimeout",
      "RequestId: 1 Error: Task timed out after 3.00 seconds"
    ],
    [
      `{"errorMessage":"2026-11-01T00:00:00.000Z 1 Task timed out after 3.00 seconds"}`,
      "FunctionTimeout",
      "2026-11-01T00:00:00.000Z 1 Task timed out after 3.00 seconds"
    ],
    [
      `{"errorType":"Error","errorMessage":"Task timed out after 3.00 seconds"}`,
      "FunctionError",
      "Task timed out after 3.00 seconds"
    ],
    [`not JSON`, "FunctionError", "The function failed (Handled)"],
    [`{"errorMessage":7}`, "FunctionError", "The function failed (Handled)"],
    [`null`, "FunctionError", "The function failed (Handled)"]
  ])("tells a timeout from an error: %s", ([payload, reason, message]) =>
    Effect.gen(function*() {
      const { outcome } = yield* invoked(() => ok(payload, { "x-amz-function-error": "Handled" }))
      expect(outcome).toMatchObject({ _tag: "Left", left: { reason, message, payload } })
    }))

  it.scopedLive.each<[what: string, answer: Answer, reason: string]>([
    ["429", failure(429, "TooManyRequestsException", "Rate Exceeded."), "Throttled"],
    ["500", failure(500, "ServiceException", "Oops"), "ServiceError"],
    ["500 as HTML", { status: 500, body: "<html>" }, "ServiceError"],
    ["502 as HTML", { status: 502, headers: { "content-type": "text/html" }, body: "<html>" }, "ServiceError"],
    ["503 without a body", { status: 503 }, "ServiceError"],
    ["not ready", failure(502, "ResourceNotReadyException", "Inactive"), "NotReady"],
    ["conflict", failure(409, "ResourceConflictException", "Pending"), "NotReady"],
    ["not found", failure(404, "ResourceNotFoundException", "Function not found"), "NotFound"],
    ["access denied", failure(403, "AccessDeniedException", "Not authorized"), "AccessDenied"],
    ["expired", failure(403, "ExpiredTokenException", "Expired"), "CredentialsRejected"],
    ["too large", failure(413, "RequestTooLargeException", "Too large"), "PayloadTooLarge"],
    ["bad content", failure(400, "InvalidRequestContentException", "Not JSON"), "Rejected"]
  ])("an error answer is one request, never repeated: %s", ([, answer, reason]) =>
    Effect.gen(function*() {
      const { log, outcome } = yield* invoked(() => answer)
      expect(outcome).toMatchObject({ _tag: "Left", left: { _tag: "InvocationError", reason } })
      expect(log.length).toBe(1)
    }))

  it.scopedLive("a throttle says how long to wait, and whom it concerns", () =>
    Effect.gen(function*() {
      const { outcome } = yield* invoked(() =>
        failure(429, "TooManyRequestsException", "Rate Exceeded.", { Reason: "CallerRateLimitExceeded" }, {
          "retry-after": "3"
        })
      )
      expect(outcome).toMatchObject({
        _tag: "Left",
        left: { reason: "Throttled", retryAfter: 3_000, accountWide: true, requestId: "request-1" }
      })
    }))
})

describe("broken connections", () => {
  it.scopedLive.each<[what: string, script: Script]>([
    ["a reset instead of an answer", (_, response) => {
      response.socket?.resetAndDestroy()
      return undefined
    }],
    ["a close instead of an answer", (_, response) => {
      response.socket?.destroy()
      return undefined
    }],
    ["half a body", (_, response) => {
      response.writeHead(200, { "content-length": "100" })
      response.write("half", () => response.socket?.destroy())
      return undefined
    }]
  ])("%s: it may have run", ([, script]) =>
    Effect.gen(function*() {
      const { log, outcome } = yield* invoked(script)
      expect(outcome).toMatchObject({ _tag: "Left", left: { reason: "NoAnswer", outcome: "unknown" } })
      expect(log.length).toBe(1)
    }))

  it.scopedLive.each<[what: string, script: Script]>([
    ["no answer", () => undefined],
    ["headers and no body", (_, response) => {
      response.writeHead(200, { "content-length": "100" }).flushHeaders()
      return undefined
    }]
  ])("%s in time: it may have run, and the connection is given up", ([, script]) =>
    Effect.gen(function*() {
      let closed = false
      const { outcome } = yield* invoked((asked, response) => {
        response.on("close", () => (closed = true))
        return script(asked, response)
      }, { timeout: 100 })
      expect(outcome).toMatchObject({
        _tag: "Left",
        left: { reason: "NoAnswer", message: "No answer within 100 ms" }
      })
      yield* Effect.sleep(5).pipe(Effect.repeat({ until: () => closed }), Effect.timeout("2 seconds"))
    }))

  it.scopedLive("a refused connection: it did not run", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(rawServer(() => {}))
      const client = yield* clientAt(`http://127.0.0.1:${port}`)
      const error = yield* Effect.flip(client.invoke(request()))
      expect([error.reason, error.outcome]).toEqual(["Unreachable", "notSent"])
      expect(error.message).toContain("ECONNREFUSED")
    }))

  it.scopedLive("a host that does not exist: it did not run", () =>
    Effect.gen(function*() {
      const client = yield* clientAt("http://nowhere.invalid:1")
      const error = yield* Effect.flip(client.invoke(request()))
      expect([error.reason, error.outcome]).toEqual(["Unreachable", "notSent"])
    }))

  it.scopedLive("a TLS handshake that breaks, or never ends: it did not run", () =>
    Effect.gen(function*() {
      for (const onConnection of [(socket: Net.Socket) => socket.resetAndDestroy(), () => {}]) {
        const port = yield* rawServer(onConnection)
        const client = yield* clientAt(`https://127.0.0.1:${port}`)
        const error = yield* Effect.flip(client.invoke(request({ timeout: 200 })))
        expect([error.reason, error.outcome]).toEqual(["Unreachable", "notSent"])
      }
    }))

  it.scopedLive("interruption aborts the request", () =>
    Effect.gen(function*() {
      let open = 0
      const server = yield* endpoint((_, response) => {
        open++
        response.on("close", () => open--)
        return undefined
      })
      const client = yield* clientAt(server.url)
      const fiber = yield* Effect.fork(client.invoke(request()))
      yield* Effect.sleep(5).pipe(Effect.repeat({ until: () => open === 1 }), Effect.timeout("2 seconds"))
      yield* Fiber.interrupt(fiber)
      yield* Effect.sleep(5).pipe(Effect.repeat({ until: () => open === 0 }), Effect.timeout("2 seconds"))
    }))
})

describe("credentials", () => {
  it.scopedLive("none to be had: said exactly, nothing sent", () =>
    Effect.gen(function*() {
      const server = yield* endpoint(() => ok())
      const client = yield* clientAt(server.url, {
        credentials: () =>
          Promise.reject(Object.assign(new Error("no providers"), { name: "CredentialsProviderError" }))
      })
      const error = yield* Effect.flip(client.invoke(request()))
      expect([error.reason, error.message]).toEqual(["MissingCredentials", "AWS credentials not found"])
      expect(server.log).toEqual([])
    }))

  it.scopedLive("a provider that hangs: nothing sent", () =>
    Effect.gen(function*() {
      const server = yield* endpoint(() => ok())
      const client = yield* clientAt(server.url, { credentials: () => new Promise(() => {}) })
      const error = yield* Effect.flip(client.invoke(request({ timeout: 50 })))
      expect([error.reason, error.outcome]).toEqual(["Unreachable", "notSent"])
      expect(server.log).toEqual([])
    }))

  it.scopedLive("expired ones are fetched anew for the next attempt", () =>
    Effect.gen(function*() {
      let fetched = 0
      const server = yield* endpoint(({ headers }) =>
        headers.authorization?.includes("Credential=AKIA1/") === true
          ? failure(403, "ExpiredTokenException", "The security token included in the request is expired")
          : ok()
      )
      const client = yield* clientAt(server.url, {
        credentials: () =>
          Promise.resolve({ accessKeyId: `AKIA${++fetched}`, secretAccessKey: "s", expiration: inManyYears })
      })
      const error = yield* Effect.flip(client.invoke(request()))
      expect(error.reason).toBe("CredentialsRejected")
      yield* client.invoke(request())
      expect([fetched, server.log.length]).toEqual([2, 2])
    }))
})

describe("notAfter", () => {
  it.scopedLive("nothing is sent after it, over a new connection or an open one", () =>
    Effect.gen(function*() {
      const server = yield* endpoint(() => ok())
      const client = yield* clientAt(server.url)
      const late = Effect.flatMap(Clock.currentTimeMillis, (now) => client.invoke(request({ notAfter: now - 1 })))
      for (const sent of [0, 1]) {
        expect(yield* Effect.flip(late)).toMatchObject({ reason: "TooLate", outcome: "notSent" })
        expect(server.log.length).toBe(sent)
        yield* client.invoke(request())
      }
    }))

  it.scopedLive("is sent before it", () =>
    Effect.gen(function*() {
      const { outcome } = yield* invoked(() => ok(), { notAfter: (yield* Clock.currentTimeMillis) + 5_000 })
      expect(outcome._tag).toBe("Right")
    }))

  it.scopedLive("is looked at after signing: credentials that took too long are too late", () =>
    Effect.gen(function*() {
      const server = yield* endpoint(() => ok())
      const runtime = yield* Effect.runtime()
      const client = yield* clientAt(server.url, {
        credentials: () =>
          Runtime.runPromise(runtime)(
            Effect.delay(Effect.succeed({ accessKeyId: "AKIA", secretAccessKey: "s" }), 60)
          )
      })
      const error = yield* Effect.flip(
        client.invoke(request({ notAfter: (yield* Clock.currentTimeMillis) + 20 }))
      )
      expect(error.reason).toBe("TooLate")
      expect(server.log).toEqual([])
    }))

  /** A clock of which wall and monotonic time go each their own way. */
  const clockOf = (millis: () => number, nanos: () => bigint): Clock.Clock => ({
    ...Clock.make(),
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration: Duration.Duration) => Clock.make().sleep(duration)
  })

  it.scopedLive.each<[what: string, wallStep: number, monotonicStep: number]>([
    ["the wall clock jumped on", 10_000, 0],
    ["the wall clock was set back while time went on", -10_000, 10_000]
  ])("both clocks count: %s", ([, wallStep, monotonicStep]) =>
    Effect.gen(function*() {
      let signed = false
      const server = yield* endpoint(() => ok())
      const client = yield* clientAt(server.url, {
        credentials: () => {
          signed = true
          return Promise.resolve({ accessKeyId: "AKIA", secretAccessKey: "s" })
        }
      })
      const clock = clockOf(
        () => 1_000_000 + (signed ? wallStep : 0),
        () => BigInt(signed ? monotonicStep : 0) * 1_000_000n
      )
      const error = yield* client.invoke(request({ notAfter: 1_000_500 })).pipe(
        Effect.flip,
        Effect.withClock(clock)
      )
      expect(error.reason).toBe("TooLate")
      expect(server.log).toEqual([])
    }))
})

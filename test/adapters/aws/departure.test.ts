import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http from "node:http"
import type { LookupFunction } from "node:net"
import { Socket } from "node:net"
import { vi } from "vitest"
import { departing, guardedAgents } from "../../../src/adapters/aws/departure.ts"
import type { Departure } from "../../../src/adapters/aws/departure.ts"
import { endpoint } from "./support/endpoint.ts"

/** A name service that does something before it answers. */
const lookup = (before: () => void): LookupFunction => (_, __, callback) => {
  before()
  setImmediate(() => callback(null, [{ address: "127.0.0.1", family: 4 }]))
}

/** The status of the answer, or the request's error. */
const exchange = (departure: Departure, options: Http.RequestOptions) =>
  Effect.async<number | undefined, NodeJS.ErrnoException>((resume) => {
    void departing(departure, () => {
      Http.request({ ...options, host: "somewhere", method: "POST" }, (response) => {
        response.resume()
        response.on("end", () => resume(Effect.succeed(response.statusCode)))
      }).on("error", (error) => resume(Effect.fail(error))).end("{}")
      return Promise.resolve()
    })
  })

const post = (url: string, agent: Http.Agent, departure: Departure, before: () => void) =>
  exchange(departure, { port: new URL(url).port, agent, lookup: lookup(before) })

const agents = Effect.acquireRelease(
  Effect.sync(() => guardedAgents(1_000)),
  ({ httpAgent, httpsAgent }) =>
    Effect.sync(() => {
      httpAgent.destroy()
      httpsAgent.destroy()
    })
)

describe("a new connection", () => {
  it.scopedLive("that took too long is given up before a byte is written", () =>
    Effect.gen(function*() {
      const server = yield* endpoint(() => ({ status: 200 }))
      const { httpAgent } = yield* agents
      let late = false
      const departure: Departure = { state: "left", isLate: () => late }
      const error = yield* Effect.flip(post(server.url, httpAgent, departure, () => (late = true)))
      expect(error.message).toBe("Too late to send")
      expect(departure.state).toBe("refused")
      expect(server.log).toEqual([])
    }))

  it.scopedLive("holds the request until it is there", () =>
    Effect.gen(function*() {
      const server = yield* endpoint(() => ({ status: 200 }))
      const { httpAgent } = yield* agents
      const seen: Array<string> = []
      const departure: Departure = { state: "left", isLate: () => false }
      const status = yield* post(server.url, httpAgent, departure, () => seen.push(departure.state))
      expect([status, ...seen, departure.state]).toEqual([200, "held", "left"])
    }))

  it.scopedLive("is probed while it waits for an answer, from the first request on", () =>
    Effect.gen(function*() {
      const probed = vi.spyOn(Socket.prototype, "setKeepAlive")
      yield* Effect.addFinalizer(() => Effect.sync(() => probed.mockRestore()))
      let probedBefore: ReadonlyArray<unknown> = []
      const server = yield* endpoint(() => {
        probedBefore = probed.mock.calls.slice()
        return { status: 200 }
      })
      const { httpAgent } = yield* agents
      yield* post(server.url, httpAgent, { state: "left", isLate: () => false }, () => {})
      expect(probedBefore).toContainEqual([true, 30_000])
    }))

  it.scopedLive("is used again", () =>
    Effect.gen(function*() {
      let connections = 0
      const server = yield* endpoint(() => ({ status: 200 }))
      const { httpAgent } = yield* agents
      const departure: Departure = { state: "left", isLate: () => false }
      yield* post(server.url, httpAgent, departure, () => connections++)
      yield* post(server.url, httpAgent, departure, () => connections++)
      expect(connections).toBe(1)
    }))
})

describe("a connection that does not come about", () => {
  it.scopedLive("is given up after the connect timeout", () =>
    Effect.gen(function*() {
      const agent = guardedAgents(50).httpAgent
      const departure: Departure = { state: "left", isLate: () => false }
      const never: LookupFunction = () => {}
      const error = yield* Effect.flip(exchange(departure, { agent, lookup: never }))
      expect([error.code, departure.state]).toEqual(["ETIMEDOUT", "held"])
    }))
})

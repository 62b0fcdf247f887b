/** The proxy's own faults, with plain sockets on both sides. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import type { Scope } from "effect"
import { once } from "node:events"
import type { AddressInfo, Socket } from "node:net"
import { connect, createServer } from "node:net"
import { tcpProxy } from "./TcpProxy.ts"

/** Answers every line with "re: " and the line; tells what it has read. */
const echo: Effect.Effect<
  { readonly host: string; readonly port: number; readonly read: () => string },
  never,
  Scope.Scope
> = Effect.acquireRelease(
  Effect.promise(async () => {
    let read = ""
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("data", (chunk) => {
        read += chunk.toString()
        socket.write(`re: ${chunk.toString()}`)
      })
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    return { host: "127.0.0.1", port, read: () => read, server, sockets }
  }),
  ({ server, sockets }) =>
    Effect.sync(() => {
      server.close()
      sockets.forEach((socket) => socket.destroy())
    })
)

/** A client that keeps what it is told, and how it ended. */
const client = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect(port, "127.0.0.1")
      const seen = { text: "", code: "open" }
      socket.on("data", (chunk) => {
        seen.text += chunk.toString()
      })
      socket.on("end", () => {
        seen.code = "end"
      })
      socket.on("error", (error: NodeJS.ErrnoException) => {
        seen.code = error.code ?? ""
      })
      await new Promise<void>((resolve) => socket.on("connect", resolve).on("close", () => resolve()))
      return { socket, seen }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.delay(until(condition), "2 millis"))

const setUp = Effect.gen(function*() {
  const server = yield* echo
  const proxy = yield* tcpProxy(server)
  return { server, proxy }
})

describe("the proxy", () => {
  it.scopedLive("forwards both ways, and passes an end on", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setUp
      const { seen, socket } = yield* client(proxy.port)
      socket.write("hello")
      yield* until(() => seen.text === "re: hello")
      expect(yield* proxy.connections).toBe(1)
      socket.end()
      yield* until(() => seen.code === "end")
      yield* Effect.delay(Effect.void, "20 millis")
      expect(yield* proxy.connections).toBe(0)
    }))

  it.scopedLive("cuts what is connected, and takes new connections", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setUp
      const first = yield* client(proxy.port)
      const second = yield* client(proxy.port)
      yield* Effect.repeat(proxy.connections, { until: (count) => count === 2 })
      expect(yield* proxy.cut).toBe(2)
      yield* until(() => first.seen.code === "ECONNRESET" && second.seen.code === "ECONNRESET")
      expect(yield* proxy.connections).toBe(0)
      const third = yield* client(proxy.port)
      third.socket.write("again")
      yield* until(() => third.seen.text === "re: again")
    }))

  it.scopedLive("delays both ways, in order, and stops doing so", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setUp
      const { seen, socket } = yield* client(proxy.port)
      yield* proxy.delay(100)
      const started = performance.now()
      socket.write("a")
      yield* Effect.sleep("10 millis")
      socket.write("b")
      yield* proxy.delay(0)
      socket.write("c")
      yield* until(() => seen.text.includes("c"))
      const elapsed = performance.now() - started
      // There with its delay, back without: the delay is that of the moment of sending.
      expect(elapsed).toBeGreaterThanOrEqual(95)
      expect(elapsed).toBeLessThan(1_000)
      expect(seen.text.replaceAll("re: ", "")).toBe("abc")
      yield* proxy.delay(100)
      const [roundTrip] = yield* Effect.timed(Effect.suspend(() => {
        socket.write("d")
        return until(() => seen.text.includes("d"))
      }))
      expect(Duration.toMillis(roundTrip)).toBeGreaterThanOrEqual(195)
    }))

  it.scopedLive("swallows all without a word, and gives it back later", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* setUp
      const { seen, socket } = yield* client(proxy.port)
      socket.write("1")
      yield* until(() => seen.text === "re: 1")
      yield* proxy.blackHole
      socket.write("2")
      const late = yield* client(proxy.port)
      late.socket.write("3")
      yield* Effect.sleep("100 millis")
      expect([server.read(), seen, late.seen]).toEqual([
        "1",
        { text: "re: 1", code: "open" },
        { text: "", code: "open" }
      ])
      yield* proxy.forward
      yield* until(() => seen.text === "re: 1re: 2" && late.seen.text === "re: 3")
    }))

  it.scopedLive("cuts a black hole too", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setUp
      const { seen } = yield* client(proxy.port)
      yield* proxy.blackHole
      yield* Effect.repeat(proxy.connections, { until: (count) => count === 1 })
      expect(yield* proxy.cut).toBe(1)
      yield* until(() => seen.code === "ECONNRESET")
    }))

  it.scopedLive("refuses new connections and leaves the others", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setUp
      const { seen, socket } = yield* client(proxy.port)
      yield* proxy.refuse
      const late = yield* client(proxy.port)
      expect(late.seen.code).toBe("ECONNREFUSED")
      socket.write("still")
      yield* until(() => seen.text === "re: still")
      yield* proxy.forward
      const again = yield* client(proxy.port)
      again.socket.write("back")
      yield* until(() => again.seen.text === "re: back")
    }))

  it.scopedLive("loses the answer to one question, which the server has had, and nothing else", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* setUp
      const bystander = yield* client(proxy.port)
      const { seen, socket } = yield* client(proxy.port)
      const swallowed = yield* Effect.fork(proxy.swallow(/COMMIT/, /re: [^]*MIT/))
      yield* Effect.sleep("10 millis")
      socket.write("BEGIN")
      yield* until(() => seen.text === "re: BEGIN")
      // In two pieces, as the network may deliver it.
      socket.write("COM")
      yield* until(() => server.read() === "BEGINCOM")
      socket.write("MIT")
      yield* swallowed
      yield* until(() => seen.code === "ECONNRESET")
      expect(server.read()).toBe("BEGINCOMMIT")
      expect(seen.text).not.toContain("MIT")
      bystander.socket.write("COMMIT")
      yield* until(() => bystander.seen.text === "re: COMMIT")
    }))
})

/** A TCP proxy on loopback that can fail in the ways networks do. */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { AddressInfo, Server, Socket } from "node:net"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

export interface TcpProxy {
  readonly port: number
  /** How many connections are open. */
  readonly connections: Effect.Effect<number>
  /** Back to normal: what was held back goes on, nothing is delayed, new connections are taken. */
  readonly forward: Effect.Effect<void>
  /** Breaks every connection, as a crash of either side would; answers how many there were. */
  readonly cut: Effect.Effect<number>
  /** Everything sent from now on arrives this many milliseconds later, in both directions. */
  readonly delay: (millis: number) => Effect.Effect<void>
  /** Nothing arrives any more and nobody is told: connections stay open, and new ones too. */
  readonly blackHole: Effect.Effect<void>
  /** New connections are refused; those that are open go on. */
  readonly refuse: Effect.Effect<void>
  /**
   * Loses the answer to the next thing asked: it reaches the server, its answer does not reach the client, whose
   * connection breaks. Waits until that has happened.
   *
   * @param asked what the client sends, read byte by byte as Latin-1
   * @param answered what shows that the server's answer is complete; by default PostgreSQL's `ReadyForQuery`
   */
  readonly swallow: (asked: RegExp, answered?: RegExp) => Effect.Effect<void>
}

/** The last message of an answer: its letter, its length in four bytes, and the state of the transaction. */
const readyForQuery = /Z[^]{4}[ITE]$/

/** How much of what has gone by is kept, so that a pattern can lie across two chunks. */
const memory = 4_096

interface Swallow {
  readonly asked: RegExp
  readonly answered: RegExp
  readonly done: () => void
}

/** One direction of a connection: what is under way, in order. */
interface Lane {
  readonly to: Socket
  readonly waiting: Array<{ readonly at: number; readonly chunk: Buffer | undefined }>
  /** The latest of what has gone by, as Latin-1. */
  seen: string
}

interface Connection {
  readonly client: Socket
  readonly server: Socket
  /** Its client's question has gone by; the answer is being lost. */
  swallowing: Swallow | undefined
}

class FaultyProxy {
  readonly #host: string
  readonly #targetPort: number
  readonly #connections = new Set<Connection>()
  #listener: Server | undefined
  #port = 0
  #delay = 0
  #holed = false
  /** Settled unless there is a hole. */
  #forwarding = Promise.resolve()
  #goOn = () => {}
  #swallows: Array<Swallow> = []

  constructor(host: string, port: number) {
    this.#host = host
    this.#targetPort = port
  }

  get port(): number {
    return this.#port
  }

  get size(): number {
    return this.#connections.size
  }

  listen(): Promise<void> {
    if (this.#listener !== undefined) return Promise.resolve()
    const listener = createServer({ allowHalfOpen: true }, (client) => this.#accept(client))
    this.#listener = listener
    return new Promise((resolve, reject) => {
      listener.once("error", reject)
      listener.listen(this.#port, "127.0.0.1", () => {
        this.#port = (listener.address() as AddressInfo).port
        resolve()
      })
    })
  }

  /** Ends listening at once; what is connected stays. */
  refuse(): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  hole(holed: boolean): void {
    this.#goOn()
    this.#holed = holed
    this.#forwarding = holed ? new Promise((resolve) => this.#goOn = resolve) : Promise.resolve()
    for (const connection of this.#connections) this.#holdBack(connection)
  }

  delay(millis: number): void {
    this.#delay = millis
  }

  cut(): number {
    const open = [...this.#connections]
    open.forEach((connection) => this.#break(connection))
    return open.length
  }

  swallow(swallow: Swallow): () => void {
    this.#swallows.push(swallow)
    return () => {
      this.#swallows = this.#swallows.filter((other) => other !== swallow)
    }
  }

  #accept(client: Socket): void {
    const server = connect({ host: this.#host, port: this.#targetPort, allowHalfOpen: true, noDelay: true })
    client.setNoDelay(true)
    const connection: Connection = { client, server, swallowing: undefined }
    this.#connections.add(connection)
    this.#join(connection, client, server)
    this.#join(connection, server, client)
    if (this.#holed) this.#holdBack(connection)
  }

  #holdBack({ client, server }: Connection): void {
    for (const socket of [client, server]) {
      if (this.#holed) socket.pause()
      else socket.resume()
    }
  }

  #join(connection: Connection, from: Socket, to: Socket): void {
    const lane: Lane = { to, waiting: [], seen: "" }
    from.on("data", (chunk: Buffer) => {
      lane.seen = (lane.seen + chunk.toString("latin1")).slice(-Math.max(memory, chunk.length))
      if (from === connection.client) this.#noteQuestion(connection, lane)
      else if (connection.swallowing !== undefined) return this.#noteAnswer(connection, connection.swallowing, lane)
      this.#send(lane, chunk)
    })
    from.on("end", () => this.#send(lane, undefined))
    from.on("error", () => this.#break(connection))
    from.on("close", () => {
      if (connection.client.destroyed && connection.server.destroyed) this.#connections.delete(connection)
    })
  }

  #noteQuestion(connection: Connection, lane: Lane): void {
    if (connection.swallowing !== undefined) return
    const swallow = this.#swallows.find(({ asked }) => asked.test(lane.seen))
    lane.seen = lane.seen.slice(-memory)
    if (swallow === undefined) return
    this.#swallows = this.#swallows.filter((other) => other !== swallow)
    connection.swallowing = swallow
  }

  #noteAnswer(connection: Connection, swallow: Swallow, lane: Lane): void {
    if (!swallow.answered.test(lane.seen)) return
    this.#break(connection)
    swallow.done()
  }

  #send(lane: Lane, chunk: Buffer | undefined): void {
    if (this.#delay === 0 && lane.waiting.length === 0) return pass(lane.to, chunk)
    lane.waiting.push({ at: performance.now() + this.#delay, chunk })
    if (lane.waiting.length === 1) void this.#deliver(lane)
  }

  async #deliver(lane: Lane): Promise<void> {
    for (let first = lane.waiting[0]; first !== undefined; first = lane.waiting[0]) {
      await sleep(Math.max(0, first.at - performance.now()))
      // What is under way when the hole opens falls into it.
      await this.#forwarding
      pass(lane.to, first.chunk)
      lane.waiting.shift()
    }
  }

  #break(connection: Connection): void {
    this.#connections.delete(connection)
    connection.client.resetAndDestroy()
    connection.server.resetAndDestroy()
  }
}

const pass = (to: Socket, chunk: Buffer | undefined): void => {
  if (to.destroyed || to.writableEnded) return
  if (chunk === undefined) to.end()
  else to.write(chunk)
}

/**
 * A proxy in front of a server, for as long as the scope is open.
 *
 * @example
 * const proxy = yield* tcpProxy({ host: "127.0.0.1", port: 5432 })
 */
export const tcpProxy = (
  target: { readonly host: string; readonly port: number }
): Effect.Effect<TcpProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const proxy = new FaultyProxy(target.host, target.port)
      await proxy.listen()
      return proxy
    }),
    (proxy) =>
      Effect.sync(() => {
        proxy.refuse()
        proxy.cut()
      })
  ).pipe(Effect.map((proxy) => ({
    port: proxy.port,
    connections: Effect.sync(() => proxy.size),
    forward: Effect.promise(() => {
      proxy.delay(0)
      proxy.hole(false)
      return proxy.listen()
    }),
    cut: Effect.sync(() => proxy.cut()),
    delay: (millis) => Effect.sync(() => proxy.delay(millis)),
    blackHole: Effect.sync(() => proxy.hole(true)),
    refuse: Effect.sync(() => proxy.refuse()),
    swallow: (asked, answered = readyForQuery) =>
      Effect.async<void>((resume) => {
        const disarm = proxy.swallow({ asked, answered, done: () => resume(Effect.void) })
        return Effect.sync(disarm)
      })
  })))

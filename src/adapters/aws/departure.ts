/**
 * Keeps a request from leaving too late, and knows whether it left.
 *
 * Two places hold it: a middleware behind the signing, last before the request goes to its socket, and the agent, which
 * hands a new socket over only once it is connected (name resolution, TCP and TLS take their time). Until then not a
 * byte has been written, so what fails before is known not to have run.
 */
import type { LambdaClient } from "@aws-sdk/client-lambda"
import { AsyncLocalStorage } from "node:async_hooks"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import type { Millis } from "../../domain/Time.ts"

/** One request on its way out. */
export interface Departure {
  readonly isLate: () => boolean
  /** `held`: nothing was written. `left`: bytes may be on the wire. `refused`: it was too late; nothing was written. */
  state: "held" | "left" | "refused"
}

const current = new AsyncLocalStorage<Departure>()

/** Starts `send` so that the request it makes is the one `departure` speaks of. */
export const departing = <A>(departure: Departure, send: () => Promise<A>): Promise<A> => current.run(departure, send)

const depart = (departure: Departure): Error | undefined => {
  if (departure.isLate()) {
    departure.state = "refused"
    return new Error("Too late to send")
  }
  departure.state = "left"
  return undefined
}

/** Checks every request of the client last of all, after it is signed. */
export const guardClient = (client: LambdaClient): void => {
  client.middlewareStack.add(
    (next) => async (args) => {
      const departure = current.getStore()
      const refusal = departure && depart(departure)
      if (refusal !== undefined) throw refusal
      return next(args)
    },
    { name: "departureMiddleware", step: "deserialize", priority: "low" }
  )
}

/** Well below the 350 seconds after which a NAT gateway forgets a connection that says nothing: a call may take 900. */
const probeEvery: Millis = 30_000

type Connected = (error: Error | null, socket: Socket) => void

const guardAgent = <Agent extends Http.Agent>(
  agent: Agent,
  connected: "connect" | "secureConnect",
  connectTimeout: Millis
): Agent => {
  const connect = agent.createConnection.bind(agent)
  const destroy = agent.destroy.bind(agent)
  const connecting = new Set<Socket>()
  agent.createConnection = (options, callback) => {
    const done = callback as Connected
    const departure = current.getStore()
    if (departure !== undefined) departure.state = "held"
    const socket = connect(options) as Socket
    connecting.add(socket)
    const onFailure = (error: Error) => {
      connecting.delete(socket)
      done(error, socket)
    }
    const onTimeout = () =>
      socket.destroy(Object.assign(new Error(`No connection within ${connectTimeout} ms`), { code: "ETIMEDOUT" }))
    socket.setTimeout(connectTimeout, onTimeout)
    socket.once("error", onFailure)
    socket.once(connected, () => {
      connecting.delete(socket)
      socket.setTimeout(0)
      // An agent asks for it only once a socket is idle, on some versions of Node.
      socket.setKeepAlive(true, probeEvery)
      socket.off("timeout", onTimeout)
      socket.off("error", onFailure)
      const refusal = departure && depart(departure)
      if (refusal === undefined) return done(null, socket)
      socket.destroy()
      done(refusal, socket)
    })
    return undefined
  }
  // Node's own destroy does not know of sockets that are not handed over yet.
  agent.destroy = () => {
    for (const socket of connecting) socket.destroy()
    destroy()
  }
  return agent
}

/**
 * Agents for `http` and `https` that keep connections open, hold no request back for want of a socket (it would leave
 * after its check), and give up connecting after `connectTimeout` milliseconds.
 */
export const guardedAgents = (
  connectTimeout: Millis
): { readonly httpAgent: Http.Agent; readonly httpsAgent: Https.Agent } => {
  const options = { keepAlive: true, maxSockets: Infinity }
  return {
    httpAgent: guardAgent(new Http.Agent(options), "connect", connectTimeout),
    httpsAgent: guardAgent(new Https.Agent(options), "secureConnect", connectTimeout)
  }
}

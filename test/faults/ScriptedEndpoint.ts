/**
 * Lambda on loopback: answers each invocation as its function's script says, and writes down every one of them on arrival.
 * Its log is what a run is judged by, since it is what would have run on AWS.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Millis } from "../../src/index.ts"
import type { Answer, Asked, Script } from "../adapters/aws/support/endpoint.ts"
import { endpoint, failure } from "../adapters/aws/support/endpoint.ts"

/** What can be done to a caller instead of an answer, once its request is here. */
export type Broken = "Reset" | "HalfABody" | "NoBody" | "Nothing"

export interface Reply {
  readonly answer: Answer | Broken
  /** Milliseconds of real time that it takes. */
  readonly after?: Millis | undefined
  /** Called when it is given, unless the caller has gone away. */
  readonly onAnswer?: () => void
}

/** One invocation that has arrived. */
export interface Arrival {
  readonly functionName: string
  readonly taskId: string
  /** The attempt's number. */
  readonly attempt: number
  readonly payload: string
  /** Epoch milliseconds of the machine, on arrival. */
  readonly at: number
  readonly asked: Asked
  /** What it was answered with; `undefined` while it is not. */
  answered: Answer | Broken | undefined
  /** When its connection was closed, or its answer was written. */
  closedAt: number | undefined
}

/** @param nth which invocation of this function it is, from 1 */
export type FunctionScript = (arrival: Arrival, nth: number) => Answer | Broken | Reply

export interface ScriptedEndpoint {
  readonly url: string
  /** In the order of their arrival. */
  readonly log: ReadonlyArray<Arrival>
  readonly of: (functionName: string) => ReadonlyArray<Arrival>
  /** Every request, the ones that deploy too. */
  readonly requests: ReadonlyArray<Asked>
}

export const now = (): number => performance.timeOrigin + performance.now()

/** A function that has run. */
export const ok = (body: string | Uint8Array = "null", headers: Readonly<Record<string, string>> = {}): Answer => ({
  status: 200,
  headers: { "x-amzn-requestid": "request-1", "x-amz-executed-version": "$LATEST", ...headers },
  body
})

/** A function that has run and failed. */
export const threw = (errorType: string, kind: "Handled" | "Unhandled" = "Unhandled"): Answer =>
  ok(JSON.stringify({ errorType, errorMessage: "as told", trace: [] }), { "x-amz-function-error": kind })

/** A function that is throttled. */
export const throttle = (Reason: string, headers: Readonly<Record<string, string>> = {}): Answer =>
  failure(429, "TooManyRequestsException", "Rate Exceeded.", { Reason }, headers)

/** These one after the other; the last one goes on. */
export const inTurn =
  (first: Answer | Broken | Reply, ...others: ReadonlyArray<Answer | Broken | Reply>): FunctionScript => (_, nth) => {
    const all = [first, ...others]
    return all[Math.min(nth, all.length) - 1] ?? first
  }

const path = /^\/2015-03-31\/functions\/(?<name>.+)\/invocations$/

const contextOf = ({ headers }: Asked): { readonly taskId?: string; readonly attempt?: number } => {
  const text = Buffer.from(String(headers["x-amz-client-context"] ?? ""), "base64").toString("utf8")
  return text === "" ? {} : (JSON.parse(text) as { readonly custom: object }).custom
}

const isAnswer = (reply: Answer | Broken | Reply): reply is Answer => typeof reply === "object" && "status" in reply

const replyOf = (reply: Answer | Broken | Reply): Reply =>
  typeof reply === "string" || isAnswer(reply) ? { answer: reply } : reply

/**
 * @param functions by name; a function that is not there succeeds at once
 * @param others what else is asked, such as deployments; by default refused
 */
export const scriptedEndpoint = (
  functions: Readonly<Record<string, FunctionScript>>,
  options: { readonly others?: Script; readonly port?: number } = {}
): Effect.Effect<ScriptedEndpoint, never, Scope.Scope> => {
  const log: Array<Arrival> = []
  const counts = new Map<string, number>()
  const script: Script = (asked, response) => {
    const functionName = path.exec(asked.path)?.groups?.["name"]
    if (functionName === undefined) {
      return options.others?.(asked, response) ?? failure(404, "UnknownOperationException", asked.path)
    }
    const { attempt = 0, taskId = "" } = contextOf(asked)
    const arrival: Arrival = {
      functionName,
      taskId,
      attempt,
      payload: asked.body.toString("utf8"),
      at: performance.timeOrigin + asked.at,
      asked,
      answered: undefined,
      closedAt: undefined
    }
    log.push(arrival)
    const nth = (counts.get(functionName) ?? 0) + 1
    counts.set(functionName, nth)
    response.on("close", () => (arrival.closedAt = now()))
    const { after, answer, onAnswer } = replyOf(functions[functionName]?.(arrival, nth) ?? ok())
    const finish = () => {
      if (response.destroyed) return
      arrival.answered = answer
      onAnswer?.()
      if (typeof answer === "object") response.writeHead(answer.status, answer.headers).end(answer.body)
      else if (answer === "Reset") response.socket?.resetAndDestroy()
      else if (answer === "HalfABody") {
        response.writeHead(200, { "content-length": "100" })
        response.write("half", () => response.socket?.destroy())
      } else if (answer === "NoBody") response.writeHead(200, { "content-length": "100" }).flushHeaders()
    }
    if (after === undefined) finish()
    else Effect.runFork(Effect.delay(Effect.sync(finish), after))
    return undefined
  }
  return Effect.map(endpoint(script, options.port), (server) => ({
    url: server.url,
    log,
    of: (functionName) => log.filter((arrival) => arrival.functionName === functionName),
    requests: server.log
  }))
}

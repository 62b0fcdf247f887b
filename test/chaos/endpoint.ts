/**
 * A program that answers invocations as scripted and writes down what it was asked, on arrival and on answer. Its log is
 * what a run is judged by, so it is a process of its own that nobody kills, and a line is on the disk before anything
 * follows from it.
 */
import { Effect, Schema } from "effect"
import { fdatasyncSync, openSync, writeSync } from "node:fs"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { now, seeded } from "./chanceAndTime.ts"
import type { EndpointLine, Verdict } from "./History.ts"
import { EndpointSettings } from "./settings.ts"

const settings = Effect.runSync(Schema.Config("ENDPOINT", Schema.parseJson(EndpointSettings)))
const log = openSync(settings.log, "a")

const write = (line: EndpointLine): void => {
  writeSync(log, `${JSON.stringify(line)}\n`)
  fdatasyncSync(log)
}

const chances = new Map<string, () => number>()

/** What becomes of a function's n-th invocation depends on the seed and on n only. */
const chanceOf = (name: string): () => number => {
  const chance = chances.get(name) ?? seeded(`${settings.seed} ${name}`)
  chances.set(name, chance)
  return chance
}

const draw = (name: string): { readonly latency: number; readonly verdict: Verdict | undefined } => {
  const chance = chanceOf(name)
  const [spread, fate] = [chance(), chance()]
  const script = settings.functions[name]
  if (script === undefined) return { latency: 0, verdict: "success" }
  const { least, mean, most } = script.latency
  const latency = Math.min(most, least - (mean - least) * Math.log(1 - spread))
  let below = 0
  for (
    const [share, verdict] of [
      [script.errors, "error"],
      [script.throttles, "throttle"],
      [script.resets, "reset"],
      [script.hangs, undefined]
    ] as const
  ) {
    below += share ?? 0
    if (fate < below) return { latency, verdict }
  }
  return { latency, verdict: "success" }
}

const answer = (response: ServerResponse, verdict: Verdict, body: object): void => {
  const send = (status: number, headers: Record<string, string>, text: string) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(text)
  switch (verdict) {
    case "success":
      return void send(200, { "x-amz-executed-version": "$LATEST" }, JSON.stringify(body))
    case "error":
      return void send(
        200,
        { "x-amz-function-error": "Unhandled" },
        `{"errorType":"Error","errorMessage":"as scripted","trace":[]}`
      )
    case "throttle":
      return void send(
        429,
        { "x-amzn-errortype": "TooManyRequestsException" },
        `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`
      )
    case "reset":
      response.socket?.resetAndDestroy()
  }
}

const invocation = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/

/** `context.clientContext.custom`, as the function would see it. */
const customOf = (request: IncomingMessage) => {
  const header = request.headers["x-amz-client-context"]
  const text = typeof header === "string" ? Buffer.from(header, "base64").toString() : "{}"
  const { custom = {} } = JSON.parse(text) as { readonly custom?: Readonly<Record<string, unknown>> }
  return {
    taskId: String(custom["taskId"]),
    attempt: Number(custom["attempt"]),
    idempotencyKey: String(custom["idempotencyKey"])
  }
}

const server = createServer((request, response) => {
  const arrivedAt = now()
  const name = decodeURIComponent(invocation.exec(new URL(request.url ?? "/", "http://localhost").pathname)?.[1] ?? "")
  if (request.method !== "POST" || name === "") return void response.writeHead(404).end()
  request.on("error", () => {})
  response.on("error", () => {})
  request.on("data", () => {})
  request.on("end", () => {
    const line = { function: name, ...customOf(request) }
    write({ t: arrivedAt, kind: "arrival", ...line })
    const { latency, verdict } = draw(name)
    // As on Lambda, a function that is asked to run does so to its end, whether or not its caller still waits.
    if (verdict !== undefined) {
      void sleep(latency).then(() => {
        write({ t: now(), kind: "answer", ...line, verdict, delivered: !response.destroyed })
        answer(response, verdict, line)
      })
    }
  })
})

server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }))

// Whoever wants our log is gone.
process.on("disconnect", () => process.exit(0))

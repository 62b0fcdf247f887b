/** Connections that break, never answer, or are never made, and credentials that cannot be had: F43 to F45, F55. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Task } from "../../src/index.ts"
import { LambdaFunction, spentAttempts } from "../../src/index.ts"
import { endpoint as plainEndpoint } from "../adapters/aws/support/endpoint.ts"
import type { Scheduler } from "./rig.ts"
import { agreed, atOnce, ended, fasterBy, launch, launchAt, outcomesOf, reasonsOf, until } from "./rig.ts"
import type { Broken } from "./ScriptedEndpoint.ts"
import { inTurn, ok, scriptedEndpoint } from "./ScriptedEndpoint.ts"

const job = LambdaFunction.existing("job", { timeout: "1 second" })
/** On a fast clock, where a second may be over before a slow machine has answered. */
const patient = LambdaFunction.existing("job")

/** An address of loopback at which nobody listens. */
const nobodysPort = Effect.map(
  Effect.scoped(plainEndpoint(() => undefined)),
  ({ url }) => Number(new URL(url).port)
)

const attempts = (scheduler: Scheduler, { id }: Task) => Effect.map(scheduler.get(id), (task) => task.attempts.length)

/** An attempt that may have run is recorded as such, and the next one succeeds. */
const mayHaveRun = (scheduler: Scheduler) =>
  Effect.gen(function*() {
    const { id } = yield* scheduler.schedule(job, { retry: { ...atOnce, maxAttempts: 2 } })
    const task = yield* ended(scheduler, id)
    expect([task.status, outcomesOf(task), reasonsOf(task)[0]]).toEqual([
      "Succeeded",
      ["unknown", "succeeded"],
      "NoAnswer"
    ])
  })

describe("F43, F44: a connection that breaks once the request is here", () => {
  const breaks: ReadonlyArray<readonly [row: string, how: Broken]> = [["F43", "Reset"], ["F44", "HalfABody"]]
  for (const [row, how] of breaks) {
    it.scopedLive(`${row}: may have run, and is tried again (${how})`, () =>
      Effect.gen(function*() {
        const endpoint = yield* scriptedEndpoint({ job: inTurn(how, ok("1")) })
        const scheduler = yield* launch(endpoint)
        yield* mayHaveRun(scheduler)
        expect(endpoint.log.map(({ attempt }) => attempt)).toEqual([1, 2])
        yield* agreed(scheduler, endpoint)
      }))

    it.scopedLive(`${row}: is sent once where once is the most (${how})`, () =>
      Effect.gen(function*() {
        const endpoint = yield* scriptedEndpoint({ job: inTurn(how, ok("1")) })
        const scheduler = yield* launch(endpoint)
        const retry = { ...atOnce, maxAttempts: 5, onUnknown: "fail" } as const
        const task = yield* ended(scheduler, (yield* scheduler.schedule(job, { retry })).id)
        expect(task).toMatchObject({ status: "Failed", failure: { reason: "NoAnswer" } })
        expect(endpoint.log.length).toBe(1)
        yield* agreed(scheduler, endpoint)
      }))
  }

  it.scopedLive("F43: while none can be made nothing is lost and no attempt spent, however few there are", () =>
    Effect.gen(function*() {
      const port = yield* nobodysPort
      const scheduler = yield* launchAt(`http://127.0.0.1:${port}`, { clock: fasterBy(50) })
      const retry = { ...atOnce, maxAttempts: 1, onUnknown: "fail" } as const
      const asked = yield* scheduler.schedule(patient, { retry })
      yield* until("it has been tried", attempts(scheduler, asked), (count) => count >= 3)
      const endpoint = yield* scriptedEndpoint({}, { port })
      const task = yield* ended(scheduler, asked.id)
      expect(task.status).toBe("Succeeded")
      expect(new Set(outcomesOf(task).slice(0, -1))).toEqual(new Set(["notSent"]))
      expect(new Set(reasonsOf(task).slice(0, -1))).toEqual(new Set(["Unreachable"]))
      expect(endpoint.log.map(({ attempt }) => attempt)).toEqual([task.attempts.length])
      yield* agreed(scheduler, endpoint)
    }))
})

describe("F45: no answer", () => {
  it.scopedLive.each<[Broken]>([["Nothing"], ["NoBody"]])(
    "F45: after the function's timeout and a margin it may have run, and the connection is given up (%s)",
    ([how]) =>
      Effect.gen(function*() {
        const endpoint = yield* scriptedEndpoint({ job: inTurn(how, ok("1")) })
        const scheduler = yield* launch(endpoint, { settings: { attemptMargin: 100 } })
        yield* mayHaveRun(scheduler)
        const [first] = endpoint.log
        yield* until("the connection is given up", Effect.sync(() => first?.closedAt), (at) => at !== undefined)
        const held = (first?.closedAt ?? 0) - (first?.at ?? 0)
        expect(held).toBeGreaterThan(1_000)
        expect(held).toBeLessThan(5_000)
        yield* agreed(scheduler, endpoint)
      })
  )

  it.scopedLive("F45: or earlier, where the Task says so; and once, where once is the most", () =>
    Effect.gen(function*() {
      const endpoint = yield* scriptedEndpoint({ job: inTurn("Nothing") })
      const scheduler = yield* launch(endpoint)
      const retry = { ...atOnce, maxAttempts: 3, onUnknown: "fail", attemptTimeout: 150 } as const
      const task = yield* ended(scheduler, (yield* scheduler.schedule(job, { retry })).id)
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "NoAnswer" } })
      expect(endpoint.log.length).toBe(1)
      yield* agreed(scheduler, endpoint)
    }))
})

describe("F55: the way to AWS", () => {
  const once = { ...atOnce, maxAttempts: 1, maxWait: "20 seconds" } as const

  it.scopedLive.each<[what: string, url: (port: number) => string]>([
    ["a name that does not resolve", () => "http://nowhere.invalid:1"],
    ["TLS that fails", (port) => `https://127.0.0.1:${port}`]
  ])("F55: costs no attempt, and what has waited too long is told of: %s", ([, url]) =>
    Effect.gen(function*() {
      const endpoint = yield* scriptedEndpoint({})
      const scheduler = yield* launchAt(url(Number(new URL(endpoint.url).port)), { clock: fasterBy(50) })
      const task = yield* ended(scheduler, (yield* scheduler.schedule(patient, { retry: once })).id)
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "Expired" } })
      expect(spentAttempts(task)).toBe(0)
      expect(new Set(reasonsOf(task))).toEqual(new Set(["Unreachable"]))
      expect(task.attempts.length).toBeGreaterThanOrEqual(2)
      expect(endpoint.log).toEqual([])
    }))

  it.scopedLive("F55: credentials that cannot be had for a while cost no attempt, and are asked for again", () =>
    Effect.gen(function*() {
      let asked = 0
      const endpoint = yield* scriptedEndpoint({})
      const scheduler = yield* launch(endpoint, {
        clock: fasterBy(50),
        aws: {
          credentials: () =>
            ++asked <= 2
              ? Promise.reject(Object.assign(new Error("no providers"), { name: "CredentialsProviderError" }))
              : Promise.resolve({ accessKeyId: "AKIA", secretAccessKey: "s" })
        }
      })
      const task = yield* ended(scheduler, (yield* scheduler.schedule(patient, { retry: once })).id)
      expect([task.status, reasonsOf(task)]).toEqual([
        "Succeeded",
        ["MissingCredentials", "MissingCredentials", undefined]
      ])
      expect(endpoint.log.map(({ attempt }) => attempt)).toEqual([3])
      yield* agreed(scheduler, endpoint)
    }))

  it.scopedLive("F55: a provider that hangs costs none either: nothing was sent", () =>
    Effect.gen(function*() {
      let answer: () => void = () => {}
      const answered = new Promise<void>((resolve) => (answer = resolve))
      const endpoint = yield* scriptedEndpoint({})
      const scheduler = yield* launch(endpoint, {
        clock: fasterBy(20),
        aws: { credentials: () => answered.then(() => ({ accessKeyId: "AKIA", secretAccessKey: "s" })) }
      })
      // Half a second of real time.
      const asked = yield* scheduler.schedule(patient, { retry: { ...atOnce, maxAttempts: 1, attemptTimeout: 10_000 } })
      yield* until("it has been given up", attempts(scheduler, asked), (count) => count >= 2)
      expect(endpoint.log).toEqual([])
      answer()
      const task = yield* ended(scheduler, asked.id)
      expect(task.status).toBe("Succeeded")
      expect(new Set(outcomesOf(task).slice(0, -1))).toEqual(new Set(["notSent"]))
      expect(endpoint.log.length).toBe(1)
      yield* agreed(scheduler, endpoint)
    }))
})

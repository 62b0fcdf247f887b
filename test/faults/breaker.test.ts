/** A function, or the way to AWS, that fails again and again: what is held back, probed, and let go on (F41, F42, F45, F55, F56, F68). */
import { describe, expect, it } from "@effect/vitest"
import { Config, Effect, Stream } from "effect"
import type { EngineSettings } from "../../src/index.ts"
import { EngineConfig, InvocationError, LambdaFunction, spentAttempts } from "../../src/index.ts"
import type { Answer } from "../adapters/aws/support/endpoint.ts"
import { endpoint as plainEndpoint, failure } from "../adapters/aws/support/endpoint.ts"
import { freshSchemaName } from "../support/postgres.ts"
import type { RigOptions, Scheduler } from "./rig.ts"
import { agreed, atOnce, ended, fasterBy, launch, launchAt, postgresIn, reasonsOf, until } from "./rig.ts"
import type { Broken, FunctionScript } from "./ScriptedEndpoint.ts"
import { now, ok, scriptedEndpoint, threw, throttle } from "./ScriptedEndpoint.ts"

const bad = LambdaFunction.existing("bad")
const good = LambdaFunction.existing("good")

const outage = { status: 503 }

/** Opens after five calls, and is probed five times a second. */
const quick: EngineSettings["breaker"] = {
  ...EngineConfig.defaults.breaker,
  minimumCalls: 5,
  openFor: 200,
  longestOpen: 200,
  probeDeadline: 2_000
}
const concurrency = 10
const settings: Partial<EngineSettings> = { concurrency, breaker: quick }

/** As often as it takes, with a little time between. */
const stubborn = { maxAttempts: 100, backoff: "fixed", baseDelay: 20 } as const

const isOpen = (state: { readonly state: string }): boolean => state.state !== "closed"

const stateOf = (scheduler: Scheduler, functionName: string) =>
  Effect.map(scheduler.breakers.state(functionName), ({ state }) => state)

const many = (scheduler: Scheduler, fn: LambdaFunction.LambdaFunction, count: number, retry: object = stubborn) =>
  scheduler.scheduleAll(fn, Array.from({ length: count }, () => ({ retry })))

/** What the breakers do from now on. */
const watch = (scheduler: Scheduler) =>
  Effect.gen(function*() {
    const seen: Array<
      { readonly functionName: string; readonly from: string; readonly to: string; readonly at: number }
    > = []
    yield* Effect.forkScoped(
      Stream.runForEach(scheduler.breakers.transitions, (transition) => Effect.sync(() => seen.push(transition)))
    )
    yield* Effect.sleep("20 millis")
    return seen
  })

const setUp = (functions: Readonly<Record<string, FunctionScript>>, options: RigOptions = {}) =>
  Effect.gen(function*() {
    const endpoint = yield* scriptedEndpoint(functions)
    const scheduler = yield* launch(endpoint, { ...options, settings: { ...settings, ...options.settings } })
    return { endpoint, scheduler, transitions: yield* watch(scheduler) }
  })

describe("F41, F45: a function whose service fails", () => {
  it.scopedLive.each<[row: string, what: string, answer: Answer | Broken]>([
    ["F41", "500", failure(500, "ServiceException", "Oops")],
    ["F41", "503", outage],
    ["F45", "no answer", "Nothing"],
    ["F45", "its own timeout", threw("Sandbox.Timedout")]
  ])(
    "%s: is called no more but for probes, others are, and it goes on when it is well: %s",
    ([, , answer]) =>
      Effect.gen(function*() {
        let isWell = false
        const { endpoint, scheduler, transitions } = yield* setUp({ bad: () => isWell ? ok() : answer })
        const tasks = yield* many(scheduler, bad, 40, { ...stubborn, attemptTimeout: 500 })
        yield* until("it opens", scheduler.breakers.state("bad"), isOpen)
        // What was under way when it opened ends.
        yield* Effect.sleep("150 millis")
        const before = endpoint.of("bad").length
        expect(before).toBeLessThanOrEqual(3 * concurrency + quick.minimumCalls)
        const others = yield* many(scheduler, good, 20)
        yield* Effect.sleep("1 second")
        // Five a second, and one that was due already.
        const probes = endpoint.of("bad").length - before
        expect(probes).toBeGreaterThanOrEqual(1)
        expect(probes).toBeLessThanOrEqual(8)
        for (const { id } of others) expect((yield* ended(scheduler, id)).attempts.length).toBe(1)
        expect(yield* stateOf(scheduler, "good")).toBe("closed")
        isWell = true
        for (const { id } of tasks) expect((yield* ended(scheduler, id)).status).toBe("Succeeded")
        expect(yield* stateOf(scheduler, "bad")).toBe("closed")
        expect(transitions[0]).toMatchObject({ functionName: "bad", from: "closed", to: "open" })
        expect(transitions.at(-1)).toMatchObject({ functionName: "bad", to: "closed" })
        // What is held back costs no attempt.
        const spent = (yield* agreed(scheduler, endpoint))
          .filter((task) => task.function.name === "bad")
          .reduce((sum, task) => sum + spentAttempts(task), 0)
        // A call that was given up at its timeout may have left without arriving.
        expect(spent).toBeLessThanOrEqual(endpoint.of("bad").length + 3)
      })
  )

  it.scopedLive.each<[what: string, answer: Answer]>([
    ["400", failure(400, "InvalidRequestContentException", "No")],
    ["403", failure(403, "AccessDeniedException", "No")],
    ["404", failure(404, "ResourceNotFoundException", "No")],
    ["429", throttle("ReservedFunctionInvocationRateLimitExceeded")]
  ])("F41: what the caller is to blame for, or a throttle, opens nothing: %s", ([, answer]) =>
    Effect.gen(function*() {
      const { endpoint, scheduler, transitions } = yield* setUp({ bad: () => answer })
      yield* many(scheduler, bad, 30, { ...atOnce, maxAttempts: 1 })
      const calls = Effect.sync(() => endpoint.of("bad").length)
      yield* until("there are enough to open it", calls, (count) => count > quick.minimumCalls)
      yield* Effect.sleep("200 millis")
      expect(yield* stateOf(scheduler, "bad")).toBe("closed")
      expect(transitions).toEqual([])
    }))

  it.scopedLive("F41: one instance's breaker is the other's as well (PostgreSQL)", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      let isWell = false
      const endpoint = yield* scriptedEndpoint({ bad: () => isWell ? ok() : outage })
      const options = {
        store: postgresIn(schema),
        settings: { ...settings, breaker: { ...quick, openFor: 4_000, longestOpen: 4_000 } }
      }
      const [one, other] = yield* Effect.all([launch(endpoint, options), launch(endpoint, options)])
      yield* many(one, bad, 20)
      yield* until("it opens here", one.breakers.state("bad"), isOpen)
      yield* until("and there", other.breakers.state("bad"), isOpen)
      // A heartbeat, and what was under way.
      yield* Effect.sleep("1700 millis")
      const before = endpoint.of("bad").length
      yield* many(other, bad, 20)
      yield* Effect.sleep("500 millis")
      expect(endpoint.of("bad").length - before).toBeLessThanOrEqual(1)
      isWell = true
      yield* until("all have ended", one.list({ status: ["Scheduled", "Running"] }), ({ items }) => items.length === 0)
      const tasks = yield* agreed(one, endpoint)
      expect(tasks.filter(({ status }) => status === "Succeeded").length).toBe(40)
    }))
})

describe("F42: a function that throws", () => {
  it.scopedLive("F42: was reached: it opens nothing", () =>
    Effect.gen(function*() {
      const { endpoint, scheduler, transitions } = yield* setUp({ bad: () => threw("TypeError") })
      const tasks = yield* many(scheduler, bad, 30, { ...atOnce, maxAttempts: 1 })
      for (const { id } of tasks) expect((yield* ended(scheduler, id)).status).toBe("Failed")
      expect(endpoint.of("bad").length).toBe(30)
      expect(yield* stateOf(scheduler, "bad")).toBe("closed")
      expect(transitions).toEqual([])
    }))

  it.scopedLive("F42: unless the user says that it counts", () =>
    Effect.gen(function*() {
      let isWell = false
      const { endpoint, scheduler } = yield* setUp({ bad: () => isWell ? ok() : threw("DatabaseDown") }, {
        settings: {
          classify: (result) =>
            result instanceof InvocationError && result.errorType === "DatabaseDown" ? "failure" : "success"
        }
      })
      const tasks = yield* many(scheduler, bad, 30)
      yield* until("it opens", scheduler.breakers.state("bad"), isOpen)
      expect(endpoint.of("bad").length).toBeLessThanOrEqual(3 * concurrency + quick.minimumCalls)
      isWell = true
      for (const { id } of tasks) expect((yield* ended(scheduler, id)).status).toBe("Succeeded")
    }))
})

describe("F55: the way to AWS, for all functions alike", () => {
  it.scopedLive("F55: an address that nobody listens at opens it; nothing is spent; when it is there all run", () =>
    Effect.gen(function*() {
      const port = Number(new URL((yield* Effect.scoped(plainEndpoint(() => undefined))).url).port)
      const scheduler = yield* launchAt(`http://127.0.0.1:${port}`, { settings, clock: fasterBy(10) })
      const transitions = yield* watch(scheduler)
      const retry = { ...atOnce, maxAttempts: 1 }
      const tasks = [...(yield* many(scheduler, bad, 20, retry)), ...(yield* many(scheduler, good, 20, retry))]
      yield* until("it opens", scheduler.breakers.state(""), isOpen)
      // Of the way, not of the functions.
      expect(yield* Effect.forEach(["bad", "good"], (name) => stateOf(scheduler, name))).toEqual(["closed", "closed"])
      yield* Effect.sleep("300 millis")
      const tried = yield* scheduler.list()
      const attempts = tried.items.reduce((sum, task) => sum + task.attempts.length, 0)
      // Three seconds of its clock: what opened it, and 15 probes.
      expect(attempts).toBeLessThanOrEqual(3 * concurrency + quick.minimumCalls + 25)
      const endpoint = yield* scriptedEndpoint({}, { port })
      for (const { id } of tasks) {
        const task = yield* ended(scheduler, id)
        expect([task.status, spentAttempts(task)]).toEqual(["Succeeded", 1])
      }
      expect(transitions[0]).toMatchObject({ functionName: "", from: "closed", to: "open" })
      expect(yield* stateOf(scheduler, "")).toBe("closed")
      yield* agreed(scheduler, endpoint)
    }))

  it.scopedLive("F55: so do credentials that cannot be had: the provider is not asked in a storm", () =>
    Effect.gen(function*() {
      let asked = 0
      let isWell = false
      const { endpoint, scheduler } = yield* setUp({}, {
        clock: fasterBy(10),
        aws: {
          credentials: () => {
            asked++
            return isWell
              ? Promise.resolve({ accessKeyId: "AKIA", secretAccessKey: "s" })
              : Promise.reject(Object.assign(new Error("no providers"), { name: "CredentialsProviderError" }))
          }
        }
      })
      const tasks = yield* many(scheduler, good, 40, { ...atOnce, maxAttempts: 1 })
      yield* until("it opens", scheduler.breakers.state(""), isOpen)
      yield* Effect.sleep("100 millis")
      const before = asked
      yield* Effect.sleep("300 millis")
      expect(asked - before).toBeLessThanOrEqual(25)
      expect(endpoint.log).toEqual([])
      isWell = true
      for (const { id } of tasks) {
        const task = yield* ended(scheduler, id)
        expect([task.status, spentAttempts(task)]).toEqual(["Succeeded", 1])
        expect(new Set(reasonsOf(task).slice(0, -1))).toEqual(
          task.attempts.length === 1 ? new Set() : new Set(["MissingCredentials"])
        )
      }
      yield* agreed(scheduler, endpoint)
    }))
})

/** `FAULTS_OUTAGE=5000` for as many as there may be. */
const due = Effect.runSync(Config.withDefault(Config.integer("FAULTS_OUTAGE"), 1_000))

describe("F56: a region that is out", () => {
  it.scopedLive(
    `F56: ${due} due of ten functions: few calls meanwhile, and all run once it is back`,
    () =>
      Effect.gen(function*() {
        const names = Array.from({ length: 10 }, (_, index) => `function-${index}`)
        let isBack = false
        const script: FunctionScript = () => isBack ? ok() : outage
        const { endpoint, scheduler } = yield* setUp(Object.fromEntries(names.map((name) => [name, script])), {
          settings: { concurrency: 50 }
        })
        const begun = now()
        for (const name of names) yield* many(scheduler, LambdaFunction.existing(name), due / names.length)
        yield* Effect.forEach(names, (name) => until(`${name} opens`, scheduler.breakers.state(name), isOpen), {
          concurrency: "unbounded"
        })
        yield* Effect.sleep("3 seconds")
        const seconds = (now() - begun) / 1_000
        for (const name of names) {
          const calls = endpoint.of(name).length
          // What opened it, what was under way then, and five probes a second.
          expect(calls, name).toBeLessThanOrEqual(quick.minimumCalls + 50 + 5 * seconds)
        }
        const probed = endpoint.log.filter(({ at }) => at > now() - 1_000).length
        expect(probed).toBeGreaterThan(0)
        expect(probed).toBeLessThanOrEqual(names.length * 8)
        isBack = true
        const backAt = now()
        // Longer than `until` waits: the calls themselves take their time.
        yield* Effect.delay(scheduler.list({ status: ["Scheduled", "Running"] }, { limit: 1 }), "50 millis").pipe(
          Effect.repeat({ until: ({ items }) => items.length === 0 }),
          Effect.timeout("60 seconds")
        )
        const firsts = names.map((name) =>
          endpoint.of(name).filter(({ at, answered }) => at > backAt && answered !== outage)[1]?.at ?? Infinity
        )
        // Open no more, long before the minute that it may take.
        expect(Math.max(...firsts) - backAt).toBeLessThan(10_000)
        const tasks = yield* agreed(scheduler, endpoint)
        expect(tasks.filter(({ status }) => status !== "Succeeded")).toEqual([])
        expect(tasks.length).toBe(due)
      }),
    90_000
  )
})

describe("F68: a probe that hangs", () => {
  it.scopedLive("F68: is given up on by its deadline; the next one closes the breaker", () =>
    Effect.gen(function*() {
      let mood: Answer | Broken = outage
      const { endpoint, scheduler, transitions } = yield* setUp({ bad: () => mood }, {
        settings: { breaker: { ...quick, probeDeadline: 400 } }
      })
      const tasks = yield* many(scheduler, bad, 10, { ...stubborn, attemptTimeout: "4 seconds" })
      yield* until("it opens", scheduler.breakers.state("bad"), isOpen)
      yield* Effect.sleep("50 millis")
      mood = "Nothing"
      const hung = () => endpoint.of("bad").filter(({ answered }) => answered === "Nothing").length
      yield* until("a probe hangs", Effect.sync(hung), (count) => count >= 1)
      const hungAt = now()
      mood = ok()
      yield* until("it closes", scheduler.breakers.state("bad"), (state) => !isOpen(state))
      const tookToClose = now() - hungAt
      expect(tookToClose).toBeGreaterThan(300)
      expect(tookToClose).toBeLessThan(3_000)
      for (const { id } of tasks) expect((yield* ended(scheduler, id)).status).toBe("Succeeded")
      expect(hung()).toBeGreaterThanOrEqual(1)
      const steps = transitions.map(({ to }) => to)
      expect(steps[0]).toBe("open")
      expect(steps.at(-1)).toBe("closed")
      yield* agreed(scheduler, endpoint)
    }))
})

/** Several local runtimes on one FunctionStore, as several servers on one database are. */
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Logger, Redacted, Scope } from "effect"
import { LocalLambdaClient } from "../../../src/adapters/local/index.ts"
import { TaskRepositoryError } from "../../../src/domain/Errors.ts"
import * as LambdaFunction from "../../../src/domain/LambdaFunction.ts"
import { FunctionStore } from "../../../src/ports/FunctionStore.ts"
import { LambdaClient } from "../../../src/ports/LambdaClient.ts"
import { rawZip } from "../../packaging/rawZip.ts"
import type { MemoryFunctionStore } from "../../support/memoryFunctionStore.ts"
import { memoryFunctionStore } from "../../support/memoryFunctionStore.ts"
import { client, request } from "./support.ts"

/** A runtime of its own on the store, until the scope closes. */
const instance = ({ store }: MemoryFunctionStore): Effect.Effect<LambdaClient["Type"], never, Scope.Scope> =>
  client().pipe(
    Layer.provide(Layer.succeed(FunctionStore, store)),
    Layer.build,
    Effect.map((context) => Context.get(context, LambdaClient))
  )

const version = (answer: unknown, options?: LambdaFunction.CodeOptions) =>
  LambdaFunction.inline("f", `export const handler = async () => ${JSON.stringify(answer)}`, options)
const pid = LambdaFunction.inline("f", "export const handler = async () => process.pid")

const invoke = (lambda: LambdaClient["Type"], name = "f") =>
  Effect.map(lambda.invoke(request(name)), ({ body }): unknown => JSON.parse(body.text))
const refusal = (lambda: LambdaClient["Type"], name = "f") => Effect.flip(lambda.invoke(request(name)))

const unavailable = new TaskRepositoryError({ reason: "Unavailable", message: "postgres is away" })

describe("functions in a store", () => {
  it.scopedLive("run on every instance, and after a restart, with their settings and secrets", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      const scope = yield* Scope.make()
      const a = yield* Scope.extend(instance(shared), scope)
      const source = "export const handler = async () => [process.env.TOKEN, process.env.PLAIN]"
      const options = { environment: { TOKEN: Redacted.make("s3cret"), PLAIN: "plain" } }
      expect((yield* a.deploy(LambdaFunction.inline("f", source, options))).change).toBe("created")
      const b = yield* instance(shared)
      expect(yield* invoke(b)).toEqual(["s3cret", "plain"])
      yield* Scope.close(scope, Exit.void)
      const restarted = yield* instance(shared)
      expect(yield* invoke(restarted)).toEqual(["s3cret", "plain"])
    }))

  it.scopedLive("an update by another instance is used within a second, and one of our own at once", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      const a = yield* instance(shared)
      const b = yield* instance(shared)
      yield* a.deploy(version(1))
      expect([yield* invoke(a), yield* invoke(b)]).toEqual([1, 1])
      expect((yield* a.deploy(version(2))).change).toBe("updated")
      expect(yield* invoke(a)).toBe(2)
      yield* Effect.sleep("1 second")
      expect(yield* invoke(b)).toBe(2)
      // Settings are part of what a function is.
      expect((yield* b.deploy(version(2, { environment: { NEW: "1" } }))).change).toBe("updated")
      expect((yield* a.deploy(version(2, { environment: { NEW: "1" } }))).change).toBe("unchanged")
      expect((yield* a.deploy(version(3))).change).toBe("updated")
      expect((yield* b.deploy(version(3))).change).toBe("unchanged")
      expect(yield* invoke(b)).toBe(3)
    }))

  it.scopedLive("the store is asked once a second at the most, and warm processes stay", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      const a = yield* instance(shared)
      const b = yield* instance(shared)
      yield* a.deploy(pid)
      const first = yield* invoke(b)
      expect(shared.calls).toEqual({ put: 1, get: 1, versionOf: 0, remove: 0 })
      const [elapsed] = yield* Effect.timed(Effect.repeatN(
        Effect.tap(invoke(b), (answer) => {
          expect(answer).toBe(first)
        }),
        300
      ))
      expect(shared.calls.versionOf).toBeLessThanOrEqual(Math.ceil(Duration.toMillis(elapsed) / 1_000))
      yield* Effect.sleep("1 second")
      const asked = shared.calls.versionOf
      expect(yield* invoke(b)).toBe(first)
      expect(yield* invoke(b)).toBe(first)
      expect(shared.calls).toEqual({ put: 1, get: 1, versionOf: asked + 1, remove: 0 })
      // The same deployed again is no news to anybody.
      expect((yield* b.deploy(pid)).change).toBe("unchanged")
      yield* Effect.sleep("1 second")
      expect(yield* invoke(b)).toBe(first)
      expect(shared.calls.get).toBe(1)
    }))

  it.scopedLive("a function that is removed is gone everywhere within a second, and can come back", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      const a = yield* instance(shared)
      const b = yield* instance(shared)
      expect((yield* refusal(a)).reason).toBe("NotFound")
      yield* a.deploy(version(1))
      expect(yield* invoke(b)).toBe(1)
      yield* a.remove("f")
      yield* a.remove("f")
      expect((yield* refusal(a)).reason).toBe("NotFound")
      yield* Effect.sleep("1 second")
      expect((yield* refusal(b)).reason).toBe("NotFound")
      // That it is not there is not remembered.
      expect((yield* a.deploy(version(1))).change).toBe("created")
      expect(yield* invoke(b)).toBe(1)
    }))

  it.scopedLive("is fetched and installed once for many calls at a time, whoever of them gives up", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      yield* Effect.flatMap(instance(shared), (a) => a.deploy(version(1)))
      const release = yield* Deferred.make<void>()
      shared.before = (call) => call === "get" ? Deferred.await(release) : Effect.void
      const b = yield* instance(shared)
      const first = yield* Effect.fork(invoke(b))
      yield* Effect.sleep("50 millis")
      const others = yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.fork(invoke(b)))
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(release, undefined)
      expect(yield* Effect.forEach(others, Fiber.join)).toEqual([1, 1, 1, 1, 1])
      expect(shared.calls.get).toBe(1)
    }))

  it.scopedLive(
    "one that cannot be read or unpacked is a typed failure, until it is deployed again",
    () =>
      Effect.gen(function*() {
        const shared = memoryFunctionStore()
        const a = yield* instance(shared)
        const broken = [
          "unreadable",
          Uint8Array.of(1, 2, 3),
          rawZip([{ name: "../evil.js", data: "" }])
        ] as const
        for (const damage of broken) {
          yield* a.deploy(version(1))
          shared.tamper("f", (fn) => damage === "unreadable" ? damage : { ...fn, zip: damage })
          const b = yield* instance(shared)
          const error = yield* refusal(b)
          expect([error._tag, error.reason, error.outcome]).toEqual(["InvocationError", "Rejected", "failed"])
          // Also where it ran before.
          yield* Effect.sleep("1 second")
          expect((yield* refusal(a)).reason).toBe("Rejected")
          yield* b.deploy(version(2))
          expect(yield* invoke(b)).toBe(2)
          yield* Effect.sleep("1 second")
          expect(yield* invoke(a)).toBe(2)
        }
      }),
    60_000
  )

  it.scopedLive("while the store is away, what is installed runs on; the rest was not sent", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      const a = yield* instance(shared)
      const b = yield* instance(shared)
      yield* a.deploy(pid)
      const first = yield* invoke(a)
      for (const failure of [unavailable, Effect.never]) {
        shared.before = () => failure
        yield* Effect.sleep("1 second")
        expect(yield* invoke(a)).toBe(first)
        const [elapsed] = yield* Effect.timed(Effect.repeatN(invoke(a), 5))
        expect(Duration.toMillis(elapsed)).toBeLessThan(900)
        const error = yield* Effect.flip(b.invoke(request("f", "{}", { timeout: 500 })))
        expect([error.reason, error.outcome]).toEqual(["Unreachable", "notSent"])
        expect(error.message).not.toContain("postgres")
      }
      shared.before = () => unavailable
      const deployment = yield* Effect.flip(a.deploy(version(2)))
      expect(deployment).toMatchObject({ _tag: "DeploymentError", reason: "Unreachable", functionName: "f" })
      expect(yield* Effect.flip(a.remove("f"))).toMatchObject({ _tag: "DeploymentError", reason: "Unreachable" })
      expect(yield* invoke(a)).toBe(first)
      shared.before = () => Effect.void
      expect((yield* a.deploy(version(2))).change).toBe("updated")
      expect(yield* invoke(a)).toBe(2)
    }))

  it.scopedLive("an instance that stops while it fetches ends at once", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      yield* Effect.flatMap(instance(shared), (a) => a.deploy(version(1)))
      shared.before = (call) => call === "get" ? Effect.never : Effect.void
      const scope = yield* Scope.make()
      const b = yield* Scope.extend(instance(shared), scope)
      const waiting = yield* Effect.fork(invoke(b))
      yield* Effect.sleep("50 millis")
      yield* Effect.timeout(Scope.close(scope, Exit.void), "2 seconds")
      const exit = yield* Effect.timeout(Fiber.await(waiting), "2 seconds")
      expect(Exit.isFailure(exit)).toBe(true)
    }))

  it.scopedLive("secrets are not logged", () =>
    Effect.gen(function*() {
      const shared = memoryFunctionStore()
      const lines: Array<string> = []
      const canary = "c4n4ry"
      const logs = Logger.replace(
        Logger.defaultLogger,
        Logger.map(Logger.jsonLogger, (line) => {
          lines.push(line)
        })
      )
      const layer = LocalLambdaClient.layer.pipe(
        Layer.provide(Layer.succeed(FunctionStore, shared.store)),
        Layer.provideMerge(logs)
      )
      yield* Effect.gen(function*() {
        const lambda = yield* LambdaClient
        yield* lambda.deploy(version(1, { environment: { TOKEN: Redacted.make(canary) } }))
        shared.tamper("f", (fn) => ({ ...fn, zip: Buffer.from(canary) }))
        yield* Effect.sleep("1 second")
        yield* Effect.logInfo("error", yield* refusal(lambda))
        shared.before = () => unavailable
        yield* Effect.logInfo("error", yield* Effect.flip(lambda.deploy(version(2))))
      }).pipe(Effect.provide(layer))
      expect(lines.filter((line) => line.includes("The function store failed")).length).toBeGreaterThan(1)
      expect(lines.join("\n")).not.toContain(canary)
    }))
})

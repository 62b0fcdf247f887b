import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import * as LambdaFunction from "../../src/domain/LambdaFunction.ts"
import type { InvokeRequest } from "../../src/ports/LambdaClient.ts"
import { LambdaClient } from "../../src/ports/LambdaClient.ts"
import type { Script, ScriptOptions } from "../../src/testing/index.ts"
import { ScriptedLambdaClient, VirtualClock } from "../../src/testing/index.ts"

const request = (name: string, payload: unknown = {}, more: Partial<InvokeRequest> = {}): InvokeRequest => ({
  target: { name, arn: undefined, qualifier: undefined, timeout: 3_000 },
  payload: JSON.stringify(payload),
  type: "RequestResponse",
  clientContext: undefined,
  notAfter: Infinity,
  timeout: 13_000,
  ...more
})

const invoke = (name: string, payload?: unknown, more?: Partial<InvokeRequest>) =>
  Effect.flatMap(LambdaClient, (lambda) => lambda.invoke(request(name, payload, more)))

const textOf = (name: string, payload?: unknown, more?: Partial<InvokeRequest>) =>
  Effect.map(invoke(name, payload, more), ({ body }) => body.text)

const scripted = (scripts?: Readonly<Record<string, Script>>, options?: ScriptOptions) =>
  Effect.provide(ScriptedLambdaClient.layer(scripts, options).pipe(Layer.provideMerge(VirtualClock.layer)))

const start = VirtualClock.defaultStart

describe("ScriptedLambdaClient", () => {
  it.effect("answers null where there is no script", () =>
    Effect.gen(function*() {
      expect(yield* textOf("anything")).toBe("null")
      expect(yield* textOf("toString")).toBe("null")
      expect(yield* textOf("quiet")).toBe("null")
    }).pipe(scripted({ quiet: () => undefined })))

  it.effect("answers what the script says: a value, or an Effect that takes its time", () =>
    Effect.gen(function*() {
      expect(yield* textOf("hello", { name: "Ada" })).toBe(`{"hi":"Ada"}`)
      expect(yield* textOf("slow")).toBe(`"done"`)
      expect(yield* Clock.currentTimeMillis).toBe(start + 2_000)
      expect(yield* textOf("hello", { name: "Ada" }, { type: "Event" })).toBe("")
    }).pipe(scripted({
      hello: ({ payload }: { payload: { name: string } }) => ({ hi: payload.name }),
      slow: () => Effect.as(Effect.sleep("2 seconds"), "done")
    })))

  it.effect("fails as the script says, counting the calls of each function", () =>
    Effect.gen(function*() {
      const throttled = yield* Effect.flip(invoke("flaky"))
      expect([throttled.reason, throttled.outcome]).toEqual(["Throttled", "throttled"])
      yield* invoke("other")
      expect(yield* textOf("flaky")).toBe("2")
      const failed = yield* Effect.flip(invoke("throws"))
      expect([failed.reason, failed.errorType, failed.message]).toEqual(["FunctionError", "RangeError", "too far"])
    }).pipe(scripted({
      flaky: ({ number }) => number === 1 ? ScriptedLambdaClient.fail("Throttled") : number,
      throws: () => {
        throw new RangeError("too far")
      }
    })))

  it.effect("ends a function that overruns its own timeout, as Lambda does", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(invoke("stuck"))
      expect([error.reason, error.errorType, error.message]).toEqual([
        "FunctionTimeout",
        "Sandbox.Timedout",
        "Task timed out after 3.00 seconds"
      ])
      expect(yield* Clock.currentTimeMillis).toBe(start + 3_000)
    }).pipe(scripted({ stuck: () => Effect.never })))

  it.effect("gives up an answer that takes longer than it is waited for", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(invoke("stuck", {}, { timeout: 2_000 }))
      expect([error.reason, error.outcome, error.message]).toEqual(["NoAnswer", "unknown", "No answer within 2000 ms"])
      expect(yield* Clock.currentTimeMillis).toBe(start + 2_000)
    }).pipe(scripted({ stuck: () => Effect.never })))

  it.effect("sends nothing after notAfter", () =>
    Effect.gen(function*() {
      const lambda = yield* ScriptedLambdaClient
      expect((yield* Effect.flip(invoke("hello", {}, { notAfter: start - 1 }))).outcome).toBe("notSent")
      expect(yield* lambda.invocations).toEqual([])
      yield* invoke("hello", {}, { notAfter: start })
      expect(yield* lambda.invocations).toHaveLength(1)
    }).pipe(scripted()))

  it.effect("refuses functions without a script where asked to", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(invoke("suprise"))
      expect([error.reason, error.message]).toEqual(["NotFound", "Function suprise has no script"])
      expect(yield* textOf("known")).toBe("1")
    }).pipe(scripted({ known: () => 1 }, { unscripted: "refuse" })))

  it.effect("records every invocation with its instants and its outcome", () =>
    Effect.gen(function*() {
      const lambda = yield* ScriptedLambdaClient
      yield* Effect.exit(invoke("fails", { n: 1 }))
      yield* Effect.sleep("1 hour")
      const running = yield* Effect.fork(invoke("slow", { n: 2 }))
      const aborted = yield* Effect.fork(invoke("slow", { n: 3 }))
      yield* Effect.sleep("1 second")
      const early = yield* lambda.invocationsOf("slow")
      yield* Fiber.interrupt(aborted)
      yield* Fiber.join(running)
      const hour = start + 3_600_000
      const seen = (yield* lambda.invocations).map(({ at, endedAt, functionName, number, outcome, payload }) => [
        functionName,
        number,
        at,
        endedAt,
        outcome,
        payload as unknown
      ])
      expect(seen).toEqual([
        ["fails", 1, start, start, "NotFound", { n: 1 }],
        ["slow", 1, hour, hour + 2_000, "succeeded", { n: 2 }],
        ["slow", 2, hour, hour + 1_000, "interrupted", { n: 3 }]
      ])
      // What was read before is not changed by what happens later.
      expect(early.map((invocation) => invocation.outcome)).toEqual(["running", "running"])
      yield* lambda.clear
      yield* invoke("slow")
      expect((yield* lambda.invocations).map((invocation) => invocation.number)).toEqual([1])
    }).pipe(scripted({
      fails: () => ScriptedLambdaClient.fail("NotFound"),
      slow: () => Effect.sleep("2 seconds")
    })))

  it.effect("tells created, updated and unchanged code apart, and records removals", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const records = yield* ScriptedLambdaClient
      const v1 = LambdaFunction.inline("f", "export const handler = async () => 1", { timeout: "5 seconds" })
      const v2 = LambdaFunction.files("f", { "index.mjs": new Uint8Array([1]) })
      const secret = (value: string) => LambdaFunction.inline("f", "", { environment: { KEY: Redacted.make(value) } })
      expect(yield* lambda.deploy(v1)).toMatchObject({ change: "created", target: { name: "f", timeout: 5_000 } })
      yield* lambda.deploy(v1)
      yield* lambda.deploy(v2)
      yield* lambda.deploy(secret("one"))
      yield* lambda.deploy(secret("two"))
      yield* lambda.remove("f")
      yield* lambda.deploy(v2)
      expect((yield* records.deployments).map(({ change }) => change)).toEqual([
        "created",
        "unchanged",
        "updated",
        "updated",
        "updated",
        "created"
      ])
      expect(yield* records.removals).toEqual([{ at: start, functionName: "f" }])
    }).pipe(scripted()))

  it.effect("refuses a function that no client would deploy", () =>
    Effect.gen(function*() {
      const lambda = yield* LambdaClient
      const exit = yield* Effect.exit(lambda.deploy(LambdaFunction.inline("no spaces", "")))
      expect(exit).toMatchObject(Exit.fail({ _tag: "InvalidInput", reason: "NamePattern" }))
    }).pipe(scripted()))
})

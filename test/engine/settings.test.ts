/** Settings that nothing could work by are refused before anything works. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { EngineSettings } from "../../src/index.ts"
import { EngineConfig, LambdaScheduler } from "../../src/index.ts"
import { engine } from "./support.ts"

const { breaker, limiter } = EngineConfig.defaults

describe("EngineConfig", () => {
  it.effect.each<[field: string, settings: Partial<EngineSettings>]>([
    ["concurrency", { concurrency: -1 }],
    ["concurrency", { concurrency: 1.5 }],
    ["minConcurrency", { minConcurrency: Number.NaN }],
    ["horizon", { horizon: Number.POSITIVE_INFINITY }],
    ["retentionAge", { retentionAge: Number.POSITIVE_INFINITY }],
    ["leaseDuration", { leaseDuration: "6 seconds" as unknown as number }],
    ["breaker.window", { breaker: { ...breaker, window: 0 } }],
    ["breaker.minimumCalls", { breaker: { ...breaker, minimumCalls: 0 } }],
    ["breaker.failureRate", { breaker: { ...breaker, failureRate: 0 } }],
    ["breaker.failureRate", { breaker: { ...breaker, failureRate: 1.1 } }],
    ["breaker.openFor", { breaker: { ...breaker, openFor: Number.NaN } }],
    ["breaker.probes", { breaker: { ...breaker, probes: 0 } }],
    ["limiter.least", { limiter: { ...limiter, least: -1 } }],
    ["limiter.most", { limiter: { ...limiter, most: Number.NaN } }]
  ])("%s is refused: %o", ([field, settings]) =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(Effect.scoped(Layer.build(engine({}, settings))))
      assert.deepInclude({ ...refused }, { _tag: "InvalidInput", reason: "OptionInvalid", field })
    }))

  it.effect("what bounds nothing may be Infinity", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      assert.deepStrictEqual(yield* scheduler.breakers.open, {})
    }).pipe(Effect.provide(engine({}, {
      breaker: { ...breaker, minimumCalls: Infinity, windowAge: Infinity },
      limiter: { least: 1, most: Infinity }
    }))))
})

/** The scheduler in virtual time: long spans, exact counts, exact instants. */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { RecurringTrigger } from "../../src/domain/Trigger.ts"
import { LambdaFunction, LambdaScheduler, Trigger } from "../../src/index.ts"
import type { Script } from "../../src/testing/index.ts"
import { ScriptedLambdaClient, VirtualClock } from "../../src/testing/index.ts"

const second = 1_000
const hour = 3_600 * second
const day = 24 * hour
const start = VirtualClock.defaultStart

const live = (script: Script) =>
  LambdaScheduler.layer.pipe(
    Layer.provide(MemoryTaskRepository.layer),
    Layer.provideMerge(ScriptedLambdaClient.layer({ report: script })),
    Layer.provideMerge(VirtualClock.layer)
  )

/** When a schedule's invocations began, within a span of time that excludes its end. */
const instants = (trigger: RecurringTrigger, span: number, script: Script = () => "done") =>
  Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    const lambda = yield* ScriptedLambdaClient
    yield* scheduler.repeat(LambdaFunction.existing("report"), { trigger })
    yield* Effect.sleep(span - 1)
    expect(yield* Clock.currentTimeMillis).toBe(start + span - 1)
    return (yield* lambda.invocations).map(({ at }) => at)
  }).pipe(Effect.provide(live(script)))

const every = (interval: number, count: number) => Array.from({ length: count }, (_, k) => start + k * interval)

describe("in virtual time", () => {
  it.live("a day of every 10 seconds", () =>
    Effect.gen(function*() {
      expect(yield* instants(Trigger.fixed("10 seconds"), day)).toEqual(every(10 * second, 8_640))
    }))

  it.live("a day of 10 seconds between runs of 2", () =>
    Effect.gen(function*() {
      const slow = () => Effect.sleep("2 seconds")
      expect(yield* instants(Trigger.spaced("10 seconds"), day, slow)).toEqual(every(12 * second, 7_200))
    }))

  it.live("a year of every hour", () =>
    Effect.gen(function*() {
      expect(yield* instants(Trigger.fixed("1 hour"), 365 * day)).toEqual(every(hour, 8_760))
    }))

  it.live("a year of every day", () =>
    Effect.gen(function*() {
      expect(yield* instants(Trigger.fixed("1 day"), 365 * day)).toEqual(every(day, 365))
    }))
})

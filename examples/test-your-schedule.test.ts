/**
 * How to test a schedule without waiting: a month of it on a virtual clock, with a function that fails now and then.
 *
 *     npx vitest run examples
 */
import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { LambdaFunction, LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import { ScriptedLambdaClient, VirtualClock } from "effect-lambda-scheduler/testing"

/** The code under test: what the application does at its start. */
const report = LambdaFunction.existing("nightly-report")
const startReports = Effect.flatMap(LambdaScheduler, (scheduler) =>
  scheduler.repeat(report, {
    payload: { format: "pdf" },
    trigger: Trigger.fixed("1 day"),
    initialDelay: "2 hours",
    retry: { maxAttempts: 3, baseDelay: "1 minute" }
  }))

const Test = LambdaScheduler.layer.pipe(
  Layer.provideMerge(Layer.merge(
    MemoryTaskRepository.layer,
    // Every tenth call fails.
    ScriptedLambdaClient.layer({
      "nightly-report": ({ number }) => number % 10 === 0 ? ScriptedLambdaClient.fail("ServiceError") : { pages: 7 }
    })
  )),
  Layer.provideMerge(VirtualClock.layerAt("2026-01-01T00:00:00Z"))
)

it.live("a report every night of January at two, and a second attempt where the first has failed", () =>
  Effect.gen(function*() {
    yield* startReports
    yield* Effect.sleep("31 days")

    const client = yield* ScriptedLambdaClient
    const calls = yield* client.invocationsOf("nightly-report")
    const succeeded = calls.filter((call) => call.outcome === "succeeded")
    assert.strictEqual(succeeded.length, 31)
    assert.strictEqual(calls.length, 34)
    assert.isTrue(succeeded.every((call) => call.payload.format === "pdf"))
    assert.isTrue(succeeded.every((call) => DateTime.getPartUtc(DateTime.unsafeMake(call.at), "hours") === 2))
  }).pipe(Effect.provide(Test)))

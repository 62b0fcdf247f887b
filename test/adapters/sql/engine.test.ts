import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlTaskRepository } from "../../../src/adapters/sql/index.ts"
import { LambdaFunction, LambdaScheduler, Trigger } from "../../../src/index.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections } from "./support.ts"

const job = LambdaFunction.existing("job")

const engine = (schema: string) =>
  LambdaScheduler.layer.pipe(
    Layer.provideMerge(Layer.merge(
      SqlTaskRepository.layerOptions({ schema }).pipe(Layer.provide(connections())),
      ScriptedLambdaClient.layer({ job: () => "done" })
    ))
  )

describe("the engine on PostgreSQL", () => {
  it.live("runs what is due now and soon, and awaits it", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const now = yield* scheduler.schedule(job)
      const soon = yield* scheduler.schedule(job, { trigger: Trigger.after("1 second") })
      assert.strictEqual(yield* scheduler.awaitResult(now.id), "done")
      assert.strictEqual(yield* scheduler.awaitResult(soon.id), "done")
      const ended = yield* scheduler.get(soon.id)
      assert.strictEqual(ended.attempts.length, 1)
      assert.isAtLeast(ended.attempts[0]?.startedAt ?? 0, ended.dueAt)
      yield* scheduler.ready
    }).pipe(Effect.provide(engine(freshSchemaName()))))

  it.live("repeats", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const schedule = yield* scheduler.repeat(job, { trigger: Trigger.fixed("1 second"), maxRuns: 3 })
      yield* Effect.sleep("3500 millis")
      const { items } = yield* scheduler.list({ scheduleId: schedule.id })
      assert.deepStrictEqual(items.map((task) => task.nominalAt - schedule.createdAt), [2_000, 1_000, 0])
      assert.strictEqual((yield* scheduler.getSchedule(schedule.id)).status, "Completed")
      const spaced = yield* scheduler.repeat(job, { trigger: Trigger.spaced("1 second"), maxRuns: 2 })
      yield* Effect.sleep("2500 millis")
      assert.strictEqual((yield* scheduler.getSchedule(spaced.id)).status, "Completed")
    }).pipe(Effect.provide(engine(freshSchemaName()))))
})

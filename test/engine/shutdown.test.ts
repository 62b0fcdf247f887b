import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope, TestClock } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { EngineSettings, Task, TaskRepository } from "../../src/index.ts"
import { EngineConfig, LambdaClient, LambdaScheduler, Trigger } from "../../src/index.ts"
import type { Script } from "../../src/testing/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { down, quiet, storeWith } from "./brokenStore.ts"
import { engine, job, other, settleDown } from "./support.ts"

/** An engine with a scope of its own, on a store that outlives it. */
const opened = (
  scripts: Readonly<Record<string, Script>>,
  settings: Partial<EngineSettings> = {},
  store: Layer.Layer<TaskRepository> = MemoryTaskRepository.layer
) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      engine(scripts, { shutdownGrace: 30_000, ...settings }, store).pipe(Layer.provide(quiet)),
      scope
    )
    const close = Scope.close(scope, Exit.void)
    return { scheduler: Context.get(context, LambdaScheduler), context, close }
  })

const unowned = (task: Task) => assert.deepInclude(task, { status: "Scheduled", owner: undefined })

describe("a shutdown hands back", () => {
  it.effect("what schedules wait for", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened({})
      yield* scheduler.repeat(job, { trigger: Trigger.fixed("1 hour") })
      yield* scheduler.repeat(job, { trigger: Trigger.spaced("1 hour") })
      yield* TestClock.adjust("1 second")
      yield* close
      const waiting = (yield* scheduler.list({ status: ["Scheduled"] })).items
      assert.strictEqual(waiting.length, 2)
      waiting.forEach(unowned)
    }))

  it.effect("retries and occurrences that come of what still runs", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened({
        job: () => Effect.zipRight(Effect.sleep("5 seconds"), ScriptedLambdaClient.fail("FunctionError")),
        other: () => Effect.sleep("5 seconds")
      })
      const failing = yield* scheduler.schedule(job)
      const { id } = yield* scheduler.repeat(other, { trigger: Trigger.spaced("1 minute") })
      yield* settleDown
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      unowned(yield* scheduler.get(failing.id))
      const [next] = (yield* scheduler.list({ scheduleId: id, status: ["Scheduled"] })).items
      if (next === undefined) return assert.fail("the schedule has its next occurrence")
      unowned(next)
    }))

  it.effect("what was interrupted when the grace was over", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened({ job: () => Effect.never }, { shutdownGrace: 1_000 })
      const { id } = yield* scheduler.schedule(job)
      yield* settleDown
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      unowned(yield* scheduler.get(id))
    }))

  it.effect("what waits for its start mark", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened(
        {},
        { shutdownGrace: 1_000 },
        storeWith(() => ({ start: () => down() }))
      )
      const { id } = yield* scheduler.schedule(job)
      yield* TestClock.adjust("10 seconds")
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      unowned(yield* scheduler.get(id))
    }))

  it.effect("so that another engine on the same store goes on with all of it", () =>
    Effect.gen(function*() {
      const first = yield* opened({ job: () => Effect.never }, { shutdownGrace: 1_000 })
      yield* first.scheduler.schedule(job)
      yield* first.scheduler.repeat(other, { trigger: Trigger.fixed("10 seconds"), initialDelay: "10 seconds" })
      yield* first.scheduler.repeat(other, { trigger: Trigger.spaced("10 seconds"), initialDelay: "15 seconds" })
      yield* settleDown
      const closing = yield* Effect.fork(first.close)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      const second = yield* opened({}, {}, Layer.succeedContext(first.context))
      yield* TestClock.adjust("34 seconds")
      const client = Context.get(second.context, ScriptedLambdaClient)
      assert.strictEqual((yield* client.invocationsOf("job")).length, 1)
      const instants = (yield* client.invocationsOf("other")).map(({ at }) => at)
      assert.deepStrictEqual(instants, [10_000, 15_000, 20_000, 25_000, 30_000, 35_000])
      yield* second.close
    }))

  it.effect("and claims nothing more, though things fall due while it waits for what runs", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened({ job: () => Effect.sleep("20 seconds") }, { horizon: 1_000 })
      yield* scheduler.schedule(job)
      const due = yield* scheduler.schedule(other, { trigger: Trigger.after("10 seconds") })
      yield* settleDown
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("15 seconds")
      unowned(yield* scheduler.get(due.id))
      assert.strictEqual((yield* scheduler.get(due.id)).token, due.token, "nobody has touched it")
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      unowned(yield* scheduler.get(due.id))
    }))
})

describe("a shutdown ends", () => {
  it.effect("though a run cannot be interrupted", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened({ job: () => Effect.uninterruptible(Effect.never) })
      yield* scheduler.schedule(job)
      yield* settleDown
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("36 seconds")
      assert.isNotNull(closing.unsafePoll())
    }))

  it.effect("though the store has gone away: while a start mark, an outcome and the claims wait for it", () => {
    let gone = false
    const store = storeWith((memory) => ({
      start: (...request) => gone ? down() : memory.start(...request),
      settle: (...request) => gone ? down() : memory.settle(...request),
      release: (...request) => gone ? down() : memory.release(...request)
    }))
    return Effect.gen(function*() {
      const { close, scheduler } = yield* opened({ job: () => Effect.sleep("2 seconds") }, {}, store)
      yield* scheduler.schedule(job)
      yield* scheduler.schedule(job, { trigger: Trigger.after("1 second") })
      yield* scheduler.schedule(job, { trigger: Trigger.after("50 seconds") })
      yield* settleDown
      gone = true
      yield* TestClock.adjust("3 seconds")
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("36 seconds")
      assert.isNotNull(closing.unsafePoll())
    })
  })

  it.effect("once, however often it is asked for", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened({ job: () => Effect.sleep("2 seconds") })
      const { id } = yield* scheduler.schedule(job)
      yield* settleDown
      const closing = yield* Effect.fork(Effect.all([close, close], { concurrency: 2 }))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      yield* close
      assert.strictEqual((yield* scheduler.get(id)).status, "Succeeded")
    }))

  it.effect("with a typed error for who waits for a result, then and later", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened({})
      const { id } = yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour") })
      const waiting = yield* Effect.fork(Effect.flip(scheduler.awaitResult(id)))
      yield* settleDown
      yield* close
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "SchedulerClosed")
      assert.strictEqual((yield* Effect.flip(scheduler.awaitResult(id)))._tag, "SchedulerClosed")
    }))

  it.effect("before a deployment does: nothing is stored after it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        LambdaScheduler.layer.pipe(
          Layer.provideMerge(Layer.merge(
            MemoryTaskRepository.layer,
            Layer.mock(LambdaClient, { description: "", region: undefined, deploy: () => Effect.never })
          )),
          Layer.provide(EngineConfig.layer({ shutdownGrace: 0 }))
        ),
        scope
      )
      const scheduler = Context.get(context, LambdaScheduler)
      const asking = yield* Effect.fork(Effect.all([
        Effect.flip(scheduler.schedule(job)),
        Effect.flip(scheduler.repeat(job, { trigger: Trigger.fixed("1 second") }))
      ], { concurrency: 2 }))
      yield* settleDown
      yield* Scope.close(scope, Exit.void)
      const errors = yield* Fiber.join(asking)
      assert.deepStrictEqual(errors.map((error) => error._tag), ["SchedulerClosed", "SchedulerClosed"])
      assert.deepStrictEqual((yield* scheduler.list()).items, [])
      assert.deepStrictEqual((yield* scheduler.listSchedules()).items, [])
    }))
})

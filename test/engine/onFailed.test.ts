import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  HashMap,
  Layer,
  Logger,
  LogLevel,
  Option,
  Scope,
  TestClock
} from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { EngineSettings, FailedTask, LambdaScheduler as Service, OnFailedOptions } from "../../src/index.ts"
import { EngineConfig, LambdaFunction, LambdaScheduler, OnFailed } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { job, other, settleDown } from "./support.ts"

interface Line {
  readonly level: string
  readonly message: string
  readonly taskId: unknown
}

/** An engine whose `job` fails for good, with its log and a scope of its own. */
const opened = (
  onFailed: (task: FailedTask) => Effect.Effect<unknown, unknown>,
  options: OnFailedOptions = {},
  settings: Partial<EngineSettings> = {}
) =>
  Effect.gen(function*() {
    const log: Array<Line> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      if (!LogLevel.greaterThanEqual(logLevel, LogLevel.Warning)) return
      const text = String(Array.isArray(message) ? message[0] : message)
      log.push({
        level: logLevel.label,
        message: text,
        taskId: Option.getOrUndefined(HashMap.get(annotations, "taskId"))
      })
    })
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      LambdaScheduler.layer.pipe(
        Layer.provide(Layer.merge(
          MemoryTaskRepository.layer,
          ScriptedLambdaClient.layer({
            job: () => ScriptedLambdaClient.fail("AccessDenied"),
            late: () => Effect.delay(ScriptedLambdaClient.fail("AccessDenied"), "2 seconds")
          })
        )),
        Layer.provide(OnFailed.layer(onFailed, options)),
        Layer.provide(EngineConfig.layer({ shutdownGrace: 0, ...settings })),
        Layer.provide(Logger.replace(Logger.defaultLogger, logger))
      ),
      scope
    )
    return { scheduler: Context.get(context, LambdaScheduler), log, close: Scope.close(scope, Exit.void) }
  })

const failing = (scheduler: Service["Type"], count: number) =>
  Effect.zipLeft(Effect.replicateEffect(scheduler.schedule(job), count), settleDown)

describe("onFailed", () => {
  it.effect("is called once for each Task that has failed for good, as it is stored, and for nothing else", () =>
    Effect.gen(function*() {
      const told: Array<FailedTask> = []
      const { close, scheduler } = yield* opened((task) => Effect.sync(() => void told.push(task)))
      const [one] = yield* failing(scheduler, 1)
      if (one === undefined) return assert.fail("there is one")
      yield* scheduler.schedule(other)
      yield* settleDown
      assert.deepStrictEqual(told, (yield* scheduler.deadLetters.list()).items)
      const { task } = yield* scheduler.deadLetters.redrive(one.id)
      yield* settleDown
      // A repetition that fails is told of as well, by its own id.
      assert.deepStrictEqual(told.map(({ id }) => id), [one.id, task.id])
      yield* close
    }))

  it.effect("needs what its Layer is given", () =>
    Effect.gen(function*() {
      class Pager
        extends Context.Tag("effect-lambda-scheduler/test/engine/onFailed.test/Pager")<Pager, Array<string>>()
      {}
      const paged: Array<string> = []
      const notify = (task: FailedTask) => Effect.map(Pager, (pager) => pager.push(task.failure.reason))
      const layer: Layer.Layer<never> = OnFailed.layer(notify).pipe(Layer.provide(Layer.succeed(Pager, paged)))
      yield* Effect.gen(function*() {
        yield* failing(yield* LambdaScheduler, 2)
      }).pipe(Effect.provide(
        LambdaScheduler.layer.pipe(
          Layer.provide(Layer.mergeAll(
            MemoryTaskRepository.layer,
            ScriptedLambdaClient.layer({ job: () => ScriptedLambdaClient.fail("AccessDenied") }),
            layer
          )),
          Layer.provide(EngineConfig.layer({ shutdownGrace: 0 }))
        )
      ))
      assert.deepStrictEqual(paged, ["AccessDenied", "AccessDenied"])
    }))

  it.effect("that fails, throws or dies is logged with the Task's id, and goes on with the next", () =>
    Effect.gen(function*() {
      let calls = 0
      const { close, log, scheduler } = yield* opened((task) => {
        calls++
        if (calls === 1) return Effect.fail("no")
        if (calls === 2) return Effect.die(new Error("boom"))
        if (calls === 3) throw new Error(task.id)
        return Effect.interrupt
      }, { concurrency: 1 })
      const tasks = yield* failing(scheduler, 4)
      assert.strictEqual(calls, 4)
      assert.deepStrictEqual(
        log,
        tasks.map(({ id }) => ({ level: "ERROR", message: "onFailed itself has failed", taskId: id }))
      )
      assert.strictEqual((yield* scheduler.deadLetters.list()).items.length, 4)
      yield* close
    }))

  it.effect("holds nothing up, and no more calls run at a time than asked for", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const slow = Effect.acquireUseRelease(
        Effect.sync(() => {
          running++
          most = Math.max(most, running)
        }),
        () => Effect.sleep("10 seconds"),
        () => Effect.sync(() => running--)
      )
      const { close, scheduler } = yield* opened(() => slow, { concurrency: 3 })
      yield* failing(scheduler, 10)
      assert.strictEqual((yield* scheduler.deadLetters.list()).items.length, 10)
      const done = yield* scheduler.schedule(other)
      yield* settleDown
      assert.strictEqual((yield* scheduler.get(done.id)).status, "Succeeded")
      assert.strictEqual(running, 3)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual([running, most], [1, 3])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(running, 0)
      yield* close
    }))

  it.scoped("each call is a fiber of its own: what one sets is not there for the next", () =>
    Effect.gen(function*() {
      const ref = yield* FiberRef.make(0)
      const seen: Array<number> = []
      const { close, scheduler } = yield* opened(
        () => Effect.tap(FiberRef.getAndUpdate(ref, (n) => n + 1), (n) => Effect.sync(() => seen.push(n))),
        { concurrency: 1 }
      )
      yield* failing(scheduler, 3)
      assert.deepStrictEqual(seen, [0, 0, 0])
      yield* close
    }))

  it.effect("there is an end to how many wait; the log says how many it was not called for", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let calls = 0
      const { close, log, scheduler } = yield* opened(
        () => Effect.zipRight(Deferred.await(gate), Effect.sync(() => calls++)),
        { concurrency: 2, capacity: 5 }
      )
      yield* failing(scheduler, 20)
      yield* Deferred.succeed(gate, undefined)
      yield* settleDown
      assert.strictEqual(calls, 5)
      assert.deepStrictEqual(log.map(({ level, message }) => [level, message]), [
        ["WARN", "There is no room for more calls of onFailed: dead letters are left out"],
        ["WARN", "onFailed was not called for 15 dead letters; they are in the store"]
      ])
      assert.strictEqual((yield* scheduler.deadLetters.list()).items.length, 20)
      // There is room again.
      yield* failing(scheduler, 5)
      assert.strictEqual(calls, 10)
      yield* close
    }))

  it.effect("is waited for by a shutdown, also for what fails meanwhile", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const { close, log, scheduler } = yield* opened(
        (task) => Effect.delay(Effect.sync(() => told.push(task.id)), "5 seconds"),
        { concurrency: 1 },
        { shutdownGrace: 30_000 }
      )
      const late = yield* scheduler.schedule(LambdaFunction.existing("late"))
      const tasks = [...yield* failing(scheduler, 2), late]
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(closing.unsafePoll(), null)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(told.sort(), tasks.map(({ id }) => id).sort())
      assert.deepStrictEqual(log, [])
    }))

  it.effect("is cut off when the grace is over, and the log says so", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const { close, log, scheduler } = yield* opened(
        () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)),
        { concurrency: 2 },
        { shutdownGrace: 10_000 }
      )
      yield* failing(scheduler, 3)
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(interrupted, 2)
      assert.deepStrictEqual(log.map(({ message }) => message), ["The shutdown cuts off 3 calls of onFailed"])
    }))

  it.effect("one that cannot be interrupted holds a shutdown up for seconds only", () =>
    Effect.gen(function*() {
      const { close, scheduler } = yield* opened(() => Effect.uninterruptible(Effect.never), {}, {
        shutdownGrace: 1_000
      })
      yield* failing(scheduler, 1)
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(closing.unsafePoll(), null)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
    }))
})

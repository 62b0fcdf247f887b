import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, TestClock } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import { makeTaskEvents } from "../../src/engine/TaskEvents.ts"
import { LambdaClient, LambdaScheduler, Trigger } from "../../src/index.ts"
import type { Task, TaskRepositoryError } from "../../src/index.ts"
import { aTask } from "../support/builders.ts"
import type { Store } from "./brokenStore.ts"
import { down, quiet, storeWith } from "./brokenStore.ts"
import { counts, engine, instants, job, settleDown } from "./support.ts"

type Call = (...request: ReadonlyArray<never>) => Effect.Effect<unknown, TaskRepositoryError>

/** A store whose calls fail while `isDown` says so. */
const failing = (isDown: () => boolean, ...calls: ReadonlyArray<"start" | "settle" | "getSchedule" | "prune">) =>
  storeWith((memory) =>
    Object.fromEntries(calls.map((call) => [
      call,
      (...request: ReadonlyArray<never>) =>
        Effect.suspend(() => isDown() ? down() : (memory[call] as unknown as Call)(...request))
    ]))
  )

describe("while the store is away", () => {
  for (const trigger of [Trigger.spaced("10 seconds"), Trigger.fixed("10 seconds")]) {
    for (const call of ["start", "settle", "getSchedule"] as const) {
      it.effect(`${call}: a schedule (${trigger._tag}) stands still, and goes on after it; no outcome is lost`, () => {
        let isDown = false
        return Effect.gen(function*() {
          const scheduler = yield* LambdaScheduler
          const one = yield* scheduler.schedule(job, { trigger: Trigger.after("2 seconds") })
          const { id } = yield* scheduler.repeat(job, { trigger })
          yield* TestClock.adjust("1 second")
          // The first occurrence is running when it begins.
          isDown = true
          yield* TestClock.adjust("45 seconds")
          isDown = false
          yield* TestClock.adjust("1 minute")
          assert.strictEqual((yield* scheduler.get(one.id)).status, "Succeeded")
          const tasks = (yield* scheduler.list({ scheduleId: id })).items
          const ended = tasks.filter((task) => task.status === "Succeeded")
          assert.isAtLeast(ended.length, 4)
          for (const task of [...ended, yield* scheduler.get(one.id)]) {
            assert.deepStrictEqual(task.attempts.map((attempt) => attempt.ended?.outcome), ["succeeded"], "run once")
          }
          assert.strictEqual((yield* instants()).length, 1 + tasks.filter((task) => task.attempts.length > 0).length)
        }).pipe(Effect.provide(Layer.merge(
          engine({ job: () => Effect.sleep("3 seconds") }, {}, failing(() => isDown, call)),
          quiet
        )))
      })
    }
  }

  it.effect("a Task that is cancelled as soon as it is back never starts", () => {
    let isDown = true
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job)
      yield* TestClock.adjust("10 seconds")
      yield* scheduler.cancel(task.id)
      isDown = false
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* instants(), [])
      const next = yield* scheduler.schedule(job)
      yield* settleDown
      assert.strictEqual((yield* scheduler.get(next.id)).status, "Succeeded", "its slot is free again")
    }).pipe(Effect.provide(Layer.merge(engine({}, { concurrency: 1 }, failing(() => isDown, "start")), quiet)))
  })

  it.effect("history is pruned by age again once it is back", () => {
    let isDown = true
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.schedule(job)
      yield* TestClock.adjust("1 hour")
      yield* TestClock.adjust("1 hour")
      isDown = false
      yield* scheduler.schedule(job, { name: "second" })
      yield* TestClock.adjust("90 minutes")
      assert.deepStrictEqual((yield* scheduler.list()).items.map((task) => task.name), ["second"])
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(yield* counts(scheduler), {})
    }).pipe(
      Effect.provide(Layer.merge(
        engine({}, { retentionAge: 7_200_000, pruneInterval: 600_000 }, failing(() => isDown, "prune")),
        quiet
      ))
    )
  })
})

describe("a reader that lags behind the changes", () => {
  const lagging = (get: Store["get"]) =>
    Effect.gen(function*() {
      let reads = 0
      const store = {
        changes: (after: number | "latest") =>
          Effect.suspend(() => {
            if (after === "latest") return Effect.succeed({ changes: [], last: 0, truncated: false })
            reads++
            // Until somebody has gone on from 100, there is a gap.
            return after === 0
              ? Effect.as(Effect.sleep("1 second"), { changes: [], last: 100, truncated: true })
              : Effect.never
          }),
        get
      } as unknown as Store
      const events = yield* makeTaskEvents(store, 16)
      return { events, reads: () => reads }
    })

  it.scoped("learns that an awaited Task has been pruned meanwhile", () =>
    Effect.gen(function*() {
      const task = aTask()
      let asked = 0
      const { events } = yield* lagging(() => Effect.succeed(asked++ === 0 ? Option.some(task) : Option.none()))
      const waiting = yield* Effect.fork(Effect.flip(events.awaitFinished(task.id)))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "TaskNotFound")
    }))

  it.scoped("asks again when asking failed", () =>
    Effect.gen(function*() {
      const task = aTask()
      const finished = { ...task, status: "Cancelled", cancelledBy: "task", finishedAt: 1 } as const
      let asked = 0
      const { events } = yield* lagging(() =>
        Effect.suspend((): Effect.Effect<Option.Option<Task>, TaskRepositoryError> => {
          asked++
          if (asked === 1) return Effect.succeed(Option.some(task))
          return asked === 2 ? down() : Effect.succeed(Option.some(finished))
        })
      )
      const waiting = yield* Effect.fork(events.awaitFinished(task.id))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(waiting), finished)
    }).pipe(Effect.provide(quiet)))
})

describe("a Lambda client", () => {
  it.effect("that throws instead of answering costs an attempt, not the Task", () => {
    let calls = 0
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const task = yield* scheduler.schedule(job, { retry: { maxAttempts: 2, baseDelay: "1 second" } })
      yield* TestClock.adjust("5 seconds")
      const ended = yield* scheduler.get(task.id)
      assert.strictEqual(ended.status, "Failed")
      assert.deepStrictEqual(ended.attempts.map((attempt) => attempt.ended?.outcome), ["unknown", "unknown"])
      assert.strictEqual(calls, 2)
    }).pipe(Effect.provide(
      LambdaScheduler.layer.pipe(
        Layer.provide(Layer.mergeAll(
          MemoryTaskRepository.layer,
          quiet,
          Layer.mock(LambdaClient, {
            description: "throws",
            region: undefined,
            deploy: () =>
              Effect.succeed({
                target: { name: "job", arn: undefined, qualifier: undefined, timeout: 1_000 },
                codeSha256: "",
                change: "created"
              }),
            invoke: () => {
              calls++
              throw new TypeError("not an Effect")
            }
          })
        ))
      )
    ))
  })
})

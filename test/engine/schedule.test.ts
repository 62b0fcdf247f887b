import { assert, describe, it } from "@effect/vitest"
import { Chunk, DateTime, Effect, Either, Exit, Fiber, Layer, Schema, Scope, Stream, TestClock } from "effect"
import { LambdaFunction, LambdaScheduler, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { counts, engine, instants, job, other, settleDown } from "./support.ts"

describe("schedule", () => {
  it.effect("now, after and at run once each, at their instant", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* TestClock.setTime(1_000)
      yield* scheduler.schedule(job)
      yield* scheduler.schedule(job, { trigger: Trigger.after("2 seconds") })
      yield* scheduler.schedule(job, { trigger: Trigger.at(DateTime.unsafeMake(9_000)) })
      yield* settleDown
      assert.deepStrictEqual(yield* instants(), [1_000])
      yield* TestClock.adjust(1_999)
      assert.deepStrictEqual(yield* instants(), [1_000], "never early")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* instants(), [1_000, 3_000, 9_000])
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 3 })
    }).pipe(Effect.provide(engine())))

  it.effect("an instant in the past is due at once and kept as it was given", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* TestClock.setTime(1_000_000_000_000)
      const task = yield* scheduler.schedule(job, { trigger: Trigger.at("2000-01-01T00:00:00Z") })
      yield* settleDown
      assert.strictEqual(task.dueAt, 946_684_800_000)
      assert.strictEqual((yield* scheduler.get(task.id)).status, "Succeeded")
    }).pipe(Effect.provide(engine())))

  it.effect("an instant beyond the longest timer neither fires at once nor never", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const due = 40 * 86_400_000
      yield* scheduler.schedule(job, { trigger: Trigger.after("40 days") })
      yield* TestClock.adjust(due - 1)
      assert.deepStrictEqual(yield* instants(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* instants(), [due])
    }).pipe(Effect.provide(engine({}, { longestSleep: 86_400_000 }))))

  it.effect("deploys first, once per function, and stores nothing when that fails", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const client = yield* ScriptedLambdaClient
      yield* Effect.all([scheduler.schedule(job), scheduler.schedule(job), scheduler.schedule(other)], {
        concurrency: "unbounded"
      })
      assert.strictEqual((yield* client.deployments).length, 1)
      const invalid = LambdaFunction.inline("job", "", { memory: 1 })
      const refused = yield* Effect.either(scheduler.schedule(invalid))
      assert.strictEqual(
        Either.isLeft(refused) && refused.left._tag === "InvalidInput" && refused.left.reason,
        "MemoryInvalid"
      )
      assert.strictEqual((yield* scheduler.list()).items.length, 3)
    }).pipe(Effect.provide(engine())))

  it.effect("another function value of the same name replaces the code", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const client = yield* ScriptedLambdaClient
      const second = LambdaFunction.inline("job", "export const handler = async () => 2")
      yield* scheduler.schedule(job)
      yield* scheduler.schedule(second)
      yield* scheduler.schedule(job)
      assert.deepStrictEqual((yield* client.deployments).map((deployment) => deployment.change), [
        "created",
        "updated",
        "updated"
      ])
    }).pipe(Effect.provide(engine())))

  it.effect("bad input is a typed error, and nothing is deployed or stored", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const client = yield* ScriptedLambdaClient
      const cyclic: Record<string, unknown> = {}
      cyclic["self"] = cyclic
      const reasons = yield* Effect.forEach([
        scheduler.schedule(job, { payload: Number.NaN }),
        scheduler.schedule(job, { payload: undefined }),
        scheduler.schedule(job, { payload: cyclic }),
        scheduler.schedule(job, { payloadJson: "{'a':1}" }),
        scheduler.schedule(job, { trigger: Trigger.after(Number.NaN) }),
        scheduler.schedule(job, { trigger: Trigger.at("2026-02-30T00:00:00Z") }),
        scheduler.schedule(job, { trigger: Trigger.spaced("1 second") as never }),
        scheduler.schedule(job, { name: "" }),
        scheduler.schedule(job, { retry: { maxAttempts: 0 } }),
        scheduler.schedule(job, { tags: { a: 1 as never } }),
        scheduler.schedule(job, { tags: { a: "\0" } }),
        scheduler.schedule(job, { tags: { "\ud800": "a" } }),
        scheduler.schedule(LambdaFunction.existing("arn:aws:s3:::bucket")),
        scheduler.repeat(job, { trigger: Trigger.spaced(0) }),
        scheduler.repeat(job, { trigger: Trigger.spaced(-1) }),
        scheduler.repeat(job, { trigger: Trigger.fixed(Number.NaN) }),
        scheduler.repeat(job, { trigger: Trigger.fixed("1 second"), maxRuns: 0 }),
        scheduler.repeat(job, { trigger: Trigger.now as never })
      ], (attempt) =>
        Effect.map(Effect.flip(attempt as typeof attempt & Effect.Effect<unknown, { reason: string }>), (error) =>
          "reason" in error ? error.reason : error))
      assert.deepStrictEqual(reasons, [
        "PayloadNotJson",
        "PayloadNotJson",
        "PayloadNotJson",
        "PayloadNotJson",
        "IntervalInvalid",
        "DateInvalid",
        "ScheduleAmbiguous",
        "NameEmpty",
        "RetryInvalid",
        "TagsInvalid",
        "TagsInvalid",
        "TagsInvalid",
        "ArnService",
        "IntervalTooSmall",
        "IntervalInvalid",
        "IntervalInvalid",
        "MaxRunsInvalid",
        "ScheduleAmbiguous"
      ])
      assert.strictEqual((yield* client.deployments).length, 0)
      assert.strictEqual((yield* scheduler.list()).items.length, 0)
    }).pipe(Effect.provide(engine())))

  it.effect("what cannot be deployed is a typed error, not silently left out", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const layered = LambdaFunction.inline("layered", "", { layers: ["arn:aws:lambda:..."] } as object)
      const image = { ...job, code: { _tag: "Image", uri: "repository:latest" } } as unknown as typeof job
      for (const fn of [layered, image]) {
        const refused = yield* Effect.flip(scheduler.schedule(fn))
        assert.strictEqual(refused._tag === "InvalidInput" && refused.reason, "Unsupported")
      }
    }).pipe(Effect.provide(engine())))

  it.effect("the payload arrives byte for byte, with the Task's id, attempt and key in the client context", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const client = yield* ScriptedLambdaClient
      const payloadJson = `{ "n": 12345678901234567890, "a":1, "a":2, "u":"\\u0000" }`
      const task = yield* scheduler.schedule(job, { payloadJson })
      yield* settleDown
      const [invocation] = yield* client.invocations
      assert.strictEqual(invocation?.request.payload, payloadJson)
      assert.deepStrictEqual(invocation?.request.clientContext, {
        taskId: task.id,
        attempt: 1,
        idempotencyKey: task.id
      })
    }).pipe(Effect.provide(engine())))

  it.effect("payload and result are typed and checked by the function's Schemas", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const typed = LambdaFunction.inline("typed", "", {
        payload: Schema.Struct({ at: Schema.DateFromString }),
        result: Schema.Struct({ sum: Schema.NumberFromString })
      })
      const good = yield* scheduler.schedule(typed, { payload: { at: DateTime.toDate(DateTime.unsafeMake(0)) } })
      const sum: number = (yield* scheduler.awaitResult(good.id, typed)).sum
      assert.strictEqual(sum, 3)
      assert.deepStrictEqual(yield* scheduler.awaitResult(good.id), { sum: "3" })
      const bad = yield* Effect.flip(scheduler.schedule(typed, { payload: { at: "today" } as never }))
      assert.strictEqual(bad._tag === "InvalidInput" && bad.reason, "PayloadInvalid")
      const wrong = LambdaFunction.inline("typed", "", { result: Schema.Struct({ total: Schema.Number }) })
      assert.strictEqual((yield* Effect.flip(scheduler.awaitResult(good.id, wrong)))._tag, "ResultInvalid")
    }).pipe(Effect.provide(engine({ typed: () => ({ sum: "3" }) }))))

  it.effect("awaitResult waits for the end, whatever it is", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const slow = yield* scheduler.schedule(job, { trigger: Trigger.after("1 minute") })
      const failing = yield* scheduler.schedule(other, { retry: { maxAttempts: 1 } })
      const cancelled = yield* scheduler.schedule(job, { trigger: Trigger.after("1 day") })
      const waiting = yield* Effect.fork(
        Effect.all([slow, failing, cancelled].map(({ id }) => Effect.either(scheduler.awaitResult(id))), {
          concurrency: "unbounded"
        })
      )
      yield* settleDown
      assert.isNull(waiting.unsafePoll())
      yield* scheduler.cancel(cancelled.id)
      yield* TestClock.adjust("1 minute")
      const [first, second, third] = yield* Fiber.join(waiting)
      assert.deepStrictEqual(first, Either.right("done"))
      assert.include(second && Either.isLeft(second) ? second.left : {}, {
        _tag: "TaskNotSucceeded",
        status: "Failed",
        reason: "FunctionError"
      })
      assert.include(third && Either.isLeft(third) ? third.left : {}, { _tag: "TaskNotSucceeded", status: "Cancelled" })
      const unknown = yield* Effect.flip(
        scheduler.awaitResult("018bcfe5-6800-7000-8000-000100000002" as typeof slow.id)
      )
      assert.strictEqual(unknown._tag, "TaskNotFound")
    }).pipe(Effect.provide(engine({
      job: () => "done",
      other: () => ScriptedLambdaClient.fail("FunctionError")
    }))))

  it.effect("events tell what happens, in order and without a gap", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const collected = yield* scheduler.events.pipe(Stream.take(6), Stream.runCollect, Effect.fork)
      yield* settleDown
      const task = yield* scheduler.schedule(job)
      yield* scheduler.schedule(job, { trigger: Trigger.after("1 second") })
      yield* TestClock.adjust("1 second")
      const events = Chunk.toReadonlyArray(yield* Fiber.join(collected))
      assert.deepStrictEqual(events.filter((event) => event.task.id === task.id).map((event) => event.kind), [
        "scheduled",
        "started",
        "succeeded"
      ])
      const first = events[0]?.sequence ?? 0
      assert.deepStrictEqual(events.map((event) => event.sequence), [0, 1, 2, 3, 4, 5].map((index) => first + index))
    }).pipe(Effect.provide(engine())))

  it.effect("lists by function, name, status, schedule, tags and due range, page by page", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const far = Trigger.after("1 day")
      yield* scheduler.schedule(job, { trigger: far, tags: { team: "red" } })
      yield* scheduler.schedule(job, { trigger: Trigger.after("2 days"), name: "second", tags: { team: "blue" } })
      yield* scheduler.schedule(other, { trigger: far })
      const repeated = yield* scheduler.repeat(other, {
        name: "ticks",
        trigger: Trigger.fixed("1 hour"),
        initialDelay: "3 days"
      })
      const names = (filter: Parameters<typeof scheduler.list>[0]) =>
        Effect.map(scheduler.list(filter), (page) => page.items.map((task) => task.name))
      assert.deepStrictEqual(yield* names({}), ["ticks", "other", "second", "job"])
      assert.deepStrictEqual(yield* names({ functionName: "other" }), ["ticks", "other"])
      assert.deepStrictEqual(yield* names({ name: "second" }), ["second"])
      assert.deepStrictEqual(yield* names({ scheduleId: repeated.id }), ["ticks"])
      assert.deepStrictEqual(yield* names({ status: ["Running"] }), [])
      assert.deepStrictEqual(yield* names({ tags: { team: "red" } }), ["job"])
      assert.deepStrictEqual(yield* names({ dueFrom: 2 * 86_400_000, dueBefore: 3 * 86_400_000 }), ["second"])
      assert.deepStrictEqual((yield* scheduler.findByFunction("job")).map((task) => task.name), ["second", "job"])
      const one = yield* scheduler.list({}, { limit: 3 })
      const two = yield* scheduler.list({}, { limit: 3, cursor: one.cursor })
      assert.deepStrictEqual([...one.items, ...two.items].map((task) => task.name), ["ticks", "other", "second", "job"])
      assert.isUndefined(two.cursor)
      assert.strictEqual((yield* Effect.flip(scheduler.list({}, { limit: 0 })))._tag, "InvalidInput")
      assert.strictEqual((yield* Effect.flip(scheduler.list({}, { cursor: "x" })))._tag, "InvalidInput")
    }).pipe(Effect.provide(engine())))

  it.effect("scheduling after the scope has closed is a typed error", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(engine(), scope)
      const scheduler = yield* Effect.provide(LambdaScheduler, context)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(scheduler.schedule(job)))._tag, "SchedulerClosed")
      const repeated = yield* Effect.flip(scheduler.repeat(job, { trigger: Trigger.spaced("1 second") }))
      assert.strictEqual(repeated._tag, "SchedulerClosed")
    }))

  it.effect("no more than `concurrency` run at once, and the rest follow in order", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const tasks = yield* Effect.replicateEffect(scheduler.schedule(job), 5)
      yield* settleDown
      assert.deepStrictEqual(yield* counts(scheduler), { Running: 2, Scheduled: 3 })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 4, Running: 1 })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* instants(), [0, 0, 1_000, 1_000, 2_000])
      const ended = yield* Effect.forEach(tasks, (task) => scheduler.get(task.id))
      assert.isTrue(ended.every((task) => task.status === "Succeeded"))
    }).pipe(Effect.provide(engine({ job: () => Effect.sleep("1 second") }, { concurrency: 2 }))))
})

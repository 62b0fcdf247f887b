import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Random, Schedule, TestClock } from "effect"
import { createHash } from "node:crypto"
import { keyOf } from "../../src/engine/Idempotency.ts"
import { parseWork } from "../../src/engine/WorkRequest.ts"
import {
  defaultRetryPolicy,
  LambdaFunction,
  LambdaScheduler,
  TaskId,
  TaskScheduleId,
  Trigger
} from "../../src/index.ts"
import type { RetryOptions, ScheduleError, ScheduleOptions } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { lostReply } from "./linkedStore.ts"
import { counts, engine, instants, job, other, settleDown } from "./support.ts"
import { inWorld } from "./world.ts"

const oneOClock = DateTime.toDate(DateTime.unsafeMake(3_600_000))
const existing = LambdaFunction.existing("job")

describe("the digest of a request", () => {
  const said = (retry: RetryOptions) =>
    Effect.gen(function*() {
      const work = yield* parseWork(existing, { retry }, defaultRetryPolicy, () => Random.make(0))
      const target = { name: "job", arn: undefined, qualifier: undefined, timeout: 3_000 }
      return (yield* keyOf("k", { work, target, trigger: Trigger.now, more: {} }))?.digest
    })

  it.effect("is what it was before policies could say more, unless they do", () =>
    Effect.gen(function*() {
      const policy = `["baseDelay",1000],["maxAge",86400000],["maxAttempts",3],["maxDelay",300000],` +
        `["notRetryable",[]],["onUnknown","retry"]`
      const before = createHash("sha256")
        .update(`[{"name":"job","timeout":3000},"job","{}",[],[${policy}],["Now"],[]]`)
        .digest("base64")
      assert.strictEqual(yield* said({}), before)
      assert.strictEqual(yield* said({ backoff: "exponential", jitter: "full", notRetryableErrors: [] }), before)
      const more = yield* Effect.forEach(
        [{ jitter: "none" }, { backoff: "fixed" }, { backoff: [1] }, { backoff: [1, 2] }, { maxWait: 1 }, {
          deadline: 1
        }],
        (retry) => said(retry as RetryOptions)
      )
      assert.strictEqual(new Set([before, ...more]).size, 7)
    }))
})

describe("a call with an idempotency key", () => {
  it.effect("answers what the first one made, as it is by then; it runs once", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const options = { idempotencyKey: "order 17", trigger: Trigger.after("2 seconds"), payload: { n: 1 } }
      const first = yield* scheduler.schedule(job, options)
      yield* TestClock.adjust("1 second")
      // "In two seconds" is the same request a second later.
      assert.deepStrictEqual(yield* scheduler.schedule(job, options), first)
      yield* TestClock.adjust("1 minute")
      const later = yield* scheduler.schedule(job, options)
      assert.deepInclude(later, { id: first.id, status: "Succeeded", dueAt: 2_000 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* instants(), [2_000])
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 1 })
    }).pipe(Effect.provide(engine())))

  it.effect("is the same request however its parts are written", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const first = yield* scheduler.schedule(job, {
        idempotencyKey: "k",
        tags: { a: "1", b: "2" },
        trigger: Trigger.after("60 seconds"),
        retry: { maxAttempts: 3, baseDelay: "1 second" }
      })
      for (const delay of ["1 minute", "PT1M", 60_000, 60_000_000_000n, Duration.minutes(1)] as const) {
        const again = yield* scheduler.schedule(job, {
          idempotencyKey: "k",
          tags: { b: "2", a: "1" },
          trigger: Trigger.after(delay),
          payload: {},
          name: "job",
          retry: { baseDelay: "PT1S" }
        })
        assert.strictEqual(again.id, first.id)
      }
      const instants = ["1970-01-01T01:00:00Z", "1970-01-01T02:00:00+01:00", 3_600_000, oneOClock]
      const at = yield* Effect.forEach(instants, (instant) =>
        scheduler.schedule(job, { idempotencyKey: "at", trigger: Trigger.at(instant) }))
      assert.strictEqual(
        new Set(at.map(({ id }) =>
          id
        )).size,
        1
      )
      const every = yield* Effect.forEach(["1 minute", "60 seconds", 60_000n * 1_000_000n] as const, (interval) =>
        scheduler.repeat(job, { idempotencyKey: "every", trigger: Trigger.fixed(interval), initialDelay: interval }))
      assert.strictEqual(
        new Set(every.map(({ id }) =>
          id
        )).size,
        1
      )
    }).pipe(Effect.provide(engine())))

  it.effect("and another request is refused; nothing is stored", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const asked: ScheduleOptions = { idempotencyKey: "k", payload: 1, trigger: Trigger.after("1 hour") }
      const { id } = yield* scheduler.schedule(job, asked)
      const others: ReadonlyArray<ScheduleOptions> = [
        { ...asked, payload: 2 },
        { ...asked, name: "another" },
        { ...asked, tags: { a: "1" } },
        { ...asked, retry: { maxAttempts: 7 } },
        { ...asked, trigger: Trigger.after("2 hours") },
        { ...asked, trigger: Trigger.at(3_600_000) },
        { idempotencyKey: "k", payload: 1 }
      ]
      for (const options of others) {
        const error = yield* Effect.flip(scheduler.schedule(job, options))
        assert.deepInclude(error, { _tag: "IdempotencyConflict", reason: "OtherRequest", key: "k", id })
      }
      for (
        const call of [
          scheduler.schedule(other, asked),
          scheduler.repeat(job, { idempotencyKey: "k", payload: 1, trigger: Trigger.fixed("1 hour") })
        ]
      ) {
        assert.strictEqual((yield* Effect.flip<unknown, ScheduleError, never>(call))._tag, "IdempotencyConflict")
      }
      assert.deepStrictEqual(yield* counts(scheduler), { Scheduled: 1 })
      assert.deepStrictEqual((yield* scheduler.listSchedules()).items, [])
    }).pipe(Effect.provide(engine())))

  it.effect("draws the jitter of a Schedule from its key, so that the same request is the same again", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const retry = { schedule: Schedule.jittered(Schedule.exponential("1 second")), maxAttempts: 4 }
      const asked = { retry, trigger: Trigger.after("1 hour"), idempotencyKey: "k" }
      const first = yield* scheduler.schedule(job, asked)
      assert.deepStrictEqual(yield* scheduler.schedule(job, asked), first)
      const another = yield* scheduler.schedule(job, { ...asked, idempotencyKey: "l" })
      assert.notDeepEqual(another.retry, first.retry)
      const plain = { ...retry, schedule: Schedule.exponential("1 second") }
      const error = yield* Effect.flip(scheduler.schedule(job, { ...asked, retry: plain }))
      assert.strictEqual(error._tag, "IdempotencyConflict")
      const every = { retry, trigger: Trigger.fixed("1 hour"), initialDelay: "1 hour", idempotencyKey: "m" } as const
      assert.deepStrictEqual(yield* scheduler.repeat(job, every), yield* scheduler.repeat(job, every))
    }).pipe(Effect.provide(engine())))

  it.effect("of what retention has removed is refused for a day; then it is a new one", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.schedule(job, { idempotencyKey: "k" })
      yield* TestClock.adjust("3 hours")
      assert.deepStrictEqual(yield* counts(scheduler), {})
      for (const wait of ["0 millis", "20 hours"] as const) {
        yield* TestClock.adjust(wait)
        const error = yield* Effect.flip(scheduler.schedule(job, { idempotencyKey: "k" }))
        assert.deepInclude(error, { _tag: "IdempotencyConflict", reason: "Removed", key: "k", id })
      }
      // Pruning goes on as long as there is something to prune.
      yield* TestClock.adjust("3 hours")
      yield* scheduler.schedule(job, { name: "another" })
      yield* TestClock.adjust("2 hours")
      assert.notStrictEqual((yield* scheduler.schedule(job, { idempotencyKey: "k" })).id, id)
    }).pipe(Effect.provide(engine({}, { retentionAge: 3_600_000, pruneInterval: 600_000 }))))

  it.effect("makes one schedule, with one fiber", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const options = { idempotencyKey: "ticks", trigger: Trigger.fixed("10 seconds"), maxRuns: 3 }
      const first = yield* scheduler.repeat(job, options)
      yield* TestClock.adjust("15 seconds")
      const again = yield* scheduler.repeat(job, options)
      assert.deepInclude(again, { id: first.id, runs: 2 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* instants(), [0, 10_000, 20_000])
      assert.deepInclude(yield* scheduler.repeat(job, options), { id: first.id, status: "Completed" })
      for (
        const another of [
          { ...options, maxRuns: 4 },
          { ...options, initialDelay: "1 second" as const },
          { ...options, trigger: Trigger.spaced("10 seconds") }
        ]
      ) {
        const error = yield* Effect.flip(scheduler.repeat(job, another))
        assert.deepInclude(error, { _tag: "IdempotencyConflict", reason: "OtherRequest", id: first.id })
      }
      assert.strictEqual((yield* scheduler.listSchedules()).items.length, 1)
    }).pipe(Effect.provide(engine())))

  it.effect("that is no text of 1 to 256 characters is refused, and nothing deployed", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (const idempotencyKey of ["", "x".repeat(257), "a\0b", "\ud800", 7 as never, null as never]) {
        const error = yield* Effect.flip(scheduler.schedule(job, { idempotencyKey }))
        assert.deepInclude(error, { _tag: "InvalidInput", reason: "IdempotencyKeyInvalid", field: "idempotencyKey" })
      }
      yield* scheduler.schedule(job, { idempotencyKey: "x".repeat(256) })
      assert.strictEqual((yield* (yield* ScriptedLambdaClient).deployments).length, 1)
    }).pipe(Effect.provide(engine())))

  it("fifty times at once on two instances makes one Task, which runs once", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const instances = [yield* world.start(), yield* world.start()]
        for (const { link } of instances) {
          link.fault = (call) => call === "insert" ? { reaches: 3, answers: 5 } : undefined
        }
        const made = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, index) => instances[index % 2]),
          (instance) =>
            instance?.scheduler.schedule(existing, { idempotencyKey: "k", trigger: Trigger.after("1 second") }) ??
              Effect.die("two instances"),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(made.map(({ id }) => id)).size, 1)
        yield* Effect.sleep("30 seconds")
        assert.strictEqual((yield* world.tasks).length, 1)
        assert.strictEqual(world.calls.length, 1)
      })))

  it("whose first answer was lost can be made again", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const one = yield* world.start()
        const two = yield* world.start()
        one.link.fault = (call) => call === "insert" || call === "insertSchedule" ? lostReply : undefined
        const task = { idempotencyKey: "k", trigger: Trigger.after("1 second") }
        const ticks = { idempotencyKey: "ticks", trigger: Trigger.fixed("10 seconds") }
        yield* Effect.flip(one.scheduler.schedule(existing, task))
        yield* Effect.flip(one.scheduler.repeat(existing, ticks))
        assert.strictEqual((yield* two.scheduler.schedule(existing, task)).id, (yield* world.tasks)[1]?.id)
        yield* two.scheduler.repeat(existing, ticks)
        yield* Effect.sleep("60 seconds")
        assert.strictEqual((yield* world.tasks).filter(({ scheduleId }) => scheduleId === undefined).length, 1)
        assert.strictEqual((yield* two.scheduler.listSchedules()).items.length, 1)
      })))
})

describe("a client-made id", () => {
  const id = TaskId.make("0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001")

  it.effect("is the Task's, and its idempotency key, in whatever case it is written", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const first = yield* scheduler.schedule(job, { id })
      assert.strictEqual(first.id, id)
      yield* settleDown
      const upper = id.toUpperCase() as TaskId
      assert.deepInclude(yield* scheduler.schedule(job, { id: upper }), { id, status: "Succeeded" })
      const error = yield* Effect.flip(scheduler.schedule(job, { id, payload: 2 }))
      assert.deepInclude(error, { _tag: "IdempotencyConflict", reason: "OtherRequest", key: id, id })
      assert.strictEqual((yield* instants()).length, 1)
    }).pipe(Effect.provide(engine())))

  it.effect("beside a key is only the id: the key decides what is the same", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const first = yield* scheduler.schedule(job, { id, idempotencyKey: "k" })
      const [another] = [TaskId.make("0190aaaa-bbbb-7ccc-8ddd-eeeeffff0002")]
      assert.strictEqual((yield* scheduler.schedule(job, { id: another, idempotencyKey: "k" })).id, first.id)
      assert.strictEqual((yield* scheduler.list()).items.length, 1)
    }).pipe(Effect.provide(engine())))

  it.effect("of a schedule as well", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const of = TaskScheduleId.make(id)
      const first = yield* scheduler.repeat(job, { id: of, trigger: Trigger.spaced("10 seconds") })
      assert.strictEqual(first.id, of)
      yield* TestClock.adjust("15 seconds")
      assert.deepInclude(yield* scheduler.repeat(job, { id: of, trigger: Trigger.spaced("10 seconds") }), { runs: 2 })
      const error = yield* Effect.flip(scheduler.repeat(job, { id: of, trigger: Trigger.spaced("11 seconds") }))
      assert.deepInclude(error, { _tag: "IdempotencyConflict", id: of })
    }).pipe(Effect.provide(engine())))

  it.effect("that is no UUID is refused", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (const bad of ["", "17", `${id}0`, 7, null]) {
        const error = yield* Effect.flip(scheduler.schedule(job, { id: bad as TaskId }))
        assert.deepInclude(error, { _tag: "InvalidInput", reason: "IdInvalid", field: "id" })
      }
      assert.deepStrictEqual((yield* scheduler.list()).items, [])
    }).pipe(Effect.provide(engine())))
})

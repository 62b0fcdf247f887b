/** What is asked of the store takes its time, and is overtaken by what others ask of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, TestClock } from "effect"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import type { Store } from "./brokenStore.ts"
import { storeWith } from "./brokenStore.ts"
import { engine, instants, job, settleDown } from "./support.ts"

/** A store of which some calls take a second to get there, or an answer a second to come back, while they are slow. */
const slowStore = () => {
  const slow = { ends: false, cancels: false, answers: false, changes: false }
  const store = storeWith((memory: Store) => ({
    settle: (lease, settlements) => Effect.delay(memory.settle(lease, settlements), slow.ends ? "1 second" : 0),
    changeSchedule: (id, claim, change) =>
      Effect.delay(memory.changeSchedule(id, claim, change), slow.changes ? "1 second" : 0),
    cancel: (lease, target, now) => Effect.delay(memory.cancel(lease, target, now), slow.cancels ? "1 second" : 0),
    controls: Effect.suspend(() => {
      const isSlow = slow.answers
      slow.answers = false
      return Effect.tap(memory.controls, () => isSlow ? Effect.sleep("1 second") : Effect.void)
    })
  }))
  return { slow, store }
}

const sent = Effect.flatMap(
  ScriptedLambdaClient,
  (client) => Effect.map(client.invocationsOf("job"), (calls) => calls.map(({ at, request }) => [at, request.payload]))
)

describe("an edit while the end of a run is on its way to the store", () => {
  for (
    const [what, edit, next] of [
      ["of the payload", { payload: 2 }, [13_000, "2"]],
      ["of the interval", { trigger: Trigger.spaced("20 seconds"), payload: 2 }, [23_000, "2"]]
    ] as const
  ) {
    it.effect(`${what}: the end is followed by the rule as it is then`, () => {
      const { slow, store } = slowStore()
      return Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { id } = yield* scheduler.repeat(job, { trigger: Trigger.spaced("10 seconds"), payload: 1 })
        yield* TestClock.adjust("2 seconds")
        slow.ends = true
        yield* TestClock.adjust("1500 millis")
        yield* scheduler.editSchedule(id, edit)
        slow.ends = false
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* sent, [[0, "1"], next])
        assert.strictEqual((yield* scheduler.getSchedule(id)).status, "Active")
      }).pipe(Effect.provide(engine({ job: () => Effect.sleep("3 seconds") }, {}, store)))
    })
  }

  it.effect("which has an end now: the schedule is completed", () => {
    const { slow, store } = slowStore()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(job, { trigger: Trigger.spaced("10 seconds") })
      yield* TestClock.adjust("2 seconds")
      slow.ends = true
      yield* TestClock.adjust("1500 millis")
      yield* scheduler.editSchedule(id, { trigger: Trigger.spaced("10 seconds"), endAt: "1970-01-01T00:00:12Z" })
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* instants(), [0])
      assert.strictEqual((yield* scheduler.getSchedule(id)).status, "Completed")
    }).pipe(Effect.provide(engine({ job: () => Effect.sleep("3 seconds") }, {}, store)))
  })

  it.effect("which had an end before: it goes on", () => {
    const { slow, store } = slowStore()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const trigger = Trigger.spaced("10 seconds")
      const { id } = yield* scheduler.repeat(job, { trigger, endAt: "1970-01-01T00:00:12Z" })
      yield* TestClock.adjust("2 seconds")
      slow.ends = true
      yield* TestClock.adjust("1500 millis")
      yield* scheduler.editSchedule(id, { trigger, endAt: "1970-01-01T00:01:40Z" })
      slow.ends = false
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual(yield* instants(), [0, 13_000])
    }).pipe(Effect.provide(engine({ job: () => Effect.sleep("3 seconds") }, {}, store)))
  })
})

describe("two edits at once", () => {
  const atOnce = (guard: { readonly revision?: number }) => {
    const { slow, store } = slowStore()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(job, { trigger: Trigger.fixed("10 seconds"), payload: 0 })
      slow.changes = true
      const edits = yield* Effect.fork(Effect.forEach(
        [1, 2],
        (payload) => Effect.either(scheduler.editSchedule(id, { payload }, guard)),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("10 seconds")
      const answers = yield* Fiber.join(edits)
      const { payload, revision } = yield* scheduler.getSchedule(id)
      return { answers: answers.map((answer) => Either.isRight(answer) ? "edited" : answer.left), payload, revision }
    }).pipe(Effect.provide(engine({}, {}, store)))
  }

  it.effect("of one revision: one of them holds", () =>
    Effect.gen(function*() {
      const { answers, payload, revision } = yield* atOnce({ revision: 1 })
      const winner = answers.indexOf("edited")
      assert.deepStrictEqual([payload, revision], [String(winner + 1), 2])
      assert.deepInclude(answers[1 - winner], { _tag: "RevisionConflict", expected: 1, actual: 2 })
    }))

  it.effect("of whatever revision there is: both hold, one after the other", () =>
    Effect.gen(function*() {
      const { answers, payload, revision } = yield* atOnce({})
      assert.deepStrictEqual([answers, revision], [["edited", "edited"], 3])
      assert.include(["1", "2"], payload)
    }))
})

describe("an edit while the cancellation of an occurrence is on its way to the store", () => {
  for (const trigger of [Trigger.spaced("10 seconds"), Trigger.fixed("10 seconds")]) {
    it.effect(`${trigger._tag}: what was cancelled is followed by the rule as it is then`, () => {
      const { slow, store } = slowStore()
      return Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const { id } = yield* scheduler.repeat(job, { trigger, payload: 1, initialDelay: "10 seconds" })
        const [task] = (yield* scheduler.list({ scheduleId: id })).items
        slow.cancels = true
        const cancelled = yield* Effect.fork(scheduler.cancel(task?.id ?? assert.fail("there is no occurrence")))
        yield* TestClock.adjust("500 millis")
        yield* scheduler.editSchedule(id, { payload: 2 })
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* Fiber.join(cancelled)).status, "Cancelled")
        assert.deepStrictEqual(yield* sent, [[20_000, "2"], [30_000, "2"]])
      }).pipe(Effect.provide(engine({}, {}, store)))
    })
  }
})

describe("an answer that tells what all instances go by", () => {
  it.effect("is not believed once a later one has: a pause that was lifted meanwhile stays lifted", () => {
    const { slow, store } = slowStore()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* settleDown
      slow.answers = true
      const paused = yield* Effect.fork(scheduler.pauses.set("job"))
      yield* TestClock.adjust("500 millis")
      const lifted = yield* Effect.fork(scheduler.pauses.lift("job"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(paused)
      yield* Fiber.join(lifted)
      yield* scheduler.schedule(job)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* instants(), [1_500])
    }).pipe(Effect.provide(engine({}, {}, store)))
  })

  it.effect("and a cap that was set meanwhile holds", () => {
    const { slow, store } = slowStore()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* settleDown
      slow.answers = true
      const loose = yield* Effect.fork(scheduler.limits.set("job", { concurrency: undefined }))
      yield* TestClock.adjust("500 millis")
      const tight = yield* Effect.fork(scheduler.limits.set("job", { concurrency: 1 }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(loose)
      yield* Fiber.join(tight)
      yield* scheduler.scheduleAll(job, [{}, {}])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* instants(), [1_500, 4_500])
    }).pipe(Effect.provide(engine({ job: () => Effect.sleep("3 seconds") }, {}, store)))
  })
})

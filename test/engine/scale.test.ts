import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryStore } from "../../src/adapters/memory/MemoryStore.ts"
import { LambdaScheduler, Trigger } from "../../src/index.ts"
import { anInstanceId, aSchedule, aTask, occurrenceOf, t0 } from "../support/builders.ts"
import { counts, engine, instants, job, settleDown } from "./support.ts"

describe("at scale", () => {
  it("to cancel a schedule is not to walk through all Tasks there are", () => {
    const store = new MemoryStore()
    const lease = store.openLease(anInstanceId(), Infinity, t0)
    for (let i = 0; i < 100; i++) store.insert(aTask(), undefined)
    const schedule = aSchedule()
    const stored = store.insertSchedule(schedule, occurrenceOf(schedule), undefined, undefined)
    if (stored._tag !== "Inserted") assert.fail(`expected Inserted, got ${stored._tag}`)
    store.tasks.values = () => assert.fail("walks through all Tasks")
    const cancelled = store.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0)
    assert.deepStrictEqual(cancelled.tasks.map((task) => task.id), [stored.first.id])
    assert.deepStrictEqual(cancelled.schedules.map(({ status }) => status), ["Cancelled"])
    assert.deepStrictEqual(store.cancel(lease, { _tag: "Schedule", id: schedule.id }, t0).tasks, [])
  })

  it.effect("a thousand schedules that are cancelled leave nothing behind that runs", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const made = yield* Effect.forEach(
        Array.from({ length: 1_000 }, (_, n) => n),
        (n) => scheduler.repeat(job, { trigger: (n % 2 === 0 ? Trigger.spaced : Trigger.fixed)("1 second") })
      )
      yield* settleDown
      yield* Effect.forEach(made, ({ id }) => scheduler.cancelSchedule(id), { concurrency: 10 })
      const ran = (yield* instants()).length
      assert.strictEqual(ran, 1_000)
      const left = yield* counts(scheduler)
      assert.isUndefined(left.Scheduled)
      assert.isUndefined(left.Running)
    }).pipe(Effect.provide(engine())))
})

describe("tags", () => {
  it.effect("that a caller changes afterwards are those of no Task", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const tags = JSON.parse(`{ "team": "red", "__proto__": "own" }`) as Record<string, string>
      const first = yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour"), tags })
      tags["team"] = "blue"
      assert.deepStrictEqual(
        (yield* scheduler.list({ tags: { team: "red" } })).items.map((task) => task.id),
        [first.id]
      )
      assert.isTrue(Object.hasOwn((yield* scheduler.get(first.id)).tags, "__proto__"))
      assert.deepStrictEqual((yield* scheduler.list({ tags: { constructor: "x" } })).items, [])
    }).pipe(Effect.provide(engine())))
})

import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Layer, Ref, Stream, TestClock } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { FailedTask, LambdaScheduler as Service, ScheduledTask, Task } from "../../src/index.ts"
import { LambdaFunction, LambdaScheduler, TaskId, Trigger } from "../../src/index.ts"
import { ScriptedLambdaClient } from "../../src/testing/index.ts"
import { down, storeWith } from "./brokenStore.ts"
import { counts, engine, job, other, settleDown } from "./support.ts"

/** Fails for good whatever has `bad` in its event, until it is mended. */
const mendable = () => {
  let isMended = false
  const script = ({ payload }: { readonly payload: { readonly bad?: boolean } | null }) =>
    payload?.bad === true && !isMended ? ScriptedLambdaClient.fail("AccessDenied") : "fine"
  return { script, mend: () => void (isMended = true) }
}

const bad = { payload: { bad: true } }

/** So many that have failed. */
const failing = (scheduler: Service["Type"], count: number, options: object = {}) =>
  Effect.zipLeft(
    Effect.forEach(Array.from({ length: count }), (_, n) =>
      scheduler.schedule(job, { payload: { bad: true, n }, ...options })),
    settleDown
  )

const failedTask = (task: Task): FailedTask => task.status === "Failed" ? task : assert.fail(`it is ${task.status}`)

const refusal = (refused: { readonly _tag: string; readonly reason?: unknown }) => [refused._tag, refused.reason]

describe("dead letters", () => {
  it.effect("are exactly those that failed for good: exhausted, or not worth another attempt (I15)", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const once = { maxAttempts: 1 }
      const run = (reason: string, retry: object = {}) =>
        scheduler.schedule(job, { payload: reason, name: reason, retry })
      yield* run("AccessDenied")
      yield* run("FunctionError", { maxAttempts: 3, baseDelay: "1 second" })
      yield* run("NoAnswer", { onUnknown: "fail" })
      yield* run("fine", once)
      yield* run("Throttled", once)
      const gone = yield* scheduler.schedule(job, { name: "gone", trigger: Trigger.after("1 hour") })
      yield* scheduler.cancel(gone.id)
      yield* TestClock.adjust("20 seconds")
      const { items } = yield* scheduler.deadLetters.list()
      assert.deepStrictEqual(items.map(({ name }) => name).sort(), ["AccessDenied", "FunctionError", "NoAnswer"])
      assert.deepStrictEqual(items, (yield* scheduler.list({ status: ["Failed"] })).items)
      assert.strictEqual(yield* scheduler.deadLetters.count(), 3)
      // Their history is with them.
      const exhausted = items.find(({ name }) => name === "FunctionError")
      assert.deepStrictEqual(exhausted?.attempts.map(({ ended, number }) => [number, ended?.outcome]), [
        [1, "failed"],
        [2, "failed"],
        [3, "failed"]
      ])
      assert.strictEqual(yield* scheduler.deadLetters.count({ failureReason: ["FunctionError", "NoAnswer"] }), 2)
      const page = yield* scheduler.deadLetters.list({}, { limit: 2 })
      const rest = yield* scheduler.deadLetters.list({}, { limit: 2, cursor: page.cursor })
      assert.deepStrictEqual([...page.items, ...rest.items], [...items])
      assert.deepStrictEqual(refusal(yield* Effect.flip(scheduler.deadLetters.list({}, { limit: 0 }))), [
        "InvalidInput",
        "QueryInvalid"
      ])
    }).pipe(Effect.provide(engine({
      job: ({ payload, request }) =>
        payload === "fine" || (payload === "Throttled" && Number(request.clientContext?.["attempt"]) > 1)
          ? "fine"
          : ScriptedLambdaClient.fail(payload as "AccessDenied")
    }))))

  it.effect("one is redriven: the same work, due now, a new budget, linked both ways (I16)", () => {
    const { mend, script } = mendable()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const made = yield* scheduler.schedule(LambdaFunction.existing("job", { qualifier: "live" }), {
        ...bad,
        name: "march",
        tags: { month: "3" },
        priority: 7,
        retry: { maxAttempts: 5 }
      })
      yield* TestClock.adjust("1 hour")
      mend()
      const { isNew, task } = yield* scheduler.deadLetters.redrive(made.id)
      assert.isTrue(isNew)
      const { attempts, function: fn, name, payload, priority, retry, tags } = made
      assert.deepInclude(task, { attempts, function: fn, name, payload, priority, retry, tags, redriveOf: made.id })
      assert.deepInclude(task, { dueAt: 3_600_000, nominalAt: 3_600_000, createdAt: 3_600_000 })
      assert.strictEqual(yield* scheduler.awaitResult(task.id), "fine")
      assert.strictEqual(failedTask(yield* scheduler.get(made.id)).redrivenAs, task.id)
      const client = yield* ScriptedLambdaClient
      const [first, second] = yield* client.invocations
      assert.strictEqual(second?.qualifier, "live")
      // It is another piece of work.
      assert.deepStrictEqual([first, second].map((call) => call?.request.clientContext?.["idempotencyKey"]), [
        made.id,
        task.id
      ])
      assert.strictEqual(yield* scheduler.deadLetters.count({ redriven: true }), 1)
      assert.strictEqual(yield* scheduler.deadLetters.count({ redriven: false }), 0)
    }).pipe(Effect.provide(engine({ job: script })))
  })

  it.effect("with another payload, as a value or as JSON text byte for byte", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const [one, two, three] = yield* failing(scheduler, 3)
      if (one === undefined || two === undefined || three === undefined) return assert.fail("there are three")
      const { redrive } = scheduler.deadLetters
      assert.strictEqual((yield* redrive(one.id, { payload: null })).task.payload, "null")
      assert.strictEqual(
        (yield* redrive(two.id, { payloadJson: ` {"a":1, "a":2.50} ` })).task.payload,
        ` {"a":1, "a":2.50} `
      )
      assert.deepStrictEqual(
        yield* Effect.forEach(
          [
            { payloadJson: "{" },
            { payload: undefined },
            { payload: 1, payloadJson: "1" },
            { payloadJson: `"${"x".repeat(7_000_000)}"` }
          ],
          (options) => Effect.map(Effect.flip(redrive(three.id, options)), refusal)
        ),
        [
          ["InvalidInput", "PayloadNotJson"],
          ["InvalidInput", "PayloadNotJson"],
          ["InvalidInput", "PayloadInvalid"],
          ["InvalidInput", "PayloadTooLarge"]
        ]
      )
      assert.isUndefined(failedTask(yield* scheduler.get(three.id)).redrivenAs)
    }).pipe(Effect.provide(engine({ job: mendable().script }))))

  it.effect("once: asked twice, the first stands; another payload or what is gone is a conflict", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const [letter] = yield* failing(scheduler, 1)
      if (letter === undefined) return assert.fail("there is one")
      const { redrive } = scheduler.deadLetters
      const first = yield* redrive(letter.id, { payload: { n: 1 } })
      yield* settleDown
      const ended = yield* scheduler.get(first.task.id)
      assert.strictEqual(ended.status, "Succeeded")
      for (const options of [undefined, {}, { payload: { n: 1 } }, { payloadJson: `{"n":1}` }]) {
        assert.deepStrictEqual(yield* redrive(letter.id, options), { task: ended, isNew: false })
      }
      const conflict = yield* Effect.flip(redrive(letter.id, { payload: { n: 2 } }))
      assert.deepInclude(conflict, {
        _tag: "RedriveConflict",
        reason: "OtherPayload",
        id: letter.id,
        redrivenAs: first.task.id
      })
      // The dead letter stays longer than what has succeeded.
      yield* TestClock.adjust("8 days")
      assert.strictEqual((yield* Effect.flip(scheduler.get(first.task.id)))._tag, "TaskNotFound")
      for (const options of [undefined, { payload: { n: 1 } }]) {
        assert.deepInclude(yield* Effect.flip(redrive(letter.id, options)), {
          _tag: "RedriveConflict",
          reason: "Removed",
          id: letter.id,
          redrivenAs: first.task.id
        })
      }
      assert.strictEqual((yield* (yield* ScriptedLambdaClient).invocations).length, 2)
    }).pipe(Effect.provide(engine({ job: mendable().script }))))

  it.effect("nothing else can be redriven, and the error says why", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const waiting = yield* scheduler.schedule(job, { trigger: Trigger.after("1 hour") })
      const done = yield* scheduler.schedule(job)
      yield* settleDown
      const refused = (id: TaskId) => Effect.flip(scheduler.deadLetters.redrive(id))
      assert.deepInclude(yield* refused(waiting.id), { _tag: "TaskNotFailed", status: "Scheduled" })
      assert.deepInclude(yield* refused(done.id), { _tag: "TaskNotFailed", status: "Succeeded" })
      assert.strictEqual(
        (yield* refused(TaskId.make("0190a0b0-0000-7000-8000-000000000001")))._tag,
        "TaskNotFound"
      )
      assert.deepStrictEqual(yield* counts(scheduler), { Scheduled: 1, Succeeded: 1 })
    }).pipe(Effect.provide(engine())))

  it.effect("a redriven one that fails again is a dead letter of its own", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const [first] = yield* failing(scheduler, 1, { retry: { maxAttempts: 2, baseDelay: 0 } })
      if (first === undefined) return assert.fail("there is one")
      const { task: second } = yield* scheduler.deadLetters.redrive(first.id)
      yield* settleDown
      assert.strictEqual((yield* scheduler.get(second.id)).status, "Failed")
      // The first stays redriven, as that one.
      assert.deepInclude(yield* scheduler.deadLetters.redrive(first.id), { isNew: false })
      const { task: third } = yield* scheduler.deadLetters.redrive(second.id)
      assert.strictEqual(third.redriveOf, second.id)
      yield* settleDown
      const chain = (yield* scheduler.deadLetters.list()).items
      assert.deepStrictEqual(
        chain.map(({ id, redriveOf, redrivenAs }) => [id, redriveOf, redrivenAs]),
        [[third.id, second.id, undefined], [second.id, first.id, third.id], [first.id, undefined, second.id]]
      )
    }).pipe(Effect.provide(engine({ job: mendable().script }))))

  it.effect("of a schedule: its own overlap rule and number of runs have no part in it", () => {
    const { mend, script } = mendable()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const { id } = yield* scheduler.repeat(job, {
        ...bad,
        name: "ticks",
        trigger: Trigger.fixed("1 minute"),
        maxRuns: 3
      })
      yield* TestClock.adjust("1 second")
      const [letter] = (yield* scheduler.deadLetters.list({ scheduleId: id })).items
      if (letter === undefined) return assert.fail("its first occurrence has failed")
      mend()
      const { task } = yield* scheduler.deadLetters.redrive(letter.id)
      assert.deepInclude(task, { name: "ticks", scheduleId: undefined, origin: undefined })
      yield* TestClock.adjust("5 minutes")
      const occurrences = (yield* scheduler.list({ scheduleId: id })).items
      assert.deepStrictEqual(occurrences.map(({ status }) => status), ["Succeeded", "Succeeded", "Failed"])
      assert.deepInclude(yield* scheduler.getSchedule(id), { status: "Completed", runs: 3 })
      assert.strictEqual((yield* scheduler.get(task.id)).status, "Succeeded")
    }).pipe(Effect.provide(engine({ job: script })))
  })

  it.effect("a scheduler that is closed redrives nothing", () =>
    Effect.gen(function*() {
      const scheduler = yield* Effect.scoped(
        Effect.gen(function*() {
          const context = yield* Layer.build(engine({ job: mendable().script }, {}, MemoryTaskRepository.layer))
          const scheduler = yield* Effect.provide(LambdaScheduler, context)
          yield* failing(scheduler, 2)
          return scheduler
        })
      )
      const [letter] = (yield* scheduler.deadLetters.list()).items
      if (letter === undefined) return assert.fail("there are two")
      assert.strictEqual((yield* Effect.flip(scheduler.deadLetters.redrive(letter.id)))._tag, "SchedulerClosed")
      const all = yield* Effect.flip(Stream.runDrain(scheduler.deadLetters.redriveAll({})))
      assert.strictEqual(all._tag, "SchedulerClosed")
      assert.strictEqual(yield* scheduler.deadLetters.count({ redriven: true }), 0)
    }))
})

describe("many dead letters", () => {
  it.effect("are counted, redriven by filter, and nothing twice", () => {
    const { mend, script } = mendable()
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 130, { name: "a" })
      yield* failing(scheduler, 5, { name: "b" })
      const { count, redriveAll } = scheduler.deadLetters
      assert.strictEqual(yield* count({ name: "a" }), 130)
      mend()
      const made = Chunk.toReadonlyArray(yield* Stream.runCollect(redriveAll({ name: "a" })))
      assert.strictEqual(made.length, 130)
      assert.strictEqual(new Set(made.map(({ redriveOf }) => redriveOf)).size, 130)
      yield* settleDown
      assert.strictEqual((yield* scheduler.list({ name: "a", status: ["Succeeded"] })).items.length, 130)
      assert.strictEqual(yield* Stream.runCount(redriveAll({ name: "a" })), 0)
      assert.strictEqual(yield* count({ redriven: false }), 5)
      assert.strictEqual(yield* Stream.runCount(redriveAll({})), 5)
      assert.strictEqual((yield* (yield* ScriptedLambdaClient).invocations).length, 270)
    }).pipe(Effect.provide(engine({ job: script })))
  })

  it.effect("that fail again while they are redriven are not redriven for ever", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 10)
      // Each fails before the next is read.
      const made = yield* scheduler.deadLetters.redriveAll({}, { batch: 1 }).pipe(
        Stream.tap(() => settleDown),
        Stream.runCount
      )
      assert.strictEqual(made, 10)
      assert.strictEqual(yield* scheduler.deadLetters.count({ redriven: false }), 10)
      assert.strictEqual(yield* scheduler.deadLetters.count(), 20)
    }).pipe(Effect.provide(engine({ job: mendable().script }))))

  it.effect("no more than a limit", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 20)
      const { count, redriveAll } = scheduler.deadLetters
      assert.strictEqual(yield* Stream.runCount(redriveAll({}, { limit: 7, batch: 3 })), 7)
      assert.strictEqual(yield* count({ redriven: true }), 7)
      assert.strictEqual(yield* Stream.runCount(redriveAll({}, { limit: 1 })), 1)
      for (const options of [{ limit: 0 }, { limit: 1.5 }, { batch: 0 }, { batch: 1_001 }]) {
        assert.deepStrictEqual(refusal(yield* Effect.flip(Stream.runDrain(redriveAll({}, options)))), [
          "InvalidInput",
          "QueryInvalid"
        ])
      }
    }).pipe(Effect.provide(engine({ job: mendable().script }))))

  it.effect("with one payload for all, or one made of each", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 3, { name: "a" })
      yield* failing(scheduler, 3, { name: "b" })
      yield* failing(scheduler, 3, { name: "c" })
      const { count, redriveAll } = scheduler.deadLetters
      const payloads = (stream: Stream.Stream<ScheduledTask, unknown>) =>
        Effect.map(Stream.runCollect(stream), (tasks) =>
          Chunk.toReadonlyArray(tasks).map(({ payload }) => payload).sort())
      assert.deepStrictEqual(yield* payloads(redriveAll({ name: "a" }, { payload: 5 })), ["5", "5", "5"])
      const edit = (task: FailedTask) => ({ ...JSON.parse(task.payload) as object, bad: false })
      assert.deepStrictEqual(
        yield* payloads(redriveAll({ name: "b" }, { edit })),
        [0, 1, 2].map((n) =>
          `{"bad":false,"n":${n}}`
        )
      )
      for (
        const [options, reason] of [
          [{ edit, payload: 1 }, "PayloadInvalid"],
          [{ edit, payloadJson: "1" }, "PayloadInvalid"],
          [{ edit: () => undefined }, "PayloadNotJson"],
          [{ payloadJson: "?" }, "PayloadNotJson"]
        ] as const
      ) {
        const refused = yield* Effect.flip(Stream.runDrain(redriveAll({ name: "c" }, options)))
        assert.deepStrictEqual(refusal(refused), ["InvalidInput", reason])
      }
      assert.strictEqual(yield* count({ name: "c", redriven: false }), 3)
    }).pipe(Effect.provide(engine({ job: mendable().script }))))

  it.effect("go on where an error or an interruption stopped them", () => {
    const { mend, script } = mendable()
    let calls = 0
    const store = storeWith((memory) => ({
      redrive: (tasks, claim) => ++calls === 3 ? down() : memory.redrive(tasks, claim)
    }))
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 20)
      mend()
      const { count, redriveAll } = scheduler.deadLetters
      const emitted = yield* Ref.make(0)
      const counted = redriveAll({}, { batch: 3 }).pipe(Stream.tap(() => Ref.update(emitted, (n) => n + 1)))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(counted)))._tag, "TaskRepositoryError")
      assert.deepStrictEqual([yield* Ref.get(emitted), yield* count({ redriven: true })], [6, 6])
      const stuck = yield* Effect.fork(counted.pipe(Stream.take(3), Stream.concat(Stream.never), Stream.runDrain))
      yield* settleDown
      yield* Fiber.interrupt(stuck)
      assert.strictEqual(yield* count({ redriven: true }), 9)
      assert.strictEqual(yield* Stream.runCount(redriveAll({})), 11)
      yield* settleDown
      assert.deepStrictEqual(yield* counts(scheduler), { Failed: 20, Succeeded: 20 })
    }).pipe(Effect.provide(engine({ job: script }, {}, store)))
  })

  it.effect("large ones are stored in several statements, and each once", () => {
    const sizes: Array<number> = []
    const store = storeWith((memory) => ({
      redrive: (tasks, claim) => {
        sizes.push(tasks.length)
        return memory.redrive(tasks, claim)
      }
    }))
    return Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      for (const size of [1_500_000, 1_500_000, 1_500_000, 5_000_000, 10, 10]) {
        yield* scheduler.schedule(job, { payload: { bad: true, text: "x".repeat(size) } })
      }
      yield* settleDown
      assert.strictEqual(yield* Stream.runCount(scheduler.deadLetters.redriveAll({})), 6)
      // Newest first.
      assert.deepStrictEqual(sizes, [2, 1, 2, 1])
    }).pipe(Effect.provide(engine({ job: mendable().script }, {}, store)))
  })

  it.effect("are purged by filter, however many; nothing else is", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 1_200, { name: "a" })
      yield* failing(scheduler, 3, { name: "b" })
      yield* scheduler.schedule(other, { name: "a" })
      yield* settleDown
      assert.strictEqual(yield* scheduler.deadLetters.purge({ name: "a" }), 1_200)
      assert.deepStrictEqual(yield* counts(scheduler), { Failed: 3, Succeeded: 1 })
      assert.strictEqual(yield* scheduler.deadLetters.purge({}), 3)
      assert.strictEqual(yield* scheduler.deadLetters.purge({}), 0)
      assert.deepStrictEqual(yield* counts(scheduler), { Succeeded: 1 })
    }).pipe(Effect.provide(engine({ job: mendable().script }))))
})

describe("dead letters are kept", () => {
  const left = (settings: object) =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 30)
      yield* Effect.replicateEffect(scheduler.schedule(other), 30)
      yield* TestClock.adjust("3 hours")
      return yield* counts(scheduler)
    }).pipe(Effect.provide(engine({ job: mendable().script }, settings)))

  it.effect("for a time of their own", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* left({ retentionAge: 3_600_000 }), { Failed: 30 })
      assert.deepStrictEqual(yield* left({ deadLetterAge: 3_600_000 }), { Succeeded: 30 })
    }))

  it.effect("in a number of their own", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* left({ retentionCount: 10 }), { Failed: 30, Succeeded: 10 })
      assert.deepStrictEqual(yield* left({ deadLetterCount: 10 }), { Failed: 10, Succeeded: 30 })
    }))

  it.effect("30 days by default, and an engine that has pruned the last of them is idle", () =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* failing(scheduler, 3)
      yield* TestClock.setTime(29 * 86_400_000)
      assert.deepStrictEqual(yield* counts(scheduler), { Failed: 3 })
      // At 4 ms a wake this would take hours if every round of pruning woke it.
      yield* TestClock.setTime(60 * 365 * 86_400_000)
      assert.deepStrictEqual(yield* counts(scheduler), {})
    }).pipe(Effect.provide(engine({ job: mendable().script }))))
})

/** Retry policies, deadlines and what functions answer about their retries, through the whole scheduler on both stores. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schedule } from "effect"
import type { RetryOptions, Task } from "../../../src/index.ts"
import { LambdaFunction, Trigger } from "../../../src/index.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { lostReply, lostRequest } from "../linkedStore.ts"
import { inWorld } from "../world.ts"
import type { Instance, StoreName } from "./stage.ts"
import { at, iso, onStage, stores, until } from "./stage.ts"
import { job, outcomes, sound, timeline } from "./support.ts"

const begin = "2027-05-03T12:00:00Z"
const slow = LambdaFunction.existing("slow", { timeout: "1 minute" })
const second = (seconds: number) => at(begin) + seconds * 1_000

const fail = (errorType?: string) =>
  ScriptedLambdaClient.fail("FunctionError", errorType === undefined ? {} : { errorType })

const failsOnce = () => {
  let calls = 0
  return () => calls++ === 0 ? fail() : Effect.succeed("fine")
}

/** When each attempt began, in seconds from the beginning. */
const beganAt = (task: Task) => task.attempts.map(({ startedAt }) => (startedAt - at(begin)) / 1_000)

const failureOf = (task: Task) => task.status === "Failed" ? [task.failure.reason, task.finishedAt] : [task.status]

const tasksOf = ({ scheduler }: Instance, name: string) =>
  Effect.map(scheduler.list({ name }), ({ items }) => items.slice().reverse())

const eachStore = (title: string, test: (store: StoreName) => Promise<unknown>) => {
  for (const store of stores) it(`${title}, on ${store}`, () => test(store))
}

describe("the delays of a policy", () => {
  const policies: Readonly<Record<string, readonly [RetryOptions, ReadonlyArray<number>]>> = {
    "that are fixed": [{ backoff: "fixed", baseDelay: "10 seconds", maxAttempts: 4 }, [0, 10, 20, 30]],
    "that are listed": [{ backoff: ["1 second", "5 seconds", "1 minute"] }, [0, 1, 6, 66]],
    "that are listed, of which the last goes on": [{ backoff: [1_000, 5_000], maxAttempts: 5 }, [0, 1, 6, 11, 16]],
    "that double exactly": [{ jitter: "none", maxAttempts: 5, maxDelay: "5 seconds" }, [0, 1, 3, 7, 12]],
    "of an Effect Schedule": [
      { schedule: Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(5))) },
      [0, 1, 3, 7, 15, 31]
    ],
    "of an Effect Schedule without an end": [{ schedule: Schedule.spaced("7 seconds"), maxAttempts: 4 }, [0, 7, 14, 21]]
  }
  eachStore(
    "are kept to the millisecond, of Tasks and of schedules alike",
    (store) =>
      onStage(store, begin, { job: () => fail() }, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start({ startLead: 0 })
          const made: Array<readonly [string, string, ReadonlyArray<number>]> = []
          for (const [name, [retry, expected]] of Object.entries(policies)) {
            const { id } = yield* scheduler.schedule(job, { retry })
            const repeated = yield* scheduler.repeat(job, { trigger: Trigger.fixed("1 day"), maxRuns: 1, retry })
            made.push([name, id, expected], [`${name}, of a schedule`, repeated.id, expected])
          }
          yield* until("2027-05-03T12:10:00Z")
          for (const [name, id, expected] of made) {
            const { items: [task] } = yield* scheduler.list({ scheduleId: id as never })
            const found = task ?? (yield* scheduler.get(id as never))
            assert.deepStrictEqual([name, ...beganAt(found)], [name, ...expected])
            assert.strictEqual(failureOf(found)[0], "FunctionError")
          }
        }))
  )

  eachStore(
    "of a Schedule with jitter are drawn for each Task",
    (store) =>
      onStage(store, begin, {}, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start()
          const retry = { schedule: Schedule.jittered(Schedule.exponential("1 second")), maxAttempts: 4 }
          const options = { retry, trigger: Trigger.after("1 hour") }
          const tasks = yield* scheduler.scheduleAll(job, [options, options, options])
          assert.strictEqual(new Set(tasks.map((task) => String(task.retry.backoff))).size, 3)
        }))
  )

  eachStore(
    "a Schedule that cannot be taken in advance is refused before anything is stored",
    (store) =>
      onStage(store, begin, {}, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start()
          const retry = { schedule: Schedule.forever.pipe(Schedule.tapOutput(() => Effect.sleep(1))) }
          for (
            const refused of [
              yield* Effect.flip(scheduler.schedule(job, { retry })),
              yield* Effect.flip(scheduler.scheduleAll(job, [{}, { retry }])),
              yield* Effect.flip(scheduler.repeat(job, { trigger: Trigger.fixed("1 hour"), retry }))
            ]
          ) {
            assert.deepInclude(refused, { _tag: "InvalidInput", reason: "RetryInvalid", field: "retry.schedule" })
          }
          assert.deepStrictEqual((yield* scheduler.list()).items, [])
          assert.deepStrictEqual((yield* scheduler.listSchedules()).items, [])
        }))
  )
})

describe("what is not tried again", () => {
  eachStore(
    "is a function's own error that the policy names",
    (store) =>
      onStage(store, begin, { job: ({ payload }) => fail(payload as string) }, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start()
          const retry = { notRetryableErrors: ["ValidationError"], baseDelay: 0 }
          const { id } = yield* scheduler.schedule(job, { payload: "ValidationError", retry })
          const other = yield* scheduler.schedule(job, { payload: "Error", retry })
          yield* Effect.sleep("1 minute")
          assert.strictEqual((yield* scheduler.get(id)).attempts.length, 1)
          assert.strictEqual((yield* scheduler.get(other.id)).attempts.length, 3)
        }))
  )

  eachStore(
    "is a throttled Task that has waited for maxWait",
    (store) =>
      onStage(store, begin, { job: () => ScriptedLambdaClient.fail("Throttled") }, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start()
          const { id } = yield* scheduler.schedule(job, { retry: { maxWait: "5 minutes" } })
          yield* Effect.sleep("1 hour")
          const task = yield* scheduler.get(id)
          assert.strictEqual(failureOf(task)[0], "Expired")
          assert.isTrue(task.attempts.every(({ ended }) => ended?.outcome === "throttled"))
          assert.isAtLeast(task.attempts.length, 4)
          assert.isAtMost(beganAt(task).at(-1) ?? Infinity, 300)
        }))
  )
})

describe("what a function answers", () => {
  eachStore("is another attempt at its instant, or the end", (store) =>
    onStage(
      store,
      begin,
      {
        job: ({ number }) =>
          number === 1
            ? { $scheduler: { retryAt: "2027-05-03T14:30:00.250+02:00", reason: "quota is used up" } }
            : number === 2
            ? { $scheduler: { retryAfter: 90.5 } }
            : { $scheduler: { giveUp: "the account is closed" } }
      },
      (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start({ startLead: 0 })
          const { id } = yield* scheduler.schedule(job)
          yield* until("2027-05-03T13:00:00Z")
          const task = yield* scheduler.get(id)
          assert.deepStrictEqual(beganAt(task), [0, 1_800.25, 1_890.75])
          assert.deepStrictEqual(
            task.attempts.map(({ ended }) => [ended?.outcome, ended?.error?.reason, ended?.error?.message]),
            [
              ["failed", "RetryRequested", "quota is used up"],
              ["failed", "RetryRequested", "The function asked for another attempt"],
              ["failed", "GaveUp", "the account is closed"]
            ]
          )
          assert.deepStrictEqual(failureOf(task), ["GaveUp", at(begin) + 1_890_750])
          const error = yield* Effect.flip(scheduler.awaitResult(id))
          assert.deepInclude(error, { reason: "GaveUp", message: "the account is closed" })
        })
    ))
})

describe("an attempt is given up", () => {
  eachStore(
    "after attemptTimeout, as unknown",
    (store) =>
      onStage(store, begin, { slow: () => Effect.sleep("30 seconds") }, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start({ startLead: 0 })
          const given = (retry: RetryOptions) => Effect.map(scheduler.schedule(slow, { retry }), ({ id }) => id)
          const short = yield* given({ attemptTimeout: "2 seconds", backoff: [0], maxAttempts: 2 })
          const once = yield* given({ attemptTimeout: "2 seconds", onUnknown: "fail" })
          // The function's own timeout and the margin are less.
          const long = yield* given({ attemptTimeout: "1 hour" })
          yield* until("2027-05-03T12:05:00Z")
          const tasks = yield* Effect.forEach([short, once, long], (id) => scheduler.get(id))
          assert.deepStrictEqual(tasks.map(outcomes), [["unknown", "unknown"], ["unknown"], ["succeeded"]])
          assert.deepStrictEqual(tasks.map(beganAt), [[0, 2], [0], [0]])
          assert.deepStrictEqual(tasks.slice(0, 2).map(failureOf), [["NoAnswer", second(4)], ["NoAnswer", second(2)]])
        }))
  )

  eachStore(
    "at the Task's deadline, and nothing is tried again",
    (store) =>
      onStage(store, begin, {
        slow: () => Effect.sleep("30 seconds"),
        job: () => fail()
      }, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start({ startLead: 0 })
          const retry = { deadline: "5 seconds", attemptTimeout: "3 seconds", backoff: [500], maxAttempts: 9 } as const
          const { id } = yield* scheduler.schedule(slow, { retry })
          const once = yield* scheduler.schedule(slow, {
            retry: { ...retry, attemptTimeout: undefined, onUnknown: "fail" }
          })
          const failing = yield* scheduler.schedule(job, { retry: { ...retry, backoff: ["2 seconds"] } })
          yield* until("2027-05-03T12:05:00Z")
          const tasks = yield* Effect.forEach([id, once.id, failing.id], (id) => scheduler.get(id))
          assert.deepStrictEqual(tasks.map(outcomes), [["unknown", "unknown"], ["unknown"], [
            "failed",
            "failed",
            "failed"
          ]])
          assert.deepStrictEqual(tasks.map(beganAt), [[0, 3.5], [0], [0, 2, 4]])
          assert.deepStrictEqual(tasks.map(failureOf), [
            ["Expired", second(5)],
            ["Expired", second(5)],
            ["Expired", second(4)]
          ])
        }))
  )
})

describe("after its deadline nothing is started", () => {
  eachStore(
    "though it comes to be looked at only then",
    (store) =>
      onStage(store, begin, {}, (stage) =>
        Effect.gen(function*() {
          const one = yield* stage.start()
          const due = { trigger: Trigger.at("2027-05-03T13:00:00Z") }
          const late = yield* one.scheduler.schedule(job, { ...due, retry: { deadline: "59 minutes" } })
          const fine = yield* one.scheduler.schedule(job, { ...due, retry: { deadline: "61 minutes" } })
          yield* one.stop
          yield* until("2027-05-03T14:00:00Z")
          const two = yield* stage.start()
          yield* Effect.sleep("1 minute")
          const task = yield* two.scheduler.get(late.id)
          assert.deepStrictEqual(failureOf(task), ["Expired", at("2027-05-03T14:00Z")])
          assert.deepStrictEqual(outcomes(task), store === "memory" ? [] : ["notSent"])
          assert.strictEqual((yield* two.scheduler.get(fine.id)).status, "Succeeded")
          assert.deepStrictEqual(yield* stage.runs("job"), ["2027-05-03T14:00Z"])
        }))
  )

  eachStore(
    "though it was claimed long before, and had to wait for a slot",
    (store) =>
      onStage(store, begin, { slow: () => Effect.sleep("40 seconds") }, (stage) =>
        Effect.gen(function*() {
          const one = yield* stage.start({ concurrency: 1 })
          yield* one.scheduler.schedule(slow)
          const soon = { trigger: Trigger.after("1 second") }
          const late = yield* one.scheduler.schedule(job, { ...soon, retry: { deadline: "30 seconds" } })
          const fine = yield* one.scheduler.schedule(job, soon)
          yield* Effect.sleep("2 minutes")
          assert.deepStrictEqual(failureOf(yield* one.scheduler.get(late.id)), ["Expired", second(40)])
          assert.strictEqual((yield* one.scheduler.get(fine.id)).status, "Succeeded")
          assert.deepStrictEqual((yield* one.scheduler.get(late.id)).attempts, [])
        }))
  )

  for (
    const trigger of [Trigger.fixed("1 minute"), Trigger.cron("* * * * *"), Trigger.spaced("1 minute")]
  ) {
    eachStore(
      `a schedule (${trigger._tag}) goes on after what has expired`,
      (store) =>
        onStage(store, begin, { slow: () => Effect.sleep("50 seconds") }, (stage) =>
          Effect.gen(function*() {
            const one = yield* stage.start({ concurrency: 1 })
            const { id } = yield* one.scheduler.repeat(job, {
              trigger,
              startAt: "2027-05-03T12:01:00Z",
              retry: { deadline: "20 seconds" }
            })
            yield* until("2027-05-03T12:01:30Z")
            // It holds the one slot from before the next occurrence until after its deadline.
            yield* one.scheduler.schedule(slow)
            yield* until("2027-05-03T12:04:30Z")
            const tasks = yield* tasksOf(one, "job")
            const isSpaced = trigger._tag === "Spaced"
            assert.deepStrictEqual(tasks.map((task) => [iso(task.nominalAt), task.status]), [
              ["2027-05-03T12:01Z", "Succeeded"],
              ["2027-05-03T12:02Z", "Failed"],
              [isSpaced ? "2027-05-03T12:03:20Z" : "2027-05-03T12:03Z", "Succeeded"],
              ...(isSpaced
                ? [["2027-05-03T12:04:20Z", "Succeeded"], ["2027-05-03T12:05:20Z", "Scheduled"]]
                : [["2027-05-03T12:04Z", "Succeeded"], ["2027-05-03T12:05Z", "Scheduled"]])
            ])
            assert.deepStrictEqual(tasks.flatMap((task) => task.status === "Failed" ? [failureOf(task)] : []), [
              ["Expired", at("2027-05-03T12:02:20Z")]
            ])
            assert.deepInclude(yield* one.scheduler.getSchedule(id), { runs: 3, missed: 0, status: "Active" })
          }))
    )

    eachStore(
      `a schedule (${trigger._tag}) goes on after a downtime, without what is too late`,
      (store) =>
        onStage(store, begin, {}, (stage) =>
          Effect.gen(function*() {
            const one = yield* stage.start()
            yield* one.scheduler.repeat(job, {
              trigger,
              startAt: "2027-05-03T12:01:00Z",
              retry: { deadline: "20 seconds" }
            })
            yield* until("2027-05-03T12:01:30Z")
            yield* one.stop
            yield* until("2027-05-03T13:00:30Z")
            const two = yield* stage.start()
            yield* until("2027-05-03T13:02:50Z")
            const isSpaced = trigger._tag === "Spaced"
            // Neither what had been stored nor the latest that has passed since may still start.
            assert.deepStrictEqual((yield* tasksOf(two, "job")).map((task) => [iso(task.nominalAt), task.status]), [
              ["2027-05-03T12:01Z", "Succeeded"],
              ...(isSpaced
                ? [
                  ["2027-05-03T12:02Z", "Failed"],
                  ["2027-05-03T13:01:30Z", "Succeeded"],
                  ["2027-05-03T13:02:30Z", "Succeeded"],
                  ["2027-05-03T13:03:30Z", "Scheduled"]
                ]
                : [
                  // One record for all that were missed but the latest.
                  ["2027-05-03T12:02Z", "Skipped"],
                  ["2027-05-03T13:00Z", "Failed"],
                  ["2027-05-03T13:01Z", "Succeeded"],
                  ["2027-05-03T13:02Z", "Succeeded"],
                  ["2027-05-03T13:03Z", "Scheduled"]
                ])
            ])
          }))
    )
  }

  eachStore(
    "though it is due again before: a schedule goes on after a retry that has waited too long for a slot",
    (store) =>
      onStage(
        store,
        begin,
        { job: failsOnce(), slow: () => Effect.sleep("50 seconds") },
        (stage) =>
          Effect.gen(function*() {
            const one = yield* stage.start({ concurrency: 1 })
            const { id } = yield* one.scheduler.repeat(job, {
              trigger: Trigger.spaced("1 minute"),
              startAt: "2027-05-03T12:01:00Z",
              retry: { deadline: "20 seconds", backoff: "fixed", baseDelay: "5 seconds" }
            })
            yield* until("2027-05-03T12:01:02Z")
            yield* one.scheduler.schedule(slow)
            yield* until("2027-05-03T12:03:00Z")
            const [first, second] = yield* tasksOf(one, "job")
            assert.deepStrictEqual(first && failureOf(first), ["Expired", at("2027-05-03T12:01:52Z")])
            assert.deepStrictEqual(first && outcomes(first), ["failed"])
            assert.deepInclude(second, { status: "Succeeded", nominalAt: at("2027-05-03T12:02:52Z") })
            assert.deepInclude(yield* one.scheduler.getSchedule(id), { runs: 2, status: "Active" })
          })
      )
  )

  it("while the store is away for the mark of a retry, its schedule goes on after what expires meanwhile", () =>
    inWorld({ scripts: { job: failsOnce() } }, (world) =>
      Effect.gen(function*() {
        const { begin, until } = yield* timeline(world)
        const one = yield* world.start()
        let marks = 0
        one.link.fault = (call) => call === "start" && marks++ > 0 && marks < 10 ? lostRequest : undefined
        const { id } = yield* one.scheduler.repeat(job, {
          trigger: Trigger.spaced("1 minute"),
          initialDelay: "1 minute",
          retry: { deadline: Duration.millis(5_025), backoff: "fixed", baseDelay: "5 seconds" }
        })
        yield* until(200_000)
        const tasks = (yield* world.tasks).slice().reverse()
        const [first, second] = tasks
        const what = tasks.map((task) => `${task.nominalAt - begin} ${task.status} ${outcomes(task).join()}`).join("; ")
        assert.strictEqual(first && failureOf(first)[0], "Expired", what)
        assert.deepStrictEqual(first && outcomes(first), ["failed"], what)
        assert.strictEqual(second?.status, "Succeeded", what)
        assert.deepInclude(yield* one.scheduler.getSchedule(id), { status: "Active" }, what)
        sound(world)
      })))

  it("while the store is away, or its replies get lost, a Task expires once, and its schedule goes on", async () => {
    for (const trigger of [Trigger.fixed("1 minute"), Trigger.spaced("1 minute")]) {
      for (const lost of [lostRequest, lostReply]) {
        for (const tries of [1, 10]) {
          await inWorld({}, (world) =>
            Effect.gen(function*() {
              const { begin, until } = yield* timeline(world)
              const one = yield* world.start()
              let marks = 0
              one.link.fault = (call) => call === "start" && marks++ < tries ? lost : undefined
              // The first mark is asked for 20 ms before it is due, the second one 50 ms later.
              const { id } = yield* one.scheduler.repeat(job, {
                trigger,
                initialDelay: "1 minute",
                retry: { deadline: Duration.millis(25) }
              })
              yield* until(250_000)
              const tasks = (yield* world.tasks).slice().reverse()
              const what = `${trigger._tag}, ${lost.lost} lost ${tries} times: ${
                tasks.map((task) => `${task.nominalAt - begin} ${task.status} ${outcomes(task).join()}`).join("; ")
              }`
              const [first, ...rest] = tasks
              // Where the first mark took effect it is known to have started, though too late to be sent.
              assert.strictEqual(first?.status, "Failed", what)
              if (first !== undefined) {
                assert.strictEqual(failureOf(first)[0], "Expired", what)
                assert.deepStrictEqual(outcomes(first), lost === lostReply ? ["notSent"] : [], what)
              }
              assert.isAtLeast(rest.filter(({ status }) => status === "Succeeded").length, 2, what)
              assert.strictEqual(rest.filter(({ status }) => status === "Scheduled").length, 1, what)
              assert.deepInclude(yield* one.scheduler.getSchedule(id), { status: "Active" }, what)
              assert.isFalse(world.calls.some((call) => call.taskId === first?.id), what)
              assert.deepStrictEqual(world.logs.filter((line) => line.startsWith("ERROR")), [], what)
              sound(world)
            }))
        }
      }
    }
  })

  it("a lost reply to an end by deadline is recognized: what follows is not waited for", () =>
    inWorld(
      { settings: { concurrency: 1 }, scripts: { slow: () => Effect.sleep("50 seconds") } },
      (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const one = yield* world.start()
          const { id } = yield* one.scheduler.repeat(job, {
            trigger: Trigger.spaced("1 minute"),
            initialDelay: "1 minute",
            retry: { deadline: "20 seconds" }
          })
          yield* until(45_000)
          yield* one.scheduler.schedule(slow)
          one.link.fault = (call) => call === "start" ? lostReply : undefined
          yield* until(96_000)
          one.link.fault = () => undefined
          yield* until(140_000)
          const [next, expired] = (yield* world.tasks).filter(({ scheduleId }) => scheduleId === id)
          assert.strictEqual(expired && failureOf(expired)[0], "Expired")
          // It is the driver's, not forgotten until somebody finds it.
          assert.deepInclude(next, { status: "Scheduled", owner: one.link.lease?.instanceId, token: 1 })
          yield* until(170_000)
          assert.strictEqual((yield* world.tasks).filter(({ status }) => status === "Succeeded").length, 2)
          sound(world)
        })
    ))
})

describe("policies as they are stored, on PostgreSQL", () => {
  const texts = (stage: Parameters<Parameters<typeof onStage>[3]>[0], table: "tasks" | "task_schedules", id: string) =>
    Effect.map(
      stage.execute((schema) => `SELECT retry FROM "${schema}".${table} WHERE id = '${id}'`),
      (rows) => (rows[0] as { readonly retry: string }).retry
    )

  it("what version 1 can say is written as it was; the rest as version 2, and read back the same", () =>
    onStage("PostgreSQL", begin, {}, (stage) =>
      Effect.gen(function*() {
        const { scheduler } = yield* stage.start()
        const later = Trigger.after("1 day")
        const cases: ReadonlyArray<readonly [RetryOptions, string]> = [
          [{}, `{"v":1}`],
          [{ backoff: "exponential", jitter: "full", notRetryableErrors: [] }, `{"v":1}`],
          [
            { maxAttempts: 5, baseDelay: 5, onUnknown: "fail" },
            `{"v":1,"maxAttempts":5,"baseDelay":5,"onUnknown":"fail"}`
          ],
          [{ maxAge: "1 hour", notRetryable: ["Throttled"] }, `{"v":1,"maxAge":3600000,"notRetryable":["Throttled"]}`],
          [{ backoff: "fixed" }, `{"v":2,"backoff":"fixed"}`],
          [{ backoff: [1, 2] }, `{"v":2,"backoff":[1,2]}`],
          [{ schedule: Schedule.recurs(1) }, `{"v":2,"maxAttempts":2,"backoff":[0]}`],
          [{ jitter: "none" }, `{"v":2,"jitter":"none"}`],
          [{ notRetryableErrors: ["E\0"] }, `{"v":2,"notRetryableErrors":["E\\u0000"]}`],
          [{ maxWait: 0 }, `{"v":2,"maxWait":0}`],
          [{ deadline: 1 }, `{"v":2,"deadline":1}`],
          [{ attemptTimeout: 1 }, `{"v":2,"attemptTimeout":1}`]
        ]
        for (const [retry, text] of cases) {
          const task = yield* scheduler.schedule(job, { retry, trigger: later })
          assert.strictEqual(yield* texts(stage, "tasks", task.id), text)
          assert.deepStrictEqual((yield* scheduler.get(task.id)).retry, task.retry)
          const schedule = yield* scheduler.repeat(job, {
            retry,
            trigger: Trigger.fixed("1 day"),
            initialDelay: "1 day"
          })
          assert.strictEqual(yield* texts(stage, "task_schedules", schedule.id), text)
          assert.deepStrictEqual((yield* scheduler.getSchedule(schedule.id)).retry, task.retry)
        }
      })))

  it("what version 1 wrote still means the same; what a later one wrote, or nobody can keep, is left alone", () =>
    onStage("PostgreSQL", begin, { job: () => fail() }, (stage) =>
      Effect.gen(function*() {
        const one = yield* stage.start()
        const unreadable = [
          `{"v":3}`,
          `{"v":3,"deadline":5}`,
          `{"v":2,"deadline":-5}`,
          `{"v":2,"deadline":0.5}`,
          `{"v":2,"attemptTimeout":0}`,
          `{"v":2,"maxWait":"1 hour"}`,
          `{"v":2,"backoff":[]}`,
          `{"v":2,"backoff":[-1]}`,
          `{"v":2,"backoff":"linear"}`,
          `{"v":2,"jitter":"some"}`,
          `{"v":2,"notRetryableErrors":"E"}`
        ]
        const soon = Trigger.after("1 minute")
        const known = yield* one.scheduler.schedule(job, { trigger: soon })
        const sick = yield* Effect.forEach(unreadable, () => one.scheduler.schedule(job, { trigger: soon }))
        yield* one.stop
        for (
          const [id, text] of [
            [known.id, `{"v":1,"maxAttempts":2}`],
            ...sick.map(({ id }, index) => [id, unreadable[index]])
          ]
        ) {
          yield* stage.execute((schema) => `UPDATE "${schema}".tasks SET retry = '${text}' WHERE id = '${id}'`)
        }
        const two = yield* stage.start()
        yield* Effect.sleep("10 minutes")
        assert.strictEqual((yield* two.scheduler.get(known.id)).attempts.length, 2)
        assert.strictEqual((yield* stage.runs("job")).length, 2)
        for (const [index, { id }] of sick.entries()) {
          assert.deepInclude(yield* Effect.flip(two.scheduler.get(id)), { reason: "Corrupt" }, unreadable[index])
        }
      })))
})

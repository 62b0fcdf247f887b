/** Policies of schedules, from the scheduler to the invocation, on either store. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { RepeatOptions, TaskScheduleId } from "../../../src/index.ts"
import { LambdaFunction, Trigger } from "../../../src/index.ts"
import type { Instance } from "./stage.ts"
import { at, iso, onStage, stores, until } from "./stage.ts"

const job = LambdaFunction.existing("job")
const begin = "2027-05-03T12:00:00Z"
const every = (options: Partial<RepeatOptions>): RepeatOptions => ({
  trigger: Trigger.fixed("10 seconds"),
  startAt: "2027-05-03T12:00:10Z",
  ...options
})

/** Nominal instants of its Tasks and what became of them, in their order. */
const historyOf = ({ scheduler }: Instance, scheduleId: TaskScheduleId) =>
  Effect.map(
    scheduler.list({ scheduleId }),
    ({ items }) =>
      items.toSorted((one, other) => one.nominalAt - other.nominalAt).map((task) => {
        const range = task.status === "Skipped" && task.range !== undefined
          ? ` x${task.range.count} to ${iso(task.range.last).slice(11)}`
          : ""
        const why = task.status === "Skipped"
          ? ` ${task.skipped}${range}`
          : task.status === "Cancelled"
          ? ` ${task.cancelledBy}`
          : ""
        return `${iso(task.nominalAt).slice(11)} ${task.status}${why}`
      })
  )

/** Takes 25 seconds, the first time and each time after that. */
const slow = { job: () => Effect.sleep("25 seconds") }
const sooner = { pollInterval: 1_000, idlePollInterval: 1_000 }

for (const store of stores) {
  const scenario = (
    title: string,
    scripts: Parameters<typeof onStage>[2],
    body: (
      stage: Parameters<Parameters<typeof onStage>[3]>[0],
      instance: Instance
    ) => Effect.Effect<void, unknown>
  ) =>
    it(`${title}, on ${store}`, () =>
      onStage(
        store,
        begin,
        scripts,
        (stage) => Effect.flatMap(stage.start(sooner), (instance) => Effect.orDie(body(stage, instance)))
      ))

  describe(`overlap, on ${store}`, () => {
    const cases = [
      ["skip", ["12:00:10Z", "12:00:40Z", "12:01:10Z"]],
      ["bufferOne", ["12:00:10Z", "12:00:35Z", "12:01Z", "12:01:25Z"]],
      ["bufferAll", ["12:00:10Z", "12:00:35Z", "12:01Z", "12:01:25Z"]],
      ["allowAll", [
        "12:00:10Z",
        "12:00:20Z",
        "12:00:30Z",
        "12:00:40Z",
        "12:00:50Z",
        "12:01Z",
        "12:01:10Z",
        "12:01:20Z"
      ]],
      ["cancelOther", [
        "12:00:10Z",
        "12:00:20Z",
        "12:00:30Z",
        "12:00:40Z",
        "12:00:50Z",
        "12:01Z",
        "12:01:10Z",
        "12:01:20Z"
      ]]
    ] as const
    for (const [overlap, starts] of cases) {
      scenario(
        `${overlap}: runs that take two and a half intervals`,
        slow,
        (stage, instance) =>
          Effect.gen(function*() {
            const { id } = yield* instance.scheduler.repeat(job, every({ overlap }))
            yield* until("2027-05-03T12:01:29Z")
            assert.deepStrictEqual((yield* stage.runs("job")).map((at) => at.slice(11)), [...starts])
            const history = yield* historyOf(instance, id)
            const count = (status: string) => history.filter((line) => line.includes(status)).length
            assert.deepStrictEqual(
              [count("Skipped overlap"), count("Cancelled overlap")],
              { skip: [5, 0], bufferOne: [4, 0], bufferAll: [0, 0], allowAll: [0, 0], cancelOther: [0, 7] }[overlap]
            )
          })
      )
    }

    scenario(
      "a run by hand waits for its turn, and those who wait go in their order",
      slow,
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(
            job,
            every({ trigger: Trigger.fixed("1 minute"), overlap: "bufferAll" })
          )
          yield* until("2027-05-03T12:00:12Z")
          const one = yield* scheduler.runNow(id, { payload: 1 })
          const two = yield* scheduler.runNow(id, { payloadJson: "2" })
          const three = yield* scheduler.runNow(id, { overlap: "skip" })
          const four = yield* scheduler.runNow(id, { overlap: "allowAll" })
          yield* until("2027-05-03T12:01:36Z")
          const at = (task: { readonly id: typeof one.id }) =>
            Effect.map(scheduler.get(task.id), ({ attempts: [first], payload, status }) => [
              status,
              payload,
              first && iso(first.startedAt).slice(11)
            ])
          assert.deepStrictEqual(yield* Effect.all([one, two, three, four].map(at)), [
            ["Succeeded", "1", "12:00:37Z"],
            ["Succeeded", "2", "12:01:02Z"],
            ["Skipped", "{}", undefined],
            ["Succeeded", "{}", "12:00:12Z"]
          ])
          const { cursor, runs } = yield* scheduler.getSchedule(id)
          assert.deepStrictEqual([iso(cursor), runs], ["2027-05-03T12:02:10Z", 2])
          assert.strictEqual((yield* stage.runs("job")).length, 5)
        })
    )

    scenario("maxRuns holds although runs wait", slow, (stage, instance) =>
      Effect.gen(function*() {
        const { id } = yield* instance.scheduler.repeat(job, every({ overlap: "bufferAll", maxRuns: 3 }))
        yield* until("2027-05-03T12:10:00Z")
        assert.strictEqual((yield* stage.runs("job")).length, 3)
        assert.deepStrictEqual(yield* historyOf(instance, id), [
          "12:00:10Z Succeeded",
          "12:00:20Z Succeeded",
          "12:00:30Z Succeeded"
        ])
        const { runs, status } = yield* instance.scheduler.getSchedule(id)
        assert.deepStrictEqual([runs, status], [3, "Completed"])
      }))
  })

  describe(`catch-up, on ${store}`, () => {
    const cases: ReadonlyArray<readonly [RepeatOptions["catchUp"], ReadonlyArray<string>, number]> = [
      ["latest", ["12:00:20Z Skipped catchUp x7 to 12:01:20Z", "12:01:30Z Succeeded"], 7],
      ["skip", ["12:00:20Z Skipped catchUp x7 to 12:01:20Z", "12:01:30Z Succeeded"], 7],
      [
        { policy: "skip", window: "3 seconds" },
        ["12:00:20Z Skipped catchUp x8 to 12:01:30Z"],
        8
      ],
      [
        { policy: "all", max: 3 },
        [
          "12:00:20Z Skipped cap x5 to 12:01Z",
          "12:01:10Z Succeeded",
          "12:01:20Z Succeeded",
          "12:01:30Z Succeeded"
        ],
        5
      ],
      [
        { policy: "all", window: "30 seconds" },
        [
          "12:00:20Z Skipped window x5 to 12:01Z",
          "12:01:10Z Succeeded",
          "12:01:20Z Succeeded",
          "12:01:30Z Succeeded"
        ],
        5
      ],
      [
        { policy: "all", window: "55 seconds", max: 1 },
        ["12:00:20Z Skipped window x2 to 12:00:30Z", "12:00:40Z Skipped cap x5 to 12:01:20Z", "12:01:30Z Succeeded"],
        7
      ]
    ]
    for (const [catchUp, missed, count] of cases) {
      it(`${JSON.stringify(catchUp)}: after a downtime, on ${store}`, () =>
        onStage(store, begin, {}, (stage) =>
          Effect.gen(function*() {
            const one = yield* stage.start(sooner)
            const { id } = yield* one.scheduler.repeat(job, every({ catchUp, overlap: "bufferAll" }))
            yield* until("2027-05-03T12:00:15Z")
            yield* one.stop
            yield* until("2027-05-03T12:01:35Z")
            const two = yield* stage.start(sooner)
            yield* until("2027-05-03T12:01:45Z")
            assert.deepStrictEqual(yield* historyOf(two, id), [
              "12:00:10Z Succeeded",
              ...missed,
              "12:01:40Z Succeeded",
              "12:01:50Z Scheduled"
            ])
            assert.strictEqual((yield* two.scheduler.getSchedule(id)).missed, count)
          }).pipe(Effect.orDie)))
    }
  })

  describe(`pauses, on ${store}`, () => {
    scenario(
      "what falls into a pause is passed over, and the cadence stays",
      {},
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(job, every({}))
          yield* until("2027-05-03T12:00:12Z")
          yield* scheduler.pauseSchedule(id, { by: "ada", note: "month end" })
          yield* until("2027-05-03T12:00:53Z")
          assert.deepStrictEqual((yield* stage.runs("job")).map((at) => at.slice(11)), ["12:00:10Z"])
          yield* scheduler.resumeSchedule(id)
          yield* scheduler.resumeSchedule(id)
          yield* until("2027-05-03T12:01:05Z")
          assert.deepStrictEqual(yield* historyOf(instance, id), [
            "12:00:10Z Succeeded",
            "12:00:20Z Skipped paused x4 to 12:00:50Z",
            "12:01Z Succeeded",
            "12:01:10Z Scheduled"
          ])
          const { missed, pause } = yield* scheduler.getSchedule(id)
          assert.deepStrictEqual([missed, pause], [0, undefined])
          const [skipped] = (yield* scheduler.list({ scheduleId: id, status: ["Skipped"] })).items
          assert.include(skipped?.status === "Skipped" ? skipped.note : "", "by ada: month end")
        })
    )

    scenario(
      "one with an end goes on by itself; one that is over before anything was due leaves no trace",
      {},
      (_, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(job, every({}))
          yield* until("2027-05-03T12:00:12Z")
          yield* scheduler.pauseSchedule(id)
          yield* scheduler.resumeSchedule(id)
          yield* until("2027-05-03T12:00:22Z")
          yield* scheduler.pauseSchedule(id, { until: "2027-05-03T12:00:45Z" })
          yield* until("2027-05-03T12:01:05Z")
          assert.deepStrictEqual(yield* historyOf(instance, id), [
            "12:00:10Z Succeeded",
            "12:00:20Z Succeeded",
            "12:00:30Z Skipped paused x2 to 12:00:40Z",
            "12:00:50Z Succeeded",
            "12:01Z Succeeded",
            "12:01:10Z Scheduled"
          ])
        })
    )

    scenario(
      "a spaced schedule goes on when it is resumed, from where it was",
      {},
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(job, every({ trigger: Trigger.spaced("10 seconds") }))
          yield* until("2027-05-03T12:00:12Z")
          yield* scheduler.pauseSchedule(id)
          yield* until("2027-05-03T12:00:33Z")
          const run = yield* scheduler.runNow(id)
          yield* until("2027-05-03T12:00:34Z")
          assert.strictEqual((yield* scheduler.get(run.id)).status, "Succeeded")
          yield* scheduler.resumeSchedule(id)
          yield* until("2027-05-03T12:00:50Z")
          assert.deepStrictEqual((yield* stage.runs("job")).map((at) => at.slice(11)), [
            "12:00:10Z",
            "12:00:33Z",
            "12:00:34Z",
            "12:00:44Z"
          ])
        })
    )

    scenario(
      "failures in a row pause it; resumed, it counts anew",
      { job: () => Effect.dieMessage("boom") },
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(job, every({ pauseAfterFailures: 3, retry: { maxAttempts: 1 } }))
          yield* until("2027-05-03T12:01:00Z")
          assert.strictEqual((yield* stage.runs("job")).length, 3)
          const { failures, pause } = yield* scheduler.getSchedule(id)
          assert.deepStrictEqual([failures, pause?.by, pause && iso(pause.since).slice(11)], [
            3,
            "effect-lambda-scheduler",
            "12:00:30Z"
          ])
          yield* scheduler.resumeSchedule(id)
          yield* until("2027-05-03T12:02:00Z")
          assert.strictEqual((yield* stage.runs("job")).length, 6)
        })
    )

    scenario(
      "failures in a row are also those that came too late to be started",
      {},
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(
            job,
            every({ pauseAfterFailures: 1, retry: { deadline: "5 seconds" } })
          )
          yield* scheduler.pauses.set("job")
          yield* until("2027-05-03T12:00:57Z")
          yield* scheduler.pauses.lift("job")
          yield* until("2027-05-03T12:02:00Z")
          assert.deepStrictEqual(yield* stage.runs("job"), [])
          const { failures, pause } = yield* scheduler.getSchedule(id)
          assert.deepStrictEqual([failures, pause?.by], [1, "effect-lambda-scheduler"])
          yield* scheduler.resumeSchedule(id)
          yield* until("2027-05-03T12:02:15Z")
          assert.deepStrictEqual((yield* stage.runs("job")).map((at) => at.slice(11)), ["12:02Z", "12:02:10Z"])
        })
    )

    scenario(
      "a function, and everything: nothing starts, retries included, and nothing is lost",
      {},
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(job, every({}))
          const other = yield* scheduler.schedule(LambdaFunction.existing("other"), {
            trigger: Trigger.after("15 seconds")
          })
          yield* until("2027-05-03T12:00:12Z")
          yield* scheduler.pauses.set("job", { by: "ada", until: "2027-05-03T12:00:45Z" })
          const task = yield* scheduler.schedule(job)
          yield* until("2027-05-03T12:00:40Z")
          assert.deepStrictEqual(Object.keys(yield* scheduler.pauses.get), ["job"])
          assert.strictEqual((yield* stage.runs("job")).length, 1)
          assert.strictEqual((yield* scheduler.get(other.id)).status, "Succeeded")
          yield* until("2027-05-03T12:00:48Z")
          assert.strictEqual((yield* scheduler.get(task.id)).status, "Succeeded")
          // The latest of what its rule named meanwhile, by the schedule's rule for what is missed.
          const [, ...later] = yield* stage.runs("job")
          assert.deepStrictEqual(
            [later.length, later.every((run) => at(run) >= at("2027-05-03T12:00:45Z"))],
            [2, true]
          )
          yield* scheduler.pauses.set(undefined)
          yield* until("2027-05-03T12:01:15Z")
          assert.strictEqual((yield* stage.runs("job")).length, 3)
          yield* scheduler.pauses.lift(undefined)
          yield* scheduler.pauses.lift(undefined)
          yield* until("2027-05-03T12:01:16Z")
          assert.strictEqual((yield* stage.runs("job")).length, 4)
          assert.deepStrictEqual(yield* scheduler.pauses.get, {})
          assert.strictEqual((yield* scheduler.getSchedule(id)).status, "Active")
        })
    )
  })

  describe(`edits, on ${store}`, () => {
    scenario(
      "what was planned before never runs; the cadence stays unless the rule changes",
      {},
      (_, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const made = yield* scheduler.repeat(job, every({ payload: "old" }))
          yield* until("2027-05-03T12:00:12Z")
          const edited = yield* scheduler.editSchedule(made.id, { payload: "new" }, { revision: 1 })
          assert.deepStrictEqual([edited.revision, iso(edited.cursor).slice(11)], [2, "12:00:20Z"])
          const stale = yield* Effect.flip(scheduler.editSchedule(made.id, { payload: "stale" }, { revision: 1 }))
          assert.deepStrictEqual(
            stale._tag === "RevisionConflict" ? [stale.expected, stale.actual] : stale,
            [1, 2]
          )
          yield* until("2027-05-03T12:00:22Z")
          yield* scheduler.editSchedule(made.id, {
            trigger: Trigger.fixed("1 minute"),
            startAt: "2027-05-03T12:00:25Z"
          })
          yield* until("2027-05-03T12:01:26Z")
          const { items } = yield* scheduler.list({ scheduleId: made.id })
          assert.deepStrictEqual(
            items.toReversed().map((task) => [iso(task.nominalAt).slice(11), task.payload, task.status]),
            [
              ["12:00:10Z", `"old"`, "Succeeded"],
              ["12:00:20Z", `"new"`, "Succeeded"],
              ["12:00:25Z", `"new"`, "Succeeded"],
              ["12:01:25Z", `"new"`, "Succeeded"],
              ["12:02:25Z", `"new"`, "Scheduled"]
            ]
          )
        })
    )

    scenario(
      "from spaced to fixed while a run is under way, and back",
      slow,
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(job, every({ trigger: Trigger.spaced("5 seconds") }))
          yield* until("2027-05-03T12:00:12Z")
          yield* scheduler.editSchedule(id, { trigger: Trigger.fixed("20 seconds"), startAt: "2027-05-03T12:00:40Z" })
          yield* until("2027-05-03T12:01:10Z")
          assert.deepStrictEqual((yield* stage.runs("job")).map((at) => at.slice(11)), ["12:00:10Z", "12:00:40Z"])
          yield* scheduler.editSchedule(id, { trigger: Trigger.spaced("5 seconds"), initialDelay: "30 seconds" })
          yield* until("2027-05-03T12:02:11Z")
          assert.deepStrictEqual((yield* stage.runs("job")).map((at) => at.slice(11)), [
            "12:00:10Z",
            "12:00:40Z",
            "12:01:40Z",
            "12:02:10Z"
          ])
          assert.strictEqual((yield* scheduler.getSchedule(id)).status, "Active")
        })
    )

    scenario("what has ended cannot be changed", {}, (_, { scheduler }) =>
      Effect.gen(function*() {
        const { id } = yield* scheduler.repeat(job, every({}))
        yield* scheduler.cancelSchedule(id)
        for (
          const change of [
            scheduler.editSchedule(id, { payload: 1 }),
            scheduler.pauseSchedule(id),
            scheduler.resumeSchedule(id),
            scheduler.runNow(id),
            scheduler.backfills.start(id, { from: 0, to: 1_000 })
          ]
        ) {
          assert.strictEqual(
            (yield* Effect.flip<unknown, { readonly _tag: string }, never>(change))._tag,
            "TaskScheduleEnded"
          )
        }
        yield* scheduler.removeSchedule(id)
        yield* scheduler.removeSchedule(id)
        assert.strictEqual((yield* Effect.flip(scheduler.getSchedule(id)))._tag, "TaskScheduleNotFound")
      }))
  })

  describe(`backfills, on ${store}`, () => {
    scenario(
      "its instants run as many at once as it says, beside the rule's own",
      slow,
      (stage, instance) =>
        Effect.gen(function*() {
          const { scheduler } = instance
          const { id } = yield* scheduler.repeat(
            job,
            every({ trigger: Trigger.fixed("1 hour"), startAt: "2027-05-01T00:00:00Z" })
          )
          const backfill = yield* scheduler.backfills.start(id, {
            from: "2027-05-02T01:00:00Z",
            to: "2027-05-02T06:00:00Z",
            concurrency: 2
          })
          assert.deepStrictEqual([backfill.total, backfill.status], [5, "Running"])
          yield* until("2027-05-03T12:01:00Z")
          assert.deepStrictEqual((yield* stage.runs("job")).map((at) => at.slice(11)), [
            "12:00Z",
            "12:00Z",
            "12:00:25Z",
            "12:00:25Z",
            "12:00:50Z"
          ])
          yield* until("2027-05-03T12:02:00Z")
          const { counts, status } = yield* scheduler.backfills.get(backfill.id)
          assert.deepStrictEqual([status, counts.Succeeded], ["Completed", 5])
          const { items } = yield* scheduler.list({ scheduleId: id, origin: `backfill:${backfill.id}` })
          assert.deepStrictEqual(
            items.map((task) => iso(task.nominalAt)).toSorted(),
            ["2027-05-02T01:00Z", "2027-05-02T02:00Z", "2027-05-02T03:00Z", "2027-05-02T04:00Z", "2027-05-02T05:00Z"]
          )
        })
    )

    scenario(
      "is cancelled; is asked for again; is refused where it makes no sense",
      slow,
      (stage, { scheduler }) =>
        Effect.gen(function*() {
          const { id } = yield* scheduler.repeat(
            job,
            every({ trigger: Trigger.fixed("1 hour"), startAt: "2027-05-01T00:00:00Z" })
          )
          const range = { from: "2027-05-01T00:00:00Z", to: "2027-05-02T00:00:00Z" }
          const one = yield* scheduler.backfills.start(id, range)
          const again = yield* scheduler.backfills.start(id, { ...range, id: one.id })
          assert.deepStrictEqual([again.id, again.total], [one.id, 24])
          yield* until("2027-05-03T12:00:30Z")
          const cancelled = yield* scheduler.backfills.cancel(one.id)
          assert.deepStrictEqual([cancelled.status, cancelled.counts.Cancelled, cancelled.counts.Succeeded], [
            "Cancelled",
            23,
            1
          ])
          assert.strictEqual((yield* scheduler.backfills.cancel(one.id)).status, "Cancelled")
          assert.deepStrictEqual((yield* scheduler.backfills.list(id)).map((each) => each.id), [one.id])
          yield* until("2027-05-03T12:05:00Z")
          assert.strictEqual((yield* stage.runs("job")).length, 2)
          const refused = (options: Parameters<typeof scheduler.backfills.start>[1], of = id) =>
            Effect.map(
              Effect.flip(scheduler.backfills.start(of, options)),
              (error) => error._tag === "InvalidInput" ? error.reason : error._tag
            )
          const spaced = yield* scheduler.repeat(job, every({ trigger: Trigger.spaced("1 hour") }))
          const seconds = yield* scheduler.repeat(
            job,
            every({ trigger: Trigger.fixed("1 second"), startAt: "2027-04-01T00:00:00Z" })
          )
          assert.deepStrictEqual(
            [
              yield* refused({ from: range.to, to: range.from }),
              yield* refused({ from: range.from, to: "2027-05-04T00:00:00Z" }),
              yield* refused({ ...range, concurrency: 0 }),
              yield* refused(range, spaced.id),
              yield* refused({ from: "2027-04-01T00:00:00Z", to: "2027-04-02T00:00:00Z" }, seconds.id)
            ],
            ["WindowEmpty", "WindowEmpty", "OptionInvalid", "Unsupported", "BackfillTooLarge"]
          )
        })
    )
  })

  describe(`explanations, on ${store}`, () => {
    scenario("say why, by which rule, and when it next will", slow, (_, { scheduler }) =>
      Effect.gen(function*() {
        const { id } = yield* scheduler.repeat(job, every({}))
        yield* until("2027-05-03T12:00:36Z")
        const at = (instant: string) =>
          Effect.map(scheduler.explain(id, `2027-05-03T${instant}`), ({ rule, state }) => [state, rule])
        assert.deepStrictEqual(
          yield* Effect.all(["12:00:10Z", "12:00:20Z", "12:00:30Z", "12:00:40Z", "12:00:33Z"].map(at)),
          [["succeeded", "ran"], ["skipped", "overlap"], ["skipped", "overlap"], ["planned", "notDue"], [
            "none",
            "notNamed"
          ]]
        )
        yield* scheduler.pauseSchedule(id, { note: "audit" })
        yield* until("2027-05-03T12:00:42Z")
        const waiting = yield* scheduler.explain(id, "2027-05-03T12:00:40Z")
        assert.deepStrictEqual([waiting.state, waiting.rule, waiting.nextAt], ["waiting", "paused", undefined])
        assert.include(waiting.sentence, "audit")
        yield* scheduler.limits.set("other", { concurrency: 1 })
        yield* scheduler.pauses.set("other", { by: "ada" })
        const task = yield* scheduler.schedule(LambdaFunction.existing("other"))
        yield* Effect.sleep("1 second")
        assert.strictEqual((yield* scheduler.explainTask(task.id)).rule, "functionPaused")
        const { findings, healthy } = yield* scheduler.health(id)
        assert.isTrue(healthy)
        assert.include(findings.map(({ code }) => code), "paused")
      }))
  })
}

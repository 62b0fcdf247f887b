/** Recurring triggers with beginnings, ends, restarts and jitter, through the whole scheduler on both stores. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { EpochMillis, InvalidInputReason, RepeatOptions, TaskScheduleId } from "../../../src/index.ts"
import { LambdaFunction, Trigger } from "../../../src/index.ts"
import type { Instance, Stage, StoreName } from "./stage.ts"
import { at, iso, onStage, stores, until } from "./stage.ts"

const job = LambdaFunction.existing("job")
const stockholm = { timeZone: "Europe/Stockholm" }
const hour = 3_600_000

/** Nominal instants and statuses, in order. */
const occurrencesOf = ({ scheduler }: Instance, id: TaskScheduleId) =>
  Effect.map(
    scheduler.list({ scheduleId: id }),
    ({ items }) => items.map((task) => [iso(task.nominalAt), task.status] as const).reverse()
  )

describe.each(stores)("a process that comes and goes, on %s", (store) => {
  it("a weekly job runs though it is restarted every day, and three weeks of downtime are not run one by one", () =>
    onStage(store, "2027-03-01T18:00Z", {}, (stage) =>
      Effect.gen(function*() {
        const first = yield* stage.start()
        const { id } = yield* first.scheduler.repeat(job, { trigger: Trigger.cron("0 9 * * MON", stockholm) })
        yield* Effect.sleep("20 hours")
        yield* first.stop
        for (let day = 1; day < 28; day++) {
          yield* Effect.sleep("4 hours")
          const today = yield* stage.start()
          yield* Effect.sleep("20 hours")
          yield* today.stop
        }
        const upTo = ["2027-03-08T08:00Z", "2027-03-15T08:00Z", "2027-03-22T08:00Z", "2027-03-29T07:00Z"]
        assert.deepStrictEqual(yield* stage.runs("job"), upTo)
        yield* until("2027-04-20T12:00Z")
        const again = yield* stage.start()
        yield* until("2027-04-26T12:00Z")
        // One run for all that were missed: the latest of them.
        assert.deepStrictEqual([...new Set(yield* stage.runs("job"))], [
          ...upTo,
          "2027-04-20T12:00Z",
          "2027-04-26T07:00Z"
        ])
        const occurrences = yield* occurrencesOf(again, id)
        assert.deepStrictEqual(occurrences.map(([nominalAt]) => nominalAt), [
          ...upTo,
          "2027-04-05T07:00Z",
          "2027-04-19T07:00Z",
          "2027-04-26T07:00Z",
          "2027-05-03T07:00Z"
        ])
        assert.deepStrictEqual(
          occurrences.map(([, status]) => status),
          [...upTo.map(() => "Succeeded"), "Skipped", "Succeeded", "Succeeded", "Scheduled"]
        )
        const { cursor, missed, runs, status } = yield* again.scheduler.getSchedule(id)
        assert.deepStrictEqual(
          [iso(cursor), missed, runs, status],
          ["2027-05-03T07:00Z", 2, 6, "Active"]
        )
      })))

  it("ten years of downtime of a job of every second cost one more run", () =>
    onStage(store, "2017-03-01T18:00:00.500Z", {}, (stage) =>
      Effect.gen(function*() {
        const first = yield* stage.start()
        const { id } = yield* first.scheduler.repeat(job, { trigger: Trigger.cron("* * * * * *", stockholm) })
        yield* until("2017-03-01T18:00:02.500Z")
        yield* first.stop
        yield* until("2027-03-01T18:00:02.500Z")
        const again = yield* stage.start()
        yield* Effect.sleep("2 seconds")
        assert.deepStrictEqual([...new Set(yield* stage.runs("job"))], [
          "2017-03-01T18:00:01Z",
          "2017-03-01T18:00:02Z",
          "2027-03-01T18:00:02.500Z",
          "2027-03-01T18:00:03Z",
          "2027-03-01T18:00:04Z"
        ])
        const skipped = (yield* again.scheduler.list({ scheduleId: id, status: ["Skipped"] })).items.length
        // Ten years, three of them leap years that the window holds: 2020 and 2024.
        const seconds = (10 * 365 + 2) * 86_400
        const { missed, runs } = yield* again.scheduler.getSchedule(id)
        assert.deepStrictEqual([missed, runs + skipped], [seconds - 1, 6])
      })))

  it("occurrence k of a rate is at anchor + k * interval, through restarts", () =>
    onStage(store, "2027-03-27T12:00:07.123Z", {}, (stage) =>
      Effect.gen(function*() {
        const every = 7 * 60_000 + 13_456
        let instance = yield* stage.start()
        const { id } = yield* instance.scheduler.repeat(job, { trigger: Trigger.fixed(every) })
        yield* Effect.sleep(every / 2)
        for (let restart = 0; restart < 4; restart++) {
          yield* Effect.sleep(3 * every)
          yield* instance.stop
          yield* Effect.sleep(every / 4)
          instance = yield* stage.start()
          yield* Effect.sleep(every * 3 / 4)
        }
        const grid = Array.from({ length: 17 }, (_, k) => iso(at("2027-03-27T12:00:07.123Z") + k * every))
        assert.deepStrictEqual(yield* stage.runs("job"), grid)
        assert.strictEqual((yield* instance.scheduler.getSchedule(id)).missed, 0)
      })))
})

it("occurrence k of a rate is at anchor + k * interval, through failover on PostgreSQL", () =>
  onStage("PostgreSQL", "2027-10-30T12:00:07.123Z", {}, (stage) =>
    Effect.gen(function*() {
      const settings = { heartbeatInterval: 300_000, reconcileInterval: 300_000, pollInterval: 300_000 }
      const every = 17 * 60_000 + 13_456
      let instance = yield* stage.start(settings)
      const { id } = yield* instance.scheduler.repeat(job, { trigger: Trigger.fixed(every) })
      yield* Effect.sleep(every / 2)
      for (let takeover = 0; takeover < 3; takeover++) {
        const next = yield* stage.start(settings)
        yield* Effect.sleep(every)
        yield* instance.die
        yield* Effect.sleep(every)
        instance = next
      }
      const grid = Array.from({ length: 7 }, (_, k) => iso(at("2027-10-30T12:00:07.123Z") + k * every))
      assert.deepStrictEqual(yield* stage.runs("job"), grid)
      assert.strictEqual((yield* instance.scheduler.getSchedule(id)).missed, 0)
    })))

interface Window {
  readonly what: string
  readonly options: RepeatOptions
  readonly runs: ReadonlyArray<string>
  readonly completed: boolean
}

/** From 12:10 to 18:00 in UTC; all runs answer at once. */
const windows: ReadonlyArray<Window> = [
  {
    what: "a rate that began in the past goes on with its grid",
    options: { trigger: Trigger.fixed("1 hour"), startAt: "2027-05-01T09:25:00Z" },
    runs: ["12:25", "13:25", "14:25", "15:25", "16:25", "17:25"],
    completed: false
  },
  {
    what: "a rate begins at its start, and what is due at the very end still runs",
    options: { trigger: Trigger.fixed("1 hour"), startAt: "2027-05-01T14:05:00Z", endAt: "2027-05-01T16:05:00Z" },
    runs: ["14:05", "15:05", "16:05"],
    completed: true
  },
  {
    what: "nothing runs after the end, by a millisecond",
    options: { trigger: Trigger.fixed("1 hour"), endAt: "2027-05-01T14:09:59.999Z" },
    runs: ["12:10", "13:10"],
    completed: true
  },
  {
    what: "cron: the start itself counts, and so does the end",
    options: {
      trigger: Trigger.cron("0 * * * *"),
      startAt: "2027-05-01T14:00:00Z",
      endAt: "2027-05-01T16:00:00Z"
    },
    runs: ["14:00", "15:00", "16:00"],
    completed: true
  },
  {
    what: "cron: a start in the past makes up for nothing",
    options: { trigger: Trigger.cron("0 * * * *"), startAt: "2027-05-01T01:00:00Z", maxRuns: 2 },
    runs: ["13:00", "14:00"],
    completed: true
  },
  {
    what: "cron: the first instant after the delay",
    options: { trigger: Trigger.cron("0 * * * *"), initialDelay: "90 minutes", maxRuns: 2 },
    runs: ["14:00", "15:00"],
    completed: true
  },
  {
    what: "cron: the instant at which the delay ends",
    options: { trigger: Trigger.cron("0 * * * *"), initialDelay: "50 minutes", maxRuns: 1 },
    runs: ["13:00"],
    completed: true
  },
  {
    what: "the end comes before maxRuns",
    options: { trigger: Trigger.cron("0,30 * * * *"), endAt: "2027-05-01T13:10:00Z", maxRuns: 10 },
    runs: ["12:30", "13:00"],
    completed: true
  },
  {
    what: "spaced begins at its start and ends",
    options: { trigger: Trigger.spaced("1 hour"), startAt: "2027-05-01T13:05:00Z", endAt: "2027-05-01T15:05:00Z" },
    runs: ["13:05", "14:05", "15:05"],
    completed: true
  },
  {
    what: "spaced: a start in the past is now",
    options: { trigger: Trigger.spaced("2 hours"), startAt: "2027-05-01T01:05:00Z", endAt: "2027-05-01T16:09:59Z" },
    runs: ["12:10", "14:10"],
    completed: true
  },
  {
    what: "calendar: every day from a time on",
    options: {
      trigger: Trigger.calendar({ every: "day", from: "2027-04-01T17:30", timeZone: "Europe/Stockholm" }),
      endAt: "2027-05-01T18:00:00Z"
    },
    runs: ["15:30"],
    completed: true
  },
  {
    what: "a cron expression that fires in leap years only is waited for",
    options: { trigger: Trigger.cron("0 0 29 2 *") },
    runs: [],
    completed: false
  },
  {
    what: "the 31st of February, or a Monday in February",
    options: { trigger: Trigger.cron("0 0 31 2 1") },
    runs: [],
    completed: false
  }
]

const refusals: ReadonlyArray<
  { readonly what: string; readonly options: RepeatOptions; readonly reason: InvalidInputReason }
> = [
  {
    what: "startAt together with initialDelay",
    options: { trigger: Trigger.fixed("1 hour"), startAt: "2027-05-02T00:00:00Z", initialDelay: "1 hour" },
    reason: "ScheduleAmbiguous"
  },
  {
    what: "an end before the first occurrence",
    options: { trigger: Trigger.cron("0 9 * * *"), endAt: "2027-05-02T08:59:59.999Z" },
    reason: "WindowEmpty"
  },
  {
    what: "an end before the start",
    options: { trigger: Trigger.spaced("1 hour"), startAt: "2027-05-03T00:00:00Z", endAt: "2027-05-02T00:00:00Z" },
    reason: "WindowEmpty"
  },
  {
    what: "a rate that ended in the past",
    options: { trigger: Trigger.fixed("1 hour"), startAt: "2027-04-01T00:00:00Z", endAt: "2027-05-01T12:00:00Z" },
    reason: "WindowEmpty"
  },
  { what: "30 February", options: { trigger: Trigger.cron("0 0 30 2 *") }, reason: "CronNever" },
  { what: "31 April and the like", options: { trigger: Trigger.cron("0 0 31 4,6,9,11 *") }, reason: "CronNever" }
]

describe.each(stores)("beginnings and ends, on %s", (store) => {
  it("are as the options say", () =>
    onStage(store, "2027-05-01T12:10Z", {}, (stage) =>
      Effect.gen(function*() {
        const instance = yield* stage.start()
        const made = yield* Effect.forEach(windows, ({ options, what }, index) =>
          Effect.map(
            instance.scheduler.repeat(LambdaFunction.existing(`window-${index}`), options),
            ({ id }) => ({ id, what })
          ))
        yield* until("2027-05-01T18:00Z")
        for (const [index, { id, what }] of made.entries()) {
          const { completed, runs } = windows[index] as Window
          assert.deepStrictEqual(yield* stage.runs(`window-${index}`), runs.map((time) => `2027-05-01T${time}Z`), what)
          const { missed, runs: counted, status } = yield* instance.scheduler.getSchedule(id)
          const pending = (yield* instance.scheduler.list({ scheduleId: id, status: ["Scheduled"] })).items.length
          assert.deepStrictEqual(
            [missed, counted, status, pending],
            [0, runs.length, completed ? "Completed" : "Active", completed ? 0 : 1],
            what
          )
        }
      })))

  it("that cannot be are refused, and nothing is stored", () =>
    onStage(store, "2027-05-01T12:10Z", {}, (stage) =>
      Effect.gen(function*() {
        const { scheduler } = yield* stage.start()
        for (const { options, reason, what } of refusals) {
          const refused = yield* Effect.flip(scheduler.repeat(job, options))
          assert.deepInclude(refused, { _tag: "InvalidInput", reason }, what)
        }
        assert.deepStrictEqual((yield* scheduler.listSchedules()).items, [])
        assert.deepStrictEqual((yield* scheduler.list()).items, [])
      })))

  it("hold through the night on which clocks change", () =>
    onStage(store, "2027-03-27T12:00Z", {}, (stage) =>
      Effect.gen(function*() {
        const { scheduler } = yield* stage.start()
        // The end is the first instant after the gap, to which 02:30 has been moved.
        const inside = yield* scheduler.repeat(job, {
          trigger: Trigger.cron("30 2 * * *", stockholm),
          endAt: "2027-03-28T01:00:00Z"
        })
        const outside = yield* Effect.flip(scheduler.repeat(job, {
          trigger: Trigger.cron("30 2 * * *", stockholm),
          endAt: "2027-03-28T00:59:59Z"
        }))
        assert.deepInclude(outside, { reason: "WindowEmpty" })
        yield* until("2027-03-30T12:00Z")
        assert.deepStrictEqual(yield* stage.runs("job"), ["2027-03-28T01:00Z"])
        assert.strictEqual((yield* scheduler.getSchedule(inside.id)).status, "Completed")
      })))
})

describe("jitter", () => {
  const id = "01960000-0000-7000-8000-00000000c0de" as TaskScheduleId
  const jitter = 25 * 60_000
  const nominal = Array.from({ length: 30 }, (_, k) => at("2027-06-01T13:00Z") + k * hour)

  /** Thirty hours of an hourly job, restarted every ten. */
  const thirtyHours = (store: StoreName) =>
    onStage(store, "2027-06-01T12:45Z", {}, (stage) =>
      Effect.gen(function*() {
        let instance = yield* stage.start()
        yield* instance.scheduler.repeat(job, {
          id,
          trigger: Trigger.cron("0 * * * *"),
          jitter,
          endAt: (nominal.at(-1) as EpochMillis) + 1_000
        })
        for (let restart = 0; restart < 3; restart++) {
          yield* Effect.sleep("10 hours")
          yield* instance.stop
          instance = yield* stage.start()
        }
        yield* Effect.sleep("1 hour")
        const { items } = yield* instance.scheduler.list({ scheduleId: id })
        const { missed, runs, status } = yield* instance.scheduler.getSchedule(id)
        assert.deepStrictEqual([missed, runs, status], [0, 30, "Completed"])
        const tasks = [...items].reverse()
        assert.deepStrictEqual(tasks.map((task) => task.nominalAt), nominal)
        assert.deepStrictEqual(tasks.map((task) => iso(task.dueAt)), yield* stage.runs("job"), "invoked when it is due")
        return tasks.map((task) => task.dueAt)
      }))

  it("is the same on both stores and after restarts, and moves what is due, not what is meant", async () => {
    const onMemory = await thirtyHours("memory")
    assert.deepStrictEqual(await thirtyHours("PostgreSQL"), onMemory)
    const delays = onMemory.map((dueAt, k) => dueAt - (nominal[k] as EpochMillis))
    for (const delay of delays) {
      assert.isAtLeast(delay, 0)
      assert.isAtMost(delay, jitter)
    }
    assert.isAtLeast(new Set(delays).size, 28, "each has a share of its own")
    assert.isAtLeast(Math.max(...delays) - Math.min(...delays), jitter / 2)
    assert.isAtMost(delays.at(-1) as number, 1_000, "not after the end")
  })

  it("longer than the interval: due before the next nominal instant, in order, none skipped or missed", () =>
    onStage("PostgreSQL", "2027-06-01T12:00Z", {}, (stage) =>
      Effect.gen(function*() {
        const { scheduler } = yield* stage.start()
        const schedule = yield* scheduler.repeat(job, {
          trigger: Trigger.fixed("1 minute"),
          jitter: "1 hour",
          maxRuns: 50
        })
        yield* until("2027-06-01T13:00Z")
        const { items } = yield* scheduler.list({ scheduleId: schedule.id })
        assert.lengthOf(items, 50)
        for (const [k, { dueAt, nominalAt, status }] of [...items].reverse().entries()) {
          assert.deepStrictEqual([nominalAt, status], [at("2027-06-01T12:00Z") + k * 60_000, "Succeeded"])
          assert.isAtLeast(dueAt, nominalAt)
          assert.isBelow(dueAt, nominalAt + 60_000)
        }
      })))
})

describe("rules as they are stored, on PostgreSQL", () => {
  const store = (stage: Stage, id: TaskScheduleId, rule: string) =>
    stage.execute((schema) =>
      `UPDATE "${schema}".task_schedules SET recurrence = '${rule.replaceAll("'", "''")}' WHERE id = '${id}'`
    )

  const cron = `"_tag":"Cron","syntax":"unix","gap":"run-after","overlap":"default"`
  const calendar = `"_tag":"Calendar","v":2,"from":1809075600,"missingDay":"clamp","gap":"run-after","timeZone":"UTC"`
  const unreadable: Readonly<Record<string, string>> = {
    "an expression of no cron": `{${cron},"v":2,"expression":"every full moon","timeZone":"UTC"}`,
    "a field out of range": `{${cron},"v":2,"expression":"61 * * * *","timeZone":"UTC"}`,
    "a zone that is none": `{${cron},"v":2,"expression":"0 * * * *","timeZone":"Mars/Olympus"}`,
    "a later version": `{${cron},"v":3,"expression":"0 * * * *","timeZone":"UTC"}`,
    "a version that had no cron": `{${cron},"v":1,"expression":"0 * * * *","timeZone":"UTC"}`,
    "a rate of a later version": `{"_tag":"Fixed","v":3,"interval":3600000,"anchor":0}`,
    "a rate of nothing": `{"_tag":"Fixed","v":1,"interval":0,"anchor":0}`,
    "a spacing that goes back": `{"_tag":"Spaced","v":1,"interval":-1000}`,
    "an end that is no number": `{"_tag":"Fixed","v":2,"interval":3600000,"anchor":0,"until":"tomorrow"}`,
    "every zeroth day": `{${calendar},"every":0,"unit":"day"}`,
    "every zeroth month": `{${calendar},"every":0,"unit":"month"}`,
    "every half a month": `{${calendar},"every":0.5,"unit":"month"}`,
    "every moon": `{${calendar},"every":1,"unit":"moon"}`,
    "a rule of another kind": `{"_tag":"Moon","v":2}`
  }

  it("what cannot be run is left alone, and holds up nothing else", () =>
    onStage("PostgreSQL", "2027-05-01T12:10Z", {}, (stage) =>
      Effect.gen(function*() {
        const one = yield* stage.start()
        const hourly = { trigger: Trigger.cron("0 * * * *") }
        const names = Object.keys(unreadable)
        const sick = yield* Effect.forEach(names, (name) =>
          Effect.map(one.scheduler.repeat(LambdaFunction.existing("sick"), hourly), ({ id }) => ({ id, name })))
        const well = yield* one.scheduler.repeat(job, hourly)
        yield* one.stop
        for (const { id, name } of sick) {
          yield* store(stage, id, unreadable[name] as string)
        }
        yield* until("2027-05-01T12:20Z")
        const two = yield* stage.start()
        yield* until("2027-05-01T15:10Z")
        assert.deepStrictEqual(
          yield* stage.runs("job"),
          ["13:00", "14:00", "15:00"].map((time) =>
            `2027-05-01T${time}Z`
          )
        )
        assert.deepStrictEqual(yield* stage.runs("sick"), [])
        for (const { id, name } of sick) {
          assert.deepInclude(yield* Effect.flip(two.scheduler.getSchedule(id)), { reason: "Corrupt" }, name)
        }
        const listed = yield* two.scheduler.listSchedules()
        assert.deepStrictEqual(listed.items.map(({ id }) => id), [well.id])
      })))

  it("what version 1 wrote still runs, and is not written anew", () =>
    onStage("PostgreSQL", "2027-05-01T12:10Z", {}, (stage) =>
      Effect.gen(function*() {
        const one = yield* stage.start()
        const rate = yield* one.scheduler.repeat(LambdaFunction.existing("rate"), {
          trigger: Trigger.fixed("1 hour"),
          startAt: "2027-05-01T12:30:00Z"
        })
        const spaced = yield* one.scheduler.repeat(LambdaFunction.existing("spaced"), {
          trigger: Trigger.spaced("1 hour"),
          startAt: "2027-05-01T12:40:00Z"
        })
        yield* one.stop
        const written = [
          [rate.id, `{"_tag":"Fixed","v":1,"interval":3600000,"anchor":${at("2027-05-01T12:30Z")}}`],
          [spaced.id, `{"_tag":"Spaced","v":1,"interval":3600000}`]
        ] as const
        for (const [id, rule] of written) yield* store(stage, id, rule)
        yield* stage.start()
        yield* until("2027-05-01T15:10Z")
        const times = (minute: string) => [12, 13, 14].map((full) => `2027-05-01T${full}:${minute}Z`)
        assert.deepStrictEqual(yield* stage.runs("rate"), times("30"))
        assert.deepStrictEqual(yield* stage.runs("spaced"), times("40"))
        for (const [id, rule] of written) {
          const rows = yield* stage.execute((schema) =>
            `SELECT recurrence FROM "${schema}".task_schedules WHERE id = '${id}'`
          )
          assert.deepStrictEqual(rows, [{ recurrence: rule }])
        }
      })))

  it("what version 1 can run is written as version 1; what has limits is not", () =>
    onStage("PostgreSQL", "2027-05-01T12:10Z", {}, (stage) =>
      Effect.gen(function*() {
        const { scheduler } = yield* stage.start()
        const timings: ReadonlyArray<Trigger.TimingOptions> = [{}, { startAt: "2027-05-02T00:00:00Z" }, {
          endAt: "2027-05-02T00:00:00Z"
        }, { jitter: "1 minute" }]
        const versions: Array<unknown> = []
        for (const more of timings) {
          const { id } = yield* scheduler.repeat(job, { trigger: Trigger.fixed("1 hour"), ...more })
          const rows = yield* stage.execute((schema) =>
            `SELECT recurrence::json ->> 'v' AS v FROM "${schema}".task_schedules WHERE id = '${id}'`
          )
          versions.push(rows[0])
        }
        assert.deepStrictEqual(versions, [{ v: "1" }, { v: "1" }, { v: "2" }, { v: "2" }])
      })))
})

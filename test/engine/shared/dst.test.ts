/**
 * Nights on which clocks are set forward or back, through the whole scheduler on both stores. What is expected was
 * reckoned by hand from the zones' rules: a fixed time in a gap runs once at the first instant after it, a repeated one in
 * the first pass only, `*\/30` every thirty minutes of real time, and a rate knows nothing of clocks.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LambdaFunction, Trigger } from "../../../src/index.ts"
import { at, iso, onStage, stores, until } from "./stage.ts"

interface Night {
  readonly zone: string
  readonly what: string
  readonly from: string
  readonly to: string
  /** Minute and hour of daily runs, and their instants. */
  readonly daily: Readonly<Record<string, ReadonlyArray<string>>>
  /** When the clocks change. */
  readonly change: string
  /** Of a rate of one day that begins with the test. */
  readonly rate: ReadonlyArray<string>
}

const nights: ReadonlyArray<Night> = [
  {
    zone: "Europe/Stockholm",
    what: "02:00 to 03:00 is left out at 2027-03-28T01:00Z",
    from: "2027-03-26T22:10Z",
    to: "2027-03-29T12:10Z",
    daily: {
      "30 2": ["2027-03-27T01:30Z", "2027-03-28T01:00Z", "2027-03-29T00:30Z"],
      "0 0": ["2027-03-26T23:00Z", "2027-03-27T23:00Z", "2027-03-28T22:00Z"]
    },
    change: "2027-03-28T01:00Z",
    rate: ["2027-03-26T22:10Z", "2027-03-27T22:10Z", "2027-03-28T22:10Z"]
  },
  {
    zone: "Europe/Stockholm",
    what: "02:00 to 03:00 comes twice from 2027-10-31T00:00Z",
    from: "2027-10-29T21:10Z",
    to: "2027-11-01T12:10Z",
    daily: {
      "30 2": ["2027-10-30T00:30Z", "2027-10-31T00:30Z", "2027-11-01T01:30Z"],
      "0 0": ["2027-10-29T22:00Z", "2027-10-30T22:00Z", "2027-10-31T23:00Z"]
    },
    change: "2027-10-31T01:00Z",
    rate: ["2027-10-29T21:10Z", "2027-10-30T21:10Z", "2027-10-31T21:10Z"]
  },
  {
    zone: "America/New_York",
    what: "02:00 to 03:00 is left out at 2027-03-14T07:00Z",
    from: "2027-03-13T04:10Z",
    to: "2027-03-15T12:10Z",
    daily: {
      "30 2": ["2027-03-13T07:30Z", "2027-03-14T07:00Z", "2027-03-15T06:30Z"],
      "0 0": ["2027-03-13T05:00Z", "2027-03-14T05:00Z", "2027-03-15T04:00Z"]
    },
    change: "2027-03-14T07:00Z",
    rate: ["2027-03-13T04:10Z", "2027-03-14T04:10Z", "2027-03-15T04:10Z"]
  },
  {
    zone: "America/New_York",
    what: "01:00 to 02:00 comes twice from 2027-11-07T05:00Z",
    from: "2027-11-06T03:10Z",
    to: "2027-11-08T12:10Z",
    daily: {
      "30 1": ["2027-11-06T05:30Z", "2027-11-07T05:30Z", "2027-11-08T06:30Z"],
      "30 2": ["2027-11-06T06:30Z", "2027-11-07T07:30Z", "2027-11-08T07:30Z"],
      "0 0": ["2027-11-06T04:00Z", "2027-11-07T04:00Z", "2027-11-08T05:00Z"]
    },
    change: "2027-11-07T06:00Z",
    rate: ["2027-11-06T03:10Z", "2027-11-07T03:10Z", "2027-11-08T03:10Z"]
  },
  {
    zone: "Australia/Lord_Howe",
    what: "half an hour, 02:00 to 02:30, is left out at 2027-10-02T15:30Z",
    from: "2027-10-01T13:10Z",
    to: "2027-10-04T00:10Z",
    daily: {
      "15 2": ["2027-10-01T15:45Z", "2027-10-02T15:30Z", "2027-10-03T15:15Z"],
      "30 2": ["2027-10-01T16:00Z", "2027-10-02T15:30Z", "2027-10-03T15:30Z"],
      "0 0": ["2027-10-01T13:30Z", "2027-10-02T13:30Z", "2027-10-03T13:00Z"]
    },
    change: "2027-10-02T15:30Z",
    rate: ["2027-10-01T13:10Z", "2027-10-02T13:10Z", "2027-10-03T13:10Z"]
  },
  {
    zone: "Australia/Lord_Howe",
    what: "half an hour, 01:30 to 02:00, comes twice from 2027-04-03T14:30Z",
    from: "2027-04-02T12:10Z",
    to: "2027-04-05T00:10Z",
    daily: {
      "45 1": ["2027-04-02T14:45Z", "2027-04-03T14:45Z", "2027-04-04T15:15Z"],
      "30 2": ["2027-04-02T15:30Z", "2027-04-03T16:00Z", "2027-04-04T16:00Z"],
      "0 0": ["2027-04-02T13:00Z", "2027-04-03T13:00Z", "2027-04-04T13:30Z"]
    },
    change: "2027-04-03T15:00Z",
    rate: ["2027-04-02T12:10Z", "2027-04-03T12:10Z", "2027-04-04T12:10Z"]
  },
  {
    zone: "America/Sao_Paulo",
    what: "midnight itself is left out at 2017-10-15T03:00Z",
    from: "2017-10-14T02:10Z",
    to: "2017-10-16T12:10Z",
    daily: {
      "30 2": ["2017-10-14T05:30Z", "2017-10-15T04:30Z", "2017-10-16T04:30Z"],
      "0 0": ["2017-10-14T03:00Z", "2017-10-15T03:00Z", "2017-10-16T02:00Z"],
      "30 0": ["2017-10-14T03:30Z", "2017-10-15T03:00Z", "2017-10-16T02:30Z"]
    },
    change: "2017-10-15T03:00Z",
    rate: ["2017-10-14T02:10Z", "2017-10-15T02:10Z", "2017-10-16T02:10Z"]
  },
  {
    zone: "America/Sao_Paulo",
    what: "the hour before midnight comes twice from 2018-02-18T01:00Z, midnight once",
    from: "2018-02-17T01:10Z",
    to: "2018-02-19T12:10Z",
    daily: {
      "30 2": ["2018-02-17T04:30Z", "2018-02-18T05:30Z", "2018-02-19T05:30Z"],
      "0 0": ["2018-02-17T02:00Z", "2018-02-18T03:00Z", "2018-02-19T03:00Z"],
      "30 23": ["2018-02-17T01:30Z", "2018-02-18T01:30Z", "2018-02-19T02:30Z"]
    },
    change: "2018-02-18T02:00Z",
    rate: ["2018-02-17T01:10Z", "2018-02-18T01:10Z", "2018-02-19T01:10Z"]
  },
  {
    zone: "America/Sao_Paulo",
    what: "midnight itself is left out at 2018-11-04T03:00Z",
    from: "2018-11-03T02:10Z",
    to: "2018-11-05T12:10Z",
    daily: {
      "30 2": ["2018-11-03T05:30Z", "2018-11-04T04:30Z", "2018-11-05T04:30Z"],
      "0 0": ["2018-11-03T03:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"]
    },
    change: "2018-11-04T03:00Z",
    rate: ["2018-11-03T02:10Z", "2018-11-04T02:10Z", "2018-11-05T02:10Z"]
  },
  {
    zone: "Africa/Casablanca",
    what: "Ramadan begins: 02:00 to 03:00 comes twice from 2025-02-23T01:00Z",
    from: "2025-02-21T22:10Z",
    to: "2025-02-24T12:10Z",
    daily: {
      "30 2": ["2025-02-22T01:30Z", "2025-02-23T01:30Z", "2025-02-24T02:30Z"],
      "0 0": ["2025-02-21T23:00Z", "2025-02-22T23:00Z", "2025-02-24T00:00Z"]
    },
    change: "2025-02-23T02:00Z",
    rate: ["2025-02-21T22:10Z", "2025-02-22T22:10Z", "2025-02-23T22:10Z"]
  },
  {
    zone: "Africa/Casablanca",
    what: "Ramadan is over: 02:00 to 03:00 is left out at 2025-04-06T02:00Z",
    from: "2025-04-04T23:10Z",
    to: "2025-04-07T12:10Z",
    daily: {
      "30 2": ["2025-04-05T02:30Z", "2025-04-06T02:00Z", "2025-04-07T01:30Z"],
      "0 0": ["2025-04-05T00:00Z", "2025-04-06T00:00Z", "2025-04-06T23:00Z"]
    },
    change: "2025-04-06T02:00Z",
    rate: ["2025-04-04T23:10Z", "2025-04-05T23:10Z", "2025-04-06T23:10Z"]
  },
  {
    zone: "Pacific/Apia",
    what: "a whole day, 2011-12-30, is left out at 2011-12-30T10:00Z",
    from: "2011-12-29T09:10Z",
    to: "2012-01-01T00:10Z",
    daily: {
      // Of the 29th, of the 30th that never was, of the 31st, and of the 1st.
      "30 2": ["2011-12-29T12:30Z", "2011-12-30T10:00Z", "2011-12-30T12:30Z", "2011-12-31T12:30Z"],
      // That of the 30th falls together with that of the 31st.
      "0 0": ["2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"]
    },
    change: "2011-12-30T10:00Z",
    rate: ["2011-12-29T09:10Z", "2011-12-30T09:10Z", "2011-12-31T09:10Z"]
  }
]

const hour = 3_600_000

/** Every thirty minutes from three hours before an instant to three hours after it. */
const halfHoursAround = (instant: string): ReadonlyArray<string> =>
  Array.from({ length: 13 }, (_, half) => iso(at(instant) - 3 * hour + half * hour / 2))

describe.each(stores)("nights of the clocks, on %s", (store) => {
  for (const { change, daily, from, rate, to, what, zone } of nights) {
    it(`${zone}: ${what}`, () =>
      onStage(store, from, {}, (stage) =>
        Effect.gen(function*() {
          const { scheduler } = yield* stage.start()
          const times = Object.keys(daily)
          for (const time of times) {
            yield* scheduler.repeat(LambdaFunction.existing(`at-${time.replace(" ", "-")}`), {
              trigger: Trigger.cron(`${time} * * *`, { timeZone: zone })
            })
          }
          yield* scheduler.repeat(LambdaFunction.existing("half-hours"), {
            trigger: Trigger.cron("*/30 * * * *", { timeZone: zone }),
            startAt: at(change) - 3 * hour,
            endAt: at(change) + 3 * hour
          })
          yield* scheduler.repeat(LambdaFunction.existing("rate"), { trigger: Trigger.fixed("1 day") })
          yield* until(to)
          for (const time of times) {
            assert.deepStrictEqual(yield* stage.runs(`at-${time.replace(" ", "-")}`), daily[time], time)
          }
          assert.deepStrictEqual(yield* stage.runs("half-hours"), halfHoursAround(change))
          assert.deepStrictEqual(yield* stage.runs("rate"), rate)
          for (const { id } of (yield* scheduler.listSchedules()).items) {
            const { missed, runs } = yield* scheduler.getSchedule(id)
            const ended = (yield* scheduler.list({ scheduleId: id, status: ["Succeeded"] }, { limit: 1_000 })).items
            assert.deepStrictEqual([ended.length, missed], [runs, 0])
            for (const { attempts, dueAt, nominalAt } of ended) {
              assert.deepStrictEqual([dueAt, attempts[0]?.startedAt], [nominalAt, nominalAt])
            }
          }
        })))
  }
})

import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { PreviewAnswer } from "../../../src/http/index.ts"
import type { Answer } from "../support.ts"
import { serve } from "../support.ts"

const previewOf = (answer: Answer): PreviewAnswer =>
  Schema.decodeUnknownSync(PreviewAnswer, { onExcessProperty: "error" })(answer.body)
const path = "/v1/triggers/preview"
const nightly = { cron: "30 2 * * *", timeZone: "Europe/Stockholm" }

describe("POST /v1/triggers/preview", () => {
  it.scopedLive("shows the next occurrences, ten of them unless told otherwise", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const answer = yield* post(path, { trigger: nightly, count: 3, after: "2027-03-26T12:00:00Z" })
      expect(answer.status).toBe(200)
      expect(previewOf(answer)).toEqual({
        description: "At 02:30, every day (Europe/Stockholm)",
        occurrences: [
          { at: "2027-03-27T01:30:00.000Z", local: "2027-03-27T02:30:00", dst: null, leftOut: false },
          { at: "2027-03-28T01:00:00.000Z", local: "2027-03-28T03:00:00", dst: "made-up", leftOut: false },
          { at: "2027-03-29T00:30:00.000Z", local: "2027-03-29T02:30:00", dst: null, leftOut: false }
        ]
      })
      expect(previewOf(yield* post(path, { trigger: nightly })).occurrences).toHaveLength(10)
      expect(previewOf(yield* post(path, { trigger: nightly, count: 1_000 })).occurrences).toHaveLength(1_000)
    }))

  it.scopedLive("of any trigger", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const after = "2027-01-01T00:00:00Z"
      for (
        const [trigger, ...instants] of [
          [{ at: "2027-02-01T09:00:00", timeZone: "Europe/Stockholm" }, "2027-02-01T08:00:00.000Z"],
          [{ after: "1 minute" }, "2027-01-01T00:01:00.000Z"],
          [{ spaced: "1 hour" }, "2027-01-01T00:00:00.000Z", "2027-01-01T01:00:00.000Z"],
          [{ fixed: "1 day" }, "2027-01-01T00:00:00.000Z", "2027-01-02T00:00:00.000Z"],
          [
            { calendar: { every: "month", from: "2027-01-31T09:00" } },
            "2027-01-31T09:00:00.000Z",
            "2027-02-28T09:00:00.000Z"
          ],
          [{ expression: "at(2027-02-01T09:00:00)" }, "2027-02-01T09:00:00.000Z"],
          [{ expression: "rate(1 day)" }, "2027-01-01T00:00:00.000Z", "2027-01-02T00:00:00.000Z"],
          [{ expression: "cron(0 10 1 1 ? 2028)" }, "2028-01-01T10:00:00.000Z"]
        ] as const
      ) {
        const { description, occurrences } = previewOf(yield* post(path, { trigger, count: 2, after }))
        expect([trigger, ...occurrences.map(({ at }) => at)]).toEqual([trigger, ...instants])
        expect(description).not.toBe("")
      }
    }))

  it.scopedLive("shows a range with the times that changes of clocks leave out", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const between = (from: string, to: string, more: object) =>
        Effect.map(post(path, { trigger: { ...nightly, ...more }, from, to }), (answer) =>
          previewOf(answer).occurrences.map(({ at, dst, leftOut, local }) => [at, local, dst, leftOut]))
      expect(yield* between("2027-03-27T12:00:00Z", "2027-03-29T12:00:00Z", { gap: "skip" })).toEqual([
        ["2027-03-28T01:00:00.000Z", "2027-03-28T02:30:00", "gap", true],
        ["2027-03-29T00:30:00.000Z", "2027-03-29T02:30:00", null, false]
      ])
      expect(yield* between("2027-10-31T00:00:00Z", "2027-10-31T12:00:00Z", {})).toEqual([
        ["2027-10-31T00:30:00.000Z", "2027-10-31T02:30:00", "first-pass", false],
        ["2027-10-31T01:30:00.000Z", "2027-10-31T02:30:00", "second-pass", true]
      ])
      expect(yield* between("2027-10-31T00:00:00Z", "2027-10-31T12:00:00Z", { overlap: "both" })).toEqual([
        ["2027-10-31T00:30:00.000Z", "2027-10-31T02:30:00", "first-pass", false],
        ["2027-10-31T01:30:00.000Z", "2027-10-31T02:30:00", "second-pass", false]
      ])
    }))

  it.scopedLive("refuses what is not in the contract", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      const range = { from: "2027-01-01T00:00:00Z", to: "2027-01-02T00:00:00Z" }
      for (
        const [json, code] of [
          [{}, "SCHEDULE_AMBIGUOUS"],
          [{ trigger: {} }, "SCHEDULE_AMBIGUOUS"],
          [{ trigger: null }, "BODY_INVALID"],
          [{ trigger: "hourly" }, "BODY_INVALID"],
          [{ trigger: nightly, count: 0 }, "OPTION_INVALID"],
          [{ trigger: nightly, count: 1_001 }, "OPTION_INVALID"],
          [{ trigger: nightly, count: "3" }, "OPTION_INVALID"],
          [{ trigger: nightly, after: "tomorrow" }, "DATE_INVALID"],
          [{ trigger: nightly, after: 5 }, "DATE_INVALID"],
          [{ trigger: nightly, from: range.from }, "BODY_INVALID"],
          [{ trigger: nightly, to: range.to }, "BODY_INVALID"],
          [{ trigger: nightly, ...range, count: 3 }, "BODY_INVALID"],
          [{ trigger: nightly, ...range, after: range.from }, "BODY_INVALID"],
          [{ trigger: nightly, from: "x", to: range.to }, "DATE_INVALID"],
          [{ trigger: { ...nightly, missingDay: "clamp" } }, "FIELD_UNKNOWN"],
          [{ trigger: { spaced: "1 hour", timeZone: "UTC" } }, "FIELD_UNKNOWN"],
          [{ trigger: { ...nightly, gap: "none" } }, "OPTION_INVALID"],
          [{ trigger: { calendar: { every: "fortnight", from: "2027-01-01T09:00" } } }, "INTERVAL_INVALID"],
          [{ trigger: { calendar: { every: "day", from: "2027-01-01T09:00Z" } } }, "DATE_INVALID"],
          [{ trigger: { calendar: { every: "day" } } }, "BODY_INVALID"],
          [{ trigger: { expression: "every day" } }, "EXPRESSION_INVALID"],
          [{ trigger: { expression: "rate(0 minutes)" } }, "INTERVAL_INVALID"],
          [{ trigger: nightly, from: range.to, to: range.from }, "WINDOW_EMPTY"],
          [{ trigger: nightly, from: range.from, to: "2128-01-02T00:00:00Z" }, "DATE_RANGE"],
          [{ trigger: { at: "+275760-09-13T00:00:00", timeZone: "America/New_York" } }, "DATE_RANGE"],
          [{ trigger: { fixed: 0 }, ...range }, "INTERVAL_TOO_SMALL"],
          [{ trigger: { spaced: 0 } }, "INTERVAL_TOO_SMALL"]
        ] as const
      ) {
        expect([json, ...(yield* post(path, json)).refusal]).toEqual([json, 400, code])
      }
    }))

  it.scopedLive("is answered soon, however long the range, and to the end of time", () =>
    Effect.gen(function*() {
      const { post } = yield* serve()
      for (
        const trigger of [
          { ...nightly, gap: "skip" },
          { ...nightly, cron: "30 2 29 2 *" },
          { ...nightly, cron: "* * * * * *" },
          { calendar: { every: "1000 years", from: "2027-03-28T02:30" }, timeZone: "Europe/Stockholm" },
          { fixed: "1 millis" }
        ]
      ) {
        for (const years of [["2000-01-01", "2099-12-31"], ["-271800-01-01", "-271701-01-01"]] as const) {
          const range = { from: `${years[0]}T00:00:00Z`, to: `${years[1]}T00:00:00Z` }
          const [time, answer] = yield* Effect.timed(post(path, { trigger, ...range }))
          expect(previewOf(answer).occurrences.length).toBeLessThanOrEqual(1_000)
          expect(Duration.toSeconds(time)).toBeLessThan(5)
        }
      }
      const last = yield* post(path, {
        trigger: { fixed: "36525 days" },
        count: 1_000,
        after: "+275000-01-01T00:00:00Z"
      })
      expect(previewOf(last).occurrences.at(-1)?.at).toMatch(/^\+275[67]/)
    }))
})

import { describe, expect, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import * as fc from "fast-check"
import { CatchUp, CatchUpPolicy, defaultCatchUp, mostMadeUp, parseCatchUp, windowOf } from "../../src/domain/CatchUp.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

describe("parseCatchUp", () => {
  it("is latest where nothing is said", () => {
    expect(accepted(parseCatchUp(undefined))).toEqual({ policy: "latest" })
    expect(defaultCatchUp).toEqual({ policy: "latest" })
  })

  it("takes each policy by its name, alone or with a window", () => {
    expect(CatchUpPolicy.literals).toEqual(["latest", "skip", "all"])
    for (const policy of CatchUpPolicy.literals) {
      expect(accepted(parseCatchUp(policy))).toEqual({ policy })
      expect(accepted(parseCatchUp({ policy, max: undefined, window: undefined }))).toEqual({ policy })
      expect(accepted(parseCatchUp({ policy, window: "1 day" }))).toEqual({ policy, window: 86_400_000 })
    }
    expect(accepted(parseCatchUp({ policy: "all", max: 24, window: "PT1H" }))).toEqual({
      policy: "all",
      max: 24,
      window: 3_600_000
    })
  })

  it("takes from 1 to 10,000 that are made up for, of all only", () => {
    for (const max of [1, 2, 10_000]) {
      expect(accepted(parseCatchUp({ policy: "all", max }))).toEqual({ policy: "all", max })
    }
    for (const max of [0, -1, 1.5, 10_001, Number.NaN, Infinity, "5", null, true, {}]) {
      expect([max, reasonOf(parseCatchUp({ policy: "all", max }))]).toEqual([max, "OptionInvalid"])
    }
    for (const policy of ["latest", "skip"]) {
      const error = refused(parseCatchUp({ policy, max: 5 }))
      expect([error.reason, error.field]).toEqual(["OptionInvalid", "catchUp"])
      expect(error.message).toBe(`catchUp: max: only all takes one, got 5 for ${policy}`)
    }
  })

  it("takes a window of a millisecond and more, rounded up to a whole one", () => {
    const windowOf = (window: unknown) => accepted(parseCatchUp({ policy: "skip", window })).window
    expect([1, 0.2, "1 milli", Duration.seconds(2), "PT1.5S"].map(windowOf)).toEqual([1, 1, 1, 2_000, 1_500])
    for (const window of [0, "0 seconds", Duration.zero]) {
      const error = refused(parseCatchUp({ policy: "skip", window }))
      expect([error.reason, error.field]).toEqual(["OptionInvalid", "catchUp"])
    }
    expect(refused(parseCatchUp({ policy: "skip", window: "0 seconds" })).message).toBe(
      "catchUp: window: expected a duration of at least a millisecond, got \"0 seconds\""
    )
    for (const window of [Number.NaN, -1, Infinity, "5", "1 month", null, {}]) {
      const error = refused(parseCatchUp({ policy: "skip", window }))
      expect([error.reason, error.field]).toEqual(["IntervalInvalid", "catchUp.window"])
    }
  })

  it("says what it expected", () => {
    for (const input of ["Latest", "", "none", 1, null, true, [], ["all"], {}, { max: 5 }, { policy: "none" }]) {
      const error = refused(parseCatchUp(input))
      expect([input, error.reason, error.field]).toEqual([input, "OptionInvalid", "catchUp"])
    }
    expect(refused(parseCatchUp("none")).message).toBe("catchUp: expected one of latest, skip, all, got \"none\"")
    expect(refused(parseCatchUp({ policy: "all", max: 0 })).message).toBe(
      "catchUp: max: expected a whole number from 1 to 10000, got 0"
    )
  })

  it("answers to anything, and only with what reads back as it was stored", () => {
    const likely = fc.record({
      policy: fc.oneof(fc.constantFrom(...CatchUpPolicy.literals), fc.anything()),
      max: fc.oneof(fc.integer({ min: -5, max: 15_000 }), fc.anything()),
      window: fc.oneof(fc.double(), fc.constantFrom("1 day", "PT2S", "0 millis"), fc.anything())
    }, { requiredKeys: [] })
    fc.assert(
      fc.property(fc.oneof(likely, fc.anything()), (input) => {
        const verdict = parseCatchUp(input)
        if (reasonOf(verdict) !== null) return
        const catchUp = accepted(verdict)
        expect(Schema.decodeUnknownSync(CatchUp)(JSON.parse(JSON.stringify(catchUp)))).toEqual(catchUp)
      }),
      { numRuns: 2_000, seed: 1_102 }
    )
  })
})

describe("what a policy allows", () => {
  it("one is made up for; of all, 100 or as many as was said", () => {
    expect(CatchUpPolicy.literals.map((policy) => mostMadeUp({ policy }))).toEqual([1, 1, 100])
    expect(mostMadeUp({ policy: "all", max: 7 })).toBe(7)
  })

  it("skip may be a minute late, the others as late as they are; or all as late as was said", () => {
    expect(CatchUpPolicy.literals.map((policy) => windowOf({ policy }))).toEqual([Infinity, 60_000, Infinity])
    expect(CatchUpPolicy.literals.map((policy) => windowOf({ policy, window: 5 }))).toEqual([5, 5, 5])
  })
})

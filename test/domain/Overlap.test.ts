import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"
import {
  defaultOverlap,
  isBuffering,
  Overlap,
  OverlapPolicy,
  parseOverlap,
  placesToWait
} from "../../src/domain/Overlap.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

describe("parseOverlap", () => {
  it("is skip where nothing is said", () => {
    expect(accepted(parseOverlap(undefined))).toEqual({ policy: "skip" })
    expect(defaultOverlap).toEqual({ policy: "skip" })
  })

  it("takes each policy by its name, alone or in an object", () => {
    expect(OverlapPolicy.literals).toEqual(["skip", "bufferOne", "bufferAll", "cancelOther", "allowAll"])
    for (const policy of OverlapPolicy.literals) {
      expect(accepted(parseOverlap(policy))).toEqual({ policy })
      expect(accepted(parseOverlap({ policy }))).toEqual({ policy })
      expect(accepted(parseOverlap({ policy, max: undefined }))).toEqual({ policy })
    }
  })

  it("takes from 1 to 1,000 that may wait, of bufferAll only", () => {
    for (const max of [1, 2, 1_000]) {
      expect(accepted(parseOverlap({ policy: "bufferAll", max }))).toEqual({ policy: "bufferAll", max })
    }
    for (const max of [0, -1, 1.5, 1_001, Number.NaN, Infinity, "5", null, true, {}]) {
      expect([max, reasonOf(parseOverlap({ policy: "bufferAll", max }))]).toEqual([max, "OptionInvalid"])
    }
    for (const policy of OverlapPolicy.literals.filter((policy) => policy !== "bufferAll")) {
      const error = refused(parseOverlap({ policy, max: 5 }))
      expect([error.reason, error.field]).toEqual(["OptionInvalid", "overlap"])
      expect(error.message).toBe(`overlap: max: only bufferAll takes one, got 5 for ${policy}`)
    }
  })

  it("says what it expected", () => {
    for (const input of ["Skip", "", "queue", 1, null, true, [], ["skip"], {}, { max: 5 }, { policy: "queue" }]) {
      const error = refused(parseOverlap(input))
      expect([input, error.reason, error.field]).toEqual([input, "OptionInvalid", "overlap"])
    }
    expect(refused(parseOverlap("queue")).message).toBe(
      "overlap: expected one of skip, bufferOne, bufferAll, cancelOther, allowAll, got \"queue\""
    )
    expect(refused(parseOverlap({ policy: "bufferAll", max: 0 })).message).toBe(
      "overlap: max: expected a whole number from 1 to 1000, got 0"
    )
  })

  it("leaves out what a caller has no say in", () => {
    expect(accepted(parseOverlap({ policy: "bufferAll", max: 3, running: 7, more: 1 }))).toEqual({
      policy: "bufferAll",
      max: 3
    })
  })

  it("answers to anything, and only with what reads back as it was stored", () => {
    const likely = fc.record({
      policy: fc.oneof(fc.constantFrom(...OverlapPolicy.literals), fc.anything()),
      max: fc.oneof(fc.integer({ min: -5, max: 1_500 }), fc.anything())
    }, { requiredKeys: [] })
    fc.assert(
      fc.property(fc.oneof(likely, fc.anything()), (input) => {
        const verdict = parseOverlap(input)
        if (reasonOf(verdict) !== null) return
        const overlap = accepted(verdict)
        expect(Schema.decodeUnknownSync(Overlap)(JSON.parse(JSON.stringify(overlap)))).toEqual(overlap)
      }),
      { numRuns: 2_000, seed: 1_101 }
    )
  })
})

describe("placesToWait", () => {
  it("one, or as many as was said and 100 otherwise; none where nothing waits", () => {
    const places = OverlapPolicy.literals.map((policy) => [policy, placesToWait({ policy }), isBuffering({ policy })])
    expect(places).toEqual([
      ["skip", 0, false],
      ["bufferOne", 1, true],
      ["bufferAll", 100, true],
      ["cancelOther", 0, false],
      ["allowAll", 0, false]
    ])
    expect(placesToWait({ policy: "bufferAll", max: 7 })).toBe(7)
  })
})

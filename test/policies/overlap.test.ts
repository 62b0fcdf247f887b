import { describe, expect, it } from "@effect/vitest"
import { onOverlap } from "../../src/policies/overlap.ts"

describe("onOverlap", () => {
  it("skips an anchored occurrence while any other is under way", () => {
    const fixed = { _tag: "Fixed" as const, v: 1 as const, interval: 10, anchor: 0 }
    expect([0, 1, 2].map((others) => onOverlap(fixed, others))).toEqual(["start", "skip", "skip"])
  })

  it("never skips a spaced one, whose runs follow each other", () => {
    const spaced = { _tag: "Spaced" as const, v: 1 as const, interval: 10 }
    expect([0, 1].map((others) => onOverlap(spaced, others))).toEqual(["start", "start"])
  })
})

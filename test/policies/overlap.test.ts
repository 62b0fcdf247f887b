import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Overlap } from "../../src/domain/Overlap.ts"
import { OverlapPolicy, placesToWait } from "../../src/domain/Overlap.ts"
import { lookAgainAt, noOthers, onOverlap } from "../../src/policies/overlap.ts"
import { t0 } from "../support/builders.ts"

describe("onOverlap", () => {
  const underWay = (overlap: Overlap, counts = [0, 1, 2]) =>
    counts.map((underWay) => onOverlap(overlap, { underWay, before: 0 }))

  it("starts what is alone, whatever the policy", () => {
    for (const policy of OverlapPolicy.literals) expect(onOverlap({ policy }, noOthers)).toBe("start")
  })

  it("skip: while any other is under way", () => {
    expect(underWay({ policy: "skip" })).toEqual(["start", "skip", "skip"])
  })

  it("allowAll: beside the others", () => {
    expect(underWay({ policy: "allowAll" })).toEqual(["start", "start", "start"])
  })

  it("cancelOther: instead of the others", () => {
    expect(underWay({ policy: "cancelOther" })).toEqual(["start", "replace", "replace"])
  })

  it("bufferOne: one waits, and what comes after it finds no place", () => {
    const given = (underWay: number, before: number) => onOverlap({ policy: "bufferOne" }, { underWay, before })
    expect([given(0, 0), given(1, 0), given(1, 1), given(2, 5)]).toEqual(["start", "wait", "skip", "skip"])
    // Somebody who waits longer is about to start.
    expect(given(0, 1)).toBe("skip")
  })

  it("bufferAll: as many as there are places, in their order", () => {
    const given = (underWay: number, before: number, max?: number) =>
      onOverlap({ policy: "bufferAll", ...(max === undefined ? {} : { max }) }, { underWay, before })
    expect([0, 1, 2, 3].map((before) => given(1, before, 3))).toEqual(["wait", "wait", "wait", "skip"])
    expect([0, 1, 2, 3].map((before) => given(0, before, 3))).toEqual(["start", "wait", "wait", "skip"])
    expect([99, 100].map((before) => given(1, before))).toEqual(["wait", "skip"])
  })

  it("a backfill has places for all of its own, and as many under way as it may", () => {
    const given = (underWay: number, before: number) =>
      onOverlap({ policy: "bufferAll", running: 3 }, { underWay, before })
    expect([0, 2, 3].map((underWay) => given(underWay, 0))).toEqual(["start", "start", "wait"])
    expect([given(3, 9_999), given(0, 9_999)]).toEqual(["wait", "wait"])
    expect(underWay({ policy: "skip", running: 2 })).toEqual(["start", "start", "skip"])
    expect(underWay({ policy: "cancelOther", running: 2 })).toEqual(["start", "start", "replace"])
  })

  it("waits only where there are places to wait, and replaces only where it says so", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...OverlapPolicy.literals),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(6),
        fc.nat(6),
        (policy, max, underWay, before) => {
          const overlap: Overlap = policy === "bufferAll" ? { policy, max } : { policy }
          const verdict = onOverlap(overlap, { underWay, before })
          if (verdict === "wait") expect(before).toBeLessThan(placesToWait(overlap))
          if (verdict === "replace") expect(policy).toBe("cancelOther")
          if (verdict === "start" && policy !== "allowAll") expect(underWay).toBe(0)
          if (verdict === "skip") expect(underWay + before).toBeGreaterThan(0)
        }
      ),
      { numRuns: 1_000, seed: 1_201 }
    )
  })
})

describe("lookAgainAt", () => {
  it("is soon at first, and later the longer it has waited, up to a minute", () => {
    const after = (waited: number) => lookAgainAt(t0, t0 + waited) - (t0 + waited)
    expect([-5, 0, 99, 100, 101, 5_000, 59_999, 60_000, 1e9].map(after)).toEqual([
      100,
      100,
      100,
      100,
      101,
      5_000,
      59_999,
      60_000,
      60_000
    ])
  })

  it("comes once a minute in the end: some 70 times in the first hour", () => {
    let looks = 0
    for (let now = t0; now < t0 + 3_600_000; now = lookAgainAt(t0, now)) looks++
    expect(looks).toBe(70)
  })
})

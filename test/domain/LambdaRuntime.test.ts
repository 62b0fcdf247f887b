import { describe, expect, it } from "@effect/vitest"
import { defaultRuntime, lambdaRuntimes, runtimeWarning } from "../../src/domain/LambdaRuntime.ts"

const day = 86_400_000

describe("runtimeWarning", () => {
  for (const { createBlocked, deprecated, name, updateBlocked } of lambdaRuntimes) {
    it(`${name}: silent until 90 days before ${deprecated}, then says every date and what to move to`, () => {
      const at = Date.parse(deprecated ?? "")
      expect(runtimeWarning(name, at - 90 * day - 1)).toBeUndefined()
      const before = runtimeWarning(name, at - 90 * day)
      expect(before).toContain("will be deprecated on")
      expect(runtimeWarning(name, at - 1)).toContain("will be deprecated on")
      const after = runtimeWarning(name, at)
      expect(after).toContain("is deprecated since")
      expect(runtimeWarning(name, at + 10_000 * day)).toBe(after)
      for (const date of [deprecated, createBlocked, updateBlocked]) {
        expect(before).toContain(date)
        expect(after).toContain(date)
      }
      expect(after).toContain(defaultRuntime)
    })

    it(`${name}: its dates are real and in order`, () => {
      const dates = [deprecated, createBlocked, updateBlocked].map((date) => Date.parse(date ?? ""))
      expect(dates.every(Number.isFinite)).toBe(true)
      expect(dates).toEqual([...dates].sort((left, right) => left - right))
    })
  }

  it("the dates AWS gives for Node 20, 22 and 24", () => {
    expect(
      lambdaRuntimes.map(({ createBlocked, deprecated, name, node, updateBlocked }) =>
        [name, node, deprecated, createBlocked, updateBlocked].join(" ")
      )
    ).toEqual([
      "nodejs20.x 20 2026-04-30 2026-08-31 2026-09-30",
      "nodejs22.x 22 2027-04-30 2027-06-01 2027-07-01",
      "nodejs24.x 24 2028-04-30 2028-06-01 2028-07-01"
    ])
  })

  it("says nothing of a runtime it does not know, and nothing of the default today", () => {
    expect(runtimeWarning("nodejs99.x", 8.64e15)).toBeUndefined()
    expect(runtimeWarning(defaultRuntime, Date.UTC(2026, 10, 23))).toBeUndefined()
  })
})

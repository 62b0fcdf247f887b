import { describe, expect, it } from "@effect/vitest"
import type { RetryOptions } from "../../src/domain/RetryPolicy.ts"
import { defaultRetryPolicy, parseRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

const parse = (options: { readonly [Key in keyof RetryOptions]?: unknown }) =>
  parseRetryPolicy(options as RetryOptions, defaultRetryPolicy)

describe("parseRetryPolicy", () => {
  it("the default: 3 attempts, full jitter from 1 second, at most 5 minutes apart, for a day", () => {
    expect(accepted(parseRetryPolicy(undefined, defaultRetryPolicy))).toEqual({
      maxAttempts: 3,
      baseDelay: 1_000,
      maxDelay: 300_000,
      maxAge: 86_400_000,
      onUnknown: "retry",
      notRetryable: []
    })
    expect(accepted(parse({}))).toEqual(defaultRetryPolicy)
  })

  it("takes what was said and the default for the rest", () => {
    expect(accepted(parse({ maxAttempts: 5, baseDelay: "PT2S", onUnknown: "fail", notRetryable: ["FunctionError"] })))
      .toEqual({
        ...defaultRetryPolicy,
        maxAttempts: 5,
        baseDelay: 2_000,
        onUnknown: "fail",
        notRetryable: ["FunctionError"]
      })
    expect(accepted(parse({ maxDelay: 0, maxAge: "1 hour", maxAttempts: undefined })))
      .toEqual({ ...defaultRetryPolicy, maxDelay: 0, maxAge: 3_600_000 })
  })

  it("takes 1 to 100 attempts", () => {
    for (const maxAttempts of [1, 2, 100]) expect(accepted(parse({ maxAttempts })).maxAttempts).toBe(maxAttempts)
    for (const maxAttempts of [0, -1, 1.5, 101, Number.NaN, Infinity, 2 ** 53, "3", true, {}]) {
      expect([maxAttempts, reasonOf(parse({ maxAttempts }))]).toEqual([maxAttempts, "RetryInvalid"])
    }
  })

  it("refuses durations that are none, by their field", () => {
    for (const field of ["baseDelay", "maxDelay", "maxAge"] as const) {
      for (const given of [Number.NaN, -1, "5", Infinity, "1 month", {}]) {
        const error = refused(parse({ [field]: given }))
        expect([error.reason, error.field]).toEqual(["IntervalInvalid", `retry.${field}`])
      }
    }
  })

  it("refuses another onUnknown", () => {
    for (const onUnknown of ["Retry", "", "ignore", 1, {}]) {
      expect([onUnknown, reasonOf(parse({ onUnknown }))]).toEqual([onUnknown, "RetryInvalid"])
    }
  })
})

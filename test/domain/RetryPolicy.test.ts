import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Random, Schedule } from "effect"
import type { RetryOptions, RetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { defaultRetryPolicy, parseRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

const chance = (): Random.Random => Random.make("retry policies")

const parse = (
  options: { readonly [Key in keyof RetryOptions]?: unknown },
  defaults: Partial<RetryPolicy> = {}
) => parseRetryPolicy(options as RetryOptions, { ...defaultRetryPolicy, ...defaults }, chance)

describe("parseRetryPolicy", () => {
  it("the default: 3 attempts, full jitter from 1 second, at most 5 minutes apart, for a day", () => {
    expect(accepted(parseRetryPolicy(undefined, defaultRetryPolicy, chance))).toEqual({
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
    for (const field of ["baseDelay", "maxDelay", "maxAge", "maxWait", "deadline", "attemptTimeout"] as const) {
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

  it("what makes no difference is absent, so that a policy of before is the same", () => {
    const usual = {
      backoff: "exponential",
      jitter: "full",
      notRetryableErrors: [],
      maxWait: undefined,
      deadline: undefined,
      attemptTimeout: undefined,
      schedule: undefined
    }
    expect(Object.keys(accepted(parse(usual)))).toEqual(Object.keys(defaultRetryPolicy))
    expect(accepted(parse({ backoff: "fixed", jitter: "none" }))).toEqual({ ...defaultRetryPolicy, backoff: "fixed" })
    expect(accepted(parse({ backoff: "exponential" }, { backoff: "fixed" }))).toEqual(defaultRetryPolicy)
  })

  it("takes all that a policy can say", () => {
    const said = {
      backoff: "fixed",
      jitter: "full",
      notRetryableErrors: ["ValidationError", "a".repeat(256)],
      maxWait: 0,
      deadline: "1 hour",
      attemptTimeout: "PT2.0005S"
    }
    const policy = { ...defaultRetryPolicy, ...said, deadline: 3_600_000, attemptTimeout: 2_001 }
    expect(accepted(parse(said))).toEqual(policy)
    // ... also where it is the engine's default.
    expect(accepted(parse({}, policy as RetryPolicy))).toEqual(policy)
    const exact = accepted(parse({ jitter: "none", deadline: 5 }, policy as RetryPolicy))
    expect({ ...exact, jitter: "full" }).toEqual({ ...policy, deadline: 5 })
    expect("jitter" in exact).toBe(false)
  })

  it("a list of delays says how many attempts there are, unless they are counted", () => {
    const listed = { ...defaultRetryPolicy, backoff: [1_000, 0, 60_000] }
    const backoff = ["1 second", 0, Duration.minutes(1)]
    expect(accepted(parse({ backoff }))).toEqual({ ...listed, maxAttempts: 4 })
    expect(accepted(parse({ backoff, maxAttempts: 2 }))).toEqual({ ...listed, maxAttempts: 2 })
    expect(accepted(parse({ backoff, maxAttempts: 100 }))).toEqual({ ...listed, maxAttempts: 100 })
    expect(accepted(parse({ backoff: Array.from({ length: 99 }, () => 5) })).maxAttempts).toBe(100)
    // One of the engine's says what it says.
    expect(accepted(parse({ jitter: "full" }, listed))).toEqual({ ...listed, jitter: "full" })
  })

  it("refuses, by its field, what is none of the words, none of the names and no delay", () => {
    const wrong: ReadonlyArray<readonly [keyof RetryOptions, unknown, string]> = [
      ["backoff", "linear", "retry.backoff"],
      ["backoff", [], "retry.backoff"],
      ["backoff", Array.from({ length: 100 }, () => 5), "retry.backoff"],
      ["backoff", 5, "retry.backoff"],
      ["backoff", null, "retry.backoff"],
      ["backoff", { 0: 1 }, "retry.backoff"],
      ["backoff", [1, "soon", 3], "retry.backoff[1]"],
      ["backoff", [1, 2, -3], "retry.backoff[2]"],
      ["jitter", "equal", "retry.jitter"],
      ["jitter", true, "retry.jitter"],
      ["jitter", null, "retry.jitter"],
      ["notRetryableErrors", "TypeError", "retry.notRetryableErrors"],
      ["notRetryableErrors", [""], "retry.notRetryableErrors"],
      ["notRetryableErrors", ["a".repeat(257)], "retry.notRetryableErrors"],
      ["notRetryableErrors", ["a", 5], "retry.notRetryableErrors"],
      ["notRetryableErrors", Array.from({ length: 101 }, () => "a"), "retry.notRetryableErrors"],
      ["deadline", 0, "retry.deadline"],
      ["attemptTimeout", "0 seconds", "retry.attemptTimeout"]
    ]
    for (const [name, given, field] of wrong) {
      const error = refused(parse({ [name]: given }))
      expect([name, given, error.field]).toEqual([name, given, field])
      expect(error.message.startsWith(`${field}: expected`)).toBe(true)
      expect(error.message.length).toBeLessThan(250)
    }
  })
})

describe("an Effect Schedule", () => {
  const taken = (schedule: unknown, more: RetryOptions = {}) => accepted(parse({ schedule, ...more }))

  it("that ends says how many attempts there are, and what lies between them", () => {
    const six = Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(5)))
    expect(taken(six)).toEqual({
      ...defaultRetryPolicy,
      maxAttempts: 6,
      backoff: [1_000, 2_000, 4_000, 8_000, 16_000]
    })
    expect(taken(six, { maxAttempts: 3 })).toEqual({ ...defaultRetryPolicy, maxAttempts: 3, backoff: [1_000, 2_000] })
    expect(taken(six, { maxAttempts: 50 }).maxAttempts).toBe(6)
    expect(taken(Schedule.recurs(99))).toEqual({
      ...defaultRetryPolicy,
      maxAttempts: 100,
      backoff: Array.from({ length: 99 }, () => 0)
    })
    for (const none of [Schedule.recurs(0), Schedule.stop]) {
      expect(taken(none)).toEqual({ ...defaultRetryPolicy, maxAttempts: 1 })
    }
  })

  it("that does not end is cut at maxAttempts, by default the usual number", () => {
    expect(taken(Schedule.spaced("2 seconds"))).toEqual({ ...defaultRetryPolicy, backoff: [2_000, 2_000] })
    expect(taken(Schedule.spaced("2 seconds"), { maxAttempts: 5 }).backoff).toHaveLength(4)
    expect(taken(Schedule.spaced("2 seconds"), { maxAttempts: 1 })).toEqual({ ...defaultRetryPolicy, maxAttempts: 1 })
    expect(accepted(parse({ schedule: Schedule.forever }, { maxAttempts: 7 }))).toMatchObject({ maxAttempts: 7 })
  })

  it("goes by its own time, and waits for nothing", () => {
    expect(taken(Schedule.fibonacci(100), { maxAttempts: 8 }).backoff).toEqual([100, 100, 200, 300, 500, 800, 1_300])
    expect(taken(Schedule.fixed("1 hour"), { maxAttempts: 4 }).backoff).toEqual([3_600_000, 3_600_000, 3_600_000])
    const within = Schedule.spaced("1 minute").pipe(Schedule.upTo("5 minutes"))
    expect(taken(within).backoff).toEqual([60_000, 60_000, 60_000, 60_000, 60_000])
    const capped = Schedule.exponential(10, 10).pipe(Schedule.union(Schedule.spaced(500)), Schedule.upTo(2_000))
    expect(taken(capped).backoff).toEqual([10, 100, 500, 500, 500, 500])
    expect(taken(Schedule.spaced(Duration.micros(1_500n)), { maxAttempts: 3 }).backoff).toEqual([2, 2])
  })

  it("that has jitter draws it once, from the chance it is given; the engine adds none, unless it is asked to", () => {
    const jittered = Schedule.exponential("1 second").pipe(Schedule.jittered)
    const draw = (seed: string) =>
      accepted(
        parseRetryPolicy({ schedule: jittered, maxAttempts: 6 }, defaultRetryPolicy, () => Random.make(seed))
      )
    const delays = draw("one").backoff as ReadonlyArray<number>
    expect(delays).toHaveLength(5)
    for (const [index, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(800 * 2 ** index)
      expect(delay).toBeLessThanOrEqual(1_200 * 2 ** index + 1)
      expect(Number.isInteger(delay)).toBe(true)
    }
    expect(draw("one")).toEqual(draw("one"))
    expect(draw("two")).not.toEqual(draw("one"))
    const full = { ...defaultRetryPolicy, backoff: [5], jitter: "full" } as const
    expect("jitter" in accepted(parse({ schedule: jittered }, full))).toBe(false)
    expect(taken(jittered, { jitter: "full" }).jitter).toBe("full")
  })

  it("that cannot be taken in advance is refused, and so is one beside backoff", () => {
    class Missing
      extends Context.Tag("effect-lambda-scheduler/test/domain/RetryPolicy.test/Missing")<Missing, number>()
    {}
    const bad: Readonly<Record<string, unknown>> = {
      "nothing of the kind": { step: 5 },
      "a text": "exponential",
      "nothing at all": null,
      "one that waits": Schedule.forever.pipe(Schedule.tapOutput(() => Effect.sleep(10))),
      "one that needs a service": Schedule.forever.pipe(Schedule.tapOutput(() => Missing)),
      "one that dies": Schedule.forever.pipe(Schedule.tapOutput(() => Effect.die("no"))),
      "one that throws": Schedule.forever.pipe(Schedule.map(() => {
        throw new Error("boom".repeat(1_000))
      })),
      "one that is interrupted": Schedule.forever.pipe(Schedule.tapOutput(() => Effect.interrupt)),
      "one that waits for ever": Schedule.spaced(Duration.infinity),
      "one that waits for centuries": Schedule.spaced("5000000 days")
    }
    for (const [what, schedule] of Object.entries(bad)) {
      const error = refused(parse({ schedule }))
      expect([what, error.reason, error.field]).toEqual([what, "RetryInvalid", "retry.schedule"])
      expect(error.message).toMatch(/^retry.schedule: expected/)
      expect(error.message.length).toBeLessThan(250)
    }
    expect(refused(parse({ schedule: Schedule.forever, backoff: "fixed" })))
      .toMatchObject({ reason: "RetryInvalid", field: "retry.schedule" })
  })
})

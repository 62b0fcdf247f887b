import { describe, expect, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as fc from "fast-check"
import { InvocationError, InvocationErrorReason } from "../../src/domain/Invocation.ts"
import type { RetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import type { RunningTask, ScheduledTask } from "../../src/domain/Task.ts"
import { isSpent, spentAttempts } from "../../src/domain/Task.ts"
import * as TaskLifecycle from "../../src/domain/TaskLifecycle.ts"
import type { AttemptResult } from "../../src/policies/retry.ts"
import { retryDelay, settleAttempt } from "../../src/policies/retry.ts"
import { anInstanceId, aTask, t0 } from "../support/builders.ts"

const horizon = 60_000
const me = anInstanceId()

const failure = (
  reason: InvocationErrorReason,
  fields: { readonly retryAfter?: number; readonly errorType?: string } = {}
) => new InvocationError({ reason, message: `because ${reason}`, ...fields })

const success: AttemptResult = {
  body: { text: `{"a":1}`, encoding: "utf8" },
  requestId: "r-1",
  executedVersion: "7",
  logTail: "END"
}

const startedAt = (task: ScheduledTask, now: number): RunningTask => {
  const owned = { ...task, owner: me }
  return TaskLifecycle.start(owned, me, owned.token, now) ?? expect.fail("not started")
}

/** A Task that runs its first attempt since `t0`. */
const running = (retry: Partial<RetryPolicy> = {}): RunningTask =>
  startedAt(aTask({ retry: { ...defaultRetryPolicy, ...retry } }), t0)

const settled = (task: RunningTask, result: AttemptResult, now: number = t0 + 10, random: number = 0.5) =>
  settleAttempt(task, result, { now, random, horizon })

/** One attempt after the other, each with the next result, until the Task is over or there is no further result. */
const live = (retry: Partial<RetryPolicy>, results: ReadonlyArray<AttemptResult>, random: number = 0.5) => {
  let task = running(retry)
  let now = t0
  for (const [index, result] of results.entries()) {
    now += 10
    const settlement = settled(task, result, now, random)
    const next = TaskLifecycle.settle(task, me, { id: task.id, token: task.token, ...settlement })
    if (next === undefined) return expect.fail("not settled")
    if (next.status !== "Scheduled" || index === results.length - 1) return next
    now = Math.max(now, next.dueAt)
    task = startedAt(next, now)
  }
  return task
}

const neverRetried: ReadonlyArray<InvocationErrorReason> = [
  "AccessDenied",
  "NotFound",
  "PayloadTooLarge",
  "Rejected",
  "MissingRegion",
  "GaveUp"
]

describe("retryDelay", () => {
  it("is drawn from 0 to the base, doubled with every attempt, up to the longest", () => {
    const largest = (attempt: number) => retryDelay(defaultRetryPolicy, attempt, 1)
    expect([1, 2, 3, 4, 9, 10, 100].map(largest)).toEqual([1_000, 2_000, 4_000, 8_000, 256_000, 300_000, 300_000])
    expect([1, 2, 3].map((attempt) => retryDelay(defaultRetryPolicy, attempt, 0))).toEqual([0, 0, 0])
    expect(retryDelay(defaultRetryPolicy, 3, 0.5)).toBe(2_000)
  })

  it("stays in its bounds, whole, for every policy, attempt and draw", () => {
    fc.assert(
      fc.property(
        fc.nat(1e9),
        fc.nat(1e12),
        fc.integer({ min: 1, max: 5_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.nat(1e9),
        (baseDelay, maxDelay, attempt, random, retryAfter) => {
          const policy = { ...defaultRetryPolicy, baseDelay, maxDelay }
          const cap = baseDelay === 0 ? 0 : Math.min(maxDelay, baseDelay * 2 ** (attempt - 1))
          const delay = retryDelay(policy, attempt, random)
          expect(Number.isSafeInteger(delay)).toBe(true)
          expect(delay).toBeGreaterThanOrEqual(0)
          expect(delay).toBeLessThanOrEqual(cap)
          expect(retryDelay(policy, attempt, random, retryAfter)).toBe(Math.max(delay, retryAfter))
        }
      ),
      { numRuns: 5_000 }
    )
  })

  it("is what was fixed or listed, to the millisecond, and the last of a list goes on", () => {
    const fixed = { ...defaultRetryPolicy, baseDelay: 600_000, backoff: "fixed" } as const
    const listed = { ...defaultRetryPolicy, backoff: [1_000, 0, 600_000] }
    for (const random of [0, 0.5, 0.999]) {
      expect([1, 2, 3, 99].map((failure) => retryDelay(fixed, failure, random))).toEqual(Array(4).fill(600_000))
      expect([1, 2, 3, 4, 99].map((failure) => retryDelay(listed, failure, random)))
        .toEqual([1_000, 0, 600_000, 600_000, 600_000])
    }
    expect(retryDelay(listed, 1, 0, 5_000)).toBe(5_000)
    expect(retryDelay(listed, 3, 0, 5_000)).toBe(600_000)
  })

  it("has jitter where it was asked for, and none where that was", () => {
    const exact = { ...defaultRetryPolicy, jitter: "none" } as const
    expect([1, 2, 3, 10].map((failure) => retryDelay(exact, failure, 0.1))).toEqual([1_000, 2_000, 4_000, 300_000])
    expect(retryDelay({ ...defaultRetryPolicy, backoff: "fixed", jitter: "full" }, 7, 0.25)).toBe(250)
    expect(retryDelay({ ...defaultRetryPolicy, backoff: [100, 200], jitter: "full" }, 2, 0.25)).toBe(50)
  })

  it("has no delay where the policy has none, however many attempts were throttled", () => {
    for (const attempt of [1, 2, 1_024, 1_025, 5_000]) {
      expect(retryDelay({ ...defaultRetryPolicy, baseDelay: 0 }, attempt, 0.5)).toBe(0)
    }
  })

  it.effect("is full jitter: uniform over the whole range (Kolmogorov-Smirnov, n = 10,000)", () =>
    Effect.gen(function*() {
      const n = 10_000
      const seed = "retryDelay-2027"
      const policy = { ...defaultRetryPolicy, baseDelay: 100_000, maxDelay: 1e9 }
      for (const attempt of [1, 2, 5]) {
        const range = policy.baseDelay * 2 ** (attempt - 1)
        const draws = yield* Effect.replicateEffect(Random.next, n)
        const sorted = draws.map((random) => retryDelay(policy, attempt, random) / range).sort((a, b) => a - b)
        const distance = Math.max(
          ...sorted.map((value, index) => Math.max(Math.abs(value - index / n), Math.abs(value - (index + 1) / n)))
        )
        // The critical value at 0.1 %.
        expect(distance, `seed ${seed}, attempt ${attempt}`).toBeLessThan(1.95 / Math.sqrt(n))
      }
    }).pipe(Effect.withRandom(Random.make("retryDelay-2027"))))
})

describe("settleAttempt", () => {
  it("a success ends the Task with the answer's body, and records what the answer said", () => {
    expect(settled(running(), success)).toEqual({
      end: {
        at: t0 + 10,
        outcome: "succeeded",
        error: undefined,
        requestId: "r-1",
        executedVersion: "7",
        logTail: "END"
      },
      to: { _tag: "Succeeded", result: { text: `{"a":1}`, encoding: "utf8" } }
    })
  })

  it("records a failure with all it said", () => {
    const error = new InvocationError({
      reason: "FunctionError",
      message: "boom",
      errorType: "TypeError",
      requestId: "r-2",
      executedVersion: "8",
      logTail: "ERROR"
    })
    expect(settled(running(), error).end).toEqual({
      at: t0 + 10,
      outcome: "failed",
      error: { reason: "FunctionError", message: "boom", errorType: "TypeError" },
      requestId: "r-2",
      executedVersion: "8",
      logTail: "ERROR"
    })
  })

  it("every reason is decided, and those that another attempt cannot help end the Task after the first", () => {
    for (const reason of InvocationErrorReason.literals) {
      const { end, to } = settled(running(), failure(reason))
      expect([reason, end.outcome]).toEqual([reason, failure(reason).outcome])
      expect([reason, to._tag]).toEqual([reason, neverRetried.includes(reason) ? "Failed" : "Retry"])
      if (to._tag === "Failed") expect(to.failure).toEqual({ reason, message: `because ${reason}` })
    }
  })

  it("a policy can give up on further reasons, but never insist on those", () => {
    for (const reason of InvocationErrorReason.literals) {
      expect(settled(running({ notRetryable: [reason] }), failure(reason)).to._tag).toBe("Failed")
      expect(settled(running({ notRetryable: [], maxAttempts: 100 }), failure(reason)).to._tag)
        .toBe(neverRetried.includes(reason) ? "Failed" : "Retry")
    }
    expect(settled(running({ notRetryable: ["Throttled"] }), failure("ServiceError")).to._tag).toBe("Retry")
  })

  it("a retry is a later dueAt, and is kept by its owner when it is near", () => {
    const policy = { baseDelay: 200_000, maxDelay: 400_000 }
    const to = (random: number) => settled(running(policy), failure("ServiceError"), t0 + 10, random).to
    expect(to(0)).toEqual({ _tag: "Retry", dueAt: t0 + 10, keep: true })
    expect(to(0.3)).toEqual({ _tag: "Retry", dueAt: t0 + 60_010, keep: true })
    expect(to(0.300_005)).toEqual({ _tag: "Retry", dueAt: t0 + 60_011, keep: false })
    expect(to(0.9)).toEqual({ _tag: "Retry", dueAt: t0 + 180_010, keep: false })
  })

  it("waits at least as long as the target asked", () => {
    const to = (random: number, retryAfter: number) =>
      settled(running(), failure("Throttled", { retryAfter }), t0 + 10, random).to
    expect(to(0, 7_000)).toMatchObject({ dueAt: t0 + 7_010 })
    expect(to(0.5, 100)).toMatchObject({ dueAt: t0 + 510 })
    expect(to(0, 400_000)).toMatchObject({ dueAt: t0 + 400_010 })
    expect(to(0, 0.2)).toMatchObject({ dueAt: t0 + 11 })
  })

  it("fails after maxAttempts with the last attempt's reason", () => {
    for (const maxAttempts of [1, 2, 3, 10]) {
      const task = live({ maxAttempts }, Array.from({ length: 20 }, () => failure("FunctionError")))
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "FunctionError" } })
      expect(task.attempts).toHaveLength(maxAttempts)
    }
    const task = live({ maxAttempts: 2 }, [failure("ServiceError"), failure("FunctionTimeout")])
    expect(task).toMatchObject({ status: "Failed", failure: { reason: "FunctionTimeout" } })
  })

  it("throttled, notReady and notSent cost no attempt", () => {
    const unspent = (["Throttled", "NotReady", "Unreachable", "TooLate", "MissingCredentials"] as const).map((reason) =>
      failure(reason)
    )
    const task = live({ maxAttempts: 2, baseDelay: 10 }, [
      ...unspent,
      failure("FunctionError"),
      ...unspent,
      failure("FunctionError")
    ])
    expect(task.status).toBe("Failed")
    expect(task.attempts.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    expect(spentAttempts(task)).toBe(2)
    expect(live({ maxAttempts: 1, baseDelay: 10 }, [...unspent, success]).status).toBe("Succeeded")
  })

  it("a function that stays unready is a failure like any other after two minutes", () => {
    const late = settled(running({ maxAttempts: 1 }), failure("NotReady"), t0 + 120_001)
    expect(late.end).toMatchObject({ outcome: "failed", error: { reason: "NotReady" } })
    expect(late.to).toMatchObject({ _tag: "Failed", failure: { reason: "NotReady" } })
    const early = settled(running({ maxAttempts: 1 }), failure("NotReady"), t0 + 120_000)
    expect(early.end.outcome).toBe("notReady")
    expect(early.to._tag).toBe("Retry")
  })

  it("unknown is spent, and is tried again only where that was asked for", () => {
    for (const result of [failure("NoAnswer"), "Interrupted", "OwnerLost"] as const) {
      const again = settled(running(), result)
      expect(again.end.outcome).toBe("unknown")
      expect(again.to._tag).toBe("Retry")
      const once = settled(running({ onUnknown: "fail" }), result)
      expect(once.end.outcome).toBe("unknown")
      expect(once.to).toMatchObject({
        _tag: "Failed",
        failure: { reason: typeof result === "string" ? result : "NoAnswer" }
      })
      expect(live({ maxAttempts: 2 }, [result, result, result]).attempts).toHaveLength(2)
    }
    // At most once is about what may have run: what surely failed is still tried again.
    expect(settled(running({ onUnknown: "fail" }), failure("FunctionError")).to._tag).toBe("Retry")
    expect(settled(running({ onUnknown: "fail" }), failure("Unreachable")).to._tag).toBe("Retry")
  })

  it("nothing is tried again after maxAge, throttled or not", () => {
    const task = running({ maxAge: 5_000, baseDelay: 1_000 })
    expect(settled(task, failure("Throttled"), t0 + 4_500, 0.5).to).toMatchObject({ _tag: "Retry", dueAt: t0 + 5_000 })
    for (const result of [failure("Throttled"), failure("FunctionError"), "OwnerLost"] as const) {
      const { to } = settled(task, result, t0 + 4_501, 0.5)
      expect(to).toMatchObject({ _tag: "Failed", failure: { reason: "Expired" } })
    }
    expect(settled(task, failure("Throttled", { retryAfter: 6_000 }), t0 + 1, 0).to)
      .toMatchObject({ _tag: "Failed", failure: { reason: "Expired" } })
    expect(settled(task, success, t0 + 60_000).to._tag).toBe("Succeeded")
  })

  it("a Retry-After that is not a number is passed over", () => {
    const { to } = settled(running(), failure("Throttled", { retryAfter: Number.NaN }), t0 + 1, 0)
    expect(to).toMatchObject({ _tag: "Retry", dueAt: t0 + 1 })
  })

  it("age counts from the nominal instant, or from when a past one was asked for", () => {
    const retry = { ...defaultRetryPolicy, maxAge: 5_000 }
    const ancient = startedAt(aTask({ createdAt: t0, dueAt: 0, retry }), t0)
    expect(settled(ancient, failure("FunctionError"), t0 + 100).to._tag).toBe("Retry")
    const later = startedAt(aTask({ createdAt: t0, dueAt: t0 + 86_400_000, retry }), t0 + 86_400_000)
    expect(settled(later, failure("FunctionError"), t0 + 86_400_100).to._tag).toBe("Retry")
  })

  it("a list of delays counts what was spent, and what cost nothing has a pace of its own", () => {
    const policy = { maxAttempts: 4, backoff: [1, 20, 300] }
    const delays: Array<number> = []
    let task = running(policy)
    let now = t0
    const results = ["FunctionError", "Throttled", "Unreachable", "FunctionError", "NotReady", "FunctionError"] as const
    for (const reason of results) {
      now += 10
      const settlement = settled(task, failure(reason), now, 0.5)
      if (settlement.to._tag !== "Retry") return expect.fail(`${reason} is tried again`)
      delays.push(settlement.to.dueAt - now)
      const next = TaskLifecycle.settle(task, me, { id: task.id, token: task.token, ...settlement })
      if (next?.status !== "Scheduled") return expect.fail("not settled")
      now = next.dueAt
      task = startedAt({ ...next, owner: me }, now)
    }
    expect(delays).toEqual([1, 500, 1_000, 20, 500, 300])
  })

  it("a function's own error that is listed, by its exact name, is not tried again", () => {
    const task = running({ notRetryableErrors: ["ValidationError", "Sandbox.Timedout"] })
    for (
      const [reason, errorType] of [["FunctionError", "ValidationError"], [
        "FunctionTimeout",
        "Sandbox.Timedout"
      ]] as const
    ) {
      expect(settled(task, failure(reason, { errorType })).to)
        .toEqual({ _tag: "Failed", failure: { reason, message: `because ${reason}` } })
    }
    for (const errorType of ["validationerror", "ValidationErrors", "Error", ""]) {
      expect(settled(task, failure("FunctionError", { errorType })).to._tag).toBe("Retry")
    }
    expect(settled(task, failure("FunctionError")).to._tag).toBe("Retry")
  })

  it("attempts that cost nothing may follow each other for maxWait, from the start of the first of them", () => {
    const policy = { maxWait: 20_000, maxAttempts: 10, baseDelay: 0, maxDelay: 0 }
    const throttled = Array.from({ length: 60 }, () => failure("Throttled"))
    const waited = live(policy, throttled)
    expect(waited).toMatchObject({ status: "Failed", failure: { reason: "Expired" } })
    expect(waited.status === "Failed" && waited.failure.message).toBe(
      "Not tried again after 20000 ms of attempts that cost nothing; the last attempt: because Throttled"
    )
    expect(waited.attempts.at(-1)?.startedAt).toBeLessThanOrEqual(t0 + 20_000)
    expect(waited.attempts.at(-1)?.startedAt).toBeGreaterThan(t0 + 10_000)
    // What was spent in between begins it anew.
    const some = throttled.slice(0, 5)
    const mixed = live(policy, [...some, failure("FunctionError"), ...some, failure("FunctionError"), ...some, success])
    expect(mixed.status).toBe("Succeeded")
    expect(mixed.attempts.at(-1)?.startedAt).toBeGreaterThan(t0 + 40_000)
    const to = (maxWait: number) => settled(running({ maxWait }), failure("Throttled"), t0 + 10, 0.5).to
    expect(to(510)).toMatchObject({ _tag: "Retry", dueAt: t0 + 510 })
    expect(to(509)).toMatchObject({ _tag: "Failed" })
    expect(settled(running({ maxWait: 0 }), failure("FunctionError"), t0 + 10, 0.5).to._tag).toBe("Retry")
  })

  it("no retry is planned for the deadline or later", () => {
    const task = running({ deadline: 5_000 })
    expect(settled(task, failure("FunctionError"), t0 + 4_499, 0.5).to).toMatchObject({ dueAt: t0 + 4_999 })
    for (const result of [failure("FunctionError"), failure("Throttled"), "OwnerLost"] as const) {
      expect(settled(task, result, t0 + 4_500, 0.5).to).toEqual({
        _tag: "Failed",
        failure: {
          reason: "Expired",
          message: `Not tried again after its deadline of 5000 ms; the last attempt: ${
            typeof result === "string" ? "The instance that ran it was lost" : result.message
          }`
        }
      })
    }
    expect(settled(task, success, t0 + 60_000).to._tag).toBe("Succeeded")
  })

  it("what is given up at the deadline has expired, also where it would not be tried again anyway", () => {
    for (const retry of [{ onUnknown: "fail" }, { maxAttempts: 1 }] as const) {
      const task = running({ ...retry, deadline: 5_000 })
      // A timer may fire a millisecond early.
      for (const [at, reason] of [[4_998, "NoAnswer"], [4_999, "Expired"], [5_000, "Expired"]] as const) {
        const { end, to } = settled(task, failure("NoAnswer"), t0 + at)
        expect(end).toMatchObject({ outcome: "unknown", error: { reason: "NoAnswer" } })
        expect([at, to]).toMatchObject([at, { _tag: "Failed", failure: { reason } }])
      }
      // Its own failure says more.
      expect(settled(task, failure("AccessDenied"), t0 + 9_000).to)
        .toMatchObject({ failure: { reason: "AccessDenied" } })
    }
  })

  it("a function may ask for another attempt at an instant", () => {
    const answer = (asked: object): AttemptResult => ({
      ...success,
      body: { text: JSON.stringify({ $scheduler: asked }), encoding: "utf8" }
    })
    const wanted = answer({ retryAt: t0 + 90_000, reason: "quota" })
    expect(settled(running(), wanted)).toEqual({
      end: {
        at: t0 + 10,
        outcome: "failed",
        error: { reason: "RetryRequested", message: "quota", errorType: undefined },
        requestId: "r-1",
        executedVersion: "7",
        logTail: "END"
      },
      to: { _tag: "Retry", dueAt: t0 + 90_000, keep: false }
    })
    for (const random of [0, 0.999]) {
      // Exactly then, whatever the policy's own delays.
      expect(settled(running({ backoff: [1] }), answer({ retryAfter: 2 }), t0 + 10, random).to)
        .toEqual({ _tag: "Retry", dueAt: t0 + 2_010, keep: true })
    }
    expect(settled(running(), answer({ retryAt: 0 })).to).toMatchObject({ _tag: "Retry", dueAt: t0 + 10 })
    // It costs an attempt, and age and deadline hold.
    expect(settled(running({ maxAttempts: 1 }), wanted).to)
      .toEqual({ _tag: "Failed", failure: { reason: "RetryRequested", message: "quota" } })
    expect(live({ maxAttempts: 3 }, Array.from({ length: 9 }, () => answer({ retryAfter: 1 }))).attempts).toHaveLength(
      3
    )
    for (const bound of [{ maxAge: 89_999 }, { deadline: 90_000 }]) {
      expect(settled(running(bound), wanted).to).toMatchObject({ _tag: "Failed", failure: { reason: "Expired" } })
    }
    expect(settled(running({ notRetryable: ["RetryRequested"] }), wanted).to._tag).toBe("Failed")
  })

  it("a function may give up", () => {
    const gaveUp: AttemptResult = { ...success, body: { text: `{"$scheduler":{"giveUp":"gone"}}`, encoding: "utf8" } }
    const { end, to } = settled(running({ maxAttempts: 100 }), gaveUp)
    expect(end).toMatchObject({ outcome: "failed", error: { reason: "GaveUp", message: "gone" }, requestId: "r-1" })
    expect(to).toEqual({ _tag: "Failed", failure: { reason: "GaveUp", message: "gone" } })
  })

  it("what only looks like an answer to us is a result, byte for byte", () => {
    const text = `{"$scheduler":{"giveUp":"x"},"rows":[]}`
    expect(settled(running(), { ...success, body: { text, encoding: "utf8" } }).to)
      .toEqual({ _tag: "Succeeded", result: { text, encoding: "utf8" } })
  })

  const anyResult: fc.Arbitrary<AttemptResult> = fc.oneof(
    { weight: 1, arbitrary: fc.constant(success) },
    { weight: 2, arbitrary: fc.constantFrom("Interrupted" as const, "OwnerLost" as const) },
    {
      weight: 12,
      arbitrary: fc.tuple(
        fc.constantFrom(...InvocationErrorReason.literals),
        fc.option(fc.nat(100_000), { nil: undefined })
      )
        .map(([reason, retryAfter]) => failure(reason, retryAfter === undefined ? {} : { retryAfter }))
    }
  )

  it("whatever comes, attempts stay in their budget, delays in their bounds and the Task in its age", () => {
    const ends = new Set<string>()
    const policy = fc.record({
      maxAttempts: fc.integer({ min: 1, max: 6 }),
      baseDelay: fc.nat(10_000),
      maxDelay: fc.nat(100_000),
      maxAge: fc.nat(2_000_000),
      onUnknown: fc.constantFrom("retry" as const, "fail" as const),
      notRetryable: fc.subarray([...InvocationErrorReason.literals], { maxLength: 3 })
    })
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(policy, fc.array(fc.tuple(anyResult, draw), { minLength: 1, maxLength: 40 }), (retry, steps) => {
        let task = running(retry)
        let now = t0
        for (const [result, random] of steps) {
          now += 25
          const settlement = settled(task, result, now, random)
          const next = TaskLifecycle.settle(task, me, { id: task.id, token: task.token, ...settlement })
          if (next === undefined) return expect.fail("not settled")
          expect(spentAttempts(next)).toBeLessThanOrEqual(retry.maxAttempts)
          const reason = typeof result === "string" ? result : result instanceof InvocationError ? result.reason : ""
          if (next.status === "Scheduled") {
            const least = result instanceof InvocationError ? result.retryAfter ?? 0 : 0
            // What costs no attempt is never tried again without a delay to draw from.
            const isFree = !isSpent(settlement.end.outcome)
            const longest = Math.min(
              isFree ? Math.max(retry.maxDelay, 60_000) : retry.maxDelay,
              (isFree ? Math.max(retry.baseDelay, 1_000) : retry.baseDelay) * 2 ** (task.attempts.length - 1)
            )
            expect(next.dueAt - now).toBeGreaterThanOrEqual(least)
            expect(next.dueAt - now).toBeLessThanOrEqual(Math.max(least, longest))
            expect(next.dueAt).toBeLessThanOrEqual(t0 + retry.maxAge)
            expect(neverRetried).not.toContain(reason)
            expect(retry.notRetryable).not.toContain(reason)
            const outcome = settlement.end.outcome
            if (outcome === "unknown") expect(retry.onUnknown).toBe("retry")
            if (isSpent(outcome)) expect(spentAttempts(next)).toBeLessThan(retry.maxAttempts)
            now = next.dueAt
            task = startedAt(next, now)
            continue
          }
          ends.add(next.status === "Failed" ? next.failure.reason === "Expired" ? "Expired" : "Failed" : next.status)
          return
        }
      }),
      { numRuns: 3_000, seed: 20_270_503 }
    )
    expect([...ends].sort()).toEqual(["Expired", "Failed", "Succeeded"])
  })
})

/** What holds for every policy, every outcome and every chance, on the pure functions. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as fc from "fast-check"
import { InvocationError, InvocationErrorReason } from "../../src/domain/Invocation.ts"
import type { RetryPolicy } from "../../src/domain/RetryPolicy.ts"
import { defaultRetryPolicy } from "../../src/domain/RetryPolicy.ts"
import type { RunningTask, ScheduledTask, Task } from "../../src/domain/Task.ts"
import { durationOf, expiresAt, isSpent, spentAttempts } from "../../src/domain/Task.ts"
import * as TaskLifecycle from "../../src/domain/TaskLifecycle.ts"
import type { AttemptResult } from "../../src/policies/retry.ts"
import { settleAttempt } from "../../src/policies/retry.ts"
import { anInstanceId, aTask, t0 } from "../support/builders.ts"

const me = anInstanceId()

const mapped = <A, B>(arbitrary: fc.Arbitrary<A>, change: (value: A) => B): fc.Arbitrary<B> => arbitrary.map(change)

const start = (task: ScheduledTask, now: number): RunningTask =>
  TaskLifecycle.start({ ...task, owner: me }, me, task.token, now) ?? expect.fail("not started")

const settle = (task: RunningTask, result: AttemptResult, now: number, random: number) => {
  const settlement = settleAttempt(task, result, { now, random, horizon: 60_000 })
  const next = TaskLifecycle.settle(task, me, { id: task.id, token: task.token, ...settlement })
  return { ...settlement, next: next ?? expect.fail("not settled") }
}

const failure = (reason: InvocationErrorReason, more: { retryAfter?: number; errorType?: string } = {}) =>
  new InvocationError({ reason, message: reason, ...more })

const answer = (text: string): AttemptResult => ({
  body: { text, encoding: "utf8" },
  requestId: undefined,
  executedVersion: undefined,
  logTail: undefined
})

/** A Task in its n-th attempt, those before it failed. */
const inAttempt = (n: number, retry: Partial<RetryPolicy>): RunningTask => {
  let task = start(aTask({ retry: { ...defaultRetryPolicy, maxAttempts: 100, ...retry } }), t0)
  while (task.attempts.length < n) {
    const { next } = settle(task, failure("FunctionError"), t0, 0)
    if (next.status !== "Scheduled") return expect.fail("it is tried again")
    task = start(next, t0)
  }
  return task
}

/** The greatest distance between a sample and the uniform distribution on [0, 1]. */
const distanceFromUniform = (sample: ReadonlyArray<number>): number => {
  const n = sample.length
  const sorted = [...sample].sort((left, right) => left - right)
  return Math.max(
    ...sorted.map((value, index) => Math.max(Math.abs(value - index / n), Math.abs(value - (index + 1) / n)))
  )
}

describe("full jitter is uniform (Kolmogorov-Smirnov, n = 10,000)", () => {
  const n = 10_000
  /** The critical value at 0.1 %. */
  const critical = 1.95 / Math.sqrt(n)
  // Long enough for whole milliseconds to be fine-grained.
  const long = { baseDelay: 100_000, maxDelay: 1e10, maxAge: 1e12 }
  const cases: ReadonlyArray<readonly [string, Partial<RetryPolicy>, number, InvocationErrorReason, number]> = [
    ["after the first failure", long, 1, "FunctionError", 100_000],
    ["after the second", long, 2, "FunctionError", 200_000],
    ["after the fifth", long, 5, "FunctionError", 1_600_000],
    ["where the cap is reached", { ...long, maxDelay: 700_000 }, 9, "ServiceError", 700_000],
    ["of a fixed delay", { ...long, backoff: "fixed", jitter: "full" }, 4, "FunctionError", 100_000],
    ["of a listed delay", { ...long, backoff: [5, 300_000], jitter: "full" }, 2, "NoAnswer", 300_000],
    ["of a throttled attempt, whatever the policy", { ...long, backoff: [5] }, 3, "Throttled", 100_000]
  ]
  for (const [what, retry, attempt, reason, range] of cases) {
    it.effect(what, () => {
      const seed = `full jitter ${what}`
      return Effect.map(Effect.replicateEffect(Random.next, n), (draws) => {
        const task = inAttempt(attempt, retry)
        const sample = draws.map((random) => {
          const { to } = settleAttempt(task, failure(reason), { now: t0, random, horizon: 0 })
          return to._tag === "Retry" ? (to.dueAt - t0) / range : expect.fail("it is tried again")
        })
        expect(distanceFromUniform(sample), `seed "${seed}"`).toBeLessThan(critical)
      }).pipe(Effect.withRandom(Random.make(seed)))
    })
  }

  it("the test can tell: neither half the range nor equal jitter passes", () => {
    const even = Array.from({ length: n }, (_, index) => (index + 0.5) / n)
    expect(distanceFromUniform(even)).toBeLessThan(critical)
    expect(distanceFromUniform(even.map((value) => value * 0.95))).toBeGreaterThan(critical)
    expect(distanceFromUniform(even.map((value) => 0.5 + value / 2))).toBeGreaterThan(critical)
  })
})

const duration = fc.oneof(fc.nat(5_000), fc.nat(1_000_000), fc.constantFrom(0, 1, 1e9, 3e12))
const positive = mapped(duration, (millis) => Math.max(1, millis))
const errorTypes = ["TypeError", "ValidationError", "Sandbox.Timedout"]

const anyPolicy: fc.Arbitrary<RetryPolicy> = fc.record(
  {
    maxAttempts: fc.integer({ min: 1, max: 6 }),
    baseDelay: duration,
    maxDelay: duration,
    maxAge: duration,
    onUnknown: fc.constantFrom("retry" as const, "fail" as const),
    notRetryable: fc.subarray([...InvocationErrorReason.literals], { maxLength: 3 }),
    backoff: fc.oneof(fc.constant("fixed" as const), fc.array(duration, { minLength: 1, maxLength: 8 })),
    jitter: fc.constantFrom("full" as const, "none" as const),
    notRetryableErrors: fc.subarray(errorTypes),
    maxWait: duration,
    deadline: positive,
    attemptTimeout: positive
  },
  { requiredKeys: ["maxAttempts", "baseDelay", "maxDelay", "maxAge", "onUnknown", "notRetryable"] }
)

const anyAnswer = fc.oneof(
  fc.json(),
  fc.string(),
  mapped(fc.json(), (json) => `{"$scheduler":${json}}`),
  mapped(
    fc.oneof(fc.integer(), fc.double(), fc.date({ noInvalidDate: true }), fc.string()),
    (at) => JSON.stringify({ $scheduler: { retryAt: at } })
  ),
  mapped(fc.oneof(fc.nat(1_000), fc.double()), (after) => JSON.stringify({ $scheduler: { retryAfter: after } })),
  mapped(fc.string(), (why) => JSON.stringify({ $scheduler: { giveUp: why } }))
)

const anyFailure = fc.tuple(
  fc.constantFrom(...InvocationErrorReason.literals),
  fc.option(fc.oneof(fc.nat(100_000), fc.double()), { nil: undefined }),
  fc.option(fc.constantFrom(...errorTypes, "Error"), { nil: undefined })
).map(([reason, retryAfter, errorType]) =>
  failure(reason, {
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(errorType === undefined ? {} : { errorType })
  })
)

const anyResult: fc.Arbitrary<AttemptResult> = fc.oneof(
  { weight: 3, arbitrary: mapped(anyAnswer, answer) },
  { weight: 2, arbitrary: fc.constantFrom("Interrupted" as const, "OwnerLost" as const) },
  { weight: 12, arbitrary: anyFailure }
)

const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const origin = fc.constantFrom(undefined, "schedule", "manual:1")

describe("settleAttempt", () => {
  it("decides about everything: a retry is never in the past, a fraction, or beyond what the policy allows", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(
        anyPolicy,
        anyResult,
        draw,
        fc.integer({ min: -10_000, max: 2_000_000 }),
        fc.integer({ min: 1, max: 6 }),
        origin,
        (retry, result, random, took, attempt, origin) => {
          const task = { ...inAttempt(attempt, {}), retry, origin, createdAt: t0 - 5 }
          const now = t0 + took
          const { end, to } = settleAttempt(task, result, { now, random, horizon: 60_000 })
          expect(end.at).toBe(now)
          seen.add(to._tag === "Failed" && to.failure.reason === "Expired" ? "Expired" : to._tag)
          if (to._tag === "Succeeded") {
            expect(end).toMatchObject({ outcome: "succeeded", error: undefined })
            return
          }
          expect(end.error?.message.length).toBeLessThanOrEqual(1_000)
          if (to._tag === "Failed") {
            expect(["Expired", end.error?.reason]).toContain(to.failure.reason)
            return
          }
          expect(Number.isSafeInteger(to.dueAt)).toBe(true)
          expect(to.dueAt).toBeGreaterThanOrEqual(now)
          expect(to.dueAt).toBeLessThan(expiresAt(task))
          expect(to.dueAt).toBeLessThanOrEqual(t0 + retry.maxAge)
          if (!isSpent(end.outcome)) expect(to.dueAt).toBeLessThanOrEqual(t0 + (retry.maxWait ?? Infinity))
          if (result instanceof InvocationError && result.retryAfter !== undefined && result.retryAfter >= 0) {
            expect(to.dueAt - now).toBeGreaterThanOrEqual(result.retryAfter)
          }
          expect(to.keep).toBe(to.dueAt - now <= 60_000)
        }
      ),
      { numRuns: 5_000, seed: 20_270_502 }
    )
    expect([...seen].sort()).toEqual(["Expired", "Failed", "Retry", "Succeeded"])
  })

  it("is monotone: later, or with more chance or Retry-After, a retry is no earlier, and what had ended stays so", () => {
    // What is not ready costs nothing for two minutes only: it is another outcome after that.
    const settledFailure = fc.constantFrom(
      ...InvocationErrorReason.literals.filter((reason) => reason !== "NotReady")
    )
    const step = fc.record({ random: draw, retryAfter: fc.nat(100_000), took: fc.nat(1_000_000) })
    fc.assert(
      fc.property(
        anyPolicy,
        settledFailure,
        step,
        step,
        fc.integer({ min: 1, max: 6 }),
        (retry, reason, a, b, attempt) => {
          const task = { ...inAttempt(attempt, {}), retry }
          const dueAt = ({ random, retryAfter, took }: typeof a): number => {
            const given = { now: t0 + took, random, horizon: 0 }
            const { to } = settleAttempt(task, failure(reason, { retryAfter }), given)
            return to._tag === "Retry" ? to.dueAt : Infinity
          }
          const greater = {
            random: Math.max(a.random, b.random),
            retryAfter: Math.max(a.retryAfter, b.retryAfter),
            took: Math.max(a.took, b.took)
          }
          for (const one of [a, b]) {
            expect(dueAt(one)).toBeLessThanOrEqual(dueAt(greater))
            for (const name of ["random", "retryAfter", "took"] as const) {
              expect(dueAt(one)).toBeLessThanOrEqual(dueAt({ ...one, [name]: greater[name] }))
            }
          }
        }
      ),
      { numRuns: 3_000 }
    )
  })
})

/** What each reason means, said once more: the outcomes that cost nothing, those that may have run, those that are final. */
const costsNothing = ["Throttled", "NotReady", "Unreachable", "TooLate", "MissingCredentials", "MissingRegion"]
const mayHaveRun = ["NoAnswer", "Interrupted", "OwnerLost"]
const final = ["AccessDenied", "NotFound", "PayloadTooLarge", "Rejected", "MissingRegion", "GaveUp"]

interface Step {
  readonly reason: string
  readonly errorType: string | undefined
  readonly result: AttemptResult
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ reason: "", errorType: undefined, result: answer("1") }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      { reason: "GaveUp", errorType: undefined, result: answer(`{"$scheduler":{"giveUp":"no"}}`) },
      { reason: "RetryRequested", errorType: undefined, result: answer(`{"$scheduler":{"retryAfter":0.01}}`) }
    )
  },
  {
    weight: 2,
    arbitrary: mapped(fc.constantFrom("Interrupted" as const, "OwnerLost" as const), (reason): Step => ({
      reason,
      errorType: undefined,
      result: reason
    }))
  },
  {
    weight: 10,
    arbitrary: mapped(anyFailure, (result): Step => ({
      reason: result.reason,
      errorType: result.errorType,
      result: failure(result.reason, result.errorType === undefined ? {} : { errorType: result.errorType })
    }))
  }
)

describe("dead letters", () => {
  it("are what is exhausted or not retryable, exactly; no Task spends more attempts than it may", () => {
    const ends = { Succeeded: 0, exhausted: 0, "not retryable": 0, "still alive": 0 }
    const unbounded = mapped(anyPolicy, (policy): RetryPolicy => {
      const { deadline: _, maxWait: __, ...rest } = policy
      return { ...rest, maxAge: 1e15 }
    })
    fc.assert(
      fc.property(unbounded, fc.array(fc.tuple(anyStep, draw), { minLength: 1, maxLength: 30 }), (retry, steps) => {
        let task: Task = aTask({ retry })
        let spent = 0
        let unready = 0
        let now = t0
        for (const [step, random] of steps) {
          const running = start(task, now)
          if (unready === 0) unready = now
          now += 7
          const { next } = settle(running, step.result, now, random)
          const isFree = costsNothing.includes(step.reason) && !(step.reason === "NotReady" && now - unready > 120_000)
          if (!isFree) spent++
          expect(spentAttempts(next)).toBe(spent)
          expect(spent).toBeLessThanOrEqual(retry.maxAttempts)
          expect(next.attempts.map(({ number }) => number)).toEqual(next.attempts.map((_, index) => index + 1))
          for (const attempt of next.attempts) expect(durationOf(attempt)).toBe(7)
          const isFinal = final.includes(step.reason) || retry.notRetryable.includes(step.reason) ||
            (retry.notRetryableErrors ?? []).includes(step.errorType ?? "-") ||
            (mayHaveRun.includes(step.reason) && retry.onUnknown === "fail")
          const expected = step.reason === ""
            ? "Succeeded"
            : isFinal || (!isFree && spent === retry.maxAttempts)
            ? "Failed"
            : "Scheduled"
          expect([step.reason, next.status]).toEqual([step.reason, expected])
          if (next.status === "Failed") expect(next.failure.reason).toBe(step.reason)
          if (next.status !== "Scheduled") {
            ends[next.status !== "Failed" ? "Succeeded" : isFinal ? "not retryable" : "exhausted"]++
            return
          }
          now = next.dueAt
          task = next
        }
        ends["still alive"]++
      }),
      { numRuns: 3_000 }
    )
    for (const [end, times] of Object.entries(ends)) expect([end, times > 20]).toEqual([end, true])
  })
})

describe("what a Task is measured by", () => {
  it("a deadline counts from the instant the rule names; by hand, at the earliest from when it was asked for", () => {
    const at = (origin: string | undefined, nominalAt: number, createdAt: number) =>
      expiresAt({ origin, nominalAt, createdAt, retry: { ...defaultRetryPolicy, deadline: 500 } })
    expect(at("schedule", 1_000, 5_000)).toBe(1_500)
    expect(at("schedule", 5_000, 1_000)).toBe(5_500)
    for (const origin of [undefined, "manual:1", "backfill:1"]) {
      expect(at(origin, 1_000, 5_000)).toBe(5_500)
      expect(at(origin, 5_000, 1_000)).toBe(5_500)
    }
    expect(expiresAt({ origin: undefined, nominalAt: 0, createdAt: 0, retry: defaultRetryPolicy })).toBe(Infinity)
  })

  it("an attempt that runs has no duration yet", () => {
    expect(durationOf({ number: 1, startedAt: 5, ended: undefined })).toBeUndefined()
  })
})

/** What Lambda answers on a bad day, and what becomes of the Task: F40 to F42, F46, F47, F49 to F51. */
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Effect } from "effect"
import { maxAnswerBytes } from "../../src/adapters/aws/answer.ts"
import type { FailedTask, RetryOptions, SucceededTask } from "../../src/index.ts"
import { LambdaFunction, OnFailed, spentAttempts } from "../../src/index.ts"
import type { Answer } from "../adapters/aws/support/endpoint.ts"
import { failure } from "../adapters/aws/support/endpoint.ts"
import { freshSchemaName } from "../support/postgres.ts"
import type { RigOptions } from "./rig.ts"
import { agreed, atOnce, ended, fasterBy, launch, outcomesOf, postgresIn, reasonsOf, until } from "./rig.ts"
import type { FunctionScript } from "./ScriptedEndpoint.ts"
import { inTurn, ok, scriptedEndpoint, threw, throttle } from "./ScriptedEndpoint.ts"

const job = LambdaFunction.existing("job")

/** One Task of one function, to its end. */
const run = (script: FunctionScript, retry: RetryOptions, options?: RigOptions) =>
  Effect.gen(function*() {
    const endpoint = yield* scriptedEndpoint({ job: script })
    const scheduler = yield* launch(endpoint, options)
    const { id } = yield* scheduler.schedule(job, { retry })
    const task = yield* ended(scheduler, id)
    yield* agreed(scheduler, endpoint)
    return { endpoint, scheduler, task }
  })

describe("F40: 429", () => {
  it.scopedLive("F40: costs no attempt, and waits as long as it is told to", () =>
    Effect.gen(function*() {
      const { endpoint, task } = yield* run(
        inTurn(
          throttle("ReservedFunctionConcurrentInvocationLimitExceeded"),
          throttle("CallerRateLimitExceeded", { "retry-after": "30" }),
          failure(400, "ThrottlingException", "Slow down"),
          ok("1")
        ),
        { ...atOnce, maxAttempts: 1 },
        { clock: fasterBy(50) }
      )
      expect([task.status, outcomesOf(task)]).toEqual(["Succeeded", [
        "throttled",
        "throttled",
        "throttled",
        "succeeded"
      ]])
      const [, second, third] = endpoint.log
      expect((third?.at ?? 0) - (second?.at ?? 0)).toBeGreaterThanOrEqual(30_000 / 50 - 5)
    }))

  it.scopedLive("F40: for as long as the policy says, and no longer", () =>
    Effect.gen(function*() {
      const { endpoint, task } = yield* run(
        inTurn(throttle("CallerRateLimitExceeded")),
        { ...atOnce, maxAttempts: 1, maxWait: "20 seconds" },
        { clock: fasterBy(50) }
      )
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "Expired" } })
      expect(spentAttempts(task)).toBe(0)
      expect(new Set(outcomesOf(task))).toEqual(new Set(["throttled"]))
      // Some and not a storm: delays double from a second.
      expect(endpoint.log.length).toBeGreaterThanOrEqual(2)
      expect(endpoint.log.length).toBeLessThan(40)
    }))
})

describe("F41: troubles of the service", () => {
  it.scopedLive.each<[what: string, answer: Answer]>([
    ["500", failure(500, "ServiceException", "Oops")],
    ["502", failure(502, "InvalidRuntimeException", "Oops")],
    ["503", { status: 503 }],
    ["504", { status: 504, body: "<html>Gateway Timeout</html>" }],
    ["EC2 throttled", failure(502, "EC2ThrottledException", "Oops")],
    ["no network interface left", failure(502, "ENILimitReachedException", "Oops")],
    ["SnapStart", failure(400, "SnapStartException", "Oops")],
    ["SnapStart timeout", failure(408, "SnapStartTimeoutException", "Oops")]
  ])("F41: %s costs an attempt and is tried again", ([, answer]) =>
    Effect.gen(function*() {
      const { task } = yield* run(inTurn(answer, ok("1")), { ...atOnce, maxAttempts: 2 })
      expect([task.status, outcomesOf(task), reasonsOf(task)[0]]).toEqual([
        "Succeeded",
        ["failed", "succeeded"],
        "ServiceError"
      ])
    }))

  it.scopedLive("F41: as often as there are attempts", () =>
    Effect.gen(function*() {
      const { endpoint, task } = yield* run(inTurn(failure(500, "ServiceException", "Oops")), {
        ...atOnce,
        maxAttempts: 3
      })
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "ServiceError" } })
      expect(endpoint.log.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
    }))
})

describe("F42: a function that fails", () => {
  it.scopedLive.each<["Handled" | "Unhandled"]>([["Handled"], ["Unhandled"]])(
    "F42: is tried again as the policy says: %s",
    ([kind]) =>
      Effect.gen(function*() {
        const { task } = yield* run(inTurn(threw("TypeError", kind), ok("1")), { ...atOnce, maxAttempts: 2 })
        expect([task.status, outcomesOf(task)]).toEqual(["Succeeded", ["failed", "succeeded"]])
        expect(task.attempts[0]?.ended?.error).toMatchObject({
          reason: "FunctionError",
          errorType: "TypeError",
          message: "as told"
        })
      })
  )

  it.scopedLive("F42: and not where the policy says so", () =>
    Effect.gen(function*() {
      const { endpoint, task } = yield* run(inTurn(threw("Hopeless"), ok("1")), {
        ...atOnce,
        maxAttempts: 5,
        notRetryableErrors: ["Hopeless"]
      })
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "FunctionError" } })
      expect(endpoint.log.length).toBe(1)
    }))
})

describe("F46: odd bodies", () => {
  const stores = { memory: undefined, PostgreSQL: () => postgresIn(freshSchemaName()) }
  const bodies: ReadonlyArray<readonly [what: string, body: string | Uint8Array, result: object]> = [
    ["HTML", "<html>hello</html>", { text: "<html>hello</html>", encoding: "utf8" }],
    ["nothing", "", { text: "", encoding: "utf8" }],
    ["10 MB", "€".repeat(3_500_000), {
      text: "€".repeat(Math.floor(maxAnswerBytes / 3)),
      encoding: "utf8",
      truncated: true
    }],
    ["bytes that are not UTF-8", new Uint8Array([0xff, 0xfe]), { text: "//4=", encoding: "base64" }]
  ]
  for (const [name, store] of Object.entries(stores)) {
    for (const [what, body, result] of bodies) {
      it.scopedLive(`F46: are a success and kept as they are: ${what} (${name})`, () =>
        Effect.gen(function*() {
          const { endpoint, scheduler, task } = yield* run(inTurn(ok(body)), atOnce, { store: store?.() })
          expect(task.status).toBe("Succeeded")
          const kept = (task as SucceededTask).result
          // Not by the whole text: a difference would take minutes to print.
          expect(JSON.stringify(kept) === JSON.stringify(result), JSON.stringify(kept).slice(0, 200)).toBe(true)
          expect(endpoint.log.length).toBe(1)
          const result_ = yield* Effect.either(scheduler.awaitResult(task.id))
          if (body === "") expect(result_).toMatchObject({ _tag: "Right", right: undefined })
          else expect(result_).toMatchObject({ _tag: "Left", left: { _tag: "ResultInvalid" } })
        }))
    }
  }
})

describe("F47: a 500 whose body is not Lambda's", () => {
  it.scopedLive.each<[string, string]>([["HTML", "<html>"], ["nothing", ""], ["half of JSON", "{\"Mess"]])(
    "F47: is what its status says: %s",
    ([, body]) =>
      Effect.gen(function*() {
        const { task } = yield* run(inTurn({ status: 500, body }, ok("1")), { ...atOnce, maxAttempts: 2 })
        expect([outcomesOf(task), reasonsOf(task)[0]]).toEqual([["failed", "succeeded"], "ServiceError"])
      })
  )
})

describe("F49: a function that is not ready", () => {
  it.scopedLive.each<[what: string, answer: Answer]>([
    ["being updated", failure(409, "ResourceConflictException", "An update is in progress")],
    ["inactive", failure(502, "ResourceNotReadyException", "The function is inactive")]
  ])("F49: costs nothing while it may become so: %s", ([, answer]) =>
    Effect.gen(function*() {
      const { task } = yield* run(inTurn(answer, answer, ok("1")), { ...atOnce, maxAttempts: 1 }, {
        clock: fasterBy(50)
      })
      expect([task.status, outcomesOf(task)]).toEqual(["Succeeded", ["notReady", "notReady", "succeeded"]])
    }))

  it.scopedLive("F49: after two minutes it costs as any other", () =>
    Effect.gen(function*() {
      const { task } = yield* run(
        inTurn(failure(409, "ResourceConflictException", "An update is in progress")),
        { ...atOnce, maxAttempts: 2 },
        { clock: fasterBy(200) }
      )
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "NotReady" } })
      expect(spentAttempts(task)).toBe(2)
      const begun = task.attempts[0]?.startedAt ?? 0
      for (const { ended } of task.attempts) {
        // By this clock five milliseconds are a second, after which a start mark is not acted on.
        if (ended?.outcome === "notSent") continue
        expect(ended?.outcome).toBe((ended?.at ?? 0) - begun > 120_000 ? "failed" : "notReady")
      }
    }))
})

describe("F50: refused credentials", () => {
  it.scopedLive("F50: no right to invoke is a dead letter at once, and somebody is told", () =>
    Effect.gen(function*() {
      const told: Array<FailedTask> = []
      const { endpoint, scheduler, task } = yield* run(
        inTurn(failure(403, "AccessDeniedException", "Not authorized")),
        { ...atOnce, maxAttempts: 5 },
        { with: OnFailed.layer((failed) => Effect.sync(() => told.push(failed))) }
      )
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "AccessDenied" } })
      expect(endpoint.log.length).toBe(1)
      expect((yield* scheduler.deadLetters.list()).items.map(({ id }) => id)).toEqual([task.id])
      yield* until("somebody is told", Effect.sync(() => told.length), (calls) => calls > 0)
      expect(told.map(({ id }) => id)).toEqual([task.id])
    }))

  it.scopedLive.each<[string]>([
    ["ExpiredTokenException"],
    ["UnrecognizedClientException"],
    ["InvalidSignatureException"]
  ])(
    "F50: keys that are refused are fetched anew, once, and it is tried again: %s",
    ([type]) =>
      Effect.gen(function*() {
        let fetched = 0
        const { endpoint, task } = yield* run(
          ({ asked: { headers } }) =>
            headers.authorization?.includes("Credential=AKIA1/") === true ? failure(403, type, "Refused") : ok("1"),
          { ...atOnce, maxAttempts: 2 },
          {
            aws: {
              credentials: () =>
                Promise.resolve({
                  accessKeyId: `AKIA${++fetched}`,
                  secretAccessKey: "s",
                  expiration: DateTime.toDateUtc(DateTime.unsafeMake("2099-01-01T00:00:00Z"))
                })
            }
          }
        )
        expect([outcomesOf(task), reasonsOf(task)[0]]).toEqual([["failed", "succeeded"], "CredentialsRejected"])
        expect([fetched, endpoint.log.length]).toEqual([2, 2])
      })
  )
})

describe("F51: a request that is at fault itself", () => {
  it.scopedLive.each<[status: number, type: string, reason: string]>([
    [413, "RequestTooLargeException", "PayloadTooLarge"],
    [400, "InvalidRequestContentException", "Rejected"],
    [415, "UnsupportedMediaTypeException", "Rejected"]
  ])("F51: is sent once: %s %s", ([status, type, reason]) =>
    Effect.gen(function*() {
      const { endpoint, task } = yield* run(inTurn(failure(status, type, "No")), { ...atOnce, maxAttempts: 5 })
      expect(task).toMatchObject({ status: "Failed", failure: { reason } })
      expect(endpoint.log.length).toBe(1)
    }))
})

import { describe, expect, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { isAwaited, makeJustCreated } from "../../../src/adapters/aws/JustCreated.ts"
import { InvocationError } from "../../../src/domain/Invocation.ts"
import type { FunctionTarget } from "../../../src/domain/Task.ts"
import { aTarget } from "../../support/builders.ts"

const notFound = new InvocationError({
  reason: "NotFound",
  message: "ResourceNotFoundException: Function not found",
  requestId: "request-1"
})

const second = 1_000
const minute = 60_000

describe("isAwaited", () => {
  it.each<[what: string, missedAt: number | undefined, now: number, awaited: boolean]>([
    ["at once", undefined, 0, true],
    ["missed for the first time, just before five minutes", undefined, 5 * minute - 1, true],
    ["missed for the first time after five minutes", undefined, 5 * minute, false],
    ["missed again within a minute", minute, 2 * minute - 1, true],
    ["missed again after a minute", minute, 2 * minute, false],
    ["missed again within a minute, but after five", 5 * minute - 1, 5 * minute, false]
  ])("%s", (_, missedAt, now, awaited) => {
    expect(isAwaited({ createdAt: 0, missedAt }, now)).toBe(awaited)
  })
})

describe("a function that is not found", () => {
  const judged = (target: FunctionTarget, error = notFound) =>
    Effect.gen(function*() {
      const justCreated = makeJustCreated()
      yield* justCreated.note("hello")
      return yield* justCreated.judge(target, error)
    })

  it.effect("and was created here a moment ago is not ready: its request is known, and when to look again", () =>
    Effect.gen(function*() {
      expect(yield* judged(aTarget())).toMatchObject({
        reason: "NotReady",
        outcome: "notReady",
        message: "ResourceNotFoundException: Function not found (it was created a moment ago)",
        requestId: "request-1",
        retryAfter: 20 * second
      })
    }))

  it.effect.each<[what: string, target: FunctionTarget]>([
    ["another function", aTarget("other")],
    ["one of another account", { ...aTarget(), arn: "arn:aws:lambda:eu-north-1:999999999999:function:hello" }],
    ["an alias", { ...aTarget(), qualifier: "live" }]
  ])("stays so: %s", ([, target]) =>
    Effect.gen(function*() {
      expect(yield* judged(target)).toBe(notFound)
    }))

  it.effect("nothing else is made of other failures", () =>
    Effect.gen(function*() {
      const denied = new InvocationError({ reason: "AccessDenied", message: "no" })
      expect(yield* judged(aTarget(), denied)).toBe(denied)
    }))

  it.effect("is waited for a minute from the first time on, whichever Task it is", () =>
    Effect.gen(function*() {
      const justCreated = makeJustCreated()
      const reason = Effect.map(justCreated.judge(aTarget(), notFound), (error) => error.reason)
      yield* justCreated.note("hello")
      yield* TestClock.adjust("2 minutes")
      expect(yield* reason).toBe("NotReady")
      yield* TestClock.adjust("59 seconds")
      expect(yield* reason).toBe("NotReady")
      yield* TestClock.adjust("1 second")
      expect(yield* reason).toBe("NotFound")
      // Made anew, it has its time again.
      yield* justCreated.note("hello")
      expect(yield* reason).toBe("NotReady")
    }))

  it.effect("is not waited for once it was removed, nor after five minutes, though others were created since", () =>
    Effect.gen(function*() {
      const justCreated = makeJustCreated()
      const reasonOf = (name: string) => Effect.map(justCreated.judge(aTarget(name), notFound), (error) => error.reason)
      yield* Effect.forEach(["removed", "old"], justCreated.note)
      yield* justCreated.forget("removed")
      expect(yield* reasonOf("removed")).toBe("NotFound")
      yield* TestClock.adjust("4 minutes")
      yield* justCreated.note("young")
      yield* TestClock.adjust("1 minute")
      yield* justCreated.note("youngest")
      expect(yield* Effect.forEach(["old", "young", "youngest"], reasonOf)).toEqual([
        "NotFound",
        "NotReady",
        "NotReady"
      ])
    }))
})

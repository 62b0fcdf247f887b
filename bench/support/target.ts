/** Tasks that are due at once, and the target that they all call: the one that the other schedulers have, too. */
import { Clock, Effect } from "effect"
import { InvocationError, LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import type { EpochMillis, Millis } from "effect-lambda-scheduler"
import type { Refusal, Target } from "../peers/target.mjs"
import { called } from "../peers/target.mjs"
import { insist } from "./Bench.ts"
import { answer, lambdaThat, noop, payloadOf } from "./workload.ts"

const errorOf = (refused: Refusal): InvocationError =>
  refused === "down"
    ? new InvocationError({ reason: "ServiceError", message: "HTTP 503" })
    : new InvocationError({ reason: "Throttled", message: "HTTP 429", throttle: refused, accountWide: false })

/** @param runs milliseconds that a call runs which is not refused */
export const targetLambda = (target: Target, runs: Millis) =>
  lambdaThat(() =>
    Effect.suspend(() => {
      const refused = target.begin()
      return refused === undefined
        ? Effect.as(Effect.ensuring(Effect.sleep(runs), Effect.sync(target.end)), answer)
        : Effect.fail(errorOf(refused))
    })
  )

const patience: Millis = 3_600_000

/** Schedules Tasks for an instant and waits until all have ended. Answers how many have failed. */
export const callAt = (target: Target, from: EpochMillis, look: Millis) =>
  Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    yield* scheduler.scheduleAll(
      noop,
      Array.from({ length: called }, (_, n) => ({ payload: payloadOf(n), trigger: Trigger.at(from) }))
    )
    yield* insist((yield* Clock.currentTimeMillis) < from, "the Tasks were due before all were scheduled")
    let failed = 0
    while (target.ended() + failed < called) {
      yield* insist(
        (yield* Clock.currentTimeMillis) < from + patience,
        `${target.ended()} Tasks have ended, of ${called}`
      )
      yield* Effect.sleep(look)
      failed = yield* scheduler.deadLetters.count()
    }
    return failed
  })

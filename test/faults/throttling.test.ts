/** A target that takes so many at once and no more (F40): the scheduler learns how many, and keeps to it. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { LambdaFunction, spentAttempts } from "../../src/index.ts"
import { agreed, launch, until } from "./rig.ts"
import type { FunctionScript } from "./ScriptedEndpoint.ts"
import { now, ok, scriptedEndpoint, throttle } from "./ScriptedEndpoint.ts"

const job = LambdaFunction.existing("job")
const other = LambdaFunction.existing("other")

/** Takes 50 milliseconds, and no more than so many at once. */
const limited = (most: number, reason: string): FunctionScript => {
  let running = 0
  return () => {
    if (running >= most) return throttle(reason)
    running++
    return { answer: ok(), after: 50, onAnswer: () => running-- }
  }
}

const retry = { maxAttempts: 1, maxWait: "1 hour" } as const

const ofFunction = "ReservedFunctionConcurrentInvocationLimitExceeded"
const ofAccount = "ConcurrentInvocationLimitExceeded"

const isThrottled = ({ answered }: { readonly answered: unknown }): boolean =>
  typeof answered === "object" && (answered as { readonly status: number }).status === 429

describe("F40: a function that is throttled", () => {
  it.scopedLive("F40: is called less: once the limit is known few calls are in vain, and no attempt is spent on them", () =>
    Effect.gen(function*() {
      const count = 200
      const endpoint = yield* scriptedEndpoint({ job: limited(5, ofFunction) })
      const scheduler = yield* launch(endpoint, { settings: { concurrency: 50 } })
      yield* scheduler.scheduleAll(job, Array.from({ length: count }, () => ({ retry })))
      // Two seconds at the limit.
      yield* Effect.delay(scheduler.list({ status: ["Scheduled", "Running"] }, { limit: 1 }), "50 millis").pipe(
        Effect.repeat({ until: ({ items }) => items.length === 0 }),
        Effect.timeout("25 seconds")
      )
      const tasks = yield* agreed(scheduler, endpoint)
      expect(tasks.filter((task) => task.status !== "Succeeded" || spentAttempts(task) !== 1)).toEqual([])
      const log = endpoint.of("job")
      expect(log.filter(isThrottled).length).toBeGreaterThan(0)
      // Of all calls: 50 begin at once, before anything is known.
      expect(log.filter(isThrottled).length).toBeLessThan(count)
      const later = log.slice(Math.floor(log.length / 2))
      expect(later.length / later.filter((arrival) => !isThrottled(arrival)).length).toBeLessThan(1.5)
    }))

  it.scopedLive("F40: is not called before the instant that it asked for", () =>
    Effect.gen(function*() {
      let isFirst = true
      const endpoint = yield* scriptedEndpoint({
        job: () => {
          const answer = isFirst ? throttle(ofFunction, { "retry-after": "1" }) : ok()
          isFirst = false
          return answer
        }
      })
      const scheduler = yield* launch(endpoint, { settings: { concurrency: 5 } })
      yield* scheduler.schedule(job, { retry })
      yield* until("it has been throttled", scheduler.list(), ({ items: [task] }) =>
        task?.attempts[0]?.ended !== undefined)
      const throttledAt = endpoint.log[0]?.at ?? 0
      // New ones wait as well, not only the one that was told.
      yield* scheduler.scheduleAll(job, Array.from({ length: 20 }, () => ({ retry })))
      const others = yield* scheduler.schedule(other, { retry })
      yield* scheduler.awaitResult(others.id)
      yield* until("all have run", scheduler.list({ status: ["Succeeded"] }), ({ items }) =>
        items.length === 22)
      const [, second] = endpoint.of("job")
      expect((second?.at ?? 0) - throttledAt).toBeGreaterThanOrEqual(950)
      // Another function did not have to wait for it.
      expect(endpoint.of("other")[0]?.at ?? Infinity).toBeLessThan(second?.at ?? 0)
      yield* agreed(scheduler, endpoint)
    }))

  it.scopedLive("F40: does not slow another one, unless the limit is the account's", () =>
    Effect.gen(function*() {
      for (const reason of [ofFunction, ofAccount]) {
        const endpoint = yield* scriptedEndpoint({
          job: () => throttle(reason, { "retry-after": "2" })
        })
        const scheduler = yield* launch(endpoint, { settings: { concurrency: 20 } })
        yield* scheduler.scheduleAll(job, Array.from({ length: 10 }, () => ({ retry })))
        yield* until("they have been throttled", Effect.sync(() => endpoint.of("job").length), (calls) => calls > 0)
        yield* Effect.sleep("100 millis")
        const asked = now()
        const { id } = yield* scheduler.schedule(other, { retry })
        yield* scheduler.awaitResult(id)
        const waited = (endpoint.of("other")[0]?.at ?? Infinity) - asked
        if (reason === ofFunction) expect(waited).toBeLessThan(1_000)
        else expect(waited).toBeGreaterThan(1_000)
      }
    }))
})

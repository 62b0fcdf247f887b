/** The delays of an Effect `Schedule`, taken in advance: what is stored is data, which every instance can read. */
import { Cause, Effect, Either, Exit, Runtime, Schedule, ScheduleDecision, ScheduleIntervals } from "effect"
import type { Random } from "effect"
import { InvalidInput } from "./Errors.ts"
import type { Millis } from "./Time.ts"
import { longestDuration, shown } from "./Time.ts"

/** Of 100 attempts, the most there can be. */
export const mostDelays = 99

interface Unrolled {
  readonly delays: ReadonlyArray<number>
  /** Whether the Schedule ends with them. */
  readonly ends: boolean
}

const field = "retry.schedule"

const refuse = (message: string): Either.Either<never, InvalidInput> =>
  Either.left(new InvalidInput({ reason: "RetryInvalid", field, message: `${field}: ${message}` }))

/** The Schedule's steps one after the other, on a clock of their own that begins at 0 and goes on by each delay. */
const take = (schedule: Schedule.Schedule<unknown, unknown>, most: number): Effect.Effect<Unrolled> =>
  Effect.gen(function*() {
    let state: unknown = schedule.initial
    let now = 0
    const delays: Array<number> = []
    // One more than wanted tells whether it ends.
    while (delays.length <= most) {
      const step: readonly [unknown, unknown, ScheduleDecision.ScheduleDecision] = yield* schedule.step(
        now,
        undefined,
        state
      )
      const [next, , decision] = step
      if (ScheduleDecision.isDone(decision)) return { delays, ends: true }
      state = next
      const delay = Math.max(0, ScheduleIntervals.start(decision.intervals) - now)
      delays.push(delay)
      now += delay
    }
    return { delays: delays.slice(0, most), ends: false }
  })

const brokenBy = (cause: Cause.Cause<never>): string => {
  const defect = Cause.squash(cause)
  if (Runtime.isAsyncFiberException(defect)) return "it waits for something"
  return defect instanceof Error ? defect.message.slice(0, 100) : shown(defect)
}

/**
 * Unrolls a Schedule that answers at once: its steps are run without waiting, as if each attempt took no time. What it
 * would make of its input or of the time of day means nothing here.
 *
 * @param counted how many delays at the most; `undefined`: as many as it has, if it ends within 99, else `usual`
 * @param random what its jitter is drawn from
 * @returns whole milliseconds, or `InvalidInput` with reason `RetryInvalid`: it is no Schedule, it fails or waits, or has a
 * delay that is longer than 100 years
 *
 * @example
 * unrollSchedule(Schedule.intersect(Schedule.exponential(100), Schedule.recurs(3)), undefined, 2, random)
 * // Either.right([100, 200, 400])
 */
export const unrollSchedule = (
  schedule: Schedule.Schedule<unknown, unknown>,
  counted: number | undefined,
  usual: number,
  random: Random.Random
): Either.Either<ReadonlyArray<Millis>, InvalidInput> => {
  if (!Schedule.isSchedule(schedule)) return refuse(`expected an Effect Schedule, got ${shown(schedule)}`)
  const exit = Effect.runSyncExit(Effect.withRandom(take(schedule, counted ?? mostDelays), random))
  if (Exit.isFailure(exit)) {
    return refuse(`expected a Schedule that needs nothing and answers at once, but ${brokenBy(exit.cause)}`)
  }
  const { delays, ends } = exit.value
  const kept = ends ? delays : delays.slice(0, counted ?? usual)
  const wrong = kept.find((delay) => !(delay <= longestDuration))
  return wrong === undefined
    ? Either.right(kept.map(Math.ceil))
    : refuse(`expected delays of at most 100 years, got ${wrong} ms`)
}

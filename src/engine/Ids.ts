/** Makes identifiers: UUIDs of version 7 from the engine's Clock and Random, increasing within one process. */
import { Effect } from "effect"
import type { Clock } from "effect"
import { uuid7 } from "../domain/Ids.ts"

/** Ids within one millisecond before time is borrowed from the next. */
const perMillisecond = 4_096

/**
 * A generator of ids. Random bits are drawn anew for every millisecond; a counter tells the ids within one apart.
 *
 * @example
 * const ids = yield* makeIds(yield* Effect.clock)
 * const id = (yield* ids.next) as TaskId
 */
export const makeIds = (clock: Clock.Clock): Effect.Effect<{ readonly next: Effect.Effect<string> }> =>
  Effect.map(Effect.random, (random) => {
    let millis = -1
    let counter = 0
    let high = 0
    let low = 0
    const draw = random.nextIntBetween(0, 0x100000000)
    const reseed = Effect.zipWith(draw, draw, (first, second) => {
      high = first
      low = second
      return uuid7(millis, counter, high, low)
    })
    const next = Effect.suspend(() => {
      // Never back: a clock that steps back must not make ids that sort before older ones.
      const now = Math.max(clock.unsafeCurrentTimeMillis(), 0)
      if (now > millis || counter + 1 === perMillisecond) {
        millis = Math.max(now, millis + (now > millis ? 0 : 1))
        counter = 0
        return reseed
      }
      counter++
      return Effect.succeed(uuid7(millis, counter, high, low))
    })
    return { next }
  })

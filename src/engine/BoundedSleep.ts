/** A Clock whose sleeps come in pieces. */
import { Clock, Duration, Effect } from "effect"
import type { Millis } from "../domain/Time.ts"

/**
 * The same clock, but no single sleep is longer than `longest`, and no sleep ends early: after each piece the time is
 * compared. So a sleep beyond 24.8 days ends at all (`setTimeout` cannot hold it), and a stepped wall clock is noticed
 * within one piece.
 *
 * @param longest milliseconds
 *
 * @example
 * Effect.sleep("30 days").pipe(Effect.withClock(boundedSleep(yield* Effect.clock, 600_000)))
 */
export const boundedSleep = (clock: Clock.Clock, longest: Millis): Clock.Clock => {
  const sleepUntil = (at: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const left = at - clock.unsafeCurrentTimeMillis()
      return left <= 0
        ? Effect.void
        : Effect.zipRight(clock.sleep(Duration.millis(Math.min(left, longest))), sleepUntil(at))
    })
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanos: clock.currentTimeNanos,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
    sleep: (duration) => Effect.suspend(() => sleepUntil(clock.unsafeCurrentTimeMillis() + Duration.toMillis(duration)))
  }
}

/**
 * The time of the store, for all instances that share it: what is due is judged by one clock, wherever the clock of this
 * machine stands and however it is set. Between two heartbeats it goes on by the monotonic clock.
 */
import { Clock, Effect } from "effect"
import type { Millis } from "../domain/Time.ts"
import { monotonic } from "../domain/Time.ts"

export interface StoreClock {
  readonly clock: Clock.Clock
  /**
   * Learns from an answer of the store.
   *
   * @param storeNow the store's clock at some instant between the call and its answer, epoch milliseconds
   * @param sentAt monotonic milliseconds of the call
   * @param receivedAt monotonic milliseconds of its answer
   */
  readonly learn: (storeNow: number, sentAt: number, receivedAt: number) => void
}

/** A clock that starts as this machine's and then follows the store's. It is never ahead of the store: nothing is early. */
export const makeStoreClock = (base: Clock.Clock): StoreClock => {
  let hasLearned = false
  let offset: Millis = base.unsafeCurrentTimeMillis() - monotonic(base)
  const now = () => Math.floor(monotonic(base) + offset)
  return {
    clock: {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      currentTimeMillis: Effect.sync(now),
      currentTimeNanos: base.currentTimeNanos,
      unsafeCurrentTimeMillis: now,
      unsafeCurrentTimeNanos: () => base.unsafeCurrentTimeNanos(),
      sleep: (duration) => base.sleep(duration)
    },
    learn: (storeNow, sentAt, receivedAt) => {
      const least = storeNow - receivedAt
      const most = storeNow - sentAt
      // As long as what is known fits the answer it is kept: a slow answer says less than a quick one did.
      if (!hasLearned || offset < least || offset > most) offset = least
      hasLearned = true
    }
  }
}

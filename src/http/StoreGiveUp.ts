/** A server whose store stays away gives up: whoever supervises it starts it again, or tells somebody. */
import { Clock, Effect, Either } from "effect"
import type { Millis } from "../domain/Time.ts"
import { LambdaScheduler } from "../engine/LambdaScheduler.ts"
import { ServerError } from "./ServerError.ts"

/** EX_UNAVAILABLE of sysexits.h: a service that is needed is not there. */
export const storeGivenUpCode = 69

const look: Millis = 5_000

/**
 * Fails once the scheduler has not been ready for so long.
 *
 * @param giveUpAfter milliseconds
 */
export const giveUpStore = (giveUpAfter: Millis): Effect.Effect<never, ServerError, LambdaScheduler> =>
  Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    let since: number | undefined
    for (;;) {
      const ready = yield* Effect.either(scheduler.ready)
      const now = yield* Clock.currentTimeMillis
      if (Either.isRight(ready)) since = undefined
      else {
        since ??= now
        if (now - since >= giveUpAfter) {
          return yield* new ServerError({
            reason: "StoreGivenUp",
            message: `The store has been away for ${Math.round((now - since) / 1_000)} seconds (STORE_GIVE_UP): ` +
              ready.left.message
          })
        }
      }
      yield* Effect.sleep(Math.min(look, Math.max(100, giveUpAfter / 4)))
    }
  })

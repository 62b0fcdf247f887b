/** Watches what becomes of the work of instances that have ended. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { now } from "./chanceAndTime.ts"
import type { Observer } from "./Observer.ts"
import type { Ending, Stall, Takeovers } from "./verify.ts"

export interface TakeoverWatch {
  /** An instance has ended, or stands still, since this instant, and held these one-shots. */
  readonly noteEnd: (
    instances: ReadonlyArray<string>,
    endedAt: number,
    held: Ending["held"]
  ) => Effect.Effect<void>
  readonly seen: Effect.Effect<Takeovers>
}

/** Milliseconds between two looks at the store. */
const interval = 50

/** What the machine needs for a look when it has nothing else to do. */
const lookWithin = 50

export const watchTakeovers = (observer: Observer): Effect.Effect<TakeoverWatch, never, Scope.Scope> =>
  Effect.gen(function*() {
    let endings: Array<Ending> = []
    const stalls: Array<Stall> = []
    let lookedAt = now()

    const look = Effect.gen(function*() {
      // What is seen was so at some instant in between; the two bounds are taken from the sides that prove something.
      const asked = now()
      const owners = yield* observer.owners
      const answered = now()
      const millis = answered - lookedAt - interval - lookWithin
      if (millis > 0) stalls.push({ at: answered, millis })
      lookedAt = answered
      endings = endings.map((ending) =>
        ending.freedAt !== undefined || asked < ending.endedAt
          ? ending
          : ending.instances.some((instance) => owners.has(instance))
          ? { ...ending, lastHeldAt: asked }
          : { ...ending, freedAt: answered }
      )
    })
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(look, Effect.sleep(interval))))

    return {
      noteEnd: (instances, endedAt, held) =>
        Effect.sync(() => {
          endings.push({ instances, endedAt, held, lastHeldAt: undefined, freedAt: undefined })
        }),
      seen: Effect.sync(() => ({ endings, stalls }))
    }
  })

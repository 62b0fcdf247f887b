/** Watches what becomes of the work of instances that have ended. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { now } from "./chanceAndTime.ts"
import type { Observer } from "./Observer.ts"
import type { Ending } from "./verify.ts"

export interface Takeovers {
  /** An instance has ended, or stands still, since this instant; `claimed`: one-shots it had not started. */
  readonly noteEnd: (
    instances: ReadonlyArray<string>,
    endedAt: number,
    claimed: Ending["claimed"]
  ) => Effect.Effect<void>
  readonly endings: Effect.Effect<ReadonlyArray<Ending>>
}

/** Milliseconds between two looks at the store. */
const interval = 50

/** What the machine needs for a look when it has nothing else to do. */
const lookWithin = 50

export const watchTakeovers = (observer: Observer): Effect.Effect<Takeovers, never, Scope.Scope> =>
  Effect.gen(function*() {
    let endings: Array<Ending> = []
    let lookedAt = now()

    const look = Effect.gen(function*() {
      // What is seen was so at some instant in between; the two bounds are taken from the sides that prove something.
      const asked = now()
      const owners = yield* observer.owners
      const answered = now()
      const heldUp = Math.max(0, answered - lookedAt - interval - lookWithin)
      lookedAt = answered
      endings = endings.map((ending) =>
        ending.freedAt !== undefined || asked < ending.endedAt
          ? ending
          : ending.instances.some((instance) => owners.has(instance))
          ? { ...ending, lastHeldAt: asked, heldUp: ending.heldUp + heldUp }
          : { ...ending, freedAt: answered, heldUp: ending.heldUp + heldUp }
      )
    })
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(look, Effect.sleep(interval))))

    return {
      noteEnd: (instances, endedAt, claimed) =>
        Effect.sync(() => {
          endings.push({ instances, endedAt, claimed, lastHeldAt: undefined, freedAt: undefined, heldUp: 0 })
        }),
      endings: Effect.sync(() => endings)
    }
  })

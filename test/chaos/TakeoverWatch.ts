/** Watches what becomes of the work of instances that have ended. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { now } from "./chanceAndTime.ts"
import type { Observer } from "./Observer.ts"
import type { Ending, Takeovers } from "./verify.ts"

export interface TakeoverWatch {
  /** An instance has ended, or stands still, since this instant, and held these one-shots. */
  readonly noteEnd: (ending: Pick<Ending, "worker" | "instances" | "endedAt" | "held">) => Effect.Effect<void>
  readonly seen: Effect.Effect<Takeovers>
}

/** @param lease milliseconds */
export const watchTakeovers = (observer: Observer, lease: number): Effect.Effect<TakeoverWatch, never, Scope.Scope> =>
  Effect.gen(function*() {
    let endings: Array<Ending> = []
    const heartbeats = new Map<string, Array<number>>()

    const look = Effect.gen(function*() {
      // What is seen was so at some instant in between; the two bounds are taken from the sides that prove something.
      const asked = now()
      const instances = yield* observer.instances
      const answered = now()
      for (const { expiresAt, id } of instances) {
        if (expiresAt === null) continue
        const beats = heartbeats.get(id) ?? []
        if (beats.at(-1) !== expiresAt - lease) beats.push(expiresAt - lease)
        heartbeats.set(id, beats)
      }
      const owners = new Set(instances.flatMap(({ id, owns }) => owns ? [id] : []))
      endings = endings.map((ending) =>
        ending.freedAt !== undefined || asked < ending.endedAt
          ? ending
          : ending.instances.some((instance) => owners.has(instance))
          ? { ...ending, lastHeldAt: asked }
          : { ...ending, freedAt: answered }
      )
    })
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(look, Effect.sleep("50 millis"))))

    return {
      noteEnd: (ending) =>
        Effect.sync(() => {
          endings.push({ ...ending, lastHeldAt: undefined, freedAt: undefined })
        }),
      seen: Effect.sync(() => ({ endings, heartbeats }))
    }
  })

/** One at a time per key: a semaphore for each key in use, forgotten with its last user. */
import { Effect } from "effect"

interface KeyedLock {
  readonly withLock: (key: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export const makeKeyedLock: Effect.Effect<KeyedLock> = Effect.sync(() => {
  const entries = new Map<string, { readonly semaphore: Effect.Semaphore; users: number }>()
  const enter = (key: string) =>
    Effect.sync(() => {
      const entry = entries.get(key) ?? { semaphore: Effect.unsafeMakeSemaphore(1), users: 0 }
      entry.users++
      entries.set(key, entry)
      return entry
    })
  return {
    withLock: (key) => (effect) =>
      Effect.acquireUseRelease(
        enter(key),
        (entry) => entry.semaphore.withPermits(1)(effect),
        (entry) =>
          Effect.sync(() => {
            if (--entry.users === 0) entries.delete(key)
          })
      )
  }
})

/** A FunctionStore in memory that counts what it is asked, and that can be told to fail. */
import { Effect, Option } from "effect"
import { samePackage } from "../../src/adapters/local/LocalRuntime.ts"
import { TaskRepositoryError } from "../../src/domain/Errors.ts"
import type { FunctionStore, StoredFunction, StoredVersion } from "../../src/ports/FunctionStore.ts"

export interface MemoryFunctionStore {
  readonly store: FunctionStore["Type"]
  /** How often each call was made. */
  readonly calls: Record<"put" | "get" | "versionOf" | "remove", number>
  /** What each call does before it does its work. */
  before: (call: keyof MemoryFunctionStore["calls"]) => Effect.Effect<void, TaskRepositoryError>
  /** Changes what is stored behind everybody's back. */
  readonly tamper: (name: string, change: (fn: StoredFunction) => StoredFunction | "unreadable") => void
}

export const memoryFunctionStore = (): MemoryFunctionStore => {
  const functions = new Map<string, StoredFunction>()
  const unreadable = new Set<string>()
  let revision = 0

  const called = <A>(
    call: keyof MemoryFunctionStore["calls"],
    work: () => Effect.Effect<A, TaskRepositoryError>
  ): Effect.Effect<A, TaskRepositoryError> =>
    Effect.suspend(() => {
      self.calls[call]++
      return Effect.zipRight(self.before(call), Effect.suspend(work))
    })

  const store: FunctionStore["Type"] = {
    put: (fn) =>
      called("put", () => {
        const { name } = fn.settings
        const present = functions.get(name)
        const isUnchanged = present !== undefined && !unreadable.has(name) && samePackage(present, fn)
        const stored = isUnchanged ? present : { ...fn, revision: ++revision }
        unreadable.delete(name)
        functions.set(name, stored)
        return Effect.succeed<StoredVersion>({
          codeSha256: fn.codeSha256,
          revision: stored.revision,
          change: isUnchanged ? "unchanged" : present === undefined ? "created" : "updated"
        })
      }),
    get: (name) =>
      called("get", () =>
        unreadable.has(name)
          ? new TaskRepositoryError({ reason: "Corrupt", message: `Function ${name} cannot be read` })
          : Effect.succeed(Option.fromNullable(functions.get(name)))),
    versionOf: (name) => called("versionOf", () => Effect.succeed(Option.fromNullable(functions.get(name)))),
    list: Effect.sync(() =>
      [...functions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { codeSha256, revision }]) => ({
        name,
        codeSha256,
        revision
      }))
    ),
    remove: (name) =>
      called("remove", () => {
        functions.delete(name)
        return Effect.void
      })
  }
  const self: MemoryFunctionStore = {
    store,
    calls: { put: 0, get: 0, versionOf: 0, remove: 0 },
    before: () => Effect.void,
    tamper: (name, change) => {
      const present = functions.get(name)
      if (present === undefined) return
      const changed = change(present)
      if (changed === "unreadable") unreadable.add(name)
      functions.set(name, { ...(changed === "unreadable" ? present : changed), revision: ++revision })
    }
  }
  return self
}

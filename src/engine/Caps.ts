/** How many may run at once over all instances: set in the store, asked for with each start mark. */
import type { Clock, Context, Scope } from "effect"
import { Duration, Effect, Runtime } from "effect"
import { InvalidInput } from "../domain/Errors.ts"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import { shown } from "../domain/Time.ts"
import { capOf, encodeCap, ofAll } from "../policies/caps.ts"
import type { Control, TaskRepository } from "../ports/TaskRepository.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import type { Held } from "./Held.ts"

/** How long what found no room waits, unless a run of this instance ends: others' ends are not told of. */
const retryAfter: Millis = 200

export interface LimitSettings {
  /** How many may run at once over all instances; `undefined`: as many as there are slots. */
  readonly concurrency: number | undefined
}

export interface LimitsApi {
  /**
   * Bounds how many runs of a function, or of all functions together, there are at once, over all instances. What runs
   * already is not interrupted. Other instances go by it within a heartbeat (1.5 seconds).
   *
   * @param functionName bare; `undefined` for all together
   *
   * @example
   * yield* scheduler.limits.set("payroll", { concurrency: 5 })
   */
  readonly set: (
    functionName: string | undefined,
    settings: LimitSettings
  ) => Effect.Effect<void, InvalidInput | TaskRepositoryError>
  /** All that are set, by function; under the empty name that of all together. */
  readonly get: Effect.Effect<Readonly<Record<string, LimitSettings>>, TaskRepositoryError>
}

export interface Caps {
  readonly api: LimitsApi
  /** The caps that a function runs under; `undefined` if there are none. */
  readonly of: (functionName: string) => ReadonlyArray<string> | undefined
  /**
   * Until when there is no use in asking for room.
   *
   * @param running how many of the function run here
   */
  readonly closedUntil: (functionName: string, running: number) => EpochMillis
  /** How many may run at all. */
  readonly ofAll: () => number
  /** There was no room. */
  readonly onFull: (cap: string) => void
  /** A run has ended. */
  readonly onRoom: (functionName: string) => void
  /** Functions that the claim must not start; `all` if none may be. */
  readonly held: () => Held
  /** The store's controls have been read. */
  readonly learn: (controls: ReadonlyArray<Control>) => void
}

const parseConcurrency = (concurrency: unknown): Effect.Effect<number | undefined, InvalidInput> =>
  concurrency === undefined || (Number.isSafeInteger(concurrency) && (concurrency as number) >= 1)
    ? Effect.succeed(concurrency as number | undefined)
    : new InvalidInput({
      reason: "OptionInvalid",
      field: "concurrency",
      message: `concurrency: expected a whole number of at least 1, or undefined, got ${shown(concurrency)}`
    })

/** The caps that bound something, by name. */
const capsIn = (controls: ReadonlyArray<Control>): Map<string, number> => {
  const caps = new Map<string, number>()
  for (const { kind, name, state } of controls) {
    const concurrency = kind === "cap" ? capOf(state) : Infinity
    if (concurrency < Infinity) caps.set(name, concurrency)
  }
  return caps
}

/**
 * @param relearn reads the store's controls, and has them learned
 * @param onOpen something that had no room may have some
 */
export const makeCaps = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly clock: Clock.Clock
  readonly relearn: Effect.Effect<void, TaskRepositoryError>
  readonly onOpen: () => void
}): Effect.Effect<Caps, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, onOpen, relearn, repository } = needs
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const scope = yield* Effect.scope
    let caps = new Map<string, number>()
    /** Caps without room, until a run ends here or it is time to ask again. */
    const full = new Set<string>()
    const under = new Map<string, ReadonlyArray<string> | undefined>()

    const learn = (controls: ReadonlyArray<Control>) => {
      caps = capsIn(controls)
      under.clear()
      full.clear()
      onOpen()
    }

    const open = (cap: string) => {
      if (full.delete(cap)) onOpen()
    }

    const of = (functionName: string): ReadonlyArray<string> | undefined => {
      if (caps.size === 0) return undefined
      const known = under.get(functionName)
      if (known !== undefined || under.has(functionName)) return known
      const names = [ofAll, functionName].filter((name) => caps.has(name))
      const found = names.length === 0 ? undefined : names
      if (under.size >= 10_000) under.clear()
      under.set(functionName, found)
      return found
    }

    return {
      of,
      learn,
      ofAll: () => caps.get(ofAll) ?? Infinity,
      closedUntil: (functionName, running) => {
        if (caps.size === 0) return -Infinity
        if (running >= (caps.get(functionName) ?? Infinity)) return Infinity
        return full.has(ofAll) || full.has(functionName) ? Infinity : -Infinity
      },
      onFull: (cap) => {
        engineMetrics.capped()
        if (full.has(cap)) return
        full.add(cap)
        runFork(Effect.zipRight(clock.sleep(Duration.millis(retryAfter)), Effect.sync(() => open(cap))), { scope })
      },
      onRoom: (functionName) => {
        if (full.size === 0) return
        open(functionName)
        open(ofAll)
      },
      held: () => ({ all: caps.has(ofAll), functions: caps.keys() }),
      api: {
        set: (functionName, { concurrency }) =>
          Effect.gen(function*() {
            const state = encodeCap(yield* parseConcurrency(concurrency))
            yield* repository.changeControl("cap", functionName ?? ofAll, () => ({ answer: undefined, state }))
            yield* relearn
          }),
        get: Effect.map(repository.controls, ({ controls }) =>
          Object.fromEntries(Array.from(capsIn(controls), ([name, concurrency]) => [name, { concurrency }])))
      }
    }
  })

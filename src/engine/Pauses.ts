/** Pauses of functions, or of all of them: kept in the store, and refused there; here nothing is sent that would be. */
import type { Clock, Context, Scope } from "effect"
import { Effect, Runtime } from "effect"
import type { InvalidInput, TaskRepositoryError } from "../domain/Errors.ts"
import type { Pause, PauseOptions } from "../domain/Pause.ts"
import { inForce, parsePause } from "../domain/Pause.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import { ofAll } from "../policies/caps.ts"
import { encodePause, isPaused, pauseOf, running } from "../policies/pauses.ts"
import type { Control, TaskRepository } from "../ports/TaskRepository.ts"
import type { Held } from "./Held.ts"

/** How soon to ask again while the store has another pause than is known here. */
const retryAfter: Millis = 100

export interface PausesApi {
  /**
   * Has nothing of a function start, or nothing at all: once this has answered, no new invocation does, on any instance,
   * retries included. What runs is not interrupted. What is due waits and is not lost, and starts when the pause is over. Who
   * pauses again changes note, name and end.
   *
   * @param functionName bare; `undefined` for all functions
   *
   * @example
   * yield* scheduler.pauses.set("payroll", { by: "ada", note: "bank is down", until: "2027-01-01T00:00:00Z" })
   */
  readonly set: (
    functionName: string | undefined,
    options?: PauseOptions
  ) => Effect.Effect<Pause, InvalidInput | TaskRepositoryError>
  /** Ends a pause; without one nothing happens. Other instances go on within a heartbeat (1.5 seconds). */
  readonly lift: (functionName: string | undefined) => Effect.Effect<void, TaskRepositoryError>
  /** All that hold, by function; under the empty name that of all together. */
  readonly get: Effect.Effect<Readonly<Record<string, Pause>>, TaskRepositoryError>
}

export interface Pauses {
  readonly api: PausesApi
  /** Until when nothing of a function starts; `Infinity`: until that is told. */
  readonly closedUntil: (functionName: string, now: EpochMillis) => EpochMillis
  /** The store has refused to start something of it: there is a pause that is not known here yet. */
  readonly onRefused: (functionName: string) => void
  /** The pauses that a function is under. */
  readonly of: (functionName: string, now: EpochMillis) => ReadonlyArray<Pause>
  /** Functions that the claim must not start; `all` if none may be. */
  readonly held: () => Held
  /** The store's controls have been read. */
  readonly learn: (controls: ReadonlyArray<Control>) => void
}

const pausesIn = (controls: ReadonlyArray<Control>): Map<string, Pause> => {
  const pauses = new Map<string, Pause>()
  for (const { kind, name, state } of controls) {
    const pause = kind === "pause" ? pauseOf(state) : undefined
    if (pause !== undefined) pauses.set(name, pause)
  }
  return pauses
}

/**
 * @param relearn reads the store's controls, and has them learned
 * @param onOpen something that was paused may start
 */
export const makePauses = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly clock: Clock.Clock
  readonly relearn: Effect.Effect<void, TaskRepositoryError>
  readonly onOpen: () => void
}): Effect.Effect<Pauses, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock, onOpen, relearn, repository } = needs
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const scope = yield* Effect.scope
    let pauses = new Map<string, Pause>()
    const ending = new Set<string>()
    /** Until when a function is not asked for again, whose pause is not known yet. */
    const refusedUntil = new Map<string, EpochMillis>()

    const learn = (controls: ReadonlyArray<Control>) => {
      pauses = pausesIn(controls)
      refusedUntil.clear()
      onOpen()
    }

    /** Whoever first notices that a pause is over ends it for all; another one that was set meanwhile stays. */
    const end = (name: string) => {
      if (ending.has(name)) return
      ending.add(name)
      const ended = repository.changeControl("pause", name, (state) => {
        const pause = pauseOf(state)
        const isOver = pause !== undefined && inForce(pause, clock.unsafeCurrentTimeMillis()) === undefined
        return { answer: undefined, state: isOver ? running : undefined }
      })
      runFork(
        Effect.zipRight(ended, relearn).pipe(
          Effect.catchAllCause((cause) =>
            Effect.logWarning("A pause that is over could not be ended; trying again", cause)
          ),
          Effect.ensuring(Effect.sync(() => ending.delete(name)))
        ),
        { scope }
      )
    }

    const closedBy = (name: string, now: EpochMillis): EpochMillis => {
      const pause = pauses.get(name)
      if (pause === undefined) return -Infinity
      if (inForce(pause, now) !== undefined) return pause.until ?? Infinity
      end(name)
      // A store that answers at once has ended it by now.
      return pauses.has(name) ? now + retryAfter : -Infinity
    }

    return {
      learn,
      closedUntil: (functionName, now) =>
        pauses.size === 0 && refusedUntil.size === 0
          ? -Infinity
          : Math.max(closedBy(ofAll, now), closedBy(functionName, now), refusedUntil.get(functionName) ?? -Infinity),
      onRefused: (functionName) => {
        refusedUntil.set(functionName, clock.unsafeCurrentTimeMillis() + retryAfter)
        runFork(
          Effect.catchAllCause(relearn, (cause) => Effect.logWarning("The pauses could not be read", cause)),
          { scope }
        )
      },
      of: (functionName, now) =>
        [pauses.get(functionName), pauses.get(ofAll)].flatMap((pause) => inForce(pause, now) ?? []),
      held: () => ({ all: pauses.has(ofAll), functions: pauses.keys() }),
      api: {
        set: (functionName, options = {}) =>
          Effect.gen(function*() {
            const asked = yield* parsePause(options, clock.unsafeCurrentTimeMillis())
            const pause = yield* repository.changeControl("pause", functionName ?? ofAll, (state) => {
              const before = inForce(pauseOf(state), asked.since)
              const pause = before === undefined ? asked : { ...asked, since: before.since }
              return { answer: pause, state: encodePause(pause) }
            })
            yield* relearn
            return pause
          }),
        lift: (functionName) =>
          Effect.zipRight(
            repository.changeControl("pause", functionName ?? ofAll, (state) => ({
              answer: undefined,
              state: isPaused(state) ? running : undefined
            })),
            relearn
          ),
        get: Effect.map(
          repository.controls,
          ({ controls }) =>
            Object.fromEntries(
              [...pausesIn(controls)].filter(([, pause]) =>
                inForce(pause, clock.unsafeCurrentTimeMillis()) !== undefined
              )
            )
        )
      }
    }
  })

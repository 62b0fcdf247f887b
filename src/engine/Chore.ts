/** Background work that goes on and on: a tick that fails is logged, and the next one comes. */
import { Effect } from "effect"
import type { Cause, Schedule, Scope } from "effect"

/**
 * Repeats a tick in the background until the scope closes. Nobody joins it, so this is the last place to see a failure
 * or a defect: it is logged as an error, and the schedule goes on.
 *
 * @param name what the log calls it
 * @param schedule when the next tick comes after one has ended
 *
 * @example
 * yield* chore("prune", pruneOnce, Schedule.spaced("10 minutes"))
 */
export const chore = <E, R>(
  name: string,
  tick: Effect.Effect<unknown, E, R>,
  schedule: Schedule.Schedule<unknown>
): Effect.Effect<void, never, R | Scope.Scope> =>
  tick.pipe(
    Effect.catchAllCause((cause) => logFailedTick(name, cause)),
    Effect.repeat(schedule),
    Effect.forkScoped,
    Effect.asVoid
  )

/** Says that a tick has failed, and that work goes on. */
export const logFailedTick = (name: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.logError(`The ${name} tick failed; the next one comes`, cause).pipe(Effect.annotateLogs({ chore: name }))

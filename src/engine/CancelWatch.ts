/** Ends what runs here and has been cancelled by another instance. Hints tell of that at once, but may get lost. */
import type { Context, Scope } from "effect"
import { Effect, Schedule } from "effect"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import { chore } from "./Chore.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import type { NearFuture } from "./NearFuture.ts"

export const makeCancelWatch = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly config: EngineSettings
  readonly nearFuture: Pick<NearFuture, "busy" | "runningIds" | "interrupt">
}): Effect.Effect<void, never, Scope.Scope> => {
  const { config, nearFuture, repository } = needs
  const look = Effect.suspend(() => {
    const ids = nearFuture.runningIds()
    return ids.length === 0 ? Effect.void : Effect.flatMap(repository.cancelledOf(ids), nearFuture.interrupt)
  })
  // While nothing runs nothing wakes.
  const next = Effect.zipRight(nearFuture.busy, Effect.delay(look, config.cancelPollInterval))
  return chore("cancel", next, Schedule.forever)
}

/** Writes outcomes: kept and tried again until the store has accepted them or refused them by their token. */
import type { Context } from "effect"
import { Effect } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { TaskId } from "../domain/Ids.ts"
import type { Lease, SettleRequest, SettleVerdict, TaskRepository } from "../ports/TaskRepository.ts"
import { untilAvailable } from "./untilAvailable.ts"

/** @param request made anew for every try: it may have to ask the store itself */
export type Record = (
  id: TaskId,
  request: Effect.Effect<SettleRequest, TaskRepositoryError>
) => Effect.Effect<SettleVerdict, TaskRepositoryError>

export const makeRecord = (repository: Context.Tag.Service<TaskRepository>, lease: Lease): Record => (id, request) =>
  untilAvailable(
    "take an outcome",
    id,
    Effect.map(
      Effect.flatMap(request, (made) => repository.settle(lease, [made])),
      ([verdict]): SettleVerdict => verdict ?? { _tag: "Fenced" }
    )
  )

/** Ids in paths. */
import { Effect, Schema } from "effect"
import { TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import { shown } from "../../domain/Time.ts"
import type { ProblemOf } from "../Problem.ts"
import { problem } from "../Problem.ts"

const reads = <A extends string>(schema: Schema.Schema<A, string>) => (id: string): Effect.Effect<A, ProblemOf<400>> =>
  Effect.mapError(
    Schema.decode(schema)(id.toLowerCase()),
    () => problem(400, "ID_INVALID", `id: expected a UUID, got ${shown(id)}`)
  )

export const readTaskId = reads(TaskId)
export const readScheduleId = reads(TaskScheduleId)

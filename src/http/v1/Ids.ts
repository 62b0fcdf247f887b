/** Ids and names in paths. */
import { Effect, Schema } from "effect"
import { BackfillId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import { parseName } from "../../domain/LambdaFunction.ts"
import { shown } from "../../domain/Time.ts"
import { codeOf } from "../DomainProblem.ts"
import type { ProblemOf } from "../Problem.ts"
import { problem } from "../Problem.ts"

const reads = <A extends string>(schema: Schema.Schema<A, string>) => (id: string): Effect.Effect<A, ProblemOf<400>> =>
  Effect.mapError(
    Schema.decode(schema)(id.toLowerCase()),
    () => problem(400, "ID_INVALID", `id: expected a UUID, got ${shown(id)}`)
  )

export const readTaskId = reads(TaskId)
export const readScheduleId = reads(TaskScheduleId)
export const readBackfillId = reads(BackfillId)

export const readFunctionName = (name: string): Effect.Effect<string, ProblemOf<400>> =>
  Effect.mapError(parseName(name, "function"), ({ message, reason }) => problem(400, codeOf(reason), message))

/** What the routes that answer questions do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect } from "effect"
import { parseInstant } from "../../domain/Time.ts"
import { LambdaScheduler } from "../../engine/LambdaScheduler.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { withProblems, withQueryProblems } from "../DomainProblem.ts"
import { explanationAnswer, healthAnswer } from "./ExplainAnswer.ts"
import { readScheduleId, readTaskId } from "./Ids.ts"

export const v1ExplainLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "v1Explain",
  (handlers) =>
    Effect.gen(function*() {
      const { explain, explainTask, health } = yield* LambdaScheduler
      return handlers
        .handle("task", ({ path }) =>
          Effect.flatMap(readTaskId(path.id), explainTask).pipe(Effect.map(explanationAnswer), withProblems))
        .handle("schedule", ({ path, urlParams }) =>
          Effect.gen(function*() {
            const id = yield* readScheduleId(path.id)
            return explanationAnswer(yield* explain(id, yield* parseInstant(urlParams.at, "at")))
          }).pipe(withQueryProblems, withProblems))
        .handle("health", ({ path }) =>
          Effect.flatMap(readScheduleId(path.id), health).pipe(Effect.map(healthAnswer), withProblems))
    })
)

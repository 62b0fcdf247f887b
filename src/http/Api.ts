/** The contract of the HTTP face: paths, bodies, answers, errors. Nothing here does anything. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as OpenApi from "@effect/platform/OpenApi"
import { compatibility } from "./CompatibilityApi.ts"
import { Forbidden, ServerFault, Unauthorized } from "./Contract.ts"
import { health, metrics } from "./OperationsApi.ts"
import { corrected } from "./Specification.ts"
import { v1Backfills } from "./v1/BackfillsApi.ts"
import { v1DeadLetters } from "./v1/DeadLettersApi.ts"
import { v1Explain } from "./v1/ExplainApi.ts"
import { v1Pauses } from "./v1/PausesApi.ts"
import { v1Schedules } from "./v1/SchedulesApi.ts"
import { v1Tasks } from "./v1/TasksApi.ts"
import { v1Triggers } from "./v1/TriggersApi.ts"

/**
 * The contract, for `HttpApiClient` and for OpenAPI.
 *
 * @example
 * const client = yield* HttpApiClient.make(LambdaSchedulerApi, { baseUrl: "http://127.0.0.1:8080" })
 */
export const LambdaSchedulerApi = HttpApi.make("effect-lambda-scheduler")
  .add(compatibility)
  .add(v1Tasks)
  .add(v1Schedules)
  .add(v1Backfills)
  .add(v1Pauses)
  .add(v1Explain)
  .add(v1Triggers)
  .add(v1DeadLetters)
  .add(health)
  .add(metrics)
  .addError(Unauthorized)
  .addError(Forbidden)
  .addError(ServerFault)
  .annotateContext(OpenApi.annotations({
    title: "effect-lambda-scheduler",
    version: "0.3.0",
    description: "Runs AWS Lambda functions once or again and again, and shows what happened.",
    transform: corrected
  }))

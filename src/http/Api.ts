/** The contract of the HTTP face: paths, bodies, answers, errors. Nothing here does anything. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as OpenApi from "@effect/platform/OpenApi"
import { compatibility } from "./CompatibilityApi.ts"
import { badRequest, Forbidden, ServerFault, Unauthorized } from "./Contract.ts"
import { health, metrics } from "./OperationsApi.ts"
import { problemContentType } from "./Problem.ts"
import { v1DeadLetters } from "./v1/DeadLettersApi.ts"
import { v1Schedules } from "./v1/SchedulesApi.ts"
import { v1Tasks } from "./v1/TasksApi.ts"
import { v1Triggers } from "./v1/TriggersApi.ts"

interface Specification {
  readonly paths: Record<string, Record<string, { readonly responses: Record<string, unknown> }>>
  readonly components: { readonly schemas: Record<string, unknown> }
}

/** HttpApi adds its own decode error to every route; from this server it never leaves, but as a problem. */
const withoutDecodeErrors = (spec: Record<string, any>): Record<string, any> => {
  const { components, paths } = spec as Specification
  for (const { responses } of Object.values(paths).flatMap((path) => Object.values(path))) {
    responses["400"] = {
      description: badRequest,
      content: { [problemContentType]: { schema: { $ref: "#/components/schemas/Problem400" } } }
    }
  }
  for (const name of ["HttpApiDecodeError", "Issue", "PropertyKey"]) delete components.schemas[name]
  return spec
}

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
    transform: withoutDecodeErrors
  }))

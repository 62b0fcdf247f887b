/** The contract of the HTTP face: paths, bodies, answers, errors. Nothing here does anything. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { metricsContentType } from "./Metrics.ts"
import { problemContentType, problemSchema } from "./Problem.ts"
import { TaskAnswer } from "./TaskAnswer.ts"

const badRequest = "Something in the request cannot be accepted. Nothing was stored."
const BadRequest = problemSchema(400, badRequest)
const Unauthorized = problemSchema(401, "The API key is missing or wrong.")
const Forbidden = problemSchema(403, "The Host or the Origin of the request is not allowed.")
const NotFound = problemSchema(404, "There is no such Task.")
const Conflict = problemSchema(409, "A function of this name exists and was not deployed by this scheduler.")
const TooLarge = problemSchema(413, "The body, the payload or the zip is too large.")
const UnsupportedMediaType = problemSchema(415, "The body is not plain application/json.")
const ServerFault = problemSchema(500, "The server has a fault; its log says which.")
const BadGateway = problemSchema(502, "The function could not be deployed. Nothing was stored.")
const Unavailable = problemSchema(503, "The scheduler or its store is not available.")

/** Most rows on a page. */
export const maxPageSize = 1_000

const FunctionName = Schema.String.annotations({
  description: "1 to 64 letters, digits, - or _",
  jsonSchema: { type: "string", minLength: 1, maxLength: 64, pattern: "^[a-zA-Z0-9-_]+$" },
  examples: ["hello"]
})
const Duration = Schema.Union(Schema.String, Schema.Number).annotations({
  examples: ["5 seconds", "PT5S", 5000]
})
const described = <A, I>(schema: Schema.Schema<A, I>, description: string) =>
  Schema.optionalWith(schema.annotations({ description }), { exact: true })

const work = {
  jsonPayload: described(
    Schema.Unknown,
    "JSON text in a string, delivered byte for byte; or any other JSON value, which is serialised. Default: {}"
  ),
  repeatEvery: described(
    Duration,
    "Repeats this long after the end of each run. \"5 seconds\", \"PT5S\" or milliseconds"
  ),
  fixedRate: described(Duration, "Repeats at this rate, whatever the runs take"),
  initialDelay: described(Duration, "From now to the first run"),
  totalRuns: described(
    Schema.Number.annotations({ jsonSchema: { type: "integer", minimum: 1 } }),
    "How many runs to start; without it a repetition has no end"
  )
}

export const ScheduleRequest = Schema.Struct({
  name: FunctionName,
  function: described(
    Schema.String,
    "Name or ARN of a function that exists: nothing is deployed, and `name` names the Task only"
  ),
  ...work
}).annotations({ identifier: "ScheduleRequest" })
export type ScheduleRequest = typeof ScheduleRequest.Type

export const CreateAndScheduleRequest = Schema.Struct({
  name: FunctionName,
  zippedCodeBase64: Schema.String.annotations({ description: "A zip of the function's code, in base64" }),
  handler: described(Schema.String, "file.export within the code. Default: index.handler"),
  runtime: described(Schema.String, "Default: nodejs24.x"),
  timeout: described(Duration, "How long a run may take, 1 to 900 seconds. Default: 3 seconds"),
  ...work
}).annotations({ identifier: "CreateAndScheduleRequest" })
export type CreateAndScheduleRequest = typeof CreateAndScheduleRequest.Type

/** What both requests say about when and with what to run. */
export type WorkRequest = Pick<ScheduleRequest, "name" | keyof typeof work>

const strict = { parseOptions: { onExcessProperty: "error" } } as const
/** An object without fields. (`Schema.Struct({})` takes any.) */
export const Empty = Schema.Struct({}).pipe(Schema.filter((fields) => Object.keys(fields).length === 0))
const PageQuery = Schema.Struct({
  limit: Schema.optionalWith(
    Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, maxPageSize)).annotations({
      description: `How many Tasks to answer, 1 to ${maxPageSize}. Default: ${maxPageSize}`
    }),
    { exact: true }
  ),
  cursor: Schema.optionalWith(
    Schema.String.annotations({ description: "Where to go on, from the Link header of the page before" }),
    { exact: true }
  )
}).annotations(strict)

const Name = HttpApiSchema.param(
  "name",
  Schema.NonEmptyString.annotations({ description: "The name it was scheduled under" })
)
const Tasks = Schema.Array(TaskAnswer)
const Accepted = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The Task, accepted", status: 202 })
)

const tasks = HttpApiGroup.make("tasks")
  .add(
    HttpApiEndpoint.post("schedule", "/schedule")
      .setPayload(ScheduleRequest).setUrlParams(Empty).addSuccess(Accepted)
      .addError(BadRequest).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(BadGateway).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Runs a function once, or again and again",
        description: "Deploys a tiny function that answers with what it received, and schedules it. With `function`, " +
          "schedules one that exists. Answers the Task; of a repetition the first. With a header Idempotency-Key the " +
          "request may be repeated."
      }))
  )
  .add(
    HttpApiEndpoint.post("createAndSchedule", "/createAndSchedule")
      .setPayload(CreateAndScheduleRequest).setUrlParams(Empty).addSuccess(Accepted)
      .addError(BadRequest).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(BadGateway).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Deploys the caller's code and runs it",
        description: "Deploys a function from a zip and schedules it, as /schedule does, also with Idempotency-Key."
      }))
  )
  .add(
    HttpApiEndpoint.get("list", "/list")
      .setUrlParams(PageQuery).addSuccess(Tasks)
      .addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Lists Tasks, newest first",
        description:
          "The next page is in the Link header (rel=\"next\"); there is none on the last page. A page of very " +
          "large Tasks ends early."
      }))
  )
  .add(
    HttpApiEndpoint.get("result")`/result/${Name}`
      .setUrlParams(Empty).addSuccess(TaskAnswer)
      .addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "The latest finished Task of a name",
        description: "While none has finished, the latest one. Skipped occurrences have no result and are passed over."
      }))
  )
  .add(
    HttpApiEndpoint.get("status")`/status/${Name}`
      .setUrlParams(Empty).addSuccess(TaskAnswer)
      .addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({ summary: "The latest Task of a name" }))
  )
  .add(
    HttpApiEndpoint.post("cancel")`/cancel/${Name}`
      .setUrlParams(Empty).addSuccess(Tasks)
      .addError(BadRequest).addError(NotFound).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Cancels everything of a name",
        description: "Ends its schedules and cancels its live Tasks. Once this has answered, no new run starts. " +
          "Answers the Tasks that this call cancelled: a second call finds nothing left and answers an empty list."
      }))
  )

const Healthy = Schema.Struct({ status: Schema.Literal("ok") })
const Ready = Schema.Struct({
  status: Schema.Literal("ready"),
  details: Schema.optional(
    Schema.Record({ key: Schema.String, value: Schema.String }).annotations({
      description: "The store, and whether its notifications get through; only on loopback or with the key"
    })
  )
})

const health = HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("healthz", "/healthz")
      .setUrlParams(Empty).addSuccess(Healthy).addError(BadRequest)
      .annotateContext(OpenApi.annotations({ summary: "Whether the process answers" }))
  )
  .add(
    HttpApiEndpoint.get("readyz", "/readyz")
      .setUrlParams(Empty).addSuccess(Ready).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Whether the scheduler does its work",
        description: "Answers within 5 seconds, also when it is stuck."
      }))
  )

const metrics = HttpApiGroup.make("metrics")
  .add(
    HttpApiEndpoint.get("metrics", "/metrics")
      .setUrlParams(Empty)
      .addSuccess(
        HttpApiSchema.Text({ contentType: metricsContentType }).annotations({
          description: "The text format of Prometheus"
        })
      )
      .addError(BadRequest)
      .annotateContext(OpenApi.annotations({
        summary: "The scheduler's metrics, for Prometheus",
        description: "Those of this process, and the backlog of its store. While the store does not answer, the " +
          "backlog is left out."
      }))
  )

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
  .add(tasks)
  .add(health)
  .add(metrics)
  .addError(Unauthorized)
  .addError(Forbidden)
  .addError(ServerFault)
  .annotateContext(OpenApi.annotations({
    title: "effect-lambda-scheduler",
    version: "0.2.0",
    description: "Runs AWS Lambda functions once or again and again, and shows what happened.",
    transform: withoutDecodeErrors
  }))

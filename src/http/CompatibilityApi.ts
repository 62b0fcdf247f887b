/** The contract of the routes that the first server had; `/v1` has more. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import {
  BadGateway,
  BadRequest,
  Conflict,
  described,
  Duration,
  Empty,
  FunctionName,
  NotFound,
  pageQuery,
  Runs,
  strict,
  TooLarge,
  Unavailable,
  UnsupportedMediaType
} from "./Contract.ts"
import { TaskAnswer } from "./TaskAnswer.ts"

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
    Runs,
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

const PageQuery = Schema.Struct(pageQuery("the Link header")).annotations(strict)

const Name = HttpApiSchema.param(
  "name",
  Schema.NonEmptyString.annotations({ description: "The name it was scheduled under" })
)
const Tasks = Schema.Array(TaskAnswer)
const Accepted = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The Task, accepted", status: 202 })
)

export const compatibility = HttpApiGroup.make("tasks")
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
  .annotateContext(OpenApi.annotations({
    title: "By name",
    description: "The routes of the first server: what they made is found by its name."
  }))

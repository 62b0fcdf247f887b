/** The contract of `/v1/tasks`: one thing to do once. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { taskStatuses } from "../../domain/Task.ts"
import {
  BadRequest,
  Conflict,
  described,
  Empty,
  NotFound,
  pageQuery,
  strict,
  TooLarge,
  Unavailable,
  UnsupportedMediaType
} from "../Contract.ts"
import { TaskAnswer } from "../TaskAnswer.ts"
import { GivenTrigger, OnceTriggerRequest } from "./TriggerRequest.ts"
import { IdempotencyHeaders, work } from "./WorkRequest.ts"

const fields = {
  ...work,
  id: described(Schema.String, "The Task's id, made by the caller (a UUID of version 7): makes the request repeatable")
}

export const CreateTaskRequest = Schema.Struct({
  ...fields,
  trigger: described(OnceTriggerRequest, "When; without it now")
}).annotations({
  identifier: "CreateTaskRequest",
  examples: [{ function: "payroll", payload: { month: "2027-01" }, trigger: { after: "5 seconds" } }]
})
export type CreateTaskRequest = typeof CreateTaskRequest.Type

/** What is read of it. */
export const GivenTask = Schema.Struct({ ...fields, trigger: Schema.optionalWith(GivenTrigger, { exact: true }) })

export const TaskPage = Schema.Struct({
  items: Schema.Array(TaskAnswer),
  cursor: Schema.NullOr(Schema.String).annotations({ description: "Where to go on; null on the last page" })
}).annotations({ identifier: "TaskPage" })
export type TaskPage = typeof TaskPage.Type

/** By what Tasks are found, dead or alive. */
export const taskQuery = {
  function: described(Schema.NonEmptyString, "The bare name of the function"),
  name: described(Schema.NonEmptyString, "The Task's name"),
  scheduleId: described(Schema.UUID, "The schedule that has made it")
}

const uuid = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

const Query = Schema.Struct({
  ...pageQuery("the answer"),
  ...taskQuery,
  origin: described(
    Schema.String.pipe(Schema.pattern(new RegExp(`^(?:schedule|(?:manual|backfill):${uuid})$`))),
    "What has made it of its schedule: schedule, manual:<the Task's id> or backfill:<its id>"
  ),
  status: described(Schema.Literal(...taskStatuses), "What has become of it"),
  dueFrom: described(Schema.NonEmptyString, "Due at or after this instant, ISO 8601 with an offset"),
  dueBefore: described(Schema.NonEmptyString, "Due before this instant")
}).annotations(strict)
export type TaskQuery = typeof Query.Type

const Id = HttpApiSchema.param("id", Schema.NonEmptyString.annotations({ description: "The Task's id" }))

const Created = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The Task, stored", status: 201 })
)
const Present = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The Task that the key or the id has made before" })
)

export const v1Tasks = HttpApiGroup.make("v1Tasks")
  .add(
    HttpApiEndpoint.post("create", "/v1/tasks")
      .setHeaders(IdempotencyHeaders).setPayload(CreateTaskRequest).setUrlParams(Empty)
      .addSuccess(Created).addSuccess(Present)
      .addError(BadRequest).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Runs a function once",
        description: "Stores a Task for a function that exists, and answers it. An id of the caller's or a header " +
          "Idempotency-Key makes the request repeatable: the same again is answered with 200, another one with 409."
      }))
  )
  .add(
    HttpApiEndpoint.get("list", "/v1/tasks")
      .setUrlParams(Query).addSuccess(TaskPage).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Lists Tasks, newest first",
        description: "All that the query names must hold. A page of very large Tasks ends early."
      }))
  )
  .add(
    HttpApiEndpoint.get("get")`/v1/tasks/${Id}`
      .setUrlParams(Empty).addSuccess(TaskAnswer).addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "One Task",
        description: "Its attempts, its result or failure, and the end of its log."
      }))
  )
  .add(
    HttpApiEndpoint.post("cancel")`/v1/tasks/${Id}/cancel`
      .setUrlParams(Empty).addSuccess(TaskAnswer)
      .addError(BadRequest).addError(NotFound).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Cancels one Task",
        description:
          "Once this has answered, no new run of it starts. May be repeated. A cancelled occurrence does not " +
          "end its schedule. A Task that has ended otherwise is a 409."
      }))
  )
  .annotateContext(OpenApi.annotations({ title: "Tasks", description: "One thing to do once." }))

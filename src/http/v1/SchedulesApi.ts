/** The contract of `/v1/schedules`: rules that make Tasks again and again. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import {
  BadRequest,
  Conflict,
  described,
  Empty,
  NotFound,
  pageQuery,
  PreconditionFailed,
  PreconditionRequired,
  strict,
  TooLarge,
  Unavailable,
  UnsupportedMediaType
} from "../Contract.ts"
import { TaskAnswer } from "../TaskAnswer.ts"
import { PauseRequest } from "./PauseRequest.ts"
import { IfMatchHeaders } from "./Revision.ts"
import { ScheduleAnswer, scheduleStatuses } from "./ScheduleAnswer.ts"
import { CreateScheduleRequest, EditScheduleRequest, RunScheduleRequest } from "./ScheduleRequests.ts"
import { IdempotencyHeaders } from "./WorkRequest.ts"

export const SchedulePage = Schema.Struct({
  items: Schema.Array(ScheduleAnswer),
  cursor: Schema.NullOr(Schema.String).annotations({ description: "Where to go on; null on the last page" })
}).annotations({ identifier: "SchedulePage" })
export type SchedulePage = typeof SchedulePage.Type

const Query = Schema.Struct({
  ...pageQuery("the answer"),
  function: described(Schema.NonEmptyString, "The bare name of the function"),
  name: described(Schema.NonEmptyString, "Its name"),
  status: described(Schema.Literal(...scheduleStatuses), "Whether it goes on")
}).annotations(strict)

const Id = HttpApiSchema.param("id", Schema.NonEmptyString.annotations({ description: "The schedule's id" }))

const Created = ScheduleAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Schedule", description: "The schedule, stored", status: 201 })
)
const Present = ScheduleAnswer.annotations(
  HttpApiSchema.annotations({
    identifier: "Schedule",
    description: "The schedule that the key or the id has made before"
  })
)
const Run = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The Task of this run, stored", status: 201 })
)
const PresentRun = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The Task that the key or the id has made before" })
)

export const v1Schedules = HttpApiGroup.make("v1Schedules")
  .add(
    HttpApiEndpoint.post("create", "/v1/schedules")
      .setHeaders(IdempotencyHeaders).setPayload(CreateScheduleRequest).setUrlParams(Empty)
      .addSuccess(Created).addSuccess(Present)
      .addError(BadRequest).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Runs a function again and again",
        description:
          "Stores a schedule for a function that exists, and answers it. An id of the caller's or a header " +
          "Idempotency-Key makes the request repeatable: the same again is answered with 200, another one with 409."
      }))
  )
  .add(
    HttpApiEndpoint.get("list", "/v1/schedules")
      .setUrlParams(Query).addSuccess(SchedulePage).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Lists schedules, newest first",
        description: "All that the query names must hold."
      }))
  )
  .add(
    HttpApiEndpoint.get("get")`/v1/schedules/${Id}`
      .setUrlParams(Empty).addSuccess(ScheduleAnswer).addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "One schedule",
        description:
          "Its rule, in the words of a request and in a sentence, and what has come of it so far. Its Tasks " +
          "are listed by GET /v1/tasks?scheduleId=... The ETag is what a PATCH wants back as If-Match."
      }))
  )
  .add(
    HttpApiEndpoint.patch("edit")`/v1/schedules/${Id}`
      .setHeaders(IfMatchHeaders).setPayload(EditScheduleRequest).setUrlParams(Empty).addSuccess(ScheduleAnswer)
      .addError(BadRequest).addError(NotFound).addError(Conflict).addError(PreconditionFailed).addError(TooLarge)
      .addError(UnsupportedMediaType).addError(PreconditionRequired).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Changes a schedule",
        description:
          "What is left out stays as it is. Once this has answered, nothing runs that was planned before and had not " +
          "begun; what has begun comes to its end as it is. Without another trigger the cadence stays. If-Match says which " +
          "revision was read: if somebody has edited since, it is a 412 REVISION_CONFLICT with the present ETag, and nothing " +
          "is changed. A schedule that is over is a 409 SCHEDULE_ENDED."
      }))
  )
  .add(
    HttpApiEndpoint.del("remove")`/v1/schedules/${Id}`
      .setUrlParams(Empty).addSuccess(HttpApiSchema.NoContent).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Ends a schedule and forgets it",
        description:
          "Cancels its live Tasks; those that have ended stay as long as retention keeps them. May be repeated: where " +
          "there is none, the answer is the same."
      }))
  )
  .add(
    HttpApiEndpoint.post("cancel")`/v1/schedules/${Id}/cancel`
      .setUrlParams(Empty).addSuccess(ScheduleAnswer)
      .addError(BadRequest).addError(NotFound).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Ends a schedule",
        description:
          "Cancels its live Tasks too: once this has answered, no new run starts. May be repeated; one that " +
          "is completed stays so."
      }))
  )
  .add(
    HttpApiEndpoint.post("pause")`/v1/schedules/${Id}/pause`
      .setPayload(PauseRequest).setUrlParams(Empty).addSuccess(ScheduleAnswer)
      .addError(BadRequest).addError(NotFound).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Pauses a schedule",
        description:
          "Once this has answered, no occurrence begins until it is resumed or the pause ends; one that has begun comes to " +
          "its end, and what is asked for by hand runs. What falls into the pause is recorded as skipped, and the cadence " +
          "stays. Who pauses again changes name, note and end. A schedule that is over is a 409 SCHEDULE_ENDED."
      }))
  )
  .add(
    HttpApiEndpoint.post("resume")`/v1/schedules/${Id}/resume`
      .setUrlParams(Empty).addSuccess(ScheduleAnswer)
      .addError(BadRequest).addError(NotFound).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Ends the pause of a schedule",
        description:
          "It goes on with the next instant that its rule names; a spaced run that was due in the pause starts now. May be " +
          "repeated. A schedule that is over is a 409 SCHEDULE_ENDED."
      }))
  )
  .add(
    HttpApiEndpoint.post("run")`/v1/schedules/${Id}/run`
      .setHeaders(IdempotencyHeaders).setPayload(RunScheduleRequest).setUrlParams(Empty)
      .addSuccess(Run).addSuccess(PresentRun)
      .addError(BadRequest).addError(NotFound).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Runs a schedule's function now",
        description:
          "Also while it is paused; its cadence and maxRuns are not touched. Needs no body. An id of the caller's or a " +
          "header Idempotency-Key makes the request repeatable: the same again is answered with 200, another one with 409. A " +
          "schedule that is over is a 409 SCHEDULE_ENDED."
      }))
  )
  .annotateContext(OpenApi.annotations({ title: "Schedules", description: "Rules that make Tasks again and again." }))

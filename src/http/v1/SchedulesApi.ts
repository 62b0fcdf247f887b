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
  Duration,
  Empty,
  NotFound,
  pageQuery,
  Runs,
  strict,
  TooLarge,
  Unavailable,
  UnsupportedMediaType
} from "../Contract.ts"
import { ScheduleAnswer, scheduleStatuses } from "./ScheduleAnswer.ts"
import { GivenTrigger, RecurringTriggerRequest } from "./TriggerRequest.ts"
import { IdempotencyHeaders, work } from "./WorkRequest.ts"

const fields = {
  ...work,
  id: described(Schema.String, "Its id, made by the caller (a UUID of version 7): makes the request repeatable"),
  startAt: described(
    Schema.String.annotations({ examples: ["2027-01-01T09:00:00+01:00"] }),
    "No occurrence is earlier; a fixed rate is anchored here. ISO 8601 with an offset. Default: now"
  ),
  endAt: described(Schema.String, "No occurrence is later. Default: none ends it"),
  initialDelay: described(Duration, "From now to the first occurrence, instead of startAt"),
  jitter: described(Duration, "Each occurrence is due up to this much later, by a share of its own"),
  maxRuns: described(Runs, "How many occurrences to start; without it there is no end")
}

export const CreateScheduleRequest = Schema.Struct({ ...fields, trigger: RecurringTriggerRequest }).annotations({
  identifier: "CreateScheduleRequest",
  examples: [{
    function: "report",
    name: "monday-report",
    trigger: { cron: "0 9 * * MON", timeZone: "Europe/Stockholm" }
  }]
})
export type CreateScheduleRequest = typeof CreateScheduleRequest.Type

/** What is read of it. */
export const GivenSchedule = Schema.Struct({ ...fields, trigger: Schema.optionalWith(GivenTrigger, { exact: true }) })

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
          "are listed by GET /v1/tasks?scheduleId=..."
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
  .annotateContext(OpenApi.annotations({ title: "Schedules", description: "Rules that make Tasks again and again." }))

/** The contract of `/v1/dead-letters`: Tasks that have failed for good. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { InvocationErrorReason } from "../../domain/Invocation.ts"
import { mostCounted } from "../../ports/TaskRepository.ts"
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
import { TaskPage, taskQuery } from "./TasksApi.ts"
import { work } from "./WorkRequest.ts"

const Reason = Schema.Literal(...InvocationErrorReason.literals, "Interrupted", "OwnerLost", "Expired")

/** Which dead letters; all that is named must hold. */
const which = {
  ...taskQuery,
  reason: described(Reason, "Why it has failed"),
  finishedFrom: described(Schema.NonEmptyString, "Failed at or after this instant, ISO 8601 with an offset"),
  finishedBefore: described(Schema.NonEmptyString, "Failed before this instant"),
  dueFrom: described(Schema.NonEmptyString, "Due at or after this instant"),
  dueBefore: described(Schema.NonEmptyString, "Due before this instant")
}
export type Which = Schema.Struct.Type<typeof which>

const whichOne = {
  ...which,
  id: described(Schema.UUID, "The one with this id"),
  redriven: described(Schema.Literal("true", "false"), "Whether it has been redriven")
}
export type WhichOne = Schema.Struct.Type<typeof whichOne>

const Count = Schema.Struct({
  count: Schema.Int.annotations({ description: `How many there are; counted up to ${mostCounted}` })
}).annotations({ identifier: "DeadLetterCount" })

const edited = {
  payload: described(Schema.Unknown, "Any JSON, instead of the dead letter's own payload"),
  payloadJson: work.payloadJson
}

export const RedriveRequest = Schema.Struct(edited).annotations({
  identifier: "RedriveRequest",
  examples: [{}, { payload: { month: "2027-01" } }]
})

/** Most dead letters that one request redrives. */
const mostRedriven = 10_000

/** How many one request redrives that does not say. */
export const redrivenByDefault = 1_000

export const RedriveAllRequest = Schema.Struct({
  filter: Schema.Struct({
    ...which,
    scheduleId: described(Schema.String, "The schedule that has made it"),
    ids: described(Schema.Array(Schema.String).pipe(Schema.maxItems(1_000)), "Those with these ids, at most 1000")
  }).annotations({ description: "Which dead letters: all that it names must hold; {} for all there are" }),
  limit: described(
    Schema.Number.pipe(Schema.int(), Schema.between(1, mostRedriven)),
    `How many to redrive in this request, 1 to ${mostRedriven}. Default: ${redrivenByDefault}`
  ),
  ...edited
}).annotations({
  identifier: "RedriveAllRequest",
  examples: [{ filter: { function: "payroll", reason: "FunctionError", finishedFrom: "2027-01-01T00:00:00Z" } }]
})
export type RedriveAllRequest = typeof RedriveAllRequest.Type

const RedriveAllAnswer = Schema.Struct({
  redriven: Schema.Int.annotations({ description: "How many this request has redriven" }),
  left: Schema.Int.annotations({
    description: `How many match and have not been redriven yet; counted up to ${mostCounted}`
  })
}).annotations({ identifier: "RedriveAllAnswer" })

const Purged = Schema.Struct({
  purged: Schema.Int.annotations({ description: "How many were removed" })
}).annotations({ identifier: "Purged" })

const Query = Schema.Struct({ ...pageQuery("the answer"), ...whichOne }).annotations(strict)
const CountQuery = Schema.Struct(whichOne).annotations(strict)
const PurgeQuery = Schema.Struct({
  ...whichOne,
  all: described(Schema.Literal("true"), "Instead of anything else: every dead letter there is")
}).annotations(strict)

const Id = HttpApiSchema.param("id", Schema.NonEmptyString.annotations({ description: "The dead letter's id" }))

const Made = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The new Task, stored", status: 201 })
)
const Present = TaskAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Task", description: "The Task that it has been redriven as before" })
)

export const v1DeadLetters = HttpApiGroup.make("v1DeadLetters")
  .add(
    HttpApiEndpoint.get("list", "/v1/dead-letters")
      .setUrlParams(Query).addSuccess(TaskPage).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Lists dead letters, newest first",
        description: "The Tasks that have failed for good, with their attempts. All that the query names must hold."
      }))
  )
  .add(
    HttpApiEndpoint.get("count", "/v1/dead-letters/count")
      .setUrlParams(CountQuery).addSuccess(Count).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Counts dead letters",
        description: "Those that a redrive or a purge with the same words would reach."
      }))
  )
  .add(
    HttpApiEndpoint.post("redrive")`/v1/dead-letters/${Id}/redrive`
      .setPayload(RedriveRequest).setUrlParams(Empty)
      .addSuccess(Made).addSuccess(Present)
      .addError(BadRequest).addError(NotFound).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Repeats one dead letter",
        description:
          "Stores a new Task, due now, for the same work, with a new budget of attempts; each names the other " +
          "(redriveOf, redrivenAs). Without a body the payload stays. Once: the same again is answered with 200 and the " +
          "Task that the first has made; 409 REDRIVE_CONFLICT if that has another payload than asked for now, or has been " +
          "removed since. A Task that has not failed is 409 TASK_NOT_FAILED."
      }))
  )
  .add(
    HttpApiEndpoint.post("redriveAll", "/v1/dead-letters/redrive")
      .setPayload(RedriveAllRequest).setUrlParams(Empty).addSuccess(RedriveAllAnswer)
      .addError(BadRequest).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Repeats many dead letters",
        description:
          "Those that match and have not been redriven yet, newest first, up to the limit. The same request again " +
          "goes on where this one has stopped; nothing is redriven twice."
      }))
  )
  .add(
    HttpApiEndpoint.del("purge", "/v1/dead-letters")
      .setUrlParams(PurgeQuery).addSuccess(Purged).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Removes dead letters for good",
        description: "With their attempts. Either those for which all that the query names holds, or all=true."
      }))
  )
  .annotateContext(OpenApi.annotations({ title: "Dead letters", description: "Tasks that have failed for good." }))

/** The contract of what answers questions: why something ran or did not, and how a schedule fares. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { BadRequest, Empty, NotFound, strict, Unavailable } from "../Contract.ts"
import { ExplanationAnswer, HealthAnswer } from "./ExplainAnswer.ts"

const Query = Schema.Struct({
  at: Schema.NonEmptyString.annotations({
    description: "The nominal instant, as the rule names it, ISO 8601 with an offset",
    examples: ["2027-01-31T09:00:00+01:00"]
  })
}).annotations(strict)

const TaskId = HttpApiSchema.param("id", Schema.NonEmptyString.annotations({ description: "The Task's id" }))
const ScheduleId = HttpApiSchema.param("id", Schema.NonEmptyString.annotations({ description: "The schedule's id" }))

export const v1Explain = HttpApiGroup.make("v1Explain")
  .add(
    HttpApiEndpoint.get("task")`/v1/tasks/${TaskId}/explain`
      .setUrlParams(Empty).addSuccess(ExplanationAnswer).addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Why a Task has run, or does not",
        description:
          "By which rule, what it waits for, and when it next will: for programs by codes, for people in a sentence."
      }))
  )
  .add(
    HttpApiEndpoint.get("schedule")`/v1/schedules/${ScheduleId}/explain`
      .setUrlParams(Query).addSuccess(ExplanationAnswer).addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Why a schedule did, or did not, run at an instant",
        description: "Past or to come: what has become of it, what it waits for, or why there is nothing of it."
      }))
  )
  .add(
    HttpApiEndpoint.get("health")`/v1/schedules/${ScheduleId}/health`
      .setUrlParams(Empty).addSuccess(HealthAnswer).addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "What is wrong with a schedule, or soon will be",
        description:
          "Judged by its rule and its latest 100 occurrences; errors first. It is answered with 200 in any case."
      }))
  )
  .annotateContext(OpenApi.annotations({ title: "Explanations", description: "Why something ran, or did not." }))

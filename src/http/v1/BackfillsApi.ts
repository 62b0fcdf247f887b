/** The contract of backfills: occurrences of a past range, made by hand. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { mostOfBackfill } from "../../domain/Backfill.ts"
import { taskStatuses } from "../../domain/Task.ts"
import type { TaskStatus } from "../../domain/Task.ts"
import { iso } from "../../domain/Time.ts"
import type { BackfillStatus } from "../../engine/SchedulesApi.ts"
import {
  BadRequest,
  Conflict,
  described,
  Empty,
  NotFound,
  TooLarge,
  Unavailable,
  UnsupportedMediaType
} from "../Contract.ts"
import { Instant, isoOrNull } from "../Instant.ts"

export const BackfillRequest = Schema.Struct({
  from: Schema.String.annotations({ description: "The first instant, ISO 8601 with an offset" }),
  to: Schema.String.annotations({
    description: "Where the range ends, which is not included: not after now, and at most 100 years later"
  }),
  concurrency: described(
    Schema.Int.pipe(Schema.between(1, 1_000)),
    "How many of its Tasks may be under way at once, 1 to 1000. Default: 1"
  ),
  overlap: described(
    Schema.Literal("bufferAll", "allowAll"),
    "bufferAll, the default: each waits for its turn. allowAll: they start all at once, as slots and limits allow"
  ),
  id: described(Schema.String, "Its id, made by the caller (a UUID of version 7): makes the request repeatable")
}).annotations({
  identifier: "BackfillRequest",
  examples: [{ from: "2025-01-01T00:00:00Z", to: "2025-01-08T00:00:00Z", concurrency: 4 }]
})
export type BackfillRequest = typeof BackfillRequest.Type

const note = (description: string) => ({ description })

export const BackfillAnswer = Schema.Struct({
  id: Schema.String.annotations(note("UUID version 7; its Tasks have the origin backfill:<id>")),
  scheduleId: Schema.String,
  status: Schema.Literal("Running", "Completed", "Cancelled").annotations(
    note("Completed: none of its Tasks is left to be run")
  ),
  from: Instant,
  to: Instant,
  concurrency: Schema.NullOr(Schema.Int).annotations(
    note("How many of its Tasks may be under way at once; null: all of them")
  ),
  total: Schema.Int.annotations(note("How many Tasks it has made")),
  counts: Schema.Record({
    key: Schema.Literal(...taskStatuses as readonly [TaskStatus, ...ReadonlyArray<TaskStatus>]),
    value: Schema.Int
  })
    .annotations(note("Its Tasks by their status; those that retention has removed are in none")),
  createdAt: Instant,
  cancelledAt: Schema.NullOr(Instant)
}).annotations({ identifier: "Backfill" })
export type BackfillAnswer = typeof BackfillAnswer.Type

export const BackfillList = Schema.Struct({ items: Schema.Array(BackfillAnswer) }).annotations({
  identifier: "BackfillList"
})

/** Shows a backfill. */
export const backfillAnswer = (backfill: BackfillStatus): BackfillAnswer => ({
  id: backfill.id,
  scheduleId: backfill.scheduleId,
  status: backfill.status,
  from: iso(backfill.from),
  to: iso(backfill.to),
  concurrency: backfill.concurrency ?? null,
  total: backfill.total,
  counts: backfill.counts,
  createdAt: iso(backfill.createdAt),
  cancelledAt: isoOrNull(backfill.cancelledAt)
})

const ScheduleId = HttpApiSchema.param("id", Schema.NonEmptyString.annotations(note("The schedule's id")))
const Id = HttpApiSchema.param("id", Schema.NonEmptyString.annotations(note("The backfill's id")))

const Started = BackfillAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Backfill", description: "The backfill, stored with its Tasks", status: 201 })
)
const Present = BackfillAnswer.annotations(
  HttpApiSchema.annotations({ identifier: "Backfill", description: "The backfill that the id has made before" })
)

export const v1Backfills = HttpApiGroup.make("v1Backfills")
  .add(
    HttpApiEndpoint.post("start")`/v1/schedules/${ScheduleId}/backfills`
      .setPayload(BackfillRequest).setUrlParams(Empty).addSuccess(Started).addSuccess(Present)
      .addError(BadRequest).addError(NotFound).addError(Conflict).addError(TooLarge).addError(UnsupportedMediaType)
      .addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Runs a schedule for a past range",
        description:
          `Stores a Task, due now, for each instant that its rule names in the range, at most ${mostOfBackfill}; they run ` +
          "beside those of the rule, with a turn of their own. An id of the caller's makes the request repeatable: the same " +
          "again is answered with 200, another one with 409. A schedule that is over is a 409 SCHEDULE_ENDED."
      }))
  )
  .add(
    HttpApiEndpoint.get("list")`/v1/schedules/${ScheduleId}/backfills`
      .setUrlParams(Empty).addSuccess(BackfillList).addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "The backfills of a schedule, newest first",
        description: "The newest 1000 of them, and how far they are."
      }))
  )
  .add(
    HttpApiEndpoint.get("get")`/v1/backfills/${Id}`
      .setUrlParams(Empty).addSuccess(BackfillAnswer).addError(BadRequest).addError(NotFound).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "One backfill",
        description: "How far it is. Its Tasks are listed by GET /v1/tasks?origin=backfill:<id>."
      }))
  )
  .add(
    HttpApiEndpoint.post("cancel")`/v1/backfills/${Id}/cancel`
      .setUrlParams(Empty).addSuccess(BackfillAnswer)
      .addError(BadRequest).addError(NotFound).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Cancels what is left of a backfill",
        description: "Once this has answered, no new run of it starts. May be repeated."
      }))
  )
  .annotateContext(
    OpenApi.annotations({ title: "Backfills", description: "Occurrences of a past range, made by hand." })
  )

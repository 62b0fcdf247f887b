/** A schedule as the HTTP face shows it. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Clock, Effect, Schema } from "effect"
import { inForce } from "../../domain/Pause.ts"
import type { TaskSchedule, TaskScheduleStatus } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { durationText, iso } from "../../domain/Time.ts"
import { describeRule } from "../../preview/describe.ts"
import { Instant, isoOrNull } from "../Instant.ts"
import { CatchUpAnswer, catchUpAnswer, OverlapAnswer, overlapAnswer } from "../Policies.ts"
import { functionAnswer } from "../TaskAnswer.ts"
import { PauseAnswer, pauseAnswer } from "./PauseRequest.ts"
import { etagOf } from "./Revision.ts"
import { RecurringTriggerRequest, triggerAnswer } from "./TriggerRequest.ts"

export const scheduleStatuses = [
  "Active",
  "Completed",
  "Cancelled"
] as const satisfies ReadonlyArray<TaskScheduleStatus>

const described = <A, I>(schema: Schema.Schema<A, I>, description: string) => schema.annotations({ description })

export const ScheduleAnswer = Schema.Struct({
  id: described(Schema.String, "UUID version 7"),
  name: Schema.String,
  function: described(Schema.String, "What it invokes: a name or an ARN, with its qualifier"),
  status: described(
    Schema.Literal(...scheduleStatuses),
    "Completed: maxRuns occurrences have been started, or the rule names no further one"
  ),
  trigger: described(RecurringTriggerRequest, "Its rule, as a request would say it"),
  description: described(Schema.String, "Its rule in a sentence"),
  overlap: described(OverlapAnswer, "What becomes of an occurrence that is due while another one is under way"),
  catchUp: described(
    CatchUpAnswer,
    "What becomes of occurrences whose instants passed while nobody could start them"
  ),
  pauseAfterFailures: described(
    Schema.NullOr(Schema.Int),
    "After how many failures in a row it is paused; null: it never is by itself"
  ),
  priority: described(Schema.Int, "Of its Tasks: -100 to 100"),
  createdAt: Instant,
  startAt: described(Schema.NullOr(Instant), "The anchor of a fixed rate; null for other rules"),
  endAt: described(Schema.NullOr(Instant), "No occurrence is later"),
  jitter: described(Schema.NullOr(Schema.String), "Each occurrence is due up to this much later"),
  maxRuns: described(Schema.NullOr(Schema.Int), "How many occurrences may be started; null: without end"),
  runs: described(Schema.Int, "How many occurrences have been started"),
  missed: described(
    Schema.Int,
    "How many were passed over, because their instants had gone by before anybody could start them"
  ),
  failures: described(
    Schema.Int,
    "How many of its occurrences have failed for good, one after the other; counted where pauseAfterFailures is set"
  ),
  pause: described(Schema.NullOr(PauseAnswer), "The pause that holds; null: it is not paused"),
  revision: described(Schema.Int, "Grows with every edit; in quotes it is the ETag"),
  next: described(
    Schema.NullOr(Instant),
    "The instant of the next occurrence, of spaced while it runs of the present one; null when it is over"
  )
}).annotations({ identifier: "Schedule" })
export type ScheduleAnswer = typeof ScheduleAnswer.Type

/** Shows a schedule as it is at an instant. */
export const scheduleAnswer = (schedule: TaskSchedule, now: EpochMillis): ScheduleAnswer => {
  const { recurrence } = schedule
  const pause = inForce(schedule.pause, now)
  return {
    id: schedule.id,
    name: schedule.name,
    function: functionAnswer(schedule.function),
    status: schedule.status,
    trigger: triggerAnswer(recurrence),
    description: describeRule(recurrence),
    overlap: overlapAnswer(schedule.overlap),
    catchUp: catchUpAnswer(schedule.catchUp),
    pauseAfterFailures: schedule.pauseAfterFailures ?? null,
    priority: schedule.priority,
    createdAt: iso(schedule.createdAt),
    startAt: recurrence._tag === "Fixed" ? iso(recurrence.anchor) : null,
    endAt: isoOrNull(recurrence.until),
    jitter: recurrence.jitter === undefined ? null : durationText(recurrence.jitter),
    maxRuns: schedule.maxRuns ?? null,
    runs: schedule.runs,
    missed: schedule.missed,
    failures: schedule.failures,
    pause: pause === undefined ? null : pauseAnswer(pause),
    revision: schedule.revision,
    next: schedule.status === "Active" ? iso(schedule.cursor) : null
  }
}

/**
 * One schedule, with its revision as the ETag: that is for If-Match only, since runs and pauses leave it as it is.
 *
 * @param respond what to answer it with; default: 200
 */
export const scheduleResponse = (
  schedule: TaskSchedule,
  respond: (answer: ScheduleAnswer) => HttpServerResponse.HttpServerResponse = HttpServerResponse.unsafeJson
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(
    Clock.currentTimeMillis,
    (now) => HttpServerResponse.setHeader(respond(scheduleAnswer(schedule, now)), "etag", etagOf(schedule))
  )

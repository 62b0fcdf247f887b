/** A schedule as the HTTP face shows it. */
import { Schema } from "effect"
import type { TaskSchedule, TaskScheduleStatus } from "../../domain/TaskSchedule.ts"
import { durationText, iso } from "../../domain/Time.ts"
import { describeRule } from "../../preview/describe.ts"
import { Instant, isoOrNull } from "../Instant.ts"
import { functionAnswer } from "../TaskAnswer.ts"
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
  createdAt: Instant,
  startAt: described(Schema.NullOr(Instant), "The anchor of a fixed rate; null for other rules"),
  endAt: described(Schema.NullOr(Instant), "No occurrence is later"),
  jitter: described(Schema.NullOr(Schema.String), "Each occurrence is due up to this much later"),
  maxRuns: described(Schema.NullOr(Schema.Int), "How many occurrences may be started; null: without end"),
  runs: described(Schema.Int, "How many occurrences have been started"),
  missed: described(Schema.Int, "How many were never made, because several had passed at once"),
  revision: described(Schema.Int, "Grows with every change of the rule"),
  next: described(
    Schema.NullOr(Instant),
    "The instant of the next occurrence, of spaced while it runs of the present one; null when it is over"
  )
}).annotations({ identifier: "Schedule" })
export type ScheduleAnswer = typeof ScheduleAnswer.Type

/** Shows a schedule. */
export const scheduleAnswer = (schedule: TaskSchedule): ScheduleAnswer => {
  const { recurrence } = schedule
  return {
    id: schedule.id,
    name: schedule.name,
    function: functionAnswer(schedule.function),
    status: schedule.status,
    trigger: triggerAnswer(recurrence),
    description: describeRule(recurrence),
    createdAt: iso(schedule.createdAt),
    startAt: recurrence._tag === "Fixed" ? iso(recurrence.anchor) : null,
    endAt: isoOrNull(recurrence.until),
    jitter: recurrence.jitter === undefined ? null : durationText(recurrence.jitter),
    maxRuns: schedule.maxRuns ?? null,
    runs: schedule.runs,
    missed: schedule.missed,
    revision: schedule.revision,
    next: schedule.status === "Active" ? iso(schedule.cursor) : null
  }
}

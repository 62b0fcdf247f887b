/** What is asked of `/v1/schedules`: to make one, to change it, to run it by hand. */
import { Effect, Schema } from "effect"
import { existing } from "../../domain/LambdaFunction.ts"
import type { DurationInput } from "../../domain/Time.ts"
import type { TimingOptions } from "../../domain/Trigger.ts"
import type { EditOptions, SchedulePolicies } from "../../engine/SchedulesApi.ts"
import { described, Duration, FunctionName, Runs } from "../Contract.ts"
import { CatchUpRequest, OverlapRequest } from "../Policies.ts"
import { problem } from "../Problem.ts"
import { GivenTrigger, readRecurring, RecurringTriggerRequest } from "./TriggerRequest.ts"
import { FunctionReference, payload, Priority, Retry, work, workOptions } from "./WorkRequest.ts"

const timing = {
  startAt: described(
    Schema.String.annotations({ examples: ["2027-01-01T09:00:00+01:00"] }),
    "No occurrence is earlier; a fixed rate is anchored here. ISO 8601 with an offset. Default: now"
  ),
  endAt: described(Schema.String, "No occurrence is later. Default: none ends it"),
  initialDelay: described(Duration, "From now to the first occurrence, instead of startAt"),
  jitter: described(Duration, "Each occurrence is due up to this much later, by a share of its own")
}

const Failures = Schema.Number.annotations({ jsonSchema: { type: "integer", minimum: 1, maximum: 1_000 } })

const policies = {
  overlap: described(
    OverlapRequest,
    "What becomes of an occurrence that is due while another one is under way. Default: skip"
  ),
  catchUp: described(
    CatchUpRequest,
    "What becomes of occurrences whose instants passed while nobody could start them. Default: latest"
  )
}

const created = {
  ...work,
  ...timing,
  ...policies,
  id: described(Schema.String, "Its id, made by the caller (a UUID of version 7): makes the request repeatable"),
  maxRuns: described(Runs, "How many occurrences to start; without it there is no end"),
  pauseAfterFailures: described(
    Failures,
    "Pauses it once so many of its occurrences in a row have failed for good, 1 to 1000. Default: never"
  )
}

export const CreateScheduleRequest = Schema.Struct({ ...created, trigger: RecurringTriggerRequest }).annotations({
  identifier: "CreateScheduleRequest",
  examples: [
    { function: "report", name: "monday-report", trigger: { cron: "0 9 * * MON", timeZone: "Europe/Stockholm" } },
    {
      function: "sync",
      trigger: { fixed: "1 hour" },
      overlap: { policy: "bufferAll", max: 10 },
      catchUp: { policy: "all", max: 24, window: "1 day" },
      pauseAfterFailures: 5
    }
  ]
})
export type CreateScheduleRequest = typeof CreateScheduleRequest.Type

/** What is read of it. */
export const GivenSchedule = Schema.Struct({ ...created, trigger: Schema.optionalWith(GivenTrigger, { exact: true }) })

const edited = {
  ...work,
  ...timing,
  ...policies,
  function: described(FunctionReference, "Another function that exists, with its qualifier"),
  qualifier: described(Schema.String, "A version or an alias of the function that is named beside it"),
  name: described(FunctionName, "Another name, also of its Tasks that have not begun"),
  payload: described(Schema.Unknown, "Another event, any JSON"),
  retry: described(Retry, "What is not said here stays as it is"),
  priority: described(Priority, "-100 to 100"),
  overlap: described(OverlapRequest, "What becomes of an occurrence that is due while another one is under way"),
  catchUp: described(CatchUpRequest, "What becomes of occurrences whose instants passed while nobody could start them"),
  maxRuns: described(Schema.NullOr(Runs), "More than have been started; null: without end"),
  pauseAfterFailures: described(Schema.NullOr(Failures), "1 to 1000; null: never")
}

export const EditScheduleRequest = Schema.Struct({
  ...edited,
  trigger: described(
    RecurringTriggerRequest,
    "Another rule, planned from now on; start, end and jitter belong to it and are said anew"
  )
}).annotations({
  identifier: "EditScheduleRequest",
  examples: [
    { trigger: { cron: "0 7 * * MON", timeZone: "Europe/Stockholm" } },
    { payload: { month: "2027-01" }, maxRuns: null }
  ]
})
export type EditScheduleRequest = typeof EditScheduleRequest.Type

/** What is read of it. */
export const GivenEdit = Schema.Struct({ ...edited, trigger: Schema.optionalWith(GivenTrigger, { exact: true }) })

export const RunScheduleRequest = Schema.Struct({
  payload: described(Schema.Unknown, "Any JSON, instead of the schedule's payload"),
  payloadJson: payload.payloadJson,
  overlap: described(OverlapRequest, "Instead of the schedule's policy, for this run"),
  id: described(Schema.String, "The Task's id, made by the caller (a UUID of version 7): makes the request repeatable")
}).annotations({
  identifier: "RunScheduleRequest",
  examples: [{}, { payload: { month: "2027-01" }, overlap: "allowAll" }]
})

type Given = Schema.Struct.Type<typeof timing & typeof policies>

/** The parts of a request that the scheduler takes as they are. */
export const ruleOptions = (
  { catchUp, endAt, initialDelay, jitter, overlap, startAt }: Given
): TimingOptions & Pick<SchedulePolicies, "overlap" | "catchUp"> => ({
  startAt,
  endAt,
  initialDelay: initialDelay as DurationInput | undefined,
  jitter: jitter as DurationInput | undefined,
  overlap,
  catchUp: typeof catchUp === "object" ? { ...catchUp, window: catchUp.window as DurationInput | undefined } : catchUp
})

const nothingSaid = problem(400, "BODY_INVALID", "Say what is to be different: at least one field.")
const qualifierAlone = problem(400, "BODY_INVALID", "qualifier: expected the function beside it")

/** What an edit asks for; what is absent stays as it is. */
export const readEdit = (body: typeof GivenEdit.Type) =>
  Effect.gen(function*() {
    if (Object.keys(body).length === 0) return yield* Effect.fail(nothingSaid)
    const { function: reference, maxRuns, pauseAfterFailures, qualifier, trigger } = body
    if (qualifier !== undefined && reference === undefined) return yield* Effect.fail(qualifierAlone)
    const edit: EditOptions = {
      ...(yield* workOptions(body)),
      ...ruleOptions(body),
      function: reference === undefined ? undefined : existing(reference, { qualifier }),
      trigger: trigger === undefined ? undefined : yield* readRecurring(trigger),
      maxRuns,
      pauseAfterFailures
    }
    return edit
  })

/**
 * The errors a caller can act on. One class per boundary, told apart by `reason`; everything else is a defect.
 */
import { Schema } from "effect"

/**
 * What can be wrong with what a caller handed in. The HTTP face answers each as a stable `code`:
 * the same words in upper snake case (`NameEmpty` is `NAME_EMPTY`).
 */
export const InvalidInputReason = Schema.Literal(
  "NameEmpty",
  "NameTooLong",
  "NamePattern",
  "NameType",
  "ArnPattern",
  "ArnService",
  "ArnRegionMismatch",
  "PayloadNotJson",
  "PayloadTooLarge",
  "PayloadTooDeep",
  "PayloadInvalid",
  "DateInvalid",
  "DateNoOffset",
  "DateRange",
  "IntervalInvalid",
  "IntervalTooSmall",
  "CronFields",
  "CronRange",
  "CronInvalid",
  "CronUnsupported",
  "CronTooLong",
  "CronNever",
  "WindowEmpty",
  "OptionInvalid",
  "ExpressionInvalid",
  "TimezoneUnknown",
  "ScheduleAmbiguous",
  "MaxRunsInvalid",
  "IdInvalid",
  "IdempotencyKeyInvalid",
  "TimeoutInvalid",
  "RetryInvalid",
  "PriorityInvalid",
  "TagsInvalid",
  "QueryInvalid",
  "CursorInvalid",
  "RuntimeUnsupported",
  "MemoryInvalid",
  "HandlerInvalid",
  "RoleInvalid",
  "EnvReserved",
  "EnvInvalid",
  "CodeInvalid",
  "ZipInvalid",
  "ZipSymlink",
  "ZipTooLarge",
  "BackfillTooLarge",
  "Unsupported"
)
export type InvalidInputReason = typeof InvalidInputReason.Type

/**
 * Something a caller handed in cannot be accepted. Nothing was stored, deployed or invoked.
 * `message` says what was expected and what came; it never repeats more than 100 characters of the input.
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", {
  reason: InvalidInputReason,
  /** The field at fault, as the caller named it. */
  field: Schema.String,
  message: Schema.String
}) {}

/** No Task has this id (it never did, or retention has removed it). */
export class TaskNotFound extends Schema.TaggedError<TaskNotFound>()("TaskNotFound", {
  id: Schema.String
}) {
  override get message(): string {
    return `No Task has the id ${this.id}. It never existed, or retention has removed it.`
  }
}

/** No TaskSchedule has this id. */
export class TaskScheduleNotFound extends Schema.TaggedError<TaskScheduleNotFound>()("TaskScheduleNotFound", {
  id: Schema.String
}) {
  override get message(): string {
    return `No TaskSchedule has the id ${this.id}.`
  }
}

/** No backfill has this id. */
export class BackfillNotFound extends Schema.TaggedError<BackfillNotFound>()("BackfillNotFound", {
  id: Schema.String
}) {
  override get message(): string {
    return `No backfill has the id ${this.id}.`
  }
}

/** The schedule has ended: it cannot be changed, paused or run any more. Nothing was stored. */
export class TaskScheduleEnded extends Schema.TaggedError<TaskScheduleEnded>()("TaskScheduleEnded", {
  id: Schema.String,
  status: Schema.Literal("Completed", "Cancelled")
}) {
  override get message(): string {
    return `TaskSchedule ${this.id} is ${this.status}: there is nothing left of it to be changed or run. Create another one.`
  }
}

/** Somebody else has changed the schedule since it was read. Nothing was stored: read it again, and decide anew. */
export class RevisionConflict extends Schema.TaggedError<RevisionConflict>()("RevisionConflict", {
  id: Schema.String,
  /** The revision that the change was made for. */
  expected: Schema.Int,
  /** The one that the schedule has. */
  actual: Schema.Int
}) {
  override get message(): string {
    return `TaskSchedule ${this.id} is at revision ${this.actual}, and the change was made for revision ${this.expected}. ` +
      "Read it again, and decide anew."
  }
}

/** The Task has already ended, so it cannot be cancelled any more. */
export class TaskFinished extends Schema.TaggedError<TaskFinished>()("TaskFinished", {
  id: Schema.String,
  status: Schema.Literal("Succeeded", "Failed", "Skipped")
}) {
  override get message(): string {
    return `Task ${this.id} has already ended (${this.status}); there is nothing left to cancel.`
  }
}

/** The Task is no dead letter: only one that has `Failed` can be redriven. Nothing was stored. */
export class TaskNotFailed extends Schema.TaggedError<TaskNotFailed>()("TaskNotFailed", {
  id: Schema.String,
  status: Schema.Literal("Scheduled", "Running", "Succeeded", "Cancelled", "Skipped")
}) {
  override get message(): string {
    return `Task ${this.id} is ${this.status}; only one that has Failed can be redriven.`
  }
}

/**
 * The dead letter has been redriven before, once and for all: with another payload than was asked for now
 * (`OtherPayload`), or by a Task that has ended and been removed by retention (`Removed`). Nothing was stored.
 */
export class RedriveConflict extends Schema.TaggedError<RedriveConflict>()("RedriveConflict", {
  reason: Schema.Literal("OtherPayload", "Removed"),
  /** The dead letter. */
  id: Schema.String,
  /** The Task that repeats it. */
  redrivenAs: Schema.String
}) {
  override get message(): string {
    return this.reason === "OtherPayload"
      ? `Task ${this.id} has been redriven as ${this.redrivenAs}, with another payload. If that fails as well, redrive that one.`
      : `Task ${this.id} has been redriven as ${this.redrivenAs}, which has ended and been removed since.`
  }
}

/**
 * The idempotency key has been used before: for another request (`OtherRequest`), or for this one, and what it has made
 * has ended and been removed by retention (`Removed`). Nothing was stored.
 */
export class IdempotencyConflict extends Schema.TaggedError<IdempotencyConflict>()("IdempotencyConflict", {
  reason: Schema.Literal("OtherRequest", "Removed"),
  key: Schema.String,
  /** The Task or schedule that the key has made. */
  id: Schema.String
}) {
  override get message(): string {
    return this.reason === "OtherRequest"
      ? `The idempotency key has been used for another request, which made ${this.id}. Use another key, or the same request.`
      : `The idempotency key has been used for this request, and what it made (${this.id}) has been removed since.`
  }
}

/** The scheduler's scope has closed: it accepts no more work. Nothing was stored. */
export class SchedulerClosed extends Schema.TaggedError<SchedulerClosed>()("SchedulerClosed", {}) {
  override get message(): string {
    return "The scheduler is shut down (its Layer's scope has closed). Schedule before closing, or build the Layer again."
  }
}

/** The awaited Task ended without a result. */
export class TaskNotSucceeded extends Schema.TaggedError<TaskNotSucceeded>()("TaskNotSucceeded", {
  id: Schema.String,
  status: Schema.Literal("Failed", "Cancelled", "Skipped"),
  /** The failure's or skip's reason; `Cancelled` for a cancelled Task. */
  reason: Schema.String,
  message: Schema.String
}) {}

/** The awaited Task succeeded, but its result does not match the function's result Schema, or is not JSON. */
export class ResultInvalid extends Schema.TaggedError<ResultInvalid>()("ResultInvalid", {
  id: Schema.String,
  message: Schema.String
}) {}

/**
 * The store did not do what was asked. `Unavailable` is worth a retry. `Corrupt` (what is stored cannot be read),
 * `Rejected` (what was to be stored is refused) and `Incompatible` (the store is another version's) are not.
 */
export class TaskRepositoryError extends Schema.TaggedError<TaskRepositoryError>()("TaskRepositoryError", {
  reason: Schema.Literal("Unavailable", "LeaseLost", "Corrupt", "Rejected", "Incompatible"),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/** Part of the scheduler does not do its work; the message says which part and since when. */
export class SchedulerNotReady extends Schema.TaggedError<SchedulerNotReady>()("SchedulerNotReady", {
  message: Schema.String
}) {}

/** A Task as the HTTP face shows it. */
import { Schema } from "effect"
import { AttemptOutcome } from "../domain/Invocation.ts"
import type { InvocationBody } from "../domain/Invocation.ts"
import type { Attempt, CancelCause, FunctionTarget, SkipReason, Task } from "../domain/Task.ts"
import { durationOf, executedAt, isFinished, startedAt, taskStatuses } from "../domain/Task.ts"
import { iso } from "../domain/Time.ts"
import { Instant, isoOrNull, plannedIso } from "./Instant.ts"
import { TaskOverlapAnswer, taskOverlapAnswer } from "./Policies.ts"

const described = <A, I>(schema: Schema.Schema<A, I>, description: string) => schema.annotations({ description })

const skipReasons = ["overlap", "paused", "catchUp", "window", "cap"] as const satisfies ReadonlyArray<SkipReason>
const cancelCauses = [
  "task",
  "schedule",
  "function",
  "name",
  "backfill",
  "overlap"
] as const satisfies ReadonlyArray<CancelCause>

const AttemptAnswer = Schema.Struct({
  number: described(Schema.Int, "1, 2, ..."),
  startedAt: Instant,
  endedAt: Schema.NullOr(Instant),
  durationMs: described(Schema.NullOr(Schema.Int), "From its start to its end, in milliseconds"),
  outcome: Schema.NullOr(AttemptOutcome),
  error: Schema.NullOr(Schema.Struct({
    reason: Schema.String,
    message: Schema.String,
    errorType: Schema.NullOr(Schema.String)
  })),
  requestId: Schema.NullOr(Schema.String),
  executedVersion: described(Schema.NullOr(Schema.String), "The version of the function that ran"),
  logTail: described(Schema.NullOr(Schema.String), "The end of its log, at most 4 KB")
})

export const TaskAnswer = Schema.Struct({
  id: described(Schema.String, "UUID version 7"),
  name: Schema.String,
  function: described(Schema.String, "What it invokes: a name or an ARN, with its qualifier"),
  status: Schema.Literal(...taskStatuses),
  scheduleId: described(Schema.NullOr(Schema.String), "The schedule that made it; null for a one-shot"),
  origin: described(
    Schema.NullOr(Schema.String),
    "What made it of its schedule: schedule, manual:<its id> or backfill:<id>; null for a one-shot"
  ),
  redriveOf: described(Schema.NullOr(Schema.String), "The dead letter that it repeats"),
  redrivenAs: described(Schema.NullOr(Schema.String), "The Task that repeats it, once it has failed for good"),
  priority: described(Schema.Int, "-100 to 100: what has more of it starts first where not everything due can start"),
  overlap: described(Schema.NullOr(TaskOverlapAnswer), "What holds for it instead of its schedule's policy"),
  createdAt: Instant,
  nominalAt: described(Instant, "The instant its rule names"),
  scheduledAt: described(Instant, "The instant it is due: the nominal one, or a retry's"),
  startedAt: described(Schema.NullOr(Instant), "When its latest attempt began"),
  executedAt: described(Schema.NullOr(Instant), "When its latest attempt ended"),
  finishedAt: Schema.NullOr(Instant),
  jsonPayload: described(Schema.String, "The JSON text that the function gets, byte for byte"),
  result: described(
    Schema.Unknown,
    "What the function answered: parsed when it is JSON, else the text; null when there is none"
  ),
  resultEncoding: described(
    Schema.NullOr(Schema.Literal("json", "text", "base64")),
    "How to read `result`; base64 for bytes that are no text"
  ),
  failure: described(
    Schema.NullOr(Schema.Struct({ reason: Schema.String, message: Schema.String })),
    "Why it failed for good"
  ),
  cancelledBy: described(
    Schema.NullOr(Schema.Literal(...cancelCauses)),
    "Who or what cancelled it: itself, its schedule, its function or name, its backfill, or a later occurrence (overlap)"
  ),
  skipped: described(
    Schema.NullOr(Schema.Literal(...skipReasons)),
    "Why it did not run: another one was under way (overlap); its schedule was paused; it was late and is not made up " +
      "for (catchUp), later than it may be (window), or one too many (cap)"
  ),
  skippedCount: described(
    Schema.NullOr(Schema.Int),
    "For how many occurrences, one after the other, this record of what was skipped stands; 1: for its own"
  ),
  skippedUpTo: described(
    Schema.NullOr(Instant),
    "The nominal instant of the last of them; nominalAt is that of the first"
  ),
  skippedNote: described(Schema.NullOr(Schema.String), "By whom and why, where somebody has said so"),
  attempts: Schema.Array(AttemptAnswer),
  logTail: described(Schema.NullOr(Schema.String), "The end of the latest attempt's log, at most 4 KB")
}).annotations({ identifier: "Task" })
export type TaskAnswer = typeof TaskAnswer.Type

/** The function as an invocation names it. */
export const functionAnswer = ({ arn, name, qualifier }: FunctionTarget): string =>
  `${arn ?? name}${qualifier === undefined ? "" : `:${qualifier}`}`

const resultAnswer = (body: InvocationBody | undefined): Pick<TaskAnswer, "result" | "resultEncoding"> => {
  if (body === undefined || body.text === "") return { result: null, resultEncoding: null }
  if (body.encoding === "base64") return { result: body.text, resultEncoding: "base64" }
  try {
    return { result: JSON.parse(body.text) as unknown, resultEncoding: "json" }
  } catch {
    // Not JSON is fine: the text is the result.
    return { result: body.text, resultEncoding: "text" }
  }
}

const attemptAnswer = (attempt: Attempt): TaskAnswer["attempts"][number] => ({
  number: attempt.number,
  startedAt: iso(attempt.startedAt),
  endedAt: isoOrNull(attempt.ended?.at),
  durationMs: durationOf(attempt) ?? null,
  outcome: attempt.ended?.outcome ?? null,
  error: attempt.ended?.error === undefined
    ? null
    : {
      reason: attempt.ended.error.reason,
      message: attempt.ended.error.message,
      errorType: attempt.ended.error.errorType ?? null
    },
  requestId: attempt.ended?.requestId ?? null,
  executedVersion: attempt.ended?.executedVersion ?? null,
  logTail: attempt.ended?.logTail ?? null
})

const skipAnswer = (task: Task): Pick<TaskAnswer, "skipped" | "skippedCount" | "skippedUpTo" | "skippedNote"> =>
  task.status === "Skipped"
    ? {
      skipped: task.skipped,
      skippedCount: task.range?.count ?? 1,
      skippedUpTo: iso(task.range?.last ?? task.nominalAt),
      skippedNote: task.note ?? null
    }
    : { skipped: null, skippedCount: null, skippedUpTo: null, skippedNote: null }

/** Shows a Task; nothing in it is a secret of the server. */
export const taskAnswer = (task: Task): TaskAnswer => ({
  id: task.id,
  name: task.name,
  function: functionAnswer(task.function),
  status: task.status,
  scheduleId: task.scheduleId ?? null,
  origin: task.origin ?? null,
  redriveOf: task.redriveOf ?? null,
  redrivenAs: task.status === "Failed" ? task.redrivenAs ?? null : null,
  priority: task.priority,
  overlap: task.overlap === undefined ? null : taskOverlapAnswer(task.overlap),
  createdAt: iso(task.createdAt),
  nominalAt: iso(task.nominalAt),
  scheduledAt: plannedIso(task.dueAt),
  startedAt: isoOrNull(startedAt(task)),
  executedAt: isoOrNull(executedAt(task)),
  finishedAt: isFinished(task) ? iso(task.finishedAt) : null,
  jsonPayload: task.payload,
  ...resultAnswer(task.status === "Succeeded" ? task.result : undefined),
  failure: task.status === "Failed" ? { reason: task.failure.reason, message: task.failure.message } : null,
  cancelledBy: task.status === "Cancelled" ? task.cancelledBy : null,
  ...skipAnswer(task),
  attempts: task.attempts.map(attemptAnswer),
  logTail: task.attempts.at(-1)?.ended?.logTail ?? null
})

/** What is known of a run once it is over: what was asked, what the endpoint saw, what the store says. */
import { Either, Schema } from "effect"
import { AttemptOutcome } from "../../src/domain/Invocation.ts"
import { Recurrence } from "../../src/domain/Recurrence.ts"

/** How a scripted function ended an invocation. */
export const Verdict = Schema.Literal("success", "error", "throttle", "reset")
export type Verdict = typeof Verdict.Type

/** One line of the recording endpoint's log. An invocation that hangs has an arrival only. */
export const EndpointLine = Schema.Struct({
  /** Epoch milliseconds by the endpoint's clock. */
  t: Schema.Number,
  kind: Schema.Literal("arrival", "answer"),
  function: Schema.String,
  taskId: Schema.String,
  attempt: Schema.Number,
  idempotencyKey: Schema.String,
  /** Of an answer. */
  verdict: Schema.optional(Verdict),
  /** Of an answer: whether the caller was still there to get it. */
  delivered: Schema.optional(Schema.Boolean)
})
export type EndpointLine = typeof EndpointLine.Type

/**
 * One line of a worker's journal, written before the next step is taken. `ask` names one call of `schedule` or
 * `repeat`; the Task or TaskSchedule carries it as its name.
 */
export const JournalLine = Schema.Union(
  Schema.Struct({
    kind: Schema.Literal("asked"),
    ask: Schema.String,
    /** The instant asked for, epoch milliseconds; `null` for "now" and for schedules. */
    due: Schema.NullOr(Schema.Number)
  }),
  Schema.Struct({ kind: Schema.Literal("acknowledged"), ask: Schema.String, id: Schema.String }),
  Schema.Struct({ kind: Schema.Literal("refused"), ask: Schema.String, message: Schema.String }),
  /** The worker has a new lease under this id. */
  Schema.Struct({ kind: Schema.Literal("lease"), instance: Schema.String })
)
export type JournalLine = typeof JournalLine.Type

const AttemptRow = Schema.Struct({
  number: Schema.Number,
  /** `null` while it runs. */
  outcome: Schema.NullOr(AttemptOutcome)
})
export const TaskRow = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  status: Schema.Literal("Scheduled", "Running", "Succeeded", "Failed", "Cancelled", "Skipped"),
  owner: Schema.NullOr(Schema.String),
  scheduleId: Schema.NullOr(Schema.String),
  nominalAt: Schema.Number,
  dueAt: Schema.Number,
  attempts: Schema.Array(AttemptRow),
  /** Why it did not run, and of how many occurrences in a row, itself the first of them, it tells that. */
  skip: Schema.NullOr(Schema.Struct({ reason: Schema.String, count: Schema.Number }))
})
export type TaskRow = typeof TaskRow.Type

export const ScheduleRow = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  recurrence: Recurrence,
  /** Nominal instant of its latest occurrence. */
  cursor: Schema.Number,
  /** Occurrences whose instants had gone by before anybody could start them. */
  missed: Schema.Number
})
export type ScheduleRow = typeof ScheduleRow.Type

export interface Asked {
  readonly ask: string
  readonly due: number | null
}

export interface Acknowledged {
  readonly ask: string
  readonly id: string
}

export interface History {
  readonly asked: ReadonlyArray<Asked>
  readonly acknowledged: ReadonlyArray<Acknowledged>
  readonly endpoint: ReadonlyArray<EndpointLine>
  readonly tasks: ReadonlyArray<TaskRow>
  readonly schedules: ReadonlyArray<ScheduleRow>
  /** Ids of the instances whose lease had not ended when the rows were read. */
  readonly living: ReadonlySet<string>
  /** When the rows were read, epoch milliseconds. */
  readonly now: number
  /** What every Task was asked with. */
  readonly maxAttempts: number
}

/** Lines of JSON. The last one may be cut off, because its writer was killed. */
export const parseLines = <A, I>(schema: Schema.Schema<A, I>, text: string): ReadonlyArray<A> => {
  const lines = text.split("\n")
  const last = lines.pop() ?? ""
  const decode = Schema.decodeSync(Schema.parseJson(schema))
  const whole = lines.filter((line) => line !== "").map((line) => decode(line))
  const cut = Schema.decodeEither(Schema.parseJson(schema))(last)
  return Either.isRight(cut) ? [...whole, cut.right] : whole
}

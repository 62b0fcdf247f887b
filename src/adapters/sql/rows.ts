/** Tasks and schedules as rows: what is written is read back the same, and what cannot be read is told, not guessed. */
import type { InstanceId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { AttemptOutcome, InvocationBody } from "../../domain/Invocation.ts"
import type { Attempt, Task, TaskFields, TaskStatus } from "../../domain/Task.ts"
import type { TaskSchedule, TaskScheduleStatus } from "../../domain/TaskSchedule.ts"
import {
  decodeAttemptFailure,
  decodeCancelCause,
  decodeCatchUp,
  decodeFailure,
  decodeOverlap,
  decodeOwnOverlap,
  decodePause,
  decodeRecurrence,
  decodeRetry,
  decodeSkip,
  decodeTags,
  decodeTarget,
  encodeCatchUp,
  encodeFailure,
  encodeOverlap,
  encodeSkip,
  Undecodable
} from "./codecs.ts"
import type { Row } from "./Db.ts"

/** The newest version of a row that this program reads. */
const rowVersion = 2

/** The version of a Task's row: an older program must leave alone what was made by hand, and is not the rule's. */
export const versionOfTask = ({ origin }: Pick<Task, "origin">): number =>
  origin === undefined || origin === "schedule" ? 1 : 2

/** The version of a schedule's row: an older program must leave alone what has policies that it does not know. */
export const versionOfSchedule = ({ catchUp, overlap, pause, pauseAfterFailures }: TaskSchedule): number =>
  encodeOverlap(overlap) === undefined && encodeCatchUp(catchUp) === undefined && pause === undefined &&
    pauseAfterFailures === undefined
    ? 1
    : 2

/**
 * The columns of a Task, in the order in which `decodeTask` takes them. `t` is the row.
 *
 * @param attempts the quoted name of the table of attempts
 */
export const taskColumns = (attempts: string): string =>
  "t.id, t.v, t.status, t.name, t.function_name, t.function, t.payload, t.tags::text, t.retry, t.schedule_id, " +
  "t.origin, t.created_at, t.nominal_at, t.due_at, t.claimable_at, t.owner, t.token, t.attempt, t.started_at, " +
  "t.finished_at, t.result, t.result_encoding, t.failure, t.skipped, t.priority, t.redrive_of, t.redriven_as, " +
  "t.overlap, " +
  // One that has not begun, or is in its first attempt, has no history to be read.
  "CASE WHEN t.attempt > 1 OR (t.attempt = 1 AND t.started_at IS NULL) THEN (SELECT json_agg(json_build_array(" +
  "a.number, a.started_at, a.ended_at, a.outcome, a.error, a.request_id, a.executed_version, a.log_tail) " +
  `ORDER BY a.number)::text FROM ${attempts} a WHERE a.task_id = t.id) END`

const integer = (value: unknown, column: string): number => {
  // Columns of 64 bits come as text.
  const number = typeof value === "string" ? Number(value) : value
  if (typeof number === "number" && Number.isSafeInteger(number)) return number
  throw new Undecodable(`${column}: expected a whole number, got ${String(value)}`)
}

const optional = <A>(value: unknown): A | undefined => value === null ? undefined : value as A

const required = <A>(value: A | null | undefined, column: string): A => {
  if (value !== null && value !== undefined) return value
  throw new Undecodable(`${column}: expected a value, got none`)
}

const outcomes: ReadonlySet<unknown> = new Set(
  ["succeeded", "failed", "throttled", "notReady", "notSent", "unknown"] satisfies Array<AttemptOutcome>
)

type AttemptRow = readonly [number, number, number, string, string | null, string | null, string | null, string | null]

const decodeAttempt = (row: AttemptRow): Attempt => {
  const [number, startedAt, endedAt, outcome, error, requestId, executedVersion, logTail] = row
  if (!outcomes.has(outcome)) throw new Undecodable(`outcome: expected that of an attempt, got ${outcome}`)
  return {
    number,
    startedAt,
    ended: {
      at: endedAt,
      outcome: outcome as AttemptOutcome,
      error: error === null ? undefined : decodeAttemptFailure(error),
      requestId: requestId ?? undefined,
      executedVersion: executedVersion ?? undefined,
      logTail: logTail ?? undefined
    }
  }
}

const none: ReadonlyArray<Attempt> = []

const decodeAttempts = (history: unknown, attempt: number, startedAt: unknown): ReadonlyArray<Attempt> => {
  const ended = typeof history === "string"
    ? (JSON.parse(history) as ReadonlyArray<AttemptRow>).map(decodeAttempt)
    : none
  // What is missing must not have its number sent again.
  if (
    ended.length !== attempt - (startedAt === null ? 0 : 1) || ended.some(({ number }, index) => number !== index + 1)
  ) {
    throw new Undecodable(`attempt: expected the history of ${attempt}, got ${ended.length} that have ended`)
  }
  return startedAt === null
    ? ended
    : [...ended, { number: attempt, startedAt: integer(startedAt, "started_at"), ended: undefined }]
}

const decodeResult = (text: unknown, encoding: unknown): InvocationBody => {
  const result = required(text as string | null, "result")
  switch (encoding) {
    case "utf8":
    case "base64":
      return { text: result, encoding }
    case "utf8 truncated":
      return { text: result, encoding: "utf8", truncated: true }
    case "base64 truncated":
      return { text: result, encoding: "base64", truncated: true }
    default:
      throw new Undecodable(`result_encoding: expected utf8 or base64, got ${String(encoding)}`)
  }
}

const resultEncoding = (body: InvocationBody): string =>
  body.truncated === true ? `${body.encoding} truncated` : body.encoding

/**
 * Reads a row of `taskColumns`.
 *
 * @throws Undecodable
 */
export const decodeTask = (row: Row): Task => {
  if (integer(row[1], "v") > rowVersion) {
    throw new Undecodable(`v: this program reads rows up to version ${rowVersion}, this one has ${String(row[1])}`)
  }
  const attempt = integer(row[17], "attempt")
  const fields: TaskFields & { readonly status: TaskStatus } = {
    status: row[2] as TaskStatus,
    id: row[0] as TaskId,
    name: row[3] as string,
    function: decodeTarget(row[4] as string, row[5] as string),
    payload: row[6] as string,
    tags: decodeTags(row[7] as string | null),
    retry: decodeRetry(row[8] as string),
    priority: integer(row[24], "priority"),
    scheduleId: optional<TaskScheduleId>(row[9]),
    origin: optional<string>(row[10]),
    overlap: decodeOwnOverlap(row[27] as string | null),
    redriveOf: optional<TaskId>(row[25]),
    createdAt: integer(row[11], "created_at"),
    nominalAt: integer(row[12], "nominal_at"),
    dueAt: integer(row[13], "due_at"),
    claimableAt: integer(row[14], "claimable_at"),
    owner: optional<InstanceId>(row[15]),
    token: integer(row[16], "token"),
    attempts: decodeAttempts(row[28], attempt, row[18])
  }
  const finishedAt = () => integer(row[19], "finished_at")
  switch (fields.status) {
    case "Scheduled":
      return { ...fields, status: "Scheduled" }
    case "Running":
      required(row[18], "started_at")
      return { ...fields, status: "Running" }
    case "Succeeded":
      return { ...fields, status: "Succeeded", finishedAt: finishedAt(), result: decodeResult(row[20], row[21]) }
    case "Failed":
      return {
        ...fields,
        status: "Failed",
        finishedAt: finishedAt(),
        failure: decodeFailure(required(row[22] as string | null, "failure")),
        redrivenAs: optional<TaskId>(row[26])
      }
    case "Cancelled":
      return {
        ...fields,
        status: "Cancelled",
        finishedAt: finishedAt(),
        cancelledBy: decodeCancelCause(row[22] as string | null)
      }
    case "Skipped":
      return {
        ...fields,
        status: "Skipped",
        finishedAt: finishedAt(),
        ...decodeSkip(required(row[23] as string | null, "skipped"))
      }
    default:
      throw new Undecodable(`status: expected that of a Task, got ${String(row[2])}`)
  }
}

/** The columns that change in the life of a Task, as `Running`, an end or a release leave them. */
export const changingColumns = (task: Task) => ({
  status: task.status,
  dueAt: task.dueAt,
  claimableAt: task.claimableAt,
  owner: task.owner,
  token: task.token,
  attempt: task.attempts.length,
  startedAt: task.status === "Running" ? task.attempts[task.attempts.length - 1]?.startedAt : undefined,
  finishedAt: "finishedAt" in task ? task.finishedAt : undefined,
  result: task.status === "Succeeded" ? task.result.text : undefined,
  resultEncoding: task.status === "Succeeded" ? resultEncoding(task.result) : undefined,
  failure: task.status === "Failed"
    ? encodeFailure(task.failure)
    : task.status === "Cancelled"
    ? task.cancelledBy
    : undefined,
  skipped: task.status === "Skipped" ? encodeSkip(task) : undefined
})

/** The columns of a schedule, in the order in which `decodeSchedule` takes them. */
export const scheduleColumns = "s.id, s.v, s.name, s.function_name, s.function, s.payload, s.tags::text, s.retry, " +
  "s.recurrence, s.max_runs, s.created_at, s.status, s.revision, s.cursor, s.runs, s.missed, s.priority, s.overlap, " +
  "s.catch_up, s.pause_after, s.failures, s.pause"

const scheduleStatuses: ReadonlySet<unknown> = new Set(
  ["Active", "Completed", "Cancelled"] satisfies Array<TaskScheduleStatus>
)

/** @throws Undecodable */
export const decodeSchedule = (row: Row): TaskSchedule => {
  if (integer(row[1], "v") > rowVersion) {
    throw new Undecodable(`v: this program reads rows up to version ${rowVersion}, this one has ${String(row[1])}`)
  }
  if (!scheduleStatuses.has(row[11])) {
    throw new Undecodable(`status: expected that of a schedule, got ${String(row[11])}`)
  }
  return {
    id: row[0] as TaskScheduleId,
    name: row[2] as string,
    function: decodeTarget(row[3] as string, row[4] as string),
    payload: row[5] as string,
    tags: decodeTags(row[6] as string | null),
    retry: decodeRetry(row[7] as string),
    priority: integer(row[16], "priority"),
    recurrence: decodeRecurrence(row[8] as string),
    overlap: decodeOverlap(row[17] as string | null),
    catchUp: decodeCatchUp(row[18] as string | null),
    pauseAfterFailures: row[19] === null ? undefined : integer(row[19], "pause_after"),
    maxRuns: row[9] === null ? undefined : integer(row[9], "max_runs"),
    createdAt: integer(row[10], "created_at"),
    status: row[11] as TaskScheduleStatus,
    revision: integer(row[12], "revision"),
    cursor: integer(row[13], "cursor"),
    runs: integer(row[14], "runs"),
    missed: integer(row[15], "missed"),
    failures: integer(row[20], "failures"),
    pause: decodePause(row[21] as string | null)
  }
}

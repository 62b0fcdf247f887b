/** Ends of attempts that no schedule follows: many callers, one statement that writes Task and history. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { InstanceId, TaskId } from "../../domain/Ids.ts"
import type { Attempt, FinishedTask, RunningTask, ScheduledTask, Task } from "../../domain/Task.ts"
import type { SettledTo } from "../../domain/TaskLifecycle.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { SettleRequest, SettleVerdict, TaskChangeKind } from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import { encodeFailure } from "./codecs.ts"
import { changingColumns } from "./rows.ts"
import type { Store } from "./Store.ts"
import { inOrder, isHeld, noteChanges } from "./Store.ts"

export interface SettlingRequest {
  readonly owner: InstanceId
  readonly request: SettleRequest
}

/** Whether an end needs nothing but its own row, and the writer knows what is in it. */
export const settlesAlone = ({ request }: SettlingRequest): boolean =>
  request.successor === undefined && request.running !== undefined && request.tells !== true

export const settledKinds: Readonly<Record<SettledTo["_tag"], TaskChangeKind>> = {
  Succeeded: "succeeded",
  Failed: "failed",
  Retry: "retrying"
}

/** Roughly what an end costs on its way to the database. */
export const bytesOfEnd = ({ request: { end, to } }: SettlingRequest): number =>
  300 + (end.logTail?.length ?? 0) + (end.error?.message.length ?? 0) +
  (to._tag === "Succeeded" ? to.result.text.length : 0)

/** The columns of attempts that have ended, as parameters of `attemptArrays`. */
export const endedAttempts = (
  attempts: ReadonlyArray<
    { readonly task: Task; readonly attempt: Attempt; readonly owner: string; readonly token: number }
  >
): ReadonlyArray<string> => [
  plain(attempts.map(({ task }) => task.id)),
  plain(attempts.map(({ attempt }) => attempt.number)),
  plain(attempts.map(({ token }) => token)),
  plain(attempts.map(({ owner }) => owner)),
  plain(attempts.map(({ attempt }) => attempt.startedAt)),
  plain(attempts.map(({ attempt }) => attempt.ended?.at)),
  texts(attempts.map(({ attempt }) => attempt.ended?.outcome)),
  texts(attempts.map(({ attempt }) => attempt.ended?.error && encodeFailure(attempt.ended.error))),
  texts(attempts.map(({ attempt }) => attempt.ended?.requestId)),
  texts(attempts.map(({ attempt }) => attempt.ended?.executedVersion)),
  // Functions print what they like; an outcome must not be lost over it.
  texts(attempts.map(({ attempt }) => attempt.ended?.logTail?.replaceAll("\0", "\ufffd")))
]

export const attemptColumns =
  "task_id, number, token, owner, started_at, ended_at, outcome, error, request_id, executed_version, log_tail"

/** The columns of changed Tasks, as parameters of `changedArrays`. */
export const changedTasks = (tasks: ReadonlyArray<Task>): ReadonlyArray<string> => {
  const columns = tasks.map(changingColumns)
  return [
    plain(tasks.map((task) => task.id)),
    texts(columns.map((row) => row.status)),
    plain(columns.map((row) => row.dueAt)),
    plain(columns.map((row) => row.claimableAt)),
    plain(columns.map((row) => row.owner)),
    plain(columns.map((row) => row.token)),
    plain(columns.map((row) => row.finishedAt)),
    texts(columns.map((row) => row.result)),
    texts(columns.map((row) => row.resultEncoding)),
    texts(columns.map((row) => row.failure)),
    texts(columns.map((row) => row.skipped))
  ]
}

/** `settled`, with the token it was settled under. */
interface Settling {
  readonly asked: SettlingRequest
  readonly running: RunningTask
  readonly settled: ScheduledTask | FinishedTask
}

const fenced: SettleVerdict = { _tag: "Fenced" }

export const settleTasks = (
  store: Store,
  requests: ReadonlyArray<SettlingRequest>
): Effect.Effect<ReadonlyArray<SettleVerdict>, SqlError> => {
  const { attempts, tasks } = store.tables
  const settling = new Map<TaskId, Settling>()
  for (const asked of requests) {
    const running = asked.request.running as RunningTask
    const settled = TaskLifecycle.settle(running, asked.owner, asked.request)
    // One end of an attempt is accepted: of two in one statement, the first.
    if (settled !== undefined && !settling.has(running.id)) settling.set(running.id, { asked, running, settled })
  }
  const inputs = inOrder([...settling.values()].map(({ settled }) => settled)).map((settled) =>
    settling.get(settled.id) as Settling
  )
  const ended = inputs.map(({ running, settled }) => ({
    task: settled,
    attempt: settled.attempts[settled.attempts.length - 1] as Attempt,
    owner: running.owner as string,
    token: running.token
  }))
  // Ids, owners and tokens are those under which the attempts ran; `token` of the changed Tasks is the one to be written.
  const [ids, ...changed] = changedTasks(inputs.map(({ settled }) => settled))
  const [, numbers, tokens, owners, ...history] = endedAttempts(ended)
  return store.db.run(
    `WITH u AS MATERIALIZED (
      SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::uuid[], $6::int[], $7::bigint[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::int[], $13::int[], $14::uuid[], $15::bigint[],
        $16::bigint[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[])
        AS u(id, status, due_at, claimable_at, new_owner, new_token, finished_at, result, result_encoding, failure,
          skipped, number, token, owner, started_at, ended_at, outcome, error, request_id, executed_version, log_tail,
          kind)
    ), t AS (
      UPDATE ${tasks} t SET status = u.status, due_at = u.due_at, claimable_at = u.claimable_at, owner = u.new_owner,
        token = u.new_token, started_at = NULL, finished_at = u.finished_at, result = u.result,
        result_encoding = u.result_encoding, failure = u.failure
      FROM u WHERE t.id = u.id AND t.token = u.token AND ${isHeld("u.owner", "Running")}
      RETURNING t.id
    ), ended AS (
      INSERT INTO ${attempts} (${attemptColumns})
      SELECT u.id, u.number, u.token, u.owner, u.started_at, u.ended_at, u.outcome, u.error, u.request_id,
        u.executed_version, u.log_tail FROM u JOIN t USING (id)
    ), changed AS (SELECT id, u.kind FROM u JOIN t USING (id)),
    noted AS (${noteChanges(store, "kind", "changed", 23)})
    SELECT id FROM t`,
    [
      ids,
      ...changed,
      numbers,
      tokens,
      owners,
      ...history,
      texts(inputs.map(({ asked }) => settledKinds[asked.request.to._tag])),
      store.boot
    ]
  ).pipe(Effect.map((rows) => {
    const accepted = new Set(rows.map(([id]) => id as TaskId))
    return requests.map((asked): SettleVerdict => {
      const mine = settling.get(asked.request.id)
      if (mine?.asked !== asked || !accepted.has(asked.request.id)) return fenced
      store.log.append(settledKinds[asked.request.to._tag], mine.settled)
      return { _tag: "Accepted", task: mine.settled, next: undefined }
    })
  }))
}

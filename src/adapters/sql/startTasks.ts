/** Start marks of one-shots and of retries, which no schedule has a say in: many callers, one statement. */
import type { SqlError } from "@effect/sql/SqlError"
import type { Clock } from "effect"
import { Effect } from "effect"
import type { InstanceId, TaskId } from "../../domain/Ids.ts"
import type { RunningTask } from "../../domain/Task.ts"
import { isExpired } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { monotonic } from "../../domain/Time.ts"
import { ofAll } from "../../policies/caps.ts"
import type { ClaimedTask, StartMark, StartVerdict } from "../../ports/TaskRepository.ts"
import { plain } from "./arrays.ts"
import { pausedNames } from "./controls.ts"
import type { Store } from "./Store.ts"
import { inOrder, isAlive, isHeld, noteChanges } from "./Store.ts"

export interface StartRequest {
  readonly owner: InstanceId
  readonly mark: StartMark
  readonly now: EpochMillis
  /** When it was asked for, in monotonic milliseconds. */
  readonly askedAt: number
}

/**
 * Tells with each start how long its mark has waited for its turn: what lies before the statement is not what it took to
 * be confirmed.
 */
export const tellingTheWait = (
  clock: Clock.Clock,
  commit: (requests: ReadonlyArray<StartRequest>) => Effect.Effect<ReadonlyArray<StartVerdict>, SqlError>
) =>
(requests: ReadonlyArray<StartRequest>): Effect.Effect<ReadonlyArray<StartVerdict>, SqlError> =>
  Effect.suspend(() => {
    const sentAt = monotonic(clock)
    return Effect.map(commit(requests), (verdicts) =>
      verdicts.map((verdict, index) => {
        const waited = Math.floor(sentAt - (requests[index] as StartRequest).askedAt)
        return verdict._tag === "Started" && waited > 0 ? { ...verdict, waited } : verdict
      }))
  })

/** Whether a mark needs nothing but its own row. One that comes too late ends its Task, and has it followed. */
export const startsAlone = ({ mark: { claimed }, now }: StartRequest): boolean =>
  claimed !== undefined && (claimed.scheduleId === undefined || claimed.attempts.length > 0) &&
  !isExpired(claimed, now)

const fenced: StartVerdict = { _tag: "Fenced" }

/** The Task as its start mark leaves it; a payload that was not held comes from the row. */
const startedTask = ({ mark, now, owner }: StartRequest, payload: string): RunningTask | undefined => {
  const claimed = mark.claimed as ClaimedTask
  return TaskLifecycle.start({ ...claimed, payload: claimed.payload ?? payload }, owner, mark.token, now)
}

/** One statement: what is no longer the writer's, or has a lease that does not live, is passed over. */
export const startTasks = (
  store: Store,
  requests: ReadonlyArray<StartRequest>
): Effect.Effect<ReadonlyArray<StartVerdict>, SqlError> => {
  const { instances, tasks } = store.tables
  const started = new Map<TaskId, { readonly request: StartRequest; readonly task: RunningTask }>()
  for (const request of requests) {
    const task = startedTask(request, "")
    if (task !== undefined && !started.has(task.id)) started.set(task.id, { request, task })
  }
  const marked = inOrder([...started.values()].map(({ task }) => task))
  const owners = marked.map((task) => task.owner)
  return store.db.run(
    `WITH paused AS MATERIALIZED (${pausedNames(store)}), t AS (
      UPDATE ${tasks} t SET status = 'Running', attempt = u.attempt, started_at = u.started_at
      FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::bigint[], $6::boolean[])
          AS u(id, owner, token, attempt, started_at, heavy)
        JOIN ${instances} i ON i.id = u.owner AND ${isAlive}
      WHERE t.id = u.id AND t.token = u.token AND ${isHeld("u.owner", "Scheduled")}
        AND NOT EXISTS (SELECT 1 FROM paused p WHERE p.name = '' OR p.name = t.function_name)
      RETURNING t.id, CASE WHEN u.heavy THEN t.payload END AS payload
    ), noted AS (${noteChanges(store, "'started'", "t", 7)})
    SELECT id, payload FROM t UNION ALL SELECT NULL, name FROM paused`,
    [
      plain(marked.map((task) => task.id)),
      plain(owners),
      plain(marked.map((task) => task.token)),
      plain(marked.map((task) => task.attempts.length)),
      plain(marked.map((task) => task.attempts[task.attempts.length - 1]?.startedAt)),
      plain(marked.map((task) => started.get(task.id)?.request.mark.claimed?.payload === undefined)),
      store.boot
    ]
  ).pipe(Effect.map((rows) => {
    const payloads = new Map<TaskId, string | null>()
    const paused = new Set<string>()
    for (const [id, text] of rows) {
      if (id === null) paused.add(text as string)
      else payloads.set(id as TaskId, text as string | null)
    }
    const isPaused = ({ mark: { claimed } }: StartRequest) =>
      paused.has(ofAll) || (claimed !== undefined && paused.has(claimed.function.name))
    return requests.map((request): StartVerdict => {
      const mine = started.get(request.mark.id)
      const payload = payloads.get(request.mark.id)
      if (mine?.request !== request || payload === undefined) return isPaused(request) ? { _tag: "Paused" } : fenced
      const task = payload === null ? mine.task : { ...mine.task, payload }
      store.log.append("started", task)
      return { _tag: "Started", task, next: undefined }
    })
  }))
}

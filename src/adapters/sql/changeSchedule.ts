/** Changes a schedule and what waits of it, in one transaction: the schedule is locked before anything is decided. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { InstanceId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask } from "../../domain/Task.ts"
import type {
  ClaimOnInsert,
  InsertVerdict,
  ScheduleChange,
  ScheduleChanged,
  ScheduleFound
} from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import { insertBackfill } from "./backfills.ts"
import { encodeRetry, encodeTags, encodeTarget } from "./codecs.ts"
import type { Run } from "./Db.ts"
import { rewriteSchedules } from "./insertSchedules.ts"
import { claimerOf, insertTasks } from "./insertTasks.ts"
import { scheduleColumns } from "./rows.ts"
import type { Store } from "./Store.ts"
import { inOrder, isAlive, noteChanges, readSchedules, readTasks } from "./Store.ts"

/** Tasks stored by one statement. */
const batch = 1_000

const find = (store: Store, run: Run, id: TaskScheduleId): Effect.Effect<ScheduleFound | undefined, SqlError> =>
  Effect.gen(function*() {
    const { schedules, tasks: table } = store.tables
    const [schedule] = yield* readSchedules(
      store,
      yield* run(`SELECT ${scheduleColumns} FROM ${schedules} s WHERE s.id = $1 FOR UPDATE`, [id])
    )
    if (schedule === undefined) return undefined
    const locked = yield* run(
      `SELECT t.id FROM ${table} t WHERE t.schedule_id = $1 AND t.origin = 'schedule' AND t.finished_at IS NULL
        AND t.attempt = 0 ORDER BY t.id FOR UPDATE`,
      [id]
    )
    const waiting = yield* readTasks(
      store,
      yield* run(
        `SELECT ${store.columns} FROM ${table} t WHERE t.id = ANY($1::uuid[]) AND t.status = 'Scheduled'
          ORDER BY t.nominal_at`,
        [plain(locked.map(([id]) => id as TaskId))]
      )
    )
    return { schedule, waiting: waiting as ReadonlyArray<ScheduledTask> }
  })

/** Writes Tasks that have not begun in their places; answers them as they are stored. */
const rewriteTasks = (
  store: Store,
  run: Run,
  tasks: ReadonlyArray<ScheduledTask>,
  claim: ClaimOnInsert | undefined
): Effect.Effect<ReadonlyArray<ScheduledTask>, SqlError> => {
  const { instances, tasks: table } = store.tables
  const ordered = inOrder(tasks)
  return Effect.map(
    run(
      `WITH u AS (
        SELECT u.*, i.id AS claims FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[],
          $7::text[], $8::smallint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::int[], $13::uuid[])
          AS u(id, name, function_name, function, payload, tags, retry, priority, nominal_at, due_at, claimable_at, token,
            claimer)
        LEFT JOIN ${instances} i ON i.id = u.claimer AND ${isAlive}
      ), t AS (
        UPDATE ${table} t SET name = u.name, function_name = u.function_name, function = u.function, payload = u.payload,
          tags = u.tags, retry = u.retry, priority = u.priority, nominal_at = u.nominal_at, due_at = u.due_at,
          claimable_at = u.claimable_at, token = u.token + (u.claims IS NOT NULL)::int, owner = u.claims
        FROM u WHERE t.id = u.id RETURNING t.id, t.owner, t.token
      ), noted AS (${noteChanges(store, "'scheduled'", "t", 14)})
      SELECT id, owner, token FROM t`,
      [
        plain(ordered.map(({ id }) => id)),
        texts(ordered.map(({ name }) => name)),
        texts(ordered.map((task) => task.function.name)),
        texts(ordered.map((task) => encodeTarget(task.function))),
        texts(ordered.map(({ payload }) => payload)),
        texts(ordered.map(({ tags }) => encodeTags(tags))),
        texts(ordered.map(({ retry }) => encodeRetry(retry))),
        plain(ordered.map(({ priority }) => priority)),
        plain(ordered.map(({ nominalAt }) => nominalAt)),
        plain(ordered.map(({ dueAt }) => dueAt)),
        plain(ordered.map(({ claimableAt }) => claimableAt)),
        plain(ordered.map(({ token }) => token)),
        plain(ordered.map((task) => claimerOf(task, claim))),
        store.boot
      ]
    ),
    (rows) => {
      const stored = new Map(rows.map(([id, owner, token]) => [
        id as TaskId,
        { owner: (owner ?? undefined) as InstanceId | undefined, token: token as number }
      ]))
      return tasks.map((task) => ({ ...task, ...stored.get(task.id) }))
    }
  )
}

const insertAll = (
  store: Store,
  run: Run,
  { inserts = [], key }: Pick<ScheduleChange<unknown>, "inserts" | "key">,
  claim: ClaimOnInsert | undefined
) =>
  Effect.gen(function*() {
    const verdicts: Array<InsertVerdict> = []
    for (let from = 0; from < inserts.length; from += batch) {
      const some = inserts.slice(from, from + batch).map((task, index) => ({
        task,
        claimer: claimerOf(task, claim),
        key: from + index === 0 ? key : undefined
      }))
      verdicts.push(...yield* insertTasks(store, run, some))
    }
    return verdicts
  })

/** What a change came to, and whom to tell of it once it is committed. */
export interface Change<A> extends ScheduleChanged<A> {
  readonly told: ReadonlyArray<ScheduledTask>
}

export const changeSchedule = <A>(
  store: Store,
  id: TaskScheduleId,
  claim: ClaimOnInsert | undefined,
  change: (found: ScheduleFound | undefined) => ScheduleChange<A>
): Effect.Effect<Change<A>, SqlError> =>
  store.db.transact((run) =>
    Effect.gen(function*() {
      const changed = change(yield* find(store, run, id))
      if (changed.schedule !== undefined) yield* rewriteSchedules(store, run, [changed.schedule])
      const asked = changed.tasks ?? []
      const tasks = asked.length === 0 ? [] : yield* rewriteTasks(store, run, asked, claim)
      // A backfill that is there has its Tasks, or had them.
      const isNew = changed.backfill === undefined || (yield* insertBackfill(store, run, changed.backfill))
      const inserted = isNew ? yield* insertAll(store, run, changed, claim) : []
      const made = inserted.flatMap((verdict) => verdict._tag === "Inserted" ? [verdict.task] : [])
      return { answer: changed.answer, tasks, inserted, told: [...tasks, ...made] }
    })
  )

/** Stores Tasks: many callers, one statement; a Task that is due soon is claimed by its own insert. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { InstanceId, TaskId } from "../../domain/Ids.ts"
import type { ScheduledTask, SkippedTask, Task } from "../../domain/Task.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { IdempotencyKey, InsertVerdict } from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import { encodeOwnOverlap, encodeRetry, encodeSkip, encodeTags, encodeTarget } from "./codecs.ts"
import type { Run } from "./Db.ts"
import { versionOfTask } from "./rows.ts"
import type { Store } from "./Store.ts"
import { inOrder, isAlive, noteChanges, readTasks } from "./Store.ts"

export interface InsertRequest {
  readonly task: ScheduledTask
  /** Who claims the Task with the insert, if its lease lives. */
  readonly claimer: InstanceId | undefined
  readonly key: IdempotencyKey | undefined
}

/** Who claims a Task that becomes claimable by `until`. */
export const claimerOf = (
  task: ScheduledTask,
  claim: { readonly lease: { readonly instanceId: InstanceId }; readonly until: EpochMillis } | undefined
): InstanceId | undefined => claim !== undefined && task.claimableAt <= claim.until ? claim.lease.instanceId : undefined

/** Roughly what a Task costs on its way to the database and in memory. */
export const bytesOfTask = (task: { readonly payload: string | undefined }): number => 400 + (task.payload?.length ?? 0)

/** One statement; answers which were stored, and which of those claimed. */
const insertRows = (
  store: Store,
  run: Run,
  requests: ReadonlyArray<InsertRequest>
): Effect.Effect<ReadonlyMap<TaskId, ScheduledTask>, SqlError> => {
  const { instances, tasks: table } = store.tables
  const tasks = requests.map(({ task }) => task)
  const statement = `WITH input AS (
      SELECT u.*, i.id AS claims FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[],
        $7::text[], $8::uuid[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::uuid[],
        $15::int[], $17::smallint[], $18::uuid[], $19::text[], $20::smallint[])
        AS u(id, name, function_name, function, payload, tags, retry, schedule_id, origin, created_at, nominal_at,
          due_at, claimable_at, claimer, token, priority, redrive_of, overlap, v)
      LEFT JOIN ${instances} i ON i.id = u.claimer AND ${isAlive}
    ), stored AS (
      INSERT INTO ${table} (id, v, status, name, function_name, function, payload, tags, retry, schedule_id, origin,
        created_at, nominal_at, due_at, claimable_at, owner, token, attempt, priority, redrive_of, overlap)
      SELECT id, v, 'Scheduled', name, function_name, function, payload, tags, retry, schedule_id, origin,
        created_at, nominal_at, due_at, claimable_at, claims, token + (claims IS NOT NULL)::int, 0, priority, redrive_of,
        overlap
      FROM input
      ON CONFLICT DO NOTHING RETURNING id, owner, token
    ), noted AS (${noteChanges(store, "'scheduled'", "stored", 16)})
    SELECT id, owner, token FROM stored`
  const params = [
    plain(tasks.map((task) => task.id)),
    texts(tasks.map((task) => task.name)),
    texts(tasks.map((task) => task.function.name)),
    texts(tasks.map((task) => encodeTarget(task.function))),
    texts(tasks.map((task) => task.payload)),
    texts(tasks.map((task) => encodeTags(task.tags))),
    texts(tasks.map((task) => encodeRetry(task.retry))),
    plain(tasks.map((task) => task.scheduleId)),
    texts(tasks.map((task) => task.origin)),
    plain(tasks.map((task) => task.createdAt)),
    plain(tasks.map((task) => task.nominalAt)),
    plain(tasks.map((task) => task.dueAt)),
    plain(tasks.map((task) => task.claimableAt)),
    plain(requests.map(({ claimer }) => claimer)),
    plain(tasks.map((task) => task.token)),
    store.boot,
    plain(tasks.map((task) => task.priority)),
    plain(tasks.map((task) => task.redriveOf)),
    texts(tasks.map((task) => encodeOwnOverlap(task.overlap))),
    plain(tasks.map(versionOfTask))
  ]
  return Effect.map(run(statement, params), (rows) => {
    const stored = new Map<TaskId, { readonly owner: InstanceId | null; readonly token: number }>()
    for (const [id, owner, token] of rows) {
      stored.set(id as TaskId, { owner: owner as InstanceId | null, token: token as number })
    }
    const answer = new Map<TaskId, ScheduledTask>()
    for (const task of tasks) {
      const row = stored.get(task.id)
      if (row === undefined) continue
      answer.set(task.id, row.owner === null ? task : { ...task, owner: row.owner, token: row.token })
    }
    return answer
  })
}

/** Stores records of occurrences that are passed over: each stands for what a rule named and nobody ran. */
export const insertSkipped = (store: Store, run: Run, tasks: ReadonlyArray<SkippedTask>) =>
  run(
    `WITH stored AS (
      INSERT INTO ${store.tables.tasks} (id, v, status, name, function_name, function, payload, tags, retry, schedule_id,
        origin, created_at, nominal_at, due_at, claimable_at, token, attempt, priority, finished_at, skipped)
      SELECT id, 1, 'Skipped', name, function_name, function, payload, tags, retry, schedule_id, 'schedule', created_at,
        nominal_at, due_at, due_at, token, 0, priority, finished_at, skipped
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::uuid[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::int[], $13::smallint[], $14::bigint[], $15::text[])
        AS u(id, name, function_name, function, payload, tags, retry, schedule_id, created_at, nominal_at, due_at, token,
          priority, finished_at, skipped)
      ON CONFLICT DO NOTHING RETURNING id
    ) ${noteChanges(store, "'skipped'", "stored", 16)}`,
    [
      plain(tasks.map((task) => task.id)),
      texts(tasks.map((task) => task.name)),
      texts(tasks.map((task) => task.function.name)),
      texts(tasks.map((task) => encodeTarget(task.function))),
      texts(tasks.map((task) => task.payload)),
      texts(tasks.map((task) => encodeTags(task.tags))),
      texts(tasks.map((task) => encodeRetry(task.retry))),
      plain(tasks.map((task) => task.scheduleId)),
      plain(tasks.map((task) => task.createdAt)),
      plain(tasks.map((task) => task.nominalAt)),
      plain(tasks.map((task) => task.dueAt)),
      plain(tasks.map((task) => task.token)),
      plain(tasks.map((task) => task.priority)),
      plain(tasks.map((task) => task.finishedAt)),
      texts(tasks.map(encodeSkip)),
      store.boot
    ]
  )

/** What a request comes to by its idempotency key. */
type Judgement = { readonly _tag: "Take" } | { readonly _tag: "Conflict" | "Made"; readonly id: string }

const take: Judgement = { _tag: "Take" }

/** Takes the idempotency keys that nobody has taken, each for the first request that has it; judges all requests. */
export const judgeKeys = (
  store: Store,
  run: Run,
  requests: ReadonlyArray<{ readonly id: string; readonly key: IdempotencyKey | undefined }>
): Effect.Effect<ReadonlyArray<Judgement>, SqlError> =>
  Effect.gen(function*() {
    const { keys } = store.tables
    const firsts = new Map<string, { readonly id: string; readonly key: IdempotencyKey }>()
    for (const { id, key } of requests) if (key !== undefined && !firsts.has(key.key)) firsts.set(key.key, { id, key })
    const taken = new Set<unknown>()
    const used = new Map<string, { readonly digest: string; readonly id: string }>()
    // In one order, so that two statements that want the same keys do not wait for each other.
    let wanted = [...firsts.values()].sort((left, right) => left.key.key < right.key.key ? -1 : 1)
    while (wanted.length > 0) {
      const names = texts(wanted.map(({ key }) => key.key))
      const rows = yield* run(
        `INSERT INTO ${keys} (key, digest, made_id) SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[])
          ON CONFLICT (key) DO NOTHING RETURNING key`,
        [names, texts(wanted.map(({ key }) => key.digest)), plain(wanted.map(({ id }) => id))]
      )
      for (const [key] of rows) taken.add(key)
      for (
        const [key, digest, id] of yield* run(
          `SELECT key, digest, made_id FROM ${keys} WHERE key = ANY($1::text[])`,
          [names]
        )
      ) used.set(key as string, { digest: digest as string, id: id as string })
      // One that was there and has been pruned in between is free.
      wanted = wanted.filter(({ key }) => !used.has(key.key))
    }
    return requests.map(({ key }): Judgement => {
      const before = key && used.get(key.key)
      if (key === undefined || before === undefined) return take
      // Once: of two that want the same, the second finds what the first has made.
      if (taken.delete(key.key)) return take
      return { _tag: before.digest === key.digest ? "Made" : "Conflict", id: before.id }
    })
  })

/** The Tasks that are there under these ids. */
export const present = (
  store: Store,
  run: Run,
  ids: ReadonlyArray<string>
): Effect.Effect<ReadonlyMap<string, Task>, SqlError> =>
  ids.length === 0
    ? Effect.succeed(new Map())
    : run(`SELECT ${store.columns} FROM ${store.tables.tasks} t WHERE t.id = ANY($1::uuid[])`, [plain(ids)]).pipe(
      Effect.flatMap((rows) => readTasks(store, rows)),
      Effect.map((tasks) => new Map(tasks.map((task) => [task.id, task])))
    )

/**
 * Stores Tasks in one transaction.
 *
 * @param run in which transaction; alone, one statement is one
 */
export const insertTasks = (
  store: Store,
  run: Run,
  requests: ReadonlyArray<InsertRequest>
): Effect.Effect<ReadonlyArray<InsertVerdict>, SqlError> =>
  Effect.gen(function*() {
    const judged = yield* judgeKeys(store, run, requests.map(({ key, task }) => ({ id: task.id, key })))
    const wanted = requests.filter((_, index) => judged[index]?._tag === "Take")
    const byId = new Map<TaskId, InsertRequest>()
    for (const request of wanted) if (!byId.has(request.task.id)) byId.set(request.task.id, request)
    const stored = byId.size === 0
      ? new Map<TaskId, ScheduledTask>()
      : yield* insertRows(
        store,
        run,
        inOrder([...byId.values()].map(({ task }) => task)).map((task) => byId.get(task.id) as InsertRequest)
      )
    const missing = requests.flatMap(({ task }, index) => {
      const verdict = judged[index]
      if (verdict?._tag === "Made") return [verdict.id]
      return verdict?._tag === "Take" && (!stored.has(task.id) || byId.size < wanted.length) ? [task.id] : []
    })
    const found = yield* present(store, run, missing)
    const answered = new Set<TaskId>()
    return requests.map(({ task }, index): InsertVerdict => {
      const verdict = judged[index] as Judgement
      if (verdict._tag === "Conflict") return { _tag: "Conflict", id: verdict.id }
      const inserted = verdict._tag === "Take" && !answered.has(task.id) ? stored.get(task.id) : undefined
      if (inserted !== undefined) {
        answered.add(task.id)
        return { _tag: "Inserted", task: inserted }
      }
      const id = verdict._tag === "Made" ? verdict.id : task.id
      const before = found.get(id)
      return before === undefined ? { _tag: "Gone", id } : { _tag: "Present", task: before }
    })
  })

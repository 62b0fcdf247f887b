/** What the parts of the SQL store share: the database, its tables, and the changes this instance knows of. */
import { Effect } from "effect"
import type { Task, TaskStatus } from "../../domain/Task.ts"
import type { ChangeLog } from "../../ports/ChangeLog.ts"
import type { TaskChangeKind } from "../../ports/TaskRepository.ts"
import { Undecodable } from "./codecs.ts"
import type { Db, Row } from "./Db.ts"
import { decodeSchedule, decodeTask, taskColumns } from "./rows.ts"
import { table } from "./SchemaName.ts"

export interface Tables {
  readonly instances: string
  readonly tasks: string
  readonly attempts: string
  readonly schedules: string
  readonly keys: string
  readonly changes: string
  readonly controls: string
  readonly permits: string
  readonly backfills: string
}

export const tablesOf = (schema: string): Tables => ({
  instances: table(schema, "instances"),
  tasks: table(schema, "tasks"),
  attempts: table(schema, "task_attempts"),
  schedules: table(schema, "task_schedules"),
  keys: table(schema, "idempotency_keys"),
  changes: table(schema, "task_changes"),
  controls: table(schema, "controls"),
  permits: table(schema, "permits"),
  backfills: table(schema, "backfills")
})

export interface Store {
  readonly db: Db
  readonly schema: string
  readonly tables: Tables
  /** Columns of a whole Task, of a row called `t`. */
  readonly columns: string
  /** Tells this instance's changes from those of others. */
  readonly boot: string
  readonly log: ChangeLog
  /** Ids of rows that could not be read and have been told of. */
  readonly unreadable: Set<string>
}

export const columnsOf = (tables: Tables): string => taskColumns(tables.attempts)

/** Whose lease lives by the database's clock; `i` is the row. */
export const isAlive = "i.expires_at > clock_timestamp()"

/**
 * The writer is the owner, and the Task is in this state. Said so that the planner makes nothing of it: rows are to be
 * found by their ids. By the index on owners it would walk through all that an instance holds; with statistics of a time
 * when no Task was in this state it would expect to find one, and compare every row with every input.
 */
export const isHeld = (owner: string, status: TaskStatus): string =>
  `CASE WHEN t.owner = ${owner} THEN t.status = '${status}' ELSE false END`

/**
 * The part of a statement that tells other instances what it has changed.
 *
 * @param kind an expression of the changed rows
 * @param from the name of the part with the changed rows, each with an `id`
 * @param boot the number of the parameter with this instance's boot
 */
export const noteChanges = (store: Store, kind: string, from: string, boot: number): string =>
  `INSERT INTO ${store.tables.changes} (instance, kinds, ids) ` +
  `SELECT $${boot}::uuid, array_agg((${kind})::text), array_agg(id) FROM ${from} HAVING count(*) > 0`

/** Remembers and tells, once, that a row cannot be read. */
const noteUnreadable = (store: Store, what: string, id: unknown, error: unknown): Effect.Effect<void> => {
  const key = `${what} ${String(id)}`
  if (!(error instanceof Undecodable) && !(error instanceof SyntaxError)) return Effect.die(error)
  if (store.unreadable.has(key)) return Effect.void
  // Bounded: what has fallen out is told of once more.
  if (store.unreadable.size >= 10_000) store.unreadable.clear()
  store.unreadable.add(key)
  return Effect.logError(`A row of the store cannot be read and is left alone: ${error.message}`).pipe(
    Effect.annotateLogs({ [what]: String(id) })
  )
}

const readRows = <A>(what: string, decode: (row: Row) => A) => (store: Store, rows: ReadonlyArray<Row>) => {
  const read: Array<A> = []
  let told: Effect.Effect<void> = Effect.void
  for (const row of rows) {
    try {
      read.push(decode(row))
    } catch (error) {
      told = Effect.zipRight(told, noteUnreadable(store, what, row[0], error))
    }
  }
  return Effect.as(told, read as ReadonlyArray<A>)
}

/** The readable Tasks among rows of `columns`; each of the others is told of once. */
export const readTasks = readRows("taskId", decodeTask)

/** The readable schedules among rows of `scheduleColumns`; each of the others is told of once. */
export const readSchedules = readRows("scheduleId", decodeSchedule)

export interface Change {
  readonly kind: TaskChangeKind
  readonly task: Task
}

/** What nobody holds and may be claimed. */
export const isUnclaimed = "t.owner IS NULL AND t.finished_at IS NULL AND t.status = 'Scheduled'"

/**
 * The same, to be found in order of time. The condition on the token always holds: it keeps the planner from going by time
 * where what matters is the lane, which it would for want of statistics.
 */
export const isUnclaimedByTime = `${isUnclaimed} AND t.token >= 0`

/** By id: statements that lock several rows do so in one order. */
export const inOrder = <A extends { readonly id: string }>(tasks: ReadonlyArray<A>): ReadonlyArray<A> =>
  tasks.slice().sort((left, right) => left.id < right.id ? -1 : 1)

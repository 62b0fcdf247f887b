/** Looking: Tasks and schedules by id, and in pages. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Option, Schema } from "effect"
import { InvalidInput, TaskRepositoryError } from "../../domain/Errors.ts"
import { TaskId } from "../../domain/Ids.ts"
import type { TaskScheduleId } from "../../domain/Ids.ts"
import type { Task } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import { isStorable } from "../../domain/Text.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { shown } from "../../domain/Time.ts"
import type { Backlog, Page, PageRequest, TaskFilter, TaskScheduleFilter } from "../../ports/TaskRepository.ts"
import { mostCounted } from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import type { Row } from "./Db.ts"
import { scheduleColumns } from "./rows.ts"
import type { Store } from "./Store.ts"
import { isAlive, isUnclaimedByTime, readSchedules, readTasks } from "./Store.ts"

/** What is under an id, or why that cannot be said. */
export type Found<A> = Effect.Effect<Option.Option<A>, TaskRepositoryError>

/** What was found under an id: a row that cannot be read is not the same as none. */
const found = <A extends { readonly id: string }>(what: string, rows: ReadonlyArray<Row>, read: ReadonlyArray<A>) => {
  const readable = new Map<string, A>(read.map((item) => [item.id, item]))
  const there = new Set<unknown>(rows.map(([id]) => id))
  return (asked: string): Found<A> => {
    const id = asked.toLowerCase()
    const item = readable.get(id)
    if (item !== undefined || !there.has(id)) return Effect.succeed(Option.fromNullable(item))
    return new TaskRepositoryError({
      reason: "Corrupt",
      message: `The row of ${what} ${id} cannot be read; the log says what is wrong with it.`
    })
  }
}

export const getTask = (store: Store, id: TaskId): Effect.Effect<Option.Option<Task>, SqlError | TaskRepositoryError> =>
  Effect.flatMap(
    store.db.run(`SELECT ${store.columns} FROM ${store.tables.tasks} t WHERE t.id = $1`, [id]),
    (rows) => Effect.flatMap(readTasks(store, rows), (tasks) => found("Task", rows, tasks)(id))
  )

/** Several schedules at once, by id. */
export const getSchedules = (
  store: Store,
  ids: ReadonlyArray<TaskScheduleId>
): Effect.Effect<ReadonlyArray<Found<TaskSchedule>>, SqlError> =>
  Effect.gen(function*() {
    const rows = yield* store.db.run(
      `SELECT ${scheduleColumns} FROM ${store.tables.schedules} s WHERE s.id = ANY($1::uuid[])`,
      [plain([...new Set(ids)])]
    )
    return ids.map(found("TaskSchedule", rows, yield* readSchedules(store, rows)))
  })

const isUuid = Schema.is(TaskId)

const parseCursor = ({ cursor }: PageRequest): Effect.Effect<void, InvalidInput> =>
  cursor === undefined || isUuid(cursor)
    ? Effect.void
    : Effect.fail(
      new InvalidInput({
        reason: "CursorInvalid",
        field: "cursor",
        message: `cursor: expected one that a page before has given, got ${shown(cursor)}`
      })
    )

/** Conditions with their parameters, numbered as they come. */
class Conditions {
  readonly params: Array<unknown> = []
  private readonly parts: Array<string> = []

  /** @param condition of the number of its parameter */
  add(value: unknown, condition: (parameter: string) => string): void {
    if (value === undefined) return
    this.params.push(value)
    this.parts.push(condition(`$${this.params.length}`))
  }

  always(condition: string): void {
    this.parts.push(condition)
  }

  /** The same of a text that comes from a caller. */
  addText(value: string | undefined, condition: (parameter: string) => string): void {
    if (value === undefined || isStorable(value)) this.add(value, condition)
    else this.parts.push("false")
  }

  /** @param column which must have all these tags */
  addTags(tags: TaskFilter["tags"], column: string): void {
    const entries = Object.entries(tags ?? {})
    if (entries.length === 0) return
    if (!entries.flat().every(isStorable)) this.parts.push("false")
    else this.add(JSON.stringify(tags), (parameter) => `${column} @> ${parameter}::jsonb`)
  }

  toString(): string {
    return this.parts.length === 0 ? "true" : this.parts.join(" AND ")
  }
}

/** Walks down by id until a page is full: what cannot be read is passed over. */
const page = <A extends { readonly id: string }>(
  store: Store,
  from: string,
  conditions: Conditions,
  { cursor, limit }: PageRequest,
  read: (store: Store, rows: ReadonlyArray<Row>) => Effect.Effect<ReadonlyArray<A>>
): Effect.Effect<Page<A>, SqlError | InvalidInput> =>
  Effect.gen(function*() {
    yield* parseCursor({ cursor, limit })
    const items: Array<A> = []
    let below = cursor ?? null
    for (;;) {
      const wanted = limit - items.length + 1
      const count = conditions.params.length
      const rows = yield* store.db.run(
        `${from} WHERE ${conditions.toString()} AND ($${count + 1}::uuid IS NULL OR id < $${count + 1}::uuid)
          ORDER BY id DESC LIMIT $${count + 2}`,
        [...conditions.params, below, wanted]
      )
      items.push(...yield* read(store, rows))
      if (items.length > limit || rows.length < wanted) break
      below = rows[rows.length - 1]?.[0] as string
    }
    return {
      items: items.slice(0, limit),
      cursor: items.length > limit ? items[limit - 1]?.id : undefined
    }
  })

/** In these words, so that the planner recognizes the indexes on dead letters. */
export const isFailed = "t.status = 'Failed'"

/**
 * Of `failure` as `encodeFailure` writes it; in a message these quotes have backslashes. Not by a cast to JSON: a row
 * that somebody has edited must not fail the statement.
 */
const reasonPatterns = (reasons: ReadonlyArray<string>): string =>
  texts(reasons.filter((reason) => /^[A-Za-z]+$/.test(reason)).map((reason) => `%"reason":"${reason}"%`))

/** By the index on names where name and function are the same, and by that on functions where they are not. */
export const ofFunction = (name: string): string =>
  `(t.name = ${name} AND t.function_name = ${name} OR t.name <> t.function_name AND t.function_name = ${name})`

/** What a filter asks for, of a Task's row called `t`. */
export const taskConditions = (filter: TaskFilter): Conditions => {
  const conditions = new Conditions()
  conditions.add(filter.ids && plain(filter.ids), (parameter) => `t.id = ANY(${parameter}::uuid[])`)
  conditions.add(filter.scheduleId, (parameter) => `t.schedule_id = ${parameter}::uuid`)
  conditions.addText(filter.origin, (parameter) => `t.origin = ${parameter}`)
  conditions.addText(filter.name, (parameter) => `t.name = ${parameter}`)
  conditions.addText(filter.functionName, ofFunction)
  const onlyFailed = filter.status?.length === 1 && filter.status[0] === "Failed"
  if (onlyFailed || filter.failureReason !== undefined || filter.redriven !== undefined) conditions.always(isFailed)
  if (!onlyFailed) {
    conditions.add(filter.status && texts(filter.status), (parameter) => `t.status = ANY(${parameter}::text[])`)
  }
  conditions.add(filter.dueFrom, (parameter) => `t.due_at >= ${parameter}`)
  conditions.add(filter.dueBefore, (parameter) => `t.due_at < ${parameter}`)
  conditions.add(filter.finishedFrom, (parameter) => `t.finished_at >= ${parameter}`)
  conditions.add(filter.finishedBefore, (parameter) => `t.finished_at < ${parameter}`)
  conditions.add(
    filter.failureReason && reasonPatterns(filter.failureReason),
    (parameter) => `t.failure LIKE ANY(${parameter}::text[])`
  )
  conditions.add(filter.redriven, (parameter) => `(t.redriven_as IS NOT NULL) = ${parameter}::boolean`)
  conditions.addTags(filter.tags, "t.tags")
  return conditions
}

export const listTasks = (store: Store, filter: TaskFilter, request: PageRequest) =>
  page(
    store,
    `SELECT ${store.columns} FROM ${store.tables.tasks} t`,
    taskConditions(filter),
    request,
    readTasks
  )

export const countTasks = (store: Store, filter: TaskFilter): Effect.Effect<number, SqlError> => {
  const conditions = taskConditions(filter)
  return Effect.map(
    store.db.run(
      `SELECT count(*)::int FROM (SELECT 1 FROM ${store.tables.tasks} t WHERE ${conditions.toString()}
        LIMIT ${mostCounted}) matching`,
      conditions.params
    ),
    ([row]) => row?.[0] as number
  )
}

/** By what is owned, which is little: not by walking through all there is of a function. */
export const countRunning = (store: Store, functionName: string): Effect.Effect<number, SqlError> =>
  isStorable(functionName)
    ? Effect.map(
      store.db.run(
        `SELECT count(*)::int FROM ${store.tables.tasks} t JOIN ${store.tables.instances} i ON i.id = t.owner AND ${isAlive}
          WHERE t.owner IS NOT NULL AND t.status = 'Running' AND ($1 = '' OR t.function_name = $1)`,
        [functionName]
      ),
      ([row]) => row?.[0] as number
    )
    : Effect.succeed(0)

export const latestOccurrence = (
  store: Store,
  id: TaskScheduleId,
  upTo: EpochMillis
): Effect.Effect<Option.Option<Task>, SqlError | TaskRepositoryError> =>
  Effect.flatMap(
    store.db.run(
      `SELECT ${store.columns} FROM ${store.tables.tasks} t
        WHERE t.schedule_id = $1 AND t.origin = 'schedule' AND t.nominal_at <= $2 ORDER BY t.nominal_at DESC LIMIT 1`,
      [id, upTo]
    ),
    (rows) =>
      Effect.flatMap(readTasks(store, rows), (tasks) =>
        rows.length === 0
          ? Effect.succeedNone
          : found("Task", rows, tasks)(rows[0]?.[0] as string))
  )

export const listSchedules = (store: Store, filter: TaskScheduleFilter, request: PageRequest) => {
  const conditions = new Conditions()
  conditions.addText(filter.name, (parameter) => `s.name = ${parameter}`)
  conditions.addText(filter.functionName, (parameter) => `s.function_name = ${parameter}`)
  conditions.add(filter.status && texts(filter.status), (parameter) => `s.status = ANY(${parameter}::text[])`)
  conditions.addTags(filter.tags, "s.tags")
  return page(store, `SELECT ${scheduleColumns} FROM ${store.tables.schedules} s`, conditions, request, readSchedules)
}

export const backlog = (store: Store, now: EpochMillis): Effect.Effect<Backlog, SqlError> =>
  Effect.map(
    store.db.run(
      `SELECT count(*)::int, min(claimable_at) FROM (
        SELECT t.claimable_at FROM ${store.tables.tasks} t
        WHERE ${isUnclaimedByTime} AND t.claimable_at <= $1
        ORDER BY t.claimable_at LIMIT ${mostCounted}) due`,
      [now]
    ),
    ([row]) => ({ due: row?.[0] as number, oldestDueAt: row?.[1] === null ? undefined : Number(row?.[1]) })
  )

export const cancelledOf = (
  store: Store,
  ids: ReadonlyArray<TaskId>
): Effect.Effect<ReadonlyArray<TaskId>, SqlError> =>
  Effect.map(
    store.db.run(
      `SELECT t.id FROM ${store.tables.tasks} t WHERE t.id = ANY($1::uuid[]) AND t.status = 'Cancelled'`,
      [plain(ids)]
    ),
    (rows) => rows.map(([id]) => id as TaskId)
  )

/** Stores schedules with their first occurrences: many callers, one transaction. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import type { InstanceId, TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { IdempotencyKey, InsertScheduleVerdict } from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import {
  encodeCatchUp,
  encodeOverlap,
  encodePause,
  encodeRecurrence,
  encodeRetry,
  encodeTags,
  encodeTarget
} from "./codecs.ts"
import type { Run } from "./Db.ts"
import { insertTasks, judgeKeys } from "./insertTasks.ts"
import { scheduleColumns, versionOfSchedule } from "./rows.ts"
import type { Store } from "./Store.ts"
import { inOrder, readSchedules } from "./Store.ts"

export interface InsertScheduleRequest {
  readonly schedule: TaskSchedule
  readonly first: ScheduledTask
  readonly claimer: InstanceId | undefined
  readonly key: IdempotencyKey | undefined
}

const present = (
  store: Store,
  run: Run,
  ids: ReadonlyArray<string>
): Effect.Effect<ReadonlyMap<string, TaskSchedule>, SqlError> =>
  ids.length === 0
    ? Effect.succeed(new Map())
    : run(`SELECT ${scheduleColumns} FROM ${store.tables.schedules} s WHERE s.id = ANY($1::uuid[])`, [plain(ids)]).pipe(
      Effect.flatMap((rows) => readSchedules(store, rows)),
      Effect.map((schedules) => new Map(schedules.map((schedule) => [schedule.id, schedule])))
    )

/** The columns of schedules as they are written, and their types; in the order of `scheduleArrays`. */
const written = {
  id: "uuid",
  v: "smallint",
  name: "text",
  function_name: "text",
  function: "text",
  payload: "text",
  tags: "jsonb",
  retry: "text",
  recurrence: "text",
  max_runs: "bigint",
  created_at: "bigint",
  status: "text",
  revision: "int",
  cursor: "bigint",
  runs: "bigint",
  missed: "bigint",
  priority: "smallint",
  overlap: "text",
  catch_up: "text",
  pause_after: "int",
  failures: "int",
  pause: "text"
}

const writtenColumns = Object.keys(written).join(", ")

/** Schedules as rows called `n`, from the first parameter on. */
const writtenRows = `unnest(${
  Object.values(written).map((type, index) => `$${index + 1}::${type}[]`).join(", ")
}) AS n(${writtenColumns})`

const scheduleArrays = (schedules: ReadonlyArray<TaskSchedule>): ReadonlyArray<string> => [
  plain(schedules.map(({ id }) => id)),
  plain(schedules.map(versionOfSchedule)),
  texts(schedules.map(({ name }) => name)),
  texts(schedules.map((schedule) => schedule.function.name)),
  texts(schedules.map((schedule) => encodeTarget(schedule.function))),
  texts(schedules.map(({ payload }) => payload)),
  texts(schedules.map(({ tags }) => encodeTags(tags))),
  texts(schedules.map(({ retry }) => encodeRetry(retry))),
  texts(schedules.map(({ recurrence }) => encodeRecurrence(recurrence))),
  plain(schedules.map(({ maxRuns }) => maxRuns)),
  plain(schedules.map(({ createdAt }) => createdAt)),
  texts(schedules.map(({ status }) => status)),
  plain(schedules.map(({ revision }) => revision)),
  plain(schedules.map(({ cursor }) => cursor)),
  plain(schedules.map(({ runs }) => runs)),
  plain(schedules.map(({ missed }) => missed)),
  plain(schedules.map(({ priority }) => priority)),
  texts(schedules.map(({ overlap }) => encodeOverlap(overlap))),
  texts(schedules.map(({ catchUp }) => encodeCatchUp(catchUp))),
  plain(schedules.map(({ pauseAfterFailures }) => pauseAfterFailures)),
  plain(schedules.map(({ failures }) => failures)),
  texts(schedules.map(({ pause }) => encodePause(pause)))
]

/** One statement; answers which were stored. */
const insertRows = (
  store: Store,
  run: Run,
  schedules: ReadonlyArray<TaskSchedule>
): Effect.Effect<ReadonlySet<TaskScheduleId>, SqlError> =>
  Effect.map(
    run(
      `INSERT INTO ${store.tables.schedules} (${writtenColumns}) SELECT ${writtenColumns} FROM ${writtenRows}
        ON CONFLICT DO NOTHING RETURNING id`,
      scheduleArrays(schedules)
    ),
    (rows) => new Set(rows.map(([id]) => id as TaskScheduleId))
  )

/** Writes schedules in their places, all of them. */
export const rewriteSchedules = (store: Store, run: Run, schedules: ReadonlyArray<TaskSchedule>) =>
  run(
    `UPDATE ${store.tables.schedules} s SET (${writtenColumns}) = ROW(${writtenColumns.replaceAll(/\w+/g, "n.$&")})
      FROM ${writtenRows} WHERE s.id = n.id`,
    scheduleArrays(schedules)
  )

/**
 * One verdict each, in order.
 *
 * @param run in which transaction
 */
export const insertSchedules = (
  store: Store,
  run: Run,
  requests: ReadonlyArray<InsertScheduleRequest>
): Effect.Effect<ReadonlyArray<InsertScheduleVerdict>, SqlError | TaskRepositoryError> =>
  Effect.gen(function*() {
    const judged = yield* judgeKeys(store, run, requests.map(({ key, schedule }) => ({ id: schedule.id, key })))
    const byId = new Map<TaskScheduleId, InsertScheduleRequest>()
    for (const [index, request] of requests.entries()) {
      if (judged[index]?._tag === "Take" && !byId.has(request.schedule.id)) byId.set(request.schedule.id, request)
    }
    const stored = byId.size === 0
      ? new Set<TaskScheduleId>()
      : yield* insertRows(store, run, inOrder([...byId.values()].map(({ schedule }) => schedule)))
    const made = [...stored].map((id) => byId.get(id) as InsertScheduleRequest)
    const verdicts = made.length === 0
      ? []
      : yield* insertTasks(store, run, made.map(({ claimer, first }) => ({ task: first, claimer, key: undefined })))
    const firsts = new Map<TaskScheduleId, ScheduledTask>()
    for (const [index, { first, schedule }] of made.entries()) {
      const verdict = verdicts[index]
      if (verdict?._tag !== "Inserted") {
        return yield* new TaskRepositoryError({
          reason: "Rejected",
          message: `The first occurrence of schedule ${schedule.id} has the id of another Task (${first.id})`
        })
      }
      firsts.set(schedule.id, verdict.task)
    }
    const madeBefore = requests.flatMap(({ schedule }, index) => {
      const judgement = judged[index]
      if (judgement?._tag === "Made") return [judgement.id]
      return firsts.has(schedule.id) && byId.get(schedule.id) === requests[index] ? [] : [schedule.id]
    })
    const found = yield* present(store, run, madeBefore)
    return requests.map((request, index): InsertScheduleVerdict => {
      const { schedule } = request
      const judgement = judged[index]
      if (judgement?._tag === "Conflict") return { _tag: "Conflict", id: judgement.id }
      const first = byId.get(schedule.id) === request ? firsts.get(schedule.id) : undefined
      if (first !== undefined) return { _tag: "Inserted", schedule, first }
      const id = judgement?._tag === "Made" ? judgement.id : schedule.id
      const before = found.get(id)
      return before === undefined ? { _tag: "Gone", id } : { _tag: "Present", schedule: before }
    })
  })

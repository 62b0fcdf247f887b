/**
 * A transaction over Tasks and the schedules they belong to: locked, read, decided about by the pure rules of the
 * domain, and written back together. For all that is not one statement on rows that stand alone.
 */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { InstanceId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask, SkippedTask, Task } from "../../domain/Task.ts"
import { laneOf } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Followed } from "../../policies/occurrences.ts"
import type { TaskChangeKind } from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import { encodePause } from "./codecs.ts"
import type { Run } from "./Db.ts"
import type { InsertRequest } from "./insertTasks.ts"
import { claimerOf, insertSkipped, insertTasks } from "./insertTasks.ts"
import type { LanesOf } from "./lanes.ts"
import { emptyLanes, freeNext, lanesOf, underWayOf } from "./lanes.ts"
import { scheduleColumns } from "./rows.ts"
import { attemptColumns, changedTasks, endedAttempts } from "./settleTasks.ts"
import type { Change, Store } from "./Store.ts"
import { inOrder, isAlive, noteChanges, readSchedules, readTasks } from "./Store.ts"

interface LockedSchedule {
  schedule: TaskSchedule
  readonly lanes: LanesOf
}

/** What a transaction has locked, and what it is going to write. */
export class Work {
  private readonly before = new Map<TaskId, Task>()
  private readonly current = new Map<TaskId, Task>()
  readonly schedules: Map<TaskScheduleId, LockedSchedule>
  private readonly alive: ReadonlySet<InstanceId>
  private readonly changedSchedules = new Set<TaskScheduleId>()
  readonly changes: Array<Change> = []
  /** Occurrences to be stored. */
  readonly inserts: Array<InsertRequest> = []
  /** Records of occurrences that are passed over. */
  readonly passed: Array<SkippedTask> = []
  /** What has ended: the first that waits for it gets its turn. */
  readonly ended: Array<{ readonly task: Task; readonly at: EpochMillis }> = []

  constructor(
    tasks: ReadonlyArray<Task>,
    schedules: Map<TaskScheduleId, LockedSchedule>,
    alive: ReadonlySet<InstanceId>
  ) {
    for (const task of tasks) {
      this.before.set(task.id, task)
      this.current.set(task.id, task)
    }
    this.schedules = schedules
    this.alive = alive
  }

  task(id: TaskId): Task | undefined {
    return this.current.get(id)
  }

  tasks(): ReadonlyArray<Task> {
    return [...this.current.values()]
  }

  isAlive(instance: InstanceId): boolean {
    return this.alive.has(instance)
  }

  scheduleOf(task: Task): LockedSchedule | undefined {
    return task.scheduleId === undefined ? undefined : this.schedules.get(task.scheduleId)
  }

  put(task: Task, kind: TaskChangeKind | undefined): void {
    this.current.set(task.id, task)
    this.scheduleOf(task)?.lanes.note(task)
    if (kind !== undefined) this.changes.push({ kind, task })
  }

  /** Others of a Task's lane that are under way, as they were loaded. */
  othersUnderWay(task: Task): ReadonlyArray<Task> {
    const ids = this.scheduleOf(task)?.lanes.underWay(laneOf(task)) ?? []
    return ids.flatMap((id) => id === task.id ? [] : this.current.get(id) ?? [])
  }

  noteSchedule(schedule: TaskSchedule): void {
    const state = this.schedules.get(schedule.id)
    if (state === undefined || state.schedule === schedule) return
    state.schedule = schedule
    this.changedSchedules.add(schedule.id)
  }

  /** Stores what has become of a schedule, and the occurrence that follows, for the writer; answers its id. */
  followed({ next, passed, schedule }: Followed, writer: InstanceId): TaskId | undefined {
    this.noteSchedule(schedule)
    this.passed.push(...passed)
    for (const task of passed) this.changes.push({ kind: "skipped", task })
    if (next === undefined) return undefined
    const claim = { lease: { instanceId: writer }, until: next.claimUntil }
    this.inserts.push({ task: next.task, claimer: claimerOf(next.task, claim), key: undefined })
    return next.task.id
  }

  changedTasks(): ReadonlyArray<{ readonly before: Task; readonly after: Task }> {
    return inOrder([...this.current.values()]).flatMap((after) => {
      const before = this.before.get(after.id)
      return before === undefined || before === after ? [] : [{ before, after }]
    })
  }

  updatedSchedules(): ReadonlyArray<TaskSchedule> {
    return Array.from(this.changedSchedules, (id) => (this.schedules.get(id) as LockedSchedule).schedule)
  }
}

/** What a transaction is about. */
export interface Concerned {
  readonly tasks: ReadonlyArray<TaskId>
  /** All schedules that the Tasks belong to; looked up if absent. */
  readonly schedules?: ReadonlyArray<TaskScheduleId> | undefined
  /** The instances whose leases it asks for. */
  readonly owners: ReadonlyArray<InstanceId>
  /** Whether Tasks may have to wait for others; default: no. */
  readonly starts?: boolean | undefined
  /** Whether one of them may take the place of others, whatever its schedule says; default: no. */
  readonly replaces?: boolean | undefined
}

const schedulesOf = (store: Store, run: Run, tasks: ReadonlyArray<TaskId>) =>
  Effect.map(
    run(
      `SELECT DISTINCT schedule_id FROM ${store.tables.tasks} WHERE id = ANY($1::uuid[]) AND schedule_id IS NOT NULL`,
      [plain(tasks)]
    ),
    (rows) => rows.map(([id]) => id as TaskScheduleId)
  )

/** Locks schedules before their Tasks, everybody in this order; reads Tasks only once all is locked. */
export const load = (store: Store, run: Run, concerned: Concerned) =>
  Effect.gen(function*() {
    const { instances, schedules: scheduleTable, tasks: table } = store.tables
    const scheduleIds = concerned.schedules ?? (yield* schedulesOf(store, run, concerned.tasks))
    const found = scheduleIds.length === 0 ? [] : yield* readSchedules(
      store,
      yield* run(
        `SELECT ${scheduleColumns} FROM ${scheduleTable} s WHERE s.id = ANY($1::uuid[]) ORDER BY s.id FOR UPDATE`,
        [plain(scheduleIds)]
      )
    )
    const replaces = concerned.starts === true &&
      (concerned.replaces === true || found.some(({ overlap }) => overlap.policy === "cancelOther"))
    const replaced = replaces ? yield* underWayOf(store, run, scheduleIds) : []
    const wanted = plain([...new Set([...concerned.tasks, ...replaced])])
    yield* run(`SELECT id FROM ${table} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE`, [wanted])
    const rows = yield* run(
      `SELECT others.alive, ${store.columns} FROM (SELECT
          ARRAY(SELECT i.id FROM ${instances} i WHERE i.id = ANY($2::uuid[]) AND ${isAlive})::text[] AS alive
        ) others LEFT JOIN ${table} t ON t.id = ANY($1::uuid[])`,
      [wanted, plain([...new Set(concerned.owners)])]
    )
    const [alive] = rows[0] as unknown as readonly [ReadonlyArray<string>]
    const known = new Set(found.map(({ id }) => id))
    const tasks = yield* readTasks(store, rows.flatMap(([, ...row]) => row[0] === null ? [] : [row]))
    // What belongs to a schedule that cannot be read is left alone.
    const readable = tasks.filter((task) => task.scheduleId === undefined || known.has(task.scheduleId))
    const lanes = concerned.starts === true
      ? yield* lanesOf(store, run, found, readable)
      : new Map<TaskScheduleId, LanesOf>()
    const schedules = new Map<TaskScheduleId, LockedSchedule>(
      found.map((schedule) => [schedule.id, { schedule, lanes: lanes.get(schedule.id) ?? emptyLanes() }])
    )
    return new Work(readable, schedules, new Set(alive as ReadonlyArray<InstanceId>))
  })

const changedColumns = "status, due_at, claimable_at, owner, token, finished_at, result, result_encoding, failure, " +
  "skipped, attempt, started_at"

/** One statement for all that is there already. */
const update = (store: Store, run: Run, work: Work): Effect.Effect<unknown, SqlError> => {
  const changed = work.changedTasks()
  const updated = work.updatedSchedules()
  if (changed.length === 0 && updated.length === 0) return Effect.void
  const { attempts, schedules, tasks } = store.tables
  const kinds = new Map(work.changes.map(({ kind, task }) => [task.id, kind]))
  const started = changed.map(({ after }) =>
    after.status === "Running" ? after.attempts[after.attempts.length - 1]?.startedAt : undefined
  )
  const ended = changed.flatMap(({ after, before }) => {
    const running = before.attempts[before.attempts.length - 1]
    const attempt = running && after.attempts[running.number - 1]
    if (running === undefined || running.ended !== undefined || attempt?.ended === undefined) return []
    return [{ task: after, attempt, owner: before.owner as string, token: before.token }]
  })
  return run(
    `WITH u AS (
      SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::uuid[], $6::int[], $7::bigint[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::int[], $13::bigint[], $14::text[])
        AS u(id, ${changedColumns}, kind)
    ), changed AS (
      UPDATE ${tasks} t SET (${changedColumns}) = ROW(${changedColumns.replaceAll(/\w+/g, "u.$&")})
      FROM u WHERE t.id = u.id
    ), updated AS (
      UPDATE ${schedules} s SET status = n.status, revision = n.revision, cursor = n.cursor, runs = n.runs,
        missed = n.missed, failures = n.failures, pause = n.pause
      FROM unnest($15::uuid[], $16::text[], $17::int[], $18::bigint[], $19::bigint[], $20::bigint[], $21::int[],
        $22::text[]) AS n(id, status, revision, cursor, runs, missed, failures, pause) WHERE s.id = n.id
    ), ended AS (
      INSERT INTO ${attempts} (${attemptColumns}) SELECT * FROM unnest($23::uuid[], $24::int[], $25::int[],
        $26::uuid[], $27::bigint[], $28::bigint[], $29::text[], $30::text[], $31::text[], $32::text[], $33::text[])
    ), told AS (SELECT id, kind FROM u WHERE kind IS NOT NULL)
    ${noteChanges(store, "kind", "told", 34)}`,
    [
      ...changedTasks(changed.map(({ after }) => after)),
      plain(changed.map(({ after }) => after.attempts.length)),
      plain(started),
      texts(changed.map(({ after }) => kinds.get(after.id))),
      plain(updated.map(({ id }) => id)),
      texts(updated.map(({ status }) => status)),
      plain(updated.map(({ revision }) => revision)),
      plain(updated.map(({ cursor }) => cursor)),
      plain(updated.map(({ runs }) => runs)),
      plain(updated.map(({ missed }) => missed)),
      plain(updated.map(({ failures }) => failures)),
      texts(updated.map(({ pause }) => encodePause(pause))),
      ...endedAttempts(ended),
      store.boot
    ]
  )
}

export const write = (store: Store, run: Run, work: Work) =>
  Effect.gen(function*() {
    yield* update(store, run, work)
    if (work.passed.length > 0) yield* insertSkipped(store, run, work.passed)
    const freed = work.ended.length > 0 && (yield* freeNext(store, run, work))
    const verdicts = work.inserts.length === 0 ? [] : yield* insertTasks(store, run, work.inserts)
    const stored = new Map(
      verdicts.flatMap((verdict) => verdict._tag === "Inserted" ? [[verdict.task.id, verdict.task]] : [])
    )
    return { stored, freed }
  })

/** What a transaction came to, with the occurrences that it has stored. */
export interface Done<A> {
  readonly value: A
  readonly stored: ReadonlyMap<TaskId, ScheduledTask>
  /** Whether others that waited may be claimed now. */
  readonly freed: boolean
  /** Tells of its changes; to be called once it is committed. */
  readonly tell: () => void
}

/** Carries out a piece of work in a transaction. */
export const carryOutIn = <A>(
  store: Store,
  run: Run,
  concerned: Concerned,
  decide: (work: Work) => A
): Effect.Effect<Done<A>, SqlError> =>
  Effect.gen(function*() {
    const work = yield* load(store, run, concerned)
    const value = decide(work)
    const { freed, stored } = yield* write(store, run, work)
    return {
      value,
      stored,
      freed,
      tell: () => {
        tell(store, work)
        for (const task of stored.values()) store.log.append("scheduled", task)
      }
    }
  })

/** The same in a transaction of its own. */
export const carryOut = <A>(
  store: Store,
  concerned: Concerned,
  decide: (work: Work) => A
): Effect.Effect<Done<A>, SqlError> =>
  Effect.tap(
    store.db.transact((run) => carryOutIn(store, run, concerned, decide)),
    (done) => Effect.sync(done.tell)
  )

/** Tells of what a piece of work has changed, now that it is committed. */
export const tell = (store: Store, work: Work): void => {
  for (const { kind, task } of work.changes) store.log.append(kind, task)
}

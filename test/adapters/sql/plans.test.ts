/** What the database does to answer: rows are found by their indexes, whatever the planner knows of the tables (F66). */
import { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expect, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { cancelWork } from "../../../src/adapters/sql/cancelWork.ts"
import { claimTasks } from "../../../src/adapters/sql/claimTasks.ts"
import type { Row, Run } from "../../../src/adapters/sql/Db.ts"
import { makeDb } from "../../../src/adapters/sql/Db.ts"
import { deferTasks, recallTasks } from "../../../src/adapters/sql/deferTasks.ts"
import * as leases from "../../../src/adapters/sql/leases.ts"
import { migrate } from "../../../src/adapters/sql/migrate.ts"
import { pruneTasks, purgeTasks } from "../../../src/adapters/sql/pruneTasks.ts"
import * as reading from "../../../src/adapters/sql/reading.ts"
import { redriveTasks } from "../../../src/adapters/sql/redriveTasks.ts"
import { settleTasks } from "../../../src/adapters/sql/settleTasks.ts"
import { startTasks } from "../../../src/adapters/sql/startTasks.ts"
import type { Store } from "../../../src/adapters/sql/Store.ts"
import { columnsOf, tablesOf } from "../../../src/adapters/sql/Store.ts"
import { TaskId } from "../../../src/domain/Ids.ts"
import type { RedriveTask, RunningTask, ScheduledTask } from "../../../src/domain/Task.ts"
import { ChangeLog } from "../../../src/ports/ChangeLog.ts"
import { anInstanceId, aScheduleId, aTask, succeeded, t0 } from "../../support/builders.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, sharedConnections } from "./support.ts"

interface Plan {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Shared Hit Blocks"?: number
  readonly "Shared Read Blocks"?: number
  readonly Plans?: ReadonlyArray<Plan>
}

const nodes = (plan: Plan): ReadonlyArray<Plan> => [plan, ...(plan.Plans ?? []).flatMap(nodes)]

const schema = freshSchemaName()
const tables = tablesOf(schema)
const lease = { instanceId: anInstanceId(), expiresAt: Infinity }
const dead = anInstanceId()
const hour = 3_600_000

const uuid = (group: number, index: string) =>
  `(lpad('${group}', 8, '0') || '-0000-7000-8000-' || lpad(${index}::text, 12, '0'))::uuid`
const idOf = (group: number, index: number) =>
  TaskId.make(`${String(group).padStart(8, "0")}-0000-7000-8000-${String(index).padStart(12, "0")}`)

const insert = (group: number, count: number, columns: Readonly<Record<string, string>>) => {
  const all = {
    v: "1",
    status: "'Scheduled'",
    name: "'job' || g % 100",
    function_name: "'fn' || g % 100",
    function: `'{"v":1,"timeout":3000}'`,
    payload: "'{}'",
    retry: `'{"v":1}'`,
    created_at: String(t0),
    nominal_at: String(t0 + hour),
    due_at: String(t0 + hour),
    claimable_at: `${t0 + hour} + g`,
    token: "0",
    attempt: "0",
    ...columns
  }
  return `INSERT INTO ${tables.tasks} (id, ${Object.keys(all).join(", ")})
    SELECT ${uuid(group, "g")}, ${Object.values(all).join(", ")} FROM generate_series(1, ${count}) g`
}

/** 50,000 rows: most of them wait for later, some have ended, some run, some are held by the living and the dead. */
const filled = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* PgClient
  const db = makeDb(sql)
  yield* migrate(db, schema)
  yield* sql.unsafe(`ALTER TABLE ${tables.tasks} SET (autovacuum_enabled = false)`)
  yield* leases.openLease({ db, tables } as Store, lease.instanceId, hour)
  yield* sql.unsafe(insert(1, 40_000, {}))
  yield* sql.unsafe(insert(2, 5_000, {
    status: "'Succeeded'",
    finished_at: `${t0} + g`,
    result: "''",
    result_encoding: "'utf8'"
  }))
  yield* sql.unsafe(insert(3, 2_000, { owner: `'${lease.instanceId}'`, token: "1" }))
  yield* sql.unsafe(insert(4, 2_000, {
    owner: `'${lease.instanceId}'`,
    token: "1",
    status: "'Running'",
    attempt: "1",
    started_at: String(t0)
  }))
  yield* sql.unsafe(insert(5, 1_000, { owner: `'${dead}'`, token: "1" }))
  yield* sql.unsafe(insert(6, 1_000, {
    status: "'Failed'",
    finished_at: `${t0} + g`,
    failure: `'{"v":1,"reason":"FunctionError","message":""}'`
  }))
})).pipe(Layer.provideMerge(sharedConnections))

const held = Array.from(
  { length: 1_000 },
  (_, index): ScheduledTask => aTask({ id: idOf(3, index + 1), owner: lease.instanceId, token: 1 })
)
const running = Array.from({ length: 1_000 }, (_, index): RunningTask => ({
  ...aTask({ id: idOf(4, index + 1), owner: lease.instanceId, token: 1 }),
  status: "Running",
  attempts: [{ number: 1, startedAt: t0, ended: undefined }]
}))

const letters = Array.from({ length: 1_000 }, (_, index): RedriveTask => ({
  ...aTask(),
  redriveOf: idOf(6, index + 1)
}))

const within = {
  now: t0 + hour,
  maxAge: 1_000,
  maxCount: 100,
  failedMaxAge: 1_000,
  failedMaxCount: 100,
  limit: 1_000
}

const claim = { lease, now: t0, ahead: 1_000, limit: 1_000, start: 100, excludeFunctions: [] }

const markAll = (store: Store, tasks: ReadonlyArray<ScheduledTask>) =>
  startTasks(
    store,
    tasks.map((claimed) => ({
      owner: lease.instanceId,
      now: t0,
      askedAt: 0,
      mark: { id: claimed.id, token: 1, successor: undefined, claimed }
    }))
  )
const endAll = (store: Store, tasks: ReadonlyArray<RunningTask>) =>
  settleTasks(
    store,
    tasks.map((task) => ({ owner: lease.instanceId, request: { ...succeeded(task), running: task } }))
  )

/** With the answers of statements on which the next ones depend. */
const redriveAll = (store: Store, tasks: ReadonlyArray<RedriveTask>) => {
  const locked = tasks.map(({ redriveOf }): Row => [redriveOf, "Failed", null])
  const stored = tasks.map(({ id }): Row => [id, null, 0])
  return store.db.transact((run) => {
    const answering: Run = (text, params) =>
      Effect.map(
        run(text, params),
        () => text.includes("FOR UPDATE") ? locked : text.includes("INSERT INTO") ? stored : []
      )
    return redriveTasks(store, answering, tasks.map((task) => ({ task, claimer: undefined })))
  })
}

/** Each piece of work, and the index by which it must find its Tasks. */
const works: Readonly<Record<string, readonly [index: string, (store: Store) => Effect.Effect<unknown, unknown>]>> = {
  "a claim": ["tasks_next", (store) => claimTasks(store, claim)],
  "a claim without some functions": [
    "tasks_lanes",
    (store) => claimTasks(store, { ...claim, excludeFunctions: ["fn1", "fn2"] })
  ],
  "what a function has is deferred": [
    "tasks_lanes",
    (store) => deferTasks(store, { functionName: "fn1", now: t0, from: t0 + 1_000, step: 5, limit: 1_000 })
  ],
  "what a function has is recalled": [
    "tasks_lanes",
    (store) => recallTasks(store, { functionName: "fn1", now: t0, limit: 1_000 })
  ],
  "1,000 start marks": ["tasks_pkey", (store) => markAll(store, held)],
  "one start mark": ["tasks_pkey", (store) => markAll(store, held.slice(0, 1))],
  "1,000 ends": ["tasks_pkey", (store) => endAll(store, running)],
  "one end": ["tasks_pkey", (store) => endAll(store, running.slice(0, 1))],
  "a search for what is forgotten": [
    "tasks_owned",
    (store) => leases.forgotten(store, lease, new Set([...held, ...running].map(({ id }) => id)))
  ],
  "a reap": ["tasks_owned", (store) => leases.reap(store, lease, 1_000)],
  "a reconcile": ["tasks_pkey", (store) => leases.reconcile(store, lease, held)],
  "a release": ["tasks_pkey", (store) => leases.release(store, lease, held, t0)],
  "a get": ["tasks_pkey", (store) => reading.getTask(store, idOf(1, 7))],
  "the first page": ["tasks_pkey", (store) => reading.listTasks(store, {}, { limit: 100 })],
  "a later page": ["tasks_pkey", (store) => reading.listTasks(store, {}, { limit: 100, cursor: idOf(1, 30_000) })],
  "a page of a name": ["tasks_name", (store) => reading.listTasks(store, { name: "job7" }, { limit: 100 })],
  "a page of a schedule": [
    "tasks_occurrence",
    (store) => reading.listTasks(store, { scheduleId: aScheduleId() }, { limit: 100 })
  ],
  "a backlog": ["tasks_next", (store) => reading.backlog(store, t0)],
  "a pruning": ["tasks_ended", (store) => pruneTasks(store, within)],
  "a pruning of dead letters": ["tasks_failed", (store) => pruneTasks(store, within)],
  "a page of dead letters": [
    "tasks_dead_letters",
    (store) => reading.listTasks(store, { status: ["Failed"] }, { limit: 100 })
  ],
  "a page of dead letters that nobody has redriven, for one reason": [
    "tasks_dead_letters",
    (store) =>
      reading.listTasks(store, { status: ["Failed"], redriven: false, failureReason: ["FunctionError"] }, {
        limit: 100
      })
  ],
  "a count of dead letters": ["tasks_dead_letters", (store) => reading.countTasks(store, { status: ["Failed"] })],
  "a purge": ["tasks_dead_letters", (store) => purgeTasks(store, { filter: {}, now: t0, limit: 1_000 })],
  "1,000 redrives": ["tasks_pkey", (store) => redriveAll(store, letters)],
  "one redrive": ["tasks_pkey", (store) => redriveAll(store, letters.slice(0, 1))],
  "a cancelled name": ["tasks_name", (store) => cancelWork(store, { _tag: "Named", name: "job7" }, t0)]
}

/** A store that explains what it is asked for instead of doing it. */
const explaining = (
  client: PgClient,
  options: string
): { readonly store: Store; readonly plans: Array<Plan> } => {
  const plans: Array<Plan> = []
  const { run } = makeDb(client)
  const explain: Run = (text, params) =>
    text.startsWith("SELECT pg_")
      ? run(text, params)
      : Effect.map(run(`EXPLAIN (${options}, FORMAT JSON) ${text}`, params), (rows): ReadonlyArray<Row> => {
        for (const [explained] of rows) {
          plans.push(...(explained as ReadonlyArray<{ readonly Plan: Plan }>).map(({ Plan }) => Plan))
        }
        return []
      })
  return {
    plans,
    store: {
      db: {
        run: explain,
        runApart: explain,
        transact: (body) => body(explain),
        inTransaction: (_, otherwise) => otherwise
      },
      schema,
      tables,
      columns: columnsOf(tables),
      boot: anInstanceId(),
      log: new ChangeLog(),
      unreadable: new Set()
    }
  }
}

describe("plans with 50,000 Tasks", () => {
  layer(filled, { excludeTestServices: true, timeout: "30 seconds" })((it) => {
    for (const analyzed of [false, true]) {
      for (const [what, [index, work]] of Object.entries(works)) {
        it.effect(`${what}, ${analyzed ? "analyzed" : "never analyzed"}: by ${index}`, () =>
          Effect.gen(function*() {
            const sql = yield* PgClient
            if (analyzed) yield* analyze
            const { plans, store } = explaining(sql, "COSTS")
            yield* work(store)
            const all = plans.flatMap(nodes)
            const scans = all.filter((node) => node["Relation Name"] === "tasks" && node["Node Type"] === "Seq Scan")
            expect(scans, JSON.stringify(plans)).toEqual([])
            expect(all.map((node) => node["Index Name"])).toContain(index)
          }))
      }
    }

    const analyze = Effect.cached(Effect.flatMap(PgClient, (sql) => sql.unsafe(`ANALYZE ${tables.tasks}`))).pipe(
      Effect.runSync
    )

    it.effect("an empty poll reads next to nothing, however much waits for later", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient
        for (let poll = 0; poll < 2; poll++) {
          const { plans, store } = explaining(sql, "ANALYZE, BUFFERS")
          yield* claimTasks(store, claim)
          const read = (plans[0]?.["Shared Hit Blocks"] ?? NaN) + (plans[0]?.["Shared Read Blocks"] ?? NaN)
          expect(read).toBeLessThan(20)
        }
      }))

    for (const what of ["1,000 start marks", "1,000 ends", "a release"]) {
      it.effect(`${what}, analyzed when no Task was in their state, on disks that turn: no row is compared with every input`, () =>
        Effect.gen(function*() {
          const sql = yield* PgClient
          yield* sql.unsafe(`UPDATE ${tables.tasks} SET status = 'Cancelled'`)
          yield* sql.unsafe(`ANALYZE ${tables.tasks}`)
          yield* sql.unsafe("SET random_page_cost = 4")
          const { plans, store } = explaining(sql, "COSTS")
          yield* works[what]?.[1](store) ?? Effect.die(what)
          const loops = plans.flatMap(nodes).filter((node) => node["Node Type"] === "Nested Loop")
          const scanned = loops.flatMap(({ Plans = [] }) => Plans.flatMap(nodes)).filter((node) =>
            node["Relation Name"] === "tasks" && node["Node Type"] === "Seq Scan"
          )
          expect(plans.length).toBeGreaterThan(0)
          expect(scanned, JSON.stringify(plans)).toEqual([])
        }).pipe(Effect.provide(connections({ maxConnections: 1 }))))
    }
  })
})

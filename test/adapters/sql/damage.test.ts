/** Rows that somebody has edited by hand into nonsense (F32, F65): set aside, told of once, and in nobody's way. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel } from "effect"
import type { TaskId } from "../../../src/domain/Ids.ts"
import { LambdaScheduler, Trigger } from "../../../src/index.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import {
  allTasks,
  claimAll,
  idsOf,
  inserted,
  insertedOne,
  insertedSchedule,
  mustGet,
  mustGetSchedule,
  started
} from "../../ports/contract/harness.ts"
import {
  allEnded,
  anInstanceId,
  aSchedule,
  aTask,
  occurrenceOf,
  retrying,
  succeeded,
  successorOf,
  t0
} from "../../support/builders.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { engineIn, eventually, freshStore, invoked, job, schemaOf } from "./support.ts"

/** Collects what is logged as a warning or worse. */
const logged = <A, E, R>(use: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const capture = Logger.make(({ annotations, logLevel, message }) => {
      if (LogLevel.lessThan(logLevel, LogLevel.Warning)) return
      lines.push([message, ...annotations].flat().map(String).join(" "))
    })
    return Effect.provide(use(lines), Logger.replace(Logger.defaultLogger, capture))
  })

const damage = (schema: string, table: string, id: string, change: string) =>
  Effect.flatMap(
    PgClient,
    (sql) =>
      sql.unsafe(
        `UPDATE "${schema}".${table} SET ${change} WHERE ${table === "task_attempts" ? "task_id" : "id"} = $1`,
        [
          id
        ]
      )
  )

const open = (repository: Repository) => repository.openLease(anInstanceId(), 3_600_000)

const test = (
  title: string,
  body: (
    repository: Repository,
    schema: string,
    lines: ReadonlyArray<string>
  ) => Effect.Effect<unknown, unknown, PgClient>
) =>
  it.live(
    title,
    () =>
      logged((lines) =>
        Effect.flatMap(TaskRepository, (repository) => body(repository, schemaOf(repository), lines)).pipe(
          Effect.provide(freshStore)
        )
      )
  )

/** What can be done to a row without the database minding. */
const damages: Readonly<Record<string, string>> = {
  "retry that is no JSON": "retry = '{'",
  "retry of a later version": `retry = '{"v":3}'`,
  "retry without a version": "retry = '{}'",
  "retry with a text for a number": `retry = '{"v":1,"maxAttempts":"many"}'`,
  "retry that is empty": "retry = ''",
  "function that is no JSON": "function = 'hello'",
  "function of a later version": `function = '{"v":2,"timeout":3000}'`,
  "function that is null": "function = 'null'",
  "tags in a list": `tags = '["a"]'`,
  "tags with a number": `tags = '{"a":1}'`,
  "tags that are a text": `tags = '"a"'`,
  "tags that are JSON's null": "tags = 'null'",
  "a later version": "v = 99",
  "an instant beyond safe numbers": "nominal_at = 9223372036854775807",
  "attempts without their history": "attempt = 2",
  "fewer attempts than none": "attempt = -1"
}

describe("rows edited by hand", () => {
  test("what is due and cannot be read is set aside, told of once, and holds up nothing", (
    repository,
    schema,
    lines
  ) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const bad = Object.keys(damages).map((name) => aTask({ name, dueAt: t0 - 10 }))
      const good = [aTask({ dueAt: t0 - 20 }), aTask({ dueAt: t0 - 10 }), aTask()]
      yield* repository.insert([...bad, ...good], undefined)
      for (const { id, name } of bad) yield* damage(schema, "tasks", id, damages[name] ?? expect.fail())
      const claimed = yield* Effect.iterate({ ids: [] as ReadonlyArray<TaskId>, rounds: 0 }, {
        while: ({ rounds }) => rounds < 12,
        body: ({ ids, rounds }) =>
          Effect.map(
            repository.claimDue({ lease, now: t0, ahead: 0, limit: 2, start: 1, excludeFunctions: [] }),
            ({ tasks }) => ({ ids: [...ids, ...idsOf(tasks)], rounds: rounds + 1 })
          )
      })
      expect(claimed.ids).toEqual(idsOf(good))
      expect(yield* claimAll(repository, lease, t0 + 1_000_000)).toMatchObject({ tasks: [] })
      // Nobody owns them, as before, and nothing says that they have begun.
      const sql = yield* PgClient
      const rows = yield* sql.unsafe<Record<string, unknown>>(
        `SELECT name, status, owner, started_at FROM "${schema}".tasks WHERE name <> 'hello'`
      )
      expect(rows).toHaveLength(bad.length)
      for (const row of rows) expect(row).toMatchObject({ status: "Scheduled", owner: null, started_at: null })
      for (const { id } of bad) {
        expect(yield* Effect.flip(repository.get(id))).toMatchObject({ reason: "Corrupt" })
      }
      expect(idsOf(yield* allTasks(repository))).toEqual(idsOf(good.slice().reverse()))
      for (const { id, name } of bad) {
        expect([name, lines.filter((line) => line.includes(id)).length]).toEqual([name, 1])
      }
      expect(lines).toHaveLength(bad.length)
    }))

  test("a row that has been mended is as good as any other", (repository, schema) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const task = aTask()
      yield* repository.insert([task], undefined)
      const sql = yield* PgClient
      const [before] = yield* sql.unsafe<{ retry: string }>(`SELECT retry FROM "${schema}".tasks`)
      yield* damage(schema, "tasks", task.id, "retry = '{'")
      yield* claimAll(repository, lease)
      yield* damage(schema, "tasks", task.id, `retry = '${before?.retry}', claimable_at = due_at`)
      expect(idsOf(yield* claimAll(repository, lease))).toEqual([task.id])
      const { task: running } = yield* started(repository, lease, yield* mustGet(repository, task.id))
      expect(running.attempts).toHaveLength(1)
    }))

  test("a status that nobody knows is left alone: not claimed, not listed, not reaped, not cancelled", (
    repository,
    schema
  ) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const dead = yield* open(repository)
      const [free, held] = [aTask(), yield* insertedOne(repository, dead, aTask())]
      const good = aTask()
      yield* repository.insert([free, good], undefined)
      for (const { id } of [free, held]) yield* damage(schema, "tasks", id, "status = 'Paused'")
      yield* repository.closeLease(dead)
      yield* repository.reap(lease, 100)
      expect(idsOf(yield* claimAll(repository, lease))).toEqual([good.id])
      expect(yield* Effect.flip(repository.get(free.id))).toMatchObject({ reason: "Corrupt" })
      expect(idsOf(yield* allTasks(repository))).toEqual([good.id])
      expect((yield* repository.list({ status: ["Scheduled"] }, { limit: 10 })).items).toHaveLength(1)
      expect(idsOf((yield* repository.cancel(lease, { _tag: "Named", name: "hello" }, t0)).tasks)).toEqual([good.id])
      const cancelled = yield* repository.cancel(lease, { _tag: "Task", id: free.id, successor: undefined }, t0)
      expect(cancelled.tasks).toEqual([])
      expect((yield* repository.backlog(t0)).due).toBe(0)
      const sql = yield* PgClient
      const rows = yield* sql.unsafe<{ status: string }>(`SELECT status FROM "${schema}".tasks ORDER BY status`)
      expect(rows.map(({ status }) => status)).toEqual(["Cancelled", "Paused", "Paused"])
    }))

  test(
    "states without what belongs to them cannot be read, and pages pass over them",
    (repository, schema) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const changes = [
          "status = 'Running', started_at = NULL",
          "status = 'Succeeded', finished_at = NULL",
          "result = NULL",
          "result_encoding = 'rot13'",
          "status = 'Failed', failure = NULL",
          "status = 'Failed', failure = '{}'",
          "status = 'Failed', failure = '{\"v\":2,\"reason\":\"FunctionError\",\"message\":\"\"}'",
          "status = 'Skipped', skipped = 'boredom'",
          "status = 'Cancelled', finished_at = NULL",
          "status = ''"
        ]
        const tasks: Array<TaskId> = []
        for (const change of [...changes, undefined, ...changes, undefined]) {
          const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
          yield* repository.settle(lease, [succeeded(task)])
          if (change === undefined) tasks.push(task.id)
          else {
            yield* damage(schema, "tasks", task.id, change)
            expect(yield* Effect.flip(repository.get(task.id)), change).toMatchObject({ reason: "Corrupt" })
          }
        }
        const first = yield* repository.list({}, { limit: 1 })
        expect(idsOf(first.items)).toEqual([tasks[1]])
        const second = yield* repository.list({}, { limit: 1, cursor: first.cursor })
        expect(idsOf(second.items)).toEqual([tasks[0]])
        expect(second.cursor).toBeUndefined()
        // Retention takes what has ended, readable or not.
        yield* repository.prune(allEnded(t0 + 1_000))
        expect(yield* allTasks(repository)).toEqual([])
      })
  )

  test(
    "history that cannot be read, or is not all there, never has an attempt sent twice",
    (repository, schema) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const sql = yield* PgClient
        const changes = ["error = '{'", "outcome = 'maybe'", "number = 7", undefined]
        for (const change of changes) {
          const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
          yield* repository.settle(lease, [retrying(task, t0)])
          if (change === undefined) {
            yield* sql.unsafe(`DELETE FROM "${schema}".task_attempts WHERE task_id = $1`, [task.id])
          } else yield* damage(schema, "task_attempts", task.id, change)
          expect((yield* claimAll(repository, lease)).tasks, change).toEqual([])
          expect(yield* Effect.flip(repository.get(task.id)), change).toMatchObject({ reason: "Corrupt" })
        }
      })
  )

  test(
    "what is deleted or edited while it is held is fenced, and the rest of the batch is not",
    (repository, schema) =>
      Effect.gen(function*() {
        const lease = yield* open(repository)
        const sql = yield* PgClient
        const held = yield* inserted(repository, lease, Array.from({ length: 8 }, () => aTask()))
        const [gone, ended, stolen, ...good] = held
        if (gone === undefined || ended === undefined || stolen === undefined) return expect.fail("there are eight")
        yield* sql.unsafe(`DELETE FROM "${schema}".tasks WHERE id = $1`, [gone.id])
        yield* damage(
          schema,
          "tasks",
          ended.id,
          "status = 'Succeeded', finished_at = 1, result = '', result_encoding = 'utf8'"
        )
        yield* damage(schema, "tasks", stolen.id, `owner = '${anInstanceId()}'`)
        for (const isShown of [true, false]) {
          const marks = held.map((task, index) => ({
            id: task.id,
            token: task.token,
            successor: undefined,
            ...(isShown === (index % 2 === 0) ? { claimed: task } : {})
          }))
          const verdicts = yield* repository.start(lease, marks, t0)
          const others = isShown ? "Started" : "Fenced"
          expect(verdicts.map(({ _tag }) => _tag)).toEqual([
            ..."Fenced Fenced Fenced".split(" "),
            ...good.map(() => others)
          ])
        }
        const running = yield* Effect.forEach(good, ({ id }) => mustGet(repository, id))
        const [deleted, paused] = running
        yield* sql.unsafe(`DELETE FROM "${schema}".tasks WHERE id = $1`, [deleted?.id])
        yield* damage(schema, "tasks", paused?.id ?? "", "status = 'Paused'")
        const verdicts = yield* repository.settle(
          lease,
          running.map((task) => task.status === "Running" ? { ...succeeded(task), running: task } : expect.fail())
        )
        expect(verdicts.map(({ _tag }) => _tag)).toEqual(["Fenced", "Fenced", "Accepted", "Accepted", "Accepted"])
        expect(yield* sql.unsafe(`SELECT 1 FROM "${schema}".task_attempts`)).toHaveLength(3)
        yield* repository.release(lease, held, t0)
        yield* repository.reconcile(lease, yield* repository.forgotten(lease, new Set()))
      })
  )

  test(
    "a schedule that cannot be read is left alone with its occurrences; names and functions are cancelled around it",
    (
      repository,
      schema,
      lines
    ) =>
      Effect.gen(function*() {
        const changes = [
          "recurrence = '{'",
          `recurrence = '{"_tag":"Cron","v":9}'`,
          "retry = '[]'",
          "status = 'Asleep'",
          "v = 99",
          "cursor = 9223372036854775807"
        ]
        for (const change of changes) {
          const lease = yield* open(repository)
          const [bad, good] = [aSchedule(), aSchedule()]
          const occurrences = yield* Effect.forEach(
            [bad, good],
            (schedule) => insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
          )
          const oneShot = yield* insertedOne(repository, lease, aTask({ name: "ticks" }))
          yield* damage(schema, "task_schedules", bad.id, change)
          const error = yield* Effect.flip(repository.getSchedule(bad.id))
          expect(error, change).toMatchObject({ reason: "Corrupt" })
          expect(yield* mustGetSchedule(repository, good.id)).toEqual(good)
          const listed = yield* repository.listSchedules({ status: ["Active"] }, { limit: 10 })
          expect(listed.items).toEqual([good])
          const marks = occurrences.map((task, index) => ({
            id: task.id,
            token: task.token,
            successor: successorOf(index === 0 ? bad : good, t0)
          }))
          const verdicts = yield* repository.start(lease, marks, t0)
          expect(verdicts.map(({ _tag }) => _tag)).toEqual(["Fenced", "Started"])
          const cancelled = yield* repository.cancel(lease, { _tag: "Named", name: "ticks" }, t0)
          expect(cancelled.schedules.map(({ id }) => id)).toEqual([good.id])
          expect(new Set(idsOf(cancelled.tasks))).toEqual(
            new Set([
              occurrences[1]?.id,
              oneShot.id,
              verdicts[1]?._tag === "Started" ? verdicts[1].next?.id : undefined
            ])
          )
          expect([change, lines.filter((line) => line.includes(bad.id)).length]).toEqual([change, 1])
          const again = yield* repository.cancel(lease, { _tag: "Function", name: "hello" }, t0)
          expect(again.tasks).toEqual([])
        }
      })
  )

  test("one running occurrence of such a schedule can still end", (repository, schema) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const schedule = aSchedule()
      const first = yield* insertedSchedule(repository, lease, schedule, occurrenceOf(schedule))
      const { task } = yield* started(repository, lease, first, { successor: successorOf(schedule, t0) })
      yield* damage(schema, "task_schedules", schedule.id, "recurrence = '{'")
      const [verdict] = yield* repository.settle(lease, [{ ...succeeded(task), running: task }])
      expect(verdict?._tag).toBe("Accepted")
      expect((yield* mustGet(repository, task.id)).status).toBe("Succeeded")
    }))

  it.live("an engine goes on with the others", () => {
    const schema = freshSchemaName()
    return logged((lines) =>
      Effect.gen(function*() {
        const scheduler = yield* LambdaScheduler
        const later = { trigger: Trigger.after("2 seconds") }
        const tasks = yield* scheduler.scheduleAll(job, Array.from({ length: 20 }, () => later))
        const sick = yield* scheduler.repeat(job, { trigger: Trigger.fixed("1 second"), initialDelay: "2 seconds" })
        const sql = yield* PgClient
        yield* damage(schema, "task_schedules", sick.id, "recurrence = '{'")
        for (const { id } of tasks.slice(0, 10)) yield* damage(schema, "tasks", id, "retry = '{'")
        // Given back last of all, so that each is claimed again as it is now.
        yield* sql.unsafe(`UPDATE "${schema}".tasks SET owner = NULL, token = token + 1`)
        yield* Effect.forEach(tasks.slice(10), ({ id }) => scheduler.awaitResult(id), { concurrency: "unbounded" })
        yield* scheduler.ready
        expect(yield* invoked("job")).toBe(10)
        const [next] = yield* scheduler.scheduleAll(job, [{}])
        yield* eventually(scheduler.get(next?.id ?? expect.fail()), ({ status }) => status === "Succeeded")
        expect((yield* scheduler.list()).items.filter(({ status }) => status === "Succeeded")).toHaveLength(11)
        for (const { id } of tasks.slice(0, 10)) expect(lines.filter((line) => line.includes(id))).toHaveLength(1)
      }).pipe(Effect.provide(engineIn(schema)))
    )
  })
})

/**
 * A pause and what starts at the same time, with every statement that starts something held up in its middle: by then it has
 * seen that there is no pause, and has not written yet.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Random } from "effect"
import type { ScheduledTask, Task } from "../../../src/domain/Task.ts"
import { encodeCap, ofAll } from "../../../src/policies/caps.ts"
import { encodePause } from "../../../src/policies/pauses.ts"
import type { Lease } from "../../../src/ports/TaskRepository.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import { insertedOne, insertedSchedule, mustGet, started } from "../../ports/contract/harness.ts"
import { anInstanceId, aSchedule, aTask, occurrenceOf, retrying, successorOf, t0 } from "../../support/builders.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, eventually, freshStore, schemaOf, storeIn, urlWith } from "./support.ts"

const name = aTask().function.name

const pause = (repository: Repository, which: string) =>
  repository.changeControl("pause", which, () => ({ answer: undefined, state: encodePause({ since: t0 }) }))

const mark = (repository: Repository, lease: Lease, task: ScheduledTask, caps?: ReadonlyArray<string>) =>
  repository.start(lease, [{ id: task.id, token: task.token, successor: undefined, claimed: task, caps }], t0)

/** A Task that may start, and what starts it. */
interface Route {
  readonly task: ScheduledTask
  readonly start: Effect.Effect<unknown, unknown>
}

/** All that starts something. */
const routes: Readonly<Record<string, (repository: Repository, lease: Lease) => Effect.Effect<Route, unknown>>> = {
  "a mark of its own": (repository, lease) =>
    Effect.map(insertedOne(repository, lease, aTask()), (task) => ({ task, start: mark(repository, lease, task) })),
  "a retry": (repository, lease) =>
    Effect.gen(function*() {
      const { task: first } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      const [verdict] = yield* repository.settle(lease, [retrying(first, t0, { keep: true })])
      const task = verdict?._tag === "Accepted" ? verdict.task as ScheduledTask : assert.fail("expected a retry")
      return { task, start: mark(repository, lease, task) }
    }),
  "a claim": (repository, lease) => {
    const task = aTask()
    const claim = { lease, now: t0, ahead: 0, limit: 10, start: 10 }
    return Effect.as(repository.insert([task], undefined), {
      task,
      start: repository.claimDue({ ...claim, excludeFunctions: [] })
    })
  },
  "a claim past a backlog of others": (repository, lease) => {
    const task = aTask()
    const claim = { lease, now: t0, ahead: 0, limit: 10, start: 10 }
    return Effect.as(repository.insert([task], undefined), {
      task,
      start: repository.claimDue({ ...claim, excludeFunctions: ["another"] })
    })
  },
  "an occurrence": (repository, lease) => {
    const schedule = aSchedule()
    return Effect.map(insertedSchedule(repository, lease, schedule, occurrenceOf(schedule)), (task) => ({
      task,
      start: repository.start(
        lease,
        [{ id: task.id, token: task.token, successor: successorOf(schedule, t0), claimed: task }],
        t0
      )
    }))
  },
  "a mark under a cap": (repository, lease) =>
    Effect.gen(function*() {
      yield* repository.changeControl("cap", name, () => ({ answer: undefined, state: encodeCap(5) }))
      const task = yield* insertedOne(repository, lease, aTask())
      return { task, start: mark(repository, lease, task, [name]) }
    })
}

/** Holds up whatever changes a row of a table, until it may go on. */
const holdUp = (repository: Repository, table: "tasks" | "controls", until: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const sql = yield* PgClient
    const schema = schemaOf(repository)
    const key = yield* Random.nextIntBetween(0, 2 ** 31)
    yield* sql.unsafe(`CREATE FUNCTION "${schema}".hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_advisory_xact_lock(${key}); RETURN NEW; END $$;
      CREATE TRIGGER hold_up BEFORE UPDATE ON "${schema}".${table} FOR EACH ROW EXECUTE FUNCTION "${schema}".hold_up()`)
    const taken = yield* Effect.makeLatch()
    yield* Effect.fork(sql.withTransaction(
      Effect.zipRight(sql.unsafe(`SELECT pg_advisory_xact_lock(${key})`), Effect.zipRight(taken.open, until))
    ))
    yield* taken.await
    const waiting = Effect.map(
      sql.unsafe<{ readonly count: number }>(
        `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND objid = ${key} AND NOT granted`
      ),
      ([row]) => row?.count
    )
    return { isHeldUp: eventually(waiting, (count) => count === 1) }
  })

const attempts = (task: Task) => task.attempts.length

const each = (
  title: (of: string, what: string) => string,
  body: (repository: Repository, lease: Lease, route: Route, which: string) => Effect.Effect<void, unknown, PgClient>,
  store = freshStore
) => {
  for (const [what, makeRoute] of Object.entries(routes)) {
    for (const which of [name, ofAll]) {
      it.live(title(which === ofAll ? "of all functions" : "of a function", what), () =>
        Effect.gen(function*() {
          const repository = yield* TaskRepository
          const lease = yield* repository.openLease(anInstanceId(), 60_000)
          yield* body(repository, lease, yield* makeRoute(repository, lease), which)
        }).pipe(Effect.provide(store)))
    }
  }
}

describe("a pause", () => {
  each((of, what) => `${of} does not answer before ${what} that did not know of it is written`, (
    repository,
    lease,
    { start, task },
    which
  ) =>
    Effect.gen(function*() {
      const next = yield* insertedOne(repository, lease, aTask())
      const goOn = yield* Effect.makeLatch()
      const { isHeldUp } = yield* holdUp(repository, "tasks", goOn.await)
      const starting = yield* Effect.fork(start)
      yield* isHeldUp
      const pausing = yield* Effect.fork(Effect.zipRight(pause(repository, which), mustGet(repository, task.id)))
      yield* Effect.sleep("200 millis")
      const early = yield* Fiber.poll(pausing)
      yield* goOn.open
      const asItWas = yield* Fiber.join(pausing)
      yield* Fiber.join(starting)
      assert.isTrue(Option.isNone(early), "it has answered before")
      const begun = yield* mustGet(repository, task.id)
      assert.strictEqual(attempts(begun), attempts(task) + 1)
      assert.deepStrictEqual(asItWas, begun)
      const [verdict] = yield* mark(repository, lease, next)
      assert.strictEqual(verdict?._tag, "Paused")
    }))

  const isWaitedFor = (
    repository: Repository,
    { start, task }: Route,
    which: string
  ): Effect.Effect<void, unknown, PgClient> =>
    Effect.gen(function*() {
      const goOn = yield* Effect.makeLatch()
      const { isHeldUp } = yield* holdUp(repository, "controls", goOn.await)
      const pausing = yield* Effect.fork(pause(repository, which))
      yield* isHeldUp
      const starting = yield* Effect.fork(start)
      yield* Effect.sleep("200 millis")
      const early = yield* Fiber.poll(starting)
      yield* goOn.open
      yield* Fiber.join(pausing)
      yield* Fiber.join(starting)
      assert.isTrue(Option.isNone(early), "it has been answered before")
      assert.strictEqual(attempts(yield* mustGet(repository, task.id)), attempts(task))
    })

  each(
    (of, what) => `${of} that is being written is waited for by ${what}, which then knows of it`,
    (repository, _, route, which) => isWaitedFor(repository, route, which)
  )

  // There a statement would not see what was written while it waited for a lock.
  const repeatable = Layer.unwrapEffect(
    Effect.sync(() =>
      storeIn(freshSchemaName()).pipe(Layer.provideMerge(connections({
        url: urlWith((url) => url.searchParams.set("options", "-c default_transaction_isolation=repeatable\\ read"))
      })))
    )
  )
  each(
    (of, what) => `${of} is seen by ${what} also where another isolation is the default`,
    (repository, _, route, which) => isWaitedFor(repository, route, which),
    repeatable
  )
})

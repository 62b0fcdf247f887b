/** The rules that keep work from being done twice or forgotten, as the statements have them. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer } from "effect"
import { encodeCap } from "../../../src/policies/caps.ts"
import type { Lease } from "../../../src/ports/TaskRepository.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import {
  claimAll,
  inserted,
  insertedOne,
  insertedSchedule,
  mustGet,
  started,
  startOne
} from "../../ports/contract/harness.ts"
import {
  anInstanceId,
  aSchedule,
  aTask,
  failed,
  occurrenceOf,
  retrying,
  succeeded,
  successorOf,
  t0
} from "../../support/builders.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, expire, freshStore, schemaOf, storeIn } from "./support.ts"

const test = (title: string, body: (repository: Repository) => Effect.Effect<void, unknown>) =>
  it.live(title, () => Effect.flatMap(TaskRepository, body).pipe(Effect.provide(freshStore)))

const minute = 60_000

const open = (repository: Repository) => repository.openLease(anInstanceId(), minute)

const reasonOf = <A>(call: Effect.Effect<A, { readonly reason: string }>) =>
  Effect.map(Effect.flip(call), (error) => error.reason)

describe("a lease is kept in time", () => {
  it.scopedLive("by heartbeats that do not wait for work to give its connections back", () =>
    Effect.gen(function*() {
      const repository = yield* TaskRepository
      const sql = yield* PgClient
      const lease = yield* open(repository)
      const busy = yield* Effect.makeLatch()
      const done = yield* Effect.makeLatch()
      const work = yield* Effect.fork(sql.withTransaction(Effect.zipRight(busy.open, done.await)))
      yield* busy.await
      assert.strictEqual((yield* Effect.flip(sql`SELECT 1`))._tag, "SqlError")
      const { instanceId } = yield* repository.renewLease(lease, minute)
      assert.strictEqual(instanceId, lease.instanceId)
      yield* done.open
      yield* Fiber.join(work)
    }).pipe(Effect.provide(
      Layer.suspend(() => storeIn(freshSchemaName())).pipe(
        Layer.provideMerge(connections({ maxConnections: 2, connectTimeout: 200 }))
      )
    )))
})

describe("rule 4: a heartbeat never revives a lease that has ended", () => {
  test("whether it was reaped or is only over; and no other is touched by it", (repository) =>
    Effect.gen(function*() {
      const [over, reaped, lives] = [yield* open(repository), yield* open(repository), yield* open(repository)]
      yield* expire(repository, reaped)
      yield* repository.reap(lives, 10)
      yield* expire(repository, over)
      for (const lease of [over, reaped, over]) {
        assert.strictEqual(yield* reasonOf(repository.renewLease(lease, minute)), "LeaseLost")
      }
      const { others } = yield* repository.renewLease(lives, minute)
      assert.strictEqual(others, 0)
    }))

  test("nothing is claimed or started under one", (repository) =>
    Effect.gen(function*() {
      const [over, lives] = [yield* open(repository), yield* open(repository)]
      const held = yield* insertedOne(repository, over, aTask())
      const schedule = aSchedule()
      const first = yield* insertedSchedule(repository, over, schedule, occurrenceOf(schedule))
      yield* repository.insert([aTask()], undefined)
      yield* expire(repository, over)
      assert.deepStrictEqual((yield* claimAll(repository, over)).tasks, [])
      for (const claimed of [undefined, held]) {
        const [verdict] = yield* repository.start(
          over,
          [{ id: held.id, token: held.token, successor: undefined, claimed }],
          t0
        )
        assert.strictEqual(verdict?._tag, "Fenced")
      }
      const successor = successorOf(schedule, t0)
      assert.strictEqual((yield* startOne(repository, over, first, { successor }))._tag, "Fenced")
      assert.deepStrictEqual(yield* mustGet(repository, held.id), held)
      assert.strictEqual((yield* claimAll(repository, lives)).tasks.length, 1)
    }))

  test("what ran when it ended may still be settled, as long as nobody has taken over", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
      yield* expire(repository, lease)
      const [verdict] = yield* repository.settle(lease, [succeeded(task)])
      assert.strictEqual(verdict?._tag, "Accepted")
    }))
})

describe("rule 6: what has no living owner is freed, and nothing else", () => {
  test("whether its owner's lease has ended, or is not there at all", (repository) =>
    Effect.gen(function*() {
      const [over, closed, lives] = [yield* open(repository), yield* open(repository), yield* open(repository)]
      const dead = yield* Effect.forEach([over, closed], (lease) => insertedOne(repository, lease, aTask()))
      const theirs = yield* insertedOne(repository, lives, aTask())
      yield* expire(repository, over)
      yield* repository.closeLease(closed)
      const reaper = yield* open(repository)
      assert.deepStrictEqual(yield* repository.reap(reaper, 100), { released: 2, orphans: [], ended: 1 })
      for (const { id, token } of dead) {
        assert.deepInclude(yield* mustGet(repository, id), { owner: undefined, token: token + 1 })
      }
      assert.deepStrictEqual(yield* mustGet(repository, theirs.id), theirs)
    }))

  test("what ran is the taker's to end; who had it is refused from then on, for good", (repository) =>
    Effect.gen(function*() {
      const [over, taker] = [yield* open(repository), yield* open(repository)]
      const tasks = yield* Effect.forEach(
        yield* inserted(repository, over, [aTask(), aTask(), aTask()]),
        (task) => Effect.map(started(repository, over, task), (verdict) => verdict.task)
      )
      yield* expire(repository, over)
      const { orphans, released } = yield* repository.reap(taker, 100)
      assert.strictEqual(released, 0)
      assert.deepStrictEqual(orphans.map(({ owner }) => owner), tasks.map(() => taker.instanceId))
      const late = [succeeded, failed, (task: (typeof tasks)[number]) => retrying(task, t0)]
      for (const [index, task] of tasks.entries()) {
        const settlement = (late[index] ?? succeeded)(task)
        for (const asked of [settlement, { ...settlement, running: task }]) {
          const [verdict] = yield* repository.settle(over, [asked])
          assert.strictEqual(verdict?._tag, "Fenced")
        }
        const [stolen] = yield* repository.settle(over, [succeeded({ ...task, token: task.token + 1 })])
        assert.strictEqual(stolen?._tag, "Fenced", "the token alone is not enough")
        const [old] = yield* repository.settle(taker, [succeeded(task)])
        assert.strictEqual(old?._tag, "Fenced", "nor is the owner")
        const running = { ...task, owner: taker.instanceId }
        const [alone] = yield* repository.settle(taker, [{ ...succeeded(task), running }])
        assert.strictEqual(alone?._tag, "Fenced", "nor where the row is not read back")
      }
      const verdicts = yield* repository.settle(taker, orphans.map((orphan) => failed(orphan)))
      assert.deepStrictEqual(verdicts.map(({ _tag }) => _tag), tasks.map(() => "Accepted"))
    }))

  test("a heartbeat that is under way with the reaper gets through before it, or is lost: never both", (repository) =>
    Effect.gen(function*() {
      const reaper = yield* open(repository)
      for (let round = 0; round < 30; round++) {
        const lease = yield* repository.openLease(anInstanceId(), 20 + (round % 5))
        const task = yield* insertedOne(repository, lease, aTask())
        yield* Effect.sleep(20)
        const [beat] = yield* Effect.all([
          Effect.exit(repository.renewLease(lease, minute)),
          repository.reap(reaper, 100)
        ], { concurrency: 2 })
        const now = yield* mustGet(repository, task.id)
        if (Exit.isSuccess(beat)) {
          assert.strictEqual(now.owner, lease.instanceId)
          yield* repository.closeLease(lease)
        }
        yield* repository.reap(reaper, 100)
        assert.isUndefined((yield* mustGet(repository, task.id)).owner)
      }
    }))

  test("a heartbeat tells when the earliest lease of another instance ends, until that is reaped", (repository) =>
    Effect.gen(function*() {
      const [one, two] = [yield* open(repository), yield* open(repository)]
      const short = yield* repository.openLease(anInstanceId(), 5_000)
      assert.strictEqual(short.others, 2)
      const before = yield* repository.renewLease(one, minute)
      assert.strictEqual(before.others, 2)
      assert.strictEqual(before.nextExpiry, short.expiresAt)
      yield* expire(repository, short)
      const ended = yield* repository.renewLease(one, minute)
      assert.strictEqual(ended.others, 1)
      assert.isAtMost(ended.nextExpiry ?? Infinity, ended.storeNow)
      yield* repository.reap(one, 10)
      const after = yield* repository.renewLease(one, minute)
      assert.strictEqual(after.nextExpiry, two.expiresAt)
    }))
})

describe("a cap", () => {
  it.scopedLive("holds over instances that start at the same moment", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const build = Layer.build(Layer.fresh(storeIn(schema).pipe(Layer.provide(connections()))))
      const stores = yield* Effect.replicateEffect(
        Effect.map(build, (context) => Context.get(context, TaskRepository)),
        4
      )
      const cap = encodeCap(3)
      yield* (stores[0] as Repository).changeControl("cap", "hello", () => ({ answer: undefined, state: cap }))
      const leases = yield* Effect.forEach(stores, open)
      for (let round = 0; round < 20; round++) {
        const held = yield* Effect.forEach(stores, (repository, index) =>
          inserted(repository, leases[index] as Lease, [aTask(), aTask()]))
        const verdicts = yield* Effect.forEach(
          stores,
          (repository, index) =>
            repository.start(
              leases[index] as Lease,
              (held[index] ?? []).map(({ id, token }) => ({ id, token, successor: undefined, caps: ["hello"] })),
              t0
            ),
          { concurrency: "unbounded" }
        )
        const started = verdicts.flat().filter(({ _tag }) =>
          _tag === "Started"
        )
        assert.strictEqual(started.length, 3, `round ${round}`)
        for (const [index, repository] of stores.entries()) {
          yield* Effect.forEach(held[index] ?? [], ({ id }) =>
            repository.cancel(leases[index] as Lease, { _tag: "Task", id, successor: undefined }, t0))
        }
      }
    }), 30_000)
})

describe("a start mark", () => {
  it.scopedLive("tells how long it has waited for its turn: that is not what it took to be confirmed", () =>
    Effect.gen(function*() {
      const repository = yield* TaskRepository
      const sql = yield* PgClient
      const lease = yield* open(repository)
      const tasks = yield* inserted(repository, lease, [aTask(), aTask(), aTask()])
      const locked = yield* Effect.makeLatch()
      const release = yield* Effect.makeLatch()
      const table = sql(`${schemaOf(repository)}.tasks`)
      const other = yield* Effect.fork(sql.withTransaction(
        sql`SELECT id FROM ${table} FOR UPDATE`.pipe(Effect.zipRight(locked.open), Effect.zipRight(release.await))
      ))
      yield* locked.await
      // Two statements go at a time, and both wait for the rows; the third waits for them.
      const marks = yield* Effect.forEach(tasks, (task) =>
        Effect.zipLeft(
          Effect.fork(
            repository.start(lease, [{ id: task.id, token: task.token, successor: undefined, claimed: task }], t0)
          ),
          Effect.sleep("20 millis")
        ))
      yield* Effect.sleep("300 millis")
      yield* release.open
      const waits = (yield* Fiber.join(Fiber.all(marks))).map(([verdict]) =>
        verdict?._tag === "Started" ? verdict.waited ?? 0 : undefined
      )
      assert.isBelow(waits[0] ?? Infinity, 100)
      assert.isBelow(waits[1] ?? Infinity, 100)
      assert.isAtLeast(waits[2] ?? 0, 250)
      yield* Fiber.join(other)
    }).pipe(Effect.provide(freshStore)))
})

describe("a cancel", () => {
  test("refuses every start mark and outcome that comes after it", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      const [waits, runs] = yield* inserted(repository, lease, [aTask(), aTask()])
      if (waits === undefined || runs === undefined) return assert.fail("two were inserted")
      const { task } = yield* started(repository, lease, runs)
      for (const id of [waits.id, runs.id]) {
        yield* repository.cancel(lease, { _tag: "Task", id, successor: undefined }, t0)
      }
      assert.strictEqual((yield* startOne(repository, lease, waits))._tag, "Fenced")
      for (const settlement of [succeeded(task), retrying(task, t0)]) {
        const [verdict] = yield* repository.settle(lease, [settlement])
        assert.strictEqual(verdict?._tag, "Fenced")
      }
      for (const { id, token } of [waits, task]) {
        assert.deepInclude(yield* mustGet(repository, id), { status: "Cancelled", token: token + 1, owner: undefined })
      }
    }))
})

/** Databases that cannot be reached, or not as asked: what is said about it, what is not, and that it passes. */
import { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Logger, Option, Redacted, Schedule } from "effect"
import { inspect } from "node:util"
import { PgConnections } from "../../../src/adapters/sql/index.ts"
import type { RunningTask } from "../../../src/domain/Task.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import { tcpProxy } from "../../chaos/TcpProxy.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import { allEnded, anInstanceId, aSchedule, aTask, occurrenceOf, succeeded, t0 } from "../../support/builders.ts"
import { freshSchemaName, postgresUrl } from "../../support/postgres.ts"
import { connections, eventually, freshDatabase, freshUser, sharedConnections, storeIn, urlWith } from "./support.ts"

/** The password in every address here: it must not come out again. */
const canary = "c4n4ry"

const at = (change: (url: URL) => void) =>
  urlWith((url) => {
    url.username = "somebody"
    url.password = canary
    change(url)
  })

const timeouts = { connectTimeout: 1_000, queryTimeout: 1_000 }

/** What is wrong, and all that could be printed of it. */
const failureOf = (url: Redacted.Redacted) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(Effect.scoped(
      Layer.build(storeIn(freshSchemaName()).pipe(Layer.provide(PgConnections.layer({ url, ...timeouts }))))
    ))
    if (Exit.isSuccess(exit)) return expect.fail("it must fail")
    const error = Cause.squash(exit.cause) as {
      readonly _tag: string
      readonly reason: string
      readonly message: string
    }
    const printed = [
      Cause.pretty(exit.cause, { renderErrorCause: true }),
      inspect(exit, { depth: 20, showHidden: true }),
      JSON.stringify(exit)
    ]
    const print = Logger.map(Logger.logfmtLogger, (line) => printed.push(line))
    yield* Effect.provide(Effect.logError(exit.cause), Logger.replace(Logger.defaultLogger, print))
    expect(printed).toHaveLength(4)
    return { error, printed: printed.join("\n"), isTyped: Option.isSome(Cause.failureOption(exit.cause)) }
  })

const cases: Readonly<Record<string, { readonly url: Redacted.Redacted | undefined; readonly says: RegExp }>> = {
  "a wrong password": {
    url: at((url) => {
      url.username = new URL(postgresUrl()).username
    }),
    says: /refuses the password.*DATABASE_URL/
  },
  "a user that is not there": { url: at(() => {}), says: /refuses the password.*user.*DATABASE_URL/ },
  "a database that is not there": { url: undefined, says: /does not exist.*name.*DATABASE_URL.*create it/ },
  "a host that is not known": {
    url: at((url) => {
      url.hostname = "nowhere.invalid"
    }),
    says: /host.*DATABASE_URL/
  },
  "a port where nothing listens": {
    url: at((url) => {
      url.port = "1"
    }),
    says: /Nothing listens.*Is it running.*DATABASE_URL/
  },
  "a server that speaks no TLS, asked for it": {
    url: at((url) => {
      url.searchParams.set("sslmode", "verify-full")
    }),
    says: /TLS|SSL/
  },
  "a certificate that is not there": {
    url: at((url) => {
      url.searchParams.set("sslrootcert", "/nowhere/root.crt")
    }),
    says: /DATABASE_URL.*nowhere.root.crt/
  },
  "an address that is none": { url: Redacted.make(`postgres://somebody:${canary}@ho st:x/`), says: /DATABASE_URL/ },
  "an address with another port than a number": {
    url: Redacted.make(`postgres://somebody:${canary}@localhost:port/db`),
    says: /DATABASE_URL/
  }
}

describe("a database that cannot be reached", () => {
  for (const [what, { says, url }] of Object.entries(cases)) {
    it.scopedLive(`${what}: the Layer fails, says what to do, and never the password`, () =>
      Effect.gen(function*() {
        const asked = url ?? (yield* Effect.map(freshUser(() => ""), (user) => {
          const there = new URL(Redacted.value(user))
          there.pathname = "/nothing_of_that_name"
          return Redacted.make(there.href)
        }))
        const { error, isTyped, printed } = yield* failureOf(asked)
        expect(isTyped).toBe(true)
        expect(error.message).toMatch(says)
        expect(printed).not.toContain(canary)
      }))
  }
})

/** The test server behind a proxy that can fail, and the address of that. */
const proxied = Effect.suspend(() => {
  const { hostname, port } = new URL(postgresUrl())
  return Effect.map(tcpProxy({ host: hostname, port: Number(port) }), (proxy) => ({
    proxy,
    url: urlWith((url) => {
      url.hostname = "127.0.0.1"
      url.port = String(proxy.port)
    })
  }))
})

const storeAt = (url: Redacted.Redacted, schema: string, options: Parameters<typeof storeIn>[1] = {}) =>
  Effect.map(
    Layer.build(storeIn(schema, options).pipe(Layer.provide(connections({ url, ...timeouts })))),
    Context.get(TaskRepository)
  )

/** Every call that goes to the database, and nothing it needs. */
const callsOf = (repository: Repository): Readonly<Record<string, Effect.Effect<unknown, unknown>>> => {
  const lease = { instanceId: anInstanceId(), expiresAt: Infinity }
  const schedule = aSchedule()
  const held = aTask({ owner: lease.instanceId, token: 1 })
  const running: RunningTask = {
    ...held,
    status: "Running",
    attempts: [{ number: 1, startedAt: t0, ended: undefined }]
  }
  const mark = { id: held.id, token: 1, successor: undefined }
  return {
    openLease: repository.openLease(lease.instanceId, 1_000),
    renewLease: repository.renewLease(lease, 1_000),
    closeLease: repository.closeLease(lease),
    insert: repository.insert([aTask()], undefined),
    "insert with a key": repository.insert([aTask()], undefined, [{ key: "k", digest: "d" }]),
    claimDue: repository.claimDue({ lease, now: t0, ahead: 0, limit: 1, excludeFunctions: ["x"], start: 1 }),
    start: repository.start(lease, [mark], t0),
    "start what is held": repository.start(lease, [{ ...mark, claimed: held }], t0),
    settle: repository.settle(lease, [succeeded(running)]),
    "settle what is held": repository.settle(lease, [{ ...succeeded(running), running }]),
    release: repository.release(lease, [held], t0),
    "cancel a Task": repository.cancel(lease, { _tag: "Task", id: held.id, successor: undefined }, t0),
    "cancel a name": repository.cancel(lease, { _tag: "Named", name: "x" }, t0),
    reap: repository.reap(lease, 10),
    forgotten: repository.forgotten(lease, new Set()),
    reconcile: repository.reconcile(lease, [held]),
    get: repository.get(held.id),
    list: repository.list({}, { limit: 1 }),
    changes: repository.changes("latest"),
    backlog: repository.backlog(t0),
    prune: repository.prune(allEnded(t0, 1)),
    redrive: repository.redrive([{ ...aTask(), redriveOf: held.id }], undefined),
    count: repository.count({}),
    purge: repository.purge({ filter: {}, now: t0, limit: 1 }),
    insertSchedule: repository.insertSchedule(schedule, occurrenceOf(schedule), undefined),
    getSchedule: repository.getSchedule(schedule.id),
    listSchedules: repository.listSchedules({}, { limit: 1 })
  }
}

/** Each call must fail as `Unavailable`, with words that say why. */
const allUnavailable = (repository: Repository, says: RegExp) =>
  Effect.forEach(
    Object.entries(callsOf(repository)),
    ([name, call]) =>
      Effect.map(Effect.flip(call), (error) => {
        expect([name, error]).toMatchObject([name, { _tag: "TaskRepositoryError", reason: "Unavailable" }])
        expect((error as Error).message, name).toMatch(says)
      }),
    { concurrency: "unbounded", discard: true }
  )

const works = (repository: Repository) =>
  Effect.map(repository.insert([aTask()], undefined), ([verdict]) => verdict?._tag === "Inserted")

describe("a database that is away for a while", () => {
  it.scopedLive("waited for: every call says what is missing, until it is there; then all is well", () =>
    Effect.gen(function*() {
      const { proxy, url } = yield* proxied
      yield* proxy.refuse
      const repository = yield* storeAt(url, freshSchemaName(), { waitForDatabase: true })
      yield* allUnavailable(repository, /Nothing listens/)
      expect((yield* repository.details)["problem"]).toMatch(/Nothing listens/)
      yield* proxy.forward
      yield* eventually(Effect.exit(works(repository)), Exit.isSuccess)
      expect(yield* repository.details).not.toHaveProperty("problem")
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.scopedLive("one that is there is not waited for: the first call of the one who waits is answered", () =>
    Effect.gen(function*() {
      const repository = yield* storeAt(Redacted.make(postgresUrl()), freshSchemaName(), { waitForDatabase: true })
      expect(yield* works(repository)).toBe(true)
    }))

  it.scopedLive("every backend terminated under load: nothing is lost, nothing is there twice", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient
      const name = freshSchemaName()
      const url = urlWith((url) => url.searchParams.set("application_name", name))
      const repository = yield* storeAt(url, name)
      let failed = 0
      const worker = (index: number) =>
        Effect.forEach(Array.from({ length: 20 }, () => aTask()), (task) => {
          const key = index % 2 === 0 ? { key: task.id, digest: "d" } : undefined
          return Effect.retry(
            Effect.tapError(repository.insert([task], undefined, [key]), () => Effect.sync(() => failed++)),
            Schedule.spaced(5)
          )
        })
      const killer = yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${name}`
        .pipe(Effect.repeat(Schedule.spaced(40)), Effect.fork)
      const verdicts = yield* Effect.forEach(Array.from({ length: 16 }, (_, index) => index), worker, {
        concurrency: "unbounded"
      })
      yield* Fiber.interrupt(killer)
      expect(failed).toBeGreaterThan(0)
      for (const [verdict] of verdicts.flat()) expect(["Inserted", "Present"]).toContain(verdict?._tag)
      expect((yield* repository.list({}, { limit: 1_000 })).items).toHaveLength(16 * 20)
      expect(yield* works(repository)).toBe(true)
    }).pipe(Effect.provide(sharedConnections)))

  it.scopedLive("a black hole is given up within the timeouts, and left as soon as it is none", () =>
    Effect.gen(function*() {
      const { proxy, url } = yield* proxied
      const repository = yield* storeAt(url, freshSchemaName())
      expect(yield* works(repository)).toBe(true)
      yield* proxy.blackHole
      const [took] = yield* Effect.timed(allUnavailable(repository, /did not answer/))
      // A second for a connection, one for an answer, and one for a transaction's end.
      expect(Duration.toMillis(took)).toBeLessThan(5_000)
      yield* proxy.forward
      const [recovered] = yield* Effect.timed(eventually(Effect.exit(works(repository)), Exit.isSuccess))
      expect(Duration.toMillis(recovered)).toBeLessThan(2_500)
      yield* Effect.forEach(Array.from({ length: 30 }), () => works(repository), { concurrency: "unbounded" })
    }))

  it.scopedLive("one that is cut off in mid-call is connected to anew", () =>
    Effect.gen(function*() {
      const { proxy, url } = yield* proxied
      const repository = yield* storeAt(url, freshSchemaName())
      for (let round = 0; round < 3; round++) {
        yield* Effect.all(Array.from({ length: 8 }, () => works(repository)), { concurrency: "unbounded" })
        const calls = yield* Effect.fork(Effect.all(
          Array.from({ length: 8 }, () => Effect.exit(repository.list({}, { limit: 10 }))),
          { concurrency: "unbounded" }
        ))
        expect(yield* proxy.cut).toBeGreaterThan(0)
        for (const exit of yield* Fiber.join(calls)) {
          if (Exit.isFailure(exit)) expect(Cause.squash(exit.cause)).toMatchObject({ reason: "Unavailable" })
        }
        yield* eventually(Effect.exit(works(repository)), Exit.isSuccess)
      }
    }))

  it.scopedLive("the answer to a commit is lost: asked again with its id and key, it is there once", () =>
    Effect.gen(function*() {
      const { proxy, url } = yield* proxied
      const repository = yield* storeAt(url, freshSchemaName())
      const task = aTask()
      const ask = (id = task.id) => repository.insert([{ ...task, id }], undefined, [{ key: "order-7", digest: "d" }])
      const lost = yield* Effect.fork(proxy.swallow(/order-7[^]*COMMIT/))
      yield* Effect.yieldNow()
      expect(yield* Effect.flip(ask())).toMatchObject({ reason: "Unavailable" })
      yield* Fiber.join(lost)
      expect(yield* ask()).toEqual([{ _tag: "Present", task }])
      expect(yield* ask(aTask().id)).toEqual([{ _tag: "Present", task }])
      expect((yield* repository.list({}, { limit: 10 })).items).toHaveLength(1)
    }))

  it.scopedLive("one that takes no writes says which setting it is, and is left for one that does", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient
      const url = yield* freshDatabase
      const database = new URL(Redacted.value(url)).pathname.slice(1)
      const repository = yield* storeAt(url, freshSchemaName())
      expect(yield* works(repository)).toBe(true)
      yield* sql.unsafe(`ALTER DATABASE "${database}" SET default_transaction_read_only = on`)
      // As a failover does: whoever was connected is so no longer.
      yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${database}`
      yield* eventually(
        Effect.flip(repository.insert([aTask()], undefined)),
        (error) => /default_transaction_read_only.*DATABASE_URL.*primary.*25006/.test(error.message)
      )
      expect(yield* Effect.flip(repository.prune(allEnded(t0, 1))))
        .toMatchObject({ reason: "Unavailable" })
      // Nobody ends the connections now: the store must have left them by itself.
      yield* sql.unsafe(`ALTER DATABASE "${database}" RESET default_transaction_read_only`)
      // Each connection of that time fails once at the most; a pool has ten.
      const worked: Array<boolean> = []
      for (let call = 0; call < 30; call++) worked.push(yield* Effect.orElseSucceed(works(repository), () => false))
      expect(worked.filter((did) => !did).length).toBeLessThanOrEqual(10)
      expect(worked.slice(-15)).toEqual(Array.from({ length: 15 }, () => true))
    }).pipe(Effect.provide(sharedConnections)))

  it.scopedLive("one without connections left says so, and has some again", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const url = yield* freshUser((name) => `CREATE SCHEMA "${schema}" AUTHORIZATION "${name}"`, "CONNECTION LIMIT 3")
      const repository = yield* storeAt(url, schema)
      const exits = yield* Effect.all(
        Array.from({ length: 20 }, () => Effect.exit(repository.list({}, { limit: 10 }))),
        { concurrency: "unbounded" }
      )
      const errors = exits.flatMap((exit) => Exit.isFailure(exit) ? [Cause.squash(exit.cause) as Error] : [])
      expect(errors.length).toBeGreaterThan(0)
      for (const error of errors) {
        expect(error).toMatchObject({ reason: "Unavailable" })
        expect(error.message).toMatch(/no connection left.*max_connections.*maxConnections.*53300/)
      }
      for (let call = 0; call < 20; call++) expect(yield* works(repository)).toBe(true)
    }))
})

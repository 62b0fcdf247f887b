/** LISTEN and NOTIFY: shorter waits where they get through, and the same outcome where they do not (F35, F36). */
import { PgClient } from "@effect/sql-pg/PgClient"
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Context, Duration, Effect, Fiber, Layer, Stream } from "effect"
import { makeDb } from "../../../src/adapters/sql/Db.ts"
import type { Run } from "../../../src/adapters/sql/Db.ts"
import { makeHints } from "../../../src/adapters/sql/Hints.ts"
import type { TaskId } from "../../../src/domain/Ids.ts"
import { LambdaScheduler, Trigger } from "../../../src/index.ts"
import type { Hint } from "../../../src/ports/TaskRepository.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { changesUpTo, insertedOne, mustGet, started } from "../../ports/contract/harness.ts"
import { anInstanceId, aTask, aTaskId, succeeded, t0 } from "../../support/builders.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, engineIn, eventually, job, sharedConnections, storeIn, urlWith } from "./support.ts"
import type { Connections } from "./support.ts"

const timing = { probeEvery: 100, probeWithin: 300, tryAgain: 200 }

/** A client whose `listen` is another one, as a pooler would have it. */
const listeningBy = (listen: () => Stream.Stream<string, SqlError>): Connections =>
  Layer.map(connections(), (context) => {
    const client = new Proxy(Context.get(context, PgClient), {
      get: (target, name): unknown => name === "listen" ? listen : Reflect.get(target, name)
    })
    return Context.add(context, PgClient, client)
  })

const swallowing = listeningBy(() => Stream.never)
const refusing = listeningBy(() =>
  Stream.fail(new SqlError({ cause: new Error("LISTEN is not supported"), message: "Failed to listen" }))
)

/** The hints of one instance on a channel; `sent` counts its statements. */
const instance = (channel: string, options: { readonly others?: number; readonly client?: Connections } = {}) =>
  Effect.gen(function*() {
    const client = yield* Effect.map(Layer.build(options.client ?? connections()), Context.get(PgClient))
    const sent: Array<string> = []
    const changed: Array<void> = []
    const { run } = makeDb(client)
    const spied: Run = (text, params) =>
      Effect.suspend(() => {
        sent.push(String(params?.[1]))
        return run(text, params)
      })
    const hints = yield* makeHints(
      client,
      spied,
      channel,
      anInstanceId(),
      () => options.others ?? 1,
      () => changed.push(),
      timing
    )
    const got: Array<Hint> = []
    yield* Effect.forkScoped(Stream.runForEach(hints.stream, (hint) => Effect.sync(() => got.push(hint))))
    return { hints, got, changed, sent: () => sent.filter((message) => !message.includes("probe")) }
  })

const isOn = ({ hints }: { readonly hints: { readonly isOn: () => boolean } }) =>
  eventually(Effect.sync(hints.isOn), (on) => on)

const query = (text: string, params: ReadonlyArray<unknown> = []) =>
  Effect.provide(
    Effect.flatMap(PgClient, (sql) => sql.unsafe<Record<string, unknown>>(text, params)),
    sharedConnections
  )

const idsIn = (hints: ReadonlyArray<Hint>) => hints.flatMap((hint) => hint._tag === "Cancelled" ? hint.ids : [])
const worksIn = (hints: ReadonlyArray<Hint>) => hints.flatMap((hint) => hint._tag === "Work" ? [hint.claimableAt] : [])

describe("hints", () => {
  it.scopedLive("what comes together goes together, to everybody but the sender", () =>
    Effect.gen(function*() {
      const channel = freshSchemaName()
      const [one, other] = [yield* instance(channel), yield* instance(channel)]
      yield* Effect.all([isOn(one), isOn(other)])
      expect(one.hints.state()).toBe("works")
      const ids = Array.from({ length: 500 }, () => aTaskId())
      for (const claimableAt of [t0 + 5, t0 + 2, t0 + 9]) one.hints.work(claimableAt)
      one.hints.cancelled(ids)
      one.hints.changed()
      one.hints.changed()
      yield* eventually(Effect.sync(() => idsIn(other.got).length), (count) => count === 500)
      expect(idsIn(other.got)).toEqual(ids)
      expect(worksIn(other.got)).toEqual([t0 + 2])
      expect(one.sent()).toHaveLength(3)
      for (const message of one.sent()) expect(message.length).toBeLessThan(8_000)
      expect(one.got).toEqual([])
    }))

  it.scopedLive("nothing is sent while nobody else is there", () =>
    Effect.gen(function*() {
      const alone = yield* instance(freshSchemaName(), { others: 0 })
      yield* isOn(alone)
      alone.hints.work(t0)
      alone.hints.cancelled([aTaskId()])
      alone.hints.changed()
      yield* Effect.sleep("100 millis")
      expect(alone.sent()).toEqual([])
    }))

  it.scopedLive("a listener that dies is noticed and made anew", () =>
    Effect.gen(function*() {
      const channel = freshSchemaName()
      const client = connections({ url: urlWith((url) => url.searchParams.set("application_name", channel)) })
      const [one, other] = [yield* instance(channel, { client }), yield* instance(channel)]
      yield* Effect.all([isOn(one), isOn(other)])
      for (let round = 0; round < 2; round++) {
        const killed = yield* query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN%'`,
          [channel]
        )
        expect(killed).toHaveLength(1)
        yield* eventually(Effect.sync(one.hints.isOn), (on) => !on)
        yield* isOn(one)
        other.hints.work(t0 + round)
        yield* eventually(Effect.sync(() => worksIn(one.got)), (works) => works.includes(t0 + round))
      }
    }))

  for (const [what, client] of [["swallows them", swallowing], ["does not know LISTEN", refusing]] as const) {
    it.scopedLive(`a connection that ${what} says so, and can still send`, () =>
      Effect.gen(function*() {
        const channel = freshSchemaName()
        const [deaf, other] = [yield* instance(channel, { client }), yield* instance(channel)]
        yield* eventually(Effect.sync(deaf.hints.state), (state) => state === "does not get through; polling")
        expect(deaf.hints.isOn()).toBe(false)
        yield* isOn(other)
        deaf.hints.work(t0)
        yield* eventually(Effect.sync(() => worksIn(other.got)), (works) => works.includes(t0))
      }))
  }

  it.scopedLive("what makes no sense is passed over, whoever has sent it", () =>
    Effect.gen(function*() {
      const channel = freshSchemaName()
      const [one, other] = [yield* instance(channel), yield* instance(channel)]
      yield* isOn(one)
      const nonsense = [
        "garbage",
        "",
        "null",
        "[]",
        "7",
        "{}",
        "{\"boot\":1}",
        "{",
        "\u{1F600}",
        "x".repeat(7_999),
        "{\"boot\":\"x\",\"work\":\"soon\"}",
        "{\"boot\":\"x\",\"cancelled\":\"abc\"}",
        "{\"boot\":\"x\",\"cancelled\":[null]}",
        "{\"boot\":\"x\",\"cancelled\":[\"no id\"]}",
        "{\"boot\":\"x\",\"changed\":1}",
        "{\"__proto__\":{\"boot\":\"x\"}}",
        "{\"boot\":\"x\",\"probe\":1}"
      ]
      for (const payload of nonsense) yield* query("SELECT pg_notify($1, $2)", [channel, payload])
      other.hints.work(t0)
      yield* eventually(Effect.sync(() => one.got.length), (count) => count > 0)
      expect(one.got).toEqual([{ _tag: "Work", claimableAt: t0 }])
    }))
})

/** Two instances on one store, each with a pool of its own; the first perhaps deaf. */
const two = <A, E>(build: (schema: string, connections: Connections) => Layer.Layer<A, E>, first: Connections) =>
  Effect.suspend(() => {
    const schema = freshSchemaName()
    return Effect.all([
      Layer.build(Layer.fresh(build(schema, first))),
      Layer.build(Layer.fresh(build(schema, connections())))
    ])
  })

describe("what another instance does", () => {
  for (const [how, first] of [["by hints", connections()], ["by looking only", swallowing]] as const) {
    it.scopedLive(`reaches the changes of this one, in order, ${how}`, () =>
      Effect.gen(function*() {
        const stores = yield* two((schema, connected) => storeIn(schema).pipe(Layer.provide(connected)), first)
        const [here, there] = stores.map((context) => Context.get(context, TaskRepository))
        if (here === undefined || there === undefined) return expect.fail("there are two")
        yield* here.openLease(anInstanceId(), 60_000)
        const lease = yield* there.openLease(anInstanceId(), 60_000)
        if (how === "by hints") yield* eventually(Effect.sync(here.hintsGetThrough), (on) => on)
        const { last } = yield* here.changes("latest")
        const [own, theirs] = [aTask(), aTask()]
        yield* here.insert([own], undefined)
        const { task } = yield* started(there, lease, yield* insertedOne(there, lease, theirs))
        yield* there.settle(lease, [{ ...succeeded(task), running: task }])
        const [took, { changes }] = yield* Effect.timed(changesUpTo(here, last, last + 4))
        expect(Duration.toMillis(took)).toBeLessThan(3_000)
        const kindsOf = (id: TaskId) => changes.filter(({ task }) => task.id === id).map(({ kind }) => kind)
        expect(kindsOf(own.id)).toEqual(["scheduled"])
        expect(kindsOf(theirs.id)).toEqual(["scheduled", "started", "succeeded"])
        expect(changes.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4].map((step) => last + step))
        expect(changes.at(-1)?.task).toEqual(yield* mustGet(here, theirs.id))
        expect((yield* here.changes("latest")).last).toBe(last + 4)
        expect((yield* here.details)["notifications"]).toBe(how === "by hints" ? "works" : "not tried yet")
      }))

    it.scopedLive(`a result is awaited, an event seen, a cancel heard ${how}`, () =>
      Effect.gen(function*() {
        const engines = yield* two(
          (schema, connected) =>
            engineIn(schema, { connections: connected, scripts: { job: () => "done", slow: () => Effect.never } }),
          first
        )
        const [here, there] = engines.map((context) => Context.get(context, LambdaScheduler))
        if (here === undefined || there === undefined) return expect.fail("there are two")
        const seen = yield* here.events.pipe(
          Stream.takeUntil(({ kind }) => kind === "succeeded"),
          Stream.runCollect,
          Effect.fork
        )
        yield* Effect.sleep("300 millis")
        const task = yield* there.schedule(job)
        expect(yield* Effect.timeout(here.awaitResult(task.id), "3 seconds")).toBe("done")
        const events = Chunk.toReadonlyArray(yield* Effect.timeout(Fiber.join(seen), "3 seconds"))
        expect(events.filter(({ task: { id } }) => id === task.id).map(({ kind }) => kind))
          .toEqual(["scheduled", "started", "succeeded"])
        // Far enough away not to be claimed by whoever stores it.
        const later = yield* there.schedule(job, { trigger: Trigger.after("1 hour") })
        const waiting = yield* Effect.fork(Effect.flip(here.awaitResult(later.id)))
        yield* Effect.sleep("100 millis")
        yield* there.cancel(later.id)
        expect(yield* Effect.timeout(Fiber.join(waiting), "3 seconds"))
          .toMatchObject({ _tag: "TaskNotSucceeded", status: "Cancelled" })
        expect(
          yield* Effect.map(
            Effect.all(engines.map((context) => Context.get(context, ScriptedLambdaClient).invocationsOf("job"))),
            (all) => all.flat().length
          )
        ).toBe(1)
      }))
  }
})

/**
 * Either store in virtual time, and schedulers that come and go on it. On PostgreSQL time stands still while the store is
 * asked for anything, and goes on as soon as nothing is under way; the store's own clock is told as it is here.
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { assert } from "@effect/vitest"
import { Clock, Context, DateTime, Duration, Effect, Exit, Layer, Scheduler, Scope, Stream } from "effect"
import { MemoryTaskRepository } from "../../../src/adapters/memory/index.ts"
import { EngineConfig, LambdaScheduler, TaskRepository } from "../../../src/index.ts"
import type { EngineSettings, EpochMillis, LambdaClient } from "../../../src/index.ts"
import type { Lease } from "../../../src/ports/TaskRepository.ts"
import { ScriptedLambdaClient, VirtualClock } from "../../../src/testing/index.ts"
import type { Script } from "../../../src/testing/index.ts"
import { TimerHeap } from "../../../src/testing/TimerHeap.ts"
import { freshStore, schemaOf } from "../../adapters/sql/support.ts"
import type { Store } from "../brokenStore.ts"
import { down, quiet } from "../brokenStore.ts"

export const stores = ["memory", "PostgreSQL"] as const
export type StoreName = (typeof stores)[number]

/** One scheduler on the store. */
export interface Instance {
  readonly scheduler: LambdaScheduler["Type"]
  /** Closes its scope and waits for that. */
  readonly stop: Effect.Effect<void>
  /** It reaches the store no more, and its lease has ended. On PostgreSQL only: nobody shares what is in memory. */
  readonly die: Effect.Effect<void>
}

export interface Stage {
  readonly start: (settings?: Partial<EngineSettings>) => Effect.Effect<Instance>
  /** When a function was invoked, as ISO 8601, in order. */
  readonly runs: (name: string) => Effect.Effect<ReadonlyArray<string>>
  /** The store as it is. */
  readonly store: Store
  /** A statement to the store's schema, on PostgreSQL. */
  readonly execute: (statement: (schema: string) => string) => Effect.Effect<ReadonlyArray<unknown>>
}

const day = 86_400_000

/** Nothing but what is due makes a scheduler look: virtual years must not be years of polls. */
const seldom: Partial<EngineSettings> = {
  shutdownGrace: 0,
  pollInterval: day,
  idlePollInterval: day,
  longestSleep: day,
  leaseDuration: 4_000 * day,
  heartbeatInterval: 30 * day,
  reconcileInterval: 30 * day,
  retentionAge: 4_000 * day,
  pruneInterval: 4_000 * day
}

export const iso = (instant: EpochMillis): string =>
  DateTime.formatIso(DateTime.unsafeMake(instant)).replace(/(:00)?\.000Z$/, "Z")

export const at = (text: string): EpochMillis => DateTime.toEpochMillis(DateTime.unsafeMake(text))

/** Lets time pass to an instant. */
export const until = (text: string): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    assert.isAtLeast(at(text), now, `${text} has passed`)
    return Effect.sleep(at(text) - now)
  })

/** A clock that does not go on while something is under way outside of it. */
const makeHeldClock = (start: EpochMillis) => {
  let now = start
  let held = 0
  let sequence = 0
  let isArmed = false
  const timers = new TimerHeap()
  const arm = () => {
    if (isArmed || held > 0 || timers.size === 0) return
    isArmed = true

    setImmediate(() => {
      isArmed = false
      if (held > 0) return
      const timer = timers.pop()
      if (timer === undefined) return
      now = timer.at
      timer.run()
      arm()
    })
  }
  // From the start on: whole milliseconds in a double.
  const nanos = () => BigInt(now - start) * 1_000_000n
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const wakesAt = now + Math.ceil(Duration.toMillis(duration))
        if (wakesAt === Infinity) return
        const timer = { at: wakesAt, sequence: sequence++, run: () => resume(Effect.void), position: -1 }
        timers.push(timer)
        arm()
        return Effect.sync(() => timers.remove(timer))
      })
  }
  const live = Clock.make()
  const hold = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => held++),
      () => Effect.withClock(effect, live),
      () =>
        Effect.sync(() => {
          held--
          arm()
        })
    )
  return { clock, hold }
}

/** Every call of a store that is an Effect, done in another way. */
const through = (store: Store, way: (answer: Effect.Effect<unknown, any>, call: string) => unknown): Store =>
  Object.fromEntries(
    Object.entries(store).map(([name, member]: [string, unknown]) => {
      const through = (answer: unknown) =>
        Effect.isEffect(answer) ? way(answer as Effect.Effect<unknown, any>, name) : answer
      return [
        name,
        typeof member !== "function"
          ? through(member)
          : (...request: ReadonlyArray<unknown>) =>
            through((member as (...request: ReadonlyArray<unknown>) => unknown)(...request))
      ]
    })
  ) as unknown as Store

interface Backing {
  readonly store: Store
  /** What one instance sees of it. */
  readonly connect: () => { readonly store: Store; readonly die: Effect.Effect<void> }
  readonly execute: Stage["execute"]
}

const perform = <A, E>(
  backing: Backing,
  scripts: Readonly<Record<string, Script>>,
  body: (stage: Stage) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const clients: Context.Context<LambdaClient | ScriptedLambdaClient> = yield* Effect.scoped(
      Layer.build(ScriptedLambdaClient.layer(scripts))
    )
    const scopes: Array<Scope.CloseableScope> = []
    const start: Stage["start"] = (settings = {}) =>
      Effect.gen(function*() {
        const { die, store } = backing.connect()
        const scope = yield* Scope.make()
        scopes.push(scope)
        const built = yield* Layer.buildWithScope(
          LambdaScheduler.layer.pipe(
            Layer.provide(Layer.merge(Layer.succeed(TaskRepository, store), Layer.succeedContext(clients))),
            Layer.provide(EngineConfig.layer({ ...seldom, ...settings }))
          ),
          scope
        ).pipe(Effect.orDie)
        return { scheduler: Context.get(built, LambdaScheduler), die, stop: Scope.close(scope, Exit.void) }
      })
    return yield* Effect.ensuring(
      body({
        start,
        store: backing.store,
        execute: backing.execute,
        runs: (name) =>
          Effect.map(
            Context.get(clients, ScriptedLambdaClient).invocationsOf(name),
            (invocations) => invocations.map((invocation) => iso(invocation.at))
          )
      }),
      Effect.suspend(() => Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { discard: true }))
    )
  })

const onMemory = <A, E>(
  begin: EpochMillis,
  scripts: Readonly<Record<string, Script>>,
  body: (stage: Stage) => Effect.Effect<A, E>
) =>
  Effect.flatMap(TaskRepository, (store) =>
    perform(
      {
        store,
        connect: () => ({ store, die: Effect.die("nothing outlives the only one that sees it") }),
        execute: () => Effect.die("there is nothing to be told in SQL")
      },
      scripts,
      body
    )).pipe(
      Effect.provide(MemoryTaskRepository.layer.pipe(Layer.provideMerge(VirtualClock.layerAt(begin))))
    )

const onPostgres = <A, E>(
  begin: EpochMillis,
  scripts: Readonly<Record<string, Script>>,
  body: (stage: Stage) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const repository = yield* TaskRepository
    const sql = yield* PgClient
    const { clock, hold } = makeHeldClock(begin)
    const told = (heartbeat: { readonly expiresAt: number; readonly storeNow: number }) => {
      const by = clock.unsafeCurrentTimeMillis() - heartbeat.storeNow
      const nextExpiry = "nextExpiry" in heartbeat ? heartbeat.nextExpiry as number | undefined : undefined
      return {
        ...heartbeat,
        storeNow: heartbeat.storeNow + by,
        expiresAt: heartbeat.expiresAt + by,
        nextExpiry: nextExpiry === undefined ? undefined : nextExpiry + by
      }
    }
    const execute: Stage["execute"] = (statement) => hold(Effect.orDie(sql.unsafe(statement(schemaOf(repository)))))
    const connect: Backing["connect"] = () => {
      let isAway = false
      let lease: Lease | undefined
      const store = through(repository, (answer, call) =>
        Effect.suspend(() => {
          if (isAway) return Effect.fail(down())
          if (call !== "openLease" && call !== "renewLease") return hold(answer)
          return Effect.map(hold(answer), (heartbeat) => {
            lease = heartbeat as Lease
            return told(heartbeat as Parameters<typeof told>[0])
          })
        }))
      return {
        store: { ...store, hints: Stream.never, hintsGetThrough: () => false },
        die: Effect.suspend(() => {
          isAway = true
          return execute((schema) =>
            `UPDATE "${schema}".instances SET expires_at = clock_timestamp() WHERE id = '${lease?.instanceId}'`
          )
        })
      }
    }
    return yield* perform({ store: through(repository, hold), connect, execute }, scripts, body).pipe(
      Effect.withClock(clock),
      // Nothing that can run waits for a timer of the event loop.
      Effect.withScheduler(new Scheduler.MixedScheduler(Number.MAX_SAFE_INTEGER))
    )
  }).pipe(Effect.provide(freshStore))

/**
 * Runs a test on a store of its own, from an instant on.
 *
 * @example
 * it("...", () => onStage("memory", "2027-03-27T00:10Z", {}, (stage) => Effect.gen(function*() { ... })))
 */
export const onStage = <A, E>(
  store: StoreName,
  begin: string,
  scripts: Readonly<Record<string, Script>>,
  body: (stage: Stage) => Effect.Effect<A, E>
): Promise<A> =>
  Effect.runPromise((store === "memory" ? onMemory : onPostgres)(at(begin), scripts, body).pipe(Effect.provide(quiet)))

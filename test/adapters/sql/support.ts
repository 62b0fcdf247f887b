import { PgClient } from "@effect/sql-pg/PgClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Exit, Layer, Redacted, Schedule, Scope } from "effect"
import { afterAll } from "vitest"
import { PgConnections, SqlTaskRepository } from "../../../src/adapters/sql/index.ts"
import type { PgConnectionsOptions } from "../../../src/adapters/sql/PgConnections.ts"
import type { SqlTaskRepositoryOptions } from "../../../src/adapters/sql/SqlTaskRepository.ts"
import type { Millis } from "../../../src/domain/Time.ts"
import { EngineConfig, LambdaFunction, LambdaScheduler } from "../../../src/index.ts"
import type { EngineSettings } from "../../../src/index.ts"
import type { Lease } from "../../../src/ports/TaskRepository.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import type { Script } from "../../../src/testing/index.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import { freshSchemaName, postgresUrl } from "../../support/postgres.ts"

/** A pool, and the client on it. */
export type Connections = Layer.Layer<PgClient | SqlClient>

/** A pool of its own each time it is built. */
export const connections = (options: Partial<PgConnectionsOptions> = {}): Connections =>
  Layer.orDie(PgConnections.layer({ url: Redacted.make(postgresUrl()), ...options }))

const fileScope = Effect.runSync(Scope.make())
afterAll(() => Effect.runPromise(Scope.close(fileScope, Exit.void)))
const pool = Effect.runSync(Effect.cached(Layer.buildWithScope(connections(), fileScope)))

/** One pool for all tests of a file. */
export const sharedConnections: Connections = Layer.effectContext(pool)

const schemas = new WeakMap<Repository, string>()

/** The schema that a store of this file is in. */
export const schemaOf = (repository: Repository): string => {
  const schema = schemas.get(repository)
  if (schema === undefined) throw new Error("not a store of storeIn")
  return schema
}

/** A store in a schema, on whatever connections it is given. */
export const storeIn = (schema: string, options: SqlTaskRepositoryOptions = {}) =>
  Layer.tap(
    SqlTaskRepository.layerOptions({ schema, ...options }),
    (context) => Effect.map(Effect.provide(TaskRepository, context), (repository) => schemas.set(repository, schema))
  )

/** A store of its own, in a schema that nobody else uses, each time it is built; with the client to look behind it. */
export const freshStore = Layer.unwrapEffect(
  // Named when it is built.
  Effect.sync(() => storeIn(freshSchemaName()))
).pipe(Layer.provideMerge(sharedConnections))

/** Ends a lease as time would. */
export const expire = (repository: Repository, lease: Lease): Effect.Effect<void, unknown> =>
  Effect.flatMap(
    PgClient,
    (sql) =>
      sql.unsafe(`UPDATE "${schemaOf(repository)}".instances SET expires_at = clock_timestamp() WHERE id = $1`, [
        lease.instanceId
      ])
  ).pipe(Effect.provide(sharedConnections), Effect.asVoid)

export const job = LambdaFunction.existing("job")

/** A whole engine with scripted functions on a store in a schema; the client of the store comes out with it. */
export const engineIn = (
  schema: string,
  options: {
    readonly connections?: Connections
    readonly scripts?: Readonly<Record<string, Script>>
    readonly settings?: Partial<EngineSettings>
    readonly store?: SqlTaskRepositoryOptions
  } = {}
) =>
  LambdaScheduler.layer.pipe(
    Layer.provideMerge(Layer.merge(storeIn(schema, options.store), ScriptedLambdaClient.layer(options.scripts ?? {}))),
    Layer.provideMerge(options.connections ?? sharedConnections),
    Layer.provide(EngineConfig.layer({ shutdownGrace: 0, ...options.settings }))
  )

/** How often a function has been invoked. */
export const invoked = (name: string) =>
  Effect.flatMap(
    ScriptedLambdaClient,
    (client) => Effect.map(client.invocationsOf(name), (invocations) => invocations.length)
  )

/** Asks again and again until it is so. */
export const eventually = <A, E, R>(
  ask: Effect.Effect<A, E, R>,
  isSo: (answer: A) => boolean,
  within: Millis = 10_000
): Effect.Effect<A, E | string, R> =>
  ask.pipe(
    Effect.filterOrFail(isSo, (answer) => `it never came true; at last it was ${JSON.stringify(answer)}`),
    Effect.retry({ schedule: Schedule.spaced(20).pipe(Schedule.upTo(within)) })
  )

/** The test server's address with some parts changed. */
export const urlWith = (change: (url: URL) => void): Redacted.Redacted => {
  const url = new URL(postgresUrl())
  change(url)
  return Redacted.make(url.href)
}

const statement = (text: string) => Effect.orDie(Effect.flatMap(PgClient, (sql) => sql.unsafe(text)))

/** The address of another database of the same server, as long as the scope is open. */
export const freshDatabase = Effect.suspend(() => {
  const name = freshSchemaName()
  return Effect.as(
    Effect.acquireRelease(
      statement(`CREATE DATABASE "${name}"`),
      () => statement(`DROP DATABASE "${name}" WITH (FORCE)`)
    ),
    urlWith((url) => {
      url.pathname = `/${name}`
    })
  )
}).pipe(Effect.provide(sharedConnections))

/**
 * The address with a user who may connect and nothing else, as long as the scope is open.
 *
 * @param more statements that need its name
 */
export const freshUser = (more: (name: string) => string, options = "") =>
  Effect.suspend(() => {
    const name = `u_${freshSchemaName()}`
    return Effect.as(
      Effect.acquireRelease(
        statement(`CREATE ROLE "${name}" LOGIN PASSWORD 'c4n4ry' ${options}; ${more(name)}`),
        () => statement(`DROP OWNED BY "${name}" CASCADE; DROP ROLE "${name}"`)
      ),
      urlWith((url) => {
        url.username = name
        url.password = "c4n4ry"
      })
    )
  }).pipe(Effect.provide(sharedConnections))

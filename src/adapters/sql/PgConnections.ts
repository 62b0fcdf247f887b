/**
 * Connections for the store: a `PgClient` on a pool that recovers. Every wait has an end, and a connection that has
 * proved dead, hung, or connected to a server that takes no writes is closed instead of being used again.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import type { Layer } from "effect"
import { Effect, Redacted } from "effect"
import pg from "pg"
import type { Millis } from "../../domain/Time.ts"
import { errorCode } from "./storeError.ts"

export interface PgConnectionsOptions {
  /** `postgres://user:password@host:5432/database`, with `?sslmode=verify-full` unless the server is on this machine. */
  readonly url: Redacted.Redacted
  /** How many connections at the most, besides one that listens. Default: 10. */
  readonly maxConnections?: number | undefined
  /** Milliseconds until an attempt to connect, or a wait for a free connection, is given up. Default: 5,000. */
  readonly connectTimeout?: Millis | undefined
  /** Milliseconds until a statement is given up and its connection closed. Default: 10,000. */
  readonly queryTimeout?: Millis | undefined
}

/** Read-only after a failover, shut down by an administrator, starting up: another server may be the right one now. */
const wrongServer: ReadonlySet<string> = new Set(["25006", "57P01", "57P02", "57P03"])

const isUnusable = (error: unknown): boolean =>
  wrongServer.has(errorCode(error) ?? "") || (error instanceof Error && error.message === "Query read timeout")

type Callback = (error: Error | null, result?: unknown) => void

/** The pool takes connections back after an error: one that would fail or hang again must not be among them. */
class Connection extends pg.Client {
  override query(...args: Array<unknown>): any {
    const last = args.length - 1
    const callback = args[last]
    if (typeof callback === "function") {
      args[last] = (error: Error | null, result?: unknown) => {
        if (error !== null && isUnusable(error)) {
          ;(this as unknown as { connection: { stream: { destroy: () => void } } }).connection.stream.destroy()
        }
        ;(callback as Callback)(error, result)
      }
    }
    return (super.query as (...args: Array<unknown>) => unknown)(...args)
  }
}

/** The driver's own words are of no use, but for a file that the URL names (`sslrootcert`). */
const unreadable = (cause: unknown): string => {
  const why = errorCode(cause)?.startsWith("E") === true && cause instanceof Error ? ` (${cause.message})` : ""
  return "The database URL (DATABASE_URL) cannot be read; expected postgres://user:password@host:5432/database, with " +
    `special characters of the password percent-encoded${why}`
}

const acquirePool = (options: PgConnectionsOptions) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const queryTimeout = options.queryTimeout ?? 10_000
        const connectionString = Redacted.value(options.url)
        // Read here: the pool would read it at its first connection, and throw there.
        new Connection({ connectionString })
        const pool = new pg.Pool({
          Client: Connection,
          connectionString,
          max: options.maxConnections ?? 10,
          connectionTimeoutMillis: options.connectTimeout ?? 5_000,
          query_timeout: queryTimeout,
          statement_timeout: queryTimeout,
          idleTimeoutMillis: 30_000,
          keepAlive: true,
          keepAliveInitialDelayMillis: 10_000,
          application_name: "effect-lambda-scheduler"
        })
        // An idle connection that breaks has nobody else to tell; the pool has removed it by then.
        pool.on("error", () => {})
        return pool
      },
      catch: (cause) => new SqlError({ cause, message: unreadable(cause) })
    }),
    (pool) =>
      Effect.promise(() => pool.end()).pipe(Effect.interruptible, Effect.timeoutOption("2 seconds"), Effect.asVoid)
  )

export class PgConnections {
  /**
   * A `PgClient` for the store, and for the application that shares its transactions. It does not fail while the
   * database is away: the first statement does.
   *
   * @example
   * SqlTaskRepository.layer.pipe(Layer.provide(PgConnections.layer({ url: Redacted.make("postgres://...") })))
   */
  static readonly layer = (options: PgConnectionsOptions): Layer.Layer<PgClient.PgClient | SqlClient, SqlError> =>
    PgClient.layerFromPool({ acquire: acquirePool(options) })
}

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
import { PreparedTexts } from "./PreparedTexts.ts"
import { errorCode, preparedFailure } from "./storeError.ts"

export interface PgConnectionsOptions {
  /** `postgres://user:password@host:5432/database`, with `?sslmode=verify-full` unless the server is on this machine. */
  readonly url: Redacted.Redacted
  /** How many connections at the most, besides one that listens; one of them keeps the lease. At least 2. Default: 10. */
  readonly maxConnections?: number | undefined
  /** Milliseconds until an attempt to connect, or a wait for a free connection, is given up. Default: 5,000. */
  readonly connectTimeout?: Millis | undefined
  /** Milliseconds until a statement is given up and its connection closed. Default: 10,000. */
  readonly queryTimeout?: Millis | undefined
  /**
   * Whether the database keeps the plans of statements that come again and again. Behind a pooler that loses them they
   * are found to be lost, and done without; `false` saves that one failure. Default: true.
   */
  readonly prepareStatements?: boolean | undefined
}

/** Read-only after a failover, shut down by an administrator, starting up: another server may be the right one now. */
const wrongServer: ReadonlySet<string> = new Set(["25006", "57P01", "57P02", "57P03"])

const isUnusable = (error: unknown): boolean =>
  wrongServer.has(errorCode(error) ?? "") || (error instanceof Error && error.message === "Query read timeout")

type Callback = (error: Error | null, result?: unknown) => void

interface Statement {
  readonly text: string
  readonly values?: ReadonlyArray<unknown> | undefined
  readonly name?: string | undefined
}

/** A statement with parameters, as `PgClient` asks for it; other uses of `query` are left as they are. */
const statementOf = (args: ReadonlyArray<unknown>): Statement | undefined => {
  const [asked, values] = args
  const statement = typeof asked === "string" ? { text: asked, values } : asked
  const { name, submit, text, values: given } = statement as Statement & { readonly submit?: unknown }
  const isPlain = typeof text === "string" && submit === undefined && name === undefined
  return isPlain && Array.isArray(given) && given.length > 0 ? statement as Statement : undefined
}

/** The driver's connection, of which this file uses what its types leave out. */
const DriverClient = pg.Client as unknown as new(config: pg.ClientConfig) => {
  readonly connection: { readonly stream: { readonly destroy: () => void } }
  /** `I` outside of a transaction. */
  getTransactionStatus(): string | null
  query(...args: ReadonlyArray<unknown>): unknown
}

/** What the pool does with a new connection before anybody gets it; its types leave that out. */
interface NewConnections {
  readonly onConnect: (client: pg.ClientBase) => Promise<unknown>
}

/** Connections of one pool; `prepared` is what they all prepare. */
const connectionClass = (prepared: PreparedTexts) =>
  class Connection extends DriverClient {
    override query(...args: ReadonlyArray<unknown>): unknown {
      const callback = args[args.length - 1]
      if (typeof callback !== "function") return super.query(...args)
      const answer: Callback = (error, result) => {
        // The pool takes connections back after an error: one that would fail or hang again must not be among them.
        if (error !== null && isUnusable(error)) this.connection.stream.destroy()
        ;(callback as Callback)(error, result)
      }
      const statement = statementOf(args)
      const name = statement && prepared.nameOf(statement.text)
      if (name === undefined) return super.query(...args.slice(0, -1), answer)
      const isAlone = this.getTransactionStatus() === "I"
      return super.query(
        { ...statement, name },
        ((error, result) => {
          const failure = error === null ? undefined : preparedFailure(error)
          if (failure !== undefined) prepared.failed(failure)
          // Elsewhere the transaction has failed with it, and is what has to be done again.
          if (failure !== undefined && isAlone) super.query(statement, answer)
          else answer(error, result)
        }) satisfies Callback
      )
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
        const Connection = connectionClass(new PreparedTexts(options.prepareStatements ?? true))
        // Read here: the pool would read it at its first connection, and throw there.
        new Connection({ connectionString })
        const newConnections: NewConnections = {
          // Not with the startup packet: poolers refuse a connection that asks for what they do not know. What has waited for
          // a lock has to see what was written meanwhile, whatever the database's default is.
          onConnect: (client) =>
            client.query(
              `SET statement_timeout = ${Math.ceil(queryTimeout)}; SET default_transaction_isolation = 'read committed'`
            )
        }
        const pool = new pg.Pool({
          ...newConnections,
          Client: Connection as unknown as new() => pg.Client,
          connectionString,
          max: Math.max(2, options.maxConnections ?? 10),
          connectionTimeoutMillis: options.connectTimeout ?? 5_000,
          query_timeout: queryTimeout,
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

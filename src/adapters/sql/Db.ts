/** Statements and transactions of the store. None of them ever runs in a caller's transaction, but for `joined`. */
import type { PgClient } from "@effect/sql-pg/PgClient"
import { TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import type { Scope } from "effect"
import { Context, Effect, Option, RcRef, Schedule } from "effect"
import type { TaskRepositoryError } from "../../domain/Errors.ts"
import { isConflict, storeError } from "./storeError.ts"

export type Row = ReadonlyArray<unknown>

/** Runs one statement; rows come as arrays, in the order of their columns. */
export type Run = (text: string, params?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, SqlError>

export interface Db {
  readonly run: Run
  /** On a connection of its own, for what must not wait until work has done with one. */
  readonly runApart: Run
  /** All of it or nothing; again if another transaction stood in its way. A failed COMMIT may have taken effect. */
  readonly transact: <A, E>(body: (run: Run) => Effect.Effect<A, E | SqlError>) => Effect.Effect<A, E | SqlError>
  /** Goes one way in a transaction of the caller's on this very client, and the other way everywhere else. */
  readonly inTransaction: <A, E>(
    joined: (run: Run) => Effect.Effect<A, E>,
    otherwise: Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
}

const runOn = (connection: Connection): Run => (text, params = []) => connection.executeValues(text, params)

/** Alone, with no transaction of anybody's around it. */
const alone = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<never>) => Context.omit(TransactionConnection)(context as never)
  )

// Full jitter, so that those who stood in each other's way do not meet again.
const afterConflict = Schedule.exponential("20 millis").pipe(
  Schedule.jittered,
  Schedule.intersect(Schedule.recurs(4))
)

export const onceMore = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(effect, { schedule: afterConflict, while: isConflict })

/** A failure of the database as one of the store. */
export const asStoreError = <A, E, R>(
  effect: Effect.Effect<A, E | SqlError, R>
): Effect.Effect<A, Exclude<E, SqlError> | TaskRepositoryError, R> =>
  Effect.mapError(
    effect,
    (error) => isSqlError(error) ? storeError(error) : error as Exclude<E, SqlError>
  )

const isSqlError = (error: unknown): error is SqlError => (error as { _tag?: unknown } | null)?._tag === "SqlError"

const runAnywhere = (client: PgClient): Run => (text, params = []) => alone(client.unsafe(text, params).values)

/**
 * Runs statements on a connection that it takes from the pool once, and keeps for as long as it serves. A pool of one
 * has none to spare.
 */
export const makeRunApart = (client: PgClient): Effect.Effect<Run, never, Scope.Scope> =>
  client.config.maxConnections === 1 ? Effect.succeed(runAnywhere(client)) : Effect.map(
    RcRef.make({ acquire: client.reserve, idleTimeToLive: "1 minute" }),
    (kept): Run => (text, params) =>
      Effect.scoped(Effect.flatMap(RcRef.get(kept), (connection) => runOn(connection)(text, params))).pipe(
        Effect.onError(() => RcRef.invalidate(kept))
      )
  )

export const makeDb = (client: PgClient, runApart?: Run): Db => {
  const run = runAnywhere(client)

  const transact: Db["transact"] = (body) =>
    Effect.scoped(Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(client.reserve, (connection) => {
        const on = runOn(connection)
        return Effect.zipRight(
          // An instance that freezes in the middle must not keep its rows locked for long after its lease.
          on("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 1000"),
          Effect.matchCauseEffect(restore(body(on)), {
            // What the rollback itself fails of ends the transaction as well.
            onFailure: (cause) => Effect.zipRight(Effect.ignore(on("ROLLBACK")), Effect.failCause(cause)),
            onSuccess: (value) => Effect.as(on("COMMIT"), value)
          })
        )
      })
    )).pipe(alone, onceMore)

  // Each client has a class of connections of its own: that tells them apart, and costs no connection.
  const { acquirer } = client.unsafe("") as unknown as { readonly acquirer: Effect.Effect<Connection, SqlError> }
  const isOurs = (connection: Connection): Effect.Effect<boolean> =>
    alone(acquirer).pipe(
      Effect.map((own) => own.constructor === connection.constructor),
      Effect.orElseSucceed(() => false)
    )

  return {
    run,
    runApart: runApart ?? run,
    transact,
    // One look at the fiber: every Task that is scheduled comes by here.
    inTransaction: (joined, otherwise) =>
      Effect.withFiberRuntime((fiber) => {
        const transaction = Context.getOption(fiber.currentContext, TransactionConnection)
        if (Option.isNone(transaction)) return otherwise
        const [connection] = transaction.value
        return Effect.flatMap(isOurs(connection), (ours) => ours ? joined(runOn(connection)) : otherwise)
      })
  }
}

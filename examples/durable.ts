/**
 * Tasks in PostgreSQL, scheduled in the application's own transaction: they are there if and only if it commits.
 *
 *     npx tsx examples/durable.ts
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Config, Console, Effect, Layer } from "effect"
import { LambdaFunction, LambdaScheduler } from "effect-lambda-scheduler"
import { EmbeddedPostgres } from "effect-lambda-scheduler/embedded"
import { LocalLambdaClient } from "effect-lambda-scheduler/local"
import { PgConnections, SqlTaskRepository } from "effect-lambda-scheduler/sql"

const sendInvoice = LambdaFunction.inline(
  "send-invoice",
  `export const handler = async ({ order }) => "sent the invoice of order " + order`
)

const program = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  const sql = yield* PgClient.PgClient
  yield* sql`CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY)`
  // What the function needs is deployed once, outside of any transaction.
  yield* scheduler.deploy(sendInvoice)

  const order = (id: string) =>
    sql.withTransaction(Effect.zipRight(
      sql`INSERT INTO orders ${sql.insert({ id })}`,
      scheduler.schedule(sendInvoice, { payload: { order: id }, idempotencyKey: `invoice-${id}` })
    ))

  const task = yield* order("A-1")
  yield* Console.log(yield* scheduler.awaitResult(task.id))

  // The order is there already: the transaction fails, and no second invoice is sent.
  yield* Effect.ignore(order("A-1"))
  const { items } = yield* scheduler.list()
  yield* Console.log(`${items.length} invoice for ${(yield* sql`SELECT id FROM orders`).length} order`)
  yield* sql`DROP TABLE orders`
})

// In production: PgConnections.layer({ url: Redacted.make(databaseUrl) }), and no EmbeddedPostgres.
const Postgres = Layer.unwrapEffect(
  Effect.map(
    Config.withDefault(Config.string("DATA_DIR"), ".data/example"),
    (directory) => EmbeddedPostgres.layer({ directory })
  )
)
const Connections = Layer.unwrapEffect(Effect.map(EmbeddedPostgres, ({ url }) => PgConnections.layer({ url }))).pipe(
  Layer.provide(Postgres)
)
const Live = LambdaScheduler.layer.pipe(
  Layer.provide(Layer.merge(SqlTaskRepository.layer, LocalLambdaClient.layer)),
  Layer.provideMerge(Connections)
)

void Effect.runPromise(program.pipe(Effect.provide(Live)))

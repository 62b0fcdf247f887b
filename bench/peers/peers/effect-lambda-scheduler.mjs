/**
 * This library, as its users have it: built, the public API, its PostgreSQL store, history kept. Only the function that
 * is invoked does nothing, as the peers' handlers do nothing.
 */
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import pg from "pg"
import { EngineConfig, InvocationError, LambdaClient, LambdaFunction, LambdaScheduler, Trigger } from "../../../dist/index.js"
import { PgConnections, SqlTaskRepository } from "../../../dist/adapters/sql/index.js"

export const noop = LambdaFunction.existing("noop")
const answer = { body: { text: "null", encoding: "utf8" }, requestId: undefined, executedVersion: undefined, logTail: undefined }

const errorOf = ({ message, refused }) =>
  refused === "down"
    ? new InvocationError({ reason: "ServiceError", message })
    : new InvocationError({ reason: "Throttled", message, throttle: refused, accountWide: false })

export const lambda = (handler) =>
  Layer.succeed(LambdaClient, {
    description: "nothing",
    region: undefined,
    deploy: () => Effect.dieMessage("nothing is deployed"),
    remove: () => Effect.void,
    invoke: ({ payload }) =>
      Effect.suspend(() => {
        const answered = handler(JSON.parse(payload))
        return answered === undefined
          ? Effect.succeed(answer)
          : Effect.as(Effect.tryPromise({ try: () => answered, catch: errorOf }), answer)
      })
  })

/** In the other tests the defaults, 100 slots at first and 3 attempts among them. */
const settings = { drain: { concurrency: 2000, minConcurrency: 2000 } }

/** Jobs that are due before anybody works wait a day from now, so that nobody works on them: `settled` makes them due. */
const held = 86_400_000

export const open = async (connection) => {
  const { database, host, password, port, user } = connection
  const secret = password === undefined ? "" : `:${encodeURIComponent(password)}`
  const url = Redacted.make(`postgres://${user}${secret}@${host}:${port}/${database}`)
  const start = (handler, config) => {
    const store = SqlTaskRepository.layer.pipe(Layer.provide(PgConnections.layer({ url })))
    return ManagedRuntime.make(
      LambdaScheduler.layer.pipe(
        Layer.provide(EngineConfig.layer(config)),
        Layer.provide(Layer.merge(store, lambda(handler)))
      )
    )
  }
  const pool = new pg.Pool({ ...connection, max: 2 })
  let runtime = start(() => undefined, {})
  let scheduler = await runtime.runPromise(LambdaScheduler)
  const triggerOf = (due) => Trigger.at(due < Date.now() ? Math.ceil(due) + held : Math.ceil(due))
  return {
    setup: async () => undefined,
    insertOne: ({ data, due }) =>
      Effect.runPromise(scheduler.schedule(noop, { payload: data, trigger: triggerOf(due) })),
    bulkSize: 5000,
    insertBulk: (jobs) =>
      Effect.runPromise(
        scheduler.scheduleAll(noop, jobs.map(({ data, due }) => ({ payload: data, trigger: triggerOf(due) })))
      ),
    settled: async () => {
      await pool.query(
        `UPDATE lambda_scheduler.tasks SET due_at = due_at - ${held}, claimable_at = claimable_at - ${held}
          WHERE nominal_at BETWEEN created_at + ${held - 60_000} AND created_at + ${held - 1}`
      )
      await pool.query("VACUUM ANALYZE lambda_scheduler.tasks")
    },
    work: async (handler, test) => {
      await runtime.dispose()
      runtime = start(handler, settings[test] ?? {})
      scheduler = await runtime.runPromise(LambdaScheduler)
    },
    unfinished: async () => {
      const { rows } = await pool.query(
        "SELECT count(*) FROM lambda_scheduler.tasks WHERE finished_at IS NULL AND claimable_at <= $1",
        [Date.now()]
      )
      return Number(rows[0].count)
    },
    failed: () => Effect.runPromise(scheduler.deadLetters.count()),
    close: async () => {
      await runtime.dispose()
      await pool.end()
    }
  }
}

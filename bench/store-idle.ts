/** What a scheduler costs that has nothing to do. */
import { Effect, Layer } from "effect"
import { LambdaScheduler } from "effect-lambda-scheduler"
import type { Bench } from "./support/Bench.ts"
import { Connections, databaseCpu, insistDurable, numberOf, Postgres, storeScheduler } from "./support/store.ts"
import { noopLambda } from "./support/workload.ts"

const watched = 60

const transactions = numberOf(
  "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)

export default {
  about: `${watched} seconds of nothing to do`,
  run: Effect.gen(function*() {
    yield* insistDurable
    return yield* Effect.gen(function*() {
      yield* LambdaScheduler
      yield* Effect.sleep("10 seconds")
      const [statements, database, node] = [yield* transactions, yield* databaseCpu, process.cpuUsage()]
      yield* Effect.sleep(watched * 1_000)
      const used = process.cpuUsage(node)
      return [
        // The one that asks counts itself.
        { metric: "statements", value: ((yield* transactions) - statements - 1) / watched, unit: "1/s" },
        { metric: "database_cpu", value: ((yield* databaseCpu) - database) * 100 / watched, unit: "% of a core" },
        { metric: "node_cpu", value: (used.user + used.system) / 1e6 * 100 / watched, unit: "% of a core" }
      ]
    }).pipe(Effect.provide(storeScheduler(noopLambda(() => {}))))
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

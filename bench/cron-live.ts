/** A hundred thousand live cron schedules on one instance: at rest, when 5,000 fire within a minute, and all at once. */
import { Clock, Effect, Layer } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { env } from "node:process"
import type { Bench } from "./support/Bench.ts"
import { insist, quantile, seconds } from "./support/Bench.ts"
import { Connections, databaseCpu, insistDurable, Postgres, storeScheduler } from "./support/store.ts"
import { fromCallers, noop, noopLambda } from "./support/workload.ts"

const total = Number(env["CRON_LIVE"] ?? 100_000)
const firing = 5_000
const watched = 30
/** Minutes. */
const burstAfter = 3

const zones = ["Europe/Stockholm", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "UTC"]

const memory = Effect.sync(() => {
  globalThis.gc?.()
  const { external, heapUsed, rss } = process.memoryUsage()
  return { rss: rss / 2 ** 20, heap: (heapUsed + external) / 2 ** 20 }
})

/** Daily, more than an hour from now, each in a minute of its own. */
const daily = (n: number, now: number) => {
  const minute = Math.floor(now / 60_000) + 90 + (n % 1_200)
  return Trigger.cron(`${minute % 60} ${Math.floor(minute / 60) % 24} * * *`)
}

export default {
  about: `${total.toLocaleString("en")} schedules: at rest, ${firing} firing within a minute, ${firing} at one second`,
  run: Effect.gen(function*() {
    yield* insistDurable
    const clock = yield* Clock.clockWith(Effect.succeed)
    const calls: Array<{ readonly spread: boolean; readonly n: number; readonly at: number }> = []
    const Lambda = noopLambda(({ payload }) => {
      const call = JSON.parse(payload) as { spread?: boolean; n: number }
      if (call.spread !== undefined) calls.push({ spread: call.spread, n: call.n, at: clock.unsafeCurrentTimeMillis() })
    })
    return yield* Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      yield* scheduler.repeat(noop, { trigger: daily(0, clock.unsafeCurrentTimeMillis()) })
      const before = yield* memory
      const [elapsed] = yield* seconds(
        fromCallers(
          total - 2 * firing,
          64,
          (n) => scheduler.repeat(noop, { trigger: daily(n, clock.unsafeCurrentTimeMillis()), payload: { n } })
        )
      )
      yield* Effect.sleep("5 seconds")
      const [database, node] = [yield* databaseCpu, process.cpuUsage()]
      yield* Effect.sleep(watched * 1_000)
      const used = process.cpuUsage(node)
      const after = yield* memory
      const idle = (used.user + used.system) / 1e6
      const idleDatabase = (yield* databaseCpu) - database

      // Once an hour: within a minute soon, and at one second so much later that it is claimed when that minute is over.
      const minute = Math.ceil(clock.unsafeCurrentTimeMillis() / 60_000) + 2
      yield* fromCallers(60, 8, (n) =>
        scheduler.repeat(noop, {
          trigger: Trigger.cron(`${n} ${(minute - 1) % 60} * * * *`),
          payload: { warming: true }
        }))
      yield* fromCallers(firing, 64, (n) =>
        scheduler.repeat(noop, {
          trigger: Trigger.cron(`${n % 60} ${minute % 60} * * * *`, { timeZone: zones[n % zones.length] ?? "UTC" }),
          payload: { spread: true, n }
        }))
      yield* fromCallers(firing, 64, (n) =>
        scheduler.repeat(noop, {
          trigger: Trigger.cron(`0 ${(minute + burstAfter) % 60} * * * *`, {
            timeZone: zones[n % zones.length] ?? "UTC"
          }),
          payload: { spread: false, n }
        }))
      yield* insist(clock.unsafeCurrentTimeMillis() < (minute - 1) * 60_000, "the schedules were not ready in time")
      yield* Effect.sleep((minute + burstAfter) * 60_000 + 10_000 - clock.unsafeCurrentTimeMillis())
      const spread = calls.filter((call) => call.spread).map(({ at, n }) => at - (minute * 60_000 + (n % 60) * 1_000))
      const burst = calls.filter((call) => !call.spread).map(({ at }) => at - (minute + burstAfter) * 60_000)
      yield* insist(spread.length === firing && burst.length === firing, `${spread.length} and ${burst.length} runs`)
      yield* insist(Math.min(...spread, ...burst) >= 0, "a run was early")
      return [
        { metric: "created", value: (total - 2 * firing) / elapsed, unit: "1/s" },
        { metric: "memory_growth", value: after.rss - before.rss, unit: "MiB" },
        { metric: "heap_growth", value: after.heap - before.heap, unit: "MiB" },
        { metric: "idle_node_cpu", value: idle * 100 / watched, unit: "% of a core" },
        { metric: "idle_database_cpu", value: idleDatabase * 100 / watched, unit: "% of a core" },
        { metric: "spread_p50", value: quantile(spread, 0.5), unit: "ms" },
        { metric: "spread_p99", value: quantile(spread, 0.99), unit: "ms" },
        { metric: "burst_all_started", value: Math.max(...burst), unit: "ms" }
      ]
    }).pipe(Effect.provide(storeScheduler(Lambda, { concurrency: 5_000, minConcurrency: 5_000 })))
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

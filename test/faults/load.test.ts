/** Much at once: everything due at one instant (F60), and one function that floods (F69). */
import { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expect, it } from "@effect/vitest"
import { Config, Effect } from "effect"
import { LambdaFunction, Trigger } from "../../src/index.ts"
import { eventually, sharedConnections } from "../adapters/sql/support.ts"
import { freshSchemaName } from "../support/postgres.ts"
import { agreed, launch, postgresIn } from "./rig.ts"
import type { FunctionScript } from "./ScriptedEndpoint.ts"
import { now, ok, scriptedEndpoint } from "./ScriptedEndpoint.ts"

/** `FAULTS_DUE=100000` for as many as there may be. */
const due = Effect.runSync(Config.withDefault(Config.integer("FAULTS_DUE"), 10_000))

const job = LambdaFunction.existing("job")
const other = LambdaFunction.existing("other")

/** Takes 20 milliseconds, and knows how many of it there were at once. */
const counted = () => {
  const seen = { running: 0, most: 0 }
  const script: FunctionScript = () => {
    seen.running++
    seen.most = Math.max(seen.most, seen.running)
    return { answer: ok(), after: 20, onAnswer: () => seen.running-- }
  }
  return { seen, script }
}

describe("F60: all due at one instant", () => {
  it.scopedLive(
    `F60: ${due} run once each, in order, as many at once as may, while the API answers and the lease lives`,
    () =>
      Effect.gen(function*() {
        const concurrency = 50
        const schema = freshSchemaName()
        const { script, seen } = counted()
        const endpoint = yield* scriptedEndpoint({ job: script })
        const scheduler = yield* launch(endpoint, { store: postgresIn(schema), settings: { concurrency } })
        // Enough time to store them all before.
        const at = now() + 1_000 + due * 0.4
        const half = Array.from({ length: due / 2 }, () => ({}))
        // Stored in the wrong order.
        for (const [payload, dueAt] of [["second", at + 1], ["first", at]] as const) {
          const trigger = Trigger.at(Math.ceil(dueAt))
          yield* scheduler.scheduleAll(job, half.map(() => ({ trigger, payload })))
        }
        expect(endpoint.log).toEqual([])
        const [one] = (yield* scheduler.list({}, { limit: 1 })).items
        const took: Array<number> = []
        const sql = yield* PgClient
        const leases = new Set<string>()
        yield* Effect.gen(function*() {
          const asked = now()
          yield* scheduler.get(one?.id ?? expect.fail())
          took.push(now() - asked)
          const living = yield* sql.unsafe<{ id: string }>(
            `SELECT id FROM "${schema}".instances WHERE expires_at > clock_timestamp()`
          )
          leases.add(living.map(({ id }) => id).join())
        }).pipe(
          Effect.delay("20 millis"),
          Effect.repeat({ until: () => endpoint.log.length === due && seen.running === 0 }),
          Effect.timeout(5_000 + due * 10)
        )
        // The same lease at every look: it was never late.
        expect([...leases].map((lease) => lease.length)).toEqual([36])
        took.sort((left, right) => left - right)
        expect(took[Math.floor(took.length * 0.99)]).toBeLessThan(1_000)
        expect(seen.most).toBeLessThanOrEqual(concurrency)
        expect(seen.most).toBeGreaterThan(concurrency / 2)
        yield* eventually(scheduler.backlog, ({ due }) => due === 0)
        yield* eventually(scheduler.list({ status: ["Running"] }), ({ items }) => items.length === 0)
        const tasks = yield* agreed(scheduler, endpoint)
        expect(tasks.length).toBe(due)
        expect(tasks.filter(({ attempts, status }) => status !== "Succeeded" || attempts.length !== 1)).toEqual([])
        expect(Math.min(...endpoint.log.map(({ at }) => at))).toBeGreaterThanOrEqual(at - 2)
        // By the millisecond, but for what is under way at the same time and overtakes.
        const early = endpoint.log.slice(0, due / 2 - 5 * concurrency)
        expect(early.filter(({ payload }) => payload !== "\"first\"").length).toBe(0)
      }).pipe(Effect.provide(sharedConnections)),
    30_000 + due * 12
  )
})

describe("F69: a function that floods", () => {
  it.scopedLive("F69: 10,000 of it do not hold up ten of another", () =>
    Effect.gen(function*() {
      const { script, seen } = counted()
      const endpoint = yield* scriptedEndpoint({ job: script, other: () => ({ answer: ok(), after: 20 }) })
      const scheduler = yield* launch(endpoint, { settings: { concurrency: 10 } })
      yield* scheduler.scheduleAll(job, Array.from({ length: 10_000 }, () => ({})))
      yield* Effect.sleep("200 millis")
      expect(seen.most).toBeGreaterThan(0)
      const asked = now()
      const others = yield* scheduler.scheduleAll(other, Array.from({ length: 10 }, () => ({})))
      yield* Effect.forEach(others, ({ id }) => scheduler.awaitResult(id), { concurrency: "unbounded" })
      const waits = endpoint.of("other").map(({ at }) => at - asked)
      expect(waits.length).toBe(10)
      expect(Math.max(...waits)).toBeLessThan(2_000)
      // It had not drained by then, and it went on meanwhile.
      expect(endpoint.of("job").length).toBeLessThan(9_000)
      expect(endpoint.of("job").filter(({ at }) => at > asked).length).toBeGreaterThan(0)
    }))
})

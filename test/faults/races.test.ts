/** The same thing asked for by many at once (F61), and cancellations that race with all that happens to a Task (F62). */
import { describe, expect, it } from "@effect/vitest"
import { Config, Effect, Either } from "effect"
import { LambdaFunction, Trigger } from "../../src/index.ts"
import { pick, seeded } from "../chaos/chanceAndTime.ts"
import { freshSchemaName } from "../support/postgres.ts"
import { agreed, ended, launch, outcomesOf, postgresIn, until } from "./rig.ts"
import { now, ok, scriptedEndpoint } from "./ScriptedEndpoint.ts"

/** `FAULTS_RACES=10000` for as many as it takes to be sure. */
const races = Effect.runSync(Config.withDefault(Config.integer("FAULTS_RACES"), 200))

/** Few: each costs the SDK some milliseconds of a processor. */
const atOnce = 4

const job = LambdaFunction.existing("job")

/** Schedulers on one store: several where it can be shared. */
const stores = [
  ["memory", 1, () => undefined],
  ["PostgreSQL, two instances", 2, () => {
    const schema = freshSchemaName()
    return () => postgresIn(schema)
  }]
] as const

describe("F61: 50 equal creates at once on two instances", () => {
  it.scopedLive("F61: are one Task, which runs once; another request under the same key is refused", () =>
    Effect.gen(function*() {
      const schema = freshSchemaName()
      const endpoint = yield* scriptedEndpoint({})
      const [one, other] = yield* Effect.all([
        launch(endpoint, { store: postgresIn(schema) }),
        launch(endpoint, { store: postgresIn(schema) })
      ])
      for (const idempotencyKey of ["monday", "tuesday", "wednesday"]) {
        const made = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, index) => index % 2 === 0 ? one : other),
          (scheduler) => scheduler.schedule(job, { idempotencyKey, payload: idempotencyKey }),
          { concurrency: "unbounded" }
        )
        const [id, ...more] = new Set(made.map((task) => task.id))
        expect(more).toEqual([])
        expect((yield* ended(one, id ?? expect.fail())).status).toBe("Succeeded")
        expect(yield* Effect.flip(other.schedule(job, { idempotencyKey, payload: "else" }))).toMatchObject({
          _tag: "IdempotencyConflict"
        })
      }
      expect(endpoint.log.map(({ payload }) => payload)).toEqual(["\"monday\"", "\"tuesday\"", "\"wednesday\""])
      expect((yield* agreed(one, endpoint)).length).toBe(3)
    }))
})

describe("F62: cancel races with claim, start and end", () => {
  for (const [name, instances, makeStore] of stores) {
    it.scopedLive(
      `F62: ${races} of them: nothing starts after a cancellation, and no end is taken back (${name})`,
      () =>
        Effect.gen(function*() {
          const chance = seeded(`F62 ${name}`)
          const endpoint = yield* scriptedEndpoint({ job: () => ({ answer: ok(), after: pick(chance, 20) }) })
          const store = makeStore()
          const schedulers = yield* Effect.forEach(
            Array.from({ length: instances }),
            () => launch(endpoint, { store: store?.() })
          )
          const maker = schedulers[0] ?? expect.fail()
          // How long one takes here, so that cancellations fall before, into and after it, on a slow machine as well.
          const begun = now()
          yield* Effect.replicateEffect(Effect.flatMap(maker.schedule(job), ({ id }) => ended(maker, id)), 20, {
            concurrency: atOnce
          })
          const usual = (now() - begun) / (20 / atOnce)
          const race = Effect.suspend(() => {
            const canceller = schedulers[pick(chance, instances)] ?? maker
            const trigger = chance() < 0.5 ? Trigger.now : Trigger.after(pick(chance, 200))
            return maker.schedule(job, { trigger, retry: { maxAttempts: 1 } }).pipe(
              Effect.tap(Effect.sleep(chance() * (2 * usual + 30))),
              Effect.flatMap(({ id }) => Effect.map(Effect.either(canceller.cancel(id)), (answer) => ({ answer, id })))
            )
          })
          const raced = yield* Effect.forEach(Array.from({ length: races }), () => race, { concurrency: atOnce })
          // Whatever was still under way arrives.
          yield* until("all have ended", maker.list({ status: ["Scheduled", "Running"] }), ({ items }) =>
            items.length === 0)
          yield* Effect.sleep("100 millis")
          yield* agreed(maker, endpoint)
          const kinds = { "before it began": 0, "while it ran": 0, "after its end": 0 }
          const arrived = new Map<string, number>()
          for (const { taskId } of endpoint.log) {
            arrived.set(taskId, (arrived.get(taskId) ?? 0) + 1)
          }
          for (const { answer, id } of raced) {
            const task = yield* maker.get(id)
            const arrivals = arrived.get(id) ?? 0
            if (Either.isLeft(answer)) {
              kinds["after its end"]++
              expect(answer.left).toMatchObject({ _tag: "TaskFinished", status: "Succeeded" })
              expect([task.status, outcomesOf(task), arrivals]).toEqual(["Succeeded", ["succeeded"], 1])
              continue
            }
            // As it was when it was cancelled, whatever was answered later.
            expect(task).toEqual(answer.right)
            expect(task.status).toBe("Cancelled")
            if (task.attempts.length === 0) {
              kinds["before it began"]++
              expect(arrivals).toBe(0)
            } else {
              kinds["while it ran"]++
              expect(outcomesOf(task)).toEqual(["unknown"])
              expect(arrivals).toBeLessThanOrEqual(1)
            }
          }
          for (const [kind, count] of Object.entries(kinds)) {
            expect(count, `cancelled ${kind}`).toBeGreaterThan(0)
          }
        }),
      30_000 + races * 20
    )
  }
})

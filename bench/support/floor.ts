/** The raw floor in the same run: the same PostgreSQL, the same rows, nothing but `pg` and two connections before it. */
import { Effect, Redacted } from "effect"
import { EmbeddedPostgres } from "effect-lambda-scheduler/embedded"
import type { Floor } from "../peers/floor.mjs"
import { seconds } from "./Bench.ts"
import { numberOf } from "./store.ts"
import { fromCallers, payloadOf } from "./workload.ts"

/** A floor with tables of its own, in a database of its own. */
const withFloor = <A, E>(use: (floor: Floor) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    yield* Effect.ignore(numberOf("DROP DATABASE floor WITH (FORCE)"))
    yield* numberOf("CREATE DATABASE floor")
    const { url } = yield* EmbeddedPostgres
    const { open } = yield* Effect.promise(() => import("../peers/floor.mjs"))
    const connectionString = Redacted.value(url).replace(/\/postgres(\?|$)/, "/floor$1")
    return yield* Effect.acquireUseRelease(
      Effect.promise(() => open({ connectionString })),
      (floor) => Effect.zipRight(Effect.promise(() => floor.setup()), use(floor)),
      (floor) => Effect.promise(() => floor.close())
    )
  })

const due = (millis: number) => Effect.map(Effect.clock, (clock) => clock.unsafeCurrentTimeMillis() + millis)

/** Tasks a second, stored one by one by so many callers. */
export const insertFloor = (tasks: number, callers: number) =>
  withFloor((floor) =>
    Effect.gen(function*() {
      const later = yield* due(86_400_000)
      const insert = (n: number) => Effect.promise(() => floor.insertOne({ due: later, data: payloadOf(n) }))
      const [elapsed] = yield* seconds(fromCallers(tasks, callers, insert))
      return tasks / elapsed
    })
  )

const fill = (floor: Floor, tasks: number, at: number) =>
  Effect.promise(async () => {
    for (let from = 0; from < tasks; from += floor.bulkSize) {
      const count = Math.min(floor.bulkSize, tasks - from)
      await floor.insertBulk(Array.from({ length: count }, (_, n) => ({ due: at, data: payloadOf(from + n) })))
    }
  })

/** Tasks a second, stored in statements of 1,000. */
export const bulkFloor = (tasks: number) =>
  withFloor((floor) =>
    Effect.gen(function*() {
      const [elapsed] = yield* seconds(fill(floor, tasks, yield* due(86_400_000)))
      return tasks / elapsed
    })
  )

/** Tasks a second that are claimed, marked and settled with an attempt row. */
export const drainFloor = (tasks: number) =>
  withFloor((floor) =>
    Effect.gen(function*() {
      yield* fill(floor, tasks, yield* due(-1_000))
      yield* Effect.promise(() => floor.settled())
      let done = 0
      const work = Effect.gen(function*() {
        yield* Effect.promise(() => floor.work(() => void done++))
        while (done < tasks || (yield* Effect.promise(() => floor.unfinished())) > 0) yield* Effect.sleep("5 millis")
      })
      const [elapsed] = yield* seconds(work)
      return tasks / elapsed
    })
  )

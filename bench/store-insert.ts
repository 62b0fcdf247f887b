/** How many Tasks a second are stored, each acknowledged after its commit; and that they are there after a crash. */
import { Effect, Layer } from "effect"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import type { TaskId } from "effect-lambda-scheduler"
import type { Bench } from "./support/Bench.ts"
import { insist, seconds } from "./support/Bench.ts"
import { insertFloor } from "./support/floor.ts"
import { Connections, crash, insistDurable, numberOf, Postgres, storeScheduler } from "./support/store.ts"
import { fromCallers, noop, noopLambda, payloadOf } from "./support/workload.ts"

const round = (tasks: number, callers: number) =>
  Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    const ids: Array<TaskId> = []
    const schedule = (n: number) =>
      Effect.map(
        scheduler.schedule(noop, { payload: payloadOf(n), trigger: Trigger.after("1 day") }),
        (task) => {
          ids.push(task.id)
        }
      )
    const [elapsed] = yield* seconds(fromCallers(tasks, callers, schedule))
    return { ids, perSecond: tasks / elapsed }
  })

export default {
  about: "schedule, one by one, acknowledged after commit",
  run: Effect.gen(function*() {
    yield* insistDurable
    const figures = yield* Effect.gen(function*() {
      yield* round(5_000, 64)
      const few = yield* round(40_000, 64)
      const many = yield* round(80_000, 1_000)
      const stored = yield* numberOf("SELECT count(*) FROM lambda_scheduler.tasks")
      yield* insist(stored === 125_000, `${stored} rows`)
      return { few, many }
    }).pipe(Effect.provide(storeScheduler(noopLambda(() => {}))))
    const fewFloor = yield* insertFloor(40_000, 64)
    const manyFloor = yield* insertFloor(80_000, 1_000)
    // What has been acknowledged is there, whatever becomes of the database.
    yield* crash
    const ids = [...figures.few.ids, ...figures.many.ids]
    const there = yield* numberOf(
      `SELECT count(*) FROM lambda_scheduler.tasks WHERE id = ANY('{${ids.join(",")}}'::uuid[])`
    )
    yield* insist(there === ids.length, `${there} of ${ids.length} acknowledged Tasks are there after a crash`)
    return [
      { metric: "callers_64", value: figures.few.perSecond, unit: "1/s" },
      { metric: "callers_64_floor", value: fewFloor, unit: "1/s" },
      { metric: "callers_64_ratio", value: figures.few.perSecond / fewFloor, unit: "" },
      { metric: "callers_1000", value: figures.many.perSecond, unit: "1/s" },
      { metric: "callers_1000_floor", value: manyFloor, unit: "1/s" },
      { metric: "callers_1000_ratio", value: figures.many.perSecond / manyFloor, unit: "" }
    ]
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

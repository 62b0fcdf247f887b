/** How many Tasks that are due a second are claimed, started, run and settled with history, by one process. */
import { Effect, Layer } from "effect"
import type { Bench } from "./support/Bench.ts"
import { drain, fillDue } from "./support/drain.ts"
import { drainFloor } from "./support/floor.ts"
import { Connections, insistDurable, Postgres } from "./support/store.ts"

const tasks = 20_000
const toWarmUp = 10_000

export default {
  about: `${tasks} Tasks that are due, drained by one process`,
  run: Effect.gen(function*() {
    yield* insistDurable
    yield* fillDue(toWarmUp)
    yield* drain(toWarmUp)
    yield* fillDue(tasks)
    const elapsed = yield* drain(tasks)
    const floor = yield* drainFloor(tasks)
    return [
      { metric: "tasks_per_second", value: tasks / elapsed, unit: "1/s" },
      { metric: "floor_per_second", value: floor, unit: "1/s" },
      { metric: "ratio", value: tasks / elapsed / floor, unit: "" }
    ]
  }).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench

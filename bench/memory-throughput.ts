/** How many Tasks a second are scheduled, run and settled on the memory store; beside it, what Effect itself can do. */
import { Effect, Fiber, Layer, Stream } from "effect"
import type { Task, TaskId } from "effect-lambda-scheduler"
import { LambdaScheduler } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import type { Bench } from "./support/Bench.ts"
import { insist, seconds } from "./support/Bench.ts"
import { fromCallers, noop, noopLambda, payloadOf } from "./support/workload.ts"

const rounds = 3
// As many as are kept once they are finished (`EngineConfig.retentionCount`).
const tasks = 100_000
const callers = 100

const forkAndJoin = Effect.gen(function*() {
  const forks = 300_000
  const one = Effect.flatMap(Effect.fork(Effect.void), Fiber.join)
  yield* Effect.repeatN(one, forks / 10)
  const [elapsed] = yield* seconds(Effect.repeatN(one, forks - 1))
  return forks / elapsed
})

const finishedOnce = (task: Task): boolean =>
  task.status === "Succeeded" && task.attempts.length === 1 && task.attempts[0]?.ended?.outcome === "succeeded"

/** Schedules a round of Tasks, waits until all are settled, and reads every one of them back. */
const round = (scheduler: LambdaScheduler["Type"]) =>
  Effect.gen(function*() {
    const ids = Array.from<TaskId>({ length: tasks })
    const schedule = (n: number) =>
      Effect.map(scheduler.schedule(noop, { payload: payloadOf(n) }), (task) => {
        ids[n] = task.id
      })
    const live = scheduler.list({ status: ["Scheduled", "Running"] }, { limit: 1 })
    const work = Effect.gen(function*() {
      yield* fromCallers(tasks, callers, schedule)
      while ((yield* live).items.length > 0) yield* Effect.yieldNow()
    })
    const [elapsed] = yield* seconds(work)
    const all = yield* Effect.forEach(ids, (id) => scheduler.get(id))
    const good = all.filter(finishedOnce).length
    yield* insist(good === tasks, `${good} of ${tasks} Tasks have one finished attempt`)
    return elapsed
  })

const throughput = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  let events = 0
  yield* Effect.forkScoped(Stream.runForEach(scheduler.events, () => Effect.sync(() => events++)))
  yield* Effect.sleep("100 millis")
  const elapsed = yield* Effect.replicateEffect(round(scheduler), rounds)
  return { elapsed: elapsed.reduce((sum, one) => sum + one), events }
})

export default {
  about: `${rounds} times ${tasks} Tasks, due now, from ${callers} callers: schedule, run, settle`,
  run: Effect.gen(function*() {
    const floor = yield* forkAndJoin
    let invoked = 0
    const { elapsed, events } = yield* throughput.pipe(
      Effect.scoped,
      Effect.provide(
        LambdaScheduler.layer.pipe(Layer.provide(Layer.merge(MemoryTaskRepository.layer, noopLambda(() => invoked++))))
      )
    )
    const total = rounds * tasks
    yield* insist(invoked === total, `${invoked} invocations of ${total} Tasks`)
    return [
      { metric: "tasks_per_second", value: total / elapsed, unit: "1/s" },
      { metric: "fork_join_floor_per_second", value: floor, unit: "1/s" },
      // Each Task is scheduled, started and succeeds.
      { metric: "events_seen", value: (100 * events) / (3 * total), unit: "%" }
    ]
  })
} satisfies Bench

/** What a million Tasks weigh that are not due for days, and how fast they are taken in. */
import { Clock, Effect, Layer, Stream } from "effect"
import type { TaskId } from "effect-lambda-scheduler"
import { LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import type { Bench } from "./support/Bench.ts"
import { insist, seconds } from "./support/Bench.ts"
import { fromCallers, noop, noopLambda, payloadOf } from "./support/workload.ts"

const tasks = 1_000_000
const callers = 100
const day = 86_400_000

/** Bytes in use after a full collection: objects, and what they hold outside the heap. */
const bytesInUse = Effect.gen(function*() {
  const collect = globalThis.gc
  if (collect === undefined) return yield* Effect.dieMessage("needs node --expose-gc")
  for (let i = 0; i < 3; i++) {
    void collect()
    yield* Effect.sleep("50 millis")
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
})

const pending = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  yield* Effect.forkScoped(Stream.runDrain(scheduler.events))
  const due = (yield* Clock.currentTimeMillis) + day
  let last: TaskId | undefined
  const before = yield* bytesInUse
  const [elapsed] = yield* seconds(fromCallers(tasks, callers, (n) =>
    Effect.map(
      scheduler.schedule(noop, { payload: payloadOf(n), trigger: Trigger.at(due + n) }),
      (task) => {
        last = task.id
      }
    )))
  const bytes = ((yield* bytesInUse) - before) / tasks
  const task = yield* scheduler.get(last as TaskId)
  yield* insist(task.status === "Scheduled" && task.payload.length === 200, "the last Task is not as it was scheduled")
  let count = 0
  let cursor: string | undefined
  do {
    const page = yield* scheduler.list({ status: ["Scheduled"] }, { cursor })
    count += page.items.length
    cursor = page.cursor
  } while (cursor !== undefined)
  yield* insist(count === tasks, `${count} Tasks are Scheduled, of ${tasks}`)
  return [
    { metric: "bytes_per_task", value: bytes, unit: "B" },
    { metric: "scheduled_per_second", value: tasks / elapsed, unit: "1/s" }
  ]
})

export default {
  about: `${tasks} Tasks due in a day or later, from ${callers} callers: memory and rate of intake`,
  run: pending.pipe(
    Effect.scoped,
    Effect.provide(
      LambdaScheduler.layer.pipe(
        Layer.provide(Layer.merge(MemoryTaskRepository.layer, noopLambda(() => undefined)))
      )
    )
  )
} satisfies Bench

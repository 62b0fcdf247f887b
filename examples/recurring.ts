/**
 * Two schedules of one function, each with a life of its own: one from the end of a run to the next, one at a fixed
 * rate for three runs. What happens is read from the stream of events.
 *
 *     npx tsx examples/recurring.ts
 */
import { Console, Effect, Layer, Stream } from "effect"
import { LambdaFunction, LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { LocalLambdaClient } from "effect-lambda-scheduler/local"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"

const beat = LambdaFunction.inline("beat", `export const handler = async (event) => event.who + " is alive"`)

const program = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  const results = scheduler.events.pipe(
    Stream.filter((event) => event.kind === "succeeded"),
    Stream.mapEffect((event) => Effect.zipRight(Console.log("ran:", event.task.name), Effect.succeed(event))),
    Stream.filter((event) => event.task.name === "drum"),
    Stream.take(3),
    Stream.runDrain
  )
  const drummed = yield* Effect.fork(results)
  yield* Effect.yieldNow()

  const heart = yield* scheduler.repeat(beat, {
    name: "heart",
    payload: { who: "the heart" },
    trigger: Trigger.spaced("1 second"),
    initialDelay: "500 millis"
  })
  const drum = yield* scheduler.repeat(beat, {
    name: "drum",
    payload: { who: "the drum" },
    trigger: Trigger.fixed("1 second"),
    maxRuns: 3
  })
  yield* drummed.await
  yield* scheduler.cancelSchedule(heart.id)
  yield* Console.log("heart:", (yield* scheduler.getSchedule(heart.id)).status)
  yield* Console.log("drum:", (yield* scheduler.getSchedule(drum.id)).status)
})

const Live = LambdaScheduler.layer.pipe(
  Layer.provide(Layer.merge(MemoryTaskRepository.layer, LocalLambdaClient.layer))
)

void Effect.runPromise(program.pipe(Effect.provide(Live)))

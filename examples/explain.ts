/**
 * "Why did it not run?", answered by the scheduler: a report that runs every ten minutes, on a day on which it overruns, is paused,
 * fails and is held up; in virtual time, so that the day takes a second.
 *
 *     npm run demo:explain
 */
import { Console, Effect, Layer } from "effect"
import { EngineConfig, InvocationError, LambdaFunction, LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import { ScriptedLambdaClient, VirtualClock } from "effect-lambda-scheduler/testing"

let isDown = false
let takes = "2 minutes" as "2 minutes" | "12 minutes"

const report = LambdaFunction.existing("report")
const program = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  const { id } = yield* scheduler.repeat(report, { name: "report", trigger: Trigger.cron("*/10 * * * *") })
  const why = (instant: string) =>
    Effect.flatMap(
      scheduler.explain(id, `2027-01-15T${instant}:00Z`),
      ({ rule, sentence }) => Console.log(`${instant} ${rule.padEnd(14)} ${sentence}`)
    )
  const until = (instant: string) =>
    Effect.flatMap(
      Effect.clockWith((clock) => clock.currentTimeMillis),
      (now) => Effect.sleep(Date.parse(`2027-01-15T${instant}:00Z`) - now)
    )

  yield* until("08:15")
  takes = "12 minutes"
  yield* until("08:50")
  takes = "2 minutes"
  yield* scheduler.pauseSchedule(id, { by: "ada", note: "the database moves" })
  yield* until("09:15")
  yield* scheduler.resumeSchedule(id)
  isDown = true
  yield* until("09:32")
  yield* scheduler.pauses.set("report", { by: "bo", note: "the service is down" })
  isDown = false
  yield* until("10:05")
  for (const instant of ["08:10", "08:30", "08:50", "09:20", "09:40", "09:45"]) yield* why(instant)

  yield* scheduler.pauses.lift("report")
  yield* scheduler.limits.set("report", { concurrency: 1 })
  yield* until("10:06")
  yield* Console.log("")
  for (const instant of ["09:40", "10:00", "10:10"]) yield* why(instant)

  const urgent = yield* scheduler.runNow(id, { overlap: "allowAll", payload: { urgent: true } })
  yield* Effect.sleep("1 second")
  yield* Console.log(`\nby hand: ${(yield* scheduler.explainTask(urgent.id)).sentence}`)
  const { findings } = yield* scheduler.health(id)
  for (const { code, sentence } of findings) yield* Console.log(`${code}: ${sentence}`)
})

const client = ScriptedLambdaClient.layer({
  report: () =>
    Effect.zipRight(
      Effect.sleep(takes),
      isDown
        ? Effect.fail(new InvocationError({ reason: "FunctionError", message: "no database", errorType: "Error" }))
        : Effect.succeed("sent")
    )
})
const Virtual = LambdaScheduler.layer.pipe(
  Layer.provide(EngineConfig.layer({ retry: { ...EngineConfig.defaults.retry, maxAttempts: 1 } })),
  Layer.provideMerge(Layer.merge(MemoryTaskRepository.layer, client)),
  Layer.provideMerge(VirtualClock.layerAt("2027-01-15T08:00:01Z"))
)
void Effect.runPromise(program.pipe(Effect.provide(Virtual)))

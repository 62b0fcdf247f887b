/**
 * The month-end job across daylight-saving time, proven in seconds: three years and a half of it on a virtual clock, with
 * one month end in an hour that comes twice (31 October 2027) and one in an hour that does not exist (31 March 2030).
 *
 *     npm run demo:dst
 */
import { Console, Effect, Layer } from "effect"
import { LambdaFunction, LambdaScheduler, Trigger } from "effect-lambda-scheduler"
import { MemoryTaskRepository } from "effect-lambda-scheduler/memory"
import { ScriptedLambdaClient, VirtualClock } from "effect-lambda-scheduler/testing"

const monthEnd = Trigger.cron("30 2 L * *", { timeZone: "Europe/Stockholm" })
const program = Effect.gen(function*() {
  const scheduler = yield* LambdaScheduler
  yield* scheduler.repeat(LambdaFunction.existing("payroll"), { trigger: monthEnd })
  yield* Effect.sleep("1200 days")
  const runs = yield* Effect.flatMap(ScriptedLambdaClient, (client) => client.invocations)
  yield* Console.log(`${runs.length} runs. ${yield* Trigger.describe(monthEnd)}`)
  for (const { at, dst, local } of yield* Trigger.between(monthEnd, "2027-01-01T00:00:00Z", "2030-04-15T00:00:00Z")) {
    if (dst !== undefined) yield* Console.log(`${local} ${dst}, runs: ${runs.filter((run) => run.at === at).length}`)
  }
})
const Virtual = LambdaScheduler.layer.pipe(
  Layer.provideMerge(Layer.merge(MemoryTaskRepository.layer, ScriptedLambdaClient.layer({ payroll: () => "paid" }))),
  Layer.provideMerge(VirtualClock.layerAt("2027-01-01T00:00:00Z"))
)
void Effect.runPromise(program.pipe(Effect.provide(Virtual)))

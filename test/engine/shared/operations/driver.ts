/** Tells a story to a scheduler in virtual time, and checks after each of its commands what must hold. */
import { Clock, Effect } from "effect"
import { iso, onStage } from "../stage.ts"
import type { Stage, StoreName } from "../stage.ts"
import { CallLog } from "./behaviour.ts"
import type { Command, Story } from "./commands.ts"
import { minute } from "./commands.ts"
import { historyOf } from "./history.ts"
import type { History } from "./history.ts"
import { endPause, isLive } from "./model.ts"
import { processSteps } from "./processSteps.ts"
import { scheduleSteps } from "./scheduleSteps.ts"
import { none, same } from "./seen.ts"
import { taskSteps } from "./taskSteps.ts"
import type { Needs, Steps } from "./Telling.ts"
import { Telling } from "./Telling.ts"

const begin = "2027-03-27T20:10:00.137Z"

/** Nothing more goes wrong, and nothing is paused: what is due comes to its end (I03). */
const finish = Effect.fnUntraced(function*(telling: Telling, steps: Steps<"lift">) {
  const { log, model } = telling
  log.isQuiet = true
  for (const fn of [0, 1, undefined] as const) yield* steps.lift({ _tag: "lift", fn, again: false })
  // What runs already may fail yet, and pause its schedule.
  yield* Effect.sleep(16 * minute)
  yield* telling.observe
  for (const schedule of model.schedules) {
    if (!telling.isActive(schedule)) continue
    yield* telling.scheduler.resumeSchedule(schedule.id)
    if (endPause(schedule.pauses, yield* Clock.currentTimeMillis)) schedule.failures = 0
  }
  yield* telling.observe
  yield* Effect.sleep(Math.max(30 * minute, model.unsettledUntil - telling.seen.now + 20 * minute))
  yield* telling.observe
  const { now, tasks } = telling.seen
  none([...tasks.values()].filter((task) => isLive(task) && task.dueAt < now), () => "I03: due, and left")
  for (const backfill of model.backfills) {
    if (backfill.schedule.ended?.removed === true) continue
    const { counts, status } = yield* telling.scheduler.backfills.get(backfill.id)
    same(status, backfill.cancelledAt === undefined ? "Completed" : "Cancelled", () => `backfill ${backfill.number}`)
    const sum = Object.values(counts).reduce((sum, count) => sum + count, 0)
    same(sum, backfill.instants.length, () => `counts of backfill ${backfill.number}`)
    telling.note(`backfill: ${status}`)
  }
})

export type Options = Omit<Needs, "stage" | "log">

export const tell = (store: StoreName, { commands, creates, seed }: Story, options: Options): Promise<History> => {
  /** For whoever has to find out why it failed. */
  const trace: Array<string> = []
  const log = new CallLog(seed)

  const body = (stage: Stage) =>
    Effect.gen(function*() {
      const telling = yield* Telling.begin({ ...options, stage, log })
      const steps: Steps<Command["_tag"]> = {
        ...scheduleSteps(telling),
        ...taskSteps(telling),
        ...processSteps(telling)
      }
      yield* telling.observe
      for (const command of [...creates, ...commands]) {
        const now = iso(yield* Clock.currentTimeMillis)
        trace.push(`${now} ${JSON.stringify(command)}`)
        telling.answers.push(`${now} ${command._tag}`)
        options.note("step")
        yield* (steps[command._tag] as (command: Command) => Effect.Effect<unknown, unknown>)(command)
        yield* telling.observe
      }
      trace.push(`${iso(yield* Clock.currentTimeMillis)} the end`)
      yield* finish(telling, steps)
      return historyOf(telling.model, telling.seen, telling.answers)
    })

  return onStage(store, begin, { a: log.script, b: log.script }, body).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${trace.join("\n")}`)
  })
}

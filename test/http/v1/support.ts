/** Answers of `/v1`, checked to be what the contract says and nothing else. */
import { Effect, Schema } from "effect"
import {
  BackfillAnswer,
  BackfillList,
  ExplanationAnswer,
  FunctionPause,
  FunctionPauses,
  HealthAnswer,
  ScheduleAnswer,
  SchedulePage,
  TaskPage
} from "../../../src/http/index.ts"
import type { Answer } from "../support.ts"

const decoded = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownSync(schema, { onExcessProperty: "error" })
  return ({ body }: Answer): A => decode(body)
}

export const scheduleOf = decoded(ScheduleAnswer)
export const schedulesOf = decoded(SchedulePage)
export const backfillOf = decoded(BackfillAnswer)
export const backfillsOf = decoded(BackfillList)
export const pauseOf = decoded(FunctionPause)
export const pausesOf = decoded(FunctionPauses)
export const explanationOf = decoded(ExplanationAnswer)
export const healthOf = decoded(HealthAnswer)
export const tasksOf = decoded(TaskPage)

/** Ids that tests give, and one that stands for nothing. */
export const idOf = (digit: string): string => `0190a0b0-0000-7000-8000-00000000000${digit}`
export const unknownId = idOf("0")

/** A schedule that does nothing meanwhile. */
export const hourly = { function: "report", trigger: { fixed: "1 hour" }, initialDelay: "1 hour" }

/** Looks again and again until it is so. */
export const eventually = <A>(look: Effect.Effect<A>, isSo: (found: A) => boolean): Effect.Effect<A> =>
  look.pipe(
    Effect.delay("5 millis"),
    Effect.repeat({ until: isSo }),
    Effect.timeout("10 seconds"),
    Effect.orDie
  )

/** What tests of several instances have in common. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Task } from "../../../src/index.ts"
import { InvocationError, LambdaFunction } from "../../../src/index.ts"
import type { Call, World } from "../world.ts"

export const job = LambdaFunction.existing("job")
export const other = LambdaFunction.existing("other")

/** Of the engine's defaults, in milliseconds. */
export const lease = 6_000
export const reliedOn = 4_500

/** Runs a piece of a test at an instant of its own, in milliseconds from the beginning. */
export const timeline = (world: World) =>
  Effect.map(world.now, (begin) => ({
    begin,
    until: (at: number) => Effect.flatMap(world.now, (now) => Effect.sleep(Math.max(0, begin + at - now))),
    /** When each request left. */
    instants: (calls: ReadonlyArray<Call> = world.calls) => calls.map((call) => call.at - begin)
  }))

/** What holds in every world, whatever goes wrong in it. */
export const sound = (world: World): void => {
  const sent = new Set<string>()
  for (const call of world.calls) {
    const what = `attempt ${call.attempt} of ${call.taskId}, by ${call.by}`
    assert.isFalse(sent.has(`${call.taskId} ${call.attempt}`), `I07: ${what} was sent twice`)
    sent.add(`${call.taskId} ${call.attempt}`)
    assert.isTrue(call.leased, `rule 1: ${what} left outside of a lease`)
    assert.isAtLeast(call.at, call.stored?.dueAt ?? Infinity, `I05: ${what} was early`)
    assert.isAtLeast(call.stored?.attempts.length ?? 0, call.attempt, `rule 3: ${what} left before its mark`)
  }
}

export const outcomes = (task: Task): ReadonlyArray<string | undefined> =>
  task.attempts.map((attempt) => attempt.ended?.outcome)

/** What a function that throws comes to. */
export const failure = () => new InvocationError({ reason: "FunctionError", message: "boom", errorType: "Error" })

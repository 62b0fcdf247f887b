/** What the functions of a story do: by its seed and by what they are called for, the same on every store. */
import { Clock, Effect, Random } from "effect"
import { InvocationError } from "../../../../src/index.ts"
import type { TaskId } from "../../../../src/index.ts"
import type { Script, ScriptedCall } from "../../../../src/testing/index.ts"
import { minute, second } from "./commands.ts"
import type { Call } from "./seen.ts"

const chanceOf = (text: string): number => Effect.runSync(Random.make(text).next)

/** How long a call takes and what comes of it: of three some seconds, some minutes, longer than the shortest period. */
const behaviour = (seed: number, what: string) => {
  const how = chanceOf(`${seed} ${what} how`)
  const long = chanceOf(`${seed} ${what} long`)
  const outcome = chanceOf(`${seed} ${what} outcome`)
  const millis = how < 0.35 ? 3 * second * long : how < 0.65 ? 4 * minute * long : 5 * minute + 9 * minute * long
  const fails = outcome < 0.25 ? "FunctionError" : outcome < 0.32 ? "Rejected" : undefined
  return { millis: Math.ceil(millis), fails } as const
}

/** All that was called, as the functions have seen it. */
export class CallLog {
  readonly calls: Array<Call> = []
  /** The process that is there now. */
  by = 0
  /** From now on everything succeeds at once. */
  isQuiet = false
  private readonly seed: number

  constructor(seed: number) {
    this.seed = seed
  }

  get isAnyLive(): boolean {
    return this.calls.some(({ endedAt }) => endedAt === Infinity)
  }

  readonly script: Script = ({ at, functionName, payload, request }: ScriptedCall) =>
    Effect.suspend(() => {
      const { attempt, idempotencyKey, taskId } = request.clientContext as {
        readonly taskId: TaskId
        readonly attempt: number
        readonly idempotencyKey: string
      }
      const call: Call = {
        taskId,
        attempt,
        fn: functionName,
        payload,
        at,
        endedAt: Infinity,
        outcome: "running",
        by: this.by
      }
      this.calls.push(call)
      const { fails, millis } = this.isQuiet
        ? { fails: undefined, millis: 0 }
        : behaviour(this.seed, `${payload.schedule} ${idempotencyKey.split(":")[1]} ${attempt}`)
      const answer = fails === undefined
        ? Effect.succeed("fine")
        : Effect.fail(new InvocationError({ reason: fails, message: "scripted" }))
      return Effect.zipRight(Effect.sleep(millis), answer).pipe(
        Effect.onExit((exit) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            call.endedAt = now
            call.outcome = exit._tag === "Success" ? "succeeded" : exit.cause._tag === "Fail" ? "failed" : "interrupted"
          })
        )
      )
    })
}

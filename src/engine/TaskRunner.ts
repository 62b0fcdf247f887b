/** Runs one claimed Task: start mark, invocation, settlement. It knows nothing of how Tasks are found. */
import type { Clock, Context, Random } from "effect"
import { Cause, Effect, Exit, Option } from "effect"
import type { InvocationResult } from "../domain/Invocation.ts"
import { InvocationError } from "../domain/Invocation.ts"
import type { RunningTask, ScheduledTask } from "../domain/Task.ts"
import { idempotencyKey } from "../domain/Task.ts"
import type { EpochMillis } from "../domain/Time.ts"
import type { AttemptResult } from "../policies/retry.ts"
import { settleAttempt } from "../policies/retry.ts"
import type { InvokeRequest, LambdaClient } from "../ports/LambdaClient.ts"
import type { Lease, SettleVerdict, StartVerdict, TaskRepository } from "../ports/TaskRepository.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import type { Record } from "./Recorder.ts"
import type { PlanSuccessor } from "./Successors.ts"
import { noSuccessor } from "./Successors.ts"
import { untilAvailable } from "./untilAvailable.ts"

/** What the runner needs, and whom it tells. */
export interface TaskRunnerNeeds {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly client: Context.Tag.Service<LambdaClient>
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly lease: Lease
  readonly planSuccessor: PlanSuccessor
  /** Writes an outcome until the store has accepted or refused it. */
  readonly record: Record
  /** A run has been interrupted before the store had answered its start mark. */
  readonly onNotStarted: (task: ScheduledTask) => void
  readonly onStart: (verdict: Exclude<StartVerdict, { readonly _tag: "Fenced" }>) => void
  readonly onSettled: (verdict: Extract<SettleVerdict, { readonly _tag: "Accepted" }>) => void
}

const invokeRequest = (task: RunningTask, lease: Lease, config: EngineSettings): InvokeRequest => ({
  target: task.function,
  payload: task.payload,
  type: "RequestResponse",
  clientContext: {
    taskId: task.id,
    attempt: task.attempts.length,
    idempotencyKey: idempotencyKey(task)
  },
  notAfter: lease.expiresAt,
  timeout: task.function.timeout + config.attemptMargin
})

const resultOf = (exit: Exit.Exit<InvocationResult, InvocationError>): AttemptResult => {
  if (Exit.isSuccess(exit)) return exit.value
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(failure)) return failure.value
  if (Cause.isInterruptedOnly(exit.cause)) return "Interrupted"
  return new InvocationError({
    reason: "NoAnswer",
    message: "The Lambda client broke off with a defect; the log has it",
    cause: Cause.squash(exit.cause)
  })
}

/** Makes the function that runs one Task. What it answers never fails; whatever goes wrong in it is logged. */
export const makeTaskRunner = (needs: TaskRunnerNeeds): (task: ScheduledTask) => Effect.Effect<void> => {
  const { client, clock, config, lease, planSuccessor, random, repository } = needs

  const begin = (task: ScheduledTask, now: EpochMillis) =>
    Effect.map(
      Effect.flatMap(
        planSuccessor(task, "start", now),
        (successor) => repository.start(lease, [{ id: task.id, token: task.token, successor }], now)
      ),
      ([verdict]) => {
        if (verdict === undefined || verdict._tag === "Fenced") return undefined
        needs.onStart(verdict)
        return verdict._tag === "Started" ? { running: verdict.task, askedAt: now } : undefined
      }
    )

  /** While the store is away a start is held, and its slot with it: nothing runs that is not marked. */
  const beginOnceAvailable = (task: ScheduledTask) =>
    untilAvailable(
      "take a start mark",
      task.id,
      Effect.suspend(() => begin(task, clock.unsafeCurrentTimeMillis())),
      () => needs.onNotStarted(task)
    )

  /** A mark that took long to be answered is not acted on: others may already think that we are gone. */
  const invoke = (task: RunningTask, askedAt: EpochMillis) =>
    clock.unsafeCurrentTimeMillis() - askedAt > config.startMarkLimit
      ? Effect.fail(
        new InvocationError({
          reason: "TooLate",
          message: `The store took more than ${config.startMarkLimit} ms to confirm the start; nothing was sent`
        })
      )
      : client.invoke(invokeRequest(task, lease, config))

  const finish = (task: RunningTask, result: AttemptResult) =>
    Effect.flatMap(random.next, (chance) => {
      const now = clock.unsafeCurrentTimeMillis()
      const { end, to } = settleAttempt(task, result, { now, random: chance, horizon: config.horizon })
      const successor = to._tag === "Retry" ? noSuccessor : planSuccessor(task, "end", now)
      return needs.record(
        task.id,
        Effect.map(successor, (successor) => ({ id: task.id, token: task.token, end, to, successor }))
      )
    }).pipe(
      Effect.flatMap((verdict) => {
        if (verdict._tag === "Fenced") {
          return Effect.logDebug("Outcome refused: the Task was cancelled or taken over meanwhile").pipe(
            Effect.annotateLogs({ taskId: task.id, attempt: task.attempts.length })
          )
        }
        needs.onSettled(verdict)
        return Effect.void
      })
    )

  return (task) =>
    // Only the invocation itself can be interrupted: what has started is always settled.
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(beginOnceAvailable(task), (begun) => {
        if (begun === undefined) return Effect.void
        const { askedAt, running } = begun
        return Effect.flatMap(Effect.exit(restore(Effect.suspend(() => invoke(running, askedAt)))), (exit) => {
          const settled = finish(running, resultOf(exit))
          return Exit.isFailure(exit) && Cause.isDie(exit.cause)
            ? Effect.zipRight(Effect.logError("The Lambda client died", exit.cause), settled)
            : settled
        })
      })
    ).pipe(
      Effect.catchAllCause((cause) =>
        Effect.logError("A Task run broke off", cause).pipe(Effect.annotateLogs({ taskId: task.id }))
      )
    )
}

/** Runs one claimed Task: start mark, invocation, settlement. It knows nothing of how Tasks are found. */
import type { Clock, Context, Random } from "effect"
import { Cause, Duration, Effect, Exit, Option } from "effect"
import { TaskRepositoryError } from "../domain/Errors.ts"
import type { InstanceId, TaskId } from "../domain/Ids.ts"
import type { InvocationResult } from "../domain/Invocation.ts"
import { InvocationError } from "../domain/Invocation.ts"
import type { RunningTask, Task } from "../domain/Task.ts"
import { expiresAt, idempotencyKey, isExpired } from "../domain/Task.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import type { AttemptResult } from "../policies/retry.ts"
import { settleAttempt } from "../policies/retry.ts"
import type { InvokeRequest, LambdaClient } from "../ports/LambdaClient.ts"
import type {
  ClaimedTask,
  Lease,
  SettleVerdict,
  StartMark,
  StartVerdict,
  TaskRepository
} from "../ports/TaskRepository.ts"
import type { Admitted } from "./Admission.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import type { Leases } from "./Leases.ts"
import type { Record } from "./Recorder.ts"
import type { PlanSuccessor } from "./Successors.ts"
import { findSuccessor, noEnd } from "./Successors.ts"
import { untilAvailable } from "./untilAvailable.ts"

/** What the runner needs, and whom it tells. */
export interface TaskRunnerNeeds {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly client: Context.Tag.Service<LambdaClient>
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly leases: Leases
  readonly planSuccessor: PlanSuccessor
  /** Writes an outcome until the store has accepted or refused it. */
  readonly record: Record
  /** A run has been interrupted before the store had answered its start mark. */
  readonly onNotStarted: (task: ClaimedTask) => void
  readonly onStart: (verdict: Extract<StartVerdict, { readonly task: Task }>) => void
  /** As many run as may: it is to be tried again. */
  readonly onCapped: (task: ClaimedTask, cap: string) => void
  /** Its function is paused: it is to be tried again once that is over. */
  readonly onPaused: (task: ClaimedTask) => void
  /** The caps that a function runs under. */
  readonly capsOf: (functionName: string) => ReadonlyArray<string> | undefined
  /** The store has refused a start mark or an outcome, or the lease has gone under which the Task was claimed. */
  readonly onLost: (task: Pick<Task, "id" | "scheduleId" | "token">) => void
  readonly onSettled: (verdict: Extract<SettleVerdict, { readonly _tag: "Accepted" }>) => void
}

/** What runs Tasks. Neither function's effect ever fails; whatever goes wrong in it is logged. */
export interface TaskRunner {
  /** One claimed Task, from its start mark to its settlement. */
  readonly run: (task: ClaimedTask, admitted: Admitted) => Effect.Effect<void>
  /** One that carries its start mark already. */
  readonly runStarted: (task: RunningTask, admitted: Admitted) => Effect.Effect<void>
  /** Ends an attempt whose owner was lost. */
  readonly settleOrphan: (lease: Lease, orphan: RunningTask) => Effect.Effect<void>
}

/** @param left milliseconds up to the Task's deadline */
const invokeRequest = (
  task: RunningTask,
  notAfter: EpochMillis,
  left: Millis,
  config: EngineSettings
): InvokeRequest => ({
  target: task.function,
  payload: task.payload,
  type: "RequestResponse",
  clientContext: {
    taskId: task.id,
    attempt: task.attempts.length,
    idempotencyKey: idempotencyKey(task)
  },
  notAfter,
  timeout: Math.min(task.function.timeout + config.attemptMargin, task.retry.attemptTimeout ?? Infinity, left)
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

/** An attempt under way: under which lease, and when the store was asked for its start mark. */
interface Begun {
  readonly running: RunningTask
  readonly lease: Lease
  readonly askedAt: EpochMillis
}

const fenced: StartVerdict = { _tag: "Fenced" }

const noLease = new TaskRepositoryError({
  reason: "Unavailable",
  message: "There is no lease to start anything under; a heartbeat has to get through first"
})

const deadlinePassed = new InvocationError({
  reason: "TooLate",
  message: "The deadline had passed before it could be sent; nothing was sent"
})

const leaseGone = new InvocationError({
  reason: "TooLate",
  message: "The lease went while the claim was under way; nothing was sent"
})

/**
 * @param leases whose; a start under a lease that is not relied on is held back
 */
export const makeTaskRunner = (needs: TaskRunnerNeeds): TaskRunner => {
  const { client, clock, config, leases, planSuccessor, random, repository } = needs

  /** After a lost reply a refusal may mean that the mark was accepted the time before: nothing has been sent since. */
  const startedBefore = (mark: StartMark, lease: Lease): Effect.Effect<StartVerdict, TaskRepositoryError> =>
    Effect.flatMap(repository.get(mark.id), (found): Effect.Effect<StartVerdict, TaskRepositoryError> => {
      const now = Option.getOrUndefined(found)
      const next = findSuccessor(repository, mark.successor, lease.instanceId)
      if (now?.status === "Running" && now.owner === lease.instanceId && now.token === mark.token) {
        return Effect.map(next, (next) => ({ _tag: "Started", task: now, next }))
      }
      // Nobody else can skip or expire what is ours: by that it was given up.
      if (now?.token !== mark.token + 1) return Effect.succeed(fenced)
      if (now.status === "Skipped") return Effect.map(next, (next) => ({ _tag: "Skipped", task: now, next }))
      // A taker that has ended an attempt of ours has failed it as well: there was one more then.
      return now.status === "Failed" && now.attempts.length === mark.claimed?.attempts.length
        ? Effect.map(next, (next) => ({ _tag: "Expired", task: now, next }))
        : Effect.succeed(fenced)
    })

  /** While the store is away a start is held, and its slot with it: nothing runs that is not marked. */
  const beginOnceAvailable = (task: ClaimedTask): Effect.Effect<Begun | undefined, TaskRepositoryError> => {
    let mark: StartMark | undefined
    let asked = false
    /** Planned anew for every try, by the time it is; what follows keeps its id, by which a lost reply is found out. */
    const markAt = (startsAt: EpochMillis): Effect.Effect<StartMark, TaskRepositoryError> => {
      const tooLate = isExpired(task, startsAt)
      return mark !== undefined && mark.successor === undefined && !tooLate
        ? Effect.succeed(mark)
        : Effect.map(
          planSuccessor.of(
            task,
            tooLate && task.attempts.length > 0 ? "over" : "start",
            startsAt,
            mark?.successor?.task?.id
          ),
          (successor) => {
            mark = {
              id: task.id,
              token: task.token,
              successor,
              claimed: task,
              caps: needs.capsOf(task.function.name)
            }
            return mark
          }
        )
    }
    const begin = Effect.suspend((): Effect.Effect<Begun | undefined, TaskRepositoryError> => {
      const lease = leases.current()
      if (lease === undefined) return Effect.fail(noLease)
      // Claimed under a lease that was lost since.
      if (lease.instanceId !== task.owner) return Effect.as(Effect.sync(() => needs.onLost(task)), undefined)
      const askedAt = clock.unsafeCurrentTimeMillis()
      // A mark may be written a little early: the attempt begins when it is due.
      const startsAt = Math.max(askedAt, task.dueAt)
      return Effect.flatMap(markAt(startsAt), (mark) => {
        const again = asked
        asked = true
        return Effect.flatMap(repository.start(lease, [mark], startsAt), ([verdict = fenced]) =>
          Effect.map(
            verdict._tag === "Fenced" && again ? startedBefore(mark, lease) : Effect.succeed(verdict),
            (verdict) => begun(task, verdict, lease, askedAt)
          ))
      })
    })
    return untilAvailable("take a start mark", task.id, config.heartbeatInterval, begin, () => needs.onNotStarted(task))
  }

  const begun = (
    task: ClaimedTask,
    verdict: StartVerdict,
    lease: Lease,
    askedAt: EpochMillis
  ): Begun | undefined => {
    if (verdict._tag === "Fenced") {
      engineMetrics.lateWriteRefused()
      needs.onLost(task)
      return undefined
    }
    if (verdict._tag === "Capped") {
      needs.onCapped(task, verdict.cap)
      return undefined
    }
    if (verdict._tag === "Paused") {
      needs.onPaused(task)
      return undefined
    }
    needs.onStart(verdict)
    return verdict._tag === "Started"
      ? { running: verdict.task, lease, askedAt: askedAt + (verdict.waited ?? 0) }
      : undefined
  }

  const untilDue = (task: RunningTask): Effect.Effect<void> =>
    Effect.suspend(() => {
      const left = task.dueAt - clock.unsafeCurrentTimeMillis()
      // A timer may fire early: it is compared again.
      return left <= 0 ? Effect.void : Effect.zipRight(clock.sleep(Duration.millis(left)), untilDue(task))
    })

  /** A mark that took long to be answered is not acted on: others may already think that we are gone. */
  const invoke = ({ askedAt, running }: Begun): Effect.Effect<InvocationResult, InvocationError> => {
    const now = clock.unsafeCurrentTimeMillis()
    if (now - askedAt > config.startMarkLimit) {
      return Effect.fail(
        new InvocationError({
          reason: "TooLate",
          message: `The store took more than ${config.startMarkLimit} ms to confirm the start; nothing was sent`
        })
      )
    }
    const send = Effect.suspend(() => {
      const at = clock.unsafeCurrentTimeMillis()
      const left = expiresAt(running) - at
      if (left <= 0) return Effect.fail(deadlinePassed)
      engineMetrics.lateness(at - running.dueAt)
      return client.invoke(invokeRequest(running, leases.notAfter(), left, config))
    })
    return running.dueAt > now ? Effect.zipRight(untilDue(running), send) : send
  }

  const finish = (lease: Lease, task: RunningTask, result: AttemptResult) =>
    Effect.flatMap(random.next, (chance) => {
      const now = clock.unsafeCurrentTimeMillis()
      const { end, to } = settleAttempt(task, result, { now, random: chance, horizon: config.horizon })
      engineMetrics.attemptEnded(end.outcome)
      if (to._tag === "Retry") engineMetrics.retry()
      const planned = to._tag === "Retry" ? noEnd : planSuccessor.atEnd(task, now)
      return needs.record(
        lease,
        task,
        Effect.map(planned, (planned) => ({ id: task.id, token: task.token, end, to, ...planned, running: task }))
      )
    }).pipe(
      Effect.flatMap((verdict) => {
        if (verdict._tag === "Fenced") {
          engineMetrics.lateWriteRefused()
          needs.onLost(task)
          return Effect.logDebug("Outcome refused: the Task was cancelled or taken over meanwhile").pipe(
            Effect.annotateLogs({ taskId: task.id, attempt: task.attempts.length })
          )
        }
        needs.onSettled(verdict)
        return Effect.void
      })
    )

  const perform = (
    begun: Begun,
    admitted: Admitted,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ) =>
    Effect.flatMap(Effect.exit(restore(Effect.suspend(() => invoke(begun)))), (exit) => {
      const result = resultOf(exit)
      admitted.ended(result)
      const settled = finish(begun.lease, begun.running, result)
      return Exit.isFailure(exit) && Cause.isDie(exit.cause)
        ? Effect.zipRight(Effect.logError("The Lambda client died", exit.cause), settled)
        : settled
    })

  const logBroken = (id: TaskId) => (run: Effect.Effect<void, TaskRepositoryError>): Effect.Effect<void> =>
    Effect.catchAllCause(
      run,
      (cause) => Effect.logError("A Task run broke off", cause).pipe(Effect.annotateLogs({ taskId: id }))
    )

  // Only the invocation itself can be interrupted: what has started is always settled.
  return {
    run: (task, admitted) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          beginOnceAvailable(task),
          (begun) => begun === undefined ? Effect.void : perform(begun, admitted, restore)
        )
      ).pipe(logBroken(task.id)),
    runStarted: (running, admitted) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const lease = leases.current()
          const askedAt = running.attempts[running.attempts.length - 1]?.startedAt ?? -Infinity
          return lease !== undefined && lease.instanceId === running.owner
            ? perform({ running, lease, askedAt }, admitted, restore)
            : finish({ instanceId: running.owner as InstanceId, expiresAt: -Infinity }, running, leaseGone)
        })
      ).pipe(logBroken(running.id)),
    settleOrphan: (lease, orphan) =>
      Effect.uninterruptible(finish(lease, orphan, "OwnerLost")).pipe(logBroken(orphan.id))
  }
}

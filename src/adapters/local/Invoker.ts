/** Runs one call in an environment, to its outcome. */
import { DateTime, Effect } from "effect"
import { InvocationError } from "../../domain/Invocation.ts"
import type { Millis } from "../../domain/Time.ts"
import type { Answer } from "./Call.ts"
import { callChild } from "./Call.ts"
import type { Deployment, Environment, EnvironmentPool } from "./EnvironmentPool.ts"
import { monotonicMillis } from "./EnvironmentPool.ts"
import { reportLine, timedOutLine, verdict } from "./Outcome.ts"
import type { Outcome } from "./Outcome.ts"

export interface DeploymentCall {
  readonly requestId: string
  readonly payload: Buffer
  /** JSON text. */
  readonly clientContext: string | undefined
  /** Runs when an environment is ready, right before the call is handed over; its failure hands nothing over. */
  readonly beforeSend: Effect.Effect<void, InvocationError>
}

const megabyte = 1024 * 1024
/** What Node.js takes for itself, so that a function of 128 MB can have most of them. */
const nodeOwnMemory = 64 * megabyte

/** The system refused another process: it may have room later. */
const wantsRoom: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM"])

const notStarted = (error: NodeJS.ErrnoException, requestId: string) =>
  new InvocationError({
    reason: wantsRoom.has(error.code ?? "") ? "Throttled" : "ServiceError",
    message: `No process could be started for the function (${error.code ?? error.name}): ${error.message}`,
    requestId,
    cause: error
  })

/** Completes the log and says what the call came to. */
const conclude = Effect.fnUntraced(function*(
  environment: Environment,
  answer: Parameters<typeof verdict>[0],
  requestId: string,
  duration: Millis
) {
  const { child, deployment, initDuration, isWarm } = environment
  if (answer._tag === "TimedOut") {
    child.log.note(timedOutLine(DateTime.formatIso(yield* DateTime.now), requestId, answer.after))
  }
  child.log.note(`END RequestId: ${requestId}`)
  child.log.note(reportLine({
    requestId,
    duration,
    memorySize: deployment.settings.memory,
    memoryUsed: child.peakMemory,
    initDuration: isWarm ? undefined : initDuration
  }))
  const outcome: Outcome = { ...verdict(answer, requestId), requestId, log: child.log.text }
  return outcome
})

/** Whether the environment can take another call after this answer. */
const canGoOn = (answer: Answer): boolean => answer._tag === "Result" || answer._tag === "Error"

/**
 * Invokes a deployment once, in an environment that nobody else uses meanwhile. Interruption kills that environment.
 *
 * @returns the outcome, also of a function that failed, or `InvocationError`: that of `beforeSend`; `Throttled` or
 * `ServiceError` when no process could be started
 */
export const invokeDeployment = (
  pool: EnvironmentPool,
  deployment: Deployment,
  call: DeploymentCall
): Effect.Effect<Outcome, InvocationError> => {
  const { requestId } = call
  const { settings } = deployment
  const once = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const environment = yield* restore(pool.acquire(deployment))
      const { child, isWarm, started } = environment
      // The first call's log begins with what loading the handler printed.
      if (isWarm) child.log.clear()
      child.log.note(`START RequestId: ${requestId} Version: $LATEST`)
      if (started._tag !== "Ready") {
        yield* pool.end(environment)
        return started._tag === "Exited" && started.status.error !== undefined
          ? yield* notStarted(started.status.error, requestId)
          : yield* conclude(environment, started, requestId, 0)
      }
      yield* restore(call.beforeSend).pipe(Effect.onError(() => pool.release(environment)))
      const from = yield* monotonicMillis
      const answer = yield* restore(callChild(child, {
        requestId,
        functionArn: deployment.arn,
        payload: call.payload,
        clientContext: call.clientContext,
        timeout: settings.timeout,
        memory: settings.memory * megabyte + nodeOwnMemory,
        isWarm
      })).pipe(Effect.onInterrupt(() => pool.end(environment)))
      if (answer._tag === "NotBegun") {
        yield* pool.end(environment)
        return undefined
      }
      const outcome = yield* conclude(environment, answer, requestId, (yield* monotonicMillis) - from)
      yield* canGoOn(answer) ? pool.release(environment) : pool.end(environment)
      return outcome
    })
  )
  // Used environments may turn out dead, one after the other; a new one always begins.
  return once.pipe(
    Effect.flatMap((outcome) =>
      outcome === undefined ? invokeDeployment(pool, deployment, call) : Effect.succeed(outcome)
    )
  )
}

/** What is done about a Task that has failed for good: an effect of the user's own. */
import { Context, Effect, Fiber, Layer, Runtime } from "effect"
import type { FailedTask } from "../domain/Task.ts"

export interface OnFailedOptions {
  /** Calls under way at a time. Default: 10. */
  readonly concurrency?: number | undefined
  /** Dead letters that are in a call or wait for one. Of more than that only the log tells. Default: 10,000. */
  readonly capacity?: number | undefined
}

/** What is to be called, and how often at a time. */
export interface FailedTaskHandler {
  readonly handle: (task: FailedTask) => Effect.Effect<unknown, unknown>
  readonly concurrency: number
  readonly capacity: number
}

export class OnFailed extends Context.Reference<OnFailed>()("effect-lambda-scheduler/engine/OnFailed", {
  defaultValue: (): FailedTaskHandler | undefined => undefined
}) {
  /**
   * Calls an effect for each Task that has failed for good, on the instance that has recorded it, once it is stored. At
   * most once: a call is not repeated when it fails (the log has it) or when the process ends, and a shutdown waits no
   * longer for it than its grace. The dead letter itself is in the store; who must not miss one lists them now and then.
   *
   * @example
   * LambdaScheduler.layer.pipe(Layer.provide(OnFailed.layer((task) => Effect.logError(`${task.name} failed`))))
   */
  static readonly layer = <E, R>(
    handle: (task: FailedTask) => Effect.Effect<unknown, E, R>,
    { capacity = 10_000, concurrency = 10 }: OnFailedOptions = {}
  ): Layer.Layer<never, never, R> =>
    Layer.effect(
      OnFailed,
      Effect.map(
        Effect.context<R>(),
        (context) => ({ handle: (task: FailedTask) => Effect.provide(handle(task), context), concurrency, capacity })
      )
    )
}

export interface FailedCalls {
  /** Hands a dead letter over; it neither waits nor fails. */
  readonly tell: (task: FailedTask) => void
  /** Waits until every call has ended. */
  readonly drained: Effect.Effect<void>
  /** Interrupts what is left. */
  readonly stop: Effect.Effect<void>
}

const none: FailedCalls = { tell: () => {}, drained: Effect.void, stop: Effect.void }

/** How long a shutdown waits for an interrupted call. */
const interruptWithin = "5 seconds"

export const makeFailedCalls: Effect.Effect<FailedCalls> = Effect.gen(function*() {
  const handler = yield* OnFailed
  if (handler === undefined) return none
  const { capacity, concurrency, handle } = handler
  const runFork = Runtime.runFork(yield* Effect.runtime())
  const permits = Effect.unsafeMakeSemaphore(concurrency)
  const calls = new Set<Fiber.RuntimeFiber<void>>()
  let onIdle: Array<() => void> = []
  /** Not told of since there was room. */
  let missed = 0

  const call = (task: FailedTask) =>
    Effect.suspend(() => handle(task)).pipe(
      Effect.asVoid,
      // Nobody joins it: last place to see it.
      Effect.catchAllCause((cause) => Effect.logError("onFailed itself has failed", cause)),
      permits.withPermits(1),
      Effect.annotateLogs({ taskId: task.id })
    )

  const noteMissed = () => {
    missed++
    if (missed === 1) {
      runFork(Effect.logWarning("There is no room for more calls of onFailed: dead letters are left out"))
    }
  }

  const ended = (fiber: Fiber.RuntimeFiber<void>) => {
    calls.delete(fiber)
    if (calls.size > 0) return
    if (missed > 0) {
      runFork(Effect.logWarning(`onFailed was not called for ${missed} dead letters; they are in the store`))
    }
    missed = 0
    const waiters = onIdle
    onIdle = []
    for (const waiter of waiters) waiter()
  }

  return {
    tell: (task) => {
      if (calls.size >= capacity) return noteMissed()
      // Not at once: what a caller's own code takes is not to be waited for by who records outcomes.
      const fiber = runFork(call(task), { immediate: false })
      calls.add(fiber)
      fiber.addObserver(() => ended(fiber))
    },
    drained: Effect.async<void>((resume) => {
      if (calls.size === 0) resume(Effect.void)
      else onIdle.push(() => resume(Effect.void))
    }),
    stop: Effect.suspend(() =>
      calls.size === 0 ? Effect.void : Effect.logWarning(`The shutdown cuts off ${calls.size} calls of onFailed`).pipe(
        Effect.zipRight(Effect.suspend(() => Fiber.interruptAll([...calls]))),
        Effect.interruptible,
        Effect.timeoutOption(interruptWithin),
        Effect.asVoid
      )
    )
  }
})

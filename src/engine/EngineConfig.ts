/** The engine's settings: a service with defaults, so that nobody has to provide it. */
import { Context, Layer } from "effect"
import type { RetryPolicy } from "../domain/RetryPolicy.ts"
import { defaultRetryPolicy } from "../domain/RetryPolicy.ts"
import type { Millis } from "../domain/Time.ts"
import type { BreakerOptions, CallVerdict } from "../policies/breaker.ts"
import { classifyInvocation, defaultBreakerOptions } from "../policies/breaker.ts"
import type { LimiterOptions } from "../policies/limiter.ts"
import { defaultLimiterOptions } from "../policies/limiter.ts"
import type { AttemptResult } from "../policies/retry.ts"

export interface EngineSettings {
  /** Upper bound on invocations in flight in this process. */
  readonly concurrency: number
  /** So many of them from the start, if that is less; more while more is due than can start, and the process keeps up. */
  readonly minConcurrency: number
  /** What a Task or schedule gets that names no retry policy of its own. */
  readonly retry: RetryPolicy
  /** When a function's breaker opens, and how it is probed. */
  readonly breaker: BreakerOptions
  /** What an end says of a function's health, for its breaker; by default a function that threw is well. */
  readonly classify: (result: AttemptResult, functionName: string) => CallVerdict
  /** Within what bounds it is learned how many calls Lambda takes. */
  readonly limiter: LimiterOptions
  /** Milliseconds past the function's own timeout after which an answer is given up. */
  readonly attemptMargin: Millis
  /** Milliseconds: how far ahead of its due time a Task is claimed. */
  readonly horizon: Millis
  /** Milliseconds: how far ahead at the most while other instances live, so that work is shared. */
  readonly sharedHorizon: Millis
  /** How many Tasks may be claimed and not yet started ... */
  readonly nearFutureCapacity: number
  /** ... and how many bytes they may hold, roughly. */
  readonly nearFutureBytes: number
  /** Milliseconds before its due time at which a Task's start mark may be written; nothing is sent before it is due. */
  readonly startLead: Millis
  /** Milliseconds: the longest the dispatcher sleeps while Tasks wait; bounds the harm of a stepped clock. */
  readonly longestSleep: Millis
  /** Milliseconds between two looks at a store that others write to as well ... */
  readonly pollInterval: Millis
  /** ... which grow to this while there is nothing to do and hints of others get through. */
  readonly idlePollInterval: Millis
  /** Milliseconds that a lease lasts unless it is renewed. */
  readonly leaseDuration: Millis
  /** Milliseconds between two renewals. */
  readonly heartbeatInterval: Millis
  /** Milliseconds before its lease ends from which on an instance starts nothing more under it. */
  readonly leaseMargin: Millis
  /** Milliseconds between two searches for what this instance owns and has forgotten, and for what the dead hold. */
  readonly reconcileInterval: Millis
  /** Milliseconds between two looks whether what runs here has been cancelled by another instance. */
  readonly cancelPollInterval: Millis
  /** Milliseconds: a start mark that took longer to be answered is not acted on. */
  readonly startMarkLimit: Millis
  /** Milliseconds that a shutdown waits for what runs before it interrupts it. */
  readonly shutdownGrace: Millis
  /** Milliseconds: the shortest interval of a schedule. */
  readonly minimumInterval: Millis
  /** Finished Tasks, but for dead letters, are kept for this many milliseconds at the most ... */
  readonly retentionAge: Millis
  /** ... and this many of them at the most. */
  readonly retentionCount: number
  /** Dead letters, which are the Tasks that have failed, are kept for this many milliseconds at the most ... */
  readonly deadLetterAge: Millis
  /** ... and this many of them at the most. */
  readonly deadLetterCount: number
  /** Milliseconds between two rounds of pruning by age; pruning by count does not wait for them. */
  readonly pruneInterval: Millis
  /** How many events a slow subscriber may lag behind before it loses the oldest. */
  readonly eventBuffer: number
}

export class EngineConfig extends Context.Reference<EngineConfig>()("effect-lambda-scheduler/engine/EngineConfig", {
  defaultValue: (): EngineSettings => EngineConfig.defaults
}) {
  static readonly defaults: EngineSettings = {
    concurrency: 1_000,
    minConcurrency: 100,
    retry: defaultRetryPolicy,
    breaker: defaultBreakerOptions,
    classify: classifyInvocation,
    limiter: defaultLimiterOptions,
    attemptMargin: 10_000,
    horizon: 60_000,
    sharedHorizon: 5_000,
    nearFutureCapacity: 10_000,
    nearFutureBytes: 64 * 1024 * 1024,
    startLead: 20,
    longestSleep: 600_000,
    pollInterval: 1_000,
    idlePollInterval: 5_000,
    leaseDuration: 6_000,
    heartbeatInterval: 1_500,
    leaseMargin: 1_500,
    reconcileInterval: 10_000,
    cancelPollInterval: 500,
    startMarkLimit: 1_000,
    shutdownGrace: 30_000,
    minimumInterval: 1_000,
    retentionAge: 7 * 86_400_000,
    retentionCount: 100_000,
    deadLetterAge: 30 * 86_400_000,
    deadLetterCount: 100_000,
    pruneInterval: 3_600_000,
    eventBuffer: 16_384
  }

  /**
   * Changes some settings and keeps the defaults of the rest.
   *
   * @example
   * LambdaScheduler.layer.pipe(Layer.provide(EngineConfig.layer({ concurrency: 16 })))
   */
  static readonly layer = (settings: Partial<EngineSettings>): Layer.Layer<never> =>
    Layer.succeed(EngineConfig, { ...EngineConfig.defaults, ...settings })
}

/** What a benchmark is: a name, and a run that comes to figures. */
import { Clock, Effect } from "effect"

/** One figure. */
export interface Measurement {
  readonly metric: string
  readonly value: number
  readonly unit: string
}

export interface Bench {
  /** What is measured, in one line. */
  readonly about: string
  /** One run, in a process of its own. A benchmark whose answers are wrong is a defect, however fast it was. */
  readonly run: Effect.Effect<ReadonlyArray<Measurement>, unknown>
}

/** How long an effect takes, in seconds of the monotonic clock. */
export const seconds = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [number, A], E, R> =>
  Effect.gen(function*() {
    const before = yield* Clock.currentTimeNanos
    const result = yield* effect
    return [Number((yield* Clock.currentTimeNanos) - before) / 1e9, result] as const
  })

/** Stops the benchmark: what it measured would be worth nothing. */
export const insist = (holds: boolean, message: string): Effect.Effect<void> =>
  holds ? Effect.void : Effect.dieMessage(message)

/** The value below which a share of the (unsorted) values lies: nearest rank. */
export const quantile = (values: ReadonlyArray<number>, share: number): number =>
  [...values].sort((one, other) => one - other)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? NaN

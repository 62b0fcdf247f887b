/** The circuit breakers: each instance looks at its own calls, and all go by one state in the store. */
import type { Clock, Context, Scope, Stream } from "effect"
import { Data, DateTime, Effect, Exit, PubSub, Queue, Stream as Streams } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import { InvocationError } from "../domain/Invocation.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import type { BreakerOptions, BreakerState, CallVerdict, Probe } from "../policies/breaker.ts"
import {
  askToProbe,
  breakerAt,
  CallWindow,
  classifyWay,
  encodeBreaker,
  parseBreaker,
  probed,
  trip
} from "../policies/breaker.ts"
import { ofAll } from "../policies/caps.ts"
import type { AttemptResult } from "../policies/retry.ts"
import type { Control, TaskRepository } from "../ports/TaskRepository.ts"
import { logFailedTick } from "./Chore.ts"
import { engineMetrics } from "./EngineMetrics.ts"
import type { Held } from "./Held.ts"

export type BreakerStatus =
  | { readonly state: "closed" }
  | {
    /** `open`: nothing is called. `half-open`: a few calls probe whether it works again. */
    readonly state: "open" | "half-open"
    readonly openedAt: EpochMillis
    /** From when on it may be probed; of a half-open one: by when a probe must have succeeded. */
    readonly until: EpochMillis
    /** How many times in a row it has opened, from 1. */
    readonly round: number
    /** What the call said that opened it. */
    readonly reason: string
  }

export interface BreakerTransition {
  /** Or the key; empty: the way to Lambda itself, of all functions. */
  readonly functionName: string
  readonly from: BreakerStatus["state"]
  readonly to: BreakerStatus["state"]
  readonly at: EpochMillis
  /** What the call said that opened it. */
  readonly reason: string | undefined
}

/** Nothing was called: the breaker of this key is open. */
export class BreakerOpen extends Data.TaggedError("BreakerOpen")<{
  readonly key: string
  /** From when on it is worth another try, epoch milliseconds. */
  readonly until: EpochMillis
  readonly message: string
}> {}

export interface BreakersApi {
  /** Of a function, by its bare name; `""`: of the way to Lambda itself, which holds up all functions. */
  readonly state: (functionName: string) => Effect.Effect<BreakerStatus, TaskRepositoryError>
  /** All that are not closed, by function. */
  readonly open: Effect.Effect<Readonly<Record<string, BreakerStatus>>, TaskRepositoryError>
  /** Closes a breaker at once. */
  readonly reset: (functionName: string) => Effect.Effect<void, TaskRepositoryError>
  /** Changes of state as this instance learns of them, from the moment of subscribing on. */
  readonly transitions: Stream.Stream<BreakerTransition>
  /**
   * Carries out an effect of your own under a breaker: that of a function, if the key is its name. While it is open nothing
   * is carried out, and `BreakerOpen` says when to come again.
   *
   * @param options `classify`: what an end says of the health of what was called; default: every failure is one, and
   * an interruption says nothing
   *
   * @example
   * scheduler.breakers.execute({ key: "crm" })(postToCrm)
   */
  readonly execute: <A, E>(options: {
    readonly key: string
    readonly classify?: ((exit: Exit.Exit<A, E>) => CallVerdict) | undefined
  }) => <R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BreakerOpen, R>
}

/** The rights that a call has taken, by the breaker that it probes. */
export type Probes = ReadonlyArray<readonly [name: string, probe: Probe]>

export interface Breakers {
  readonly api: BreakersApi
  /**
   * When a call of a function may be made: not later than `now` if it may at once, `Infinity` if that will be told.
   * Who asks wants to call: once it may be probed, the right to do so is asked for.
   */
  readonly closedUntil: (functionName: string, now: EpochMillis) => EpochMillis
  /** A call of a function is about to be made: it takes the rights to probe there are. */
  readonly begin: (functionName: string) => Probes
  /** A call has ended; `result` is `undefined` if it was not made after all. */
  readonly end: (
    functionName: string,
    call: { readonly begunAt: EpochMillis; readonly probes: Probes },
    result: AttemptResult | undefined,
    now: EpochMillis
  ) => void
  /** Functions whose breaker is not closed; `all`: nothing gets through to Lambda. */
  readonly held: () => Held
  readonly learn: (controls: ReadonlyArray<Control>) => void
}

const noProbes: Probes = []

/** How many functions are looked at; beyond that those looked at first are forgotten. */
const most = 10_000

/** How long what wants to probe waits before it asks again, if another instance probes or the store is away. */
const askAgainAfter: Millis = 250

const statusOf = (state: BreakerState): BreakerStatus =>
  state === undefined
    ? { state: "closed" }
    : { state: state.state, openedAt: state.openedAt, until: state.until, round: state.round, reason: state.reason }

/**
 * @param classify what an invocation says of the health of its function
 * @param onOpen something that was held up may be called
 */
export const makeBreakers = (needs: {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly clock: Clock.Clock
  readonly options: BreakerOptions
  readonly classify: (result: AttemptResult, functionName: string) => CallVerdict
  readonly onOpen: () => void
}): Effect.Effect<Breakers, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { classify, clock, onOpen, options, repository } = needs
    const now = () => clock.unsafeCurrentTimeMillis()
    const transitions = yield* PubSub.sliding<BreakerTransition>(1_000)
    const changes = yield* Queue.unbounded<Effect.Effect<void>>()
    const states = new Map<string, NonNullable<BreakerState>>()
    const windows = new Map<string, CallWindow>()
    /** When each was closed: a call that began before that says nothing of it any more. */
    const closedAt = new Map<string, EpochMillis>()
    /** Rights to probe that no call has taken yet. */
    const granted = new Map<string, Probe>()
    const askedAt = new Map<string, EpochMillis>()
    /** Changes that the store has not answered yet: what it told before may be older than this instance's view. */
    const underWay = new Map<string, number>()

    /** This instance's view from now on. */
    const see = (name: string, state: BreakerState): void => {
      const at = now()
      const before = states.get(name)
      if (state === undefined) states.delete(name)
      else states.set(name, state)
      const [from, to] = [before?.state ?? "closed", state?.state ?? "closed"] as const
      if (from === to) return
      if (to !== "half-open") granted.delete(name)
      if (to === "closed") {
        windows.delete(name)
        closedAt.set(name, at)
        if (closedAt.size > most) closedAt.clear()
      }
      engineMetrics.breakerChanged(from, to)
      const reason = state?.reason ?? before?.reason
      transitions.unsafeOffer({ functionName: name, from, to, at, reason })
      if (to === "closed") onOpen()
    }

    /** Changes the state in the store, and sees what has come of it. */
    const change = <A>(
      name: string,
      next: (state: BreakerState) => { readonly state: BreakerState; readonly answer: A }
    ): Effect.Effect<A, TaskRepositoryError> =>
      Effect.map(
        repository.changeControl("breaker", name, (text) => {
          const { answer, state } = next(parseBreaker(text))
          return { answer: { answer, state }, state: encodeBreaker(state) }
        }),
        ({ answer, state }) => {
          see(name, state)
          return answer
        }
      )

    // One after the other. What is lost with a store that is away is made up for: a failure comes again, a probe has a deadline.
    const later = (name: string, effect: Effect.Effect<void, TaskRepositoryError>) => {
      underWay.set(name, (underWay.get(name) ?? 0) + 1)
      changes.unsafeOffer(
        Effect.ensuring(
          Effect.catchAllCause(effect, (cause) => logFailedTick("breaker", cause)),
          Effect.sync(() => {
            const left = (underWay.get(name) ?? 1) - 1
            if (left > 0) underWay.set(name, left)
            else underWay.delete(name)
          })
        )
      )
    }
    yield* Effect.forkScoped(Effect.forever(Effect.flatten(Queue.take(changes))))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const { state } of states.values()) engineMetrics.breakers(state, -1)
      })
    )

    const open = (name: string, reason: string, at: EpochMillis) => {
      // At once for this instance; the store may know of an earlier one.
      see(name, trip(undefined, at, reason, options))
      later(name, change(name, (state) => ({ state: trip(state, at, reason, options), answer: undefined })))
    }

    const askFor = (name: string, at: EpochMillis) => {
      if (at < (askedAt.get(name) ?? -Infinity) + askAgainAfter) return
      askedAt.set(name, at)
      later(
        name,
        Effect.map(
          change(name, (state) => {
            const asked = askToProbe(state, now(), options)
            return { state: asked.state, answer: asked.probe }
          }),
          (probe) => {
            if (probe !== undefined) granted.set(name, probe)
            onOpen()
          }
        )
      )
    }

    const windowOf = (name: string): CallWindow => {
      const known = windows.get(name)
      if (known !== undefined) return known
      if (windows.size >= most) windows.clear()
      const made = new CallWindow(options)
      windows.set(name, made)
      return made
    }

    /** What a call says of one breaker. */
    const note = (name: string, begunAt: EpochMillis, verdict: CallVerdict, reason: () => string, at: EpochMillis) => {
      if (verdict === "ignored" || states.has(name) || begunAt < (closedAt.get(name) ?? -Infinity)) return
      // A window is of use once something has failed.
      if (verdict === "success" && !windows.has(name)) return
      if (windowOf(name).note(verdict === "failure", at)) open(name, reason(), at)
    }

    const probeEnded = (name: string, probe: Probe, verdict: CallVerdict, at: EpochMillis) =>
      later(
        name,
        Effect.map(
          change(name, (state) => ({ state: probed(state, probe, verdict, at, options), answer: undefined })),
          () => onOpen()
        )
      )

    const closedUntilOf = (name: string, at: EpochMillis): EpochMillis => {
      const known = states.get(name)
      if (known === undefined || granted.has(name)) return -Infinity
      const state = breakerAt(known, at, options)
      if (state === undefined) return -Infinity
      if (state.state === "open" && at < state.until) return state.until
      const isTaken = state.state === "half-open" && state.probes >= options.probes
      if (isTaken) return Math.min(state.until, at + askAgainAfter * 4)
      askFor(name, at)
      return at + askAgainAfter
    }

    const take = (name: string): Probe | undefined => {
      const probe = granted.get(name)
      if (probe !== undefined) granted.delete(name)
      return probe
    }

    const begin = (functionName: string): Probes =>
      granted.size === 0 ? noProbes : [ofAll, functionName].flatMap((name) => {
        const probe = take(name)
        return probe === undefined ? [] : [[name, probe] as const]
      })

    const messageOf = (result: unknown) => () =>
      result instanceof InvocationError ? `${result.reason}: ${result.message}`.slice(0, 300) : "It has failed"

    const end: Breakers["end"] = (functionName, { begunAt, probes }, result, at) => {
      const way = classifyWay(result)
      const ofFunction = result === undefined || way === "failure" ? "ignored" : classify(result, functionName)
      for (const [name, probe] of probes) {
        probeEnded(name, probe, name === ofAll && functionName !== ofAll ? way : ofFunction, at)
      }
      note(ofAll, begunAt, way, messageOf(result), at)
      note(functionName, begunAt, ofFunction, messageOf(result), at)
    }

    const learn = (controls: ReadonlyArray<Control>) => {
      const stored = new Map(controls.flatMap(({ kind, name, state }) => kind === "breaker" ? [[name, state]] : []))
      for (const name of new Set([...states.keys(), ...stored.keys()])) {
        if (!underWay.has(name)) see(name, parseBreaker(stored.get(name)))
      }
    }

    const stored = Effect.map(repository.controls, ({ controls }) => {
      learn(controls)
      const at = now()
      return new Map(
        Array.from(states, ([name, state]) => [name, statusOf(breakerAt(state, at, options))] as const)
      )
    })

    const execute =
      <A, E>({ classify = verdictOn, key }: Parameters<BreakersApi["execute"]>[0]) =>
      <R>(effect: Effect.Effect<A, E, R>) =>
        Effect.uninterruptibleMask((restore): Effect.Effect<A, E | BreakerOpen, R> => {
          const begunAt = now()
          const until = closedUntilOf(key, begunAt)
          if (until > begunAt) {
            const from = DateTime.formatIso(DateTime.unsafeMake(until))
            const message = `The breaker of ${key} is open until ${from}; nothing was called`
            return new BreakerOpen({ key, until, message })
          }
          const probe = take(key)
          return Effect.onExit(restore(effect), (exit) =>
            Effect.sync(() => {
              const at = now()
              const verdict = classify(exit)
              if (probe !== undefined) probeEnded(key, probe, verdict, at)
              note(key, begunAt, verdict, () => String(exit).slice(0, 300), at)
            }))
        })

    return {
      closedUntil: (functionName, at) =>
        states.size === 0 ? -Infinity : Math.max(closedUntilOf(ofAll, at), closedUntilOf(functionName, at)),
      begin,
      end,
      held: () => ({ all: states.has(ofAll), functions: states.keys() }),
      learn,
      api: {
        state: (functionName) =>
          Effect.map(stored, (statuses) => statuses.get(functionName) ?? { state: "closed" as const }),
        open: Effect.map(stored, (statuses) => Object.fromEntries(statuses)),
        reset: (functionName) => change(functionName, () => ({ state: undefined, answer: undefined })),
        transitions: Streams.fromPubSub(transitions),
        execute: execute as BreakersApi["execute"]
      }
    }
  })

/** An interruption is the caller's doing: it says nothing. */
const verdictOn = (exit: Exit.Exit<unknown, unknown>): CallVerdict =>
  Exit.isSuccess(exit) ? "success" : Exit.isInterrupted(exit) ? "ignored" : "failure"

/**
 * One store in memory that several instances share, each over a link of its own that fails on purpose: the store is away
 * for this instance alone, a request or a reply is lost, an answer takes its time.
 */
import { Effect, Exit, PubSub, Runtime, Stream } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { Millis, Task, TaskRepositoryError } from "../../src/index.ts"
import { TaskRepository } from "../../src/index.ts"
import type { Hint, Lease } from "../../src/ports/TaskRepository.ts"
import type { Store } from "./brokenStore.ts"
import { down } from "./brokenStore.ts"

/** The calls that a link can spoil. */
const calls = [
  "openLease",
  "renewLease",
  "closeLease",
  "insert",
  "claimDue",
  "start",
  "settle",
  "release",
  "cancel",
  "reap",
  "forgotten",
  "cancelledOf",
  "reconcile",
  "get",
  "list",
  "changes",
  "backlog",
  "prune",
  "redrive",
  "count",
  "purge",
  "insertSchedule",
  "getSchedule",
  "listSchedules"
] as const
export type CallName = (typeof calls)[number]

/** What happens to one call. It takes effect in the store unless its request is lost. */
export interface Fault {
  /** Milliseconds until it reaches the store. */
  readonly reaches?: Millis
  /** Milliseconds from there until its answer, or its failure, is back. */
  readonly answers?: Millis
  readonly lost?: "request" | "reply"
  /** What reaches the store instead of what was asked. */
  readonly asked?: ReadonlyArray<unknown>
}

export const slow = (millis: Millis): Fault => ({ answers: millis })
export const lostReply: Fault = { lost: "reply" }
export const lostRequest: Fault = { lost: "request" }

/** One instance's way to the store. */
export interface Link {
  readonly store: Store
  /** Nothing gets through: every call fails at once. */
  isAway: boolean
  /** What to do to a call; `undefined`: nothing. Asked for each call when it is made. */
  fault: (call: CallName, request: ReadonlyArray<unknown>) => Fault | undefined
  /** The lease that the store has given to this instance last. */
  lease: Lease | undefined
  /** The leases that it has given to it. */
  readonly instanceIds: Set<string>
  /** How often each call was made. */
  readonly made: Map<CallName, number>
}

export interface SharedStore {
  /** The store as it is, over no link. */
  readonly store: Store
  readonly link: Effect.Effect<Link>
}

type Call = (...request: ReadonlyArray<unknown>) => Effect.Effect<unknown, TaskRepositoryError>

type Answer<Name extends CallName> = Effect.Effect.Success<ReturnType<Store[Name]>>

const claimable = (task: Task | undefined): ReadonlyArray<Hint> =>
  task?.status === "Scheduled" && task.owner === undefined
    ? [{ _tag: "Work", claimableAt: task.claimableAt }]
    : []

/** What the other instances are told of once a call has taken effect. */
const hintsOf: { readonly [Name in CallName]?: (answer: Answer<Name>) => ReadonlyArray<Hint> } = {
  insert: (verdicts) => verdicts.flatMap((verdict) => verdict._tag === "Inserted" ? claimable(verdict.task) : []),
  redrive: (verdicts) => verdicts.flatMap((verdict) => verdict._tag === "Redriven" ? claimable(verdict.task) : []),
  insertSchedule: (verdict) => verdict._tag === "Inserted" ? claimable(verdict.first) : [],
  start: (verdicts) => verdicts.flatMap((verdict) => "next" in verdict ? claimable(verdict.next) : []),
  settle: (verdicts) =>
    verdicts.flatMap((verdict) =>
      verdict._tag === "Fenced" ? [] : [...claimable(verdict.task), ...claimable(verdict.next)]
    ),
  release: () => [{ _tag: "Work", claimableAt: 0 }],
  cancel: ({ next, tasks }) => [{ _tag: "Cancelled", ids: tasks.map((task) => task.id) }, ...claimable(next)]
}

/** @param hints whether what one instance does is told to the others at once, or found by looking only */
export const makeSharedStore = (hints: boolean): Effect.Effect<SharedStore> =>
  Effect.gen(function*() {
    const memory = yield* Effect.provide(TaskRepository, MemoryTaskRepository.layer)
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const told = yield* PubSub.unbounded<{ readonly by: Link; readonly hint: Hint }>()

    const link = Effect.sync((): Link => {
      const over = (call: CallName) => (...request: ReadonlyArray<unknown>) => {
        const tell = (answer: unknown) => {
          const toTell = hintsOf[call] as ((answer: unknown) => ReadonlyArray<Hint>) | undefined
          return hints && toTell !== undefined
            ? PubSub.publishAll(told, toTell(answer).map((hint) => ({ by: self, hint })))
            : Effect.void
        }
        const takeEffect = (asked: ReadonlyArray<unknown>) =>
          Effect.tap((memory[call] as unknown as Call)(...asked), tell)
        return Effect.suspend((): Effect.Effect<unknown, TaskRepositoryError> => {
          self.made.set(call, (self.made.get(call) ?? 0) + 1)
          if (self.isAway) return down()
          const fault = self.fault(call, request)
          if (fault === undefined) return Effect.tap(takeEffect(request), (answer) => note(call, answer))
          const { answers = 0, asked = request, lost, reaches = 0 } = fault
          // Under way outside this instance: neither its end nor its standing still stops it.
          const remote = Effect.gen(function*() {
            if (reaches > 0) yield* Effect.sleep(reaches)
            const exit = lost === "request" ? Exit.fail(down()) : yield* Effect.exit(takeEffect(asked))
            if (answers > 0) yield* Effect.sleep(answers)
            return lost === "reply" ? Exit.fail(down()) : exit
          })
          return Effect.async<unknown, TaskRepositoryError>((resume) => {
            runFork(remote).addObserver((exit) => resume(Effect.flatten(exit)))
          }).pipe(Effect.tap((answer) => note(call, answer)))
        })
      }
      const note = (call: CallName, answer: unknown) =>
        Effect.sync(() => {
          if (call !== "openLease" && call !== "renewLease") return
          self.lease = answer as Lease
          self.instanceIds.add(self.lease.instanceId)
        })
      const self: Link = {
        store: {
          ...memory,
          ...Object.fromEntries(calls.map((call) => [call, over(call)])),
          shared: true,
          hints: Stream.fromPubSub(told).pipe(
            Stream.filter(({ by }) => by !== self && !self.isAway),
            Stream.map(({ hint }) => hint)
          ),
          hintsGetThrough: () => hints
        },
        isAway: false,
        fault: () => undefined,
        lease: undefined,
        instanceIds: new Set(),
        made: new Map()
      }
      return self
    })

    return { store: memory, link }
  })

/** What the contract needs to know of an adapter, and the steps that its tests share. */
import { expect, it } from "@effect/vitest"
import type { Context, Layer } from "effect"
import { Effect, Option } from "effect"
import type { TaskId } from "../../../src/domain/Ids.ts"
import type { RunningTask, ScheduledTask, Task } from "../../../src/domain/Task.ts"
import type { Successor, TaskSchedule } from "../../../src/domain/TaskSchedule.ts"
import type { Claimed, Held, InsertVerdict, Lease, TaskChange } from "../../../src/ports/TaskRepository.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import { anInstanceId, t0 } from "../../support/builders.ts"

export interface TaskRepositoryHarness<E = unknown> {
  /** A fresh, empty store each time it is built. */
  readonly layer: Layer.Layer<TaskRepository, E>
  /** `test` under TestClock; `live` for a store that does real I/O. */
  readonly clock: "test" | "live"
  /** Lets milliseconds pass on the clock by which the store judges leases. */
  readonly elapse: (millis: number) => Effect.Effect<void>
  /** Milliseconds that leases last in tests that let them end by time. */
  readonly leaseDuration: number
  /** Ends a lease as time would, in a store where waiting for that takes real time; by default the time is let pass. */
  readonly expire?: (repository: Repository, lease: Lease) => Effect.Effect<void, unknown>
  /** How many changes the store keeps at least, when it keeps them by number. */
  readonly changesKept: number | undefined
  /** How many random sequences of calls to try; a store of its own for each. */
  readonly randomRuns: number
}

export type Repository = Context.Tag.Service<TaskRepository>

export interface Suite {
  readonly harness: TaskRepositoryHarness
  readonly test: (title: string, body: (repository: Repository) => Effect.Effect<void, unknown>) => void
  /** Opens the lease of a new instance. */
  readonly open: (repository: Repository) => Effect.Effect<Lease, unknown>
  /** Ends a lease as its owner's death would: by time where leases end, otherwise by removing it. */
  readonly end: (repository: Repository, lease: Lease) => Effect.Effect<void, unknown>
}

/** Milliseconds: longer than any test. */
const longLease = 3_600_000

export const suiteOf = (harness: TaskRepositoryHarness): Suite => {
  const { expire } = harness
  const run = harness.clock === "test" ? it.effect : it.live
  return {
    harness,
    test: (title, body) => run(title, () => Effect.flatMap(TaskRepository, body).pipe(Effect.provide(harness.layer))),
    open: (repository) =>
      repository.openLease(anInstanceId(), expire === undefined ? harness.leaseDuration : longLease),
    end: (repository, lease) => {
      if (!Number.isFinite(lease.expiresAt)) return repository.closeLease(lease)
      return expire === undefined ? harness.elapse(harness.leaseDuration + 1) : expire(repository, lease)
    }
  }
}

/** Takes everything that is due by `now`. */
export const claimAll = (repository: Repository, lease: Lease, now: number = t0) =>
  repository.claimDue({ lease, now, ahead: 0, limit: 1_000, excludeFunctions: [] })

export const idsOf = (of: Claimed | ReadonlyArray<{ readonly id: TaskId }>): ReadonlyArray<TaskId> =>
  ("tasks" in of ? of.tasks : of).map((task) => task.id)

/** Stores and claims Tasks; answers them as the claimer holds them, in the given order. */
export const inserted = (repository: Repository, lease: Lease, tasks: ReadonlyArray<ScheduledTask>) =>
  Effect.map(
    repository.insert(tasks, { lease, until: Number.MAX_SAFE_INTEGER }),
    (verdicts) =>
      verdicts.map((verdict) => {
        if (verdict._tag !== "Inserted") return expect.fail(`expected Inserted, got ${verdict._tag}`)
        return verdict.task
      })
  )

/** The Tasks of verdicts that must have one each. */
export const tasksOf = (verdicts: ReadonlyArray<InsertVerdict>): ReadonlyArray<Task> =>
  verdicts.map((verdict) =>
    verdict._tag === "Inserted" || verdict._tag === "Present" ? verdict.task : expect.fail(`got ${verdict._tag}`)
  )

export const insertedOne = (repository: Repository, lease: Lease, task: ScheduledTask) =>
  Effect.map(inserted(repository, lease, [task]), ([only]) => only ?? expect.fail("no verdict"))

/** Stores a schedule with its first occurrence, claimed. */
export const insertedSchedule = (
  repository: Repository,
  lease: Lease,
  schedule: TaskSchedule,
  first: ScheduledTask
) =>
  Effect.map(
    repository.insertSchedule(schedule, first, { lease, until: Number.MAX_SAFE_INTEGER }),
    (stored) => stored._tag === "Inserted" ? stored.first : expect.fail(`expected Inserted, got ${stored._tag}`)
  )

/** One start mark's verdict. */
export const startOne = (
  repository: Repository,
  lease: Lease,
  task: Held,
  options: { readonly now?: number; readonly successor?: Successor | undefined } = {}
) =>
  Effect.map(
    repository.start(
      lease,
      [{ id: task.id, token: task.token, successor: options.successor }],
      options.now ?? t0
    ),
    ([verdict]) => verdict ?? expect.fail("no verdict")
  )

/** Starts what must start. */
export const started = (
  repository: Repository,
  lease: Lease,
  task: Held,
  options: { readonly now?: number; readonly successor?: Successor | undefined } = {}
): Effect.Effect<{ readonly task: RunningTask; readonly next: ScheduledTask | undefined }, unknown> =>
  Effect.map(
    startOne(repository, lease, task, options),
    (verdict) => verdict._tag === "Started" ? verdict : expect.fail(`expected Started, got ${verdict._tag}`)
  )

/** A Task that must be there. */
export const mustGet = (repository: Repository, id: TaskId): Effect.Effect<Task, unknown> =>
  Effect.map(repository.get(id), Option.getOrElse(() => expect.fail(`Task ${id} is gone`)))

export const mustGetSchedule = (repository: Repository, id: TaskSchedule["id"]): Effect.Effect<TaskSchedule, unknown> =>
  Effect.map(repository.getSchedule(id), Option.getOrElse(() => expect.fail(`TaskSchedule ${id} is gone`)))

/** Every Task of the store, newest first. */
export const allTasks = Effect.fnUntraced(function*(repository: Repository) {
  const tasks: Array<Task> = []
  let cursor: string | undefined = undefined
  do {
    const page: { readonly items: ReadonlyArray<Task>; readonly cursor: string | undefined } = yield* repository.list(
      {},
      { limit: 1_000, cursor }
    )
    tasks.push(...page.items)
    cursor = page.cursor
  } while (cursor !== undefined)
  return tasks
})

/** Every change from `after` to `until`. */
export const changesUpTo = Effect.fnUntraced(function*(repository: Repository, after: number, until: number) {
  const found: Array<TaskChange> = []
  let last = after
  let truncated = false
  while (last < until) {
    const read = yield* repository.changes(last)
    expect(read.last).toBeGreaterThan(last)
    found.push(...read.changes)
    truncated ||= read.truncated
    last = read.last
  }
  return { changes: found, truncated }
})

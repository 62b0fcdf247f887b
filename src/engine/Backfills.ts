/** Backfills: a Task for each instant that a rule names in a past range. */
import type { Context } from "effect"
import { Effect, Option } from "effect"
import type { Backfill } from "../domain/Backfill.ts"
import { mostOfBackfill, originOf } from "../domain/Backfill.ts"
import type {
  RevisionConflict,
  SchedulerClosed,
  TaskRepositoryError,
  TaskScheduleEnded,
  TaskScheduleNotFound
} from "../domain/Errors.ts"
import { BackfillNotFound, IdempotencyConflict, InvalidInput } from "../domain/Errors.ts"
import type { BackfillId, TaskId, TaskScheduleId } from "../domain/Ids.ts"
import { parseRange } from "../domain/Range.ts"
import type { AnchoredRule } from "../domain/Recurrence.ts"
import { countBetween, nextAfter } from "../domain/Recurrence.ts"
import type { ScheduledTask } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { occurrence } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { farthest, iso, shown } from "../domain/Time.ts"
import type { Changed } from "../policies/changes.ts"
import { whileActive } from "../policies/changes.ts"
import type { InsertVerdict, ScheduleChange, ScheduleFound, TaskRepository } from "../ports/TaskRepository.ts"
import { parseRepeatable } from "./Idempotency.ts"
import type { BackfillOptions, BackfillStatus, SchedulesApi } from "./SchedulesApi.ts"
import { parseWholeNumber } from "./WorkRequest.ts"

export interface BackfillsNeeds {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly now: Effect.Effect<EpochMillis>
  readonly nextId: Effect.Effect<string>
  readonly getSchedule: (id: TaskScheduleId) => Effect.Effect<TaskSchedule, TaskScheduleNotFound | TaskRepositoryError>
  /** Changes a schedule, and takes what has been stored with that. */
  readonly change: (
    id: TaskScheduleId,
    at: EpochMillis,
    decide: (found: ScheduleFound | undefined) => ScheduleChange<Changed>,
    revision: number
  ) => Effect.Effect<
    { readonly schedule: TaskSchedule; readonly inserted: ReadonlyArray<InsertVerdict> },
    TaskScheduleNotFound | TaskScheduleEnded | RevisionConflict | InvalidInput | SchedulerClosed | TaskRepositoryError
  >
  /** Takes a Task that has been stored. */
  readonly take: (task: ScheduledTask) => void
  readonly end: (id: BackfillId) => Effect.Effect<unknown, TaskRepositoryError>
}

/** Nominal instants of a range of a rule. */
function* instantsOf(rule: AnchoredRule, from: EpochMillis, to: EpochMillis): Generator<EpochMillis> {
  for (let at = nextAfter(rule, from - 1); at !== undefined && at < to; at = nextAfter(rule, at)) yield at
}

const invalid = (reason: InvalidInput["reason"], field: string, message: string) =>
  new InvalidInput({ reason, field, message: `${field}: ${message}` })

export const makeBackfills = (needs: BackfillsNeeds): SchedulesApi["backfills"] => {
  const { change, getSchedule, nextId, now, repository } = needs

  const parseBackfill = (schedule: TaskSchedule, options: BackfillOptions, at: EpochMillis) =>
    Effect.gen(function*() {
      const { recurrence } = schedule
      if (recurrence._tag === "Spaced") {
        return yield* invalid(
          "Unsupported",
          "trigger",
          "expected a rule that names instants; those of spaced follow from runs"
        )
      }
      const { from, to } = yield* parseRange(options.from, options.to)
      if (to > at) return yield* invalid("WindowEmpty", "to", `expected an instant not after now, got ${iso(to)}`)
      const concurrency = options.concurrency === undefined
        ? 1
        : yield* parseWholeNumber(options.concurrency, "concurrency", 1, 1_000)
      if (options.overlap !== undefined && options.overlap !== "bufferAll" && options.overlap !== "allowAll") {
        return yield* invalid(
          "OptionInvalid",
          "overlap",
          `expected bufferAll or allowAll, got ${shown(options.overlap)}`
        )
      }
      if (options.overlap === "allowAll" && options.concurrency !== undefined) {
        return yield* invalid("OptionInvalid", "concurrency", "expected none where all may start at once")
      }
      const total = countBetween(recurrence, from - 1, to - 1)
      if (total > mostOfBackfill) {
        return yield* invalid(
          "BackfillTooLarge",
          "to",
          `expected a range of at most ${mostOfBackfill} occurrences, got ${total}; ask for it in parts`
        )
      }
      const { id } = yield* parseRepeatable(options)
      return {
        id,
        rule: recurrence,
        from,
        to,
        total,
        concurrency: options.overlap === "allowAll" ? undefined : concurrency
      }
    })

  /** The first may start at once; each that ends has another one start. */
  const backfillTask = (
    schedule: TaskSchedule,
    backfill: Backfill,
    id: TaskId,
    nominalAt: EpochMillis,
    index: number
  ): ScheduledTask => {
    const { concurrency, createdAt } = backfill
    return {
      ...occurrence(schedule, id, nominalAt, createdAt),
      dueAt: createdAt,
      claimableAt: index < (concurrency ?? Infinity) ? createdAt : farthest,
      origin: originOf(backfill.id),
      overlap: concurrency === undefined ? { policy: "allowAll" } : { policy: "bufferAll", running: concurrency }
    }
  }

  const statusOf = (backfill: Backfill): Effect.Effect<BackfillStatus, TaskRepositoryError> =>
    Effect.map(repository.countBackfill(backfill), (counts): BackfillStatus => {
      const isLive = counts.Scheduled + counts.Running > 0
      return {
        ...backfill,
        status: backfill.cancelledAt !== undefined ? "Cancelled" : isLive ? "Running" : "Completed",
        counts
      }
    })

  const getBackfill = (id: BackfillId) =>
    Effect.flatMap(
      repository.getBackfill(id),
      Option.match({ onNone: () => new BackfillNotFound({ id }), onSome: Effect.succeed })
    )

  /** What is there under an id is what was asked for before, or it is a conflict. */
  const asked = (
    there: Backfill,
    { concurrency, from, scheduleId, to }: Pick<Backfill, "concurrency" | "from" | "scheduleId" | "to">
  ): Effect.Effect<Backfill, IdempotencyConflict> =>
    there.scheduleId === scheduleId && there.from === from && there.to === to && there.concurrency === concurrency
      ? Effect.succeed(there)
      : new IdempotencyConflict({ reason: "OtherRequest", key: there.id, id: there.id })

  const startBackfill: SchedulesApi["backfills"]["start"] = (id, options) =>
    Effect.gen(function*() {
      const schedule = yield* getSchedule(id)
      const at = yield* now
      const { rule, ...parsed } = yield* parseBackfill(schedule, options, at)
      const backfill: Backfill = {
        ...parsed,
        id: (parsed.id ?? (yield* nextId)) as BackfillId,
        scheduleId: id,
        createdAt: at,
        cancelledAt: undefined
      }
      // Also where its schedule is over by now.
      const there = yield* repository.getBackfill(backfill.id)
      if (Option.isSome(there)) return yield* Effect.flatMap(asked(there.value, backfill), statusOf)
      const taskIds = yield* Effect.replicateEffect(nextId, backfill.total)
      const instants = [...instantsOf(rule, backfill.from, backfill.to)]
      const { inserted } = yield* change(
        id,
        at,
        (found) =>
          whileActive(found, (found) =>
            found.schedule.revision === schedule.revision
              ? {
                answer: { _tag: "Changed", schedule: found.schedule },
                backfill,
                inserts: instants.map((instant, index) =>
                  backfillTask(found.schedule, backfill, taskIds[index] as TaskId, instant, index)
                )
              }
              : { answer: { _tag: "OtherRevision", actual: found.schedule.revision } }),
        schedule.revision
      )
      for (const verdict of inserted) if (verdict._tag === "Inserted") needs.take(verdict.task)
      const made = yield* Effect.orDie(getBackfill(backfill.id))
      return yield* Effect.flatMap(asked(made, backfill), statusOf)
    }).pipe(
      // Somebody has edited in between: the instants are those of the rule as it is.
      Effect.retry({ while: (error) => error._tag === "RevisionConflict", times: 10 }),
      Effect.catchTag("RevisionConflict", Effect.die)
    )

  return {
    start: Effect.fn("LambdaScheduler.backfills.start")(startBackfill),
    get: (id) => Effect.flatMap(getBackfill(id), statusOf),
    list: (id) => Effect.flatMap(repository.listBackfills(id), (all) => Effect.forEach(all, statusOf)),
    cancel: Effect.fn("LambdaScheduler.backfills.cancel")(function*(id) {
      yield* getBackfill(id)
      yield* needs.end(id)
      return yield* Effect.flatMap(getBackfill(id), statusOf)
    })
  }
}

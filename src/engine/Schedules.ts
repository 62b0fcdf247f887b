/** Recurring schedules: made, changed, paused, run by hand, backfilled and ended. */
import type { Clock, Context, Random } from "effect"
import { Effect, Either, Option } from "effect"
import { parseCatchUp } from "../domain/CatchUp.ts"
import { InvalidInput, RevisionConflict, TaskScheduleEnded, TaskScheduleNotFound } from "../domain/Errors.ts"
import type { IdempotencyConflict, SchedulerClosed, TaskRepositoryError } from "../domain/Errors.ts"
import type { BackfillId, TaskId, TaskScheduleId } from "../domain/Ids.ts"
import type { AnyLambdaFunction } from "../domain/LambdaFunction.ts"
import { existing } from "../domain/LambdaFunction.ts"
import type { Overlap } from "../domain/Overlap.ts"
import { parseOverlap } from "../domain/Overlap.ts"
import { parsePause } from "../domain/Pause.ts"
import type { FunctionTarget, ScheduledTask, Task } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { occurrence } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import * as Trigger from "../domain/Trigger.ts"
import type { Changed, Edited } from "../policies/changes.ts"
import { editSchedule, pauseSchedule, resumeSchedule, whileActive } from "../policies/changes.ts"
import type {
  ClaimOnInsert,
  InsertVerdict,
  ScheduleChange,
  ScheduleFound,
  TaskRepository
} from "../ports/TaskRepository.ts"
import { makeBackfills } from "./Backfills.ts"
import type { Deployments } from "./Deployments.ts"
import type { EngineSettings } from "./EngineConfig.ts"
import { conflictOf, keyOf, parseRepeatable } from "./Idempotency.ts"
import type { EditOptions, RepeatOptions, RunNowOptions, SchedulesApi } from "./SchedulesApi.ts"
import type { Work } from "./WorkRequest.ts"
import { parseMaxRuns, parseWholeNumber, parseWork } from "./WorkRequest.ts"

export interface SchedulesNeeds {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly config: EngineSettings
  readonly clock: Clock.Clock
  readonly deployments: Deployments
  readonly nextId: Effect.Effect<string>
  readonly chanceOf: (key: string | undefined) => () => Random.Random
  /** What a new Task is claimed by, if it is. */
  readonly claimOf: (now: EpochMillis) => ClaimOnInsert | undefined
  /** What a new schedule's first occurrence is claimed by. */
  readonly claimFirst: (now: EpochMillis) => ClaimOnInsert | undefined
  /** A write, or `SchedulerClosed`: it is done to its end, and what it has stored is taken, whoever gives up. */
  readonly write: <A, E>(work: () => Effect.Effect<A, E>) => Effect.Effect<A, E | SchedulerClosed>
  /** What there is no use in once the scheduler is closed. */
  readonly whileOpen: <A, E>(work: () => Effect.Effect<A, E>) => Effect.Effect<A, E | SchedulerClosed>
  /** Takes a Task that has been stored. */
  readonly take: (task: ScheduledTask) => void
  /** Takes the next occurrence of a schedule that has been stored or rewritten. */
  readonly takeNext: (schedule: TaskSchedule, next: ScheduledTask) => void
  /** Ends a schedule with its live occurrences; `remove`: and nothing is left of it but its Tasks. */
  readonly end: (id: TaskScheduleId, remove: boolean) => Effect.Effect<unknown, TaskRepositoryError>
  readonly endBackfill: (id: BackfillId) => Effect.Effect<unknown, TaskRepositoryError>
}

type ChangeError = TaskScheduleNotFound | TaskScheduleEnded | RevisionConflict | InvalidInput

/** Of the timing, what a caller has said; what is absent must not count. */
const saidOf = ({ delay, endAt, jitter, startAt }: Trigger.Timing): Readonly<Record<string, unknown>> => ({
  delay,
  ...(startAt === undefined ? {} : { startAt }),
  ...(endAt === undefined ? {} : { endAt }),
  ...(jitter === undefined ? {} : { jitter })
})

/** Of the policies, what a caller has said: what is as before there were any has the digest of before. */
const saidOfPolicies = (
  { catchUp, overlap, pauseAfterFailures }: RepeatOptions
): Readonly<Record<string, unknown>> => ({
  ...(overlap === undefined ? {} : { policy: Either.getOrUndefined(parseOverlap(overlap)) }),
  ...(catchUp === undefined ? {} : { catchUp: Either.getOrUndefined(parseCatchUp(catchUp)) }),
  ...(pauseAfterFailures === undefined ? {} : { pauseAfterFailures })
})

const parsePauseAfter = (input: unknown) =>
  input === undefined ? Either.right(undefined) : parseWholeNumber(input, "pauseAfterFailures", 1, 1_000)

const parsePolicies = (options: Pick<RepeatOptions, "overlap" | "catchUp" | "pauseAfterFailures">) =>
  Either.all({
    overlap: parseOverlap(options.overlap),
    catchUp: parseCatchUp(options.catchUp),
    pauseAfterFailures: parsePauseAfter(options.pauseAfterFailures)
  })

const invalid = (reason: InvalidInput["reason"], field: string, message: string) =>
  new InvalidInput({ reason, field, message: `${field}: ${message}` })

const timingOf = (options: EditOptions) => {
  const { endAt, initialDelay, jitter, startAt } = options
  return { endAt, initialDelay, jitter, startAt }
}

export const makeSchedules = (needs: SchedulesNeeds): SchedulesApi => {
  const { claimOf, clock, config, deployments, nextId, repository, whileOpen, write } = needs
  const now = Effect.sync(() => clock.unsafeCurrentTimeMillis())

  // Making

  const parseRepeat = (fn: AnyLambdaFunction, options: RepeatOptions) =>
    Effect.gen(function*() {
      const timing = yield* Trigger.parseTiming(options)
      yield* Trigger.planRecurrence(options.trigger, timing, clock.unsafeCurrentTimeMillis(), config.minimumInterval)
      const repeatable = yield* parseRepeatable(options)
      return {
        work: yield* parseWork(fn, options, config.retry, needs.chanceOf(repeatable.key)),
        maxRuns: yield* parseMaxRuns(options.maxRuns),
        policies: yield* parsePolicies(options),
        timing,
        ...repeatable
      }
    })

  const repeat: SchedulesApi["repeat"] = (fn, options) =>
    whileOpen(() =>
      Effect.gen(function*() {
        const { id, key, maxRuns, policies, timing, work } = yield* parseRepeat(fn, options)
        const target = yield* deployments.ensure(fn)
        const at = yield* now
        const { first: firstAt, recurrence } = yield* Trigger.planRecurrence(
          options.trigger,
          timing,
          at,
          config.minimumInterval
        )
        const planned: TaskSchedule = {
          ...work,
          ...policies,
          id: (id ?? (yield* nextId)) as TaskScheduleId,
          function: target,
          recurrence,
          maxRuns,
          createdAt: at,
          status: "Active",
          revision: 1,
          cursor: firstAt,
          runs: 0,
          missed: 0,
          failures: 0,
          pause: undefined
        }
        const idempotency = yield* keyOf(key, {
          work,
          target,
          trigger: options.trigger,
          more: { maxRuns, ...saidOf(timing), ...saidOfPolicies(options) }
        })
        const first = occurrence(planned, (yield* nextId) as TaskId, firstAt, at)
        return yield* write(() =>
          Effect.flatMap(
            repository.insertSchedule(planned, first, needs.claimFirst(at), idempotency),
            (stored) => {
              switch (stored._tag) {
                case "Inserted":
                  needs.takeNext(planned, stored.first)
                  return Effect.succeed(stored.schedule)
                case "Present":
                  return Effect.succeed(stored.schedule)
                default:
                  return conflictOf(stored, idempotency)
              }
            }
          )
        )
      })
    )

  const get: SchedulesApi["getSchedule"] = (id) =>
    Effect.flatMap(
      repository.getSchedule(id),
      Option.match({ onNone: () => new TaskScheduleNotFound({ id }), onSome: Effect.succeed })
    )

  // Changing

  const refuse = (
    id: TaskScheduleId,
    revision: number | undefined,
    answer: Exclude<Changed, { readonly _tag: "Changed" }>
  ): ChangeError => {
    switch (answer._tag) {
      case "NotFound":
        return new TaskScheduleNotFound({ id })
      case "Ended":
        return new TaskScheduleEnded({ id, status: answer.status })
      case "OtherRevision":
        return new RevisionConflict({ id, expected: revision as number, actual: answer.actual })
      case "NoRunsLeft":
        return invalid("MaxRunsInvalid", "maxRuns", `expected more than the ${answer.runs} that have been started`)
    }
  }

  /** Changes a schedule, and takes what has been stored with that. */
  const change = (
    id: TaskScheduleId,
    at: EpochMillis,
    decide: (found: ScheduleFound | undefined) => ScheduleChange<Changed>,
    revision?: number
  ) =>
    write(() =>
      Effect.flatMap(repository.changeSchedule(id, claimOf(at), decide), ({ answer, inserted, tasks }) => {
        if (answer._tag !== "Changed") return Effect.fail(refuse(id, revision, answer))
        for (const task of tasks) needs.takeNext(answer.schedule, task)
        return Effect.succeed({ schedule: answer.schedule, inserted })
      })
    )

  /** The same of what holds for any revision. */
  const changeAny = (
    id: TaskScheduleId,
    at: EpochMillis,
    decide: (found: ScheduleFound | undefined) => ScheduleChange<Changed>
  ) => Effect.catchTag(change(id, at, decide), "RevisionConflict", Effect.die)

  const scheduleOf = <E>(changed: Effect.Effect<{ readonly schedule: TaskSchedule }, E>) =>
    Effect.map(changed, ({ schedule }) => schedule)

  /** What an edit says, checked; what it does not say is as it was. */
  const parseEdit = (schedule: TaskSchedule, options: EditOptions, target: FunctionTarget | undefined) =>
    Effect.gen(function*() {
      const fn = options.function ?? existing(schedule.function.arn ?? schedule.function.name)
      const hasPayload = "payload" in options || options.payloadJson !== undefined
      const work: Work = yield* parseWork(
        fn,
        {
          ...options,
          name: options.name ?? schedule.name,
          tags: options.tags ?? schedule.tags,
          priority: options.priority ?? schedule.priority,
          ...(hasPayload ? {} : { payloadJson: schedule.payload })
        },
        schedule.retry,
        needs.chanceOf(undefined)
      )
      const policies = yield* parsePolicies({
        overlap: options.overlap ?? schedule.overlap,
        catchUp: options.catchUp ?? schedule.catchUp,
        pauseAfterFailures: options.pauseAfterFailures === null
          ? undefined
          : options.pauseAfterFailures ?? schedule.pauseAfterFailures
      })
      const maxRuns = options.maxRuns === null ? undefined : yield* parseMaxRuns(options.maxRuns ?? schedule.maxRuns)
      const edited: Omit<Edited, "recurrence"> = {
        ...work,
        ...policies,
        maxRuns,
        function: target ?? schedule.function
      }
      return edited
    })

  const parseEditedTrigger = (options: EditOptions, at: EpochMillis) =>
    Effect.gen(function*() {
      if (options.trigger !== undefined) {
        const timing = yield* Trigger.parseTiming(options)
        return yield* Trigger.planRecurrence(options.trigger, timing, at, config.minimumInterval)
      }
      const [field] = Object.entries(timingOf(options)).flatMap(([name, value]) => value === undefined ? [] : [name])
      if (field === undefined) return undefined
      return yield* invalid("ScheduleAmbiguous", field, "expected a trigger beside it: both are planned together")
    })

  const edit: SchedulesApi["editSchedule"] = (id, options, { revision } = {}) =>
    Effect.gen(function*() {
      if (revision !== undefined) yield* parseWholeNumber(revision, "revision", 1, Number.MAX_SAFE_INTEGER)
      const before = yield* get(id)
      if (revision !== undefined && revision !== before.revision) {
        return yield* new RevisionConflict({ id, expected: revision, actual: before.revision })
      }
      const target = options.function && (yield* deployments.ensure(options.function))
      const fields = yield* parseEdit(before, options, target)
      const at = yield* now
      const planned = yield* parseEditedTrigger(options, at)
      const newId = (yield* nextId) as TaskId
      // What was left out is as it was read: another edit in between must not be undone.
      const made = {
        fields: planned === undefined ? fields : { ...fields, recurrence: planned.recurrence },
        first: planned?.first,
        revision: before.revision,
        newId
      }
      return yield* Effect.map(
        change(id, at, (found) => editSchedule(found, made, at), before.revision),
        ({ inserted, schedule }) => {
          for (const verdict of inserted) if (verdict._tag === "Inserted") needs.takeNext(schedule, verdict.task)
          return schedule
        }
      )
    }).pipe(
      // Without a revision the caller's edit holds, whoever else edits.
      Effect.retry({ while: (error) => error._tag === "RevisionConflict" && revision === undefined, times: 10 })
    )

  const pause: SchedulesApi["pauseSchedule"] = (id, options = {}) =>
    Effect.flatMap(
      now,
      (at) =>
        Effect.flatMap(parsePause(options, at), (pause) =>
          scheduleOf(changeAny(id, at, (found) => pauseSchedule(found, pause))))
    )

  const resume: SchedulesApi["resumeSchedule"] = (id) =>
    Effect.flatMap(now, (at) => scheduleOf(changeAny(id, at, (found) => resumeSchedule(found, at))))

  // By hand

  const manualRun = (
    { schedule }: ScheduleFound,
    id: TaskId,
    { overlap, payload }: { readonly overlap: Overlap | undefined; readonly payload: string | undefined },
    at: EpochMillis
  ): ScheduledTask => ({
    ...occurrence(schedule, id, at, at),
    // By hand: its rule's jitter has no say.
    dueAt: at,
    claimableAt: at,
    payload: payload ?? schedule.payload,
    origin: `manual:${id}`,
    overlap
  })

  const parseRun = (schedule: TaskSchedule, options: RunNowOptions) =>
    Effect.gen(function*() {
      const { id, key } = yield* parseRepeatable(options)
      const hasPayload = "payload" in options || options.payloadJson !== undefined
      const { payload, payloadJson } = options
      const fn = existing(schedule.function.arn ?? schedule.function.name)
      const given = payloadJson === undefined ? { payload } : { payloadJson }
      return {
        id,
        key,
        overlap: options.overlap === undefined ? undefined : yield* parseOverlap(options.overlap),
        payload: hasPayload
          ? (yield* parseWork(fn, given, schedule.retry, needs.chanceOf(key))).payload
          : undefined
      }
    })

  const runNow: SchedulesApi["runNow"] = (id, options = {}) =>
    Effect.gen(function*() {
      const schedule = yield* get(id)
      const asked = yield* parseRun(schedule, options)
      const taskId = (asked.id ?? (yield* nextId)) as TaskId
      const key = yield* keyOf(asked.key, {
        work: { name: "", payload: asked.payload ?? "", tags: {}, retry: config.retry, priority: 0 },
        target: { name: "", arn: undefined, qualifier: undefined, timeout: 0 },
        trigger: Trigger.now,
        more: { runNow: id, overlap: asked.overlap }
      })
      const at = yield* now
      const run = (found: ScheduleFound | undefined) =>
        whileActive(found, (found) => ({
          answer: { _tag: "Changed", schedule: found.schedule },
          inserts: [manualRun(found, taskId, asked, at)],
          key
        }))
      return yield* write(() =>
        Effect.flatMap(changeAny(id, at, run), ({ inserted }): Effect.Effect<Task, IdempotencyConflict> => {
          const verdict = inserted[0] as InsertVerdict
          switch (verdict._tag) {
            case "Inserted":
              needs.take(verdict.task)
              return Effect.succeed(verdict.task)
            case "Present":
              return Effect.succeed(verdict.task)
            default:
              return conflictOf(verdict, key)
          }
        })
      )
    })

  const backfills = makeBackfills({
    repository,
    now,
    nextId,
    getSchedule: get,
    change,
    take: needs.take,
    end: needs.endBackfill
  })

  return {
    repeat,
    getSchedule: get,
    editSchedule: Effect.fn("LambdaScheduler.editSchedule")(edit),
    pauseSchedule: Effect.fn("LambdaScheduler.pauseSchedule")(pause),
    resumeSchedule: Effect.fn("LambdaScheduler.resumeSchedule")(resume),
    runNow: Effect.fn("LambdaScheduler.runNow")(runNow),
    cancelSchedule: Effect.fn("LambdaScheduler.cancelSchedule")(function*(id) {
      yield* get(id)
      yield* needs.end(id, false)
      return yield* get(id)
    }),
    removeSchedule: Effect.fn("LambdaScheduler.removeSchedule")((id) => Effect.asVoid(needs.end(id, true))),
    backfills
  }
}

/** Schedules: made, edited, paused, resumed, cancelled, removed. */
import { Clock, Effect, Either } from "effect"
import { TaskScheduleId } from "../../../../src/domain/Ids.ts"
import type { EditOptions, RepeatOptions } from "../../../../src/index.ts"
import { payloadOf } from "./checkCalls.ts"
import type { CommandOf } from "./commands.ts"
import { minute } from "./commands.ts"
import type { ScheduleModel } from "./model.ts"
import { endPause, eraOf, isByRule, nameOfPolicy, notePause, pauseAt, placesOf, startPause } from "./model.ts"
import { must, same, tasksOf } from "./seen.ts"
import type { Steps, Telling } from "./Telling.ts"
import { defined, handle, nameOf, triggerOf } from "./Telling.ts"

const mostSchedules = 5

const makeCreate = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"create">) {
    const { model, note } = telling
    if (model.schedules.length >= mostSchedules) return
    const now = yield* Clock.currentTimeMillis
    const id = TaskScheduleId.make(yield* telling.newId)
    const overlap = command.overlap ?? "skip"
    const schedule: ScheduleModel = {
      number: model.schedules.length,
      id,
      eras: [],
      fn: nameOf(command.fn),
      overlap,
      catchUp: command.catchUp ?? "latest",
      maxRuns: command.maxRuns,
      pauseAfter: command.pauseAfter,
      revision: 1,
      version: 1,
      pauses: [],
      blurred: [],
      failures: 0,
      policies: new Set([nameOfPolicy(overlap)]),
      hasBuffered: placesOf(overlap) > 0,
      looksAgainBy: -Infinity,
      ended: undefined
    }
    telling.startEra(schedule, command.rule, now)
    const options: RepeatOptions = defined({
      ...triggerOf(command.rule, now),
      id,
      payload: payloadOf(schedule),
      overlap: command.overlap,
      catchUp: command.catchUp,
      maxRuns: command.maxRuns,
      pauseAfterFailures: command.pauseAfter,
      retry: { maxAttempts: command.attempts, backoff: "fixed", baseDelay: command.retryDelay }
    })
    const fn = handle(schedule.fn)
    const made = yield* telling.scheduler.repeat(fn, options)
    same(made.cursor, eraOf(schedule).first, () => "first")
    model.schedules.push(schedule)
    if (!command.again) return
    const repeated = yield* telling.scheduler.repeat(fn, options)
    same([repeated.id, repeated.createdAt, repeated.revision], [id, made.createdAt, 1], () => "I25: made twice")
    const other = yield* Effect.flip(telling.scheduler.repeat(fn, { ...options, payload: "other" }))
    same(other._tag, "IdempotencyConflict", () => "I25: another one under its id")
    note("made again under its id")
  })

const editOf = (schedule: ScheduleModel, command: CommandOf<"edit">, now: number): EditOptions => {
  const version = schedule.version + 1
  return defined({
    ...(command.rule === undefined ? {} : triggerOf(command.rule, now)),
    payload: command.payload ? payloadOf({ ...schedule, version }) : undefined,
    overlap: command.overlap,
    catchUp: command.catchUp,
    function: command.fn === undefined ? undefined : handle(nameOf(command.fn)),
    maxRuns: command.maxRuns,
    pauseAfterFailures: command.pauseAfter
  })
}

/** What is left out stays as it is; `null`: without one from now on. */
const changed = <A>(edited: A | null | undefined, before: A | undefined): A | undefined =>
  edited === undefined ? before : edited ?? undefined

const applyEdit = (telling: Telling, schedule: ScheduleModel, command: CommandOf<"edit">, now: number): void => {
  schedule.revision++
  if (command.payload) schedule.version++
  schedule.maxRuns = changed(command.maxRuns, schedule.maxRuns)
  schedule.pauseAfter = changed(command.pauseAfter, schedule.pauseAfter)
  schedule.catchUp = command.catchUp ?? schedule.catchUp
  if (command.overlap !== undefined) {
    schedule.overlap = command.overlap
    schedule.policies.add(nameOfPolicy(command.overlap))
    schedule.hasBuffered ||= placesOf(command.overlap) > 0
    // What waits looks by itself whether it still has to, once a minute at the least.
    schedule.looksAgainBy = now + minute
  }
  if (command.fn !== undefined) schedule.fn = nameOf(command.fn)
  if (command.rule === undefined) return
  telling.startEra(schedule, command.rule, now)
  telling.note("another rule")
}

const makeEdit = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"edit">) {
    const schedule = telling.pickSchedule(command.which)
    const now = yield* Clock.currentTimeMillis
    const edit = editOf(schedule, command, now)
    const { revision } = schedule
    const stale = revision > 1 ? revision - 1 : revision + 1
    const guard = command.guard === "none" ? {} : { revision: command.guard === "right" ? revision : stale }
    const answer = yield* Effect.either(telling.scheduler.editSchedule(schedule.id, edit, guard))
    const runs = telling.stored(schedule)?.runs ?? 0
    const isOver = runs >= (changed(command.maxRuns, schedule.maxRuns) ?? Infinity)
    const refused = schedule.ended?.removed === true
      ? "TaskScheduleNotFound"
      : command.guard === "stale"
      ? "RevisionConflict"
      : telling.refusalOf(schedule) ?? (isOver ? "InvalidInput" : undefined)
    yield* telling.answered(command, answer, refused)
    if (Either.isLeft(answer)) return
    const waiting = tasksOf(telling.seen, schedule).filter((task) =>
      isByRule(task) && task.status === "Scheduled" && task.attempts.length === 0
    )
    if (waiting.length > 1) telling.note("edited while something waited")
    if (pauseAt(schedule, now) !== undefined) telling.note("edited in a pause")
    applyEdit(telling, schedule, command, now)
    same(answer.right.revision, schedule.revision, () => "one more for each edit")
    if (!command.again || command.guard !== "right") return
    const repeated = yield* Effect.flip(telling.scheduler.editSchedule(schedule.id, edit, guard))
    same(repeated._tag, "RevisionConflict", () => "edited twice")
  })

const makePause = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"pause">) {
    const schedule = telling.pickSchedule(command.which)
    const now = yield* Clock.currentTimeMillis
    const until = command.lasts === undefined ? undefined : now + command.lasts
    const options = { by: "ada", note: "as asked", ...(until === undefined ? {} : { until }) }
    const pausing = Effect.either(telling.scheduler.pauseSchedule(schedule.id, options))
    const answer = yield* pausing
    yield* telling.answered(command, answer, telling.refusalOf(schedule))
    if (Either.isLeft(answer)) return
    if (pauseAt(schedule, now) === undefined) {
      notePause(schedule, now, until ?? Infinity, telling.stored(schedule))
    } else {
      startPause(schedule.pauses, now, until ?? Infinity)
      telling.note("paused while it was paused")
    }
    if (until !== undefined) telling.note("paused until")
    if (command.again) same(yield* Effect.flatten(pausing), answer.right, () => "I11: paused twice")
  })

const makeResume = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"resume">) {
    const schedule = telling.pickSchedule(command.which)
    const now = yield* Clock.currentTimeMillis
    const resuming = Effect.either(telling.scheduler.resumeSchedule(schedule.id))
    const answer = yield* resuming
    yield* telling.answered(command, answer, telling.refusalOf(schedule))
    if (Either.isLeft(answer)) return
    if (endPause(schedule.pauses, now)) {
      schedule.failures = 0
      telling.note("resumed")
    }
    if (!command.again) return
    const repeated = yield* Effect.flatten(resuming)
    same(
      [repeated.revision, repeated.status, now < (repeated.pause?.until ?? 0)],
      [answer.right.revision, answer.right.status, false],
      () => "I11: resumed twice"
    )
  })

const makeCancelSchedule = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"cancelSchedule">) {
    const schedule = telling.pickSchedule(command.which)
    const now = yield* Clock.currentTimeMillis
    const cancelling = Effect.either(telling.scheduler.cancelSchedule(schedule.id))
    const answer = yield* cancelling
    yield* telling.answered(command, answer, schedule.ended?.removed === true ? "TaskScheduleNotFound" : undefined)
    if (Either.isLeft(answer)) return
    if (telling.isActive(schedule)) {
      schedule.revision++
      telling.note("a schedule was cancelled")
    }
    schedule.ended ??= { at: now, removed: false }
    if (command.again) same(yield* Effect.flatten(cancelling), answer.right, () => "I11: ended twice")
  })

const makeRemove = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"remove">) {
    const { note, scheduler, seen } = telling
    const schedule = telling.pickSchedule(command.which)
    const now = yield* Clock.currentTimeMillis
    if (tasksOf(seen, schedule).some(({ status }) => status === "Running")) note("removed while it ran")
    yield* scheduler.removeSchedule(schedule.id)
    schedule.ended = { at: schedule.ended?.at ?? now, removed: true }
    if (command.again) yield* scheduler.removeSchedule(schedule.id)
    const gone = yield* Effect.flip(scheduler.getSchedule(schedule.id))
    must(gone._tag === "TaskScheduleNotFound", () => `removed, and yet ${gone._tag}`)
  })

export const scheduleSteps = (
  telling: Telling
): Steps<"create" | "edit" | "pause" | "resume" | "cancelSchedule" | "remove"> => ({
  create: makeCreate(telling),
  edit: makeEdit(telling),
  pause: makePause(telling),
  resume: makeResume(telling),
  cancelSchedule: makeCancelSchedule(telling),
  remove: makeRemove(telling)
})

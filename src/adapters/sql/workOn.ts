/** Start marks, ends and cancellations that concern schedules, or whose writer does not hold the Task itself. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { InstanceId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { CancelCause, CancelledTask, ScheduledTask, Task } from "../../domain/Task.ts"
import { isFinished } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { Successor } from "../../domain/TaskSchedule.ts"
import { pausedUntil } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { ofAll } from "../../policies/caps.ts"
import { noteEnd } from "../../policies/failures.ts"
import { begin, begunKinds, follow, followReplaced, verdictOn } from "../../policies/occurrences.ts"
import type { SettleVerdict, StartVerdict } from "../../ports/TaskRepository.ts"
import { pausedNames } from "./controls.ts"
import type { Run } from "./Db.ts"
import type { SettlingRequest } from "./settleTasks.ts"
import { settledKinds } from "./settleTasks.ts"
import type { StartRequest } from "./startTasks.ts"
import type { Store } from "./Store.ts"
import type { Work } from "./Work.ts"
import { carryOut, carryOutIn } from "./Work.ts"

const fenced = { _tag: "Fenced" } as const

/** A verdict whose successor is not stored yet. */
type Pending<Verdict> = Verdict extends { readonly next: ScheduledTask | undefined }
  ? Omit<Verdict, "next"> & { readonly next: TaskId | undefined }
  : Verdict

const withNext = <Verdict>(pending: Pending<Verdict>, stored: ReadonlyMap<TaskId, ScheduledTask>): Verdict => {
  const { next } = pending as { readonly next?: TaskId | undefined }
  return (next === undefined ? pending : { ...pending, next: stored.get(next) }) as Verdict
}

/** The schedules of Tasks; `undefined` if one of them is not known. */
const schedulesOf = (
  tasks: ReadonlyArray<Pick<Task, "scheduleId"> | undefined>
): ReadonlyArray<TaskScheduleId> | undefined =>
  tasks.includes(undefined) ? undefined : [...new Set(tasks.flatMap((task) => task?.scheduleId ?? []))]

const startOne = (work: Work, { mark, now, owner }: StartRequest): Pending<StartVerdict> => {
  const task = work.task(mark.id)
  if (task === undefined || !work.isAlive(owner)) return fenced
  const state = work.scheduleOf(task)
  const begun = begin(
    task,
    state && {
      schedule: state.schedule,
      others: state.lanes.othersOf(task, pausedUntil(state.schedule, now) !== undefined)
    },
    owner,
    mark,
    now
  )
  if (begun === undefined) return fenced
  const cancelled = begun.replaces ? cancelAll(work, work.othersUnderWay(task), "overlap", now) : []
  work.put(begun.task, begunKinds[begun.task.status])
  if (begun.task.status === "Failed") work.ended.push({ task: begun.task, at: now })
  const next = begun.followed && work.followed(begun.followed, owner)
  const replaced = state && followReplaced(state.schedule, cancelled, mark.successor, now)
  return verdictOn(begun.task, next ?? (replaced && work.followed(replaced, owner)), cancelled)
}

/** Cancels those of some Tasks that are live. */
export const cancelAll = (
  work: Work,
  tasks: ReadonlyArray<Task>,
  cause: CancelCause,
  now: EpochMillis
): ReadonlyArray<CancelledTask> =>
  tasks.flatMap((task) => {
    const cancelled = TaskLifecycle.cancel(task, cause, now)
    if (cancelled === undefined) return []
    work.put(cancelled, "cancelled")
    return [cancelled]
  })

const paused: StartVerdict = { _tag: "Paused" }

/** What is not the writer's any more may have another function by now: that it is paused is no news of use to it. */
const isPaused = (
  names: ReadonlySet<string>,
  task: Task | undefined,
  { mark: { token }, now, owner }: StartRequest
): boolean =>
  task !== undefined && TaskLifecycle.start(task, owner, token, now) !== undefined &&
  (names.has(ofAll) || names.has(task.function.name))

/** Which functions are paused; an empty name: all of them. From here on a pause waits for the end of this transaction. */
const pausedIn = (store: Store, run: Run): Effect.Effect<ReadonlySet<string>, SqlError> =>
  Effect.map(run(pausedNames(store), []), (rows) => new Set(rows.map(([name]) => name as string)))

/** Start marks in a transaction; `tell` is to be called once it is committed. */
export const startIn = (store: Store, run: Run, requests: ReadonlyArray<StartRequest>) =>
  Effect.flatMap(pausedIn(store, run), (names) =>
    Effect.map(
      carryOutIn(
        store,
        run,
        {
          tasks: requests.map(({ mark }) => mark.id),
          schedules: schedulesOf(requests.map(({ mark }) => mark.claimed)),
          owners: requests.map(({ owner }) => owner),
          starts: true,
          replaces: requests.some(({ mark: { claimed } }) =>
            claimed === undefined || claimed.overlap?.policy === "cancelOther"
          )
        },
        (work) =>
          requests.map((request) =>
            isPaused(names, work.task(request.mark.id), request) ? paused : startOne(work, request)
          )
      ),
      ({ stored, tell, value }) => ({
        verdicts: value.map((pending) => withNext<StartVerdict>(pending, stored)),
        tell
      })
    ))

export const startWithSchedules = (
  store: Store,
  requests: ReadonlyArray<StartRequest>
): Effect.Effect<ReadonlyArray<StartVerdict>, SqlError> =>
  Effect.map(
    store.db.transact((run) => startIn(store, run, requests)),
    ({ tell, verdicts }) => {
      tell()
      return verdicts
    }
  )

const settleOne = (work: Work, { owner, request }: SettlingRequest): Pending<SettleVerdict> => {
  const task = work.task(request.id)
  const settled = task && TaskLifecycle.settle(task, owner, request)
  if (settled === undefined) return fenced
  work.put(settled, settledKinds[request.to._tag])
  const { at } = request.end
  const state = work.scheduleOf(settled)
  if (state !== undefined && request.tells === true) work.noteSchedule(noteEnd(state.schedule, settled))
  if (request.tells === true && isFinished(settled)) work.ended.push({ task: settled, at })
  const next = state && work.followed(follow(state.schedule, settled, request.successor, at), owner)
  return { _tag: "Accepted", task: settled, next }
}

export const settleWithSchedules = (
  store: Store,
  requests: ReadonlyArray<SettlingRequest>
): Effect.Effect<ReadonlyArray<SettleVerdict>, SqlError> =>
  Effect.map(
    carryOut(
      store,
      {
        tasks: requests.map(({ request }) => request.id),
        schedules: schedulesOf(requests.map(({ request }) => request.running)),
        owners: requests.map(({ owner }) => owner)
      },
      (work) => requests.map((request) => settleOne(work, request))
    ),
    ({ freed, stored, value }) =>
      value.map((pending, index): SettleVerdict => {
        const verdict = withNext<SettleVerdict>(pending, stored)
        const isTold = requests[index]?.request.tells === true
        return freed && isTold && verdict._tag === "Accepted" ? { ...verdict, freed } : verdict
      })
  )

/** Cancels one Task, and has its occurrence followed. */
export const cancelOne = (
  store: Store,
  id: TaskId,
  successor: Successor | undefined,
  canceller: InstanceId,
  now: EpochMillis
): Effect.Effect<{ readonly task: CancelledTask; readonly next: ScheduledTask | undefined } | undefined, SqlError> =>
  Effect.map(
    carryOut(store, { tasks: [id], owners: [canceller] }, (work) => {
      const task = work.task(id)
      const [cancelled] = task === undefined ? [] : cancelAll(work, [task], "task", now)
      if (cancelled === undefined) return undefined
      work.ended.push({ task: cancelled, at: now })
      const state = work.scheduleOf(cancelled)
      const next = state && work.followed(follow(state.schedule, cancelled, successor, now), canceller)
      return { task: cancelled, next }
    }),
    ({ stored, value }) => value && { ...value, next: value.next && stored.get(value.next) }
  )

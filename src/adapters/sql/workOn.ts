/** Start marks, ends and cancellations that concern schedules, or whose writer does not hold the Task itself. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { InstanceId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { CancelledTask, ScheduledTask, Task } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { Successor } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { begin, begunKinds, follow, verdictOn } from "../../policies/occurrences.ts"
import type { SettleVerdict, StartVerdict } from "../../ports/TaskRepository.ts"
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
    state && { schedule: state.schedule, othersUnderWay: state.underWay.size },
    owner,
    mark,
    now
  )
  if (begun === undefined) return fenced
  work.put(begun.task, begunKinds[begun.task.status])
  if (begun.task.status === "Running") state?.underWay.add(task.id)
  else state?.underWay.delete(task.id)
  const next = state && begun.followed && work.followed(state.schedule.id, begun.followed, owner)
  return verdictOn(begun.task, next)
}

/** Start marks in a transaction; `tell` is to be called once it is committed. */
export const startIn = (store: Store, run: Run, requests: ReadonlyArray<StartRequest>) =>
  Effect.map(
    carryOutIn(
      store,
      run,
      {
        tasks: requests.map(({ mark }) => mark.id),
        schedules: schedulesOf(requests.map(({ mark }) => mark.claimed)),
        owners: requests.map(({ owner }) => owner)
      },
      (work) => requests.map((request) => startOne(work, request))
    ),
    ({ stored, tell, value }) => ({
      verdicts: value.map((pending) => withNext<StartVerdict>(pending, stored)),
      tell
    })
  )

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
  const state = work.scheduleOf(settled)
  const next = state &&
    work.followed(state.schedule.id, follow(state.schedule, settled, request.successor), owner)
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
    ({ stored, value }) => value.map((pending) => withNext<SettleVerdict>(pending, stored))
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
      const cancelled = task && TaskLifecycle.cancel(task, now)
      if (cancelled === undefined) return undefined
      work.put(cancelled, "cancelled")
      const state = work.scheduleOf(cancelled)
      const next = state && work.followed(state.schedule.id, follow(state.schedule, cancelled, successor), canceller)
      return { task: cancelled, next }
    }),
    ({ stored, value }) => value && { ...value, next: value.next && stored.get(value.next) }
  )

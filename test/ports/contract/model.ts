/**
 * The reference: what a store must hold after a sequence of calls, as plain records that a reader can check by eye.
 * It knows nothing of heaps, indexes, statements or `TaskLifecycle`.
 */
import type { InstanceId, TaskId, TaskScheduleId } from "../../../src/domain/Ids.ts"
import type { ScheduledTask, TaskStatus } from "../../../src/domain/Task.ts"
import type { Successor, TaskSchedule } from "../../../src/domain/TaskSchedule.ts"

export interface ExpectedTask {
  readonly id: TaskId
  readonly functionName: string
  readonly name: string
  readonly scheduleId: TaskScheduleId | undefined
  readonly nominalAt: number
  status: TaskStatus
  owner: InstanceId | undefined
  dueAt: number
  claimableAt: number
  attempts: number
  /** The Task that repeats it, gone or not. */
  redrivenAs: TaskId | undefined
  /** As last seen in the store. */
  token: number
}

export interface ExpectedSchedule {
  readonly rule: TaskSchedule
  status: TaskSchedule["status"]
  cursor: number
  runs: number
}

export const isLive = (task: ExpectedTask): boolean => task.status === "Scheduled" || task.status === "Running"

export const isUnderWay = (task: ExpectedTask): boolean =>
  task.status === "Running" || (task.status === "Scheduled" && task.attempts > 0)

export class Model {
  readonly tasks = new Map<TaskId, ExpectedTask>()
  readonly schedules = new Map<TaskScheduleId, ExpectedSchedule>()
  readonly alive = new Set<InstanceId>()

  insert(task: ScheduledTask, owner: InstanceId | undefined): void {
    this.tasks.set(task.id, {
      id: task.id,
      functionName: task.function.name,
      name: task.name,
      scheduleId: task.scheduleId,
      nominalAt: task.nominalAt,
      status: "Scheduled",
      owner,
      dueAt: task.dueAt,
      claimableAt: task.claimableAt,
      attempts: 0,
      redrivenAs: undefined,
      token: -1
    })
  }

  /** What is free, in the order in which it is to be claimed. */
  free(): ReadonlyArray<ExpectedTask> {
    return [...this.tasks.values()]
      .filter((task) => task.status === "Scheduled" && task.owner === undefined)
      .sort((left, right) =>
        left.claimableAt - right.claimableAt || left.dueAt - right.dueAt || (left.id < right.id ? -1 : 1)
      )
  }

  live(): ReadonlyArray<ExpectedTask> {
    return [...this.tasks.values()].filter(isLive)
  }

  scheduleOf(task: ExpectedTask): ExpectedSchedule | undefined {
    return task.scheduleId === undefined ? undefined : this.schedules.get(task.scheduleId)
  }

  /** How a start mark must be judged. */
  judgeStart(task: ExpectedTask, by: InstanceId, token: number): "Started" | "Skipped" | "Fenced" {
    if (!this.alive.has(by) || task.status !== "Scheduled" || task.owner !== by || task.token !== token) return "Fenced"
    const overlaps = this.scheduleOf(task)?.rule.recurrence._tag === "Fixed" && task.attempts === 0 &&
      [...this.tasks.values()].some((other) =>
        other.id !== task.id && other.scheduleId === task.scheduleId && isUnderWay(other)
      )
    return overlaps ? "Skipped" : "Started"
  }

  started(task: ExpectedTask): void {
    const schedule = this.scheduleOf(task)
    if (schedule !== undefined && task.attempts === 0) schedule.runs++
    task.status = "Running"
    task.attempts++
  }

  finished(task: ExpectedTask, status: TaskStatus): void {
    task.status = status
    task.owner = undefined
  }

  /** One has been cancelled: the first of its schedule that is due and waits for something is looked at now. */
  freed({ scheduleId }: ExpectedTask, now: number): void {
    const [next] = [...this.tasks.values()]
      .filter((task) =>
        scheduleId !== undefined && task.scheduleId === scheduleId && task.status === "Scheduled" &&
        task.attempts === 0 && task.dueAt <= now && task.claimableAt > now
      )
      .sort((left, right) => left.nominalAt - right.nominalAt || (left.id < right.id ? -1 : 1))
    if (next === undefined) return
    next.claimableAt = now
    next.owner = undefined
  }

  /** Whether a successor must be stored; moves the cursor if so. */
  follows(task: ExpectedTask, successor: Successor | undefined): boolean {
    const schedule = this.scheduleOf(task)
    if (schedule === undefined || successor === undefined) return false
    if (schedule.status !== "Active" || schedule.cursor !== task.nominalAt) return false
    if (schedule.rule.maxRuns !== undefined && schedule.runs >= schedule.rule.maxRuns) {
      schedule.status = "Completed"
      return false
    }
    if (successor.task === undefined) {
      schedule.status = "Completed"
      return false
    }
    schedule.cursor = successor.task.nominalAt
    return true
  }
}

/** The state behind the memory store: maps and indexes that change in place, inside one Ref. */
import type { Backfill } from "../../domain/Backfill.ts"
import type { BackfillId, InstanceId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { ScheduledTask, Task } from "../../domain/Task.ts"
import { isFinished } from "../../domain/Task.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import type { Followed } from "../../policies/occurrences.ts"
import { asStored } from "../../policies/occurrences.ts"
import { ChangeLog } from "../../ports/ChangeLog.ts"
import type { Lease, TaskChangeKind } from "../../ports/TaskRepository.ts"
import { Controls } from "./Controls.ts"
import { IdempotencyKeys } from "./IdempotencyKeys.ts"
import { NewestFirst } from "./NewestFirst.ts"
import { Queue } from "./Queue.ts"
import { Unowned } from "./Unowned.ts"

export interface ScheduleEntry {
  schedule: TaskSchedule
  /** Occurrences that have not ended: to cancel a schedule is not to walk through all Tasks there are. */
  readonly live: Set<TaskId>
  /** Occurrences that have begun and not ended, their waits for a retry included. */
  readonly underWay: Set<TaskId>
}

export class Store {
  readonly tasks = new NewestFirst<TaskId, Task>()
  readonly schedules = new NewestFirst<TaskScheduleId, ScheduleEntry>()
  readonly backfills = new Map<BackfillId, Backfill>()
  readonly changes = new ChangeLog()
  readonly controls = new Controls()
  readonly keys = new IdempotencyKeys()
  /** When they end. */
  readonly leases = new Map<InstanceId, EpochMillis>()
  readonly unowned = new Unowned(this.tasks)
  readonly running = new Set<TaskId>()
  /** Finished Tasks but those that failed, in the order in which they finished. */
  readonly finished = new Queue<TaskId>()
  /** Dead letters, in the order in which they failed. */
  readonly failed = new Set<TaskId>()

  scheduleOf(task: Task): ScheduleEntry | undefined {
    return task.scheduleId === undefined ? undefined : this.schedules.get(task.scheduleId)
  }

  /** The one place where a Task's state changes: keeps every index true. */
  put(task: Task, change: TaskChangeKind | undefined): void {
    this.tasks.set(task.id, task)
    if (task.status === "Scheduled" && task.owner === undefined) this.unowned.push(task)
    if (task.status === "Running") this.running.add(task.id)
    else this.running.delete(task.id)
    const entry = this.scheduleOf(task)
    if (isFinished(task)) {
      if (task.status === "Failed") this.failed.add(task.id)
      else this.finished.push(task.id)
      entry?.live.delete(task.id)
      entry?.underWay.delete(task.id)
    } else {
      entry?.live.add(task.id)
      if (task.status === "Running") entry?.underWay.add(task.id)
    }
    if (change !== undefined) this.changes.append(change, task)
  }

  /** Stores what has become of a schedule, and the occurrence that follows, for the writer. */
  followed(
    entry: ScheduleEntry | undefined,
    { next, passed, schedule }: Followed,
    writer: Lease
  ): ScheduledTask | undefined {
    if (entry !== undefined) entry.schedule = schedule
    for (const record of passed) this.put(record, "skipped")
    if (next === undefined || this.tasks.get(next.task.id) !== undefined) return undefined
    const stored = asStored(next, writer.instanceId)
    this.put(stored, "scheduled")
    return stored
  }
}

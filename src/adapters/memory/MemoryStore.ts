/**
 * The state behind the memory store: maps and indexes that change in place, inside one Ref. Each method is one
 * transaction: it runs without giving way, so nobody sees half of it.
 */
import { Heap } from "../../domain/Heap.ts"
import type { InstanceId, TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import type { CancelledTask, FinishedTask, RunningTask, ScheduledTask, Task } from "../../domain/Task.ts"
import { isFinished } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { Successor, TaskSchedule } from "../../domain/TaskSchedule.ts"
import { advance, countRun } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { onOverlap } from "../../policies/overlap.ts"
import type {
  Cancelled,
  CancelTarget,
  Claimed,
  ClaimOnInsert,
  ClaimRequest,
  InsertVerdict,
  Lease,
  PruneRequest,
  Reaped,
  SettleRequest,
  SettleVerdict,
  StartMark,
  StartVerdict,
  TaskChangeKind
} from "../../ports/TaskRepository.ts"
import { ChangeLog } from "./ChangeLog.ts"
import { NewestFirst } from "./NewestFirst.ts"

interface ScheduleEntry {
  schedule: TaskSchedule
  /** Occurrences that have not ended: to cancel a schedule is not to walk through all Tasks there are. */
  readonly live: Set<TaskId>
  /** Occurrences that have begun and not ended, their waits for a retry included. */
  readonly underWay: Set<TaskId>
}

const isDueBefore = (left: ScheduledTask, right: ScheduledTask): boolean =>
  left.claimableAt < right.claimableAt || (left.claimableAt === right.claimableAt && left.id < right.id)

export class MemoryStore {
  readonly tasks = new NewestFirst<TaskId, Task>()
  readonly schedules = new NewestFirst<TaskScheduleId, ScheduleEntry>()
  readonly changes = new ChangeLog()
  private readonly leases = new Map<InstanceId, EpochMillis>()
  /** What nobody owns. An entry that is no longer the Task's current state is stale and passed over. */
  private readonly unowned = new Heap<ScheduledTask>(isDueBefore)
  private stale = 0
  /** Finished Tasks in the order in which they finished, from `finishedHead` on. */
  private finished: Array<TaskId> = []
  private finishedHead = 0

  // Leases

  openLease(instanceId: InstanceId, expiresAt: EpochMillis): Lease {
    this.leases.set(instanceId, expiresAt)
    return { instanceId, expiresAt }
  }

  /** `undefined` when it has ended already: an ended lease is never revived. */
  renewLease(lease: Lease, expiresAt: EpochMillis, now: EpochMillis): Lease | undefined {
    return this.isLeaseAlive(lease.instanceId, now) ? this.openLease(lease.instanceId, expiresAt) : undefined
  }

  closeLease(lease: Lease): void {
    this.leases.delete(lease.instanceId)
  }

  isLeaseAlive(instanceId: InstanceId, now: EpochMillis): boolean {
    const expiresAt = this.leases.get(instanceId)
    return expiresAt !== undefined && expiresAt > now
  }

  // Tasks

  insert(task: ScheduledTask, claim: ClaimOnInsert | undefined): InsertVerdict {
    const present = this.tasks.get(task.id)
    if (present !== undefined) return { _tag: "Present", task: present }
    const claimed = claim !== undefined && task.claimableAt <= claim.until
      ? TaskLifecycle.claim(task, claim.lease.instanceId)
      : undefined
    const stored = claimed ?? task
    this.put(stored, "scheduled")
    return { _tag: "Inserted", task: stored }
  }

  claimDue(request: ClaimRequest): Claimed {
    const until = request.now + request.ahead
    const tasks: Array<ScheduledTask> = []
    const excluded: Array<ScheduledTask> = []
    for (let next = this.firstUnowned(); next !== undefined; next = this.firstUnowned()) {
      if (next.claimableAt > until || tasks.length >= request.limit) break
      this.unowned.pop()
      if (request.excludeFunctions.includes(next.function.name)) {
        excluded.push(next)
        continue
      }
      const claimed = TaskLifecycle.claim(next, request.lease.instanceId)
      if (claimed !== undefined) {
        this.put(claimed, undefined)
        tasks.push(claimed)
      }
    }
    for (const task of excluded) this.unowned.push(task)
    return { tasks, nextAt: this.firstUnowned()?.claimableAt }
  }

  start(lease: Lease, mark: StartMark, now: EpochMillis): StartVerdict {
    const task = this.tasks.get(mark.id)
    const started = task && TaskLifecycle.start(task, lease.instanceId, mark.token, now)
    if (task === undefined || started === undefined) return { _tag: "Fenced" }
    const entry = this.scheduleOf(task)
    if (entry === undefined || entry.underWay.has(task.id)) {
      this.put(started, "started")
      return { _tag: "Started", task: started, next: undefined }
    }
    if (onOverlap(entry.schedule.recurrence, entry.underWay.size) === "skip") {
      const skipped = TaskLifecycle.skip(task, lease.instanceId, mark.token, "overlap", now)
      if (skipped === undefined) return { _tag: "Fenced" }
      this.put(skipped, "skipped")
      return { _tag: "Skipped", task: skipped, next: this.follow(entry, task, mark.successor, lease) }
    }
    entry.schedule = countRun(entry.schedule)
    entry.underWay.add(task.id)
    this.put(started, "started")
    return { _tag: "Started", task: started, next: this.follow(entry, task, mark.successor, lease) }
  }

  settle(lease: Lease, request: SettleRequest): SettleVerdict {
    const task = this.tasks.get(request.id)
    const settled = task && TaskLifecycle.settle(task, lease.instanceId, request)
    if (settled === undefined) return { _tag: "Fenced" }
    this.put(settled, changeKinds[request.to._tag])
    const entry = this.scheduleOf(settled)
    return { _tag: "Accepted", task: settled, next: entry && this.follow(entry, settled, request.successor, lease) }
  }

  release(lease: Lease, id: TaskId, token: number, claimableAt: EpochMillis): void {
    const task = this.tasks.get(id)
    if (task?.owner !== lease.instanceId) return
    const released = TaskLifecycle.release(task, token, claimableAt)
    if (released !== undefined) this.put(released, undefined)
  }

  cancel(lease: Lease, target: CancelTarget, now: EpochMillis): Cancelled {
    switch (target._tag) {
      case "Task": {
        const task = this.tasks.get(target.id)
        const cancelled = task && this.cancelTask(task, now)
        if (cancelled === undefined) return { tasks: [], schedules: [], next: undefined }
        const entry = this.scheduleOf(cancelled)
        return {
          tasks: [cancelled],
          schedules: [],
          next: entry && this.follow(entry, cancelled, target.successor, lease)
        }
      }
      case "Schedule":
        return this.cancelSchedule(this.schedules.get(target.id), now)
      case "Function":
        return this.cancelAll(now, (work) => work.function.name === target.name)
      case "Named":
        return this.cancelAll(now, (work) => work.name === target.name)
    }
  }

  /** Takes over what the owners that `isGone` names still hold. */
  takeOver(taker: InstanceId, isGone: (task: Task, owner: InstanceId) => boolean, limit: number): Reaped {
    const orphans: Array<RunningTask> = []
    let released = 0
    for (const task of this.tasks.values()) {
      if (released + orphans.length >= limit) break
      if (task.owner === undefined || !isGone(task, task.owner)) continue
      const taken = TaskLifecycle.takeOver(task, taker)
      if (taken === undefined) continue
      this.put(taken, undefined)
      if (taken.status === "Running") orphans.push(taken)
      else released++
    }
    return { released, orphans }
  }

  prune(request: PruneRequest): number {
    let removed = 0
    while (removed < request.limit && this.finishedHead < this.finished.length) {
      const id = this.finished[this.finishedHead] as TaskId
      const task = this.tasks.get(id) as FinishedTask
      const tooMany = this.finished.length - this.finishedHead > request.maxCount
      if (!tooMany && request.now - task.finishedAt <= request.maxAge) break
      this.tasks.delete(id)
      this.finishedHead++
      removed++
    }
    if (this.finishedHead > 1_024 && this.finishedHead * 2 > this.finished.length) {
      this.finished = this.finished.slice(this.finishedHead)
      this.finishedHead = 0
    }
    return removed
  }

  // TaskSchedules

  insertSchedule(
    schedule: TaskSchedule,
    first: ScheduledTask,
    claim: ClaimOnInsert | undefined
  ): { readonly schedule: TaskSchedule; readonly first: InsertVerdict } {
    const present = this.schedules.get(schedule.id)
    if (present === undefined) this.schedules.set(schedule.id, { schedule, live: new Set(), underWay: new Set() })
    return { schedule: present?.schedule ?? schedule, first: this.insert(first, claim) }
  }

  private scheduleOf(task: Task): ScheduleEntry | undefined {
    return task.scheduleId === undefined ? undefined : this.schedules.get(task.scheduleId)
  }

  /** Stores an occurrence's successor for the writer, if the schedule agrees. */
  private follow(
    entry: ScheduleEntry,
    occurrence: Task,
    successor: Successor | undefined,
    lease: Lease
  ): ScheduledTask | undefined {
    if (successor === undefined) return undefined
    const advanced = advance(entry.schedule, occurrence.nominalAt, successor)
    entry.schedule = advanced.schedule
    if (!advanced.store) return undefined
    const verdict = this.insert(successor.task, { lease, until: Infinity })
    return verdict._tag === "Inserted" ? verdict.task : undefined
  }

  private cancelTask(task: Task, now: EpochMillis): CancelledTask | undefined {
    const cancelled = TaskLifecycle.cancel(task, now)
    if (cancelled === undefined) return undefined
    this.put(cancelled, "cancelled")
    if (task.status === "Scheduled" && task.owner === undefined) this.noteStale()
    return cancelled
  }

  private endSchedule(entry: ScheduleEntry): TaskSchedule | undefined {
    if (entry.schedule.status !== "Active") return undefined
    entry.schedule = { ...entry.schedule, status: "Cancelled", revision: entry.schedule.revision + 1 }
    return entry.schedule
  }

  private cancelSchedule(entry: ScheduleEntry | undefined, now: EpochMillis): Cancelled {
    const ended = entry && this.endSchedule(entry)
    const tasks: Array<CancelledTask> = []
    for (const id of entry?.live ?? []) {
      const task = this.tasks.get(id)
      const cancelled = task && this.cancelTask(task, now)
      if (cancelled !== undefined) tasks.push(cancelled)
    }
    return { tasks, schedules: ended === undefined ? [] : [ended], next: undefined }
  }

  private cancelAll(now: EpochMillis, matches: (work: Task | TaskSchedule) => boolean): Cancelled {
    const schedules: Array<TaskSchedule> = []
    for (const entry of this.schedules.values()) {
      const ended = matches(entry.schedule) ? this.endSchedule(entry) : undefined
      if (ended !== undefined) schedules.push(ended)
    }
    const tasks: Array<CancelledTask> = []
    for (const task of this.tasks.values()) {
      const cancelled = matches(task) ? this.cancelTask(task, now) : undefined
      if (cancelled !== undefined) tasks.push(cancelled)
    }
    return { tasks, schedules, next: undefined }
  }

  /** The one place where a Task's state changes: keeps every index true. */
  private put(task: Task, change: TaskChangeKind | undefined): void {
    this.tasks.set(task.id, task)
    if (task.status === "Scheduled" && task.owner === undefined) this.unowned.push(task)
    const entry = this.scheduleOf(task)
    if (isFinished(task)) {
      this.finished.push(task.id)
      entry?.live.delete(task.id)
      entry?.underWay.delete(task.id)
    } else entry?.live.add(task.id)
    if (change !== undefined) this.changes.append(change, task)
  }

  /** Cancelled far-future Tasks must not fill the heap until they would have been due. */
  private noteStale(): void {
    this.stale++
    if (this.stale > 1_024 && this.stale * 2 > this.unowned.size) {
      this.unowned.retain((task) => this.tasks.get(task.id) === task)
      this.stale = 0
    }
  }

  private firstUnowned(): ScheduledTask | undefined {
    for (;;) {
      const first = this.unowned.first
      if (first === undefined || this.tasks.get(first.id) === first) return first
      this.unowned.pop()
      this.stale = Math.max(0, this.stale - 1)
    }
  }
}

const changeKinds: Record<SettleRequest["to"]["_tag"], TaskChangeKind> = {
  Succeeded: "succeeded",
  Failed: "failed",
  Retry: "retrying"
}

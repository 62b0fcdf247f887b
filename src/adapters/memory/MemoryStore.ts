/**
 * The state behind the memory store: maps and indexes that change in place, inside one Ref. Each method is one
 * transaction: it runs without giving way, so nobody sees half of it.
 */
import type { Backfill } from "../../domain/Backfill.ts"
import { originOf } from "../../domain/Backfill.ts"
import { Heap } from "../../domain/Heap.ts"
import type { BackfillId, InstanceId } from "../../domain/Ids.ts"
import { TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import { isBuffering } from "../../domain/Overlap.ts"
import type {
  CancelCause,
  CancelledTask,
  FinishedTask,
  RedriveTask,
  RunningTask,
  ScheduledTask,
  Task,
  TaskStatus
} from "../../domain/Task.ts"
import { isByRule, isFinished, laneOf } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { TaskSchedule } from "../../domain/TaskSchedule.ts"
import { pausedUntil } from "../../domain/TaskSchedule.ts"
import type { EpochMillis } from "../../domain/Time.ts"
import { farthest } from "../../domain/Time.ts"
import { ofAll } from "../../policies/caps.ts"
import { noteEnd } from "../../policies/failures.ts"
import type { Followed, ScheduleState } from "../../policies/occurrences.ts"
import {
  asStored,
  begin,
  begunKinds,
  follow,
  followReplaced,
  overlapOf,
  verdictOn
} from "../../policies/occurrences.ts"
import { ChangeLog } from "../../ports/ChangeLog.ts"
import { mostCounted } from "../../ports/TaskRepository.ts"
import type {
  BackfillCounts,
  Backlog,
  Cancelled,
  CancelTarget,
  Claimed,
  ClaimOnInsert,
  ClaimRequest,
  DeferRequest,
  Heartbeat,
  Held,
  IdempotencyKey,
  InsertScheduleVerdict,
  InsertVerdict,
  Lease,
  PruneRequest,
  Reaped,
  RecallRequest,
  RedriveVerdict,
  ScheduleChange,
  ScheduleChanged,
  ScheduleFound,
  SettleRequest,
  SettleVerdict,
  StartMark,
  StartVerdict,
  TaskChangeKind
} from "../../ports/TaskRepository.ts"
import { Controls } from "./Controls.ts"
import { IdempotencyKeys } from "./IdempotencyKeys.ts"
import { NewestFirst } from "./NewestFirst.ts"

interface ScheduleEntry {
  schedule: TaskSchedule
  /** Occurrences that have not ended: to cancel a schedule is not to walk through all Tasks there are. */
  readonly live: Set<TaskId>
  /** Occurrences that have begun and not ended, their waits for a retry included. */
  readonly underWay: Set<TaskId>
}

const isDueBefore = (left: ScheduledTask, right: ScheduledTask): boolean =>
  left.claimableAt !== right.claimableAt
    ? left.claimableAt < right.claimableAt
    : left.dueAt < right.dueAt || (left.dueAt === right.dueAt && left.id < right.id)

const byTurn = (left: ScheduledTask, right: ScheduledTask): number => isDueBefore(left, right) ? -1 : 1

const isLaneBefore = (left: ScheduledTask | undefined, right: ScheduledTask | undefined): boolean =>
  left === undefined || right === undefined || left.priority > right.priority ||
  (left.priority === right.priority && left.function.name < right.function.name)

export class MemoryStore {
  readonly tasks = new NewestFirst<TaskId, Task>()
  readonly schedules = new NewestFirst<TaskScheduleId, ScheduleEntry>()
  readonly backfills = new Map<BackfillId, Backfill>()
  readonly changes = new ChangeLog()
  readonly controls = new Controls()
  private readonly running = new Set<TaskId>()
  private readonly leases = new Map<InstanceId, EpochMillis>()
  private readonly keys = new IdempotencyKeys()
  /** What nobody owns. An entry that is no longer the Task's current state is stale and passed over. */
  private readonly unowned = new Heap<ScheduledTask>(isDueBefore)
  private stale = 0
  /** Finished Tasks but those that failed, in the order in which they finished, from `finishedHead` on. */
  private finished: Array<TaskId> = []
  private finishedHead = 0
  /** Dead letters, in the order in which they failed. */
  private readonly failed = new Set<TaskId>()

  // Leases

  openLease(instanceId: InstanceId, expiresAt: EpochMillis, now: EpochMillis): Heartbeat {
    this.leases.set(instanceId, expiresAt)
    const others = [...this.leases].filter(([other]) => other !== instanceId)
    return {
      instanceId,
      expiresAt,
      storeNow: now,
      others: others.filter(([, ends]) => ends > now).length,
      nextExpiry: others.length === 0 ? undefined : Math.min(...others.map(([, ends]) => ends)),
      controlsRevision: this.controls.revision
    }
  }

  /** `undefined` when it has ended already: an ended lease is never revived. */
  renewLease(lease: Lease, expiresAt: EpochMillis, now: EpochMillis): Heartbeat | undefined {
    return this.isLeaseAlive(lease.instanceId, now) ? this.openLease(lease.instanceId, expiresAt, now) : undefined
  }

  closeLease(lease: Lease): void {
    this.leases.delete(lease.instanceId)
  }

  /** From then on nothing can bring one back that has ended; answers how many there were. */
  removeEndedLeases(now: EpochMillis): number {
    let ended = 0
    for (const [instanceId, ends] of this.leases) if (ends <= now && this.leases.delete(instanceId)) ended++
    return ended
  }

  isLeaseAlive(instanceId: InstanceId, now: EpochMillis): boolean {
    const expiresAt = this.leases.get(instanceId)
    return expiresAt !== undefined && expiresAt > now
  }

  // Tasks

  insert(task: ScheduledTask, claim: ClaimOnInsert | undefined, key?: IdempotencyKey): InsertVerdict {
    const before = this.keys.find(key)
    if (before?._tag === "Conflict") return { _tag: "Conflict", id: before.id }
    const id = before === undefined ? task.id : TaskId.make(before.id)
    const present = this.tasks.get(id)
    if (present === undefined && before !== undefined) return { _tag: "Gone", id }
    this.keys.note(key, id)
    return present !== undefined
      ? { _tag: "Present", task: present }
      : { _tag: "Inserted", task: this.store(task, claim) }
  }

  private store(task: ScheduledTask, claim: ClaimOnInsert | undefined): ScheduledTask {
    const claimed = claim !== undefined && task.claimableAt <= claim.until
      ? TaskLifecycle.claim(task, claim.lease.instanceId)
      : undefined
    const stored = claimed ?? task
    this.put(stored, "scheduled")
    return stored
  }

  claimDue(request: ClaimRequest): Claimed {
    const due = request.excludeFunctions.length > 0 ? this.dueByLane(request) : this.dueByTime(request)
    const tasks: Array<ScheduledTask | RunningTask> = []
    let startable = request.start ?? 0
    for (const next of due) {
      const claimed = TaskLifecycle.claim(next, request.lease.instanceId)
      if (claimed === undefined) continue
      const isStartable = claimed.claimableAt <= request.now && claimed.scheduleId === undefined &&
        claimed.attempts.length === 0 && request.unstartable?.includes(claimed.function.name) !== true &&
        !this.controls.isPaused(claimed.function.name)
      const started = startable > 0 && isStartable
        ? TaskLifecycle.start(claimed, request.lease.instanceId, claimed.token, request.now)
        : undefined
      if (started !== undefined) startable--
      this.put(started ?? claimed, started && "started")
      tasks.push(started ?? claimed)
    }
    return {
      tasks,
      nextAt: request.excludeFunctions.length > 0 ? undefined : this.firstUnowned()?.claimableAt
    }
  }

  private *dueByTime({ ahead, limit, now }: ClaimRequest): Iterable<ScheduledTask> {
    for (let count = 0; count < limit; count++) {
      const next = this.firstUnowned()
      if (next === undefined || next.claimableAt > now + ahead) return
      this.unowned.pop()
      yield next
    }
  }

  private dueByLane({ ahead, excludeFunctions, limit, now }: ClaimRequest): ReadonlyArray<ScheduledTask> {
    const lanes = new Map<string, Array<ScheduledTask>>()
    for (const task of this.unowned.values()) {
      if (this.tasks.get(task.id) !== task || excludeFunctions.includes(task.function.name)) continue
      const key = `${task.priority} ${task.function.name}`
      const lane = lanes.get(key)
      if (lane === undefined) lanes.set(key, [task])
      else lane.push(task)
    }
    const each = Math.max(1, Math.floor(limit / lanes.size))
    const chosen = [...lanes.values()].sort(([left], [right]) => isLaneBefore(left, right) ? -1 : 1).slice(0, limit)
    const due = chosen.flatMap((lane) =>
      lane.filter((task) => task.claimableAt <= now + ahead).sort(byTurn).slice(0, each)
    ).sort(byTurn)
    this.noteStale(due.length)
    return due
  }

  /** Nobody's Tasks of a function, in the order in which they are to run. */
  private unownedOf(functionName: string, limit: number, matches: (task: ScheduledTask) => boolean) {
    return this.unowned.values()
      .filter((task) => task.function.name === functionName && this.tasks.get(task.id) === task && matches(task))
      .sort((left, right) => right.priority - left.priority || byTurn(left, right))
      .slice(0, limit)
  }

  defer({ from, functionName, limit, now, step }: DeferRequest): number {
    const found = this.unownedOf(functionName, limit, (task) => task.claimableAt <= now)
    for (const [place, task] of found.entries()) {
      this.put({ ...task, claimableAt: from + Math.round(place * step) }, undefined)
    }
    this.noteStale(found.length)
    return found.length
  }

  recall({ functionName, limit, now }: RecallRequest): number {
    const isDeferred = (task: ScheduledTask) =>
      task.claimableAt > now && task.dueAt <= now && task.claimableAt < farthest &&
      this.scheduleOf(task)?.schedule.pause === undefined
    const found = this.unownedOf(functionName, limit, isDeferred)
    for (const task of found) this.put({ ...task, claimableAt: now }, undefined)
    this.noteStale(found.length)
    return found.length
  }

  private isPaused(task: Task, now: EpochMillis): boolean {
    const schedule = this.scheduleOf(task)?.schedule
    return schedule !== undefined && isByRule(task) && pausedUntil(schedule, now) !== undefined
  }

  /** @param storeNow by which leases are judged */
  start(lease: Lease, mark: StartMark, now: EpochMillis, storeNow: EpochMillis): StartVerdict {
    const task = this.tasks.get(mark.id)
    // What is not the writer's any more may have another function by now: that it is paused is no news of use to it.
    if (task === undefined || TaskLifecycle.start(task, lease.instanceId, mark.token, now) === undefined) {
      return { _tag: "Fenced" }
    }
    if (this.controls.isPaused(task.function.name)) return { _tag: "Paused" }
    const cap = mark.caps?.find((cap) => this.controls.capOf(cap) <= this.runningUnder(cap, storeNow))
    if (cap !== undefined) return { _tag: "Capped", cap }
    const entry = this.scheduleOf(task)
    const begun = begin(task, entry && this.stateOf(task, entry, now), lease.instanceId, mark, now)
    if (begun === undefined) return { _tag: "Fenced" }
    const cancelled = begun.replaces && entry !== undefined ? this.cancelOthers(begun.task, entry, now) : []
    this.put(begun.task, begunKinds[begun.task.status])
    if (begun.task.status === "Running") entry?.underWay.add(begun.task.id)
    const next = begun.followed && this.followed(entry, begun.followed, lease)
    const replaced = entry && followReplaced(entry.schedule, cancelled, mark.successor, now)
    const afterReplaced = replaced && this.followed(entry, replaced, lease)
    if (begun.task.status === "Failed") this.freeNext(begun.task, now)
    return verdictOn(begun.task, next ?? afterReplaced, cancelled)
  }

  /** What a Task shares its turn with. */
  private stateOf(task: Task, { live, schedule, underWay }: ScheduleEntry, now: EpochMillis): ScheduleState {
    const lane = laneOf(task)
    const isOther = (id: TaskId) => id !== task.id && laneOf(this.tasks.get(id) as Task) === lane
    const waits = isBuffering(overlapOf(task, schedule)) && lane === "schedule"
    const isBefore = (id: TaskId) => {
      const other = this.tasks.get(id) as Task
      return isOther(id) && other.attempts.length === 0 &&
        (other.nominalAt < task.nominalAt || (other.nominalAt === task.nominalAt && other.id < task.id)) &&
        !this.isPaused(other, now)
    }
    return {
      schedule,
      others: {
        underWay: [...underWay].filter(isOther).length,
        before: waits ? [...live].filter(isBefore).length : 0
      }
    }
  }

  private cancelOthers(task: Task, entry: ScheduleEntry, now: EpochMillis): ReadonlyArray<CancelledTask> {
    return [...entry.underWay].flatMap((id) => {
      const other = this.tasks.get(id) as Task
      if (id === task.id || laneOf(other) !== laneOf(task)) return []
      return this.cancelTask(other, "overlap", now) ?? []
    })
  }

  /**
   * Somebody has made room: the first that waits in this lane is looked at now, and not only later. Whoever holds it already,
   * for then, does not know of it.
   */
  private freeNext(ended: Task, now: EpochMillis): boolean {
    const entry = this.scheduleOf(ended)
    const lane = laneOf(ended)
    let next: ScheduledTask | undefined
    for (const id of entry?.live ?? []) {
      const task = this.tasks.get(id) as Task
      const waits = task.status === "Scheduled" && task.attempts.length === 0 &&
        task.claimableAt > now && task.dueAt <= now && laneOf(task) === lane && !this.isPaused(task, now)
      if (!waits) continue
      const isFirst = next === undefined || task.nominalAt < next.nominalAt ||
        (task.nominalAt === next.nominalAt && task.id < next.id)
      if (isFirst) next = task
    }
    if (next === undefined) return false
    this.put({ ...next, owner: undefined, claimableAt: now, token: next.token + 1 }, undefined)
    this.noteStale()
    return true
  }

  /** As in every store, what runs under a lease that has ended counts no more. */
  runningUnder(cap: string, now: EpochMillis): number {
    let running = 0
    for (const id of this.running) {
      const task = this.tasks.get(id)
      if (task?.owner === undefined || !this.isLeaseAlive(task.owner, now)) continue
      if (cap === ofAll || task.function.name === cap) running++
    }
    return running
  }

  settle(lease: Lease, request: SettleRequest): SettleVerdict {
    const task = this.tasks.get(request.id)
    const settled = task && TaskLifecycle.settle(task, lease.instanceId, request)
    if (settled === undefined) return { _tag: "Fenced" }
    this.put(settled, changeKinds[request.to._tag])
    const entry = this.scheduleOf(settled)
    const { at } = request.end
    if (entry !== undefined && request.tells === true) entry.schedule = noteEnd(entry.schedule, settled)
    const next = entry && this.followed(entry, follow(entry.schedule, settled, request.successor, at), lease)
    return request.tells === true && isFinished(settled) && this.freeNext(settled, at)
      ? { _tag: "Accepted", task: settled, next, freed: true }
      : { _tag: "Accepted", task: settled, next }
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
        const cancelled = task && this.cancelTask(task, "task", now)
        if (cancelled === undefined) return { tasks: [], schedules: [], next: undefined }
        const entry = this.scheduleOf(cancelled)
        const next = entry && this.followed(entry, follow(entry.schedule, cancelled, target.successor, now), lease)
        this.freeNext(cancelled, now)
        return { tasks: [cancelled], schedules: [], next }
      }
      case "Schedule": {
        const cancelled = this.cancelSchedule(this.schedules.get(target.id), now)
        if (target.remove === true) this.removeSchedule(target.id, now)
        return cancelled
      }
      case "Backfill":
        return this.cancelBackfill(target.id, now)
      case "Function":
        return this.cancelAll("function", now, (work) => work.function.name === target.name)
      case "Named":
        return this.cancelAll("name", now, (work) => work.name === target.name)
    }
  }

  forgotten(owner: InstanceId, known: ReadonlySet<TaskId>): Array<Held> {
    return Array.from(this.tasks.values()).filter((task) => task.owner === owner && !known.has(task.id))
  }

  cancelledOf(ids: ReadonlyArray<TaskId>): ReadonlyArray<TaskId> {
    return ids.filter((id) => this.tasks.get(id)?.status === "Cancelled")
  }

  backlog(now: EpochMillis): Backlog {
    const oldestDueAt = this.firstUnowned()?.claimableAt
    const due =
      this.unowned.values().filter((task) => task.claimableAt <= now && this.tasks.get(task.id) === task).length
    return { due, oldestDueAt: due === 0 ? undefined : oldestDueAt }
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
    this.keys.prune(request.now)
    let removed = 0
    while (removed < request.limit && this.finishedHead < this.finished.length) {
      const id = this.finished[this.finishedHead] as TaskId
      const task = this.tasks.get(id) as FinishedTask
      const tooMany = this.finished.length - this.finishedHead > request.maxCount
      if (!tooMany && request.now - task.finishedAt <= request.maxAge) break
      this.remove(id, request.now)
      this.finishedHead++
      removed++
    }
    for (const id of this.failed) {
      const { finishedAt } = this.tasks.get(id) as FinishedTask
      const tooMany = this.failed.size > request.failedMaxCount
      if (removed >= request.limit || (!tooMany && request.now - finishedAt <= request.failedMaxAge)) break
      this.remove(id, request.now)
      removed++
    }
    if (this.finishedHead > 1_024 && this.finishedHead * 2 > this.finished.length) {
      this.finished = this.finished.slice(this.finishedHead)
      this.finishedHead = 0
    }
    return removed
  }

  private remove(id: TaskId, now: EpochMillis): void {
    this.tasks.delete(id)
    this.failed.delete(id)
    this.keys.noteRemoved(id, now)
  }

  // Dead letters

  redrive(task: RedriveTask, claim: ClaimOnInsert | undefined): RedriveVerdict {
    const dead = this.tasks.get(task.redriveOf)
    if (dead === undefined) return { _tag: "NotFound" }
    if (dead.status !== "Failed") return { _tag: "NotFailed", status: dead.status }
    const id = dead.redrivenAs ?? task.id
    const present = this.tasks.get(id)
    if (present !== undefined) return { _tag: "Present", task: present }
    if (dead.redrivenAs !== undefined) return { _tag: "Gone", id }
    this.tasks.set(dead.id, { ...dead, redrivenAs: id })
    return { _tag: "Redriven", task: this.store(task, claim) }
  }

  count(statuses: ReadonlyArray<TaskStatus> | undefined, matches: (task: Task) => boolean): number {
    // To count dead letters is not to walk through all Tasks there are.
    const onlyFailed = statuses?.every((status) => status === "Failed") === true
    let count = 0
    for (const task of onlyFailed ? this.deadLetters() : this.tasks.values()) {
      if (matches(task) && ++count === mostCounted) break
    }
    return count
  }

  purge(matches: (task: Task) => boolean, now: EpochMillis, limit: number): number {
    let removed = 0
    for (const task of this.deadLetters()) {
      if (removed === limit) break
      if (!matches(task)) continue
      this.remove(task.id, now)
      removed++
    }
    return removed
  }

  private *deadLetters(): Iterable<Task> {
    for (const id of this.failed) yield this.tasks.get(id) as Task
  }

  // TaskSchedules

  insertSchedule(
    schedule: TaskSchedule,
    first: ScheduledTask,
    claim: ClaimOnInsert | undefined,
    key: IdempotencyKey | undefined
  ): InsertScheduleVerdict {
    const before = this.keys.find(key)
    if (before?._tag === "Conflict") return { _tag: "Conflict", id: before.id }
    const id = before === undefined ? schedule.id : TaskScheduleId.make(before.id)
    const present = this.schedules.get(id)
    if (present === undefined && before !== undefined) return { _tag: "Gone", id }
    this.keys.note(key, id)
    if (present !== undefined) return { _tag: "Present", schedule: present.schedule }
    this.schedules.set(schedule.id, { schedule, live: new Set(), underWay: new Set() })
    return { _tag: "Inserted", schedule, first: this.store(first, claim) }
  }

  private scheduleOf(task: Task): ScheduleEntry | undefined {
    return task.scheduleId === undefined ? undefined : this.schedules.get(task.scheduleId)
  }

  changeSchedule<A>(
    id: TaskScheduleId,
    claim: ClaimOnInsert | undefined,
    change: (found: ScheduleFound | undefined) => ScheduleChange<A>
  ): ScheduleChanged<A> {
    const entry = this.schedules.get(id)
    const changed = change(entry && { schedule: entry.schedule, waiting: this.waitingOf(entry) })
    if (entry !== undefined && changed.schedule !== undefined) entry.schedule = changed.schedule
    const tasks = (changed.tasks ?? []).map((task) => this.store(task, claim))
    this.noteStale(tasks.length)
    // A backfill that is there has its Tasks, or had them.
    const isThere = changed.backfill !== undefined && this.backfills.has(changed.backfill.id)
    const inserted = (isThere ? [] : changed.inserts ?? []).map((task, index) =>
      this.insert(task, claim, index === 0 ? changed.key : undefined)
    )
    if (changed.backfill !== undefined && !isThere) this.backfills.set(changed.backfill.id, changed.backfill)
    return { answer: changed.answer, tasks, inserted }
  }

  private waitingOf({ live }: ScheduleEntry): ReadonlyArray<ScheduledTask> {
    const isWaiting = (task: Task | undefined): task is ScheduledTask =>
      task?.status === "Scheduled" && task.attempts.length === 0 && isByRule(task)
    return Array.from(live, (id) => this.tasks.get(id)).filter(isWaiting)
      .sort((left, right) => left.nominalAt - right.nominalAt)
  }

  latestOccurrence(id: TaskScheduleId, upTo: EpochMillis): Task | undefined {
    let latest: Task | undefined
    for (const task of this.tasks.values()) {
      const isOne = task.scheduleId === id && isByRule(task) && task.nominalAt <= upTo
      if (isOne && task.nominalAt > (latest?.nominalAt ?? -Infinity)) latest = task
    }
    return latest
  }

  countBackfill({ id, scheduleId }: Backfill): BackfillCounts {
    const counts = { Scheduled: 0, Running: 0, Succeeded: 0, Failed: 0, Cancelled: 0, Skipped: 0 }
    for (const task of this.tasks.values()) {
      if (task.scheduleId === scheduleId && task.origin === originOf(id)) counts[task.status]++
    }
    return counts
  }

  private cancelBackfill(id: BackfillId, now: EpochMillis): Cancelled {
    const backfill = this.backfills.get(id)
    if (backfill === undefined) return { tasks: [], schedules: [], next: undefined }
    this.backfills.set(id, { ...backfill, cancelledAt: backfill.cancelledAt ?? now })
    const live = this.schedules.get(backfill.scheduleId)?.live ?? []
    const isOfIt = (task: Task) => task.origin === originOf(id)
    const tasks = Array.from(live, (id) => this.tasks.get(id) as Task).filter(isOfIt)
      .flatMap((task) => this.cancelTask(task, "backfill", now) ?? [])
    return { tasks, schedules: [], next: undefined }
  }

  private removeSchedule(id: TaskScheduleId, now: EpochMillis): void {
    this.schedules.delete(id)
    this.keys.noteRemoved(id, now)
    for (const backfill of this.backfills.values()) {
      if (backfill.scheduleId === id) this.backfills.delete(backfill.id)
    }
  }

  /** Stores what has become of a schedule, and the occurrence that follows, for the writer. */
  private followed(
    entry: ScheduleEntry | undefined,
    { next, passed, schedule }: Followed,
    lease: Lease
  ): ScheduledTask | undefined {
    if (entry !== undefined) entry.schedule = schedule
    for (const record of passed) this.put(record, "skipped")
    if (next === undefined || this.tasks.get(next.task.id) !== undefined) return undefined
    const stored = asStored(next, lease.instanceId)
    this.put(stored, "scheduled")
    return stored
  }

  private cancelTask(task: Task, cause: CancelCause, now: EpochMillis): CancelledTask | undefined {
    const cancelled = TaskLifecycle.cancel(task, cause, now)
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
      const cancelled = task && this.cancelTask(task, "schedule", now)
      if (cancelled !== undefined) tasks.push(cancelled)
    }
    return { tasks, schedules: ended === undefined ? [] : [ended], next: undefined }
  }

  private cancelAll(
    cause: CancelCause,
    now: EpochMillis,
    matches: (work: Task | TaskSchedule) => boolean
  ): Cancelled {
    const schedules: Array<TaskSchedule> = []
    for (const entry of this.schedules.values()) {
      const ended = matches(entry.schedule) ? this.endSchedule(entry) : undefined
      if (ended !== undefined) schedules.push(ended)
    }
    const tasks: Array<CancelledTask> = []
    for (const task of this.tasks.values()) {
      const cancelled = matches(task) ? this.cancelTask(task, cause, now) : undefined
      if (cancelled !== undefined) tasks.push(cancelled)
    }
    return { tasks, schedules, next: undefined }
  }

  /** The one place where a Task's state changes: keeps every index true. */
  private put(task: Task, change: TaskChangeKind | undefined): void {
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
    } else entry?.live.add(task.id)
    if (change !== undefined) this.changes.append(change, task)
  }

  /** Cancelled far-future Tasks must not fill the heap until they would have been due. */
  private noteStale(count = 1): void {
    this.stale += count
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

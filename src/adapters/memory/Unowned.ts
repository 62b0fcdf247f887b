/** What nobody owns, in the order in which it becomes claimable. */
import { Heap } from "../../domain/Heap.ts"
import type { TaskId } from "../../domain/Ids.ts"
import type { ScheduledTask, Task } from "../../domain/Task.ts"
import type { NewestFirst } from "./NewestFirst.ts"

const isDueBefore = (left: ScheduledTask, right: ScheduledTask): boolean =>
  left.claimableAt !== right.claimableAt
    ? left.claimableAt < right.claimableAt
    : left.dueAt < right.dueAt || (left.dueAt === right.dueAt && left.id < right.id)

export const byTurn = (left: ScheduledTask, right: ScheduledTask): number => isDueBefore(left, right) ? -1 : 1

/** An entry that is no longer its Task's current state is stale: passed over, and removed some time later. */
export class Unowned {
  private readonly heap = new Heap<ScheduledTask>(isDueBefore)
  private readonly tasks: NewestFirst<TaskId, Task>
  private stale = 0

  constructor(tasks: NewestFirst<TaskId, Task>) {
    this.tasks = tasks
  }

  /** The current one that becomes claimable first. */
  get first(): ScheduledTask | undefined {
    for (;;) {
      const { first } = this.heap
      if (first === undefined || this.isCurrent(first)) return first
      this.heap.pop()
      this.stale = Math.max(0, this.stale - 1)
    }
  }

  push(task: ScheduledTask): void {
    this.heap.push(task)
  }

  /** Removes the first. */
  pop(): void {
    this.heap.pop()
  }

  /** All entries, stale ones among them, in no particular order. */
  values(): ReadonlyArray<ScheduledTask> {
    return this.heap.values()
  }

  isCurrent(task: ScheduledTask): boolean {
    return this.tasks.get(task.id) === task
  }

  /** Cancelled far-future Tasks must not fill the heap until they would have been due. */
  noteStale(count = 1): void {
    this.stale += count
    if (this.stale > 1_024 && this.stale * 2 > this.heap.size) {
      this.heap.retain((task) => this.isCurrent(task))
      this.stale = 0
    }
  }
}

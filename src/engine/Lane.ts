/** What waits here for one function, in the order in which it is to start. */
import { Heap } from "../domain/Heap.ts"
import type { ClaimedTask } from "../ports/TaskRepository.ts"

/** What a point of priority is worth in milliseconds of waiting: what has less of it is late, and not left. */
const priorityPoint = 1_000

/** So many points of priority double a function's share of the slots. */
const pointsToDouble = 10

/** By this a Task is compared: when it was due, and earlier by its priority. */
const rankOf = (task: ClaimedTask): number => task.dueAt - task.priority * priorityPoint

const isBefore = (left: ClaimedTask, right: ClaimedTask): boolean => {
  const difference = rankOf(left) - rankOf(right)
  return difference !== 0 ? difference < 0 : left.id < right.id
}

export class Lane {
  readonly name: string
  readonly ready = new Heap<ClaimedTask>(isBefore)
  /** What waits here at all: what is ready, and what is not due yet. */
  waiting = 0
  running = 0

  constructor(name: string) {
    this.name = name
  }

  /** Nothing waits here any more. */
  empty(): void {
    this.ready.retain(() => false)
    this.waiting = 0
  }

  /** How much of the slots it has, for what it should have: the lane with the least is next. */
  private get share(): number {
    const priority = this.ready.first?.priority ?? 0
    return priority === 0 ? this.running : this.running / 2 ** (priority / pointsToDouble)
  }

  /** Whether its first Task starts before that of another, both having some. */
  isNextBefore(other: Lane): boolean {
    const [mine, theirs] = [this.share, other.share]
    return mine !== theirs ? mine < theirs : isBefore(this.ready.first as ClaimedTask, other.ready.first as ClaimedTask)
  }
}

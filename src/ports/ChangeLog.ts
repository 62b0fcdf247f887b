/** The latest changes, in a ring: a reader that lags further behind is told so. */
import { Effect } from "effect"
import type { Task } from "../domain/Task.ts"
import type { Changes, TaskChange, TaskChangeKind } from "./TaskRepository.ts"

/** How many changes are kept: at least 10,000, a power of two. */
const capacity = 16_384

/** How many are kept while nobody listens: to keep thousands of Tasks alive for nobody costs every collection. */
const unheardCapacity = 256

/** How many are handed out at once. */
const batch = 4_096

export class ChangeLog {
  private readonly ring: Array<TaskChange | undefined> = []
  private last = 0
  /** The latest change that is no longer kept. */
  private forgotten = 0
  private readonly isHeard: () => boolean
  private readonly waiting = new Set<() => void>()

  /** @param isHeard whether anybody is going to read; default: always */
  constructor(isHeard: () => boolean = () => true) {
    this.isHeard = isHeard
  }

  append(kind: TaskChangeKind, task: Task): void {
    this.last += 1
    this.ring[this.last & (capacity - 1)] = { sequence: this.last, kind, task }
    const kept = this.isHeard() ? capacity : unheardCapacity
    while (this.forgotten < this.last - kept) {
      this.forgotten++
      if (kept < capacity) this.ring[this.forgotten & (capacity - 1)] = undefined
    }
    this.wakeAll()
  }

  /** Some changes could not be learned of: whoever has read up to here is told that it has missed some. */
  lose(): void {
    this.last += 1
    while (this.forgotten < this.last) {
      this.forgotten++
      this.ring[this.forgotten & (capacity - 1)] = undefined
    }
    this.wakeAll()
  }

  private wakeAll(): void {
    if (this.waiting.size === 0) return
    const woken = [...this.waiting]
    this.waiting.clear()
    for (const wake of woken) wake()
  }

  /** Reads on after a sequence number, waiting while there is nothing. */
  read(after: number | "latest"): Effect.Effect<Changes> {
    if (after === "latest") return Effect.succeed({ changes: [], last: this.last, truncated: false })
    const from = Math.min(after, this.last)
    if (from < this.last) return Effect.succeed(this.slice(from))
    return Effect.async((resume) => {
      // Sliced when the reader runs, not when it is woken: what else changes in the same turn comes along.
      const wake = () => resume(Effect.sync(() => this.slice(from)))
      this.waiting.add(wake)
      return Effect.sync(() => this.waiting.delete(wake))
    })
  }

  private slice(from: number): Changes {
    const truncated = from < this.forgotten
    const begin = Math.max(from, this.forgotten)
    const end = Math.min(this.last, begin + batch)
    const changes: Array<TaskChange> = []
    for (let sequence = begin + 1; sequence <= end; sequence++) {
      changes.push(this.ring[sequence & (capacity - 1)] as TaskChange)
    }
    return { changes, last: end, truncated }
  }
}

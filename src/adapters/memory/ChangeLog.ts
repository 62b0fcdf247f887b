/** The latest changes, in a ring: a reader that lags further behind is told so. */
import { Deferred, Effect, FiberId } from "effect"
import type { Task } from "../../domain/Task.ts"
import type { Changes, TaskChange, TaskChangeKind } from "../../ports/TaskRepository.ts"

/** How many changes are kept: at least 10,000, a power of two. */
const capacity = 16_384

/** How many are handed out at once. */
const batch = 4_096

export class ChangeLog {
  private readonly ring: Array<TaskChange | undefined> = []
  private last = 0
  private waiting: Array<Deferred.Deferred<void>> = []

  append(kind: TaskChangeKind, task: Task): void {
    this.last += 1
    this.ring[this.last & (capacity - 1)] = { sequence: this.last, kind, task }
    if (this.waiting.length > 0) {
      const woken = this.waiting
      this.waiting = []
      for (const waiter of woken) Deferred.unsafeDone(waiter, Effect.void)
    }
  }

  /** Reads on after a sequence number, waiting while there is nothing. */
  read(after: number | "latest"): Effect.Effect<Changes> {
    return Effect.suspend(() => {
      if (after === "latest") return Effect.succeed({ changes: [], last: this.last, truncated: false })
      const from = Math.min(after, this.last)
      if (from < this.last) return Effect.succeed(this.slice(from))
      const waiter = Deferred.unsafeMake<void>(FiberId.none)
      this.waiting.push(waiter)
      return Deferred.await(waiter).pipe(
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            this.waiting = this.waiting.filter((other) => other !== waiter)
          })
        ),
        Effect.zipRight(Effect.suspend(() => this.read(from)))
      )
    })
  }

  private slice(from: number): Changes {
    const oldest = Math.max(0, this.last - capacity)
    const truncated = from < oldest
    const begin = Math.max(from, oldest)
    const end = Math.min(this.last, begin + batch)
    const changes: Array<TaskChange> = []
    for (let sequence = begin + 1; sequence <= end; sequence++) {
      changes.push(this.ring[sequence & (capacity - 1)] as TaskChange)
    }
    return { changes, last: end, truncated }
  }
}

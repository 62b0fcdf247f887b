/** What happens to Tasks, whoever does it: read from the store's changes by one fiber, handed to all who listen. */
import type { Context, Scope } from "effect"
import { Deferred, Effect, FiberId, Option, PubSub, RcRef, Schedule, Stream } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import { SchedulerClosed, TaskNotFound } from "../domain/Errors.ts"
import type { TaskId } from "../domain/Ids.ts"
import type { FinishedTask } from "../domain/Task.ts"
import { isFinished } from "../domain/Task.ts"
import type { Changes, TaskChange, TaskRepository } from "../ports/TaskRepository.ts"
import { chore } from "./Chore.ts"

export interface TaskEvents {
  readonly stream: Stream.Stream<TaskChange>
  /** The Task once it has ended. */
  readonly awaitFinished: (
    id: TaskId
  ) => Effect.Effect<FinishedTask, TaskNotFound | SchedulerClosed | TaskRepositoryError>
}

/** When to ask a store again that does not tell its changes. */
const whileAway = Schedule.spaced("1 second")

/** Changes of a shared store are read for so long after the last one who wanted them. */
const lingers = "5 seconds"

export const makeTaskEvents = (
  repository: Context.Tag.Service<TaskRepository>,
  buffer: number
): Effect.Effect<TaskEvents, TaskRepositoryError, Scope.Scope> =>
  Effect.gen(function*() {
    // A subscriber that is too slow loses the oldest, and sees it by the gap in the sequence.
    const published = yield* PubSub.sliding<TaskChange>(buffer)
    let subscribers = 0
    const waiting = new Map<TaskId, Set<Deferred.Deferred<FinishedTask, TaskNotFound | SchedulerClosed>>>()
    let closed = false
    let after = 0

    const tell = (id: TaskId, answer: Effect.Effect<FinishedTask, TaskNotFound | SchedulerClosed>) => {
      for (const waiter of waiting.get(id) ?? []) Deferred.unsafeDone(waiter, answer)
    }

    /** After a gap in the changes: asks for each awaited Task itself. */
    const recheck = Effect.suspend(() =>
      Effect.forEach([...waiting.keys()], (id) =>
        Effect.map(repository.get(id), (found) => {
          if (Option.isNone(found)) tell(id, new TaskNotFound({ id }))
          else if (isFinished(found.value)) tell(id, Effect.succeed(found.value))
        }), { discard: true })
    )

    const hand = (read: Changes): Effect.Effect<unknown> => {
      // Only now: what could not be asked for is asked for again.
      after = read.last
      if (waiting.size > 0) {
        for (const { task } of read.changes) if (isFinished(task)) tell(task.id, Effect.succeed(task))
      }
      return subscribers > 0 ? PubSub.publishAll(published, read.changes) : Effect.void
    }
    const read = Effect.flatMap(
      Effect.suspend(() => repository.changes(after)),
      (read) => read.truncated ? Effect.zipRight(recheck, Effect.suspend(() => hand(read))) : hand(read)
    )
    // It gives way by waiting for changes; `Effect.forever` would do so after every one as well.
    const readOn: Effect.Effect<never, TaskRepositoryError> = Effect.flatMap(read, () => readOn)
    const readOnInBackground = chore("read changes", readOn, whileAway)
    const reading = Effect.map(repository.changes("latest"), ({ last }) => {
      after = last
    }).pipe(Effect.zipRight(readOnInBackground))
    const interested = yield* RcRef.make({ acquire: reading, idleTimeToLive: lingers })
    // To read costs a store of this process nothing: it goes on all the time.
    if (!repository.shared) yield* RcRef.get(interested)
    const subscribe = Effect.acquireRelease(
      Effect.sync(() => {
        subscribers++
      }),
      () =>
        Effect.sync(() => {
          subscribers--
        })
    ).pipe(
      Effect.zipRight(Effect.orDie(Effect.retry(RcRef.get(interested), whileAway))),
      Effect.zipRight(PubSub.subscribe(published))
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        for (const id of waiting.keys()) {
          tell(id, new SchedulerClosed())
        }
        return PubSub.shutdown(published)
      })
    )

    const awaitFinished = (id: TaskId) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const waiter = Deferred.unsafeMake<FinishedTask, TaskNotFound | SchedulerClosed>(FiberId.none)
          const waiters = waiting.get(id) ?? new Set()
          waiting.set(id, waiters.add(waiter))
          return waiter
        }),
        // Asked only once the waiter is there and changes are read, so that an end in between is not missed.
        (waiter) =>
          Effect.scoped(Effect.flatMap(
            Effect.zipRight(Effect.suspend(() => closed ? Effect.void : RcRef.get(interested)), repository.get(id)),
            Option.match({
              onNone: () => new TaskNotFound({ id }),
              onSome: (task) => {
                if (isFinished(task)) {
                  return Effect.succeed(task)
                }
                return closed ? new SchedulerClosed() : Deferred.await(waiter)
              }
            })
          )),
        (waiter) =>
          Effect.sync(() => {
            const waiters = waiting.get(id)
            waiters?.delete(waiter)
            if (waiters?.size === 0) {
              waiting.delete(id)
            }
          })
      )

    return { stream: Stream.unwrapScoped(Effect.map(subscribe, Stream.fromQueue)), awaitFinished }
  })

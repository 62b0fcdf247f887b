/** Stores and clocks that misbehave on purpose. */
import { Layer, Logger } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import { TaskRepository, TaskRepositoryError } from "../../src/index.ts"

export type Store = TaskRepository["Type"]

/** The memory store with some of its calls replaced. */
export const storeWith = (change: (store: Store) => Partial<Store>): Layer.Layer<TaskRepository> =>
  Layer.map(MemoryTaskRepository.layer, (context) => {
    const store = context.unsafeMap.get(TaskRepository.key) as Store
    context.unsafeMap.set(TaskRepository.key, { ...store, ...change(store) })
    return context
  })

export const down = () => new TaskRepositoryError({ reason: "Unavailable", message: "down" })

/** For tests in which something is meant to be logged as a failure. */
export const quiet = Logger.remove(Logger.defaultLogger)

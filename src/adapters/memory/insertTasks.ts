/** Stores new Tasks, each once for its id and its idempotency key. */
import { TaskId } from "../../domain/Ids.ts"
import type { ScheduledTask } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import type { ClaimOnInsert, IdempotencyKey, InsertVerdict } from "../../ports/TaskRepository.ts"
import type { Store } from "./Store.ts"

/** Stores a Task, claimed if it becomes claimable soon enough. */
export const storeTask = (store: Store, task: ScheduledTask, claim: ClaimOnInsert | undefined): ScheduledTask => {
  const claimed = claim !== undefined && task.claimableAt <= claim.until
    ? TaskLifecycle.claim(task, claim.lease.instanceId)
    : undefined
  const stored = claimed ?? task
  store.put(stored, "scheduled")
  return stored
}

export const insertTask = (
  store: Store,
  task: ScheduledTask,
  claim: ClaimOnInsert | undefined,
  key?: IdempotencyKey
): InsertVerdict => {
  const before = store.keys.find(key)
  if (before?._tag === "Conflict") return { _tag: "Conflict", id: before.id }
  const id = before === undefined ? task.id : TaskId.make(before.id)
  const present = store.tasks.get(id)
  if (present === undefined && before !== undefined) return { _tag: "Gone", id }
  store.keys.note(key, id)
  return present !== undefined
    ? { _tag: "Present", task: present }
    : { _tag: "Inserted", task: storeTask(store, task, claim) }
}

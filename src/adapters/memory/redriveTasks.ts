/** Repeats dead letters, each once. */
import type { RedriveTask } from "../../domain/Task.ts"
import type { ClaimOnInsert, RedriveVerdict } from "../../ports/TaskRepository.ts"
import { storeTask } from "./insertTasks.ts"
import type { Store } from "./Store.ts"

const redriveTask = (store: Store, task: RedriveTask, claim: ClaimOnInsert | undefined): RedriveVerdict => {
  const dead = store.tasks.get(task.redriveOf)
  if (dead === undefined) return { _tag: "NotFound" }
  if (dead.status !== "Failed") return { _tag: "NotFailed", status: dead.status }
  const id = dead.redrivenAs ?? task.id
  const present = store.tasks.get(id)
  if (present !== undefined) return { _tag: "Present", task: present }
  if (dead.redrivenAs !== undefined) return { _tag: "Gone", id }
  store.tasks.set(dead.id, { ...dead, redrivenAs: id })
  return { _tag: "Redriven", task: storeTask(store, task, claim) }
}

/** One verdict each, in order. */
export const redriveTasks = (
  store: Store,
  tasks: ReadonlyArray<RedriveTask>,
  claim: ClaimOnInsert | undefined
): ReadonlyArray<RedriveVerdict> => tasks.map((task) => redriveTask(store, task, claim))

/** Ends of attempts, and what follows them. */
import { isFinished } from "../../domain/Task.ts"
import * as TaskLifecycle from "../../domain/TaskLifecycle.ts"
import { noteEnd } from "../../policies/failures.ts"
import { follow } from "../../policies/occurrences.ts"
import type { Lease, SettleRequest, SettleVerdict, TaskChangeKind } from "../../ports/TaskRepository.ts"
import { freeNext } from "./lanes.ts"
import type { Store } from "./Store.ts"

const settledKinds: Readonly<Record<SettleRequest["to"]["_tag"], TaskChangeKind>> = {
  Succeeded: "succeeded",
  Failed: "failed",
  Retry: "retrying"
}

const settleTask = (store: Store, lease: Lease, request: SettleRequest): SettleVerdict => {
  const task = store.tasks.get(request.id)
  const settled = task && TaskLifecycle.settle(task, lease.instanceId, request)
  if (settled === undefined) return { _tag: "Fenced" }
  store.put(settled, settledKinds[request.to._tag])
  const entry = store.scheduleOf(settled)
  const { at } = request.end
  if (entry !== undefined && request.tells === true) entry.schedule = noteEnd(entry.schedule, settled)
  const next = entry && store.followed(entry, follow(entry.schedule, settled, request.successor, at), lease)
  return request.tells === true && isFinished(settled) && freeNext(store, settled, at)
    ? { _tag: "Accepted", task: settled, next, freed: true }
    : { _tag: "Accepted", task: settled, next }
}

/** One verdict each, in order. */
export const settleTasks = (
  store: Store,
  lease: Lease,
  requests: ReadonlyArray<SettleRequest>
): ReadonlyArray<SettleVerdict> => requests.map((request) => settleTask(store, lease, request))

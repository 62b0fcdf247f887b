/** The memory store: each of its methods is one transaction, which runs without giving way, so nobody sees half of it. */
import type { TaskScheduleId } from "../../domain/Ids.ts"
import type { ClaimOnInsert, ScheduleChange, ScheduleChanged, ScheduleFound } from "../../ports/TaskRepository.ts"
import { cancelWork } from "./cancelWork.ts"
import { changeSchedule } from "./changeSchedule.ts"
import { claimTasks } from "./claimTasks.ts"
import { deferTasks, recallTasks } from "./deferTasks.ts"
import { insertSchedule } from "./insertSchedule.ts"
import { insertTask } from "./insertTasks.ts"
import { closeLease, openLease, reap, reconcile, release, renewLease } from "./leases.ts"
import { pruneTasks, purgeTasks } from "./pruneTasks.ts"
import { redriveTasks } from "./redriveTasks.ts"
import { settleTasks } from "./settleTasks.ts"
import { startTasks } from "./startTasks.ts"
import { Store } from "./Store.ts"

export class MemoryStore extends Store {
  readonly openLease = openLease.bind(undefined, this)
  readonly renewLease = renewLease.bind(undefined, this)
  readonly closeLease = closeLease.bind(undefined, this)
  readonly reap = reap.bind(undefined, this)
  readonly reconcile = reconcile.bind(undefined, this)
  readonly release = release.bind(undefined, this)

  readonly insert = insertTask.bind(undefined, this)
  readonly claimDue = claimTasks.bind(undefined, this)
  readonly start = startTasks.bind(undefined, this)
  readonly settle = settleTasks.bind(undefined, this)
  readonly defer = deferTasks.bind(undefined, this)
  readonly recall = recallTasks.bind(undefined, this)
  readonly cancel = cancelWork.bind(undefined, this)
  readonly redrive = redriveTasks.bind(undefined, this)
  readonly prune = pruneTasks.bind(undefined, this)
  readonly purge = purgeTasks.bind(undefined, this)
  readonly insertSchedule = insertSchedule.bind(undefined, this)

  changeSchedule<A>(
    id: TaskScheduleId,
    claim: ClaimOnInsert | undefined,
    change: (found: ScheduleFound | undefined) => ScheduleChange<A>
  ): ScheduleChanged<A> {
    return changeSchedule(this, id, claim, change)
  }
}

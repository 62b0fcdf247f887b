/** Repeats dead letters: locked, judged, and marked with the Task that repeats them, all in one transaction. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import type { InstanceId, TaskId } from "../../domain/Ids.ts"
import type { RedriveTask, ScheduledTask, TaskStatus } from "../../domain/Task.ts"
import type { RedriveVerdict } from "../../ports/TaskRepository.ts"
import { plain } from "./arrays.ts"
import type { Run } from "./Db.ts"
import { insertTasks, present } from "./insertTasks.ts"
import type { Store } from "./Store.ts"

export interface RedriveRequest {
  readonly task: RedriveTask
  /** Who claims the Task with the insert, if its lease lives. */
  readonly claimer: InstanceId | undefined
}

/** @param run in which transaction */
export const redriveTasks = (
  store: Store,
  run: Run,
  requests: ReadonlyArray<RedriveRequest>
): Effect.Effect<ReadonlyArray<RedriveVerdict>, SqlError> =>
  Effect.gen(function*() {
    const { tasks: table } = store.tables
    const locked = yield* run(
      `SELECT id, status, redriven_as FROM ${table} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE`,
      [plain(requests.map(({ task }) => task.redriveOf))]
    )
    const letters = new Map(locked.map(([id, status, redrivenAs]) => [
      id as TaskId,
      { status: status as TaskStatus, redrivenAs: redrivenAs as TaskId | null }
    ]))
    /** Those that nobody has redriven before, each by the first that asks for it. */
    const firsts = new Map<TaskId, RedriveRequest>()
    for (const request of requests) {
      const { redriveOf } = request.task
      const letter = letters.get(redriveOf)
      if (letter?.status !== "Failed" || letter.redrivenAs !== null || firsts.has(redriveOf)) continue
      firsts.set(redriveOf, request)
    }
    const inserted = firsts.size === 0
      ? []
      : yield* insertTasks(store, run, Array.from(firsts.values(), (first) => ({ ...first, key: undefined })))
    const made = new Map<TaskId, ScheduledTask>()
    for (const verdict of inserted) if (verdict._tag === "Inserted") made.set(verdict.task.id, verdict.task)
    if (made.size > 0) {
      yield* run(
        `UPDATE ${table} t SET redriven_as = u.redriven_as FROM unnest($1::uuid[], $2::uuid[]) AS u(id, redriven_as)
          WHERE t.id = u.id`,
        [plain(Array.from(made.values(), ({ redriveOf }) => redriveOf)), plain([...made.keys()])]
      )
    }
    /** By which Task a dead letter is repeated. */
    const repeatedBy = ({ redriveOf }: RedriveTask): TaskId =>
      letters.get(redriveOf)?.redrivenAs ?? (firsts.get(redriveOf) as RedriveRequest).task.id
    const dead = requests.filter(({ task }) => letters.get(task.redriveOf)?.status === "Failed")
    const before = dead.map(({ task }) => repeatedBy(task)).filter((id) => !made.has(id))
    const found = yield* present(store, run, before)
    return requests.map(({ task }): RedriveVerdict => {
      const letter = letters.get(task.redriveOf)
      if (letter === undefined) return { _tag: "NotFound" }
      if (letter.status !== "Failed") return { _tag: "NotFailed", status: letter.status }
      const id = repeatedBy(task)
      const mine = made.get(id)
      if (mine !== undefined) return { _tag: task.id === id ? "Redriven" : "Present", task: mine }
      const other = found.get(id)
      return other === undefined ? { _tag: "Gone", id } : { _tag: "Present", task: other }
    })
  })

/** Start marks under caps: counted and written in one transaction, one after the other for each cap. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { capOf, letIn } from "../../policies/caps.ts"
import type { StartVerdict } from "../../ports/TaskRepository.ts"
import { plain, texts } from "./arrays.ts"
import type { Run } from "./Db.ts"
import type { StartRequest } from "./startTasks.ts"
import type { Store } from "./Store.ts"
import { isAlive } from "./Store.ts"
import { startIn } from "./workOn.ts"

/** Whether a mark has to ask for room. */
export const isCapped = ({ mark }: StartRequest): boolean => mark.caps !== undefined && mark.caps.length > 0

const capsOf = ({ mark }: StartRequest): ReadonlyArray<string> => mark.caps ?? []

/**
 * How many more may run under each cap, locked. A permit counts as long as its Task runs under the living lease of the
 * instance that it was given to: one of a run that has ended, or of the dead, is gone by itself.
 */
const roomUnder = (store: Store, run: Run, names: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { controls, instances, permits, tasks } = store.tables
    const caps = yield* run(
      `SELECT name, state FROM ${controls} WHERE kind = 'cap' AND name = ANY($1::text[]) ORDER BY name FOR UPDATE`,
      [texts(names)]
    )
    const counted = caps.map(([name]) => name as string)
    yield* run(
      `DELETE FROM ${permits} p WHERE p.name = ANY($1::text[]) AND NOT EXISTS (
        SELECT 1 FROM ${tasks} t JOIN ${instances} i ON i.id = t.owner AND ${isAlive}
        WHERE t.id = p.task_id AND t.owner = p.owner AND t.status = 'Running')`,
      [texts(counted)]
    )
    const taken = new Map(
      (yield* run(`SELECT name, count(*)::int FROM ${permits} WHERE name = ANY($1::text[]) GROUP BY name`, [
        texts(counted)
      ])).map(([name, count]) => [name as string, count as number])
    )
    return new Map(caps.map(([name, state]) => [
      name as string,
      capOf(state as string) - (taken.get(name as string) ?? 0)
    ]))
  })

export const startCapped = (
  store: Store,
  requests: ReadonlyArray<StartRequest>
): Effect.Effect<ReadonlyArray<StartVerdict>, SqlError> =>
  Effect.map(
    store.db.transact((run) =>
      Effect.gen(function*() {
        const room = yield* roomUnder(store, run, [...new Set(requests.flatMap(capsOf))])
        const full = letIn(requests.map(capsOf), room)
        const admitted = requests.filter((_, index) => full[index] === undefined)
        const started = yield* startIn(store, run, admitted)
        const permits = admitted.flatMap((request, index) =>
          started.verdicts[index]?._tag === "Started"
            ? capsOf(request).filter((cap) => room.has(cap)).map((cap) => ({ cap, request }))
            : []
        )
        if (permits.length > 0) {
          yield* run(
            `INSERT INTO ${store.tables.permits} (name, task_id, owner)
              SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[])
              ON CONFLICT (name, task_id) DO UPDATE SET owner = excluded.owner`,
            [
              texts(permits.map(({ cap }) => cap)),
              plain(permits.map(({ request }) => request.mark.id)),
              plain(permits.map(({ request }) => request.owner))
            ]
          )
        }
        return { full, started }
      })
    ),
    ({ full, started }) => {
      started.tell()
      const verdicts = started.verdicts[Symbol.iterator]()
      return full.map((cap): StartVerdict =>
        cap === undefined ? verdicts.next().value as StartVerdict : { _tag: "Capped", cap }
      )
    }
  )

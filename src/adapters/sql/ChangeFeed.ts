/**
 * What changes in the store, whoever changes it: this instance's own changes as they are committed, those of others read
 * from the table that every instance notes its changes in, while somebody listens.
 */
import type { SqlError } from "@effect/sql/SqlError"
import type { Scope } from "effect"
import { Effect, Queue } from "effect"
import type { TaskRepositoryError } from "../../domain/Errors.ts"
import type { TaskId } from "../../domain/Ids.ts"
import type { Millis } from "../../domain/Time.ts"
import type { Changes, TaskChangeKind } from "../../ports/TaskRepository.ts"
import { plain } from "./arrays.ts"
import { asStoreError } from "./Db.ts"
import type { Store } from "./Store.ts"
import { readTasks } from "./Store.ts"

export interface ChangeFeed {
  readonly changes: (after: number | "latest") => Effect.Effect<Changes, TaskRepositoryError>
  /** Whether anybody listens, or has just done so. */
  readonly isHeard: () => boolean
  /** Tells that others have changed something. */
  readonly wake: () => void
}

const pollEvery: Millis = 1_000

/** Tasks read in one statement. */
const batch = 1_000

export const makeChangeFeed = (store: Store): Effect.Effect<ChangeFeed, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { changes: table, tasks } = store.tables
    const woken = yield* Queue.sliding<void>(1)
    let listeners = 0
    /** All transactions before this one have ended, and what they changed has been read. */
    let horizon: string | undefined
    /** Rows from the horizon on that have been read: others of the same age may still be committed after them. */
    let seen = new Set<string>()
    let isWatching = false

    const snapshot = Effect.map(
      store.db.run("SELECT pg_snapshot_xmin(pg_current_snapshot())::text"),
      ([row]) => row?.[0] as string
    )

    const tell = (changed: ReadonlyArray<readonly [TaskChangeKind, TaskId]>): Effect.Effect<void, SqlError> =>
      Effect.gen(function*() {
        for (let from = 0; from < changed.length; from += batch) {
          const some = changed.slice(from, from + batch)
          const rows = yield* store.db.run(`SELECT ${store.columns} FROM ${tasks} t WHERE t.id = ANY($1::uuid[])`, [
            plain([...new Set(some.map(([, id]) => id))])
          ])
          const found = new Map((yield* readTasks(store, rows)).map((task) => [task.id, task]))
          for (const [kind, id] of some) {
            const task = found.get(id)
            if (task !== undefined) store.log.append(kind, task)
          }
        }
      })

    const poll = Effect.gen(function*() {
      const rows = yield* store.db.run(
        `SELECT now.xmin, c.id::text, c.xid::text, c.kinds, c.ids
          FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin) now
          LEFT JOIN ${table} c ON c.xid >= $1::text::xid8 AND c.instance <> $2 ORDER BY c.id`,
        [horizon, store.boot]
      )
      const xmin = rows[0]?.[0] as string
      const fresh = rows.filter(([, id]) => id !== null && !seen.has(id as string))
      yield* tell(fresh.flatMap(([, , , kinds, ids]) =>
        (ids as ReadonlyArray<TaskId>).map((id, index) =>
          [(kinds as ReadonlyArray<TaskChangeKind>)[index] as TaskChangeKind, id] as const
        )
      ))
      horizon = xmin
      const edge = BigInt(xmin)
      seen = new Set(
        rows.flatMap(([, id, xid]) =>
          id !== null && BigInt(xid as string) >= edge ? [id as string] : []
        )
      )
    })

    const pollOnce = Effect.suspend(() => listeners > 0 && horizon !== undefined ? poll : Effect.void).pipe(
      Effect.catchAll((error) => Effect.logDebug("Could not read what others have changed; trying again", error))
    )
    // A reader that is busy with what it has read comes back; one that does not is gone.
    const idleRounds = 10
    const watch = Effect.iterate(0, {
      while: (idle) => idle < idleRounds,
      body: (idle) =>
        Effect.zipRight(
          Effect.zipRight(pollOnce, Effect.timeoutOption(Queue.take(woken), pollEvery)),
          Effect.sync(() => listeners > 0 ? 0 : idle + 1)
        )
    })
    // Asleep while nobody listens: an idle store is not asked.
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(
      Queue.take(woken),
      Effect.zipRight(
        watch,
        Effect.sync(() => {
          isWatching = false
        })
      )
    )))

    /** From now on what others change is read. */
    const begin = Effect.suspend(() => {
      if (isWatching) return Effect.void
      return Effect.map(snapshot, (xmin) => {
        isWatching = true
        horizon = xmin
        seen = new Set()
        Queue.unsafeOffer(woken, undefined)
      })
    })

    return {
      changes: (after) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            listeners++
          }),
          () => Effect.zipRight(after === "latest" ? asStoreError(begin) : Effect.void, store.log.read(after)),
          () =>
            Effect.sync(() => {
              listeners--
            })
        ),
      isHeard: () => isWatching || listeners > 0,
      wake: () => Queue.unsafeOffer(woken, undefined)
    }
  })

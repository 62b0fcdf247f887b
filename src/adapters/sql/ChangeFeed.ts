/**
 * What changes in the store, whoever changes it: this instance's own changes as they are committed, those of others read
 * from the table that every instance notes its changes in, while somebody listens.
 */
import type { SqlError } from "@effect/sql/SqlError"
import type { Scope } from "effect"
import { Clock, Effect, Queue } from "effect"
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

/**
 * Milliseconds between two looks, how many of them without a reader until there are none any more, and how long after a
 * look the next one may have missed something: changes are kept a little longer.
 */
const defaultTiming: { readonly pollEvery: Millis; readonly idleRounds: number; readonly reliedOn: Millis } = {
  pollEvery: 1_000,
  idleRounds: 10,
  reliedOn: 8 * 60_000
}

/** Tasks read in one statement. */
const batch = 1_000

export const makeChangeFeed = (
  store: Store,
  { idleRounds, pollEvery, reliedOn }: typeof defaultTiming = defaultTiming
): Effect.Effect<ChangeFeed, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { changes: table, tasks } = store.tables
    const woken = yield* Queue.sliding<void>(1)
    const alone = yield* Effect.makeSemaphore(1)
    let listeners = 0
    let isWatching = false
    /** All transactions before this one have ended, and what they changed has been read. */
    let horizon: string | undefined
    let readAt = 0
    /** Rows from the horizon on that have been read: others of the same age may still be committed after them. */
    let seen = new Map<string, bigint>()

    /** From now on; whatever was changed since the last look has been missed. */
    const begin = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      // What is there already is not news, though a transaction that is older may still be open.
      const rows = yield* store.db.run(
        `SELECT now.xmin::text, c.id::text, c.xid::text
          FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) now
          LEFT JOIN ${table} c ON c.xid >= now.xmin`
      )
      if (horizon !== undefined) store.log.lose()
      horizon = rows[0]?.[0] as string
      readAt = now
      seen = new Map(rows.flatMap(([, id, xid]) => id === null ? [] : [[id as string, BigInt(xid as string)] as const]))
    })

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

    const readOn = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const rows = yield* store.db.run(
        `SELECT now.xmin, c.id::text, c.xid::text, c.kinds, c.ids
          FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin) now
          LEFT JOIN ${table} c ON c.xid >= $1::text::xid8 AND c.instance <> $2
            AND NOT EXISTS (SELECT 1 FROM unnest($3::bigint[]) AS s(id) WHERE s.id = c.id)
          ORDER BY c.id`,
        [horizon, store.boot, plain([...seen.keys()])]
      )
      const fresh = rows.filter(([, id]) => id !== null)
      yield* tell(fresh.flatMap(([, , , kinds, ids]) =>
        (ids as ReadonlyArray<TaskId>).map((id, index) =>
          [(kinds as ReadonlyArray<TaskChangeKind>)[index] as TaskChangeKind, id] as const
        )
      ))
      for (const [, id, xid] of fresh) {
        seen.set(id as string, BigInt(xid as string))
      }
      horizon = rows[0]?.[0] as string
      readAt = now
      const edge = BigInt(horizon)
      for (const [id, xid] of seen) {
        if (xid < edge) {
          seen.delete(id)
        }
      }
    })

    const look = alone.withPermits(1)(Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        horizon === undefined || now - readAt > reliedOn ? begin : readOn
    ))
    const beginHere = alone.withPermits(1)(begin)

    const lookIfAsked = Effect.suspend(() => listeners > 0 ? look : Effect.void).pipe(
      Effect.catchAll((error) => Effect.logDebug("Could not read what others have changed; trying again", error))
    )
    // A reader that is busy with what it has read comes back; one that does not is gone.
    const watch = Effect.iterate(0, {
      while: (idle) => idle < idleRounds,
      body: (idle) =>
        Effect.zipRight(
          Effect.zipRight(lookIfAsked, Effect.timeoutOption(Queue.take(woken), pollEvery)),
          Effect.sync(() => listeners > 0 ? 0 : idle + 1)
        )
    })
    // Asleep while nobody listens: an idle store is not asked.
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(
      Queue.take(woken),
      Effect.suspend(() =>
        isWatching
          ? Effect.zipRight(
            watch,
            Effect.sync(() => {
              isWatching = false
            })
          )
          : Effect.void
      )
    )))

    const startWatching = () => {
      if (isWatching) return
      isWatching = true
      Queue.unsafeOffer(woken, undefined)
    }

    /** What has been changed so far is nothing to a reader of what comes; others may be reading it. */
    const catchUp = Effect.suspend(() => isWatching ? look : beginHere)
    const beginOnce = Effect.suspend(() => horizon === undefined ? beginHere : Effect.void)

    return {
      changes: (after) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            listeners++
          }),
          () =>
            asStoreError(after === "latest" ? catchUp : beginOnce).pipe(
              Effect.tap(() => Effect.sync(startWatching)),
              Effect.zipRight(Effect.suspend(() => store.log.read(after)))
            ),
          () =>
            Effect.sync(() => {
              listeners--
            })
        ),
      isHeard: () => isWatching || listeners > 0,
      wake: () => Queue.unsafeOffer(woken, undefined)
    }
  })

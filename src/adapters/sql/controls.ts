/** What all instances go by. Rows are never removed, so that the sum of their revisions tells of every change. */
import type { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { running } from "../../policies/pauses.ts"
import type { Control, ControlKind } from "../../ports/TaskRepository.ts"
import type { Store } from "./Store.ts"

export const readControls = (
  store: Store
): Effect.Effect<{ readonly revision: number; readonly controls: ReadonlyArray<Control> }, SqlError> =>
  Effect.map(
    store.db.run(`SELECT kind, name, state, revision::float8 FROM ${store.tables.controls} WHERE state <> ''`),
    (rows) => ({
      revision: rows.reduce((sum, [, , , revision]) => sum + (revision as number), 0),
      controls: rows.map(([kind, name, state]) => ({
        kind: kind as ControlKind,
        name: name as string,
        state: state as string
      }))
    })
  )

/**
 * The names under which something is paused, empty for all functions. Every statement that starts something asks for
 * them in this way: the lock has a change of a pause wait for those that did not see it, and those who come later see it,
 * because a statement locks its tables before it looks at them. A dump of the database, which only reads, is in nobody's way.
 */
export const pausedNames = (store: Store): string =>
  `SELECT c.name FROM ${store.tables.controls} c WHERE c.kind = 'pause' AND c.state NOT IN ('', '${running}')
    FOR KEY SHARE`

export const changeControl = <A>(
  store: Store,
  kind: ControlKind,
  name: string,
  change: (state: string | undefined) => { readonly answer: A; readonly state: string | undefined }
): Effect.Effect<A, SqlError> =>
  store.db.transact((run) =>
    Effect.gen(function*() {
      const { controls } = store.tables
      // Once it has answered nothing is under way that does not know of it.
      if (kind === "pause") yield* run(`LOCK TABLE ${controls} IN EXCLUSIVE MODE`, [])
      // Locks the row, whether it was there or not; an empty state is none yet.
      const [row] = yield* run(
        `INSERT INTO ${controls} (kind, name, state, revision) VALUES ($1, $2, '', 0)
          ON CONFLICT (kind, name) DO UPDATE SET name = excluded.name RETURNING state`,
        [kind, name]
      )
      const before = row?.[0] === "" ? undefined : row?.[0] as string | undefined
      const { answer, state } = change(before)
      if (state !== undefined && state !== before) {
        yield* run(
          `UPDATE ${controls} SET state = $3, revision = revision + 1, updated_at = clock_timestamp()
            WHERE kind = $1 AND name = $2`,
          [kind, name, state]
        )
      }
      return answer
    })
  )

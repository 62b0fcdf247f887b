/** Which idempotency key has made what; a key outlives what it has made by a day. */
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import type { IdempotencyKey } from "../../ports/TaskRepository.ts"

const outlives: Millis = 86_400_000

export class IdempotencyKeys {
  private readonly made = new Map<string, { readonly digest: string; readonly id: string }>()
  private readonly keyOf = new Map<string, string>()
  /** Keys whose Task has been removed, in the order in which they end. */
  private readonly ending: Array<{ readonly key: string; readonly at: EpochMillis }> = []

  /** What a key was used for before; `undefined`: nothing. */
  find(key: IdempotencyKey | undefined): { readonly _tag: "Made" | "Conflict"; readonly id: string } | undefined {
    const before = key && this.made.get(key.key)
    return before && { _tag: before.digest === key.digest ? "Made" : "Conflict", id: before.id }
  }

  note(key: IdempotencyKey | undefined, id: string): void {
    if (key === undefined) return
    this.made.set(key.key, { digest: key.digest, id })
    this.keyOf.set(id, key.key)
  }

  /** What the key has made is gone: from now on its time runs. */
  noteRemoved(id: string, now: EpochMillis): void {
    const key = this.keyOf.get(id)
    if (key === undefined) return
    this.keyOf.delete(id)
    this.ending.push({ key, at: now + outlives })
  }

  prune(now: EpochMillis): void {
    let ended = 0
    for (const { at, key } of this.ending) {
      if (at > now) break
      this.made.delete(key)
      ended++
    }
    this.ending.splice(0, ended)
  }
}

/** Which idempotency key has made what; a key outlives what it has made by a day. */
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import type { IdempotencyKey } from "../../ports/TaskRepository.ts"

const outlives: Millis = 86_400_000

export class IdempotencyKeys {
  private readonly made = new Map<string, { readonly digest: string; readonly id: string }>()
  private readonly keysOf = new Map<string, Array<string>>()
  /** Keys whose Task has been removed, in the order in which they end. */
  private readonly ending: Array<{ readonly key: string; readonly at: EpochMillis }> = []

  /** What a key was used for before; `undefined`: nothing. */
  find(key: IdempotencyKey | undefined): { readonly _tag: "Made" | "Conflict"; readonly id: string } | undefined {
    const before = key && this.made.get(key.key)
    return before && { _tag: before.digest === key.digest ? "Made" : "Conflict", id: before.id }
  }

  /** A key that has not been used before stands for this from now on. */
  note(key: IdempotencyKey | undefined, id: string): void {
    if (key === undefined || this.made.has(key.key)) return
    this.made.set(key.key, { digest: key.digest, id })
    const keys = this.keysOf.get(id)
    if (keys === undefined) this.keysOf.set(id, [key.key])
    else keys.push(key.key)
  }

  /** What keys have made is gone: from now on their time runs. */
  noteRemoved(id: string, now: EpochMillis): void {
    for (const key of this.keysOf.get(id) ?? []) this.ending.push({ key, at: now + outlives })
    this.keysOf.delete(id)
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

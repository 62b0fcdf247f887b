/** What to do with an occurrence that is due while others of its schedule are under way: pure. */
import type { Overlap } from "../domain/Overlap.ts"
import { placesToWait } from "../domain/Overlap.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"

/** What an occurrence shares its turn with. */
export interface Others {
  /** How many have begun and not ended, their waits for a retry included. */
  readonly underWay: number
  /** How many have not begun and come before it. */
  readonly before: number
}

export const noOthers: Others = { underWay: 0, before: 0 }

/**
 * `start`; `skip`; `wait` for one of those under way to end; or `replace`: start, and cancel those under way.
 *
 * @example
 * onOverlap({ policy: "bufferOne" }, { underWay: 1, before: 0 }) // "wait"
 */
export const onOverlap = (
  overlap: Overlap,
  { before, underWay }: Others
): "start" | "skip" | "wait" | "replace" => {
  const isFree = underWay < (overlap.running ?? 1)
  switch (overlap.policy) {
    case "allowAll":
      return "start"
    case "cancelOther":
      return isFree ? "start" : "replace"
    case "skip":
      return isFree ? "start" : "skip"
    case "bufferOne":
    case "bufferAll":
      // In their order: whoever waits longer goes first.
      if (isFree && before === 0) return "start"
      // Stored all at once by a backfill, they have places already.
      return overlap.running !== undefined || before < placesToWait(overlap) ? "wait" : "skip"
  }
}

const soonest: Millis = 100
const latest: Millis = 60_000

/**
 * When an occurrence that waits for others is looked at again, if nothing tells that they have ended: soon at first, and
 * later the longer it has waited.
 */
export const lookAgainAt = (dueAt: EpochMillis, now: EpochMillis): EpochMillis =>
  now + Math.min(latest, Math.max(soonest, now - dueAt))

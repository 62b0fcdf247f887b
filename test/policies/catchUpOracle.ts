/** Which occurrences run after some time has gone by, found by walking through them one by one. */
import { mostMadeUp, windowOf } from "../../src/domain/CatchUp.ts"
import type { AnchoredRule } from "../../src/domain/Recurrence.ts"
import { dueAtOf, nextAfter } from "../../src/domain/Recurrence.ts"
import type { EpochMillis } from "../../src/domain/Time.ts"
import type { Passed, PlannedBy } from "../../src/policies/catchUp.ts"

/** What becomes of one whose instant has gone by. */
export interface Fate {
  readonly at: EpochMillis
  readonly fate: "runs" | Passed["reason"]
}

/** Of every occurrence from one on and up to now. */
export const fatesFrom = (schedule: PlannedBy, from: EpochMillis, now: EpochMillis): ReadonlyArray<Fate> => {
  const { catchUp, id, pause } = schedule
  const rule = schedule.recurrence as AnchoredRule
  const gone: Array<EpochMillis> = []
  for (let at: EpochMillis | undefined = from; at !== undefined && at <= now; at = nextAfter(rule, at)) gone.push(at)

  const isPaused = (at: EpochMillis) =>
    pause?.until !== undefined && pause.until <= now && at >= pause.since && at < pause.until
  const isTooLate = (at: EpochMillis) => now - dueAtOf(rule, id, at) > windowOf(catchUp)
  const latest = new Set(gone.filter((at) => !isPaused(at)).slice(-mostMadeUp(catchUp)))

  return gone.map((at): Fate => {
    if (isPaused(at)) return { at, fate: "paused" }
    if (isTooLate(at)) return { at, fate: catchUp.policy === "skip" ? "catchUp" : "window" }
    if (latest.has(at)) return { at, fate: "runs" }
    return { at, fate: catchUp.policy === "all" ? "cap" : "catchUp" }
  })
}

/** The same as a plan tells it: ranges up to the first that runs. */
export const rangesOf = (fates: ReadonlyArray<Fate>): ReadonlyArray<Omit<Passed, "note">> => {
  const ranges: Array<{ reason: Passed["reason"]; first: number; last: number; count: number }> = []
  for (const { at, fate } of fates) {
    if (fate === "runs") break
    const range = ranges.at(-1)
    if (range?.reason !== fate) ranges.push({ reason: fate, first: at, last: at, count: 1 })
    else {
      range.last = at
      range.count++
    }
  }
  return ranges
}

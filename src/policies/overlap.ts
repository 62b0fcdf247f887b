/** What to do with an occurrence that is due while another one of its schedule is still under way. */
import type { Recurrence } from "../domain/Recurrence.ts"

/**
 * An anchored occurrence is skipped while another has begun and not ended (its retries included). Runs of a `spaced`
 * schedule follow each other by construction.
 *
 * @param othersUnderWay how many other occurrences have begun and not ended
 */
export const onOverlap = (recurrence: Recurrence, othersUnderWay: number): "start" | "skip" =>
  recurrence._tag !== "Spaced" && othersUnderWay > 0 ? "skip" : "start"

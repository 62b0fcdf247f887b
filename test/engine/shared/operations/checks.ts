/** What must hold of schedules, their Tasks and the log of invocations, whatever has been asked for. */
import { checkCalls, checkHistories } from "./checkCalls.ts"
import { checkRecords, checkSkips } from "./checkRecords.ts"
import { checkBackfills, checkFailures, checkSchedules } from "./checkSchedules.ts"
import { checkStalls, checkTurns } from "./checkTurns.ts"
import type { Checked } from "./seen.ts"

export const check = (checked: Checked): void => {
  checkHistories(checked)
  // Whether it is paused by itself is to be known before what it may do.
  checkFailures(checked)
  checkCalls(checked)
  checkTurns(checked)
  checkSkips(checked)
  checkRecords(checked)
  checkSchedules(checked)
  checkBackfills(checked)
  checkStalls(checked)
}

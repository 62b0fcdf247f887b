/** What must have happened somewhere in all stories together: otherwise nothing has been shown. */
const overlaps = [
  "skip: skipped",
  "bufferOne: waited for its turn",
  "bufferOne: skipped",
  "bufferAll: waited for its turn",
  "bufferAll: skipped",
  "cancelOther: replaced",
  "allowAll: ran beside another"
]

const missed = [
  "latest: made up for",
  "latest: range of catchUp",
  "latest with a window: made up for",
  "latest with a window: range of catchUp",
  "latest with a window: range of window",
  "skip: range of catchUp",
  "skip with a window: made up for",
  "skip with a window: range of catchUp",
  "all: made up for",
  "all: range of cap",
  "all with a window: made up for",
  "all with a window: range of cap",
  "all with a window: range of window"
]

const pauses = [
  "paused until",
  "paused while it was paused",
  "paused by itself after failures",
  "paused: record of paused",
  "paused: range of paused",
  "resumed",
  "lifted",
  "held back by a pause of its schedule",
  "held back by a pause of its function",
  "by hand: ran in a pause",
  "a backfill's: ran in a pause",
  "a retry in a pause"
]

const edits = [
  "another rule",
  "instants without a record: another rule came",
  "edited in a pause",
  "edited while something waited",
  "made again under its id",
  "edit refused: InvalidInput",
  "edit refused: RevisionConflict",
  "edit refused: TaskScheduleEnded",
  "edit refused: TaskScheduleNotFound",
  "pause refused: TaskScheduleEnded",
  "resume refused: TaskScheduleNotFound"
]

const ends = [
  "attempt 2",
  "attempt 3",
  "completed by maxRuns",
  "many occurrences",
  "cancelled before it was due",
  "cancelled while it waited",
  "cancelled while it ran",
  "cancelTask refused: TaskFinished",
  "a schedule was cancelled",
  "removed while it ran",
  "restarted",
  "restarted while something ran"
]

const byHand = [
  "by hand: in its own way",
  "runNow refused: TaskScheduleEnded",
  "a backfill of several",
  "a backfill waited",
  "a backfill was cancelled under way",
  "backfill: Completed",
  "backfill: Cancelled",
  "backfill refused: InvalidInput"
]

export const onMemory: ReadonlyArray<string> = [...overlaps, ...missed, ...pauses, ...edits, ...ends, ...byHand]

/** There are fewer stories here: those things that only this store has. */
export const onPostgres: ReadonlyArray<string> = [
  "a lease was lost: dead",
  "a lease was lost: expired",
  "a lease was lost while something ran",
  "a lease was lost while something waited"
]

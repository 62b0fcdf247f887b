/** What all schedules are going to do. */
import type { Context } from "effect"
import { Effect, Either } from "effect"
import { InvalidInput } from "../domain/Errors.ts"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import { dueAtOf } from "../domain/Recurrence.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { parseInstant } from "../domain/Time.ts"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import { occurrenceOf, occurrencesFrom } from "../preview/preview.ts"
import type { UpcomingOccurrence, UpcomingRange } from "./SchedulerApi.ts"
import { parseLimit } from "./WorkRequest.ts"

interface Range {
  readonly from: EpochMillis
  readonly to: EpochMillis
  readonly limit: number
}

const parseRange = (range: UpcomingRange, now: EpochMillis): Either.Either<Range, InvalidInput> =>
  Either.filterOrLeft(
    Either.all({
      from: range.from === undefined ? Either.right(now) : parseInstant(range.from, "from"),
      to: parseInstant(range.to, "to"),
      limit: parseLimit(range.limit)
    }),
    ({ from, to }) => from <= to,
    () =>
      new InvalidInput({
        reason: "WindowEmpty",
        field: "to",
        message: "to: expected an instant that is not before from"
      })
  )

/** Occurrences of one schedule, from the one that is stored next on; at most as many as it has runs left. */
function* occurrencesOf(schedule: TaskSchedule, { from, to }: Range): Generator<UpcomingOccurrence> {
  const { cursor, function: target, id, maxRuns = Infinity, name, recurrence, runs } = schedule
  let left = maxRuns - runs
  for (const at of occurrencesFrom(recurrence, cursor)) {
    if (at >= to || left-- <= 0) return
    if (at < from) continue
    yield {
      ...occurrenceOf(recurrence, at),
      scheduleId: id,
      name,
      functionName: target.name,
      dueAt: dueAtOf(recurrence, id, at)
    }
  }
}

/**
 * @param now epoch milliseconds
 * @returns in order of `at`; of a `spaced` schedule as if each run took no time
 */
export const upcoming = (
  repository: Context.Tag.Service<TaskRepository>,
  range: UpcomingRange,
  now: EpochMillis
): Effect.Effect<ReadonlyArray<UpcomingOccurrence>, InvalidInput | TaskRepositoryError> =>
  Effect.gen(function*() {
    const asked = yield* parseRange(range, now)
    let found: Array<UpcomingOccurrence> = []
    let { to } = asked
    let cursor: string | undefined
    do {
      const page = yield* repository.listSchedules({ status: ["Active"] }, { limit: 1_000, cursor })
      for (const schedule of page.items) {
        let count = 0
        for (const occurrence of occurrencesOf(schedule, { ...asked, to })) {
          found.push(occurrence)
          if (++count >= asked.limit) break
        }
        if (found.length >= 2 * asked.limit) {
          found = earliest(found, asked.limit)
          to = Math.min(to, (found.at(-1) as UpcomingOccurrence).at + 1)
        }
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    return earliest(found, asked.limit)
  })

const earliest = (occurrences: ReadonlyArray<UpcomingOccurrence>, limit: number): Array<UpcomingOccurrence> =>
  occurrences.toSorted((one, other) => one.at - other.at).slice(0, limit)

/**
 * The fibers of the recurring schedules: one for each, driven by an Effect `Schedule`, alive as long as its schedule.
 * The fiber is the timer. It hands each occurrence on when it is due, and waits for the one that follows: `spaced`
 * stores that at the end of a run, anchored rules at its start.
 */
import type { Clock } from "effect"
import { Effect, Fiber, Option, Runtime, Schedule, ScheduleDecision, ScheduleInterval } from "effect"
import type { TaskId, TaskScheduleId } from "../domain/Ids.ts"
import type { Recurrence } from "../domain/Recurrence.ts"
import type { ScheduledTask, Task } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import { successorIsStoredAt } from "../domain/TaskSchedule.ts"
import type { EpochMillis, Millis } from "../domain/Time.ts"
import type { ClaimedTask } from "../ports/TaskRepository.ts"
import { longestHeldPayload } from "../ports/TaskRepository.ts"
import { boundedSleep } from "./BoundedSleep.ts"

export interface ScheduleDrivers {
  /** Starts the fiber of a schedule, from an occurrence that is stored and claimed. Once stopped, only hands it on. */
  readonly start: (schedule: TaskSchedule, first: ClaimedTask) => void
  /** The rule by which a fiber goes on, as it was when the fiber began; not of all of them. */
  readonly held: (id: TaskScheduleId) => TaskSchedule | undefined
  /**
   * Tells what the store has put after an occurrence when it began or ended, or was over without another run (`expire`);
   * `undefined`: nothing.
   */
  readonly followed: (moment: "start" | "end" | "expire", occurrence: Task, next: ScheduledTask | undefined) => void
  /** The occurrence that the fiber waited for is cancelled: it goes on with another one. */
  readonly aim: (id: TaskScheduleId, next: ClaimedTask) => void
  /** The occurrence is no longer this instance's, as the store has told: whoever has it drives on. */
  readonly lost: (occurrence: Pick<Task, "id" | "scheduleId" | "token">) => void
  /** The occurrences that fibers wait for. */
  readonly known: () => Iterable<TaskId>
  /** Interrupts all fibers; what they waited for is up to others. */
  readonly dropAll: Effect.Effect<void>
  /** Interrupts the fiber and waits for its end. */
  readonly stop: (id: TaskScheduleId) => Effect.Effect<void>
  /** Interrupts all fibers for good, and hands on what they waited for. */
  readonly stopAll: Effect.Effect<void>
  /** The live fiber of a schedule. */
  readonly fiber: (id: TaskScheduleId) => Option.Option<Fiber.RuntimeFiber<void>>
}

/** What is different where other instances drive schedules, too. */
export interface SharedStore {
  /** Milliseconds before it is due at which an occurrence is handed on. */
  readonly lead: Millis
  /** Told of an occurrence that is too far away to be held: whoever claims it drives on. */
  readonly onUnclaimed: (occurrence: ClaimedTask) => void
}

/** Recurs when the next occurrence is due; ends when there is none. */
const whenDue = Schedule.makeWithState<void, EpochMillis | undefined, void>(
  undefined,
  (_now, dueAt, state) =>
    Effect.succeed([
      state,
      undefined,
      dueAt === undefined ? ScheduleDecision.done : ScheduleDecision.continueWith(ScheduleInterval.after(dueAt))
    ])
)

/** The Effect `Schedule` of a rule; its input is when the next occurrence is due, if there is one. */
export const effectSchedule = (recurrence: Recurrence): Schedule.Schedule<unknown, EpochMillis | undefined> =>
  recurrence._tag === "Spaced"
    ? Schedule.spaced(recurrence.interval).pipe(
      Schedule.whileInput((dueAt) => dueAt !== undefined),
      // From the end of the run, not from when the store has told of what follows.
      Schedule.union(whenDue)
    )
    : whenDue

/** What follows a run of a `spaced` schedule is stored at its end: by then the rule that was read before it may be another. */
const mayBeHeld = ({ payload, recurrence }: TaskSchedule): boolean =>
  payload.length <= longestHeldPayload && successorIsStoredAt(recurrence) === "start"

interface Driver {
  readonly recurrence: Recurrence
  /** Absent where it must be read anew. */
  readonly schedule: TaskSchedule | undefined
  readonly fiber: Fiber.RuntimeFiber<void>
  /** The occurrence that the fiber waits for, or has handed on. Changed by whoever learns of another one. */
  occurrence: ClaimedTask
  /** Set while the occurrence has been handed on and its successor is not yet known; takes when that one is due. */
  following: ((dueAt: EpochMillis | undefined) => void) | undefined
}

/**
 * @param handOn takes a claimed occurrence that is due, or that no fiber waits for
 * @param longestSleep milliseconds
 * @param shared given where other instances drive schedules, too
 */
export const makeScheduleDrivers = (
  clock: Clock.Clock,
  longestSleep: Millis,
  handOn: (occurrence: ClaimedTask) => void,
  shared?: SharedStore
): Effect.Effect<ScheduleDrivers> =>
  Effect.map(Effect.runtime(), (runtime) => {
    const runFork = Runtime.runFork(runtime)
    const sleepingClock = boundedSleep(clock, longestSleep)
    const drivers = new Map<TaskScheduleId, Driver>()

    let stopped = false
    const lead = shared?.lead ?? 0
    const isHeld = (occurrence: ClaimedTask) => shared === undefined || occurrence.owner !== undefined

    const step = (id: TaskScheduleId): Effect.Effect<EpochMillis | undefined> =>
      Effect.suspend(() => {
        const driver = drivers.get(id)
        if (driver === undefined) return Effect.as(Effect.void, undefined)
        return Effect.flatMap(
          Effect.sleep(Math.max(0, driver.occurrence.dueAt - lead - clock.unsafeCurrentTimeMillis())),
          () =>
            Effect.async<EpochMillis | undefined>((resume) => {
              driver.following = (dueAt) => resume(Effect.succeed(dueAt))
              handOn(driver.occurrence)
            })
        )
      })

    const drive = (id: TaskScheduleId, recurrence: Recurrence): Effect.Effect<void> =>
      step(id).pipe(Effect.repeat(effectSchedule(recurrence)), Effect.withClock(sleepingClock), Effect.asVoid)

    /** Interrupts a fiber without waiting for it. */
    const forget = (id: TaskScheduleId, driver: Driver): void => {
      drivers.delete(id)
      runFork(Fiber.interruptFork(driver.fiber))
    }

    const start = (schedule: TaskSchedule, first: ClaimedTask): void =>
      begin(schedule.id, schedule.recurrence, mayBeHeld(schedule) ? schedule : undefined, first)

    const begin = (
      id: TaskScheduleId,
      recurrence: Recurrence,
      schedule: TaskSchedule | undefined,
      first: ClaimedTask
    ): void => {
      if (stopped) return handOn(first)
      const before = drivers.get(id)
      if (before !== undefined) {
        // A fiber goes on with the occurrence that is there now; one that is under way is followed by itself. The same
        // one under another token was lost in between, and claimed again.
        if (before.occurrence.id === first.id && before.occurrence.token === first.token) return
        forget(id, before)
      }
      // Not before it can be found: a first occurrence that is due at once is followed at once.
      const fiber = runFork(Effect.zipRight(Effect.yieldNow(), drive(id, recurrence)))
      const driver: Driver = { recurrence, schedule, fiber, occurrence: first, following: undefined }
      drivers.set(id, driver)
      fiber.addObserver(() => {
        if (drivers.get(id) === driver) drivers.delete(id)
      })
    }

    const stop = (id: TaskScheduleId): Effect.Effect<void> =>
      Effect.suspend(() => {
        const driver = drivers.get(id)
        drivers.delete(id)
        return driver === undefined ? Effect.void : Effect.asVoid(Fiber.interrupt(driver.fiber))
      })

    /** The fiber learns of it when it runs next; the driver has it at once, for whoever asks in between. */
    const goOn = (
      driver: Driver,
      following: NonNullable<Driver["following"]>,
      next: ClaimedTask | undefined
    ): void => {
      driver.following = undefined
      if (next !== undefined && !isHeld(next)) {
        shared?.onUnclaimed(next)
        return following(undefined)
      }
      if (next !== undefined) driver.occurrence = next
      following(next && next.dueAt - lead)
    }

    /** Hands on what no fiber waits for. */
    const passOn = (next: ClaimedTask): void => isHeld(next) ? handOn(next) : shared?.onUnclaimed(next)

    return {
      start,
      held: (id) => drivers.get(id)?.schedule,
      stop,
      known: () => Array.from(drivers.values(), (driver) => driver.occurrence.id),
      dropAll: Effect.suspend(() => Effect.forEach([...drivers.keys()], stop, { discard: true })),
      stopAll: Effect.suspend(() => {
        stopped = true
        const held = [...drivers.values()].filter((driver) => driver.following === undefined)
        return Effect.zipRight(
          Effect.forEach([...drivers.keys()], stop, { discard: true }),
          Effect.sync(() => held.forEach((driver) => handOn(driver.occurrence)))
        )
      }),
      fiber: (id) => Option.fromNullable(drivers.get(id)?.fiber),
      followed: (moment, occurrence, next) => {
        const driver = occurrence.scheduleId === undefined ? undefined : drivers.get(occurrence.scheduleId)
        if (driver?.following === undefined || driver.occurrence.id !== occurrence.id) {
          // Stopped, or begun by another instance: it is due all the same.
          if (next !== undefined) passOn(next)
          return
        }
        // A retry, or the end of an anchored run, is not the moment at which its rule goes on.
        if (moment === "expire" || successorIsStoredAt(driver.recurrence) === moment) {
          goOn(driver, driver.following, next)
        }
      },
      lost: ({ id, scheduleId, token }) => {
        const driver = scheduleId === undefined ? undefined : drivers.get(scheduleId)
        // Under a newer token it has been claimed again since.
        if (scheduleId === undefined || driver?.occurrence.id !== id || driver.occurrence.token > token) return
        forget(scheduleId, driver)
      },
      aim: (id, next) => {
        const driver = drivers.get(id)
        if (driver === undefined) return passOn(next)
        if (driver.following !== undefined) return goOn(driver, driver.following, next)
        forget(id, driver)
        if (isHeld(next)) begin(id, driver.recurrence, driver.schedule, next)
        else shared?.onUnclaimed(next)
      }
    }
  })

/** Gathers what is known around a Task or a schedule, for the policies that explain it. */
import type { Clock, Context } from "effect"
import { Effect, Option } from "effect"
import type { InvalidInput, TaskNotFound, TaskRepositoryError, TaskScheduleNotFound } from "../domain/Errors.ts"
import type { TaskId, TaskScheduleId } from "../domain/Ids.ts"
import type { Task } from "../domain/Task.ts"
import { isLive, laneOf } from "../domain/Task.ts"
import type { TaskSchedule } from "../domain/TaskSchedule.ts"
import type { EpochMillis, InstantInput } from "../domain/Time.ts"
import { parseInstant } from "../domain/Time.ts"
import { ofAll } from "../policies/caps.ts"
import type {
  BreakerSituation,
  CapSituation,
  Explanation,
  LearnedSituation,
  TaskSituation
} from "../policies/explain.ts"
import { explainInstant, explainTask } from "../policies/explain.ts"
import type { ScheduleHealth } from "../policies/health.ts"
import { scheduleHealth } from "../policies/health.ts"
import type { TaskRepository } from "../ports/TaskRepository.ts"
import type { BreakersApi } from "./Breakers.ts"
import type { LimitsApi } from "./Caps.ts"
import type { Leases } from "./Leases.ts"
import type { LearnedLimit } from "./Limiters.ts"
import type { PausesApi } from "./Pauses.ts"

export interface ExplainApi {
  /**
   * Why a schedule did, or did not, run at an instant; what it waits for, and when it next will.
   *
   * @param instant the nominal one, as the rule names it
   *
   * @example
   * const { rule, sentence } = yield* scheduler.explain(id, "2027-01-31T09:00:00+01:00")
   */
  readonly explain: (
    id: TaskScheduleId,
    instant: InstantInput
  ) => Effect.Effect<Explanation, TaskScheduleNotFound | InvalidInput | TaskRepositoryError>

  /**
   * Why a Task has run, or does not: by which rule, what it waits for, and when it next will.
   *
   * @example
   * yield* Console.log((yield* scheduler.explainTask(task.id)).sentence)
   */
  readonly explainTask: (id: TaskId) => Effect.Effect<Explanation, TaskNotFound | TaskRepositoryError>

  /**
   * What is wrong with a schedule, or soon will be: judged by its rule and its latest 100 occurrences. The runtime of its
   * function is known where this scheduler has deployed it.
   *
   * @example
   * const { findings, healthy } = yield* scheduler.health(id)
   */
  readonly health: (id: TaskScheduleId) => Effect.Effect<ScheduleHealth, TaskScheduleNotFound | TaskRepositoryError>
}

export interface ExplainNeeds {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly clock: Clock.Clock
  readonly leases: Leases
  readonly pauses: PausesApi
  readonly limits: LimitsApi
  readonly breakers: BreakersApi
  readonly learned: () => ReadonlyMap<string, LearnedLimit>
  readonly getTask: (id: TaskId) => Effect.Effect<Task, TaskNotFound | TaskRepositoryError>
  readonly getSchedule: (id: TaskScheduleId) => Effect.Effect<TaskSchedule, TaskScheduleNotFound | TaskRepositoryError>
  /** The runtime that a function was deployed with. */
  readonly runtimeOf: (functionName: string) => string | undefined
}

/** Others of a schedule that are looked at: whoever waits, waits for one of them. */
const mostOthers = 1_000

const mostRecent = 100

export const makeExplain = (needs: ExplainNeeds): ExplainApi => {
  const { clock, getSchedule, getTask, leases, repository } = needs
  const now = Effect.sync(() => clock.unsafeCurrentTimeMillis())

  const capsOn = (functionName: string): Effect.Effect<ReadonlyArray<CapSituation>, TaskRepositoryError> =>
    Effect.flatMap(needs.limits.get, (limits) =>
      Effect.forEach(
        Object.entries(limits).flatMap(([name, { concurrency }]) =>
          concurrency !== undefined && (name === ofAll || name === functionName) ? [{ name, concurrency }] : []
        ),
        (cap) => Effect.map(repository.countRunning(cap.name), (running) => ({ ...cap, running }))
      ))

  /** Of the function or of the way to Lambda, whichever is not closed. */
  const breakerOn = (functionName: string): Effect.Effect<BreakerSituation | undefined, TaskRepositoryError> =>
    Effect.map(needs.breakers.open, (open) => {
      const name = [functionName, ""].find((name) => open[name] !== undefined)
      const status = name === undefined ? undefined : open[name]
      return name === undefined || status === undefined ? undefined : { name, ...status }
    })

  const learnedOn = (functionName: string): LearnedSituation | undefined => {
    const learned = needs.learned()
    const name = [functionName, ""].find((name) => learned.has(name))
    const limit = name === undefined ? undefined : learned.get(name)
    return name === undefined || limit === undefined ? undefined : { name, ...limit }
  }

  const othersUnderWay = (task: Task): Effect.Effect<number, TaskRepositoryError> =>
    task.scheduleId === undefined ? Effect.succeed(0) : repository.list(
      { scheduleId: task.scheduleId, status: ["Scheduled", "Running"] },
      { limit: mostOthers }
    ).pipe(
      Effect.map(({ items }) =>
        items.filter((other) => other.id !== task.id && other.attempts.length > 0 && laneOf(other) === laneOf(task))
          .length
      ),
      // There is no cursor to be wrong.
      Effect.catchTag("InvalidInput", Effect.die)
    )

  const scheduleOf = ({ scheduleId }: Task): Effect.Effect<TaskSchedule | undefined, TaskRepositoryError> =>
    scheduleId === undefined
      ? Effect.as(Effect.void, undefined)
      : Effect.map(repository.getSchedule(scheduleId), Option.getOrUndefined)

  /** Of what is over nothing else has to be known. */
  const situationOf = (task: Task): Effect.Effect<TaskSituation, TaskRepositoryError> =>
    Effect.gen(function*() {
      const situation: TaskSituation = {
        now: yield* now,
        instanceId: leases.current()?.instanceId,
        schedule: yield* scheduleOf(task),
        pauses: { function: undefined, all: undefined },
        caps: [],
        breaker: undefined,
        learned: undefined,
        othersUnderWay: 0,
        ownerIsAlive: undefined
      }
      if (!isLive(task)) return situation
      const { name } = task.function
      const pauses = yield* needs.pauses.get
      return {
        ...situation,
        pauses: { function: pauses[name], all: pauses[ofAll] },
        caps: yield* capsOn(name),
        breaker: yield* breakerOn(name),
        learned: learnedOn(name),
        othersUnderWay: yield* othersUnderWay(task),
        ownerIsAlive: task.owner === undefined ? undefined : yield* repository.isAlive(task.owner)
      }
    })

  const explained = (task: Task) => Effect.map(situationOf(task), (about) => explainTask(task, about))

  const latestUpTo = (id: TaskScheduleId, instant: EpochMillis) =>
    Effect.map(repository.latestOccurrence(id, instant), Option.getOrUndefined)

  return {
    explainTask: Effect.fn("LambdaScheduler.explainTask")((id) => Effect.flatMap(getTask(id), explained)),
    explain: Effect.fn("LambdaScheduler.explain")(function*(id, instant) {
      const at = yield* parseInstant(instant, "instant")
      const schedule = yield* getSchedule(id)
      const latest = yield* latestUpTo(id, at)
      const told = latest === undefined ? undefined : yield* explained(latest)
      return explainInstant(schedule, at, {
        now: yield* now,
        latest,
        taskExplanation: () => told as Explanation
      })
    }),
    health: Effect.fn("LambdaScheduler.health")(function*(id) {
      const schedule = yield* getSchedule(id)
      const { items } = yield* Effect.catchTag(
        repository.list({ scheduleId: id, origin: "schedule" }, { limit: mostRecent + 1 }),
        "InvalidInput",
        Effect.die
      )
      return scheduleHealth(schedule, {
        now: yield* now,
        recent: items.filter((task) => task.status !== "Scheduled" || task.attempts.length > 0),
        runtime: needs.runtimeOf(schedule.function.name)
      })
    })
  }
}

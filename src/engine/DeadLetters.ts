/** Dead letters: Tasks that have failed for good. To look at them, repeat them, and throw them away. */
import type { Clock, Context } from "effect"
import { Chunk, Effect, Either, Option, Stream } from "effect"
import { InvalidInput, RedriveConflict, TaskNotFailed, TaskNotFound } from "../domain/Errors.ts"
import type { SchedulerClosed, TaskRepositoryError } from "../domain/Errors.ts"
import type { TaskId } from "../domain/Ids.ts"
import { checkJsonText, toJsonText } from "../domain/Json.ts"
import type { FailedTask, RedriveTask, ScheduledTask, Task } from "../domain/Task.ts"
import * as TaskLifecycle from "../domain/TaskLifecycle.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { shown } from "../domain/Time.ts"
import type {
  ClaimOnInsert,
  DeadLetterFilter,
  Page,
  PageRequest,
  RedriveVerdict,
  TaskRepository
} from "../ports/TaskRepository.ts"
import { parseLimit } from "./WorkRequest.ts"

export interface RedriveOptions {
  /** Instead of the dead letter's own payload. */
  readonly payload?: unknown
  /** The same as JSON text, delivered byte for byte. */
  readonly payloadJson?: string | undefined
}

export interface RedriveAllOptions extends RedriveOptions {
  /** Makes a payload of each dead letter, instead of `payload`. */
  readonly edit?: ((task: FailedTask) => unknown) | undefined
  /** How many to redrive at the most; default: all. */
  readonly limit?: number | undefined
  /** How many to read and store at a time, 1 to 1,000. Default: 50. */
  readonly batch?: number | undefined
}

/** What a dead letter has been redriven as. */
export interface Redriven {
  readonly task: Task
  /** Whether this call has made it; otherwise it was there, and may have ended. */
  readonly isNew: boolean
}

/** Why there was no redrive. Nothing was stored. */
export type RedriveError =
  | TaskNotFound
  | TaskNotFailed
  | RedriveConflict
  | InvalidInput
  | SchedulerClosed
  | TaskRepositoryError

export interface DeadLetters {
  /** With their attempts, newest first (by id). `limit` 1 to 1,000 (default 1,000); go on with the page's `cursor`. */
  readonly list: (
    filter?: DeadLetterFilter,
    page?: Partial<PageRequest>
  ) => Effect.Effect<Page<FailedTask>, InvalidInput | TaskRepositoryError>

  /** How many there are; counted up to 100,000. */
  readonly count: (filter?: DeadLetterFilter) => Effect.Effect<number, TaskRepositoryError>

  /**
   * Repeats a dead letter: a new Task, due now, of the same function, name, tags, retry policy and priority, with a new
   * budget of attempts; `redriveOf` and `redrivenAs` link the two. Also of an occurrence it is a one-shot, in which its
   * schedule has no say. Once: who asks again gets the Task that the first has made, or a `RedriveConflict` if
   * that has another payload than the one given now. A repetition that failed is a dead letter of its own.
   *
   * @example
   * const { task } = yield* scheduler.deadLetters.redrive(id, { payload: { month: "2027-01" } })
   */
  readonly redrive: (id: TaskId, options?: RedriveOptions) => Effect.Effect<Redriven, RedriveError>

  /**
   * Repeats all that match and have not been redriven, newest first, and emits the new Tasks as they are stored. What
   * fails meanwhile is not among them. After an interruption or an error the same call goes on where that stopped.
   *
   * @example
   * yield* scheduler.deadLetters.redriveAll({ functionName: "payroll" }).pipe(Stream.runCount)
   */
  readonly redriveAll: (
    filter: Omit<DeadLetterFilter, "redriven">,
    options?: RedriveAllOptions
  ) => Stream.Stream<ScheduledTask, InvalidInput | SchedulerClosed | TaskRepositoryError>

  /**
   * Removes all that match, with their attempts, for good; answers how many.
   *
   * @example
   * yield* scheduler.deadLetters.purge({ redriven: true })
   */
  readonly purge: (filter: DeadLetterFilter) => Effect.Effect<number, TaskRepositoryError>
}

export interface DeadLettersNeeds {
  readonly repository: Context.Tag.Service<TaskRepository>
  readonly clock: Clock.Clock
  readonly nextId: Effect.Effect<string>
  /** What a new Task is claimed by, if it is. */
  readonly claimOf: (now: EpochMillis) => ClaimOnInsert | undefined
  /** A write, or `SchedulerClosed`: it is done to its end, and what it has stored is taken, whoever gives up. */
  readonly write: <A, E>(work: () => Effect.Effect<A, E>) => Effect.Effect<A, E | SchedulerClosed>
  /** Takes a Task that has been stored. */
  readonly take: (task: ScheduledTask) => void
}

/** Characters of payloads stored in one statement. */
const maxCharacters = 4 * 1024 * 1024

const defaultBatch = 50

/** Dead letters removed in one statement. */
const purgeBatch = 1_000

const refuse = (reason: InvalidInput["reason"], field: string, message: string) =>
  Either.left(new InvalidInput({ reason, field, message: `${field}: ${message}` }))

/** The payload that is asked for; `undefined`: the dead letter's own. */
const parseEdit = (options: RedriveOptions): Either.Either<string | undefined, InvalidInput> => {
  if (options.payloadJson === undefined) {
    return "payload" in options ? toJsonText(options.payload, "payload") : Either.right(undefined)
  }
  return "payload" in options
    ? refuse("PayloadInvalid", "payloadJson", "expected either payload or payloadJson, got both")
    : checkJsonText(options.payloadJson, "payloadJson")
}

/** How each payload is made. */
const parseEdits = (
  options: RedriveAllOptions
): Either.Either<(task: FailedTask) => Either.Either<string | undefined, InvalidInput>, InvalidInput> => {
  const { edit } = options
  if (edit === undefined) return Either.map(parseEdit(options), (payload) => () => Either.right(payload))
  return "payload" in options || options.payloadJson !== undefined
    ? refuse("PayloadInvalid", "edit", "expected either a payload or an edit, got both")
    : Either.right((task) => toJsonText(edit(task), "edit"))
}

const parseMost = (limit: unknown): Either.Either<number, InvalidInput> =>
  limit === undefined || (Number.isSafeInteger(limit) && (limit as number) >= 1)
    ? Either.right((limit ?? Infinity) as number)
    : refuse("QueryInvalid", "limit", `expected a whole number of at least 1, got ${shown(limit)}`)

/** How far a redrive of many has come: where to read on, what is to be stored, and how many more may be. */
interface Position {
  readonly cursor: string | undefined
  readonly parts: ReadonlyArray<ReadonlyArray<RedriveTask>>
  readonly left: number
}

/** Parts that are small enough for one statement, each of at least one Task. */
const partsOf = (tasks: ReadonlyArray<RedriveTask>): ReadonlyArray<ReadonlyArray<RedriveTask>> => {
  const found: Array<Array<RedriveTask>> = []
  let left = 0
  for (const task of tasks) {
    left -= task.payload.length
    if (left < 0) {
      found.push([])
      left = maxCharacters - task.payload.length
    }
    found[found.length - 1]?.push(task)
  }
  return found
}

export const makeDeadLetters = (needs: DeadLettersNeeds): DeadLetters => {
  const { claimOf, clock, nextId, repository, take, write } = needs

  const list: DeadLetters["list"] = (filter = {}, page = {}) =>
    Effect.flatMap(parseLimit(page.limit), (limit) =>
      Effect.map(
        repository.list({ ...filter, status: ["Failed"] }, { limit, cursor: page.cursor }),
        (found) => found as Page<FailedTask>
      ))

  const planned = (dead: FailedTask, payload: string | undefined): Effect.Effect<RedriveTask> =>
    Effect.map(
      nextId,
      (id) => TaskLifecycle.redrive(dead, { id: id as TaskId, payload, now: clock.unsafeCurrentTimeMillis() })
    )

  const store = (tasks: ReadonlyArray<RedriveTask>) =>
    write(() =>
      Effect.tap(
        repository.redrive(tasks, claimOf(clock.unsafeCurrentTimeMillis())),
        (verdicts) =>
          Effect.sync(() => {
            for (const verdict of verdicts) if (verdict._tag === "Redriven") take(verdict.task)
          })
      )
    )

  const answer = (
    id: TaskId,
    verdict: RedriveVerdict,
    payload: string | undefined
  ): Effect.Effect<Redriven, RedriveError> => {
    switch (verdict._tag) {
      case "Redriven":
        return Effect.succeed({ task: verdict.task, isNew: true })
      case "Present":
        return payload === undefined || payload === verdict.task.payload
          ? Effect.succeed({ task: verdict.task, isNew: false })
          : new RedriveConflict({ reason: "OtherPayload", id, redrivenAs: verdict.task.id })
      case "Gone":
        return new RedriveConflict({ reason: "Removed", id, redrivenAs: verdict.id })
      case "NotFailed":
        return new TaskNotFailed({ id, status: verdict.status })
      case "NotFound":
        return new TaskNotFound({ id })
    }
  }

  const redrive: DeadLetters["redrive"] = Effect.fn("DeadLetters.redrive")(function*(id, options = {}) {
    const payload = yield* parseEdit(options)
    const dead = Option.getOrUndefined(yield* repository.get(id))
    if (dead === undefined) return yield* new TaskNotFound({ id })
    if (dead.status !== "Failed") return yield* new TaskNotFailed({ id, status: dead.status })
    const [verdict] = yield* store([yield* planned(dead, payload)])
    return yield* answer(id, verdict as RedriveVerdict, payload)
  })

  const redriveAll: DeadLetters["redriveAll"] = (filter, options = {}) =>
    Stream.unwrap(Effect.gen(function*() {
      const edit = yield* parseEdits(options)
      const most = yield* parseMost(options.limit)
      const batch = yield* parseLimit(options.batch ?? defaultBatch)
      const read = (at: Position) =>
        Effect.gen(function*() {
          const limit = Math.min(batch, at.left)
          const page = yield* list({ ...filter, redriven: false }, { limit, cursor: at.cursor })
          const tasks = yield* Effect.forEach(
            page.items,
            (dead) => Effect.flatMap(edit(dead), (payload) => planned(dead, payload))
          )
          return { ...at, cursor: page.cursor, parts: partsOf(tasks) }
        })
      const begin: Position = { cursor: undefined, parts: [], left: most }
      return Stream.paginateChunkEffect(
        begin,
        (before) =>
          Effect.gen(function*() {
            const { cursor, left, parts: [first = [], ...parts] } = before.parts.length > 0
              ? before
              : yield* read(before)
            const verdicts = first.length === 0 ? [] : yield* store(first)
            const made = verdicts.flatMap((verdict) => verdict._tag === "Redriven" ? [verdict.task] : [])
            const next = { cursor, parts, left: left - made.length }
            const isOver = parts.length === 0 && (cursor === undefined || next.left === 0)
            return [Chunk.unsafeFromArray(made), isOver ? Option.none() : Option.some(next)]
          })
      )
    }))

  const purge = (filter: DeadLetterFilter, removed = 0): Effect.Effect<number, TaskRepositoryError> =>
    Effect.flatMap(
      Effect.suspend(() => repository.purge({ filter, now: clock.unsafeCurrentTimeMillis(), limit: purgeBatch })),
      (more) => more === 0 ? Effect.succeed(removed) : purge(filter, removed + more)
    )

  return {
    list,
    count: (filter = {}) => repository.count({ ...filter, status: ["Failed"] }),
    redrive,
    redriveAll,
    purge: (filter) => purge(filter)
  }
}

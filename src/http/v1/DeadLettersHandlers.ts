/** What the routes of `/v1/dead-letters` do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect, Either, Stream } from "effect"
import type { InvalidInput } from "../../domain/Errors.ts"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import { TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import { LambdaScheduler } from "../../engine/LambdaScheduler.ts"
import type { DeadLetterFilter } from "../../ports/TaskRepository.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { maxPageSize } from "../Contract.ts"
import { withProblems, withQueryProblems } from "../DomainProblem.ts"
import { pageAnswer, readPage } from "../Pages.ts"
import { problem } from "../Problem.ts"
import { maxBodyBytes, readBody, readOptionalBody } from "../RequestBody.ts"
import { taskAnswer } from "../TaskAnswer.ts"
import type { Which, WhichOne } from "./DeadLettersApi.ts"
import { RedriveAllRequest, redrivenByDefault, RedriveRequest } from "./DeadLettersApi.ts"
import { readScheduleId, readTaskId } from "./Ids.ts"
import { madeResponse } from "./makeOnce.ts"
import { instantOf } from "./TasksHandlers.ts"

/** @param at where the fields are */
const filterOf = (asked: Omit<Which, "scheduleId">, at = ""): Either.Either<DeadLetterFilter, InvalidInput> =>
  Either.map(
    Either.all({
      finishedFrom: instantOf(asked.finishedFrom, `${at}finishedFrom`),
      finishedBefore: instantOf(asked.finishedBefore, `${at}finishedBefore`),
      dueFrom: instantOf(asked.dueFrom, `${at}dueFrom`),
      dueBefore: instantOf(asked.dueBefore, `${at}dueBefore`)
    }),
    (instants) => ({
      ...instants,
      functionName: asked.function,
      name: asked.name,
      failureReason: asked.reason === undefined ? undefined : [asked.reason]
    })
  )

const queryFilter = (query: WhichOne): Either.Either<DeadLetterFilter, InvalidInput> =>
  Either.map(filterOf(query), (filter) => ({
    ...filter,
    scheduleId: query.scheduleId === undefined ? undefined : TaskScheduleId.make(query.scheduleId.toLowerCase()),
    ids: query.id === undefined ? undefined : [TaskId.make(query.id.toLowerCase())],
    redriven: query.redriven === undefined ? undefined : query.redriven === "true"
  }))

const bodyFilter = ({ filter: { ids, scheduleId, ...asked } }: RedriveAllRequest) =>
  Effect.gen(function*() {
    return {
      ...yield* filterOf(asked, "filter."),
      scheduleId: scheduleId === undefined ? undefined : yield* readScheduleId(scheduleId),
      ids: ids && (yield* Effect.forEach(ids, readTaskId))
    }
  })

const partlyDone = problem(
  503,
  "STORE_UNAVAILABLE",
  "The store did not answer as it should. Part of it may be done; the same request goes on there."
)

/** Of what is done batch by batch. */
const inParts = <A, E, R>(self: Effect.Effect<A, E | TaskRepositoryError, R>) =>
  Effect.catchIf(
    self,
    (error): error is TaskRepositoryError => error instanceof TaskRepositoryError,
    (error) => Effect.zipRight(Effect.logError("The store failed", error), Effect.fail(partlyDone))
  )

const whichToPurge = problem(
  400,
  "QUERY_INVALID",
  "Say which dead letters to remove: by the query of the list, or by all=true and nothing else."
)

export const v1DeadLettersLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "v1DeadLetters",
  (handlers) =>
    Effect.gen(function*() {
      const { deadLetters } = yield* LambdaScheduler
      return handlers
        .handle("list", ({ urlParams: { cursor, limit = maxPageSize, ...query } }) =>
          Effect.gen(function*() {
            const filter = yield* queryFilter(query)
            const page = yield* readPage((page) => deadLetters.list(filter, page), limit, cursor)
            return pageAnswer(page, taskAnswer)
          }).pipe(withQueryProblems, withProblems))
        .handle("count", ({ urlParams }) =>
          Effect.flatMap(queryFilter(urlParams), deadLetters.count).pipe(
            Effect.map((count) => ({ count })),
            withQueryProblems,
            withProblems
          ))
        .handleRaw("redrive", ({ path, request }) =>
          Effect.gen(function*() {
            const id = yield* readTaskId(path.id)
            const { isNew, task } = yield* deadLetters.redrive(
              id,
              yield* readOptionalBody(request, RedriveRequest, maxBodyBytes)
            )
            return madeResponse(taskAnswer(task), isNew, "/v1/tasks")
          }).pipe(withProblems))
        .handleRaw("redriveAll", ({ request }) =>
          Effect.gen(function*() {
            const { limit = redrivenByDefault, ...body } = yield* readBody(request, RedriveAllRequest, maxBodyBytes)
            const filter = yield* bodyFilter(body)
            const { filter: _, ...payload } = body
            const redriven = yield* Stream.runCount(deadLetters.redriveAll(filter, { ...payload, limit }))
            return { redriven, left: yield* deadLetters.count({ ...filter, redriven: false }) }
          }).pipe(inParts, withProblems))
        .handle("purge", ({ urlParams: { all, ...query } }) =>
          Effect.gen(function*() {
            if ((all === undefined) === (Object.keys(query).length === 0)) return yield* Effect.fail(whichToPurge)
            return { purged: yield* deadLetters.purge(yield* queryFilter(query)) }
          }).pipe(withQueryProblems, inParts, withProblems))
    })
)

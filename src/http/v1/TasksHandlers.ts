/** What the routes of `/v1/tasks` do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect, Either } from "effect"
import type { InvalidInput } from "../../domain/Errors.ts"
import type { TaskId } from "../../domain/Ids.ts"
import { TaskScheduleId } from "../../domain/Ids.ts"
import { parseInstant } from "../../domain/Time.ts"
import { makeIds } from "../../engine/Ids.ts"
import { LambdaScheduler } from "../../engine/LambdaScheduler.ts"
import type { TaskFilter } from "../../ports/TaskRepository.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { maxPageSize } from "../Contract.ts"
import { withProblems, withQueryProblems } from "../DomainProblem.ts"
import { pageAnswer, readPage } from "../Pages.ts"
import { maxBodyBytes, readBody, readNoBody } from "../RequestBody.ts"
import { taskAnswer } from "../TaskAnswer.ts"
import { readTaskId } from "./Ids.ts"
import { madeResponse, makeOnce } from "./makeOnce.ts"
import type { TaskQuery } from "./TasksApi.ts"
import { GivenTask } from "./TasksApi.ts"
import { readOnce } from "./TriggerRequest.ts"
import { functionOf, isAsked, withoutDeployment, workOptions } from "./WorkRequest.ts"

/** An instant of a query or a filter. */
export const instantOf = (text: string | undefined, field: string): Either.Either<number | undefined, InvalidInput> =>
  text === undefined ? Either.right(undefined) : parseInstant(text, field)

const filterOf = (query: TaskQuery): Either.Either<TaskFilter, InvalidInput> =>
  Either.map(
    Either.all({
      dueFrom: instantOf(query.dueFrom, "dueFrom"),
      dueBefore: instantOf(query.dueBefore, "dueBefore")
    }),
    (due) => ({
      ...due,
      functionName: query.function,
      name: query.name,
      origin: query.origin?.toLowerCase(),
      status: query.status === undefined ? undefined : [query.status],
      scheduleId: query.scheduleId === undefined ? undefined : TaskScheduleId.make(query.scheduleId.toLowerCase())
    })
  )

export const v1TasksLayer = HttpApiBuilder.group(LambdaSchedulerApi, "v1Tasks", (handlers) =>
  Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    const ids = yield* makeIds(yield* Effect.clock)
    const exists = (id: TaskId) =>
      scheduler.get(id).pipe(Effect.as(true), Effect.catchTag("TaskNotFound", () => Effect.succeed(false)))
    return handlers
      .handleRaw("create", ({ headers, request }) =>
        Effect.gen(function*() {
          const body = yield* readBody(request, GivenTask, maxBodyBytes)
          const trigger = yield* readOnce(body.trigger)
          const options = yield* workOptions(body)
          const key = headers["idempotency-key"]
          const { isNew, made } = yield* makeOnce({
            id: body.id === undefined ? undefined : yield* readTaskId(body.id),
            key,
            newId: ids.next,
            exists: (id) => exists(id as TaskId),
            make: (id) =>
              withoutDeployment(
                scheduler.schedule(functionOf(body), {
                  ...options,
                  trigger,
                  id: id as TaskId | undefined,
                  idempotencyKey: key
                })
              ),
            isAsked: (made) => isAsked(made, body),
            taken: "TASK_EXISTS"
          })
          return madeResponse(taskAnswer(made), isNew, "/v1/tasks")
        }).pipe(withProblems))
      .handle("list", ({ urlParams: { cursor, limit = maxPageSize, ...query } }) =>
        Effect.gen(function*() {
          const filter = yield* filterOf(query)
          const page = yield* readPage((page) => scheduler.list(filter, page), limit, cursor)
          return pageAnswer(page, taskAnswer)
        }).pipe(withQueryProblems, withProblems))
      .handle("get", ({ path }) =>
        Effect.flatMap(readTaskId(path.id), (id) =>
          Effect.map(scheduler.get(id), taskAnswer)).pipe(withProblems))
      .handleRaw("cancel", ({ path, request }) =>
        Effect.gen(function*() {
          const id = yield* readTaskId(path.id)
          yield* readNoBody(request)
          return taskAnswer(yield* scheduler.cancel(id))
        }).pipe(withProblems))
  }))

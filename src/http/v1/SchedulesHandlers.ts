/** What the routes of `/v1/schedules` do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect } from "effect"
import type { TaskScheduleId } from "../../domain/Ids.ts"
import type { DurationInput } from "../../domain/Time.ts"
import { makeIds } from "../../engine/Ids.ts"
import { LambdaScheduler } from "../../engine/LambdaScheduler.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { maxPageSize } from "../Contract.ts"
import { withProblems, withQueryProblems } from "../DomainProblem.ts"
import { pageAnswer, readPage } from "../Pages.ts"
import { maxBodyBytes, readBody, readNoBody } from "../RequestBody.ts"
import { readScheduleId } from "./Ids.ts"
import { madeResponse, makeOnce } from "./makeOnce.ts"
import { scheduleAnswer } from "./ScheduleAnswer.ts"
import { GivenSchedule } from "./SchedulesApi.ts"
import { readRecurring } from "./TriggerRequest.ts"
import { functionOf, workOptions } from "./WorkRequest.ts"

export const v1SchedulesLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "v1Schedules",
  (handlers) =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const ids = yield* makeIds(yield* Effect.clock)
      const exists = (id: TaskScheduleId) =>
        scheduler.getSchedule(id).pipe(
          Effect.as(true),
          Effect.catchTag("TaskScheduleNotFound", () => Effect.succeed(false))
        )
      return handlers
        .handleRaw("create", ({ headers, request }) =>
          Effect.gen(function*() {
            const body = yield* readBody(request, GivenSchedule, maxBodyBytes)
            const trigger = yield* readRecurring(body.trigger)
            const options = yield* workOptions(body)
            const key = headers["idempotency-key"]
            const { endAt, initialDelay, jitter, maxRuns, startAt } = body
            const { isNew, made } = yield* makeOnce({
              request: body,
              id: body.id === undefined ? undefined : yield* readScheduleId(body.id),
              key,
              newId: ids.next,
              exists: (id) => exists(id as TaskScheduleId),
              make: (id) =>
                scheduler.repeat(functionOf(body), {
                  ...options,
                  trigger,
                  startAt,
                  endAt,
                  initialDelay: initialDelay as DurationInput | undefined,
                  jitter: jitter as DurationInput | undefined,
                  maxRuns,
                  id: id as TaskScheduleId | undefined,
                  idempotencyKey: key
                }),
              taken: "SCHEDULE_EXISTS"
            })
            return madeResponse(scheduleAnswer(made), isNew, "/v1/schedules")
          }).pipe(withProblems))
        .handle("list", ({ urlParams: { cursor, function: functionName, limit = maxPageSize, name, status } }) =>
          Effect.gen(function*() {
            const filter = { functionName, name, status: status === undefined ? undefined : [status] }
            const page = yield* readPage(
              (page) =>
                scheduler.listSchedules(filter, page),
              limit,
              cursor
            )
            return pageAnswer(page, scheduleAnswer)
          }).pipe(withQueryProblems, withProblems))
        .handle("get", ({ path }) =>
          Effect.flatMap(readScheduleId(path.id), (id) =>
            Effect.map(scheduler.getSchedule(id), scheduleAnswer)).pipe(
              withProblems
            ))
        .handleRaw("cancel", ({ path, request }) =>
          Effect.gen(function*() {
            const id = yield* readScheduleId(path.id)
            yield* readNoBody(request)
            return scheduleAnswer(yield* scheduler.cancelSchedule(id))
          }).pipe(withProblems))
    })
)

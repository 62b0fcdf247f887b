/** What the routes of `/v1/schedules` do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Clock, Effect } from "effect"
import type { RevisionConflict } from "../../domain/Errors.ts"
import type { TaskId, TaskScheduleId } from "../../domain/Ids.ts"
import { makeIds } from "../../engine/Ids.ts"
import { LambdaScheduler } from "../../engine/LambdaScheduler.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { maxPageSize } from "../Contract.ts"
import { withProblems, withQueryProblems } from "../DomainProblem.ts"
import { pageAnswer, readPage } from "../Pages.ts"
import { problem, problemResponse } from "../Problem.ts"
import { maxBodyBytes, readBody, readNoBody, readOptionalBody } from "../RequestBody.ts"
import { taskAnswer } from "../TaskAnswer.ts"
import { readScheduleId, readTaskId } from "./Ids.ts"
import { madeResponse, makeOnce } from "./makeOnce.ts"
import { PauseRequest } from "./PauseRequest.ts"
import { etagOf, readIfMatch } from "./Revision.ts"
import { scheduleAnswer, scheduleResponse } from "./ScheduleAnswer.ts"
import { GivenEdit, GivenSchedule, readEdit, ruleOptions, RunScheduleRequest } from "./ScheduleRequests.ts"
import { readRecurring } from "./TriggerRequest.ts"
import { functionOf, isAsked, payloadOptions, withoutDeployment, workOptions } from "./WorkRequest.ts"

const preconditionFailed = ({ actual, message }: RevisionConflict) =>
  problemResponse(problem(412, "REVISION_CONFLICT", message), { etag: etagOf({ revision: actual }) })

export const v1SchedulesLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "v1Schedules",
  (handlers) =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      const ids = yield* makeIds(yield* Effect.clock)
      const scheduleExists = (id: TaskScheduleId) =>
        scheduler.getSchedule(id).pipe(
          Effect.as(true),
          Effect.catchTag("TaskScheduleNotFound", () => Effect.succeed(false))
        )
      const taskExists = (id: TaskId) =>
        scheduler.get(id).pipe(Effect.as(true), Effect.catchTag("TaskNotFound", () => Effect.succeed(false)))
      /** Of the revisions that an edit may be made for the one that there is; the scheduler compares again. */
      const guardOf = (id: TaskScheduleId, revisions: ReadonlyArray<number> | undefined) =>
        revisions === undefined
          ? Effect.succeed({})
          : Effect.map(scheduler.getSchedule(id), ({ revision }) => ({
            revision: revisions.includes(revision) ? revision : revisions[0]
          }))
      return handlers
        .handleRaw("create", ({ headers, request }) =>
          Effect.gen(function*() {
            const body = yield* readBody(request, GivenSchedule, maxBodyBytes)
            const trigger = yield* readRecurring(body.trigger)
            const options = yield* workOptions(body)
            const key = headers["idempotency-key"]
            const { isNew, made } = yield* makeOnce({
              id: body.id === undefined ? undefined : yield* readScheduleId(body.id),
              key,
              newId: ids.next,
              exists: (id) => scheduleExists(id as TaskScheduleId),
              make: (id) =>
                withoutDeployment(
                  scheduler.repeat(functionOf(body), {
                    ...options,
                    ...ruleOptions(body),
                    trigger,
                    maxRuns: body.maxRuns,
                    pauseAfterFailures: body.pauseAfterFailures,
                    id: id as TaskScheduleId | undefined,
                    idempotencyKey: key
                  })
                ),
              // One that has been edited says no more what it was made for.
              isAsked: (made) => made.revision > 1 || isAsked(made, body),
              taken: "SCHEDULE_EXISTS"
            })
            return yield* scheduleResponse(made, (answer) => madeResponse(answer, isNew, "/v1/schedules"))
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
            const now = yield* Clock.currentTimeMillis
            return pageAnswer(page, (schedule) => scheduleAnswer(schedule, now))
          }).pipe(withQueryProblems, withProblems))
        .handleRaw("get", ({ path }) =>
          Effect.gen(function*() {
            const id = yield* readScheduleId(path.id)
            return yield* scheduleResponse(yield* scheduler.getSchedule(id))
          }).pipe(withProblems))
        .handleRaw("edit", ({ headers, path, request }) =>
          Effect.gen(function*() {
            const id = yield* readScheduleId(path.id)
            const revisions = yield* readIfMatch(headers["if-match"])
            const edit = yield* Effect.flatMap(readBody(request, GivenEdit, maxBodyBytes), readEdit)
            const guard = yield* guardOf(id, revisions)
            return yield* scheduleResponse(yield* withoutDeployment(scheduler.editSchedule(id, edit, guard)))
          }).pipe(
            Effect.catchTag("RevisionConflict", (conflict) =>
              Effect.succeed(preconditionFailed(conflict))),
            withProblems
          ))
        .handle(
          "remove",
          ({ path }) => Effect.flatMap(readScheduleId(path.id), scheduler.removeSchedule).pipe(withProblems)
        )
        .handleRaw("cancel", ({ path, request }) =>
          Effect.gen(function*() {
            const id = yield* readScheduleId(path.id)
            yield* readNoBody(request)
            return yield* scheduleResponse(yield* scheduler.cancelSchedule(id))
          }).pipe(withProblems))
        .handleRaw("pause", ({ path, request }) =>
          Effect.gen(function*() {
            const id = yield* readScheduleId(path.id)
            const pause = yield* readOptionalBody(request, PauseRequest, maxBodyBytes)
            return yield* scheduleResponse(yield* scheduler.pauseSchedule(id, pause))
          }).pipe(withProblems))
        .handleRaw("resume", ({ path, request }) =>
          Effect.gen(function*() {
            const id = yield* readScheduleId(path.id)
            yield* readNoBody(request)
            return yield* scheduleResponse(yield* scheduler.resumeSchedule(id))
          }).pipe(withProblems))
        .handleRaw("run", ({ headers, path, request }) =>
          Effect.gen(function*() {
            const scheduleId = yield* readScheduleId(path.id)
            const body = yield* readOptionalBody(request, RunScheduleRequest, maxBodyBytes)
            const payload = yield* payloadOptions(body)
            const key = headers["idempotency-key"]
            const { isNew, made } = yield* makeOnce({
              id: body.id === undefined ? undefined : yield* readTaskId(body.id),
              key,
              newId: ids.next,
              exists: (id) => taskExists(id as TaskId),
              make: (id) =>
                scheduler.runNow(scheduleId, {
                  ...payload,
                  overlap: body.overlap,
                  id: id as TaskId | undefined,
                  idempotencyKey: key
                }),
              isAsked: ({ id, origin, scheduleId: of }) => of === scheduleId && origin === `manual:${id}`,
              taken: "TASK_EXISTS"
            })
            return madeResponse(taskAnswer(made), isNew, "/v1/tasks")
          }).pipe(withProblems))
    })
)

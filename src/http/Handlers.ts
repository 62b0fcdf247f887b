/** What the routes do: each is a few calls of the LambdaScheduler. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApp from "@effect/platform/HttpApp"
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect } from "effect"
import type { Task } from "../domain/Task.ts"
import { LambdaScheduler } from "../engine/LambdaScheduler.ts"
import type { ScheduleError } from "../engine/SchedulerApi.ts"
import type { Access } from "./Access.ts"
import { LambdaSchedulerApi } from "./Api.ts"
import { CreateAndScheduleRequest, ScheduleRequest } from "./CompatibilityApi.ts"
import { maxPageSize } from "./Contract.ts"
import { withProblems, withQueryProblems } from "./DomainProblem.ts"
import { scrape } from "./Metrics.ts"
import { readPage } from "./Pages.ts"
import type { ProblemOf } from "./Problem.ts"
import { problem } from "./Problem.ts"
import { maxBodyBytes, maxDeployBodyBytes, readBody, readNoBody } from "./RequestBody.ts"
import { taskAnswer } from "./TaskAnswer.ts"
import type { Work } from "./Work.ts"
import { createAndScheduleWork, inItsWords, scheduleWork } from "./Work.ts"

type Scheduler = LambdaScheduler["Type"]

/** The IETF's draft of the header; without it every call is one of its own. */
const keyOf = (request: HttpServerRequest): string | undefined => request.headers["idempotency-key"]

/** The Task that the work has become: of a repetition the first. */
const take = (
  scheduler: Scheduler,
  { fn, name, payload, plan }: Work,
  idempotencyKey: string | undefined
): Effect.Effect<Task, ScheduleError> => {
  if (plan._tag === "Once") return scheduler.schedule(fn, { ...payload, name, trigger: plan.trigger, idempotencyKey })
  return Effect.gen(function*() {
    const { trigger, initialDelay, maxRuns } = plan
    const schedule = yield* scheduler.repeat(fn, { ...payload, name, trigger, initialDelay, maxRuns, idempotencyKey })
    const { items } = yield* scheduler.list({ scheduleId: schedule.id })
    const first = items.at(-1)
    return first === undefined
      ? yield* Effect.dieMessage(`TaskSchedule ${schedule.id} was stored without an occurrence`)
      : first
  })
}

const latest = (
  scheduler: Scheduler,
  name: string,
  status?: ReadonlyArray<Task["status"]>
): Effect.Effect<Task | undefined, ProblemOf<400> | ProblemOf<503>> =>
  scheduler.list({ name, status }, { limit: 1 }).pipe(
    Effect.map(({ items }) => items[0]),
    withQueryProblems,
    withProblems
  )

const notFound = (name: string) =>
  problem(404, "TASK_NOT_FOUND", `No Task is named ${JSON.stringify(name.slice(0, 100))}.`)

const answerOr404 = (name: string, task: Task | undefined) =>
  task === undefined ? Effect.fail(notFound(name)) : Effect.succeed(taskAnswer(task))

const nextLink = (limit: number, cursor: string): string =>
  `</list?limit=${limit}&cursor=${encodeURIComponent(cursor)}>; rel="next"`

export const compatibilityLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "tasks",
  (handlers) =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      return handlers
        .handleRaw("schedule", ({ request }) =>
          Effect.gen(function*() {
            const body = yield* readBody(request, ScheduleRequest, maxBodyBytes)
            const task = yield* Effect.flatMap(scheduleWork(body), (work) => take(scheduler, work, keyOf(request)))
              .pipe(
                inItsWords,
                withProblems
              )
            return taskAnswer(task)
          }))
        .handleRaw("createAndSchedule", ({ request }) =>
          Effect.gen(function*() {
            const body = yield* readBody(request, CreateAndScheduleRequest, maxDeployBodyBytes)
            const work = createAndScheduleWork(body)
            const task = yield* Effect.flatMap(work, (work) => take(scheduler, work, keyOf(request))).pipe(
              inItsWords,
              withProblems
            )
            return taskAnswer(task)
          }))
        .handle("list", ({ urlParams: { cursor, limit = maxPageSize } }) =>
          Effect.gen(function*() {
            const page = yield* readPage((page) => scheduler.list({}, page), limit, cursor).pipe(
              withQueryProblems,
              withProblems
            )
            const next = page.cursor
            if (next !== undefined) {
              yield* HttpApp.appendPreResponseHandler((_, response) =>
                Effect.succeed(HttpServerResponse.setHeader(response, "link", nextLink(limit, next)))
              )
            }
            return page.items.map(taskAnswer)
          }))
        .handle("result", ({ path: { name } }) =>
          Effect.gen(function*() {
            const finished = yield* latest(scheduler, name, ["Succeeded", "Failed", "Cancelled"])
            return yield* answerOr404(name, finished ?? (yield* latest(scheduler, name)))
          }))
        .handle(
          "status",
          ({ path: { name } }) => Effect.flatMap(latest(scheduler, name), (task) => answerOr404(name, task))
        )
        .handleRaw("cancel", ({ path: { name }, request }) =>
          Effect.gen(function*() {
            yield* readNoBody(request)
            const { schedules, tasks } = yield* withProblems(scheduler.cancelNamed(name))
            if (tasks.length === 0 && schedules.length === 0) {
              const known = yield* latest(scheduler, name)
              if (known === undefined) {
                return yield* Effect.fail(notFound(name))
              }
            }
            return tasks.map(taskAnswer)
          }))
    })
)

const stuck = "Part of the scheduler does not answer."

export const healthLayer = (access: Access) =>
  HttpApiBuilder.group(LambdaSchedulerApi, "health", (handlers) =>
    Effect.gen(function*() {
      const scheduler = yield* LambdaScheduler
      return handlers
        .handle("healthz", () => Effect.succeed({ status: "ok" as const }))
        .handle("readyz", ({ request }) =>
          scheduler.ready.pipe(
            Effect.mapError((error) => error.message),
            // What is stuck may not even be interruptible.
            Effect.disconnect,
            Effect.timeoutFail({ duration: "4 seconds", onTimeout: () => stuck }),
            Effect.zipRight(scheduler.storeDetails),
            Effect.map((details) => ({
              status: "ready" as const,
              ...(access.mayKnowReasons(NodeHttpServerRequest.toIncomingMessage(request)) ? { details } : {})
            })),
            Effect.mapError((reason) =>
              problem(
                503,
                "NOT_READY",
                access.mayKnowReasons(NodeHttpServerRequest.toIncomingMessage(request))
                  ? reason
                  : "The scheduler is not ready."
              )
            )
          ))
    }))

export const metricsLayer = HttpApiBuilder.group(LambdaSchedulerApi, "metrics", (handlers) =>
  Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    return handlers.handle("metrics", () => scrape(scheduler.backlog))
  }))

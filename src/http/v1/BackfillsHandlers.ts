/** What the routes of backfills do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect, Option } from "effect"
import type { BackfillId, TaskScheduleId } from "../../domain/Ids.ts"
import type { Range } from "../../domain/Range.ts"
import { parseRange } from "../../domain/Range.ts"
import { LambdaScheduler } from "../../engine/LambdaScheduler.ts"
import type { BackfillStatus } from "../../engine/SchedulesApi.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { withProblems } from "../DomainProblem.ts"
import { maxBodyBytes, readBody, readNoBody } from "../RequestBody.ts"
import { backfillAnswer, BackfillRequest } from "./BackfillsApi.ts"
import { readBackfillId, readScheduleId } from "./Ids.ts"
import { madeResponse, takenId } from "./makeOnce.ts"

/** Whether a backfill is what a request asks for. */
const isAsked = (
  made: BackfillStatus,
  scheduleId: TaskScheduleId,
  range: Range,
  { concurrency = 1, overlap }: BackfillRequest
): boolean =>
  made.scheduleId === scheduleId && made.from === range.from && made.to === range.to &&
  made.concurrency === (overlap === "allowAll" ? undefined : concurrency)

export const v1BackfillsLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "v1Backfills",
  (handlers) =>
    Effect.gen(function*() {
      const { backfills, getSchedule } = yield* LambdaScheduler
      const find = (id: BackfillId) =>
        backfills.get(id).pipe(Effect.asSome, Effect.catchTag("BackfillNotFound", () => Effect.succeedNone))
      return handlers
        .handleRaw("start", ({ path, request }) =>
          Effect.gen(function*() {
            const scheduleId = yield* readScheduleId(path.id)
            const body = yield* readBody(request, BackfillRequest, maxBodyBytes)
            const id = body.id === undefined ? undefined : yield* readBackfillId(body.id)
            const range = yield* parseRange(body.from, body.to)
            // What is there is answered also when its schedule is over by now.
            const present = id === undefined ? Option.none() : yield* find(id)
            const made = Option.isSome(present) ?
              present.value :
              yield* backfills.start(scheduleId, { ...body, ...range, id })
            if (!isAsked(made, scheduleId, range, body)) {
              return yield* Effect.fail(takenId("BACKFILL_EXISTS", made.id))
            }
            return madeResponse(backfillAnswer(made), Option.isNone(present), "/v1/backfills")
          }).pipe(withProblems))
        .handle("list", ({ path }) =>
          Effect.gen(function*() {
            const { id } = yield* Effect.flatMap(readScheduleId(path.id), getSchedule)
            return { items: (yield* backfills.list(id)).map(backfillAnswer) }
          }).pipe(withProblems))
        .handle(
          "get",
          ({ path }) =>
            Effect.flatMap(readBackfillId(path.id), backfills.get).pipe(Effect.map(backfillAnswer), withProblems)
        )
        .handleRaw("cancel", ({ path, request }) =>
          Effect.gen(function*() {
            const id = yield* readBackfillId(path.id)
            yield* readNoBody(request)
            return backfillAnswer(yield* backfills.cancel(id))
          }).pipe(withProblems))
    })
)

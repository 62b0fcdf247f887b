/** What the routes of `/v1/triggers` do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect } from "effect"
import { parseRange } from "../../domain/Range.ts"
import { farthest, iso } from "../../domain/Time.ts"
import { describe } from "../../preview/describe.ts"
import type { LeftOutOccurrence, Occurrence } from "../../preview/preview.ts"
import { between, next } from "../../preview/preview.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { withProblems } from "../DomainProblem.ts"
import { problem } from "../Problem.ts"
import { maxBodyBytes, readBody } from "../RequestBody.ts"
import { readTrigger } from "./TriggerRequest.ts"
import type { PreviewAnswer } from "./TriggersApi.ts"
import { GivenPreview } from "./TriggersApi.ts"

const shownOccurrence = (found: Occurrence | LeftOutOccurrence): PreviewAnswer["occurrences"][number] => ({
  at: iso(found.at),
  local: found.local,
  dst: found.dst ?? null,
  leftOut: found._tag === "LeftOut"
})

const mixed = problem(400, "BODY_INVALID", "Expected either from and to, both of them, or count and after.")

const found = ({ after, count, from, to, trigger: given }: typeof GivenPreview.Type) =>
  Effect.gen(function*() {
    const trigger = yield* readTrigger(given)
    const description = yield* describe(trigger)
    if (from === undefined && to === undefined) {
      return { description, occurrences: yield* next(trigger, count ?? 10, { after }) }
    }
    return from === undefined || to === undefined || count !== undefined || after !== undefined
      ? yield* Effect.fail(mixed)
      : yield* Effect.zipRight(
        parseRange(from, to),
        Effect.map(between(trigger, from, to), (occurrences) => ({ description, occurrences }))
      )
  })

export const v1TriggersLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "v1Triggers",
  (handlers) =>
    handlers.handleRaw("preview", ({ request }) =>
      Effect.gen(function*() {
        const body = yield* readBody(request, GivenPreview, maxBodyBytes)
        const { description, occurrences } = yield* found(body)
        return { description, occurrences: occurrences.filter(({ at }) => at <= farthest).map(shownOccurrence) }
      }).pipe(withProblems))
)

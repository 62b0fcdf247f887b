/** What the routes of `/v1/pauses` do. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import { Effect } from "effect"
import type { Pause } from "../../domain/Pause.ts"
import { LambdaScheduler } from "../../engine/LambdaScheduler.ts"
import { LambdaSchedulerApi } from "../Api.ts"
import { withProblems } from "../DomainProblem.ts"
import { maxBodyBytes, readOptionalBody } from "../RequestBody.ts"
import { readFunctionName } from "./Ids.ts"
import { pauseAnswer, PauseRequest } from "./PauseRequest.ts"
import type { FunctionPause } from "./PausesApi.ts"

const shown = (functionName: string | undefined, pause: Pause): FunctionPause => ({
  function: functionName ?? null,
  ...pauseAnswer(pause)
})

export const v1PausesLayer = HttpApiBuilder.group(
  LambdaSchedulerApi,
  "v1Pauses",
  (handlers) =>
    Effect.gen(function*() {
      const { pauses } = yield* LambdaScheduler
      const set = (functionName: string | undefined, request: HttpServerRequest) =>
        Effect.gen(function*() {
          const pause = yield* readOptionalBody(request, PauseRequest, maxBodyBytes)
          return shown(functionName, yield* pauses.set(functionName, pause))
        })
      return handlers
        .handle("list", () =>
          pauses.get.pipe(
            Effect.map((all) => ({
              // The empty name, of all functions, is the first.
              items: Object.entries(all).sort(([left], [right]) => left < right ? -1 : 1)
                .map(([name, pause]) => shown(name === "" ? undefined : name, pause))
            })),
            withProblems
          ))
        .handleRaw("pause", ({ path, request }) =>
          Effect.flatMap(readFunctionName(path.function), (name) =>
            set(name, request)).pipe(withProblems))
        .handle("resume", ({ path }) =>
          Effect.flatMap(readFunctionName(path.function), pauses.lift).pipe(withProblems))
        .handleRaw("pauseAll", ({ request }) => withProblems(set(undefined, request)))
        .handle("resumeAll", () => withProblems(pauses.lift(undefined)))
    })
)

/** The contract of `/v1/pauses`: nothing of a function starts, or nothing at all. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { BadRequest, Empty, TooLarge, Unavailable, UnsupportedMediaType } from "../Contract.ts"
import { pauseFields, PauseRequest } from "./PauseRequest.ts"

export const FunctionPause = Schema.Struct({
  function: Schema.NullOr(Schema.String).annotations({ description: "Its bare name; null: all functions" }),
  ...pauseFields
}).annotations({ identifier: "FunctionPause" })
export type FunctionPause = typeof FunctionPause.Type

export const FunctionPauses = Schema.Struct({ items: Schema.Array(FunctionPause) }).annotations({
  identifier: "FunctionPauses"
})

const Name = HttpApiSchema.param(
  "function",
  Schema.NonEmptyString.annotations({ description: "The bare name of the function" })
)

const paused = "Once this has answered, no new invocation starts, on any server, retries included. What runs is not " +
  "interrupted; what is due waits, and starts when the pause is over. Needs no body. Who pauses again changes name, note " +
  "and end."
const resumed =
  "What has waited starts now; other servers go on within 1.5 seconds. May be repeated: where there is no " +
  "pause, the answer is the same."

export const v1Pauses = HttpApiGroup.make("v1Pauses")
  .add(
    HttpApiEndpoint.get("list", "/v1/pauses")
      .setUrlParams(Empty).addSuccess(FunctionPauses).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "The pauses that hold",
        description: "That of all functions first, then by name. Those of schedules are shown with the schedules."
      }))
  )
  .add(
    HttpApiEndpoint.put("pause")`/v1/pauses/${Name}`
      .setPayload(PauseRequest).setUrlParams(Empty).addSuccess(FunctionPause)
      .addError(BadRequest).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({ summary: "Pauses a function", description: paused }))
  )
  .add(
    HttpApiEndpoint.del("resume")`/v1/pauses/${Name}`
      .setUrlParams(Empty).addSuccess(HttpApiSchema.NoContent).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({ summary: "Ends the pause of a function", description: resumed }))
  )
  .add(
    HttpApiEndpoint.put("pauseAll", "/v1/pause")
      .setPayload(PauseRequest).setUrlParams(Empty).addSuccess(FunctionPause)
      .addError(BadRequest).addError(TooLarge).addError(UnsupportedMediaType).addError(Unavailable)
      .annotateContext(OpenApi.annotations({ summary: "Pauses all functions", description: paused }))
  )
  .add(
    HttpApiEndpoint.del("resumeAll", "/v1/pause")
      .setUrlParams(Empty).addSuccess(HttpApiSchema.NoContent).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Ends the pause of all functions",
        description: `${resumed} Functions that are paused by their names stay so.`
      }))
  )
  .annotateContext(
    OpenApi.annotations({ title: "Pauses", description: "Nothing of a function starts, or nothing at all." })
  )

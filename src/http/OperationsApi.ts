/** The contract of what operators ask: probes and metrics. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { BadRequest, Empty, Unavailable } from "./Contract.ts"
import { metricsContentType } from "./Metrics.ts"

const Healthy = Schema.Struct({ status: Schema.Literal("ok") })
const Ready = Schema.Struct({
  status: Schema.Literal("ready"),
  details: Schema.optional(
    Schema.Record({ key: Schema.String, value: Schema.String }).annotations({
      description: "The store, and whether its notifications get through; only on loopback or with the key"
    })
  )
})

export const health = HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("healthz", "/healthz")
      .setUrlParams(Empty).addSuccess(Healthy).addError(BadRequest)
      .annotateContext(OpenApi.annotations({ summary: "Whether the process answers" }))
  )
  .add(
    HttpApiEndpoint.get("readyz", "/readyz")
      .setUrlParams(Empty).addSuccess(Ready).addError(BadRequest).addError(Unavailable)
      .annotateContext(OpenApi.annotations({
        summary: "Whether the scheduler does its work",
        description: "Answers within 5 seconds, also when it is stuck."
      }))
  )

export const metrics = HttpApiGroup.make("metrics")
  .add(
    HttpApiEndpoint.get("metrics", "/metrics")
      .setUrlParams(Empty)
      .addSuccess(
        HttpApiSchema.Text({ contentType: metricsContentType }).annotations({
          description: "The text format of Prometheus"
        })
      )
      .addError(BadRequest)
      .annotateContext(OpenApi.annotations({
        summary: "The scheduler's metrics, for Prometheus",
        description: "Those of this process, and the backlog of its store. While the store does not answer, the " +
          "backlog is left out."
      }))
  )

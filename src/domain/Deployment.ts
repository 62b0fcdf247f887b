/** Deploying a function: what comes of it, and how it fails. */
import { Schema } from "effect"
import type { FunctionTarget } from "./Task.ts"

/** A function that can be invoked now. */
export interface DeployedFunction {
  readonly target: FunctionTarget
  /** Base64 of the SHA-256 of the zip. */
  readonly codeSha256: string
  /** What the deployment had to do. */
  readonly change: "created" | "updated" | "unchanged"
}

/** Why a deployment failed. */
export const DeploymentErrorReason = Schema.Literal(
  /** No execution role, neither in the spec nor in the configuration. */
  "RoleMissing",
  /** Lambda cannot assume the role, even after waiting for it to propagate. */
  "RoleNotAssumable",
  /** The function stayed Pending. */
  "NeverActive",
  /** The function went to the state Failed. */
  "Failed",
  /** A function of this name is there and does not carry our tag. */
  "NotOwned",
  "NotFound",
  "AccessDenied",
  "MissingCredentials",
  "CredentialsRejected",
  "MissingRegion",
  "Throttled",
  "CodeTooLarge",
  /** The account's code storage is full. */
  "StorageExceeded",
  /** The service refused the request as such (HTTP 4xx). */
  "Rejected",
  /** Another change of the same function is in progress. */
  "Conflict",
  "ServiceError",
  "Unreachable"
)
export type DeploymentErrorReason = typeof DeploymentErrorReason.Type

/** The function is not deployed (or not removed); what was there before is as it was unless the message says so. */
export class DeploymentError extends Schema.TaggedError<DeploymentError>()("DeploymentError", {
  reason: DeploymentErrorReason,
  functionName: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/** How to reach AWS. All optional: what is not said here, the SDK finds as it always does. */
import type { LambdaClientConfig } from "@aws-sdk/client-lambda"
import { Config, Effect, Redacted } from "effect"

/** A fixed pair of keys. Prefer the default chain: roles, SSO and containers rotate theirs. */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
}

/** Marks the functions that are ours to change and remove. */
export interface OwnerTag {
  readonly key: string
  readonly value: string
}

export const defaultOwnerTag: OwnerTag = { key: "effect-lambda-scheduler:owner", value: "effect-lambda-scheduler" }

export interface AwsLambdaOptions {
  /** Default: `AWS_REGION`, or the region of the profile. */
  readonly region?: string | undefined
  /** Another address than AWS's own, such as a local stand-in's. Default: `AWS_ENDPOINT_URL_LAMBDA`. */
  readonly endpoint?: string | undefined
  /** Keys, or a provider of the SDK. Default: the SDK's chain (environment, profile, SSO, container, instance). */
  readonly credentials?: AwsCredentials | Extract<LambdaClientConfig["credentials"], (...args: never) => unknown>
  /** Profile of the shared configuration files. Default: `AWS_PROFILE`. */
  readonly profile?: string | undefined
  /** ARN of the execution role of functions that name none. Default: `AWS_LAMBDA_ROLE_ARN`. */
  readonly role?: string | undefined
  /** Give each of several schedulers in one account its own value, and none touches another's functions. */
  readonly ownerTag?: OwnerTag | undefined
}

/** What the environment says, for what the options leave open. */
export const roleFromEnvironment: Effect.Effect<string | undefined> = Config.string("AWS_LAMBDA_ROLE_ARN").pipe(
  Config.withDefault(""),
  Effect.map((role) => role.trim() === "" ? undefined : role.trim()),
  // A configuration that cannot be read at all is nothing a caller of ours could act on.
  Effect.orDie
)

/** The options as the SDK takes them; this is where secrets are unwrapped. */
export const sdkConfig = (options: AwsLambdaOptions): LambdaClientConfig => {
  const { credentials } = options
  return {
    ...(options.region !== undefined && { region: options.region }),
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.profile !== undefined && { profile: options.profile }),
    ...(credentials !== undefined && {
      credentials: typeof credentials === "function" ? credentials : {
        accessKeyId: credentials.accessKeyId,
        secretAccessKey: Redacted.value(credentials.secretAccessKey),
        ...(credentials.sessionToken !== undefined && { sessionToken: Redacted.value(credentials.sessionToken) })
      }
    })
  }
}

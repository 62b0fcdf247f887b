/** Where functions run, and why: any sign of AWS in the environment selects AWS. Pure. */

/** Environment variables that select AWS when they are set. */
export const awsSigns = [
  "AWS_LAMBDA_ROLE_ARN",
  "AWS_ACCESS_KEY_ID",
  "AWS_PROFILE",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
  "AWS_WEB_IDENTITY_TOKEN_FILE"
] as const

export interface LambdaTarget {
  readonly where: "aws" | "local"
  /** Goes on after "because". */
  readonly reason: string
}

/**
 * Decides where functions run.
 *
 * @param forced the value of `LAMBDA`
 * @param signs those of `awsSigns` that are set
 *
 * @example
 * lambdaTarget(undefined, ["AWS_PROFILE"]) // { where: "aws", reason: "AWS_PROFILE is set" }
 */
export const lambdaTarget = (forced: "aws" | "local" | undefined, signs: ReadonlyArray<string>): LambdaTarget => {
  if (forced !== undefined) return { where: forced, reason: `LAMBDA=${forced}` }
  const [first] = signs
  return first === undefined
    ? {
      where: "local",
      reason: "no AWS credentials or role are set (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_LAMBDA_ROLE_ARN, ...)"
    }
    : { where: "aws", reason: `${first} is set` }
}

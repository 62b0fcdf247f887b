/**
 * The least that AWS must allow, as IAM policies. A test compares them, action by action, with the calls that are made.
 */

/** One statement of an IAM policy. */
export interface PolicyStatement {
  readonly Sid: string
  readonly Effect: "Allow"
  readonly Action: ReadonlyArray<string>
  readonly Resource: ReadonlyArray<string>
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

export interface Policy {
  readonly Version: "2012-10-17"
  readonly Statement: ReadonlyArray<PolicyStatement>
}

/** What the policies are about. */
export interface PolicyScope {
  readonly region: string
  /** 12 digits. */
  readonly account: string
  /** Functions whose names begin with this; empty for all of the account's. */
  readonly prefix: string
  /** `aws`, unless it is `aws-cn` or `aws-us-gov`. */
  readonly partition?: string
}

const functionsOf = ({ account, partition = "aws", prefix, region }: PolicyScope): string =>
  `arn:${partition}:lambda:${region}:${account}:function:${prefix}*`

const invoking = (scope: PolicyScope): PolicyStatement => ({
  Sid: "Invoke",
  Effect: "Allow",
  Action: ["lambda:InvokeFunction"],
  Resource: [functionsOf(scope), `${functionsOf(scope)}:*`]
})

/**
 * For a scheduler that only invokes functions that others deploy (`LambdaFunction.existing`).
 *
 * @example
 * JSON.stringify(invokePolicy({ region: "eu-north-1", account: "123456789012", prefix: "jobs-" }), null, 2)
 */
export const invokePolicy = (scope: PolicyScope): Policy => ({ Version: "2012-10-17", Statement: [invoking(scope)] })

/**
 * For a scheduler that deploys code too. Passing the execution role is allowed for that one role, to Lambda alone.
 *
 * @param role ARN of the execution role (`AWS_LAMBDA_ROLE_ARN`)
 *
 * @example
 * deployPolicy({ region: "eu-north-1", account: "123456789012", prefix: "jobs-" }, "arn:aws:iam::123456789012:role/jobs")
 */
export const deployPolicy = (scope: PolicyScope, role: string): Policy => ({
  Version: "2012-10-17",
  Statement: [
    invoking(scope),
    {
      Sid: "Deploy",
      Effect: "Allow",
      Action: [
        "lambda:CreateFunction",
        "lambda:DeleteFunction",
        "lambda:GetFunctionConfiguration",
        "lambda:ListTags",
        "lambda:TagResource",
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration"
      ],
      Resource: [functionsOf(scope)]
    },
    {
      Sid: "PassTheExecutionRole",
      Effect: "Allow",
      Action: ["iam:PassRole"],
      Resource: [role],
      Condition: { StringEquals: { "iam:PassedToService": "lambda.amazonaws.com" } }
    }
  ]
})

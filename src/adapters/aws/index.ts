/** `effect-lambda-scheduler/aws`: functions on AWS Lambda. */
export { AwsLambdaClient } from "./AwsLambdaClient.ts"
export type { AwsCredentials, AwsLambdaOptions, OwnerTag } from "./AwsLambdaConfig.ts"
export { deployPolicy, invokePolicy } from "./policy.ts"
export type { Policy, PolicyScope, PolicyStatement } from "./policy.ts"

/** `effect-lambda-scheduler/local`: Lambda functions on this machine. */
export { LocalLambdaClient } from "./LocalLambdaClient.ts"
export { LocalLambdaServer } from "./LocalLambdaServer.ts"
export type { LocalSettings } from "./LocalSettings.ts"

/** What users need to test their own schedules: virtual time, and a LambdaClient that answers from a script. */
export { ScriptedLambdaClient } from "./ScriptedLambdaClient.ts"
export type {
  RecordedDeployment,
  RecordedInvocation,
  RecordedRemoval,
  Script,
  ScriptedCall,
  ScriptOptions
} from "./ScriptedLambdaClient.ts"
export * as VirtualClock from "./VirtualClock.ts"

/** What users need to test their own schedules: virtual time, and a LambdaClient that answers from a script. */
export * as VirtualClock from "./VirtualClock.ts"

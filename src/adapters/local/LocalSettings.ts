/** The settings of the runtime on this machine. */
import type { Millis } from "../../domain/Time.ts"

export interface LocalSettings {
  /** How many calls run at a time, each in a process of its own. More wait, for as long as their callers do. */
  readonly concurrency: number
  /** Milliseconds after which an idle process is ended. */
  readonly idleTimeout: Millis
  /** Milliseconds a handler's module may take to load (AWS: 10 seconds). */
  readonly initTimeout: Millis
  /** Milliseconds a function stays Pending after it was created or updated, as on AWS. */
  readonly pendingFor: Millis
  /** What functions see as `AWS_REGION` and in their ARN. */
  readonly region: string
  /** What functions see as the account in their ARN. */
  readonly accountId: string
  /**
   * Runs handlers under Node's permission model: no files but their own, no processes, workers or native add-ons.
   * Turn it off for functions that need those, and that you trust as your own program.
   */
  readonly permissions: boolean
  /** Lets functions use the network. Node can deny it from version 25 on; older versions always allow it. */
  readonly network: boolean
}

export const defaultSettings: LocalSettings = {
  concurrency: 32,
  idleTimeout: 300_000,
  initTimeout: 10_000,
  pendingFor: 0,
  region: "us-east-1",
  accountId: "000000000000",
  permissions: true,
  network: false
}

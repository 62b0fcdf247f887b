/** What the programs are told in their environment. */
import { Schema } from "effect"

const Share = Schema.optional(Schema.Number.pipe(Schema.between(0, 1)))

/** How a function behaves. Shares are of 1, and what is left succeeds. */
const FunctionScript = Schema.Struct({
  /** Milliseconds: exponential above `least`, cut off at `most`. */
  latency: Schema.Struct({ least: Schema.Number, mean: Schema.Number, most: Schema.Number }),
  /** Answered with HTTP 200 and a function error. */
  errors: Share,
  /** Answered with HTTP 429. */
  throttles: Share,
  /** The connection is reset instead of an answer. */
  resets: Share,
  /** Never answered. */
  hangs: Share
})

/** By name. A function that is not here succeeds at once. */
export const FunctionScripts = Schema.Record({ key: Schema.String, value: FunctionScript })
export type FunctionScripts = typeof FunctionScripts.Type

export const EndpointSettings = Schema.Struct({
  log: Schema.String,
  seed: Schema.Number,
  functions: FunctionScripts
})
export type EndpointSettings = typeof EndpointSettings.Type

/** What a worker does besides running what is due. */
const Load = Schema.Struct({
  /** One-shots asked for in a second. */
  rate: Schema.Number,
  /** Names of functions; one that is here twice is asked for twice as often. */
  functions: Schema.NonEmptyArray(Schema.String),
  /** Milliseconds: half of the one-shots are due at once, the others within this time. */
  ahead: Schema.Number,
  /** Whether it begins with one schedule at a fixed rate and one that is spaced, of a second each. */
  recurring: Schema.Boolean
})

export const WorkerSettings = Schema.Struct({
  /** Of its own: what it asks for is named after it. */
  name: Schema.String,
  seed: Schema.Number,
  databaseUrl: Schema.String,
  schema: Schema.String,
  /** Milliseconds until a statement is given up. */
  queryTimeout: Schema.Number,
  endpoint: Schema.String,
  journal: Schema.String,
  /** What differs from `EngineConfig.defaults`. */
  engine: Schema.Record({ key: Schema.String, value: Schema.Number }),
  /** Milliseconds that its clock is ahead of everybody else's. */
  clockSkew: Schema.Number,
  /** Milliseconds. */
  functionTimeout: Schema.Number,
  maxAttempts: Schema.Number,
  load: Load
})
export type WorkerSettings = typeof WorkerSettings.Type

/** Steps of the engine that a worker can be made to die at, before the step or after it. */
export const steps = ["insert", "claimDue", "start", "invoke", "settle"] as const
export const moments = ["before", "after"] as const
export type CrashPoint = `${(typeof moments)[number]} ${(typeof steps)[number]}`

/** What a worker is told while it runs. */
export type Order =
  /** Ask for as much as you can, for a moment. */
  | { readonly order: "burst" }
  /** Ask for nothing more. */
  | { readonly order: "quiet" }
  /** End schedules. */
  | { readonly order: "cancel"; readonly schedules: ReadonlyArray<string> }
  /** Die as from SIGKILL when you come to this point next. */
  | { readonly order: "crash"; readonly point: CrashPoint }

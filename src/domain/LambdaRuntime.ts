/**
 * AWS Lambda's Node.js runtimes and their dates, as data: AWS has moved them before.
 *
 * Source: "Lambda runtimes" in the AWS Lambda developer guide, November 2026.
 */
import type { EpochMillis } from "./Time.ts"

export interface LambdaRuntime {
  readonly name: string
  /** Major version of Node.js. */
  readonly node: number
  /** ISO dates, or absent while AWS has not announced them. */
  readonly deprecated?: string
  readonly createBlocked?: string
  readonly updateBlocked?: string
}

export const lambdaRuntimes: ReadonlyArray<LambdaRuntime> = [
  {
    name: "nodejs20.x",
    node: 20,
    deprecated: "2026-04-30",
    createBlocked: "2026-08-31",
    updateBlocked: "2026-09-30"
  },
  {
    name: "nodejs22.x",
    node: 22,
    deprecated: "2027-04-30",
    createBlocked: "2027-06-01",
    updateBlocked: "2027-07-01"
  },
  {
    name: "nodejs24.x",
    node: 24,
    deprecated: "2028-04-30",
    createBlocked: "2028-06-01",
    updateBlocked: "2028-07-01"
  }
]

export const defaultRuntime = "nodejs24.x"

/** How long before a date a warning is worth giving: 90 days. */
const warnAhead = 90 * 86_400_000

/**
 * What to tell someone who deploys on a runtime near, or past, one of its dates; `undefined` while all is well.
 *
 * @example
 * runtimeWarning("nodejs22.x", Date.UTC(2027, 4, 2)) // "Runtime nodejs22.x is deprecated since 2027-04-30; ..."
 */
export const runtimeWarning = (name: string, now: EpochMillis): string | undefined => {
  const runtime = lambdaRuntimes.find((candidate) => candidate.name === name)
  if (runtime?.deprecated === undefined) return undefined
  const deprecated = Date.parse(runtime.deprecated)
  if (now < deprecated - warnAhead) return undefined
  const verb = now < deprecated ? "will be deprecated on" : "is deprecated since"
  return `Runtime ${name} ${verb} ${runtime.deprecated}; AWS refuses new functions on it from ${runtime.createBlocked}` +
    ` and updates from ${runtime.updateBlocked}. Move to ${defaultRuntime}.`
}

/** What an invocation comes to, in AWS's words. Pure. */
import type { Millis } from "../../domain/Time.ts"
import type { Answer, Started } from "./Call.ts"
import type { ExitStatus } from "./Child.ts"

/** An invocation that reached a function. A function that failed is one too, as on AWS (HTTP 200). */
export interface Outcome {
  readonly requestId: string
  readonly body: Buffer
  readonly functionError: "Unhandled" | undefined
  readonly timedOut: boolean
  /** The last 4 KB of the log. */
  readonly log: string
}

/** The part of an `Outcome` that an answer decides. */
export type Verdict = Pick<Outcome, "body" | "functionError" | "timedOut">

const failed = (errorType: string, requestId: string, what: string, timedOut = false): Verdict => ({
  body: Buffer.from(JSON.stringify({ errorType, errorMessage: `RequestId: ${requestId} Error: ${what}` })),
  functionError: "Unhandled",
  timedOut
})

const signalNames: Readonly<Record<string, string>> = {
  SIGABRT: "aborted",
  SIGKILL: "killed",
  SIGSEGV: "segmentation fault",
  SIGTERM: "terminated"
}

const exitText = ({ code, signal }: ExitStatus): string => {
  if (signal !== null) return `Runtime exited with error: signal: ${signalNames[signal] ?? signal}`
  return code === 0 ? "Runtime exited without providing a reason" : `Runtime exited with error: exit status ${code}`
}

const timedOutText = (after: Millis): string => `Task timed out after ${(after / 1_000).toFixed(2)} seconds`

/** The line AWS logs for a call that ran into its timeout. */
export const timedOutLine = (instant: string, requestId: string, after: Millis): string =>
  `${instant} ${requestId} ${timedOutText(after)}`

/**
 * The verdict on a call that its environment began, or on an environment that did not start.
 *
 * @example
 * verdict({ _tag: "TimedOut", after: 3_000 }, requestId).body // {"errorType":"Sandbox.Timedout", ...}
 */
export const verdict = (
  answer: Exclude<Answer, { readonly _tag: "NotBegun" }> | Exclude<Started, { readonly _tag: "Ready" }>,
  requestId: string
): Verdict => {
  switch (answer._tag) {
    case "Result":
      return { body: answer.body, functionError: undefined, timedOut: false }
    case "Error":
    case "Fatal":
    case "InitError":
      return { body: answer.body, functionError: "Unhandled", timedOut: false }
    case "Exited":
      return failed("Runtime.ExitError", requestId, exitText(answer.status))
    case "OutOfMemory":
      return failed("Runtime.OutOfMemory", requestId, "Runtime exited with error: signal: killed")
    case "TimedOut":
      return failed("Sandbox.Timedout", requestId, timedOutText(answer.after), true)
  }
}

/** The line AWS ends the log of each call with. */
export const reportLine = (report: {
  readonly requestId: string
  readonly duration: Millis
  readonly memorySize: number
  readonly memoryUsed: number | undefined
  readonly initDuration: Millis | undefined
}): string => {
  const used = report.memoryUsed === undefined
    ? ""
    : `\tMax Memory Used: ${Math.ceil(report.memoryUsed / 1024 / 1024)} MB`
  const init = report.initDuration === undefined ? "" : `\tInit Duration: ${report.initDuration.toFixed(2)} ms`
  return `REPORT RequestId: ${report.requestId}\tDuration: ${report.duration.toFixed(2)} ms` +
    `\tBilled Duration: ${Math.ceil(report.duration)} ms\tMemory Size: ${report.memorySize} MB${used}${init}\t`
}

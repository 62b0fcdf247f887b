/** The Lambda endpoint that a run is judged by: where it is, and what it has seen. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { EndpointLine, parseLines } from "./History.ts"
import { start, temporaryDirectory } from "./programs.ts"
import type { EndpointSettings } from "./settings.ts"

export interface RecordingEndpoint {
  readonly url: string
  /** What it has written down so far. */
  readonly log: Effect.Effect<ReadonlyArray<EndpointLine>>
}

/**
 * Starts an endpoint, in a process of its own, for as long as the scope is open.
 *
 * @param program the bundled `endpoint.ts`
 */
export const recordingEndpoint = (
  program: string,
  settings: Omit<EndpointSettings, "log">
): Effect.Effect<RecordingEndpoint, never, Scope.Scope> =>
  Effect.gen(function*() {
    const log = join(yield* temporaryDirectory, "endpoint.log")
    yield* Effect.promise(() => writeFile(log, ""))
    const [{ output }, first] = yield* start(program, { ENDPOINT: JSON.stringify({ ...settings, log }) })
    if (first === undefined) return yield* Effect.dieMessage(`The endpoint did not start: ${output()}`)
    const { port } = first as { readonly port: number }
    return {
      url: `http://127.0.0.1:${port}`,
      log: Effect.map(Effect.promise(() => readFile(log, "utf8")), (text) => parseLines(EndpointLine, text))
    }
  })

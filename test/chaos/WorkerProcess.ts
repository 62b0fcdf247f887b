/** A worker as its parent sees it: a process, and the journal it leaves. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import type { JournalLine } from "./History.ts"
import { JournalLine as Line, parseLines } from "./History.ts"
import type { Program } from "./programs.ts"
import { start } from "./programs.ts"
import type { Order, WorkerSettings } from "./settings.ts"

export interface Worker extends Pick<Program, "pid" | "output" | "ended" | "hasEnded" | "kill"> {
  readonly name: string
  readonly tell: (order: Order) => void
  readonly journal: () => ReadonlyArray<JournalLine>
  /** The ids it has had leases under, the latest last. */
  readonly instances: () => ReadonlyArray<string>
  /** What it has asked for without an answer. */
  readonly unanswered: () => ReadonlyArray<string>
}

/**
 * Starts a worker and waits until it takes work.
 *
 * @param program the bundled `worker.ts`
 */
export const startWorker = (program: string, settings: WorkerSettings): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.gen(function*() {
    writeFileSync(settings.journal, "")
    const [process, first] = yield* start(program, { WORKER: JSON.stringify(settings) })
    if (first === undefined) return yield* Effect.dieMessage(`${settings.name} did not start: ${process.output()}`)
    const journal = () => parseLines(Line, readFileSync(settings.journal, "utf8"))
    return {
      name: settings.name,
      pid: process.pid,
      output: process.output,
      ended: process.ended,
      hasEnded: process.hasEnded,
      kill: process.kill,
      tell: process.tell,
      journal,
      instances: () => journal().flatMap((line) => line.kind === "lease" ? [line.instance] : []),
      unanswered: () => {
        const open = new Set<string>()
        for (const line of journal()) {
          if (line.kind === "asked") open.add(line.ask)
          else if (line.kind !== "lease") open.delete(line.ask)
        }
        return [...open]
      }
    }
  })

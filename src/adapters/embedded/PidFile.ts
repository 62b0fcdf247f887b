/** What a server writes about itself into its data directory, and by which PostgreSQL guards it against a second one. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { isServerOf, isThere } from "./Processes.ts"

export interface Running {
  readonly pid: number
  readonly port: number
  readonly isReady: boolean
}

const linesOf = (data: string): ReadonlyArray<string> | undefined => {
  try {
    return readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}

/** The server that runs on the data directory, as far as it has come. */
export const findRunning = (data: string): Running | undefined => {
  const lines = linesOf(data)
  const pid = Number(lines?.[0])
  if (lines === undefined || !(pid > 0) || !isServerOf(pid, data)) return undefined
  return { pid, port: Number(lines[3]), isReady: lines[7]?.trim() === "ready" }
}

/**
 * A server that was killed may leave a file whose pid has become another process. PostgreSQL takes that process for a
 * server and does not start. With the pid of its own parent in the file it knows that no server is meant, and still
 * checks what else is there: remains of the old server in shared memory.
 */
export const disown = (data: string): void => {
  const lines = linesOf(data)
  const pid = Number(lines?.[0])
  if (lines === undefined || !isThere(pid) || isServerOf(pid, data)) return
  writeFileSync(join(data, "postmaster.pid"), [process.pid, ...lines.slice(1)].join("\n"), { flag: "r+" })
}

/** The file that the server prints to: it outlives the program that started the server, as the server may. */
import { closeSync, copyFileSync, fstatSync, openSync, readSync, statSync, truncateSync } from "node:fs"

/** Twice this is the most that is kept. */
const most = 4 * 1024 * 1024

export class ServerLog {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** For the server to append to; the caller closes it. */
  open(): number {
    return openSync(this.path, "a", 0o600)
  }

  get size(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Keeps it bounded while the server goes on writing: it appends, so that a cut file simply begins anew. */
  bound(): void {
    if (this.size < most) return
    copyFileSync(this.path, `${this.path}.1`)
    truncateSync(this.path)
  }

  /** The last lines that were printed after a position. */
  tail(from: number, lines = 8): string {
    const file = openSync(this.path, "r")
    try {
      const { size } = fstatSync(file)
      const begin = Math.max(from > size ? 0 : from, size - 4_096)
      const bytes = Buffer.alloc(size - begin)
      readSync(file, bytes, 0, bytes.length, begin)
      return bytes.toString("utf8").trim().split("\n").slice(-lines).join("\n")
    } finally {
      closeSync(file)
    }
  }
}

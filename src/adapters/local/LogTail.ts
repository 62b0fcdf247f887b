/** The end of a log, in bounded memory however much is printed. */

/** AWS's length of the log tail, in bytes. */
const tailBytes = 4096

export class LogTail {
  private kept: Buffer = Buffer.alloc(0)
  private total = 0
  private readonly waiting = new Set<() => void>()

  /** Adds what the process printed. */
  print(chunk: Buffer): void {
    this.total += chunk.length
    this.add(chunk)
    for (const wake of this.waiting) wake()
  }

  /** Adds a line of the runtime's own. */
  note(line: string): void {
    this.add(Buffer.from(`${line}\n`))
  }

  /** Forgets the log so far: another call begins. */
  clear(): void {
    this.kept = Buffer.alloc(0)
  }

  /** Whether as many bytes as this have been printed since the start. */
  hasPrinted(bytes: number): boolean {
    return this.total >= bytes
  }

  /** Calls back once as many bytes as this have been printed since the start; answers how to stop waiting. */
  whenPrinted(bytes: number, then: () => void): () => void {
    const wake = () => {
      if (!this.hasPrinted(bytes)) return
      this.waiting.delete(wake)
      then()
    }
    this.waiting.add(wake)
    wake()
    return () => this.waiting.delete(wake)
  }

  get text(): string {
    return this.kept.toString("utf8")
  }

  private add(chunk: Buffer): void {
    // A copy: a view would keep all of a large chunk in memory.
    this.kept = Buffer.concat([this.kept, chunk.subarray(-tailBytes)]).subarray(-tailBytes)
  }
}

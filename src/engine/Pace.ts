/** How fast runs of a function get through, lately. */
import type { EpochMillis, Millis } from "../domain/Time.ts"

/** How much the latest interval counts. */
const weight = 0.1

/** How many functions are remembered. */
const most = 10_000

interface Ends {
  last: EpochMillis
  /** Milliseconds between two ends, averaged. */
  interval: Millis
}

export class Pace {
  private readonly ends = new Map<string, Ends>()

  /** A run has ended. */
  note(functionName: string, now: EpochMillis): void {
    const known = this.ends.get(functionName)
    if (known === undefined) {
      if (this.ends.size >= most) this.ends.clear()
      this.ends.set(functionName, { last: now, interval: 0 })
      return
    }
    const interval = Math.max(0, now - known.last)
    known.interval += weight * (interval - known.interval)
    known.last = now
  }

  /** Milliseconds from one end to the next: not less than the last has been ago; 0 if nothing is known. */
  of(functionName: string, now: EpochMillis): Millis {
    const known = this.ends.get(functionName)
    return known === undefined ? 0 : Math.max(known.interval, weight * (now - known.last))
  }
}

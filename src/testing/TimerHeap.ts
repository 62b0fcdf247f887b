/** A binary heap of timers whose entries know their place, so that one can be taken out of the middle. */

export interface Timer {
  /** Epoch milliseconds. */
  readonly at: number
  /** Tells timers of one instant apart: first set, first run. */
  readonly sequence: number
  readonly run: () => void
  /** Its place in the heap; -1 once it has left. Owned by the heap. */
  position: number
}

const isBefore = (one: Timer, other: Timer): boolean =>
  one.at < other.at || (one.at === other.at && one.sequence < other.sequence)

export class TimerHeap {
  readonly #timers: Array<Timer> = []

  get size(): number {
    return this.#timers.length
  }

  push(timer: Timer): void {
    this.#timers.push(timer)
    this.#rise(timer, this.#timers.length - 1)
  }

  /** Takes the earliest timer out. */
  pop(): Timer | undefined {
    const first = this.#timers[0]
    if (first !== undefined) this.remove(first)
    return first
  }

  /** Takes a timer out; `false` when it has already left. */
  remove(timer: Timer): boolean {
    const hole = timer.position
    if (hole < 0) return false
    timer.position = -1
    const last = this.#timers.pop()
    if (last === undefined || last === timer) return true
    const parent = this.#timers[(hole - 1) >> 1]
    if (hole > 0 && parent !== undefined && isBefore(last, parent)) this.#rise(last, hole)
    else this.#sink(last, hole)
    return true
  }

  #put(timer: Timer, position: number): void {
    this.#timers[position] = timer
    timer.position = position
  }

  #rise(timer: Timer, from: number): void {
    let position = from
    while (position > 0) {
      const above = (position - 1) >> 1
      const parent = this.#timers[above]
      if (parent === undefined || !isBefore(timer, parent)) break
      this.#put(parent, position)
      position = above
    }
    this.#put(timer, position)
  }

  #sink(timer: Timer, from: number): void {
    let position = from
    for (;;) {
      const left = this.#timers[2 * position + 1]
      const right = this.#timers[2 * position + 2]
      const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
      if (child === undefined || !isBefore(child, timer)) break
      const below = child.position
      this.#put(child, position)
      position = below
    }
    this.#put(timer, position)
  }
}

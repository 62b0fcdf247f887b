/** A binary min-heap on an array: 8 bytes an entry besides the entry itself. */
export class Heap<A> {
  private readonly entries: Array<A> = []
  private readonly isBefore: (left: A, right: A) => boolean

  /** @param isBefore whether `left` comes out before `right`; a strict order */
  constructor(isBefore: (left: A, right: A) => boolean) {
    this.isBefore = isBefore
  }

  get size(): number {
    return this.entries.length
  }

  /** The entry that comes out next. */
  get first(): A | undefined {
    return this.entries[0]
  }

  push(entry: A): void {
    const { entries } = this
    let index = entries.length
    entries.push(entry)
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = entries[parent] as A
      if (!this.isBefore(entry, above)) break
      entries[index] = above
      index = parent
    }
    entries[index] = entry
  }

  pop(): A | undefined {
    const { entries } = this
    const first = entries[0]
    const moved = entries.pop()
    if (entries.length > 0) this.sink(moved as A, 0)
    return first
  }

  /** Keeps only the entries that `keep` names. */
  retain(keep: (entry: A) => boolean): void {
    const kept = this.entries.filter(keep)
    this.entries.length = 0
    for (const entry of kept) this.push(entry)
  }

  /** All entries, in no particular order. */
  values(): ReadonlyArray<A> {
    return this.entries
  }

  private sink(entry: A, from: number): void {
    const { entries } = this
    let index = from
    for (;;) {
      let child = 2 * index + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && this.isBefore(entries[child + 1] as A, entries[child] as A)) child++
      const below = entries[child] as A
      if (!this.isBefore(below, entry)) break
      entries[index] = below
      index = child
    }
    entries[index] = entry
  }
}

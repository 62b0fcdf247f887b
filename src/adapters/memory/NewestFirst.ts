/** A map that can also be walked by descending key, from any key on. */
export class NewestFirst<Key extends string, Value> {
  private readonly entries = new Map<Key, Value>()
  /** Ascending. Keys that have been deleted stay until there are too many of them. */
  private keys: Array<Key> = []

  get size(): number {
    return this.entries.size
  }

  get(key: Key): Value | undefined {
    return this.entries.get(key)
  }

  set(key: Key, value: Value): void {
    if (!this.entries.has(key)) {
      const last = this.keys[this.keys.length - 1]
      // Keys begin with their time: nearly all of them go to the end.
      if (last === undefined || last < key) this.keys.push(key)
      else {
        const index = this.firstNotBelow(key)
        if (this.keys[index] !== key) this.keys.splice(index, 0, key)
      }
    }
    this.entries.set(key, value)
  }

  delete(key: Key): void {
    this.entries.delete(key)
    if (this.keys.length > 1_024 && this.keys.length > 2 * this.entries.size) {
      this.keys = this.keys.filter((kept) => this.entries.has(kept))
    }
  }

  /** All values, in no particular order; safe against changes of values under way. */
  values(): Iterable<Value> {
    return this.entries.values()
  }

  /**
   * One page, by descending key.
   *
   * @param below only keys below this one; `undefined` from the newest on
   * @returns the page, and the key to go on below; `undefined` on the last page
   */
  page(
    below: Key | undefined,
    limit: number,
    matches: (value: Value) => boolean
  ): { readonly items: ReadonlyArray<Value>; readonly cursor: Key | undefined } {
    const items: Array<Value> = []
    let lastKey: Key | undefined
    for (let index = below === undefined ? this.keys.length : this.firstNotBelow(below); index-- > 0;) {
      const key = this.keys[index] as Key
      const value = this.entries.get(key)
      if (value === undefined || !matches(value)) continue
      if (items.length === limit) return { items, cursor: lastKey }
      items.push(value)
      lastKey = key
    }
    return { items, cursor: undefined }
  }

  /** Index of the first key that is not below `key`. */
  private firstNotBelow(key: Key): number {
    let low = 0
    let high = this.keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.keys[middle] as Key) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

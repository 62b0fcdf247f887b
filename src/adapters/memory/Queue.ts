/** First in, first out, on an array: 8 bytes an entry, and no entry is moved when the first is taken. */
export class Queue<A> {
  private entries: Array<A> = []
  private head = 0

  get size(): number {
    return this.entries.length - this.head
  }

  get first(): A | undefined {
    return this.entries[this.head]
  }

  push(entry: A): void {
    this.entries.push(entry)
  }

  shift(): void {
    this.head++
    if (this.head > 1_024 && this.head * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.head)
      this.head = 0
    }
  }
}

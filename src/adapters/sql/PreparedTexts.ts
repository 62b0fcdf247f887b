/**
 * Which statements a pool prepares: those that come again and again. To plan one of ours costs the database as much as
 * to run it for sixty rows.
 */

/** Uses until a text is prepared: what is asked once or twice is not worth it. */
const usesBefore = 3
/** Texts prepared by a pool. Each costs every connection some memory of the database. */
const mostNames = 100
/** Texts whose uses are counted. */
const mostCounted = 1_000

export class PreparedTexts {
  #enabled: boolean
  #generation = 0
  readonly #uses = new Map<string, number>()
  readonly #names = new Map<string, string>()

  constructor(enabled: boolean) {
    this.#enabled = enabled
  }

  /** The name under which each connection prepares a text; `undefined`: it is not to be prepared. */
  nameOf(text: string): string | undefined {
    if (!this.#enabled) return undefined
    const name = this.#names.get(text)
    if (name !== undefined || this.#names.size >= mostNames) return name
    const uses = (this.#uses.get(text) ?? 0) + 1
    if (uses <= usesBefore) {
      if (this.#uses.size >= mostCounted) this.#uses.clear()
      this.#uses.set(text, uses)
      return undefined
    }
    this.#uses.delete(text)
    const given = `els_${this.#generation}_${this.#names.size}`
    this.#names.set(text, given)
    return given
  }

  /**
   * A prepared statement could not be used: none that was prepared so far is. Where they get lost, behind a pooler that
   * hands out its connections by the transaction, nothing is prepared any more.
   */
  failed(why: "lost" | "outdated"): void {
    if (why === "lost") this.#enabled = false
    this.#generation++
    this.#names.clear()
  }
}

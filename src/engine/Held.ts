/** What has to be asked for before it starts: a claim must not start it by itself. */
export interface Held {
  /** Every function ... */
  readonly all: boolean
  /** ... or these. */
  readonly functions: Iterable<string>
}

/** How many may run at once over all instances, of a function or of all of them: pure, the same for every store. */
import { Either, Schema } from "effect"

/** The name of the cap on all functions together. */
export const ofAll = ""

/** A cap as it is stored; without a concurrency it bounds nothing. */
const Cap = Schema.Struct({ v: Schema.Literal(1), concurrency: Schema.optional(Schema.Number) })

const decode = Schema.decodeUnknownEither(Schema.parseJson(Cap))

/**
 * How many may run at once.
 *
 * @param state as it is stored; one that a later version has written is not guessed at: nothing starts under it here
 *
 * @example
 * capOf('{"v":1,"concurrency":50}') // 50
 */
export const capOf = (state: string | undefined): number =>
  state === undefined
    ? Infinity
    : Either.match(decode(state), { onLeft: () => 0, onRight: ({ concurrency = Infinity }) => concurrency })

export const encodeCap = (concurrency: number | undefined): string => JSON.stringify({ v: 1, concurrency })

/**
 * Lets in what has room under each of its caps, in the order in which it asks.
 *
 * @param asked the caps of each that asks
 * @param room how many more may run under each cap
 * @returns for each the cap that has no room for it; `undefined`: it may start
 *
 * @example
 * letIn([["a"], ["a"]], new Map([["a", 1]])) // [undefined, "a"]
 */
export const letIn = (
  asked: ReadonlyArray<ReadonlyArray<string>>,
  room: ReadonlyMap<string, number>
): ReadonlyArray<string | undefined> => {
  const left = new Map(room)
  return asked.map((caps) => {
    const full = caps.find((cap) => (left.get(cap) ?? Infinity) < 1)
    if (full === undefined) { for (const cap of caps) left.set(cap, (left.get(cap) ?? Infinity) - 1) }
    return full
  })
}

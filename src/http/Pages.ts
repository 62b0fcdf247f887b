/** Pages that end early, before they become too large for one answer. */
import { Effect } from "effect"
import type { Task } from "../domain/Task.ts"
import type { Page, PageRequest } from "../ports/TaskRepository.ts"

/** Characters of payloads and results after which a page ends early: 1,000 Tasks can hold gigabytes. */
const maxPageCharacters = 16 * 1024 * 1024
/** How many are read at a time, to look at their size. */
const sliceSize = 25

/** Characters of a Task or a schedule that have no small bound. */
const sizeOf = (item: { readonly payload: string } | Task): number =>
  item.payload.length + ("status" in item && item.status === "Succeeded" ? item.result.text.length : 0)

/** A page as `/v1` answers it. */
export const pageAnswer = <A, Answer>({ cursor, items }: Page<A>, answer: (item: A) => Answer) => ({
  items: items.map(answer),
  cursor: cursor ?? null
})

/**
 * Reads a page slice by slice.
 *
 * @param list reads one slice
 *
 * @example
 * readPage((page) => scheduler.list({}, page), 1_000, undefined)
 */
export const readPage = <A extends { readonly payload: string } | Task, E>(
  list: (page: PageRequest) => Effect.Effect<Page<A>, E>,
  limit: number,
  cursor: string | undefined
): Effect.Effect<Page<A>, E> =>
  Effect.gen(function*() {
    const items: Array<A> = []
    let next = cursor
    let characters = 0
    do {
      const slice = yield* list({ limit: Math.min(limit - items.length, sliceSize), cursor: next })
      for (const item of slice.items) {
        items.push(item)
        characters += sizeOf(item)
      }
      next = slice.cursor
    } while (next !== undefined && items.length < limit && characters < maxPageCharacters)
    return { items, cursor: next }
  })

/** Text as every store can keep it. */

/** Whether a text comes back from a store as it was: one with NUL, or with half a character, does not. */
export const isStorable = (text: string): boolean => !text.includes("\0") && text.isWellFormed()

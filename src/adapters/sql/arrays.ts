/** Array parameters as text: a column of a batch is one parameter, whatever the number of its rows. */

const needsEscape = /["\\]/
const escapes = /["\\]/g

const quoted = (text: string): string => `"${needsEscape.test(text) ? text.replace(escapes, "\\$&") : text}"`

/** An array literal of texts; `undefined` and `null` are NULL. */
export const texts = (values: ReadonlyArray<string | null | undefined>): string => {
  let literal = "{"
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (index > 0) literal += ","
    literal += value === undefined || value === null ? "NULL" : quoted(value)
  }
  return `${literal}}`
}

/** An array literal of values that need no quotes: numbers, booleans, UUIDs. */
export const plain = (values: ReadonlyArray<string | number | boolean | null | undefined>): string => {
  let literal = "{"
  for (let index = 0; index < values.length; index++) {
    if (index > 0) literal += ","
    literal += values[index] ?? "NULL"
  }
  return `${literal}}`
}

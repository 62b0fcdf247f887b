/** Payloads: JSON, checked before anything is stored, delivered byte for byte. */
import { Either } from "effect"
import { InvalidInput } from "./Errors.ts"
import { shown } from "./Time.ts"

/** AWS Lambda's limit for a synchronous payload, in bytes of UTF-8 (6 MiB). */
export const maxPayloadBytes = 6 * 1024 * 1024

/** Nesting beyond this is refused: parsers and databases differ in where they break. */
export const maxPayloadDepth = 100

const refuse = (reason: "PayloadNotJson" | "PayloadTooLarge" | "PayloadTooDeep", field: string, message: string) =>
  new InvalidInput({ reason, field, message: `${field}: ${message}` })

const notJson = (field: string, what: string) => refuse("PayloadNotJson", field, `expected JSON, ${what}`)

const tooDeep = (field: string) => refuse("PayloadTooDeep", field, `is nested deeper than ${maxPayloadDepth} levels`)

const withinBytes = (text: string, maxBytes: number, field: string): InvalidInput | undefined => {
  // A string of n UTF-16 units is n to 3n bytes: most need no count.
  if (text.length * 3 <= maxBytes) return undefined
  const bytes = Buffer.byteLength(text, "utf8")
  return bytes <= maxBytes
    ? undefined
    : refuse("PayloadTooLarge", field, `is ${bytes} bytes of UTF-8; at most ${maxBytes} are accepted`)
}

const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (inString) {
      if (unit === 0x5c) index++
      else if (unit === 0x22) inString = false
    } else if (unit === 0x22) inString = true
    else if (unit === 0x7b || unit === 0x5b) deepest = Math.max(deepest, ++depth)
    else if (unit === 0x7d || unit === 0x5d) depth--
  }
  return deepest
}

/**
 * Accepts JSON text as it is: what is stored and delivered is this very text.
 *
 * @returns the text, or `InvalidInput` with reason `PayloadNotJson`, `PayloadTooLarge` or `PayloadTooDeep`
 *
 * @example
 * checkJsonText(`{"a":1,"a":2}`, "payloadJson") // Either.right(`{"a":1,"a":2}`)
 */
export const checkJsonText = (
  text: string,
  field: string,
  maxBytes: number = maxPayloadBytes
): Either.Either<string, InvalidInput> => {
  const tooLarge = withinBytes(text, maxBytes, field)
  if (tooLarge !== undefined) return Either.left(tooLarge)
  if (depthOf(text) > maxPayloadDepth) return Either.left(tooDeep(field))
  // A lone surrogate has no UTF-8: it would arrive as another character.
  if (!text.isWellFormed()) return Either.left(notJson(field, "got text with a lone surrogate"))
  try {
    JSON.parse(text)
    return Either.right(text)
  } catch (error) {
    return Either.left(notJson(field, `got text that does not parse (${(error as SyntaxError).name})`))
  }
}

/** What in a value has no faithful JSON, and where; `undefined` when all of it has. */
interface Unfaithful {
  readonly what: string
  readonly path: string
}

const within = (found: Unfaithful, step: string): Unfaithful => ({ what: found.what, path: `${step}${found.path}` })

const unfaithful = (value: unknown, depth: number): Unfaithful | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : { what: String(value), path: "" }
    case "object":
      break
    default:
      return { what: `a value of type ${typeof value}`, path: "" }
  }
  if (value === null || typeof (value as { toJSON?: unknown }).toJSON === "function") return undefined
  if (depth > maxPayloadDepth) return { what: tooDeepMark, path: "" }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const found = unfaithful(value[index], depth + 1)
      if (found !== undefined) return within(found, `[${index}]`)
    }
    return undefined
  }
  if (value instanceof Map || value instanceof Set) return { what: `a ${value.constructor.name}`, path: "" }
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key]
    // An absent optional field is how TypeScript spells "not there".
    if (member === undefined) continue
    const found = unfaithful(member, depth + 1)
    if (found !== undefined) return within(found, `.${key}`)
  }
  return undefined
}
const tooDeepMark = "nesting"

/**
 * Turns a value into JSON text, refusing what `JSON.stringify` would drop, change or throw on: `NaN`, functions,
 * symbols, BigInts, Maps, cycles, a throwing `toJSON`, `undefined` in an array.
 *
 * @returns the text, or `InvalidInput` with reason `PayloadNotJson`, `PayloadTooLarge` or `PayloadTooDeep`
 *
 * @example
 * toJsonText({ name: "Ada" }, "payload") // Either.right(`{"name":"Ada"}`)
 */
export const toJsonText = (
  value: unknown,
  field: string,
  maxBytes: number = maxPayloadBytes
): Either.Either<string, InvalidInput> => {
  try {
    const found = unfaithful(value, 1)
    if (found?.what === tooDeepMark) {
      return Either.left(isCyclic(value) ? notJson(field, "got a cyclic object") : tooDeep(field))
    }
    if (found !== undefined) {
      return Either.left(notJson(field, `got ${found.what} at ${shown(`${field}${found.path}`)}`))
    }
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) return Either.left(notJson(field, "got a value without JSON"))
    // toJSON may have brought in anything: check what it made.
    const tooLarge = withinBytes(text, maxBytes, field)
    if (tooLarge !== undefined) return Either.left(tooLarge)
    return depthOf(text) > maxPayloadDepth ? Either.left(tooDeep(field)) : Either.right(text)
  } catch (error) {
    return Either.left(notJson(field, `got a value that cannot be serialised (${(error as Error)?.name ?? "thrown"})`))
  }
}

const isCyclic = (value: unknown): boolean => {
  try {
    JSON.stringify(value)
    return false
  } catch (error) {
    // A RangeError is the stack's end: deep, but not cyclic.
    return error instanceof TypeError
  }
}

/** Logs as lines of JSON: one event, one line, whatever text is in it, and no secrets. */
import { Logger } from "effect"

// JSON leaves these as they are, though terminals and log readers take them for control codes or line ends.
const unsafe = /[\u007f-\u009f\u2028\u2029]/g
/** A character as JSON would escape it. */
export const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** What foreign messages may carry: access keys, bearer tokens, passwords in URLs. */
const secrets: ReadonlyArray<readonly [pattern: RegExp, shown: string]> = [
  [/\bA[KS]IA[A-Z0-9]{12,}\b/g, "<access key>"],
  [/\bbearer +[\w.~+/=-]+/gi, "Bearer <redacted>"],
  [/(aws_secret\w*\W{1,4})[\w/+=]+/gi, "$1<redacted>"],
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*:)[^\s@"]+@/gi, "$1<redacted>@"]
]

/** The same text with what looks like a secret taken out. */
export const withoutSecrets = (text: string): string =>
  secrets.reduce((text, [pattern, shown]) => text.replace(pattern, shown), text)

/**
 * Makes a line of a log fit to be shown.
 *
 * @example
 * presentable(`{"message":"postgres://user:pw@db"}`) // `{"message":"postgres://user:<redacted>@db"}`
 */
export const presentable = (line: string): string => withoutSecrets(line).replace(unsafe, escaped)

export const jsonLogger: Logger.Logger<unknown, string> = Logger.map(Logger.jsonLogger, presentable)

/** Logs as lines of JSON: one event, one line, whatever text is in it. */
import { Logger } from "effect"

// JSON leaves these as they are, though terminals and log readers take them for control codes or line ends.
const unsafe = /[\u007f-\u009f\u2028\u2029]/g
const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

export const jsonLog = Logger.replace(
  Logger.defaultLogger,
  Logger.withConsoleError(Logger.map(Logger.jsonLogger, (line) => line.replace(unsafe, escaped)))
)

/** Logs for people at a terminal: the same events as the lines of JSON, and no secrets either. */
import { Inspectable, Logger } from "effect"
import { escaped, withoutSecrets } from "./JsonLog.ts"

// A terminal obeys control characters. Of all of them tab and line feed stay.
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g

/** Further lines are indented: what is logged cannot pose as another event. */
const presentable = (text: string): string => withoutSecrets(text).replace(unsafe, escaped).replace(/\n/g, "\n    ")

const textOf = (value: unknown): string =>
  typeof value === "string"
    ? value
    : value instanceof Error
    ? `${value.name}: ${value.message}`
    : Inspectable.stringifyCircular(value)

const levelColors: Readonly<Record<string, number>> = { TRACE: 90, DEBUG: 90, INFO: 32, WARN: 33, ERROR: 31, FATAL: 41 }

const timeOf = (date: Date): string =>
  `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`

/**
 * One event: its local time, level and message, what it is annotated with, and on further lines its cause.
 *
 * @param colors whether the terminal shows colors
 */
export const prettyLogger = (colors: boolean): Logger.Logger<unknown, string> => {
  const colored = (text: string, code: number | undefined) =>
    colors && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text
  return Logger.make((event) => {
    const { annotations, cause, logLevel, message, spans } = Logger.structuredLogger.log(event)
    const words = (Array.isArray(message) ? message : [message]).map(textOf)
    const details = [
      ...Object.entries(annotations).map(([key, value]) => `${key}=${textOf(value)}`),
      ...Object.entries(spans).map(([label, millis]) => `${label}=${millis}ms`)
    ]
    return [
      colored(timeOf(event.date), 90),
      colored(logLevel.padEnd(5), levelColors[logLevel]),
      presentable(words.join(" ")),
      ...details.map((detail) => colored(presentable(detail), 90))
    ].join(" ") + (cause === undefined ? "" : presentable(`\n${cause}`))
  })
}

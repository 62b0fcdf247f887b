/** The server's log: lines of JSON for programs, something to read for people. */
import { Effect, Layer, Logger } from "effect"
import { jsonLogger } from "./JsonLog.ts"
import { prettyLogger } from "./PrettyLog.ts"
import type { LogFormat } from "./ServerConfig.ts"
import { logEnvironment } from "./ServerConfig.ts"

export interface LogStyle {
  readonly format: LogFormat
  readonly colors: boolean
}

/**
 * Decides how to log.
 *
 * @param asked the value of `LOG_FORMAT`
 * @param noColor whether `NO_COLOR` is set
 * @param isTerminal whether people watch
 *
 * @example
 * logStyle({ asked: undefined, noColor: false, isTerminal: true }) // { format: "pretty", colors: true }
 */
export const logStyle = ({ asked, isTerminal, noColor }: {
  readonly asked: LogFormat | undefined
  readonly noColor: boolean
  readonly isTerminal: boolean
}): LogStyle => {
  const colors = isTerminal && !noColor
  return { format: asked ?? (colors ? "pretty" : "json"), colors }
}

/** Replaces Effect's default logger; the log goes to stderr, so that stdout is for what the server says. */
export const logLayer = ({ colors, format }: LogStyle): Layer.Layer<never> =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.withConsoleError(format === "json" ? jsonLogger : prettyLogger(colors))
  )

/** As the environment has it. What does not fit there is refused where the settings are read, not here. */
export const serverLog: Layer.Layer<never> = Layer.unwrapEffect(
  logEnvironment.pipe(
    Effect.orElseSucceed(() => ({ asked: undefined, noColor: false })),
    Effect.map((environment) => logLayer(logStyle({ ...environment, isTerminal: process.stderr.isTTY })))
  )
)

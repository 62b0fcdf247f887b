/** What the server says when it is up: where it listens, where functions run, and a call to try. */
import { Redacted } from "effect"
import type { LambdaTarget } from "./LambdaTarget.ts"
import type { ServerKey } from "./ServerKey.ts"
import type { StoreTarget } from "./StoreTarget.ts"

const keyHeader = (key: ServerKey): ReadonlyArray<string> => {
  switch (key._tag) {
    case "Made":
      return [`-H 'authorization: Bearer ${Redacted.value(key.key)}'`]
    case "Configured":
      // Who configured it has it: it need not be in a log as well.
      return ["-H \"authorization: Bearer $API_KEY\""]
    default:
      return []
  }
}

const keyLine = (key: ServerKey): ReadonlyArray<string> => {
  switch (key._tag) {
    case "Made":
      return ["API_KEY is not set: this run has a key of its own, shown in the call below and nowhere else."]
    case "Waived":
      return ["WARNING: INSECURE_NO_AUTH=1: everybody who can reach this address can run code here."]
    default:
      return []
  }
}

const storeLine = (store: StoreTarget): string => {
  switch (store.where) {
    case "memory":
      return "Tasks are kept in memory: they end with this process."
    case "embedded":
      return `Tasks are kept in a PostgreSQL of this server's own, in ${store.directory}.`
    case "postgres":
      return `Tasks are kept in the PostgreSQL of DATABASE_URL, schema ${store.schema}.`
  }
}

/**
 * The lines of the greeting.
 *
 * @param runsOn the LambdaClient's description
 */
export const greeting = (options: {
  readonly url: string
  readonly key: ServerKey
  readonly runsOn: string
  readonly target: LambdaTarget
  readonly store: StoreTarget
}): ReadonlyArray<string> => [
  `effect-lambda-scheduler listens on ${options.url} (documentation: ${options.url}/docs)`,
  `Functions run on ${options.runsOn}, because ${options.target.reason}.`,
  storeLine(options.store),
  ...keyLine(options.key),
  "Try:",
  [
    `  curl -X POST ${options.url}/schedule`,
    ...keyHeader(options.key),
    "-H 'content-type: application/json'",
    `-d '{"name":"hello","jsonPayload":"{\\"who\\":\\"Ada\\"}"}'`
  ].join(" "),
  [`  curl ${options.url}/result/hello`, ...keyHeader(options.key)].join(" ")
]

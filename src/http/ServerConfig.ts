/** The server's settings, from the environment. This table is what the README shows, compared by a test. */
import { Config, ConfigError, Effect, Either, Redacted } from "effect"
import { defaultSchema, isSchemaName } from "../adapters/sql/SchemaName.ts"
import type { Millis } from "../domain/Time.ts"
import { parseDuration, shown } from "../domain/Time.ts"
import { EngineConfig } from "../engine/EngineConfig.ts"
import type { LambdaTarget } from "./LambdaTarget.ts"
import { awsSigns, lambdaTarget } from "./LambdaTarget.ts"
import { serverDefaults } from "./SchedulerServer.ts"
import { ServerError } from "./ServerError.ts"
import { minKeyLength } from "./ServerKey.ts"
import type { StoreTarget } from "./StoreTarget.ts"
import { defaultDataDirectory, storeChoices, storeTarget } from "./StoreTarget.ts"

export interface EnvironmentVariable {
  readonly name: string
  /** As people read it; empty for none. */
  readonly default: string
  readonly meaning: string
}

const storeGiveUp: Millis = 300_000

const seconds = (millis: Millis): string => `${millis / 1_000} seconds`

/** Every environment variable that the server looks at. */
export const environmentVariables: ReadonlyArray<EnvironmentVariable> = [
  {
    name: "HOST",
    default: serverDefaults.host,
    meaning: "Address to listen on. Any that is not loopback, such as 0.0.0.0, needs a key"
  },
  { name: "PORT", default: String(serverDefaults.port), meaning: "Port to listen on; 0 takes a free one" },
  {
    name: "API_KEY",
    default: "none on loopback, else made at start and printed",
    meaning: `Key that requests carry as \`authorization: Bearer\`, at least ${minKeyLength} characters`
  },
  { name: "INSECURE_NO_AUTH", default: "0", meaning: "1 serves hosts other than loopback without a key" },
  {
    name: "ALLOWED_HOSTS",
    default: "",
    meaning:
      "Further names that requests may be sent to, separated by commas (localhost, 127.0.0.1, [::1] and HOST are)"
  },
  {
    name: "LAMBDA",
    default: "aws if any AWS credentials or role are set, else local",
    meaning: "Where functions run: aws or local"
  },
  {
    name: "STORE",
    default: "postgres if DATABASE_URL is set, else embedded",
    meaning: "Where Tasks are kept: postgres, embedded (a PostgreSQL of its own in DATA_DIR) or memory"
  },
  {
    name: "DATABASE_URL",
    default: "",
    meaning:
      "PostgreSQL 14 or newer, such as postgres://user:password@host:5432/database; servers that share it share the work"
  },
  { name: "DATABASE_SCHEMA", default: defaultSchema, meaning: "Schema that holds the tables" },
  { name: "DATA_DIR", default: defaultDataDirectory, meaning: "Where the embedded PostgreSQL keeps its files" },
  {
    name: "STORE_GIVE_UP",
    default: "5 minutes",
    meaning: "How long the store may be away before the server ends (exit code 69), for its supervisor to notice"
  },
  {
    name: "CONCURRENCY",
    default: String(EngineConfig.defaults.concurrency),
    meaning: "Most invocations at a time"
  },
  {
    name: "SHUTDOWN_GRACE",
    default: seconds(EngineConfig.defaults.shutdownGrace),
    meaning: "How long a shutdown waits for what runs, such as `30 seconds` or `PT30S`"
  },
  {
    name: "LOG_FORMAT",
    default: "pretty on a terminal, else json",
    meaning: "json or pretty; the log goes to stderr"
  },
  { name: "NO_COLOR", default: "", meaning: "Anything but nothing: no colors, and LOG_FORMAT is json by default" },
  {
    name: "AWS_LAMBDA_ROLE_ARN",
    default: "",
    meaning: "Execution role of the functions that are deployed; needed only to deploy. Selects AWS"
  },
  { name: "AWS_REGION", default: "the profile's", meaning: "Region of the functions" },
  { name: "AWS_ACCESS_KEY_ID", default: "", meaning: "With AWS_SECRET_ACCESS_KEY: credentials. Selects AWS" },
  { name: "AWS_SECRET_ACCESS_KEY", default: "", meaning: "See AWS_ACCESS_KEY_ID" },
  { name: "AWS_SESSION_TOKEN", default: "", meaning: "Belongs to temporary credentials" },
  { name: "AWS_PROFILE", default: "", meaning: "Profile of the shared AWS configuration. Selects AWS" },
  {
    name: "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    default: "",
    meaning: "Set by ECS: credentials of the container. Selects AWS"
  },
  {
    name: "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    default: "",
    meaning: "Set by EKS: credentials of the container. Selects AWS"
  },
  {
    name: "AWS_WEB_IDENTITY_TOKEN_FILE",
    default: "",
    meaning: "Set by EKS: credentials of the service account. Selects AWS"
  },
  { name: "AWS_ENDPOINT_URL_LAMBDA", default: "AWS's own", meaning: "Another address of the Lambda service" }
]

export interface ServerSettings {
  readonly host: string
  readonly port: number
  readonly apiKey: Redacted.Redacted | undefined
  readonly insecureNoAuth: boolean
  readonly allowedHosts: ReadonlyArray<string>
  readonly lambda: LambdaTarget
  readonly store: StoreTarget
  readonly storeGiveUp: Millis
  readonly concurrency: number
  readonly shutdownGrace: Millis
}

/** A variable that is not set, or empty, is `undefined`; `parse` answers what was expected when it does not fit. */
const variable = <A>(name: string, parse: (text: string) => Either.Either<A, string>): Config.Config<A | undefined> =>
  Config.string(name).pipe(
    Config.withDefault(""),
    Config.mapOrFail((raw) => {
      const text = raw.trim()
      return text === ""
        ? Either.right(undefined)
        : Either.mapLeft(
          parse(text),
          (expected) => ConfigError.InvalidData([name], `expected ${expected}, got ${shown(text)}`)
        )
    })
  )

const text = (name: string) => variable(name, Either.right)

const integer = (name: string, least: number, most: number) =>
  variable(name, (text) =>
    /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most
      ? Either.right(Number(text))
      : Either.left(`a whole number from ${least} to ${most}`))

const oneOf = <A extends string>(name: string, ...choices: ReadonlyArray<A>) =>
  variable(name, (text) => {
    const choice = choices.find((candidate) => candidate === text)
    return choice === undefined ? Either.left(choices.join(" or ")) : Either.right(choice)
  })

const duration = (name: string) =>
  variable(name, (text) => Either.mapLeft(parseDuration(text, name), () => "a duration such as 30 seconds or PT30S"))

const hostName = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i

const allowedHosts = variable("ALLOWED_HOSTS", (text) => {
  const names = text.split(",").map((name) => name.trim()).filter((name) => name !== "")
  return names.every((name) => hostName.test(name))
    ? Either.right(names)
    : Either.left("names separated by commas, such as scheduler.example,10.0.0.5")
})

export type LogFormat = "json" | "pretty"

/** What the environment says about the log. */
export const logEnvironment = Config.all({
  asked: oneOf<LogFormat>("LOG_FORMAT", "json", "pretty"),
  noColor: Config.map(text("NO_COLOR"), (value) => value !== undefined)
})

const environment = Config.all({
  host: variable(
    "HOST",
    (text) =>
      /^[a-z0-9._:[\]%-]+$/i.test(text) ? Either.right(text) : Either.left("an address or a name without a port")
  ),
  port: integer("PORT", 0, 65_535),
  // Checked where it is used, without being shown.
  apiKey: text("API_KEY"),
  insecureNoAuth: oneOf("INSECURE_NO_AUTH", "1", "0"),
  allowedHosts,
  lambda: oneOf("LAMBDA", "aws", "local"),
  concurrency: integer("CONCURRENCY", 1, 10_000),
  shutdownGrace: duration("SHUTDOWN_GRACE"),
  store: oneOf("STORE", ...storeChoices),
  // A secret: what is wrong with it is told by whoever connects, without showing it.
  databaseUrl: text("DATABASE_URL"),
  databaseSchema: variable(
    "DATABASE_SCHEMA",
    (text) =>
      isSchemaName(text) ? Either.right(text) : Either.left("lower-case letters, digits and _, beginning with a letter")
  ),
  dataDirectory: text("DATA_DIR"),
  storeGiveUp: duration("STORE_GIVE_UP"),
  log: logEnvironment,
  signs: Config.all(awsSigns.map((name) => Config.map(text(name), (value) => ({ name, isSet: value !== undefined }))))
})

/** One line: the variable, and what is wrong with it. */
const explain = (error: ConfigError.ConfigError): string =>
  error._op === "And" || error._op === "Or" ? explain(error.left) : `${error.path.join(".")}: ${error.message}`

/**
 * Reads the settings.
 *
 * @returns the settings, or `ServerError` (`ConfigInvalid`) that names the variable at fault
 */
export const serverSettings: Effect.Effect<ServerSettings, ServerError> = Effect.matchEffect(environment, {
  onFailure: (error) => new ServerError({ reason: "ConfigInvalid", message: explain(error) }),
  onSuccess: (read) => {
    const store = storeTarget(
      { store: read.store, url: read.databaseUrl, schema: read.databaseSchema, directory: read.dataDirectory },
      defaultSchema
    )
    if (Either.isLeft(store)) return new ServerError({ reason: "ConfigInvalid", message: store.left })
    return Effect.succeed({
      host: read.host ?? serverDefaults.host,
      port: read.port ?? serverDefaults.port,
      apiKey: read.apiKey === undefined ? undefined : Redacted.make(read.apiKey),
      insecureNoAuth: read.insecureNoAuth === "1",
      allowedHosts: read.allowedHosts ?? [],
      lambda: lambdaTarget(read.lambda, read.signs.filter(({ isSet }) => isSet).map(({ name }) => name)),
      concurrency: read.concurrency ?? EngineConfig.defaults.concurrency,
      store: store.right,
      storeGiveUp: read.storeGiveUp ?? storeGiveUp,
      shutdownGrace: read.shutdownGrace ?? EngineConfig.defaults.shutdownGrace
    })
  }
})

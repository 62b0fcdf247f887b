/** Functions as rows. What cannot be read is told by its place and never shown: secrets are stored among the rest. */
import { Either, ParseResult, Redacted, Schema } from "effect"
import { createHash } from "node:crypto"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import type { FunctionSettings } from "../../domain/LambdaFunction.ts"
import type { FunctionVersion, StoredFunction } from "../../ports/FunctionStore.ts"
import type { Row } from "./Db.ts"

/** The version that this program writes into each row of a function, and the only one that it reads. */
export const functionRowVersion = 1

/** Marked, so that it is a secret again for whoever reads it. */
const Secret = Schema.transform(Schema.Struct({ secret: Schema.String }), Schema.RedactedFromSelf(Schema.String), {
  strict: true,
  decode: ({ secret }) => Redacted.make(secret),
  encode: (redacted) => ({ secret: Redacted.value(redacted) })
})

const TextRecord = Schema.Record({ key: Schema.String, value: Schema.String })

/** All but the name, which is the row's key. */
const StoredSettings = Schema.parseJson(Schema.Struct({
  runtime: Schema.String,
  handler: Schema.String,
  role: Schema.optional(Schema.String),
  memory: Schema.Int,
  timeout: Schema.Int,
  architecture: Schema.Literal("x86_64", "arm64"),
  environment: Schema.Record({ key: Schema.String, value: Schema.Union(Schema.String, Secret) }),
  tags: TextRecord,
  description: Schema.optional(Schema.String)
}))

const Revision = Schema.NumberFromString.pipe(Schema.int())

const VersionRow = Schema.Tuple(Schema.Literal(functionRowVersion), Schema.String, Revision)
const FunctionRow = Schema.Tuple(...VersionRow.elements, StoredSettings, Schema.Uint8ArrayFromSelf)
const NamedRow = Schema.Tuple(...VersionRow.elements, Schema.String)
const PutRow = Schema.Tuple(Revision, Schema.Boolean)

export const versionColumns = "v, code_sha256, revision::text"
export const functionColumns = `${versionColumns}, settings, zip`

const corrupt = (name: string, what: string) =>
  new TaskRepositoryError({
    reason: "Corrupt",
    message: `Function ${name} is stored in a way that this program cannot read (${what}). Deploy it again.`
  })

const decoding = <A, I>(schema: Schema.Schema<A, I>, columns: ReadonlyArray<string>) => {
  const decode = Schema.decodeUnknownEither(schema)
  return (name: string, row: Row): Either.Either<A, TaskRepositoryError> =>
    Either.mapLeft(decode(row), (error) => {
      // The issue's own message would quote what is there.
      const [column = "", ...path] = ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path ?? []
      return corrupt(name, [columns[Number(column)] ?? "row", ...path].join("."))
    })
}

const versionNames = ["v", "code_sha256", "revision"]
const decodeVersionRow = decoding(VersionRow, versionNames)
const decodeFunctionRow = decoding(FunctionRow, [...versionNames, "settings", "zip"])
const decodeNamedRow = decoding(NamedRow, [...versionNames, "name"])
const decodePutRow = decoding(PutRow, ["revision", "created"])

export const decodeVersion = (name: string, row: Row): Either.Either<FunctionVersion, TaskRepositoryError> =>
  Either.map(decodeVersionRow(name, row), ([, codeSha256, revision]) => ({ codeSha256, revision }))

export const decodeNamedVersion = (row: Row) =>
  Either.map(decodeNamedRow(String(row[3]), row), ([, codeSha256, revision, name]) => ({ name, codeSha256, revision }))

export const decodePut = (name: string, row: Row) =>
  Either.map(decodePutRow(name, row), ([revision, created]) => ({
    revision,
    change: created ? "created" as const : "updated" as const
  }))

export const decodeFunction = (name: string, row: Row): Either.Either<StoredFunction, TaskRepositoryError> =>
  Either.flatMap(
    decodeFunctionRow(name, row),
    ([, codeSha256, revision, settings, zip]) =>
      createHash("sha256").update(zip).digest("base64") === codeSha256
        ? Either.right({
          settings: { ...settings, name, role: settings.role, description: settings.description },
          zip,
          codeSha256,
          revision
        })
        : Either.left(corrupt(name, "zip"))
  )

const sorted = <A>(record: Readonly<Record<string, A>>): Record<string, A> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

const encode = Schema.encodeSync(StoredSettings)

/** The same settings are the same text. */
export const encodeSettings = (settings: FunctionSettings): string =>
  encode({
    runtime: settings.runtime,
    handler: settings.handler,
    role: settings.role,
    memory: settings.memory,
    timeout: settings.timeout,
    architecture: settings.architecture,
    environment: sorted(settings.environment),
    tags: sorted(settings.tags),
    description: settings.description
  })

/** Functions as the Lambda REST API writes and reads them. */
import { Effect, Redacted, Schema } from "effect"
import { parseRole, zip as zipFunction } from "../../domain/LambdaFunction.ts"
import type { Architecture, CodeOptions, FunctionSettings } from "../../domain/LambdaFunction.ts"
import type { FunctionPackage } from "../../packaging/FunctionPackage.ts"
import { packageFunction } from "../../packaging/Package.ts"
import type { LocalFunction } from "./LocalRuntime.ts"
import { fromInvalidInput, invalidParameter, validation } from "./RestError.ts"

const StringRecord = Schema.Record({ key: Schema.String, value: Schema.String })

const configurationFields = {
  Role: Schema.optional(Schema.String),
  Runtime: Schema.optional(Schema.String),
  Handler: Schema.optional(Schema.String),
  Description: Schema.optional(Schema.String),
  Timeout: Schema.optional(Schema.Number),
  MemorySize: Schema.optional(Schema.Number),
  Environment: Schema.optional(Schema.Struct({ Variables: Schema.optional(StringRecord) }))
}
const codeFields = {
  ZipFile: Schema.optional(Schema.String),
  Architectures: Schema.optional(Schema.Array(Schema.Literal("arm64", "x86_64")))
}

export const CreateFunctionBody = Schema.Struct({
  ...configurationFields,
  FunctionName: Schema.String,
  Architectures: codeFields.Architectures,
  PackageType: Schema.optional(Schema.String),
  Code: Schema.Struct({ ZipFile: Schema.optional(Schema.String) }),
  Tags: Schema.optional(StringRecord)
})
export const UpdateConfigurationBody = Schema.Struct({
  ...configurationFields,
  RevisionId: Schema.optional(Schema.String)
})
export const UpdateCodeBody = Schema.Struct({
  ...codeFields,
  RevisionId: Schema.optional(Schema.String),
  DryRun: Schema.optional(Schema.Boolean)
})
export const TagsBody = Schema.Struct({ Tags: StringRecord })

type ConfigurationBody = typeof UpdateConfigurationBody.Type

const plainEnvironment = (settings: FunctionSettings): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings.environment).map(([name, value]) =>
      [name, typeof value === "string" ? value : Redacted.value(value)] as const
    )
  )

const checkRole = (role: string | undefined) =>
  role === undefined
    ? validation(
      "1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null"
    )
    : Effect.mapError(parseRole(role), () =>
      validation(
        `1 validation error detected: Value '${role.slice(0, 100)}' at 'role' failed to satisfy constraint: ` +
          "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"
      ))

const packageOf = (
  name: string,
  zip: string | Uint8Array,
  options: CodeOptions,
  tags: Readonly<Record<string, string>>
) =>
  packageFunction(zipFunction(name, zip, options)).pipe(
    Effect.mapError(fromInvalidInput),
    // Tags are the caller's, ours among them; they are no concern of the code.
    Effect.map((made): FunctionPackage => ({ ...made, settings: { ...made.settings, tags } }))
  )

const seconds = (timeout: number | undefined) => (timeout === undefined ? undefined : timeout * 1_000)

/** The package that a CreateFunction asks for. */
export const packageCreated = Effect.fnUntraced(function*(body: typeof CreateFunctionBody.Type) {
  yield* checkRole(body.Role)
  if (body.Code.ZipFile === undefined || (body.PackageType ?? "Zip") !== "Zip") {
    return yield* invalidParameter("Please provide a source for function code. (Only ZipFile is supported here.)")
  }
  return yield* packageOf(body.FunctionName, body.Code.ZipFile, {
    runtime: body.Runtime,
    handler: body.Handler,
    role: body.Role,
    memory: body.MemorySize,
    timeout: seconds(body.Timeout),
    architecture: body.Architectures?.[0],
    environment: body.Environment?.Variables,
    description: body.Description
  }, body.Tags ?? {})
})

/** The present package with another configuration, or other code. */
export const packageUpdated = Effect.fnUntraced(function*(
  { functionPackage }: LocalFunction,
  change: ConfigurationBody & { readonly zip?: string | undefined; readonly architecture?: Architecture | undefined }
) {
  const { settings, zip } = functionPackage
  if (change.Role !== undefined) yield* checkRole(change.Role)
  return yield* packageOf(settings.name, change.zip ?? zip, {
    runtime: change.Runtime ?? settings.runtime,
    handler: change.Handler ?? settings.handler,
    role: change.Role ?? settings.role,
    memory: change.MemorySize ?? settings.memory,
    timeout: seconds(change.Timeout) ?? settings.timeout,
    architecture: change.architecture ?? settings.architecture,
    environment: change.Environment === undefined ? settings.environment : change.Environment.Variables,
    description: change.Description ?? settings.description
  }, settings.tags)
})

const reasons = {
  Pending: { StateReason: "The function is being created.", StateReasonCode: "Creating" },
  Active: {},
  InProgress: {
    LastUpdateStatusReason: "The function is being created.",
    LastUpdateStatusReasonCode: "Creating"
  },
  Successful: {}
}

/** AWS's `FunctionConfiguration`. */
export const configurationOf = (fn: LocalFunction) => {
  const { codeSha256, settings, zip } = fn.functionPackage
  const variables = plainEnvironment(settings)
  return {
    FunctionName: settings.name,
    FunctionArn: fn.arn,
    Runtime: settings.runtime,
    Role: settings.role ?? "",
    Handler: settings.handler,
    CodeSize: zip.byteLength,
    Description: settings.description ?? "",
    Timeout: settings.timeout / 1_000,
    MemorySize: settings.memory,
    LastModified: fn.lastModified,
    CodeSha256: codeSha256,
    Version: "$LATEST",
    ...(Object.keys(variables).length === 0 ? {} : { Environment: { Variables: variables } }),
    TracingConfig: { Mode: "PassThrough" },
    RevisionId: fn.revisionId,
    PackageType: "Zip",
    Architectures: [settings.architecture],
    EphemeralStorage: { Size: 512 },
    State: fn.state,
    ...reasons[fn.state],
    LastUpdateStatus: fn.lastUpdateStatus,
    ...reasons[fn.lastUpdateStatus]
  }
}

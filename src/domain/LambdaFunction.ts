/**
 * What to run: a function that is there (`existing`), or code to deploy (`inline`, `files`, `directory`, `zip`).
 *
 * The constructors only note what the caller said; it is checked when it is first used (`schedule`, `repeat`, `deploy`),
 * before anything is stored or sent, so that bad input is a typed error and never an exception.
 */
import { Either, Redacted } from "effect"
import type { Schema } from "effect"
import { InvalidInput } from "./Errors.ts"
import { defaultRuntime, lambdaRuntimes } from "./LambdaRuntime.ts"
import type { FunctionTarget } from "./Task.ts"
import type { DurationInput, Millis } from "./Time.ts"
import { parseDuration, shown } from "./Time.ts"

/** A function that something else has deployed: CDK, SAM, Terraform. Using it needs only `lambda:InvokeFunction`. */
export interface ExistingFunction<Payload = unknown, Result = unknown> extends Typed<Payload, Result> {
  readonly _tag: "Existing"
  /** A name, `name:qualifier` or an ARN. */
  readonly reference: string
  readonly qualifier: string | undefined
  readonly timeout: DurationInput | undefined
}

/** A function whose code we deploy, and which we own. */
export interface CodeFunction<Payload = unknown, Result = unknown> extends Typed<Payload, Result> {
  readonly _tag: "Code"
  readonly name: string
  readonly code: Code
  readonly options: CodeOptions
}

export type LambdaFunction<Payload = unknown, Result = unknown> =
  | ExistingFunction<Payload, Result>
  | CodeFunction<Payload, Result>

/** A function of any payload and result: what the parts that only move JSON need to know. */
export type AnyCodeFunction = CodeFunction<any, any>
export type AnyLambdaFunction = LambdaFunction<any, any>

/** Where the code comes from. */
export type Code =
  | { readonly _tag: "Inline"; readonly source: string }
  | { readonly _tag: "Files"; readonly files: Readonly<Record<string, string | Uint8Array>> }
  | { readonly _tag: "Directory"; readonly path: string }
  | { readonly _tag: "Zip"; readonly bytes: Uint8Array | string }

export type Architecture = "arm64" | "x86_64"

/** How the function is deployed. All optional. */
export interface CodeOptions {
  /** Default `nodejs24.x`. */
  readonly runtime?: string | undefined
  /** `file.export` within the code; default `index.handler`. */
  readonly handler?: string | undefined
  /** ARN of the execution role; default `AWS_LAMBDA_ROLE_ARN`. AWS only. */
  readonly role?: string | undefined
  /** Megabytes, 128 to 10,240; default 128. */
  readonly memory?: number | undefined
  /** 1 to 900 seconds; default 3 seconds. */
  readonly timeout?: DurationInput | undefined
  /** Default `x86_64`. */
  readonly architecture?: Architecture | undefined
  readonly environment?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly description?: string | undefined
}

/** Optional Schemas that type a function's payload and result. */
export interface Typed<Payload, Result> {
  readonly payloadSchema: Schema.Schema<Payload, unknown> | undefined
  readonly resultSchema: Schema.Schema<Result, unknown> | undefined
}

/** Types for `payload` and result, checked at run time as well. */
export interface TypedOptions<Payload, Result> {
  readonly payload?: Schema.Schema<Payload, any>
  readonly result?: Schema.Schema<Result, any>
}

const typed = <Payload, Result>(options: TypedOptions<Payload, Result> | undefined): Typed<Payload, Result> => ({
  payloadSchema: options?.payload as Schema.Schema<Payload, unknown> | undefined,
  resultSchema: options?.result as Schema.Schema<Result, unknown> | undefined
})

const code = <Payload, Result>(
  name: string,
  source: Code,
  options: (CodeOptions & TypedOptions<Payload, Result>) | undefined
): CodeFunction<Payload, Result> => ({ _tag: "Code", name, code: source, options: options ?? {}, ...typed(options) })

/**
 * A function that is already deployed. Nothing is created, changed or read: only invoked.
 *
 * @param nameOrArn a name, `name:qualifier`, a partial ARN (`123456789012:function:name`) or a full ARN of the client's
 * own region
 * @param options `qualifier`: version or alias; `timeout`: the function's own timeout, which bounds how long an answer
 * is awaited (default 900 seconds, AWS's longest)
 *
 * @example
 * LambdaFunction.existing("arn:aws:lambda:eu-north-1:123456789012:function:payroll", { qualifier: "live" })
 */
export const existing = <Payload = unknown, Result = unknown>(
  nameOrArn: string,
  options?: TypedOptions<Payload, Result> & {
    readonly qualifier?: string | undefined
    readonly timeout?: DurationInput | undefined
  }
): ExistingFunction<Payload, Result> => ({
  _tag: "Existing",
  reference: nameOrArn,
  qualifier: options?.qualifier,
  timeout: options?.timeout,
  ...typed(options)
})

/**
 * A function from source text: one ECMAScript module that exports `handler` (Node 24 on Lambda takes async handlers
 * only).
 *
 * @example
 * LambdaFunction.inline("hello", `export const handler = async (event) => ({ hi: event.name })`)
 */
export const inline = <Payload = unknown, Result = unknown>(
  name: string,
  source: string,
  options?: CodeOptions & TypedOptions<Payload, Result>
): CodeFunction<Payload, Result> => code(name, { _tag: "Inline", source }, options)

/**
 * A function from a map of files, path within the zip to content.
 *
 * @example
 * LambdaFunction.files("hello", { "index.mjs": "export const handler = async () => 1", "data.json": "{}" })
 */
export const files = <Payload = unknown, Result = unknown>(
  name: string,
  contents: Readonly<Record<string, string | Uint8Array>>,
  options?: CodeOptions & TypedOptions<Payload, Result>
): CodeFunction<Payload, Result> => code(name, { _tag: "Files", files: contents }, options)

/**
 * A function from a directory, read when it is deployed. Symbolic links are refused.
 *
 * @example
 * LambdaFunction.directory("hello", "./build/hello")
 */
export const directory = <Payload = unknown, Result = unknown>(
  name: string,
  path: string,
  options?: CodeOptions & TypedOptions<Payload, Result>
): CodeFunction<Payload, Result> => code(name, { _tag: "Directory", path }, options)

/**
 * A function from a finished zip: its bytes, or their base64.
 *
 * @example
 * LambdaFunction.zip("hello", fs.readFileSync("hello.zip"))
 */
export const zip = <Payload = unknown, Result = unknown>(
  name: string,
  bytes: Uint8Array | string,
  options?: CodeOptions & TypedOptions<Payload, Result>
): CodeFunction<Payload, Result> => code(name, { _tag: "Zip", bytes }, options)

/** AWS's default timeout of a new function. */
export const defaultFunctionTimeout: Millis = 3_000

/** AWS's longest timeout: what an existing function is given when the caller does not say. */
export const longestFunctionTimeout: Millis = 900_000

/** A `CodeFunction`'s options, completed and checked. */
export interface FunctionSettings {
  readonly name: string
  readonly runtime: string
  readonly handler: string
  readonly role: string | undefined
  readonly memory: number
  readonly timeout: Millis
  readonly architecture: Architecture
  readonly environment: Readonly<Record<string, string | Redacted.Redacted>>
  readonly tags: Readonly<Record<string, string>>
  readonly description: string | undefined
}

const refuse = (reason: InvalidInput["reason"], field: string, expected: string, got: unknown) =>
  new InvalidInput({ reason, field, message: `${field}: expected ${expected}, got ${shown(got)}` })

const check = (
  holds: boolean,
  reason: InvalidInput["reason"],
  field: string,
  expected: string,
  got: unknown
): Either.Either<void, InvalidInput> => holds ? Either.void : Either.left(refuse(reason, field, expected, got))

const namePattern = /^[a-zA-Z0-9-_]+$/

/**
 * Checks a bare function name: 1 to 64 of `[a-zA-Z0-9-_]`.
 *
 * @returns the name, or `InvalidInput` (`NameType`, `NameEmpty`, `NameTooLong`, `NamePattern`)
 */
export const parseName = (name: unknown, field: string): Either.Either<string, InvalidInput> => {
  const expected = "a name of 1 to 64 letters, digits, - or _"
  if (typeof name !== "string") return Either.left(refuse("NameType", field, expected, name))
  if (name === "") return Either.left(refuse("NameEmpty", field, expected, name))
  if (!namePattern.test(name)) return Either.left(refuse("NamePattern", field, expected, name))
  return name.length > 64 ? Either.left(refuse("NameTooLong", field, expected, name)) : Either.right(name)
}

const partialArn = /^(?:\d{12}:)?(?:function:)?([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?$/
const fullArn =
  /^arn:aws[a-zA-Z-]*:lambda:([a-z]{2}(?:-[a-z]+)+-\d):(\d{12}):function:([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?$/

/** A reference to a function, taken apart. */
export interface FunctionReference {
  readonly name: string
  /** The reference without its qualifier, when it says more than the name. */
  readonly arn: string | undefined
  readonly qualifier: string | undefined
  /** The region a full ARN names. */
  readonly region: string | undefined
}

/**
 * Takes a name, partial ARN or full ARN apart.
 *
 * @returns its parts, or `InvalidInput` (`NameType`, `NameEmpty`, `NameTooLong`, `NamePattern`, `ArnService`,
 * `ArnPattern`)
 *
 * @example
 * parseReference("payroll:live", "function") // name "payroll", qualifier "live"
 */
export const parseReference = (reference: unknown, field: string): Either.Either<FunctionReference, InvalidInput> => {
  // What no reference can hold is a bad name rather than a bad ARN.
  const isName = typeof reference !== "string" || !reference.includes(":") ||
    (!reference.startsWith("arn:") && /[^a-zA-Z0-9:$_-]/.test(reference))
  if (isName) {
    return Either.map(parseName(reference, field), (name) => ({
      name,
      arn: undefined,
      qualifier: undefined,
      region: undefined
    }))
  }
  if (reference.length > 256) {
    return Either.left(refuse("NameTooLong", field, "at most 256 characters", reference))
  }
  const isArn = reference.startsWith("arn:")
  if (isArn && reference.split(":")[2] !== "lambda") {
    return Either.left(refuse("ArnService", field, "the ARN of a Lambda function", reference))
  }
  const match = (isArn ? fullArn : partialArn).exec(reference)
  if (match === null) {
    return Either.left(
      refuse("ArnPattern", field, "arn:aws:lambda:<region>:<12 digits>:function:<name>[:<qualifier>]", reference)
    )
  }
  const [region, name, qualifier] = isArn ? [match[1], match[3], match[4]] : [undefined, match[1], match[2]]
  return Either.map(parseName(name, field), (name) => {
    const bare = qualifier === undefined ? reference : reference.slice(0, -qualifier.length - 1)
    return { name, arn: bare === name ? undefined : bare, qualifier, region }
  })
}

/**
 * The target of an existing function.
 *
 * @param region the region the client works in; `undefined` where it has none (this machine)
 * @returns the target, or `InvalidInput` (those of `parseReference`, `ArnRegionMismatch`, `TimeoutInvalid`)
 */
export const existingTarget = (
  fn: Pick<ExistingFunction<any, any>, "reference" | "qualifier" | "timeout">,
  region: string | undefined
): Either.Either<FunctionTarget, InvalidInput> =>
  Either.gen(function*() {
    const reference = yield* parseReference(fn.reference, "function")
    yield* check(
      region === undefined || reference.region === undefined || reference.region === region,
      "ArnRegionMismatch",
      "function",
      `an ARN of region ${region}, where this client works`,
      fn.reference
    )
    const qualifier = fn.qualifier ?? reference.qualifier
    yield* check(
      fn.qualifier === undefined || /^(\$LATEST|[a-zA-Z0-9-_]{1,128})$/.test(fn.qualifier),
      "NamePattern",
      "qualifier",
      "a version or an alias",
      fn.qualifier
    )
    const timeout = fn.timeout === undefined ? longestFunctionTimeout : yield* parseTimeout(fn.timeout)
    return { name: reference.name, arn: reference.arn, qualifier, timeout }
  })

const parseTimeout = (input: unknown): Either.Either<Millis, InvalidInput> =>
  parseDuration(input, "timeout").pipe(
    Either.filterOrLeft((millis) => millis >= 1_000 && millis <= longestFunctionTimeout, () => undefined),
    // Lambda takes whole seconds.
    Either.map((millis) => Math.ceil(millis / 1_000) * 1_000),
    Either.mapLeft(() => refuse("TimeoutInvalid", "timeout", "1 to 900 seconds", input))
  )

const rolePattern = /^arn:aws[a-zA-Z-]*:iam::\d{12}:role\/[a-zA-Z_0-9+=,.@/-]+$/

/** Checks the ARN of an execution role: `InvalidInput` with reason `RoleInvalid` otherwise. */
export const parseRole = (role: unknown): Either.Either<string, InvalidInput> =>
  typeof role === "string" && rolePattern.test(role)
    ? Either.right(role)
    : Either.left(refuse("RoleInvalid", "role", "arn:aws:iam::<12 digits>:role/<name>", role))

const handlerPattern = /^(?!.*(?:^|[./])\.\.?(?:[./]|$))[a-zA-Z0-9_-][a-zA-Z0-9_/-]*\.[a-zA-Z_$][a-zA-Z0-9_$]*$/
const prototypeNames = new Set(["__proto__", "constructor", "prototype"])

const parseHandler = (handler: unknown): Either.Either<string, InvalidInput> =>
  Either.map(
    check(
      typeof handler === "string" && handler.length <= 128 && handlerPattern.test(handler) &&
        !prototypeNames.has(handler.slice(handler.lastIndexOf(".") + 1)),
      "HandlerInvalid",
      "handler",
      "file.export within the code, such as index.handler",
      handler
    ),
    () => handler as string
  )

const envNamePattern = /^[a-zA-Z][a-zA-Z0-9_]+$/
// What would reach into the process that runs the code, or pose as AWS's own.
const reservedEnv = /^(NODE_|LD_|DYLD_|AWS_|LAMBDA_|npm_|NPM_)|^(PATH|HOME|_HANDLER|TZ)$/

const parseEnvironment = (
  environment: CodeOptions["environment"]
): Either.Either<Readonly<Record<string, string | Redacted.Redacted>>, InvalidInput> =>
  Either.gen(function*() {
    let bytes = 0
    for (const [name, value] of Object.entries(environment ?? {})) {
      const field = "environment"
      yield* check(envNamePattern.test(name), "EnvInvalid", field, "names such as MY_NAME", name)
      yield* check(!reservedEnv.test(name), "EnvReserved", field, "a name that is not reserved", name)
      const text = Redacted.isRedacted(value) ? Redacted.value(value) : value
      yield* check(
        typeof text === "string" && !text.includes("\0"),
        "EnvInvalid",
        field,
        `text without NUL as the value of ${name}`,
        "another value"
      )
      bytes += Buffer.byteLength(name) + Buffer.byteLength(text)
    }
    yield* check(bytes <= 4096, "EnvInvalid", "environment", "at most 4,096 bytes in all", `${bytes} bytes`)
    return environment ?? {}
  })

const parseTags = (tags: CodeOptions["tags"]): Either.Either<Readonly<Record<string, string>>, InvalidInput> =>
  Either.gen(function*() {
    const entries = Object.entries(tags ?? {})
    // AWS allows 50; one is ours.
    yield* check(entries.length <= 49, "TagsInvalid", "tags", "at most 49 tags", entries.length)
    for (const [key, value] of entries) {
      yield* check(
        key.length > 0 && key.length <= 128 && !/^aws:/i.test(key) && typeof value === "string" && value.length <= 256,
        "TagsInvalid",
        "tags",
        "keys of 1 to 128 characters not starting with aws:, values of at most 256",
        key
      )
    }
    return tags ?? {}
  })

const codeTags: ReadonlySet<string | undefined> = new Set(["Inline", "Files", "Directory", "Zip"])
const supported: ReadonlySet<string> = new Set<keyof CodeOptions | keyof TypedOptions<unknown, unknown>>([
  "runtime",
  "handler",
  "role",
  "memory",
  "timeout",
  "architecture",
  "environment",
  "tags",
  "description",
  "payload",
  "result"
])

/**
 * Completes and checks how a function is to be deployed. Its code is checked when it is packaged.
 *
 * @returns the settings, or `InvalidInput` (`Name...`, `RuntimeUnsupported`, `HandlerInvalid`, `RoleInvalid`,
 * `MemoryInvalid`, `TimeoutInvalid`, `EnvReserved`, `EnvInvalid`, `TagsInvalid`)
 */
export const settings = (fn: AnyCodeFunction): Either.Either<FunctionSettings, InvalidInput> =>
  Either.gen(function*() {
    const { options } = fn
    const name = yield* parseName(fn.name, "name")
    // What is passed over in silence would be deployed without it.
    const unknown = Object.keys(options).find((option) => !supported.has(option))
    yield* check(
      unknown === undefined && codeTags.has(fn.code?._tag),
      "Unsupported",
      unknown ?? "code",
      `a zip of code and the options ${
        [...supported].join(", ")
      }; images, code on S3, layers and versions are not deployed`,
      unknown ?? fn.code?._tag
    )
    const runtime = options.runtime ?? defaultRuntime
    yield* check(
      lambdaRuntimes.some((known) => known.name === runtime),
      "RuntimeUnsupported",
      "runtime",
      `one of ${lambdaRuntimes.map((known) => known.name).join(", ")}`,
      runtime
    )
    const memory = options.memory ?? 128
    yield* check(
      Number.isInteger(memory) && memory >= 128 && memory <= 10_240,
      "MemoryInvalid",
      "memory",
      "128 to 10240 megabytes",
      memory
    )
    const architecture = options.architecture ?? "x86_64"
    yield* check(
      architecture === "x86_64" || architecture === "arm64",
      "Unsupported",
      "architecture",
      "x86_64 or arm64",
      architecture
    )
    return {
      name,
      runtime,
      handler: yield* parseHandler(options.handler ?? "index.handler"),
      role: options.role === undefined ? undefined : yield* parseRole(options.role),
      memory,
      timeout: options.timeout === undefined ? defaultFunctionTimeout : yield* parseTimeout(options.timeout),
      architecture,
      environment: yield* parseEnvironment(options.environment),
      tags: yield* parseTags(options.tags),
      description: options.description
    }
  })

/** Turns a `CodeFunction` into the zip that Lambda takes. The same code always gives the same bytes. */
import { DateTime, Effect } from "effect"
import JSZip from "jszip"
import { createHash } from "node:crypto"
import { InvalidInput } from "../domain/Errors.ts"
import { settings as parseSettings } from "../domain/LambdaFunction.ts"
import type { AnyCodeFunction, Code, FunctionSettings } from "../domain/LambdaFunction.ts"
import { shown } from "../domain/Time.ts"
import { readDirectoryFiles } from "./DirectoryFiles.ts"
import type { FunctionPackage } from "./FunctionPackage.ts"
import { checkZip } from "./Unzip.ts"
import {
  maxUnzippedBytes,
  maxZipBytes,
  readDirectory,
  unzippedTooLarge,
  zipInvalid,
  zipTooLarge
} from "./ZipDirectory.ts"

type Files = Readonly<Record<string, string | Uint8Array>>

const codeInvalid = (what: string) =>
  new InvalidInput({ reason: "CodeInvalid", field: "code", message: `code: ${what}` })

/** The earliest instant a zip can tell. A date of the build would change the digest with every build. */
const zipDate = DateTime.toDateUtc(DateTime.unsafeMake("1980-01-01T00:00:00Z"))

const byteLength = (content: string | Uint8Array) =>
  typeof content === "string" ? Buffer.byteLength(content) : content.byteLength

const zipFiles = Effect.fnUntraced(function*(files: Files) {
  const paths = Object.keys(files).sort()
  if (paths.length === 0) return yield* codeInvalid("expected at least one file, got none")
  const archive = new JSZip()
  let size = 0
  for (const path of paths) {
    const content: unknown = files[path]
    if (typeof content !== "string" && !(content instanceof Uint8Array)) {
      return yield* codeInvalid(`expected text or bytes as the content of ${shown(path)}`)
    }
    size += byteLength(content)
    if (size > maxUnzippedBytes) return yield* unzippedTooLarge()
    archive.file(path, content, { date: zipDate, createFolders: false, unixPermissions: 0o644 })
  }
  const zip = yield* Effect.promise(() =>
    archive.generateAsync({ type: "uint8array", platform: "UNIX", compression: "DEFLATE" })
  )
  // We made it, so it is sound; what it may not have is names and sizes that nobody should unpack.
  yield* readDirectory(zip)
  return { zip, paths }
})

const decodeZip = (bytes: Uint8Array | string): Effect.Effect<Uint8Array, InvalidInput> => {
  if (bytes instanceof Uint8Array) return Effect.succeed(bytes)
  if (typeof bytes !== "string") return codeInvalid("expected the zip's bytes or their base64")
  if (bytes.length > Math.ceil(maxZipBytes / 3) * 4) {
    return zipTooLarge(`is larger than ${maxZipBytes / 1024 / 1024} MB`)
  }
  const decoded = Buffer.from(bytes, "base64")
  // Node drops what is not base64: only text that comes out again as it went in was base64.
  return decoded.toString("base64") === bytes ? Effect.succeed(decoded) : zipInvalid("is not valid base64")
}

const handlerFile = (handler: string) => handler.slice(0, handler.lastIndexOf("."))

const zipCode = Effect.fnUntraced(function*(code: Code, settings: FunctionSettings) {
  switch (code._tag) {
    case "Inline":
      return typeof code.source === "string"
        ? yield* zipFiles({ [`${handlerFile(settings.handler)}.mjs`]: code.source })
        : yield* codeInvalid("expected source text")
    case "Files":
      return typeof code.files === "object" && code.files !== null
        ? yield* zipFiles(code.files)
        : yield* codeInvalid("expected a map of files")
    case "Directory":
      return yield* zipFiles(yield* readDirectoryFiles(code.path))
    case "Zip": {
      const zip = yield* decodeZip(code.bytes)
      return { zip, paths: yield* checkZip(zip) }
    }
  }
})

/** The names under which Lambda's Node.js runtime looks for a handler's file, in its order. */
const handlerExtensions: ReadonlyArray<string> = ["", ".js", ".mjs", ".cjs"]

const checkHandler = (settings: FunctionSettings, paths: ReadonlyArray<string>): Effect.Effect<void, InvalidInput> => {
  const file = handlerFile(settings.handler)
  return handlerExtensions.some((extension) => paths.includes(`${file}${extension}`))
    ? Effect.void
    : new InvalidInput({
      reason: "HandlerInvalid",
      field: "handler",
      message: `handler: expected a file ${file}.js, ${file}.mjs or ${file}.cjs in the code for the handler ` +
        `${shown(settings.handler)}, got ${shown(paths.slice(0, 5).join(", "))}`
    })
}

/**
 * Packages a function: completes and checks its settings, zips its code in memory and checks the zip. The result is
 * deterministic: the same code gives the same bytes and digest on every machine. A caller's own zip is kept byte for
 * byte.
 *
 * @returns the package, or `InvalidInput`: what `LambdaFunction.settings` refuses, `CodeInvalid`, `ZipInvalid`,
 * `ZipSymlink`, `ZipTooLarge` (50 MB zipped, 250 MB unzipped, 10,000 entries), `HandlerInvalid` (no such file)
 *
 * @example
 * packageFunction(LambdaFunction.inline("hello", `export const handler = async () => "hi"`))
 */
export const packageFunction = Effect.fn("Package.packageFunction")(function*(fn: AnyCodeFunction) {
  const settings = yield* parseSettings(fn)
  const { zip, paths } = yield* zipCode(fn.code, settings)
  yield* checkHandler(settings, paths)
  const functionPackage: FunctionPackage = {
    settings,
    zip,
    codeSha256: createHash("sha256").update(zip).digest("base64")
  }
  return functionPackage
})

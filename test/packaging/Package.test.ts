import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as LambdaFunction from "../../src/domain/LambdaFunction.ts"
import type { AnyCodeFunction } from "../../src/domain/LambdaFunction.ts"
import { packageFunction } from "../../src/packaging/Package.ts"
import { unzip } from "../../src/packaging/Unzip.ts"
import { rawZip } from "./rawZip.ts"

const source = `export const handler = async (event) => ({ hi: event.name })`

const contents = (fn: AnyCodeFunction) =>
  Effect.gen(function*() {
    const { zip } = yield* packageFunction(fn)
    const files: Record<string, string> = {}
    yield* unzip(zip, ({ bytes, path }) =>
      Effect.sync(() => {
        files[path] = Buffer.from(bytes).toString()
      }))
    return files
  })

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "package-test-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

const refuses = (fn: AnyCodeFunction, reason: string) =>
  Effect.gen(function*() {
    const result = yield* Effect.either(packageFunction(fn))
    expect(result).toMatchObject({ _tag: "Left", left: { _tag: "InvalidInput", reason } })
    return Either.isLeft(result) ? result.left.message : ""
  })

describe("packageFunction", () => {
  it.effect("makes inline source an ECMAScript module", () =>
    Effect.gen(function*() {
      expect(yield* contents(LambdaFunction.inline("hello", source))).toEqual({ "index.mjs": source })
    }))

  it.effect("names inline source after the handler's file", () =>
    Effect.gen(function*() {
      const fn = LambdaFunction.inline("hello", source, { handler: "main.handler" })
      expect(yield* contents(fn)).toEqual({ "main.mjs": source })
    }))

  it.effect("gives the same bytes and digest whatever the order, the clock and the zone", () =>
    Effect.gen(function*() {
      const one = yield* packageFunction(LambdaFunction.files("f", { "index.mjs": source, "b/c.json": "{}", a: "1" }))
      const two = yield* packageFunction(LambdaFunction.files("f", { a: "1", "b/c.json": "{}", "index.mjs": source }))
      expect(Buffer.from(one.zip).equals(two.zip)).toBe(true)
      // Written down, so that a new version of a library, or another machine, cannot change every digest unnoticed.
      expect(one.codeSha256).toBe(pinnedDigest)
      expect(one.codeSha256).toBe(createHash("sha256").update(one.zip).digest("base64"))
      const elsewhere = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", otherProcess], {
        env: { ...process.env, TZ: "Pacific/Chatham" },
        cwd: join(import.meta.dirname, "../..")
      })
      expect(elsewhere.toString().trim()).toBe(pinnedDigest)
    }))

  it.scoped("reads a directory with all below it", () =>
    Effect.gen(function*() {
      const root = yield* folder
      yield* Effect.promise(async () => {
        await mkdir(join(root, "lib/deep"), { recursive: true })
        await writeFile(join(root, "index.mjs"), source)
        await writeFile(join(root, "lib/deep/data.bin"), Uint8Array.of(0, 255, 10))
      })
      const files = yield* contents(LambdaFunction.directory("hello", root))
      expect(Object.keys(files)).toEqual(["index.mjs", "lib/deep/data.bin"])
      const again = yield* packageFunction(LambdaFunction.files("hello", {
        "index.mjs": source,
        "lib/deep/data.bin": Uint8Array.of(0, 255, 10)
      }))
      expect((yield* packageFunction(LambdaFunction.directory("hello", root))).codeSha256).toBe(again.codeSha256)
    }))

  it.scoped("refuses a symbolic link in a directory, to a file or to a directory", () =>
    Effect.gen(function*() {
      for (const target of ["/etc/passwd", "/etc", "./index.mjs", "/nowhere"]) {
        const root = yield* folder
        yield* Effect.promise(async () => {
          await writeFile(join(root, "index.mjs"), source)
          await symlink(target, join(root, "link"))
        })
        yield* refuses(LambdaFunction.directory("hello", root), "ZipSymlink")
      }
    }))

  it.scoped("refuses a directory that is missing, a file, empty, or unreadable", () =>
    Effect.gen(function*() {
      const root = yield* folder
      yield* refuses(LambdaFunction.directory("hello", join(root, "missing")), "CodeInvalid")
      yield* refuses(LambdaFunction.directory("hello", root), "CodeInvalid")
      yield* refuses(LambdaFunction.directory("hello", ""), "CodeInvalid")
      yield* refuses(LambdaFunction.directory("hello", "a\0b"), "CodeInvalid")
      yield* Effect.promise(() => writeFile(join(root, "index.mjs"), source))
      yield* refuses(LambdaFunction.directory("hello", join(root, "index.mjs")), "CodeInvalid")
      if (process.getuid?.() !== 0) {
        yield* Effect.promise(() => chmod(join(root, "index.mjs"), 0))
        yield* refuses(LambdaFunction.directory("hello", root), "CodeInvalid")
      }
    }))

  it.effect("keeps a caller's zip byte for byte, as bytes and as base64", () =>
    Effect.gen(function*() {
      const zip = rawZip([{ name: "index.js", data: "exports.handler = async () => 1" }], { comment: "mine" })
      for (const given of [zip, new Uint8Array(zip), zip.toString("base64")]) {
        const made = yield* packageFunction(LambdaFunction.zip("hello", given))
        expect(Buffer.from(made.zip).equals(zip)).toBe(true)
        expect(made.codeSha256).toBe(createHash("sha256").update(zip).digest("base64"))
      }
    }))

  it.effect("refuses base64 that is none", () =>
    Effect.gen(function*() {
      const good = rawZip([{ name: "index.js", data: "" }]).toString("base64")
      for (const bad of ["", "%%%", `${good}!`, good.slice(0, -1), ` ${good}`, good.replaceAll("A", "-")]) {
        yield* refuses(LambdaFunction.zip("hello", bad), "ZipInvalid")
      }
      yield* refuses(LambdaFunction.zip("hello", "A".repeat(70 * 1024 * 1024 + 4)), "ZipTooLarge")
    }))

  it.effect("refuses a dangerous zip", () =>
    Effect.gen(function*() {
      const link = rawZip([{ name: "index.js", data: "/etc/passwd", mode: 0o120777 }])
      yield* refuses(LambdaFunction.zip("hello", link), "ZipSymlink")
      yield* refuses(LambdaFunction.zip("hello", rawZip([{ name: "../index.js", data: "" }])), "ZipInvalid")
    }))

  it.effect("refuses files whose names leave the folder, and files that are none", () =>
    Effect.gen(function*() {
      yield* refuses(LambdaFunction.files("hello", { "index.mjs": source, "../evil": "" }), "ZipInvalid")
      yield* refuses(LambdaFunction.files("hello", { "index.mjs": source, "/evil": "" }), "ZipInvalid")
      yield* refuses(LambdaFunction.files("hello", { "index.mjs": source, "INDEX.mjs": "" }), "ZipInvalid")
      yield* refuses(LambdaFunction.files("hello", {}), "CodeInvalid")
      yield* refuses(LambdaFunction.files("hello", { "index.mjs": 1 as unknown as string }), "CodeInvalid")
      yield* refuses(LambdaFunction.files("hello", null as unknown as Record<string, string>), "CodeInvalid")
      yield* refuses(LambdaFunction.inline("hello", undefined as unknown as string), "CodeInvalid")
      yield* refuses(LambdaFunction.zip("hello", 7 as unknown as string), "CodeInvalid")
    }))

  it.effect("refuses a handler whose file is not there, and says what is", () =>
    Effect.gen(function*() {
      const message = yield* refuses(LambdaFunction.files("hello", { "main.mjs": source }), "HandlerInvalid")
      expect(message).toContain("main.mjs")
      yield* refuses(LambdaFunction.files("hello", { "index.ts": source }), "HandlerInvalid")
      yield* refuses(LambdaFunction.files("hello", { "a/index.mjs": source }), "HandlerInvalid")
      yield* packageFunction(LambdaFunction.files("hello", { "a/index.cjs": "" }, { handler: "a/index.run" }))
    }))

  it.effect("checks the settings first", () => refuses(LambdaFunction.inline("no spaces", source), "NamePattern"))
})

const pinnedDigest = "zAEFWcXkWf81ZiDSxBhpmPVwadXveTouqpWvs91oqIk="
const otherProcess = `
  import { Effect } from "effect"
  import { files } from "./src/domain/LambdaFunction.ts"
  import { packageFunction } from "./src/packaging/Package.ts"
  const fn = files("f", { "b/c.json": "{}", "index.mjs": ${JSON.stringify(source)}, a: "1" })
  console.log((await Effect.runPromise(packageFunction(fn))).codeSha256)
`

import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import JSZip from "jszip"
import { checkZip, unzip } from "../../src/packaging/Unzip.ts"
import type { RawEntry, RawOptions } from "./rawZip.ts"
import { rawZip } from "./rawZip.ts"

const index: RawEntry = { name: "index.mjs", data: "export const handler = async () => 1" }
const megabyte = 1024 * 1024

// The core of the "better zip bomb": one entry's bytes hold another entry, with a header of its own.
const inner = rawZip([{ name: "b", data: "x" }])
const overlapping = rawZip([
  { name: "a", data: inner.subarray(0, inner.indexOf("PK\u0001\u0002")), method: 0 },
  { name: "b", data: "x", claimedOffset: 30 + "a".length }
])

/** What cannot be unpacked safely, and why it is refused. */
const refused: ReadonlyArray<readonly [what: string, reason: string, zip: Buffer]> = [
  ["a symbolic link", "ZipSymlink", rawZip([index, { name: "link", data: "/etc/passwd", mode: 0o120777 }])],
  ["a link to /proc/self/environ", "ZipSymlink", rawZip([{ name: "e", data: "/proc/self/environ", mode: 0o120777 }])],
  ["a path out of the folder", "ZipInvalid", rawZip([{ name: "../evil.mjs", data: "x" }])],
  ["a path out of a folder within", "ZipInvalid", rawZip([{ name: "a/../../evil.mjs", data: "x" }])],
  ["an absolute path", "ZipInvalid", rawZip([{ name: "/etc/cron.d/evil", data: "x" }])],
  ["a drive letter", "ZipInvalid", rawZip([{ name: "C:/evil", data: "x" }])],
  ["a backslash", "ZipInvalid", rawZip([{ name: "a\\..\\evil", data: "x" }])],
  ["a NUL", "ZipInvalid", rawZip([{ name: "index.mjs\0.txt", data: "x" }])],
  ["a control character", "ZipInvalid", rawZip([{ name: "in\ndex.mjs", data: "x" }])],
  ["an empty name", "ZipInvalid", rawZip([{ name: "", data: "x" }])],
  ["an empty segment", "ZipInvalid", rawZip([{ name: "a//b", data: "x" }])],
  ["a dot segment", "ZipInvalid", rawZip([{ name: "./index.mjs", data: "x" }])],
  ["a name of 300 bytes", "ZipInvalid", rawZip([{ name: "a".repeat(300), data: "x" }])],
  ["a path of 1,100 bytes", "ZipInvalid", rawZip([{ name: "abc/".repeat(275) + "x", data: "x" }])],
  ["a name that is not UTF-8", "ZipInvalid", rawZip([{ name: Uint8Array.of(0x61, 0xff), data: "x" }])],
  ["one name twice", "ZipInvalid", rawZip([index, index])],
  ["names that differ in case", "ZipInvalid", rawZip([index, { name: "INDEX.mjs", data: "x" }])],
  [
    "names that differ in composition",
    "ZipInvalid",
    rawZip([{ name: "\u00e9", data: "" }, { name: "e\u0301", data: "" }])
  ],
  ["a directory and a file of one name", "ZipInvalid", rawZip([{ name: "a/" }, { name: "a", data: "x" }])],
  ["a file that is another's directory", "ZipInvalid", rawZip([{ name: "a", data: "x" }, { name: "A/b", data: "y" }])],
  ["a directory with content", "ZipInvalid", rawZip([{ name: "a/", data: "x" }])],
  ["an encrypted entry", "ZipInvalid", rawZip([{ ...index, flags: 1 }])],
  ["an entry encrypted in its own header only", "ZipInvalid", rawZip([{ ...index, localFlags: 1 }])],
  ["a device", "ZipInvalid", rawZip([{ name: "dev", mode: 0o020666 }])],
  ["a fifo", "ZipInvalid", rawZip([{ name: "fifo", mode: 0o010644 }])],
  ["a setuid bit", "ZipInvalid", rawZip([{ name: "su", data: "x", mode: 0o104755 }])],
  ["a setgid bit", "ZipInvalid", rawZip([{ name: "sg", data: "x", mode: 0o102755 }])],
  ["a method we do not know", "ZipInvalid", rawZip([{ ...index, method: 14 }])],
  ["another name in the entry's own header", "ZipInvalid", rawZip([{ ...index, localName: "other.mjs" }])],
  ["a wrong checksum", "ZipInvalid", rawZip([{ ...index, claimedCrc: 1 }])],
  ["a size beyond the truth", "ZipInvalid", rawZip([{ ...index, claimedSize: 1000 }])],
  ["a zip64", "ZipInvalid", rawZip([index], { zip64Entries: 1 })],
  ["a zip64 of 100,000 entries", "ZipTooLarge", rawZip([index], { zip64Entries: 100_000 })],
  ["more entries than it counts", "ZipInvalid", rawZip([index, { name: "b", data: "" }], { claimedEntries: 1 })],
  ["fewer entries than it counts", "ZipInvalid", rawZip([index], { claimedEntries: 2 })],
  ["nothing but text", "ZipInvalid", Buffer.from("not a zip at all, whatever its name may say")],
  ["no bytes", "ZipInvalid", Buffer.alloc(0)],
  ["its end cut off", "ZipInvalid", rawZip([index]).subarray(0, -1)],
  ["entries that overlap", "ZipTooLarge", overlapping],
  [
    "more than its header says",
    "ZipTooLarge",
    rawZip([{ name: "bomb", data: Buffer.alloc(megabyte), claimedSize: 10 }])
  ],
  ["a claim of more than 250 MB", "ZipTooLarge", rawZip([{ name: "bomb", data: "x", claimedSize: 251 * megabyte }])],
  [
    "two halves of more than 250 MB",
    "ZipTooLarge",
    rawZip(["a", "b"].map((name) => ({ name, data: "x", claimedSize: 126 * megabyte })))
  ],
  ["a ratio beyond 100", "ZipTooLarge", rawZip([{ name: "zeros", data: Buffer.alloc(10 * megabyte) }])],
  [
    "more than 10,000 entries",
    "ZipTooLarge",
    rawZip(Array.from({ length: 10_001 }, (_, i) => ({ name: `f${i}`, data: "" })))
  ],
  ["more than 50 MB", "ZipTooLarge", Buffer.alloc(50 * megabyte + 1)]
]

describe("checkZip", () => {
  for (const [what, reason, zip] of refused) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const result = yield* Effect.either(checkZip(zip))
        expect(result).toMatchObject({ _tag: "Left", left: { _tag: "InvalidInput", reason, field: "code" } })
      }))
  }

  it.effect("a bomb does not blow the memory", () =>
    Effect.gen(function*() {
      // 240 MB of zeros in 240 KB, claiming to be 1 KB: inflating stops there.
      const zip = rawZip([{ name: "bomb", data: Buffer.alloc(240 * megabyte), claimedSize: 1024 }])
      const before = process.memoryUsage().rss
      yield* Effect.flip(checkZip(zip))
      expect(process.memoryUsage().rss - before).toBeLessThan(50 * megabyte)
    }))

  it.effect("accepts what zip tools write: modes, stored entries, directories, a comment", () =>
    Effect.gen(function*() {
      const options: RawOptions = { comment: "made by a tool" }
      const zip = rawZip([
        { name: "lib/", mode: 0o040755 },
        { ...index, mode: 0o100644 },
        { name: "lib/run.sh", data: "#!/bin/sh", mode: 0o100755, method: 0 },
        { name: "lib/deep/ü.json", data: "{}" }
      ], options)
      expect(yield* checkZip(zip)).toEqual(["index.mjs", "lib/run.sh", "lib/deep/ü.json"])
    }))
})

describe("unzip", () => {
  it.effect("gives back every file that was zipped, byte for byte", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(
            fc.tuple(fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8}){0,2}\.js$/), fc.uint8Array({ maxLength: 2000 })),
            { selector: ([path]) => path, minLength: 1, maxLength: 8 }
          ),
          async (files) => {
            const archive = new JSZip()
            for (const [path, bytes] of files) archive.file(path, bytes, { createFolders: false })
            const zip = await archive.generateAsync({ type: "uint8array", platform: "UNIX", compression: "DEFLATE" })
            const found: Array<[string, Uint8Array]> = []
            await Effect.runPromise(
              unzip(zip, (file) =>
                Effect.sync(() => {
                  found.push([file.path, new Uint8Array(file.bytes)])
                }))
            )
            expect(found.map(([path, bytes]) => [path, [...bytes]])).toEqual(
              files.map(([path, bytes]) => [path, [...bytes]])
            )
          }
        ),
        { numRuns: 50 }
      )
    ))

  it.effect("never throws and never passes damage on: any flipped byte is refused or harmless", () =>
    Effect.promise(() => {
      const zip = rawZip([index, { name: "data.json", data: JSON.stringify({ a: "b".repeat(100) }) }])
      return fc.assert(
        fc.asyncProperty(fc.nat(zip.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
          const damaged = Buffer.from(zip)
          damaged[at] = (damaged[at] ?? 0) ^ mask
          const contents = new Map<string, string>()
          const result = await Effect.runPromise(Effect.either(
            unzip(damaged, (file) => Effect.sync(() => contents.set(file.path, Buffer.from(file.bytes).toString())))
          ))
          if (result._tag === "Right") {
            expect([...contents.values()]).toEqual([index.data, JSON.stringify({ a: "b".repeat(100) })])
          } else expect(result.left._tag).toBe("InvalidInput")
        }),
        { numRuns: 300 }
      )
    }))
})

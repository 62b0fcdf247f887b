/** Unzips a deployment package in memory, counting what comes out: no claim of the zip is trusted. */
import { Effect } from "effect"
import * as Zlib from "node:zlib"
import type { InvalidInput } from "../domain/Errors.ts"
import { shown } from "../domain/Time.ts"
import { readDirectory, zipInvalid, zipTooLarge } from "./ZipDirectory.ts"
import type { ZipEntry } from "./ZipDirectory.ts"

/** A file of a zip, unzipped. Directories that hold nothing are left out. */
export interface ZippedFile {
  /** Relative, with `/`, safe to join to a folder. */
  readonly path: string
  readonly bytes: Uint8Array
}

/** Code compresses by a factor of 3 to 10, never by this much; a bomb does. */
const maxRatio = 100
/** A small file may compress by any factor and harm nobody. */
const ratioMatters = 1024 * 1024

const inflate = (entry: ZipEntry): Effect.Effect<Uint8Array, InvalidInput> => {
  if (!entry.isDeflated) return Effect.succeed(entry.packed)
  return Effect.async((resume) => {
    // Inflating stops at the size the directory claims: one byte more and the claim was a lie.
    Zlib.inflateRaw(entry.packed, { maxOutputLength: Math.max(1, entry.size) }, (error, bytes) => {
      if (error === null) return resume(Effect.succeed(bytes))
      resume(Effect.fail(
        (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE"
          ? zipTooLarge(`holds more than it says: ${shown(entry.path)}`)
          : zipInvalid(`has an entry that does not inflate: ${shown(entry.path)}`)
      ))
    })
  })
}

const read = Effect.fnUntraced(function*(entry: ZipEntry) {
  const bytes = yield* inflate(entry)
  if (bytes.byteLength !== entry.size || Zlib.crc32(bytes) !== entry.crc32) {
    return yield* zipInvalid(`has an entry that fails its checksum: ${shown(entry.path)}`)
  }
  return bytes
})

const checkRatio = (zip: Uint8Array, entries: ReadonlyArray<ZipEntry>): Effect.Effect<void, InvalidInput> => {
  const size = entries.reduce((sum, entry) => sum + entry.size, 0)
  return size > ratioMatters && size > zip.byteLength * maxRatio
    ? zipTooLarge(`unzips to more than ${maxRatio} times its size`)
    : Effect.void
}

/**
 * Checks a zip from first to last byte: its directory, that every entry inflates to what the directory says, and that
 * it stays within AWS's limits (50 MB zipped, 250 MB unzipped) and 10,000 entries. Holds one entry in memory at a time.
 *
 * @returns the paths of its files, or `InvalidInput` (`ZipInvalid`, `ZipSymlink`, `ZipTooLarge`)
 *
 * @example
 * checkZip(bytes) // Effect.succeed(["index.mjs", "lib/data.json"])
 */
export const checkZip = Effect.fnUntraced(function*(zip: Uint8Array) {
  const entries = yield* readDirectory(zip)
  yield* checkRatio(zip, entries)
  yield* Effect.forEach(entries, read, { discard: true })
  return entries.filter((entry) => !entry.isDirectory).map((entry) => entry.path)
})

/**
 * Unzips a zip that `checkZip` has accepted, file by file, into `write`. The same checks hold here, except that of the
 * ratio.
 *
 * @param write takes each file in turn; only one is in memory
 *
 * @example
 * unzip(bytes, (file) => Effect.promise(() => writeFile(join(folder, file.path), file.bytes)))
 */
export const unzip = <E, R>(
  zip: Uint8Array,
  write: (file: ZippedFile) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | InvalidInput, R> =>
  Effect.gen(function*() {
    const entries = yield* readDirectory(zip)
    for (const entry of entries) {
      if (!entry.isDirectory) yield* write({ path: entry.path, bytes: yield* read(entry) })
    }
  })

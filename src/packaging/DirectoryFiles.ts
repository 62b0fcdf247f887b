/** Reads the files of a directory that is to be deployed. */
import { Effect } from "effect"
import type { Dirent } from "node:fs"
import { constants } from "node:fs"
import { open, readdir } from "node:fs/promises"
import { join } from "node:path"
import { InvalidInput } from "../domain/Errors.ts"
import { shown } from "../domain/Time.ts"
import { maxEntries, maxUnzippedBytes, unzippedTooLarge, zipSymlink, zipTooLarge } from "./ZipDirectory.ts"

const unreadable = (path: string, error: unknown) =>
  new InvalidInput({
    reason: "CodeInvalid",
    field: "code",
    message: `code: cannot read ${shown(path)} (${(error as NodeJS.ErrnoException)?.code ?? "unknown error"})`
  })

const listEntries = (path: string): Effect.Effect<ReadonlyArray<Dirent>, InvalidInput> =>
  Effect.tryPromise({ try: () => readdir(path, { withFileTypes: true }), catch: (error) => unreadable(path, error) })

/** Reads a file that was no link a moment ago, and refuses if it has become one. */
const readPlainFile = (path: string, limit: number): Effect.Effect<Uint8Array, InvalidInput> =>
  Effect.acquireUseRelease(
    Effect.tryPromise({
      try: () => open(path, constants.O_RDONLY | constants.O_NOFOLLOW),
      catch: (error) => (error as NodeJS.ErrnoException)?.code === "ELOOP" ? zipSymlink(path) : unreadable(path, error)
    }),
    (file) =>
      Effect.tryPromise({ try: () => file.stat(), catch: (error) => unreadable(path, error) }).pipe(
        Effect.filterOrFail((stat) => stat.size <= limit, unzippedTooLarge),
        Effect.zipRight(Effect.tryPromise({ try: () => file.readFile(), catch: (error) => unreadable(path, error) }))
      ),
    (file) => Effect.promise(() => file.close())
  )

/**
 * Reads a directory and all below it.
 *
 * @returns its files by path (relative, with `/`), or `InvalidInput`: `CodeInvalid` (missing, unreadable, neither file
 * nor directory), `ZipSymlink`, `ZipTooLarge`
 *
 * @example
 * readDirectoryFiles("./build") // Effect.succeed({ "index.mjs": Uint8Array(42) })
 */
export const readDirectoryFiles = Effect.fn("DirectoryFiles.readDirectoryFiles")(function*(root: string) {
  if (typeof root !== "string" || root === "" || root.includes("\0")) {
    return yield* unreadable(String(root).replaceAll("\0", ""), undefined)
  }
  const files: Record<string, Uint8Array> = Object.create(null) as Record<string, Uint8Array>
  const pending = [""]
  let count = 0
  let size = 0
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for (const entry of yield* listEntries(join(root, folder))) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`
      count += 1
      if (count > maxEntries) return yield* zipTooLarge(`has more than ${maxEntries} entries`)
      if (entry.isSymbolicLink()) return yield* zipSymlink(path)
      if (entry.isDirectory()) pending.push(path)
      else if (entry.isFile()) {
        const bytes = yield* readPlainFile(join(root, path), maxUnzippedBytes - size)
        size += bytes.byteLength
        files[path] = bytes
      } else return yield* unreadable(path, { code: "neither a file nor a directory" })
    }
  }
  return files
})

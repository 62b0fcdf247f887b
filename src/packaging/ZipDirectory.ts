/**
 * Reads a zip's central directory, and refuses all that an honest deployment package never has: symbolic links, paths
 * that leave the folder, duplicates, encryption, overlaps. Libraries mend or hide much of this, and what they hide is
 * what two readers of one zip disagree on; so the bytes are read here.
 */
import { Either } from "effect"
import { InvalidInput } from "../domain/Errors.ts"
import { shown } from "../domain/Time.ts"

/** AWS's limit of a zip that is uploaded directly (50 MB). */
export const maxZipBytes = 50 * 1024 * 1024
/** AWS's limit of the unzipped code (250 MB). */
export const maxUnzippedBytes = 250 * 1024 * 1024
export const maxEntries = 10_000

/** One entry, as the central directory describes it. Its sizes are claims until it is inflated. */
export interface ZipEntry {
  /** Relative, with `/`, without a trailing one. */
  readonly path: string
  readonly isDirectory: boolean
  readonly isDeflated: boolean
  readonly crc32: number
  readonly size: number
  /** The entry's bytes as they lie in the zip. */
  readonly packed: Uint8Array
}

type Checked<A> = Either.Either<A, InvalidInput>

const refuse = (reason: "ZipInvalid" | "ZipSymlink" | "ZipTooLarge", what: string) =>
  new InvalidInput({ reason, field: "code", message: `code: ${what}` })

export const zipInvalid = (what: string): InvalidInput => refuse("ZipInvalid", `the zip ${what}`)
export const zipTooLarge = (what: string): InvalidInput => refuse("ZipTooLarge", `the zip ${what}`)
export const zipSymlink = (path: string): InvalidInput =>
  refuse("ZipSymlink", `${shown(path)} is a symbolic link; only files and directories are accepted`)

const endRecordSize = 22
const longestComment = 0xffff
const centralSize = 46
const localSize = 30
const absent32 = 0xffffffff

const signature = {
  end: 0x06054b50,
  end64Locator: 0x07064b50,
  end64: 0x06064b50,
  central: 0x02014b50,
  local: 0x04034b50
}

/** Where the central directory lies. */
interface EndRecord {
  readonly entries: number
  readonly size: number
  readonly offset: number
}

const readEnd = (view: DataView): Checked<EndRecord> => {
  const last = view.byteLength - endRecordSize
  for (let at = last; at >= Math.max(0, last - longestComment); at--) {
    if (
      view.getUint32(at, true) !== signature.end ||
      at + endRecordSize + view.getUint16(at + 20, true) !== view.byteLength
    ) {
      continue
    }
    if (at >= 20 && view.getUint32(at - 20, true) === signature.end64Locator) return Either.left(zip64(view, at - 20))
    const entries = view.getUint16(at + 10, true)
    if (view.getUint16(at + 4, true) !== 0 || view.getUint16(at + 8, true) !== entries) {
      return Either.left(zipInvalid("is one part of several"))
    }
    const record = { entries, size: view.getUint32(at + 12, true), offset: view.getUint32(at + 16, true) }
    return record.offset + record.size === at
      ? Either.right(record)
      : Either.left(zipInvalid("has no directory where it should be"))
  }
  return Either.left(zipInvalid("has no end record: it is cut off, or not a zip"))
}

/** Zip64 is for what is beyond the limits anyway: too large when it says so, unsupported otherwise. */
const zip64 = (view: DataView, locator: number): InvalidInput => {
  const record = Number(view.getBigUint64(locator + 8, true))
  const isRecord = record + 56 <= view.byteLength && view.getUint32(record, true) === signature.end64
  return isRecord && view.getBigUint64(record + 32, true) > BigInt(maxEntries)
    ? zipTooLarge(`has more than ${maxEntries} entries`)
    : zipInvalid("is a zip64, which is not supported")
}

/** The 64-bit size in an entry's extra field, when there is one. */
const size64 = (view: DataView, from: number, length: number): bigint | undefined => {
  for (let at = from; at + 4 <= from + length; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) === 0x0001 && at + 12 <= from + length) return view.getBigUint64(at + 4, true)
  }
  return undefined
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decodeName = (bytes: Uint8Array): Checked<string> =>
  Either.try({ try: () => utf8.decode(bytes), catch: () => zipInvalid("has an entry whose name is not UTF-8") })

// Control characters, and the separator of another system: no path that a build makes.
// oxlint-disable-next-line no-control-regex
const strangeCharacters = /[\u0000-\u001f\u007f\\]/

const checkPath = (name: string): Checked<string> => {
  const path = name.endsWith("/") ? name.slice(0, -1) : name
  const segments = path.split("/")
  const isSafe = !strangeCharacters.test(name) && !/^[a-zA-Z]:/.test(name) &&
    Buffer.byteLength(path) <= 1024 &&
    segments.every((segment) =>
      segment !== "" && segment !== "." && segment !== ".." && Buffer.byteLength(segment) <= 255
    )
  return isSafe ? Either.right(path) : Either.left(zipInvalid(`has an entry with an unsafe path: ${shown(name)}`))
}

const fileType = { mask: 0o170000, symlink: 0o120000, directory: 0o040000, file: 0o100000 }
const setIdBits = 0o6000

const checkMode = (mode: number, name: string, isDirectory: boolean): Checked<void> => {
  const type = mode & fileType.mask
  if (type === fileType.symlink) return Either.left(zipSymlink(name))
  const expected = isDirectory ? fileType.directory : fileType.file
  if (type !== 0 && type !== expected) {
    return Either.left(zipInvalid(`has an entry that is no plain file: ${shown(name)}`))
  }
  if (!isDirectory && (mode & setIdBits) !== 0) {
    return Either.left(zipInvalid(`has an entry with a setuid or setgid bit: ${shown(name)}`))
  }
  return Either.void
}

/** An entry, and the bytes of the zip it takes up. */
interface Placed {
  readonly entry: ZipEntry
  readonly from: number
  readonly to: number
  /** Where the next directory record starts. */
  readonly next: number
}

const readRecord = (zip: Uint8Array, view: DataView, at: number, end: EndRecord): Checked<Placed> =>
  Either.gen(function*() {
    const directoryEnd = end.offset + end.size
    if (at + centralSize > directoryEnd || view.getUint32(at, true) !== signature.central) {
      return yield* Either.left(zipInvalid("has a damaged directory"))
    }
    const nameLength = view.getUint16(at + 28, true)
    const extraLength = view.getUint16(at + 30, true)
    const next = at + centralSize + nameLength + extraLength + view.getUint16(at + 32, true)
    if (next > directoryEnd) return yield* Either.left(zipInvalid("has a damaged directory"))
    const nameBytes = zip.subarray(at + centralSize, at + centralSize + nameLength)
    const name = yield* decodeName(nameBytes)
    const path = yield* checkPath(name)
    const isDirectory = name.endsWith("/")
    yield* checkMode(view.getUint16(at + 40, true), name, isDirectory)

    const flags = view.getUint16(at + 8, true)
    // Bit 0: encrypted; 5: a patch of another zip; 6 and 13: strong encryption.
    if ((flags & 0b10_0000_0110_0001) !== 0) {
      return yield* Either.left(zipInvalid(`has an encrypted entry: ${shown(name)}`))
    }
    const method = view.getUint16(at + 10, true)
    if (method !== 0 && method !== 8) {
      return yield* Either.left(zipInvalid(`has an entry neither stored nor deflated: ${shown(name)}`))
    }
    const packedSize = view.getUint32(at + 20, true)
    const size = view.getUint32(at + 24, true)
    const localOffset = view.getUint32(at + 42, true)
    if (size === absent32) {
      const claimed = size64(view, at + centralSize + nameLength, extraLength)
      return yield* Either.left(
        claimed !== undefined && claimed > maxUnzippedBytes
          ? unzippedTooLarge()
          : zipInvalid("is a zip64, which is not supported")
      )
    }
    if (isDirectory && size !== 0) return yield* Either.left(zipInvalid(`has a directory with content: ${shown(name)}`))
    if (method === 0 && size !== packedSize) {
      return yield* Either.left(zipInvalid(`has an entry of two sizes: ${shown(name)}`))
    }

    if (localOffset + localSize > end.offset || view.getUint32(localOffset, true) !== signature.local) {
      return yield* Either.left(zipInvalid(`has no entry where its directory says: ${shown(name)}`))
    }
    const localNameLength = view.getUint16(localOffset + 26, true)
    const data = localOffset + localSize + localNameLength + view.getUint16(localOffset + 28, true)
    const localName = zip.subarray(localOffset + localSize, localOffset + localSize + localNameLength)
    if (
      data + packedSize > end.offset || Buffer.compare(localName, nameBytes) !== 0 ||
      view.getUint16(localOffset + 8, true) !== method || (view.getUint16(localOffset + 6, true) & 1) !== 0
    ) {
      return yield* Either.left(zipInvalid(`has an entry that its directory describes otherwise: ${shown(name)}`))
    }
    const entry: ZipEntry = {
      path,
      isDirectory,
      isDeflated: method === 8,
      crc32: view.getUint32(at + 16, true),
      size,
      packed: zip.subarray(data, data + packedSize)
    }
    return { entry, from: localOffset, to: data + packedSize, next }
  })

export const unzippedTooLarge = (): InvalidInput =>
  zipTooLarge(`holds more than ${maxUnzippedBytes / 1024 / 1024} MB unzipped`)

/** Two names for one file, or a file where another entry needs a directory; also where case does not count. */
const checkDistinct = (entries: ReadonlyArray<ZipEntry>): Checked<void> => {
  const key = (path: string) => path.normalize("NFC").toLowerCase()
  const seen = new Map<string, ZipEntry>()
  for (const entry of entries) {
    if (seen.has(key(entry.path))) return Either.left(zipInvalid(`has two entries for ${shown(entry.path)}`))
    seen.set(key(entry.path), entry)
  }
  for (const { path } of entries) {
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1)) {
      if (seen.get(key(path.slice(0, slash)))?.isDirectory === false) {
        return Either.left(zipInvalid(`has a file and a directory of one name: ${shown(path.slice(0, slash))}`))
      }
    }
  }
  return Either.void
}

/** Entries that share bytes make a small zip large without any one entry showing it. */
const checkApart = (placed: ReadonlyArray<Placed>): Checked<void> => {
  let end = 0
  for (const { entry, from, to } of placed.toSorted((a, b) => a.from - b.from)) {
    if (from < end) return Either.left(zipTooLarge(`has entries that overlap: ${shown(entry.path)}`))
    end = to
  }
  return Either.void
}

/**
 * Reads and checks the directory of a zip. Nothing is inflated.
 *
 * @returns the entries in the zip's order, or `InvalidInput` (`ZipInvalid`, `ZipSymlink`, `ZipTooLarge`)
 *
 * @example
 * readDirectory(bytes) // Either.right([{ path: "index.mjs", ... }])
 */
export const readDirectory = (zip: Uint8Array): Checked<ReadonlyArray<ZipEntry>> =>
  Either.gen(function*() {
    if (zip.byteLength > maxZipBytes) {
      return yield* Either.left(zipTooLarge(`is larger than ${maxZipBytes / 1024 / 1024} MB`))
    }
    const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength)
    const end = yield* readEnd(view)
    if (end.entries > maxEntries) return yield* Either.left(zipTooLarge(`has more than ${maxEntries} entries`))
    const placed: Array<Placed> = []
    let at = end.offset
    let claimed = 0
    for (let index = 0; index < end.entries; index++) {
      const record = yield* readRecord(zip, view, at, end)
      placed.push(record)
      at = record.next
      claimed += record.entry.size
    }
    if (at !== end.offset + end.size) return yield* Either.left(zipInvalid("has more in its directory than it counts"))
    if (claimed > maxUnzippedBytes) return yield* Either.left(unzippedTooLarge())
    yield* checkApart(placed)
    const entries = placed.map((record) => record.entry)
    yield* checkDistinct(entries)
    return entries
  })

/** Writes zips byte by byte, so that tests can write what no library would. */
import { crc32, deflateRawSync } from "node:zlib"

export interface RawEntry {
  readonly name: string | Uint8Array
  readonly data?: Uint8Array | string
  /** Unix mode; 0 for none. */
  readonly mode?: number
  readonly flags?: number
  readonly method?: 0 | 8 | 14
  /** What the headers claim, when it is not the truth. */
  readonly claimedSize?: number
  readonly claimedCrc?: number
  readonly localName?: string
  readonly localFlags?: number
  /** Where the directory says the entry is. */
  readonly claimedOffset?: number
  readonly extra?: Uint8Array
}

export interface RawOptions {
  readonly comment?: string
  readonly claimedEntries?: number
  /** Adds a zip64 end record that claims this many entries. */
  readonly zip64Entries?: number
}

const bytesOf = (value: string | Uint8Array) => (typeof value === "string" ? Buffer.from(value) : Buffer.from(value))

export const rawZip = (entries: ReadonlyArray<RawEntry>, options: RawOptions = {}): Buffer => {
  const locals: Array<Buffer> = []
  const records: Array<Buffer> = []
  let offset = 0
  for (const entry of entries) {
    const name = bytesOf(entry.name)
    const localName = bytesOf(entry.localName ?? entry.name)
    const data = bytesOf(entry.data ?? "")
    const method = entry.method ?? 8
    const packed = method === 8 ? deflateRawSync(data) : data
    const crc = entry.claimedCrc ?? crc32(data)
    const size = entry.claimedSize ?? data.length
    const extra = bytesOf(entry.extra ?? "")

    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(20, 4)
    local.writeUInt16LE(entry.localFlags ?? entry.flags ?? 0, 6)
    local.writeUInt16LE(method, 8)
    local.writeUInt32LE(crc, 14)
    local.writeUInt32LE(packed.length, 18)
    local.writeUInt32LE(size, 22)
    local.writeUInt16LE(localName.length, 26)
    locals.push(local, localName, packed)

    const record = Buffer.alloc(46)
    record.writeUInt32LE(0x02014b50, 0)
    record.writeUInt16LE(0x031e, 4)
    record.writeUInt16LE(20, 6)
    record.writeUInt16LE(entry.flags ?? 0, 8)
    record.writeUInt16LE(method, 10)
    record.writeUInt32LE(crc, 16)
    record.writeUInt32LE(packed.length, 20)
    record.writeUInt32LE(size, 24)
    record.writeUInt16LE(name.length, 28)
    record.writeUInt16LE(extra.length, 30)
    record.writeUInt32LE(((entry.mode ?? 0) << 16) >>> 0, 38)
    record.writeUInt32LE(entry.claimedOffset ?? offset, 42)
    records.push(record, name, extra)
    offset += local.length + localName.length + packed.length
  }
  const directory = Buffer.concat(records)
  const zip64: Array<Buffer> = []
  if (options.zip64Entries !== undefined) {
    const end64 = Buffer.alloc(56)
    end64.writeUInt32LE(0x06064b50, 0)
    end64.writeBigUInt64LE(44n, 4)
    end64.writeBigUInt64LE(BigInt(options.zip64Entries), 24)
    end64.writeBigUInt64LE(BigInt(options.zip64Entries), 32)
    const locator = Buffer.alloc(20)
    locator.writeUInt32LE(0x07064b50, 0)
    locator.writeBigUInt64LE(BigInt(offset + directory.length), 8)
    locator.writeUInt32LE(1, 16)
    zip64.push(end64, locator)
  }
  const comment = Buffer.from(options.comment ?? "")
  const end = Buffer.alloc(22)
  const count = options.claimedEntries ?? entries.length
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(count, 8)
  end.writeUInt16LE(count, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...locals, directory, ...zip64, end, comment])
}

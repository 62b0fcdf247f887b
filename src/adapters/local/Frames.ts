/** The frames on a child's file descriptor 3; `Bootstrap.ts` has the other end. */

/** What a child says. `printed` is how many bytes it has printed so far. */
export interface Frame {
  readonly header: {
    readonly type: string
    readonly token?: string
    readonly printed?: number
  }
  readonly body: Buffer
}

const prefixBytes = 8
/** AWS's limit of an answer. */
const maxResponseBytes = 6_291_556
/** Headers of the child are a few words. A child that claims more is not our bootstrap speaking. */
const maxHeaderBytes = 4096

export const encodeFrame = (header: object, body: Buffer): Buffer => {
  const head = Buffer.from(JSON.stringify(header))
  const prefix = Buffer.alloc(prefixBytes)
  prefix.writeUInt32BE(head.length, 0)
  prefix.writeUInt32BE(body.length, 4)
  return Buffer.concat([prefix, head, body])
}

const isFrameHeader = (header: unknown): header is Frame["header"] =>
  typeof header === "object" && header !== null && "type" in header && typeof header.type === "string" &&
  (!("token" in header) || typeof header.token === "string") &&
  (!("printed" in header) || typeof header.printed === "number")

/** Raised for bytes that our bootstrap never sends: the handler has got hold of the channel. */
export class FrameInvalid extends Error {}

/** Puts frames together from chunks. Never holds more than one frame of the largest size and one chunk. */
export class FrameReader {
  private chunks: Array<Buffer> = []
  private size = 0
  private needed = prefixBytes
  private readonly onFrame: (frame: Frame) => void

  constructor(onFrame: (frame: Frame) => void) {
    this.onFrame = onFrame
  }

  /** @throws FrameInvalid */
  read(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.size += chunk.length
    while (this.size >= this.needed) {
      const bytes = this.chunks.length === 1 && this.chunks[0] !== undefined
        ? this.chunks[0]
        : Buffer.concat(this.chunks)
      this.chunks = [bytes]
      const headLength = bytes.readUInt32BE(0)
      const bodyLength = bytes.readUInt32BE(4)
      if (headLength > maxHeaderBytes || bodyLength > maxResponseBytes) {
        throw new FrameInvalid("a frame beyond its limits")
      }
      const headEnd = prefixBytes + headLength
      this.needed = headEnd + bodyLength
      if (this.size < this.needed) return
      const frame = {
        header: parseHeader(bytes.toString("utf8", prefixBytes, headEnd)),
        body: bytes.subarray(headEnd, this.needed)
      }
      this.size -= this.needed
      this.chunks = this.size === 0 ? [] : [bytes.subarray(this.needed)]
      this.needed = prefixBytes
      this.onFrame(frame)
    }
  }
}

const parseHeader = (text: string): Frame["header"] => {
  try {
    const header: unknown = JSON.parse(text)
    if (isFrameHeader(header)) return header
  } catch {
    // Told below.
  }
  throw new FrameInvalid("a frame whose header is not ours")
}

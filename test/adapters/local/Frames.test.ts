import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Frame } from "../../../src/adapters/local/Frames.ts"
import { encodeFrame, FrameInvalid, FrameReader } from "../../../src/adapters/local/Frames.ts"

const frames = fc.array(
  fc.record({
    header: fc.record({ type: fc.string({ maxLength: 20 }), token: fc.hexaString(), printed: fc.nat() }),
    body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  }),
  { maxLength: 5 }
)

describe("FrameReader", () => {
  it("puts every frame together again, however the bytes were cut", () => {
    fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(({ body, header }) => encodeFrame(header, body)))
      const read: Array<Frame> = []
      const reader = new FrameReader((frame) => read.push(frame))
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const cut = cuts[n % cuts.length] ?? 1
        reader.read(bytes.subarray(at, at + cut))
        at += cut
      }
      expect(read.map(({ body, header }) => [header, [...body]])).toEqual(
        sent.map(({ body, header }) => [header, [...body]])
      )
    }))
  })

  it("refuses lengths beyond the limits before it keeps their bytes", () => {
    for (const lengths of [[5000, 0], [10, 7_000_000], [0xffffffff, 0xffffffff]] as const) {
      const prefix = Buffer.alloc(8)
      prefix.writeUInt32BE(lengths[0], 0)
      prefix.writeUInt32BE(lengths[1], 4)
      expect(() => new FrameReader(() => {}).read(prefix)).toThrow(FrameInvalid)
    }
  })

  it("never throws anything else, whatever comes", () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
      const reader = new FrameReader(() => {})
      try {
        for (const chunk of chunks) reader.read(Buffer.from(chunk))
      } catch (error) {
        expect(error).toBeInstanceOf(FrameInvalid)
      }
    }))
    for (const header of ["null", "1", "{}", `{"type":1}`, `{"type":"x","token":1}`, "{"]) {
      const prefix = Buffer.alloc(8)
      prefix.writeUInt32BE(header.length, 0)
      expect(() => new FrameReader(() => {}).read(Buffer.concat([prefix, Buffer.from(header)]))).toThrow(FrameInvalid)
    }
  })
})

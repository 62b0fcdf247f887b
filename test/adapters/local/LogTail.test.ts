import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { LogTail } from "../../../src/adapters/local/LogTail.ts"

describe("LogTail", () => {
  it("is the last 4,096 bytes of all that was printed", () => {
    fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z]{0,3000}$/), { maxLength: 10 }), (chunks) => {
      const log = new LogTail()
      for (const chunk of chunks) log.print(Buffer.from(chunk))
      expect(log.text).toBe(chunks.join("").slice(-4096))
    }))
  })

  it("keeps no more memory than that, however large the chunks", () => {
    const log = new LogTail()
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 20; n++) log.print(Buffer.alloc(10 * 1024 * 1024, "x"))
    globalThis.gc?.()
    expect(Buffer.byteLength(log.text)).toBe(4096)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(250 * 1024 * 1024)
  })

  it("wakes who waits once enough was printed, and nobody who stopped waiting", () => {
    const log = new LogTail()
    const woken: Array<string> = []
    log.whenPrinted(5, () => woken.push("five"))
    const stop = log.whenPrinted(5, () => woken.push("stopped"))
    log.print(Buffer.from("1234"))
    log.note("a line of the runtime's own does not count")
    stop()
    expect(woken).toEqual([])
    log.print(Buffer.from("5"))
    log.print(Buffer.from("6"))
    log.whenPrinted(6, () => woken.push("at once"))
    expect(woken).toEqual(["five", "at once"])
    expect(log.hasPrinted(7)).toBe(false)
  })
})

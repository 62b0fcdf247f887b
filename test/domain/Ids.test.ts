import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"
import { InstanceId, TaskId, TaskScheduleId, uuid7 } from "../../src/domain/Ids.ts"

const millis = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const counter = fc.nat(4_095)
const bits = fc.integer({ min: 0, max: 2 ** 32 - 1 })

describe("uuid7", () => {
  it("is the one in its example", () => {
    expect(uuid7(1_700_000_000_000, 0, 1, 2)).toBe("018bcfe5-6800-7000-8000-000100000002")
  })

  it("agrees with RFC 9562, appendix A.6", () => {
    // unix_ts_ms 0x017F22E279B0, rand_a 0xCC3, rand_b 0b01 0x18C4DC0C0C07398F
    expect(uuid7(0x017f22e279b0, 0xcc3, 0x18c4dc0c, 0x0c07398f)).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
  })

  it("has the version and the variant of a UUID 7, and its time in front", () => {
    fc.assert(fc.property(millis, counter, bits, bits, (at, n, high, low) => {
      const id = uuid7(at, n, high, low)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toBe(at)
      expect(Number.parseInt(id.slice(15, 18), 16)).toBe(n)
    }))
  })

  it("sorts as text by time, then by counter, whatever the random bits", () => {
    fc.assert(fc.property(millis, counter, millis, counter, bits, bits, (at1, n1, at2, n2, high, low) => {
      fc.pre(at1 !== at2 || n1 !== n2)
      const before = at1 < at2 || (at1 === at2 && n1 < n2)
      expect(uuid7(at1, n1, high, low) < uuid7(at2, n2, low, high)).toBe(before)
    }))
  })

  it("tells ids apart by 62 random bits", () => {
    fc.assert(fc.property(bits, bits, bits, bits, (high1, low1, high2, low2) => {
      const same = (high1 & 0x3fffffff) === (high2 & 0x3fffffff) && low1 === low2
      expect(uuid7(0, 0, high1, low1) === uuid7(0, 0, high2, low2)).toBe(same)
    }))
  })

  it("is an id of every kind; other text is none", () => {
    for (const is of [Schema.is(TaskId), Schema.is(TaskScheduleId), Schema.is(InstanceId)]) {
      expect(is(uuid7(1, 2, 3, 4))).toBe(true)
      for (const text of ["", "not-a-uuid", "018bcfe5-6800-7000-8000-00010000000", "../../health", "\u0000"]) {
        expect([text, is(text)]).toEqual([text, false])
      }
    }
  })
})

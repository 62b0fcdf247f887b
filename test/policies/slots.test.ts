/** How many slots there are: up with what is due, down without need, and never more than the process can bear. */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { Load, Slots } from "../../src/policies/slots.ts"
import { nextSlots } from "../../src/policies/slots.ts"

const options = { least: 100, most: 1_000 }
const full = (count: number, lag = 0): Load => ({ running: count, isCrowded: true, lag })
const idle: Load = { running: 0, isCrowded: false, lag: 0 }

/** The counts, look by look, each 100 ms. */
const counts = (loads: ReadonlyArray<(count: number) => Load>): ReadonlyArray<number> => {
  let slots: Slots = { count: options.least, idleSince: undefined }
  return loads.map((load, look) => {
    slots = nextSlots(slots, load(slots.count), look * 100, options)
    return slots.count
  })
}

const times = <A>(count: number, value: A): ReadonlyArray<A> => Array.from({ length: count }, () => value)

describe("slots", () => {
  it("double while more is due than can start, up to the most", () => {
    assert.deepStrictEqual(counts(times(5, full)), [200, 400, 800, 1_000, 1_000])
  })

  it("stay where all that is due has started, and where those there are have not all been taken", () => {
    assert.deepStrictEqual(counts(times(3, (count) => ({ running: count, isCrowded: false, lag: 0 }))), [100, 100, 100])
    assert.deepStrictEqual(counts(times(3, (count) => ({ running: count - 1, isCrowded: true, lag: 0 }))), [
      100,
      100,
      100
    ])
  })

  it("do not grow in a process that is strained, and are fewer in one that is overloaded", () => {
    assert.deepStrictEqual(counts([full, (count) => full(count, 51), (count) => full(count, 50)]), [200, 200, 400])
    assert.deepStrictEqual(counts([full, full, (count) => full(count, 251), (count) => full(count, 251)]), [
      200,
      400,
      320,
      256
    ])
  })

  it("are fewer after ten seconds in which less than half of them were needed", () => {
    const grown = times(4, full)
    assert.strictEqual(counts([...grown, ...times(100, () => idle)]).at(-1), 1_000)
    assert.strictEqual(counts([...grown, ...times(101, () => idle)]).at(-1), 800)
    assert.strictEqual(counts([...grown, ...times(120, () => idle)]).at(-1), 100)
    const once = [
      ...times(60, () => idle),
      (count: number) => ({ ...idle, running: count / 2 }),
      ...times(60, () => idle)
    ]
    assert.strictEqual(counts([...grown, ...once]).at(-1), 1_000)
  })

  it("are never less than the least nor more than the most", () => {
    const load = fc.record({
      running: fc.integer({ min: 0, max: 2_000 }),
      isCrowded: fc.boolean(),
      lag: fc.integer({ min: 0, max: 1_000 })
    })
    fc.assert(fc.property(fc.array(load, { maxLength: 300 }), fc.nat(500), fc.nat(5_000), (loads, least, more) => {
      const bounds = { least, most: least + more }
      let slots: Slots = { count: least, idleSince: undefined }
      loads.forEach((load, look) => {
        slots = nextSlots(slots, load, look * 100, bounds)
        assert.isAtLeast(slots.count, bounds.least)
        assert.isAtMost(slots.count, bounds.most)
        assert.isTrue(Number.isInteger(slots.count))
      })
    }))
  })
})

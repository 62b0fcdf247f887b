import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Timer } from "../../src/testing/TimerHeap.ts"
import { TimerHeap } from "../../src/testing/TimerHeap.ts"

const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("push" as const), at: fc.integer({ min: 0, max: 99 }) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("pop" as const) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("remove" as const), pick: fc.nat() }) }
)

describe("TimerHeap", () => {
  it("is a list sorted by instant, then by age, whatever is put in and taken out", () => {
    fc.assert(
      fc.property(fc.array(command, { size: "max", maxLength: 200 }), (commands) => {
        const heap = new TimerHeap()
        const ever: Array<Timer> = []
        let model: Array<Timer> = []
        for (const step of commands) {
          if (step._tag === "push") {
            const timer: Timer = { at: step.at, sequence: ever.length, run: () => undefined, position: -1 }
            ever.push(timer)
            model = [...model, timer].sort((one, other) => one.at - other.at || one.sequence - other.sequence)
            heap.push(timer)
          } else if (step._tag === "pop") {
            expect(heap.pop()).toBe(model.shift())
          } else {
            const timer = ever[step.pick % ever.length]
            if (timer === undefined) continue
            expect(heap.remove(timer)).toBe(model.includes(timer))
            model = model.filter((other) => other !== timer)
          }
          expect(heap.size).toBe(model.length)
        }
        expect(Array.from(model, () => heap.pop())).toEqual(model)
      }),
      { numRuns: 500 }
    )
  })
})

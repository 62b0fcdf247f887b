import { describe, expect, it } from "@effect/vitest"
import { DateTime, Schema } from "effect"
import * as fc from "fast-check"
import type { PauseOptions } from "../../src/domain/Pause.ts"
import { describePause, inForce, parsePause, Pause } from "../../src/domain/Pause.ts"
import { farthest } from "../../src/domain/Time.ts"
import { inputsOf } from "../support/badInputs.ts"
import { t0 } from "../support/builders.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

const parse = (options: { readonly [Key in keyof PauseOptions]?: unknown }, now = t0) =>
  parsePause(options as PauseOptions, now)

describe("parsePause", () => {
  it("begins now, and holds until somebody ends it where nothing else is said", () => {
    expect(accepted(parse({}))).toEqual({ since: t0 })
    expect(accepted(parse({ by: undefined, note: undefined, until: undefined }))).toEqual({ since: t0 })
  })

  it("keeps who, why and until when", () => {
    expect(accepted(parse({ by: "ada", note: "month end", until: "2027-02-01T00:00:00Z" }))).toEqual({
      since: t0,
      until: Date.parse("2027-02-01T00:00:00Z"),
      by: "ada",
      note: "month end"
    })
  })

  it("takes 128 characters of who and 1,000 of why, and no text that a store would not give back", () => {
    for (const [field, longest] of [["by", 128], ["note", 1_000]] as const) {
      expect(accepted(parse({ [field]: "x".repeat(longest) }))[field]).toHaveLength(longest)
      expect(accepted(parse({ [field]: "å\n😀" }))[field]).toBe("å\n😀")
      for (const given of ["", "x".repeat(longest + 1), "a\0b", "\ud800", 5, null, {}, true]) {
        const error = refused(parse({ [field]: given }))
        expect([given, error.reason, error.field]).toEqual([given, "OptionInvalid", field])
      }
    }
    expect(refused(parse({ by: "" })).message).toBe("by: expected 1 to 128 characters of text, got \"\"")
  })

  it("ends after it has begun", () => {
    expect(accepted(parse({ until: t0 + 1 })).until).toBe(t0 + 1)
    expect(accepted(parse({ until: DateTime.unsafeMake(t0 + 1) })).until).toBe(t0 + 1)
    expect(accepted(parse({ until: farthest })).until).toBe(farthest)
    for (const until of [t0, t0 - 1, "2000-01-01T00:00:00Z"]) {
      const error = refused(parse({ until }))
      expect([error.reason, error.field]).toEqual(["DateRange", "until"])
    }
    expect(refused(parse({ until: t0 })).message).toBe(
      "until: expected an instant after now, got 2027-01-15T08:00:00.000Z"
    )
  })

  for (const { id, input, reason } of inputsOf("date").filter(({ reason }) => reason !== null)) {
    it(`${id}: until ${JSON.stringify(input)} is ${reason}`, () =>
      expect(reasonOf(parse({ until: input }))).toBe(reason))
  }

  it("answers to anything, and only with what reads back as it was stored", () => {
    const likely = fc.record({
      by: fc.oneof(fc.string({ maxLength: 140 }), fc.anything()),
      note: fc.oneof(fc.string({ unit: "binary", maxLength: 1_010 }), fc.anything()),
      until: fc.oneof(fc.integer({ min: t0 - 5, max: t0 + 1e9 }), fc.double(), fc.date(), fc.anything())
    }, { requiredKeys: [] })
    fc.assert(
      fc.property(likely, (input) => {
        const verdict = parse(input)
        if (reasonOf(verdict) !== null) return
        const pause = accepted(verdict)
        expect(Schema.decodeUnknownSync(Pause)(JSON.parse(JSON.stringify(pause)))).toEqual(pause)
        expect(inForce(pause, t0)).toBe(pause)
      }),
      { numRuns: 2_000, seed: 1_103 }
    )
  })
})

describe("inForce", () => {
  it("holds up to its end, which is no longer part of it", () => {
    const pause = { since: t0, until: t0 + 10 }
    expect([t0, t0 + 9, t0 + 10, t0 + 11].map((now) => inForce(pause, now))).toEqual([
      pause,
      pause,
      undefined,
      undefined
    ])
  })

  it("without an end it holds for ever, and where there is none nothing holds", () => {
    const pause = { since: t0 }
    expect(inForce(pause, farthest)).toBe(pause)
    expect(inForce(undefined, t0)).toBeUndefined()
  })
})

describe("describePause", () => {
  const since = "2027-01-15T08:00:00.000Z"
  for (
    const [pause, sentence] of [
      [{ since: t0 }, `paused since ${since}`],
      [{ since: t0, by: "ada" }, `paused since ${since} by ada`],
      [{ since: t0, note: "month end" }, `paused since ${since}: month end`],
      [{ since: t0, until: t0 + 1_000 }, `paused since ${since} until 2027-01-15T08:00:01.000Z`],
      [
        { since: t0, until: t0 + 1_000, by: "ada", note: "month end" },
        `paused since ${since} until 2027-01-15T08:00:01.000Z by ada: month end`
      ]
    ] as const
  ) it(sentence, () => expect(describePause(pause)).toBe(sentence))
})

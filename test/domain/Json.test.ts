import { describe, expect, it } from "@effect/vitest"
import { DateTime, Either } from "effect"
import * as fc from "fast-check"
import { checkJsonText, maxPayloadBytes, maxPayloadDepth, toJsonText } from "../../src/domain/Json.ts"
import { shown } from "../../src/domain/Time.ts"
import { inputsOf } from "../support/badInputs.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

const text = (json: string) => checkJsonText(json, "payloadJson")
const value = (input: unknown) => toJsonText(input, "payload")

const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`

describe("checkJsonText", () => {
  for (const { id, input, reason } of inputsOf("json")) {
    it(`${id}: ${shown(input)} is ${reason ?? "accepted"}`, () => expect(reasonOf(text(String(input)))).toBe(reason))
  }

  it("answers the very text", () => {
    const texts = [
      `{"a":1,"a":2}`,
      ` { "b" : 1.10 ,\r\n\t"a" : [ ] } `,
      `12345678901234567890.123456789e400`,
      String.raw`"\u0000\ud800"`,
      `"\u2028😀"`,
      `{"__proto__":{"polluted":true}}`,
      `null`,
      `""`
    ]
    for (const json of texts) expect(accepted(text(json))).toBe(json)
    expect("polluted" in {}).toBe(false)
  })

  it("refuses what is not JSON", () => {
    const texts = [" ", "{", "}", "{}{}", "[1 2]", "01", "+1", ".5", "1.", "'a'", "{a:1}", "//x\n1", "\ufeff{}", "True"]
    for (const json of [...texts, "\"\n\"", "\"\t\"", "\"\u0000\"", "\"\\x41\"", "-", "nul"]) {
      expect([json, reasonOf(text(json))]).toEqual([json, "PayloadNotJson"])
    }
  })

  it("refuses a lone surrogate, which has no UTF-8; an escaped one is plain ASCII", () => {
    for (const json of ["\"\ud800\"", "\"a\udc00b\"", "\"\udc00\ud800\""]) {
      expect(reasonOf(text(json))).toBe("PayloadNotJson")
    }
    expect(reasonOf(text("\"\ud83d\ude00\""))).toBeNull()
    expect(reasonOf(text(String.raw`"\ud800"`))).toBeNull()
  })

  it("counts bytes of UTF-8, not characters: 6 MiB exactly are accepted, one more is not", () => {
    const quoted = (inner: string) => `"${inner}"`
    const rest = maxPayloadBytes - 2
    const exact = [
      quoted("x".repeat(rest)),
      quoted("é".repeat(rest / 2)),
      quoted("€".repeat((rest - 1) / 3) + "x"),
      quoted("😀".repeat((rest - 2) / 4) + "xx")
    ]
    for (const json of exact) {
      expect(Buffer.byteLength(json)).toBe(maxPayloadBytes)
      expect(reasonOf(text(json))).toBeNull()
      expect(reasonOf(text(` ${json}`))).toBe("PayloadTooLarge")
    }
    expect(maxPayloadBytes).toBe(6_291_456)
  })

  it("keeps to a limit of its own", () => {
    expect(reasonOf(checkJsonText(`"é"`, "payload", 4))).toBeNull()
    expect(reasonOf(checkJsonText(`"éa"`, "payload", 4))).toBe("PayloadTooLarge")
    expect(refused(checkJsonText(`"éa"`, "payload", 4)).message).toContain("5 bytes")
  })

  it("takes 100 levels and no more, whatever is in the strings", () => {
    expect(reasonOf(text(nested(maxPayloadDepth)))).toBeNull()
    expect(reasonOf(text(nested(maxPayloadDepth + 1)))).toBe("PayloadTooDeep")
    expect(reasonOf(text(`${`{"a":`.repeat(101)}1${"}".repeat(101)}`))).toBe("PayloadTooDeep")
    expect(reasonOf(text(nested(20_000)))).toBe("PayloadTooDeep")
    expect(reasonOf(text(JSON.stringify(["[".repeat(200), "\\\"[[".repeat(200), "{\"".repeat(200)])))).toBeNull()
    expect(reasonOf(text(`[${Array.from({ length: 500 }, () => "[]").join(",")}]`))).toBeNull()
  })

  it("reads a megabyte of one key, repeated", () => {
    const json = `{${Array.from({ length: 100_000 }, () => `"key":1`).join(",")}}`
    expect(accepted(text(json))).toBe(json)
  })

  it("says which field and never repeats the payload", () => {
    const error = refused(text(`{"secret":"canary-7351"`))
    expect(error.field).toBe("payloadJson")
    expect(error.message).not.toContain("canary")
    expect(error.message).toContain("payloadJson")
  })

  it("accepts exactly what JSON.parse reads (short texts over JSON's own alphabet)", () => {
    const piece = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      `"a"`,
      "1",
      "-",
      ".",
      "e",
      "null",
      "true",
      " ",
      "\\",
      `"`
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const json = pieces.join("")
        let parses = true
        try {
          JSON.parse(json)
        } catch {
          parses = false
        }
        expect(reasonOf(text(json))).toBe(parses ? null : "PayloadNotJson")
      }),
      { numRuns: 5_000 }
    )
  })
})

describe("toJsonText", () => {
  const cyclic: Record<string, unknown> = { a: { b: [] } }
  cyclic["self"] = { cyclic }
  const cyclicArray: Array<unknown> = [1]
  cyclicArray.push([cyclicArray])

  const notJson: ReadonlyArray<readonly [string, unknown]> = [
    ["NaN", Number.NaN],
    ["Infinity", Infinity],
    ["undefined", undefined],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["a BigInt", 1n],
    ["a cyclic object", cyclic],
    ["a cyclic array", cyclicArray],
    ["a Map", new Map([["a", 1]])],
    ["a Set", new Set([1])],
    ["a throwing toJSON", { toJSON: () => expect.fail("thrown") }],
    ["a toJSON that throws nothing", { toJSON: () => throwing(undefined) }],
    ["a throwing getter", Object.defineProperty({}, "a", { enumerable: true, get: () => throwing("x") })],
    ["a revoked proxy", revoked()]
  ]
  for (const [what, input] of notJson) {
    it(`refuses ${what}, wherever it is`, () => {
      expect(reasonOf(value(input))).toBe("PayloadNotJson")
      expect(reasonOf(value([1, input]))).toBe("PayloadNotJson")
      if (input !== undefined) expect(reasonOf(value({ a: { b: [{ c: input }] } }))).toBe("PayloadNotJson")
    })
  }

  it("says where the bad value is, without the values around it", () => {
    const { field, message } = refused(value({ user: { secret: "canary-7351", ratio: [1, Number.NaN] } }))
    expect(field).toBe("payload")
    expect(message).toContain("payload.user.ratio[1]")
    expect(message).not.toContain("canary")
  })

  it("takes an absent optional field as absent", () => {
    expect(accepted(value({ a: undefined, b: 1 }))).toBe(`{"b":1}`)
  })

  it("writes dates and other toJSON as they say", () => {
    expect(accepted(value({ at: DateTime.toDate(DateTime.unsafeMake(0)) }))).toBe(`{"at":"1970-01-01T00:00:00.000Z"}`)
    expect(reasonOf(value({ toJSON: () => "x".repeat(maxPayloadBytes) }))).toBe("PayloadTooLarge")
    expect(reasonOf(value({ toJSON: () => JSON.parse(nested(101)) as unknown }))).toBe("PayloadTooDeep")
  })

  it("takes 100 levels and no more, and does not take deep for cyclic", () => {
    const deep = (levels: number): unknown => {
      let made: unknown = []
      for (let level = 1; level < levels; level++) made = level % 2 === 0 ? [made] : { made }
      return made
    }
    expect(reasonOf(value(deep(100)))).toBeNull()
    expect(reasonOf(value(deep(101)))).toBe("PayloadTooDeep")
    expect(reasonOf(value(deep(1_000)))).toBe("PayloadTooDeep")
    expect(reasonOf(value(deep(20_000)))).toBe("PayloadTooDeep")
  })

  it("counts bytes after serialisation", () => {
    expect(reasonOf(value("x".repeat(maxPayloadBytes - 2)))).toBeNull()
    expect(reasonOf(value("x".repeat(maxPayloadBytes - 1)))).toBe("PayloadTooLarge")
    expect(reasonOf(value("\n".repeat(maxPayloadBytes / 2)))).toBe("PayloadTooLarge")
    expect(reasonOf(toJsonText({ a: "é" }, "payload", 10))).toBeNull()
    expect(reasonOf(toJsonText({ a: "éé" }, "payload", 10))).toBe("PayloadTooLarge")
  })

  it("writes a lone surrogate as an escape, which arrives", () => {
    const json = accepted(value("\ud800"))
    expect(json.isWellFormed()).toBe(true)
    expect(JSON.parse(json)).toBe("\ud800")
  })

  it("every JSON value goes round", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: "binary" }), (input) => {
        const json = accepted(value(input))
        expect(json).toBe(JSON.stringify(input))
        expect(JSON.stringify(JSON.parse(json))).toBe(json)
        expect(accepted(text(json))).toBe(json)
      }),
      { numRuns: 2_000 }
    )
  })

  it("answers every value there is, with JSON or a typed refusal", () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withObjectString: true,
      withTypedArray: true,
      withSparseArray: true
    })
    fc.assert(
      fc.property(anything, (input) => {
        const verdict = value(input)
        expect(["PayloadNotJson", null]).toContain(reasonOf(verdict))
        if (Either.isRight(verdict)) expect(verdict.right).toBe(JSON.stringify(input))
      }),
      { numRuns: 2_000 }
    )
  })
})

function throwing(what: unknown): never {
  throw what
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

import { describe, expect, it, vi } from "@effect/vitest"
import type { Asked } from "../../src/policies/answer.ts"
import { readAsked } from "../../src/policies/answer.ts"
import { t0 } from "../support/builders.ts"

const read = (text: string) => readAsked({ text, encoding: "utf8" }, t0)
const asked = (fields: unknown) => read(JSON.stringify({ $scheduler: fields }))
const at = (at: number, message = "The function asked for another attempt"): Asked => ({ _tag: "RetryAt", at, message })

describe("what a function answers about its own retries", () => {
  it("an instant with an offset, or as epoch milliseconds", () => {
    expect(asked({ retryAt: "2027-01-15T10:00:00+01:00", reason: "quota" })).toEqual(at(t0 + 3_600_000, "quota"))
    expect(asked({ retryAt: t0 + 5 })).toEqual(at(t0 + 5))
    expect(asked({ retryAt: t0 + 5.2 })).toEqual(at(t0 + 6))
  })

  it("a number of seconds, rounded up to milliseconds", () => {
    expect(asked({ retryAfter: 90, reason: "busy" })).toEqual(at(t0 + 90_000, "busy"))
    expect(asked({ retryAfter: 0.000_1 })).toEqual(at(t0 + 1))
    expect(asked({ retryAfter: 0 })).toEqual(at(t0))
  })

  it("an instant that has passed is now", () => {
    expect(asked({ retryAt: "1969-12-31T00:00:00Z" })).toEqual(at(t0))
    expect(asked({ retryAt: -1 })).toEqual(at(t0))
  })

  it("to give up, and why", () => {
    expect(asked({ giveUp: "no such customer" })).toEqual({ _tag: "GiveUp", message: "no such customer" })
    expect(asked({ giveUp: "" })).toEqual({ _tag: "GiveUp", message: "The function gave up" })
  })

  it("whatever whitespace there is", () => {
    expect(read(` \t\r\n{ \n"$scheduler" : {"retryAfter": 1} } \n`)).toEqual(at(t0 + 1_000))
  })

  it("a reason is kept, but not all of a book", () => {
    for (const fields of [{ giveUp: "é".repeat(5_000) }, { retryAfter: 1, reason: "é".repeat(5_000) }]) {
      expect(asked(fields)?.message).toBe("é".repeat(1_000))
    }
    expect(asked({ retryAfter: 1, reason: "" })).toEqual(at(t0 + 1_000))
  })

  it("anything else is an ordinary result", () => {
    const ordinary: ReadonlyArray<string> = [
      "",
      "null",
      `"$scheduler"`,
      "{}",
      `[{"$scheduler":{"giveUp":"x"}}]`,
      `{"$scheduler":{"giveUp":"x"}`,
      `{"$scheduler":{"giveUp":"x"}} x`,
      `{"$scheduler":{"giveUp":"x"},"more":1}`,
      `{"more":1,"$scheduler":{"giveUp":"x"}}`,
      `{"$scheduler":{"giveUp":"x"},"__proto__":{}}`,
      `{"$scheduler":{"giveUp":"x","__proto__":{}}}`,
      `{"$schedulers":{"giveUp":"x"}}`,
      `\ufeff{"$scheduler":{"giveUp":"x"}}`,
      ...[
        null,
        "giveUp",
        [],
        {},
        { giveUp: 1 },
        { giveUp: null },
        { giveUp: "x", reason: "y" },
        { giveUp: "x", retryAfter: 1 },
        { reason: "x" },
        { retryAfter: 1, retryAt: t0 },
        { retryAfter: 1, more: 1 },
        { retryAfter: -1 },
        { retryAfter: "5" },
        { retryAfter: null },
        { retryAfter: 1e300 },
        { retryAfter: 1, reason: 5 },
        { retryAfter: 1, reason: null },
        { retryAt: null },
        { retryAt: "" },
        { retryAt: "tomorrow" },
        { retryAt: "2027-01-15T10:00:00" },
        { retryAt: "2027-02-30T10:00:00Z" },
        { retryAt: 9e15 },
        { retryAt: true }
      ].map((fields) => JSON.stringify({ $scheduler: fields }))
    ]
    for (const text of ordinary) expect([text, read(text)]).toEqual([text, undefined])
    expect(read(`{"$scheduler":{"retryAfter":1e999}}`)).toBeUndefined()
  })

  it("bytes are a result, and so is what was cut", () => {
    const text = JSON.stringify({ $scheduler: { giveUp: "x" } })
    expect(readAsked({ text, encoding: "base64" }, t0)).toBeUndefined()
    expect(readAsked({ text: text.slice(0, -1), encoding: "utf8", truncated: true }, t0)).toBeUndefined()
  })

  it("a result is not parsed to find out that it is one", () => {
    const parse = vi.spyOn(JSON, "parse")
    for (const text of [`{"rows":[1,2]}`, `{"a":1,"$scheduler":{"giveUp":"x"}}`, ` {"$schedule":1}`, `"$scheduler"`]) {
      read(text)
    }
    expect(parse).not.toHaveBeenCalled()
    asked({ giveUp: "x" })
    expect(parse).toHaveBeenCalledTimes(1)
    parse.mockRestore()
  })
})

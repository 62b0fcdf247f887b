import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { AttemptOutcome, bodyFromBytes, InvocationError, InvocationErrorReason } from "../../src/domain/Invocation.ts"
import { executedAt, idempotencyKey, isSpent, startedAt } from "../../src/domain/Task.ts"
import { anEnd, aScheduleId, aTask, t0 } from "../support/builders.ts"

describe("bodyFromBytes", () => {
  const bytes = (text: string) => new TextEncoder().encode(text)

  it("keeps text as text, byte for byte", () => {
    for (const text of ["", "{}", ` { "a" : 1.10 } `, "😀é\u2028", "\ufeff{}", "\u0001\u007f"]) {
      expect(bodyFromBytes(bytes(text))).toEqual({ text, encoding: "utf8" })
    }
  })

  it("keeps as base64 what is not UTF-8, or holds a NUL", () => {
    expect(bodyFromBytes(Uint8Array.of(0xc3, 0x28))).toEqual({ text: "wyg=", encoding: "base64" })
    expect(bodyFromBytes(Uint8Array.of(0xed, 0xa0, 0x80)).encoding).toBe("base64")
    expect(bodyFromBytes(bytes("a\u0000b"))).toEqual({ text: "YQBi", encoding: "base64" })
  })

  it("looks at its own part of a shared buffer only", () => {
    const whole = Uint8Array.of(0xff, 0xff, 0x7b, 0x7d, 0xff)
    expect(bodyFromBytes(whole.subarray(2, 4))).toEqual({ text: "{}", encoding: "utf8" })
    expect(bodyFromBytes(whole.subarray(0, 3))).toEqual({ text: "//97", encoding: "base64" })
  })

  it("loses nothing, whatever the bytes", () => {
    const mostlyText = fc.string({ unit: "binary" }).map((text) => new TextEncoder().encode(text.toWellFormed()))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), mostlyText), (input) => {
        const { encoding, text } = bodyFromBytes(input)
        expect([...Buffer.from(text, encoding)]).toEqual([...input])
        expect(text).not.toContain("\u0000")
        expect(text.isWellFormed()).toBe(true)
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("InvocationError", () => {
  it("every reason has one outcome, and what was not sent is not spent", () => {
    const outcomeOf = (reason: InvocationErrorReason) => new InvocationError({ reason, message: "" }).outcome
    expect(Object.fromEntries(InvocationErrorReason.literals.map((reason) => [reason, outcomeOf(reason)])))
      .toMatchObject({
        FunctionError: "failed",
        FunctionTimeout: "failed",
        Throttled: "throttled",
        NotReady: "notReady",
        ServiceError: "failed",
        Unreachable: "notSent",
        TooLate: "notSent",
        MissingCredentials: "notSent",
        NoAnswer: "unknown",
        AccessDenied: "failed",
        NotFound: "failed",
        PayloadTooLarge: "failed",
        Rejected: "failed"
      })
    for (const reason of InvocationErrorReason.literals) expect(AttemptOutcome.literals).toContain(outcomeOf(reason))
  })

  it("all outcomes but throttled, notReady and notSent are spent", () => {
    expect(AttemptOutcome.literals.filter((outcome) => !isSpent(outcome))).toEqual(["throttled", "notReady", "notSent"])
  })
})

describe("Task", () => {
  it("an occurrence keeps its key over its attempts; a one-shot's key is its id", () => {
    const task = aTask()
    expect(idempotencyKey(task)).toBe(task.id)
    const scheduleId = aScheduleId()
    const occurrence = aTask({ scheduleId, nominalAt: t0 + 5, dueAt: t0 + 9_999 })
    expect(idempotencyKey(occurrence)).toBe(`${scheduleId}:${t0 + 5}`)
  })

  it("startedAt and executedAt are of the latest attempt", () => {
    expect([startedAt(aTask()), executedAt(aTask())]).toEqual([undefined, undefined])
    const task = aTask({
      attempts: [
        { number: 1, startedAt: t0, ended: anEnd("failed", t0 + 1) },
        { number: 2, startedAt: t0 + 2, ended: undefined }
      ]
    })
    expect([startedAt(task), executedAt(task)]).toEqual([t0 + 2, undefined])
    expect(executedAt({ ...task, attempts: task.attempts.slice(0, 1) })).toBe(t0 + 1)
  })
})

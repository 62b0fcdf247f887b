/** What docs/retries.md says of fields and reasons is what the code has. */
import { describe, expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { InvocationError, InvocationErrorReason } from "../../src/domain/Invocation.ts"
import { defaultRetryPolicy, RetryPolicy } from "../../src/domain/RetryPolicy.ts"
import type { RunningTask } from "../../src/domain/Task.ts"
import { settleAttempt } from "../../src/policies/retry.ts"
import { aTask, t0 } from "../support/builders.ts"

const page = readFileSync(new URL("../../docs/retries.md", import.meta.url), "utf8")

/** The rows of the table that has this header. */
const rowsOf = (header: string): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = page.split("\n")
  const from = lines.findIndex((line) => line.startsWith(header))
  expect(from).toBeGreaterThan(0)
  const rows: Array<ReadonlyArray<string>> = []
  for (const line of lines.slice(from + 2)) {
    if (!line.startsWith("|")) break
    rows.push(line.split("|").slice(1, -1).map((cell) => cell.trim()))
  }
  return rows
}

describe("docs/retries.md", () => {
  it("has every field of a policy, and the default of those that have one", () => {
    const rows = rowsOf("| field | default |")
    const fields = rows.map(([field = ""]) => field.replaceAll("`", ""))
    expect([...fields].sort()).toEqual([...Object.keys(RetryPolicy.fields), "schedule"].sort())
    const millis = { second: 1_000, minutes: 60_000, day: 86_400_000 }
    for (const [field, value] of Object.entries(defaultRetryPolicy)) {
      const said = rows.find(([name]) => name === `\`${field}\``)?.[1] ?? ""
      const [, count, unit] = /^(\d+) (second|minutes|day)$/.exec(said) ?? []
      if (typeof value === "string") expect([field, said]).toEqual([field, `\`"${value}"\``])
      else if (Array.isArray(value)) expect([field, said]).toEqual([field, "none"])
      else {
        expect([field, unit === undefined ? Number(said) : Number(count) * millis[unit as keyof typeof millis]])
          .toEqual([field, value])
      }
    }
  })

  it("has every reason, with its outcome and whether it is tried again", () => {
    const rows = rowsOf("| reason | outcome |")
    const said = new Map(
      rows.map(([reason = "", outcome, , again = ""]) => [reason.replaceAll("`", ""), { again, outcome }])
    )
    const running: RunningTask = {
      ...aTask(),
      status: "Running",
      attempts: [{ number: 1, startedAt: t0, ended: undefined }]
    }
    for (const reason of InvocationErrorReason.literals) {
      const { end, to } = settleAttempt(running, new InvocationError({ reason, message: "" }), {
        now: t0,
        random: 0,
        horizon: 0
      })
      const row = said.get(reason)
      expect([reason, row?.outcome, row?.again === "never"]).toEqual([reason, end.outcome, to._tag === "Failed"])
    }
    expect([...said.keys()].sort()).toEqual([...InvocationErrorReason.literals, "Interrupted, OwnerLost"].sort())
  })
})
